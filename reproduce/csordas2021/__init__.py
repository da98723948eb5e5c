"""Csordas et al., 2021: which weights does a task need?"""

"""Lange et al., 2022: which units act alike?"""

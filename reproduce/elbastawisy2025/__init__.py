"""Elbastawisy and Afrin, 2025: which neurons does a class use?"""

"""Bena and Goodman, 2021: does structure force function?"""

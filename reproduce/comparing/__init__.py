"""Findings of different kinds on one network: more than one paper."""

"""Records, the JSON values in results.json: written, grouped and averaged."""

import math

import numpy as np


def grouped(records, key):
    """Returns the records by what they have under a key.

    Args:
        records: Iterable of dicts.
        key: Str.

    Returns:
        Dict from value to a list of records, in the order of the first ones.
    """
    groups = {}
    for record in records:
        groups.setdefault(record[key], []).append(record)
    return groups


def mean(values, axis=None):
    """Returns the mean of the values that are known; NaN if none is.

    Args:
        values: Nest of numbers, where NaN or `None` stands for an unknown one.
        axis: Int, tuple of ints, or `None` for all axes.
    """
    values = np.asarray(values, "float64")  # `None` becomes NaN
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0).sum(axis) / known.sum(axis)


def without_nan(values):
    """Returns JSON values with `None` for NaN, which JSON does not have."""
    if isinstance(values, dict):
        return {key: without_nan(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [without_nan(value) for value in values]
    is_nan = isinstance(values, float) and math.isnan(values)
    return None if is_nan else values

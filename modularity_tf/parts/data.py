"""Data as users have it: arrays `(x, y)`, datasets, batches of any kind."""

import keras
import numpy as np

BATCH_SIZE = 256  # in which arrays are gone through


def batches(name, data, batch_size=BATCH_SIZE):
    """Yields `(inputs, targets)` of every batch, in order.

    Args:
        name: Str, the argument's name.
        data: A tuple of arrays `(inputs, targets)`, the inputs an array or a
            list or dict of such; or batches of them: a `tf.data.Dataset`, a
            `keras.utils.PyDataset`, or another iterable. Sample weights
            behind the targets are left out.
        batch_size: Positive int, of arrays.

    Raises:
        ValueError: If it is something else, there are not as many targets as
            inputs, or nothing at all.
    """
    if is_arrays(data):
        inputs, targets = checked_arrays(name, data)
        rows = _lengths(targets)[0]
        for start in range(0, rows, batch_size):
            yield take((inputs, targets), slice(start, start + batch_size))
        return
    wanted = (
        f"`{name}` must be a tuple of arrays (inputs, labels) or an iterable "
        "of such batches, got"
    )
    if isinstance(data, keras.utils.PyDataset):
        data = map(data.__getitem__, range(data.num_batches))
    if not hasattr(data, "__iter__"):
        raise ValueError(f"{wanted} {data!r}.")
    is_empty = True
    for batch in data:
        is_empty = False
        if not isinstance(batch, (tuple, list)) or len(batch) < 2:
            kind = getattr(batch, "shape", None)
            found = type(batch).__name__ + (f" of shape {kind}" if kind else "")
            raise ValueError(f"{wanted} a {found} in it.")
        inputs, targets = batch[:2]
        rows = [*_lengths(inputs), *_lengths(targets)]
        if len({*rows}) != 1:
            raise ValueError(
                f"A batch of `{name}` must have as many labels as inputs, got "
                f"{rows}."
            )
        yield inputs, targets
    if is_empty:
        raise ValueError(
            f"`{name}` has no batch. (A generator can be gone through only "
            "once.)"
        )


def is_arrays(data):
    """Returns whether data are arrays `(inputs, targets)`, not batches.

    They are a tuple, and its first item is no tuple, as a batch would be.
    """
    return (
        isinstance(data, tuple)
        and len(data) > 1
        and not isinstance(data[0], tuple)
    )


def checked_arrays(name, data):
    """Returns the arrays `(inputs, targets)` as NumPy arrays.

    Args:
        name: Str, the argument's name.
        data: For which `is_arrays` holds.

    Raises:
        ValueError: If there are not as many targets as inputs, or none.
    """
    inputs, targets = data[:2]
    inputs = _as_arrays(inputs)
    targets = {**targets} if isinstance(targets, dict) else np.asarray(targets)
    rows = [*_lengths(inputs), *_lengths(targets)]
    if len({*rows}) != 1 or not rows[0]:
        raise ValueError(
            f"`{name}` must have as many labels as inputs, and one or more, "
            f"got {rows}."
        )
    return inputs, targets


def take(arrays, rows):
    """Returns some rows of a nest of arrays.

    Args:
        arrays: Nest of arrays.
        rows: Slice, or array of indices.
    """
    return keras.tree.map_structure(lambda x: np.asarray(x)[rows], arrays)


def _as_arrays(inputs):
    """Returns inputs with lists of numbers made arrays."""
    if isinstance(inputs, dict):
        return {key: _as_arrays(value) for key, value in inputs.items()}
    is_several = isinstance(inputs, list) and any(
        hasattr(x, "shape") for x in inputs
    )
    if is_several:
        return [_as_arrays(value) for value in inputs]
    return inputs if hasattr(inputs, "shape") else np.asarray(inputs)


def _lengths(values):
    """Returns how many examples each array of inputs or targets has."""
    parts = list(values.values()) if isinstance(values, dict) else values
    if isinstance(parts, (list, tuple)) and any(_shape(x) for x in parts):
        return [length for part in parts for length in _lengths(part)]
    return [(*_shape(parts), 0)[0]]


def _shape(value):  # of a sparse tensor, which is no array, too
    return value.shape if hasattr(value, "shape") else np.shape(value)

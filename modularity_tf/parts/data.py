"""Data as users have it: arrays `(x, y)`, datasets, batches of any kind."""

import collections.abc
import typing

import keras
import numpy as np
import tensorflow as tf

# Arrays `(x, y)`, or batches of them.
Data: typing.TypeAlias = (
    collections.abc.Iterable[typing.Any] | keras.utils.PyDataset
)

BATCH_SIZE = 256  # in which arrays are gone through


def batches(name, data, batch_size=BATCH_SIZE, with_weights=False):
    """Yields `(inputs, targets)` of every batch, in order.

    Args:
        name: Str, the argument's name.
        data: A tuple of arrays `(inputs, targets)`, the inputs an array or a
            list or dict of such; or batches of them: a `tf.data.Dataset`, a
            `keras.utils.PyDataset`, or another iterable.
        batch_size: Positive int, of arrays.
        with_weights: Bool. Whether sample weights behind the targets are a
            third item; else they are left out.

    Raises:
        ValueError: If it is something else, there are not as many targets as
            inputs, or nothing at all.
    """
    if is_arrays(data):
        arrays = checked_arrays(name, data)[: 3 if with_weights else 2]
        rows = _lengths(arrays[1])[0]
        for start in range(0, rows, batch_size):
            yield take(arrays, slice(start, start + batch_size))
        return
    wanted = (
        f"`{name}` must be a tuple of arrays (inputs, labels) or an iterable "
        "of such batches, got"
    )
    check_ends(name, data)
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
        is_weighted = with_weights and len(batch) > 2 and batch[2] is not None
        yield (inputs, targets, batch[2]) if is_weighted else (inputs, targets)
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


def check_batches(name, data):
    """Raises `ValueError` if data can't be batches, without a look at one.

    Args:
        name: Str, the argument's name.
        data: For which `is_arrays` does not hold.
    """
    first = data[0] if isinstance(data, (list, tuple)) and data else ()
    is_alone = hasattr(data, "shape") or isinstance(data, dict)
    is_iterable = hasattr(data, "__iter__") or isinstance(
        data, keras.utils.PyDataset
    )
    if is_alone or not is_iterable or not isinstance(first, (tuple, list)):
        raise ValueError(
            f"`{name}` must be a tuple of arrays (inputs, labels) or an "
            "iterable of such batches, got "
            f"{'arrays' if is_alone else 'a ' + type(data).__name__}"
            f"{' without labels' if is_alone else ' of something else'}."
        )


def check_ends(name, data):
    """Raises `ValueError` if a dataset has no end."""
    is_endless = (
        isinstance(data, tf.data.Dataset)
        and data.cardinality() == tf.data.INFINITE_CARDINALITY
    )
    if is_endless:
        raise ValueError(
            f"`{name}` is a dataset without an end: leave out `repeat()`, or "
            "`take` some batches."
        )


def checked_arrays(name, data):
    """Returns the arrays `(inputs, targets)`, and weights, as NumPy arrays.

    Args:
        name: Str, the argument's name.
        data: For which `is_arrays` holds.

    Raises:
        ValueError: If there are not as many targets as inputs, or none.
    """
    inputs, targets, *weights = data
    inputs, targets = _as_arrays(inputs), _as_arrays(targets)
    rows = [*_lengths(inputs), *_lengths(targets)]
    if len({*rows}) != 1 or not rows[0]:
        raise ValueError(
            f"`{name}` must have as many labels as inputs, and one or more, "
            f"got {rows}."
        )
    weights = [np.asarray(each) for each in weights if each is not None]
    return (inputs, targets, *weights)


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

"""Of which class is each example, or each of its positions?

Labels are one for each example, or shaped as the model's outputs are: one for
each position (a step, a pixel, a character) of an example, or one-hot.
"""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from modularity_tf.network import activations

NONE = -1  # in place of a class: a position, or an example, of none

_CROPPINGS = (
    keras.layers.Cropping1D,
    keras.layers.Cropping2D,
    keras.layers.Cropping3D,
)


def class_numbers(
    name: str, values: Any, shape: tuple[int | None, ...] | None
) -> np.ndarray:
    """Returns labels as class numbers, of examples or of their positions.

    Args:
        name: Str, the argument's name.
        values: Array or tensor: class numbers `(examples,)` or `(examples, 1)`;
            or class numbers `(examples, ...)` or one-hot `(examples, ...,
            classes)`, shaped as the outputs are. One-hot labels that are all
            zero are of no class.
        shape: Shape of the output that they are for, with the batch, `None`
            if that is not known.

    Returns:
        Int array `(examples,)` or `(examples, ...)`, `NONE` for no class.

    Raises:
        ValueError: If they are something else, or have several classes at
            once.
    """
    values = np.asarray(values)
    if values.size and values.dtype.kind not in "iufb":
        raise ValueError(
            f"`{name}` must be class numbers, got {values.reshape(-1)[0]!r}."
        )
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 1:
        return _whole(name, values)
    shape = shape or ()
    rank, positions = len(shape), shape[1:-1]
    if positions and values.ndim == rank and values.shape[-1] == 1:
        values = values[..., 0]
    if positions and _fits(values.shape[1:], positions):
        return _whole(name, values)
    if rank > 1 and _fits(values.shape[1:], shape[1:]):
        found = _of_one_hot(values)
        if found is not None:
            return found
        if rank > 2:  # maps without an axis of channels
            return _whole(name, values)
        raise ValueError(
            f"`{name}` has several classes at once, or none that is 1, for an "
            "example: give one class for each, as a number or one-hot."
        )
    wanted = "of shape (examples,)"
    if positions:
        told = ", ".join("any" if n is None else str(n) for n in positions)
        wanted += f", or one for each position, (examples, {told}),"
    raise ValueError(
        f"`{name}` must be class numbers {wanted} or one-hot as the outputs "
        f"are, {shape or 'not known'}; got the shape {values.shape}."
    )


def _whole(name, values):
    whole = np.isfinite(values) & (values == np.floor(values)) & (values >= 0)
    if not whole.all():
        raise ValueError(
            f"`{name}` must be whole numbers from 0 on, got "
            f"{values[~whole].reshape(-1)[0]}."
        )
    return values.astype(np.int64)


def _fits(shape, wanted):
    return len(shape) == len(wanted) and all(
        n in (None, m) for m, n in zip(shape, wanted, strict=True)
    )


def _of_one_hot(values):
    """Returns the classes of one-hot labels, `None` if they are something else.

    Args:
        values: Array `(..., classes)`.
    """
    is_one = values == 1
    if not (is_one | (values == 0)).all() or (is_one.sum(-1) > 1).any():
        return None
    return np.where(is_one.any(-1), is_one.argmax(-1), NONE)


def croppings(model: keras.Model) -> list[tuple[tuple[int, int], ...]]:
    """Returns what layers of a model crop: margins before and behind each axis.

    Args:
        model: Built `keras.Model`.

    Returns:
        List of tuples of pairs, one for each cropping layer; where they are of
        one rank and several, also what they crop together.
    """
    found = []
    for layer in activations.layers_of(model).values():
        if isinstance(layer, _CROPPINGS):
            pairs = np.reshape(layer.cropping, (-1, 2))
            found.append(tuple((int(a), int(b)) for a, b in pairs))
    if len(found) > 1 and len({*map(len, found)}) == 1:
        together = np.sum(found, axis=0)
        found.append(tuple((int(a), int(b)) for a, b in together))
    return found


def aligned(
    member: tf.Tensor,
    positions: Iterable[int | None],
    path: str,
    cropped: Iterable[tuple[tuple[int, int], ...]] = (),
) -> tf.Tensor:
    """Returns which share of each position of a layer is of each class.

    A layer with as many positions as there are labels has theirs. One that is
    cropped later has no label in its margins. One with a fraction of the
    positions, behind pooling or strides, has the mean over the labels of each
    of its own positions; one with a multiple has each label several times.

    Args:
        member: Float tensor `(batch, ..., classes)` of labels, 1 for the class
            of a position.
        positions: How many positions the layer has on each axis.
        path: Str, the layer's, for messages.
        cropped: What `croppings` returned.

    Returns:
        Float tensor `(batch, ..., classes)`.

    Raises:
        ValueError: If the layer's positions are none of these.
    """
    own, wanted = [*member.shape[1:-1]], [*positions]
    if own == wanted or None in (*own, *wanted):
        if len(own) == len(wanted):
            return member
    elif len(own) == len(wanted):
        margins = [n - m for n, m in zip(wanted, own, strict=True)]
        for pairs in cropped:
            if [a + b for a, b in pairs] == margins:
                return tf.pad(member, [(0, 0), *pairs, (0, 0)])
        few = [-(-m // n) for m, n in zip(own, wanted, strict=True)]
        if all(map(_is_pooled, own, wanted, few)):
            return tf.nn.pool(member, few, "AVG", few, "SAME")
        if all(n % m == 0 for m, n in zip(own, wanted, strict=True)):
            for axis, (m, n) in enumerate(zip(own, wanted, strict=True), 1):
                member = tf.repeat(member, n // m, axis)
            return member
    raise ValueError(
        f"The layer {path!r} has {_told(wanted)} positions, and there are "
        f"{_told(own)} labels for an example: they can't be told apart by "
        "position. Leave it out with `layers`."
    )


def _is_pooled(size, pooled, window):
    """Returns whether windows of a size make so many positions of others.

    Where the last window is not full, pooling may have padded it or left it
    out; the usual windows of two or four pad. Windows of another size that are
    full are not told from several strides of two with padding: 28 positions
    become 4 in both ways. Where that is so, the answer is no.
    """
    is_power = window & (window - 1) == 0
    power = 1 << (window - 1).bit_length()
    if size == window * pooled:
        return is_power or -(-size // power) != pooled
    return is_power and -(-size // window) == pooled


def _told(sizes):
    return " x ".join("any" if n is None else str(n) for n in sizes) or "no"

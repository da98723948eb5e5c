"""Of which class is each example, or each of its positions?

Labels are one for each example, or shaped as the model's outputs are: one for
each position (a step, a pixel, a character) of an example, or one-hot. Which of
these they are is decided by the model's output and never by the labels' values.
"""

import functools
from collections.abc import Iterable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from modularity_tf.network import (
    activations,
    layer_kinds,
    scoring,
    task_outputs,
)

NONE = -1  # in place of a class: a position, or an example, of none
_Shape = tuple[int | None, ...] | None  # of an output, with the batch
_PRODUCTS = ("BatchMatMulV2", "Einsum", "MatMul")

_CROPPINGS = (
    keras.layers.Cropping1D,
    keras.layers.Cropping2D,
    keras.layers.Cropping3D,
)


class Labels:
    """Reads the labels that are for an output of a model.

    The model says how labels are meant, and their values never do: whether the
    last axis of its output is that of the classes, as where a layer with
    units, or a softmax, returns it; or one of the positions, as where an axis
    of one channel was squeezed.

    Args:
        model: Built `keras.Model`.
        output: Name of the output, `None` for the only one.
    """

    def __init__(self, model: keras.Model, output: str | None = None) -> None:
        self._model, self._output = model, output
        self._shape = task_outputs.shape_of(model, output)
        self._rank: int | None = None  # of the batches before

    def numbers(self, name: str, values: Any) -> np.ndarray:
        """Returns labels as class numbers, of examples or of their positions.

        Args:
            name: Str, the argument's name.
            values: As in `class_numbers`.

        Raises:
            ValueError: As there, or if batches before had labels of examples
                and these are of positions, or the other way round.
        """
        values = np.asarray(values)
        found = class_numbers(
            name,
            values,
            self._shape_with_classes,
            is_clear=self._has_classes is not None,
        )
        if values.ndim == 1 or found.ndim > 1:  # a column may be a position
            if self._rank not in (None, found.ndim):
                raise ValueError(
                    f"`{name}` are of examples in some batches and of "
                    f"positions in others, here of shape {values.shape}."
                )
            self._rank = found.ndim
        return found

    @functools.cached_property
    def _shape_with_classes(self):
        shape = self._shape
        return shape if self._has_classes is not False else (*shape, 1)

    @functools.cached_property
    def _has_classes(self):
        """Whether the last axis is that of the classes; `None` if unclear."""
        if self._shape is None or len(self._shape) < 2 or self._shape[-1] == 1:
            return True
        if self._shape[-1] is None:
            return False  # a layer knows how many units it has
        try:
            outputs = activations.trace(self._model).outputs
        except ValueError:
            found = None
        else:
            names = task_outputs.names_of(self._model)
            i = 0 if self._output is None else names.index(self._output)
            found = _is_of_units(outputs[i])
        return True if found is None and len(self._shape) == 2 else found


def _is_of_units(tensor):
    """Returns whether units lie on the last axis of a tensor in a graph.

    False where the axis of one unit was left out, so that one of positions is
    the last; `None` where axes were moved in another way.
    """
    op, size = tensor.op, tensor.shape[-1]
    if op.type in ("Softmax", "LogSoftmax"):
        return True
    taken = op.inputs[0] if op.inputs else None
    if taken is None or taken.shape.rank is None:
        return True
    stays = taken.shape.rank == tensor.shape.rank
    if op.type in layer_kinds.ONE_BY_ONE_OPS:
        found = [_is_of_units(x) for x in op.inputs if x.shape == tensor.shape]
        return all(found) if None not in found else None
    if not stays and op.type in (*layer_kinds.REDUCTION_OPS, "GatherV2"):
        axes = tf.get_static_value(op.inputs[1 + (op.type == "GatherV2")])
        rank = taken.shape.rank
        return None if axes is None else rank - 1 not in np.ravel(axes) % rank
    if op.type == "Unpack":
        return op.get_attr("axis") not in (-1, taken.shape.rank - 1)
    if op.type == "Transpose":
        order = tf.get_static_value(op.inputs[1])
        is_last = order is not None and order[-1] == len(order) - 1
        return _is_of_units(taken) if is_last else None
    if op.type == "StridedSlice" and not stays:
        return _keeps_last_axis(op, taken.shape.rank) and _is_of_units(taken)
    if op.type in layer_kinds.RESHAPE_OPS:
        if taken.shape[-1] == 1:
            return False
        return _is_of_units(taken) if taken.shape[-1] == size else None
    return True


def _keeps_last_axis(op, rank):
    """Returns whether a slice leaves the last axis where it is."""
    new, drops, dots = (
        op.get_attr(f"{name}_mask")
        for name in ("new_axis", "shrink_axis", "ellipsis")
    )
    count = len(tf.get_static_value(op.inputs[3]))
    places = [i for i in range(count) if not new >> i & 1]
    is_named = dots and not dots >> places[-1] & 1
    if is_named or len(places) == rank:
        return not drops >> places[-1] & 1
    return True


def class_numbers(
    name: str, values: Any, shape: _Shape, *, is_clear: bool = True
) -> np.ndarray:
    """Returns labels as class numbers, of examples or of their positions.

    Args:
        name: Str, the argument's name.
        values: Array or tensor: class numbers `(examples,)` or `(examples, 1)`;
            or class numbers `(examples, ...)` or one-hot `(examples, ...,
            classes)`, shaped as the outputs are. One-hot labels that are all
            zero are of no class.
        shape: Shape of the output that they are for, with the batch, the last
            axis that of the classes; `None` if it is not known.
        is_clear: Bool. Whether that is the last axis for sure. If it is not,
            labels of this shape are refused.

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
    values = scoring.without_column(values, 1)
    if values.ndim == 1:
        return _whole(name, values)
    shape = shape or ()
    rank, positions = len(shape), shape[1:-1]
    if positions:
        values = scoring.without_column(values, rank - 1)
    if positions and _fits(values.shape[1:], positions):
        return _whole(name, values)
    if not is_clear:
        each = scoring.without_column(values, rank)
        if each is not values and _fits(each.shape[1:], shape[1:]):
            return _whole(name, each)
        if _fits(values.shape[1:], shape[1:]):
            raise ValueError(
                f"`{name}` of shape {values.shape} are unclear: whether the "
                f"last axis of the output, {shape}, has the classes can't be "
                "told. Give class numbers, of shape (examples, "
                f"{_sizes(positions)}), or (examples, {_sizes(shape[1:])}, 1) "
                "where each output is a position."
            )
    if rank > 1 and _fits(values.shape[1:], shape[1:]):
        found = _of_one_hot(values)
        if found is not None:
            return found
        raise ValueError(
            f"`{name}` has several classes at once, or none that is 1, for an "
            "example or a position: give one class for each, as a number or "
            "one-hot."
        )
    wanted = "of shape (examples,)"
    if positions:
        told = _sizes(positions)
        wanted += f", or one for each position, (examples, {told}),"
    raise ValueError(
        f"`{name}` must be class numbers {wanted} or one-hot as the outputs "
        f"are, {shape or 'not known'}; got the shape {values.shape}."
    )


def _sizes(shape):
    return ", ".join("any" if n is None else str(n) for n in shape)


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


def reordered(model: keras.Model) -> dict[str, str]:
    """Returns which layers have positions in another order than the outputs.

    A `Permute` may exchange rows and columns, and a recurrent layer with
    `go_backwards` reverses the steps, of what layers before it put out.

    Args:
        model: Built `keras.Model`.

    Returns:
        Dict from layer path to what changes the order later, in words.

    Raises:
        ValueError: If the model can't be followed, see `activations.trace`.
    """
    traced = activations.trace(model)
    paths = {id(x): path for path, x in activations.layers_of(model).items()}
    made: dict[str, tuple[Any, ...]] = {}
    for layer, inputs, result in traced.calls:
        for x in filter(tf.is_tensor, keras.tree.flatten(result)):
            made.setdefault(x.name, (layer, inputs))
    found, in_order, seen = dict[str, str](), set(), set()
    to_do = [(x, _Order.of(x), "") for x in traced.outputs]
    while to_do:
        tensor, order, why = to_do.pop()
        if (tensor.name, order) in seen:
            continue
        seen.add((tensor.name, order))
        layer, inputs = made.get(tensor.name, (None, tensor.op.inputs))
        if layer is not None:
            path = paths.get(id(layer), layer.name)
            if order == _Order.of(tensor):
                in_order.add(path)
            found.setdefault(path, why)
        is_own = layer is None or isinstance(layer, keras.layers.Lambda)
        is_own = is_own or not type(layer).__module__.startswith("keras.")
        if is_own:
            inputs, before = tensor.op.inputs, order.before(tensor.op)
            name = f"the operation {tensor.op.type}"
        else:
            before = order.before_layer(layer)
            name = f"{path!r} ({type(layer).__name__})"
        for i, x in enumerate(filter(tf.is_tensor, keras.tree.flatten(inputs))):
            if x.shape.rank is None or x.shape.rank < 2:
                continue
            own = before.of_rank(x.shape.rank)
            if i and is_own and tensor.op.type in _PRODUCTS:
                own = _Order.of(x)  # as of the keys of attention
            to_do.append((x, own, why if before == order else name))
    return {p: why for p, why in found.items() if p not in in_order}


class _Order(NamedTuple):
    """Where the axes of a model's output lie in a tensor before it.

    Attributes:
        axes: For each axis of the output that of the tensor.
        reversed: Which axes of the output run backwards, bit by bit.
    """

    axes: tuple[int, ...]
    reversed: int = 0

    @classmethod
    def of(cls, tensor):
        """Returns that of a tensor with the order of the output."""
        return cls(tuple(range(tensor.shape.rank or 0)))

    def of_rank(self, rank):
        """Returns that of a tensor of another rank."""
        is_same = self == _Order(tuple(range(len(self.axes))))
        return _Order(tuple(range(rank))) if is_same else self

    def before(self, op):
        """Returns that of what an operation takes."""
        if op.type not in ("Transpose", "ReverseV2"):
            return self
        moved = tf.get_static_value(op.inputs[1])
        if moved is None or len(op.inputs[0].shape) != len(self.axes):
            return self._lost()
        if op.type == "Transpose":
            return self._moved([*moved])
        return self._turned({axis % len(self.axes) for axis in moved})

    def before_layer(self, layer):
        """Returns that of what a layer of Keras takes."""
        if isinstance(layer, keras.layers.Permute):
            is_same = len(layer.dims) + 1 == len(self.axes)
            return self._moved([0, *layer.dims]) if is_same else self._lost()
        backwards = getattr(layer, "go_backwards", False)
        if backwards and getattr(layer, "return_sequences", False):
            return self._turned({1})
        return self

    def _moved(self, order):
        return self._replace(axes=tuple(int(order[a]) for a in self.axes))

    def _turned(self, axes):
        turned = sum(1 << i for i, a in enumerate(self.axes) if a in axes)
        return self._replace(reversed=self.reversed ^ turned)

    def _lost(self):
        return _Order((), -1)


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

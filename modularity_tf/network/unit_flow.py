"""Where the units of layers go: which weights of other layers read them.

A unit is an entry of the last axis of what a Conv or Dense layer puts out. It
is followed through all that leaves it an entry of that axis: activations,
pooling, BatchNormalization, Dropout, reshapes, a sum or product with another
branch, a concatenation, a depthwise convolution. A layer that weighs it with
a row of its kernel *reads* it. A layer that mixes units, such as
LayerNormalization, ends the way: what follows can't be told apart.
"""

import collections
import typing
from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf

from modularity_tf.network import (
    activations,
    keras_private,
    layer_kinds,
    model_weights,
)

_PAD_OPS = ("Pad", "PadV2")


class Channels(typing.NamedTuple):
    """The units in the last axis of a tensor.

    Attributes:
        pairs: Tuple of `(path, rows)`: the path of a layer, and an int array
            with its unit in each entry of the axis, -1 for none. A sum has
            several pairs.
        mixed: Dict from the path of a layer whose units are in there, but
            mixed, to what mixed them, in words.
        softened: The same for a softmax: each unit is an entry still, and
            what the others put out depends on it.
        nameless: Bool. Whether something that depends on the inputs is in
            there without a pair: a mask, or a tensor of unknown last size.
    """

    pairs: tuple = ()
    mixed: Mapping[str, str] = {}
    softened: Mapping[str, str] = {}
    nameless: bool = False

    @property
    def sources(self) -> set[str]:
        """Set of the paths of all layers whose units are in there."""
        return {path for path, _ in self.pairs} | {*self.mixed}

    def among(self, units: Mapping[str, np.ndarray], size: int) -> np.ndarray:
        """Returns which entries hold one of some units.

        Args:
            units: Dict from layer path to bool array `(units,)`.
            size: Int, the number of entries.
        """
        found = np.zeros(size, bool)
        for path, rows in self.pairs:
            if path in units:
                found |= np.append(units[path], False)[rows]
        return found


class Reading:
    """How a weight of a layer reads units.

    Attributes:
        path: Str, the weight's.
        layer: The `keras.layers.Layer` that is called.
        axis: Negative int, the weight's axis that has one index for each
            channel; `None` for a grouped convolution.
        calls: List of the `Channels` that the layer takes, one for each call.
        tensors: List of the names of what it takes, one for each call.
    """

    def __init__(
        self,
        path: str,
        layer: keras.layers.Layer,
        size: int,
        axis: int | None,
        entries: Callable[[np.ndarray], np.ndarray],
    ) -> None:
        self.path, self.layer, self.axis = path, layer, axis
        self.calls: list[Channels] = []
        self.tensors: list[str] = []
        self._size, self._entries = size, entries

    def of(self, units: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns the entries of the weight that read some units.

        Args:
            units: Dict from layer path to bool array `(units,)`.

        Returns:
            Bool array of the weight's shape.

        Raises:
            ValueError: If they read other units in another call of the layer.
        """
        channels = [call.among(units, self._size) for call in self.calls]
        if not all(np.array_equal(each, channels[0]) for each in channels):
            found = {path for call in self.calls for path in call.sources}
            source = min(found & {*units})
            raise ValueError(
                f"The outgoing weights of {source!r} can't be followed: its "
                f"units reach {self.path!r}, which reads others in another "
                "call. Use `incoming=True`."
            )
        return self._entries(channels[0])


class Flow(typing.NamedTuple):
    """Where the units of a model go.

    Attributes:
        readings: List of `Reading`.
        outputs: List of the paths of layers whose units are the model's
            outputs.
        lost: Dict from the number of an output in which units are mixed to
            the set of the paths of their layers.
        mixed: Dict from the path of a layer whose units can't be followed to a
            reader or an output, to the layer where that ends, in words.
        known: Dict from the name of a tensor of the graph to its `Channels`.
    """

    readings: list
    outputs: list
    lost: dict
    mixed: dict
    known: dict


def follow(
    model: keras.Model, traced: activations.Trace, others: bool = False
) -> Flow:
    """Returns where the units of the Conv and Dense layers of a model go.

    Args:
        model: Built `keras.Model`.
        traced: `activations.Trace` of it.
        others: Bool. Whether all other units are followed, too: of recurrent
            and other layers, by the layer's path; of inputs, and of what mixes
            units, by the name of the tensor. An entry of a tensor that
            depends on the inputs has a pair then for all that it is made of.
    """
    return _Follower(model, traced, others).flow


class _Follower:
    def __init__(self, model, traced, others):
        self._others = others
        self._units = {
            id(x): path
            for path, x in activations.neuron_layers(
                model, outputs=True
            ).items()
        }
        self._names = {
            id(x): path for path, x in activations.layers_of(model).items()
        }
        self._weights = {
            id(weight.variable): path
            for path, weight in model_weights.model_weights(model).items()
        }
        # name of a tensor: `Channels`
        self._known = {x.name: self._own(x) for x in traced.inputs}
        readings = {}  # path of a weight: `Reading`
        mixed = collections.defaultdict(str)
        for layer, inputs, result in traced.calls:
            tensors = [x for x in keras.tree.flatten(inputs) if _is_tensor(x)]
            taken = [self._channels(x) for x in tensors]
            readers = _readings_of(layer)
            if readers is None:
                found = self._passed(layer, taken, result)
            else:
                found = self._made(layer, result)
                for path, name in self._read(
                    layer, readers, tensors, taken, readings
                ).items():
                    mixed[path] = mixed[path] or name
            for x in keras.tree.flatten(result):
                is_own = found.pairs or readers is None
                self._known[x.name] = found if is_own else self._own(x)
        ends = [self._channels(x) for x in traced.outputs]
        for end in ends:
            mixed.update({p: mixed[p] or n for p, n in end.mixed.items()})
        self.flow = Flow(
            [r for r in readings.values() if any(c.pairs for c in r.calls)],
            [*dict.fromkeys(p for end in ends for p, _ in end.pairs)],
            {i: {*end.mixed} for i, end in enumerate(ends) if end.mixed},
            dict(mixed),
            self._known,
        )

    def _own(self, tensor, path=None):
        """Returns the channels of a tensor that is followed by its name."""
        if not self._others or not _size_of(tensor):
            return Channels(nameless=True)
        return Channels(((path or tensor.name, np.arange(_size_of(tensor))),))

    def _padding(self, tensor, pairs):
        """Returns the pair of the entries that were added to a tensor."""
        is_unit = np.any([rows >= 0 for _, rows in pairs], axis=0)
        own = self._own(tensor).pairs
        return [(name, np.where(is_unit, -1, rows)) for name, rows in own]

    def _read(self, layer, readers, tensors, taken, readings):
        """Notes how a layer reads units, and returns which can't be followed.

        Returns:
            Dict from the path of their layer to the reason.
        """
        kinds = [v.dtype for v, *_ in readers if id(v) not in self._weights]
        if kinds or not readers:
            name = f"{self._name(layer)}, which mixes or reorders them"
            if kinds:
                name = f"{self._name(layer)}, whose kernel is {kinds[0]}"
            sources = {path for each in taken for path in each.sources}
            return dict.fromkeys(sources, name)
        for variable, size, axis, entries in readers:
            path = self._weights[id(variable)]
            if path not in readings:  # its first call
                readings[path] = Reading(path, layer, size, axis, entries)
            readings[path].calls.append(taken[0])
            readings[path].tensors.append(tensors[0].name)
        name = f"{self._name(layer)}, which takes them as its first state"
        states = {path for each in taken[1:] for path in each.sources}
        return {
            **taken[0].softened,
            **taken[0].mixed,
            **dict.fromkeys(states, name),
        }

    def _made(self, layer, result):
        """Returns the channels of what a layer with a kernel returns."""
        inner = layer
        while isinstance(inner, keras.layers.TimeDistributed):
            inner = inner.layer
        if not _is_tensor(result):
            return Channels()
        if id(inner) not in self._units:
            if self._others and isinstance(layer, keras.layers.Bidirectional):
                return self._of_both(layer, result)
            return self._own(result, self._names.get(id(layer)))
        path, rows = self._units[id(inner)], np.arange(result.shape[-1])
        softened = {}
        if inner.activation in layer_kinds.SOFTMAXES:
            softened = {path: f"the softmax of {self._name(inner)}"}
        return Channels(((path, rows),), {}, softened)

    def _of_both(self, layer, result):
        """Returns the channels of what a Bidirectional layer returns."""
        pairs, start, size = [], 0, _size_of(result)
        for inner in (layer.forward_layer, layer.backward_layer):
            units = getattr(inner, "units", size)
            rows = np.full(size, -1)
            rows[start : start + units] = np.arange(units)
            pairs.append((self._names[id(inner)], rows))
            start += units if layer.merge_mode == "concat" else 0
        return Channels(tuple(pairs))

    def _passed(self, layer, taken, result):
        """Returns the channels of what a layer without a kernel returns."""
        if not _is_tensor(result) or not any(each.sources for each in taken):
            return Channels(nameless=any(each.nameless for each in taken))
        if isinstance(layer, layer_kinds.DEPTHWISE):
            times = layer.depth_multiplier
            pairs = [(p, rows.repeat(times)) for p, rows in taken[0].pairs]
            return Channels(tuple(pairs), *taken[0][1:])
        if isinstance(layer, keras.layers.Masking):
            return Channels(*taken[0][:-1], nameless=True)
        if isinstance(layer, layer_kinds.ONE_BY_ONE):
            return taken[0]
        return self._channels(result, layer)

    def _channels(self, tensor, layer=None):
        """Returns the channels of a tensor in the graph."""
        if not _is_tensor(tensor):
            return Channels()
        if tensor.name not in self._known:
            self._known[tensor.name] = self._of_operation(tensor, layer)
        return self._known[tensor.name]

    def _of_operation(self, tensor, layer):
        op = tensor.op
        if op.type in layer_kinds.NO_VALUE_OPS:
            return Channels()
        if op.type == "IdentityN":  # around a gradient of its own
            return self._channels(op.inputs[tensor.value_index], layer)
        taken = [self._channels(x, layer) for x in op.inputs]
        nameless = any(each.nameless for each in taken)
        if not any(each.sources for each in taken):
            return Channels(nameless=nameless)
        pairs = _pairs_after(op, taken, tensor)
        mixed, softened = {}, {}
        for each in taken:
            mixed |= each.mixed
            softened |= each.softened
        name = f"the operation {op.type}"
        if layer is not None:
            name = self._name(layer)
        sources = {path for each in taken for path in each.sources}
        if op.type in ("LogSoftmax", "Softmax"):
            softened = dict.fromkeys(sources, f"{name}, which mixes them")
        if pairs is None:
            name += ", which mixes or reorders them"
            mixed = {**dict.fromkeys(sources, name), **mixed}
            pairs, *_, nameless = self._own(tensor)
        elif op.type in _PAD_OPS:
            pairs += self._padding(tensor, pairs)
        if not self._others:
            # What is mixed with itself, as by its own mean, is mixed.
            pairs = (pair for pair in pairs if pair[0] not in mixed)
        return Channels(tuple(pairs), mixed, softened, nameless)

    def _name(self, layer):
        path = self._names.get(id(layer), layer.name)
        return f"{path!r} ({type(layer).__name__})"


def _is_tensor(x):
    return hasattr(x, "graph") and hasattr(x, "op")


def _size_of(tensor):
    """Returns how many channels a tensor has; `None` if that is unknown."""
    return tensor.shape[-1] if tensor.shape.rank else None


def _pairs_after(op, taken, result):
    """Returns the pairs of `Channels` after an operation; `None` if unknown."""
    size = _size_of(result)
    if size is None:
        return None
    if op.type in ("ConcatV2", "Pack"):
        return _joined(op, taken, size)
    both = [pair for each in taken for pair in each.pairs]
    stay = all(len(rows) == size for _, rows in both)
    if op.type in layer_kinds.RESHAPE_OPS:
        if op.type == "ExpandDims" and not stay:
            return None
        if all(size % len(rows) == 0 for _, rows in both):
            return [(p, np.tile(rows, size // len(rows))) for p, rows in both]
        return None
    if op.type in _PAD_OPS:
        return _padded(op, both, size)
    if not stay:
        return None
    if op.type in layer_kinds.REDUCTION_OPS:
        axes = tf.get_static_value(op.inputs[1])
        rank = op.inputs[0].shape.rank
        is_known = axes is not None and rank is not None
        if not is_known or np.any(np.asarray(axes) % rank == rank - 1):
            return None
    elif op.type == "Transpose":
        order = tf.get_static_value(op.inputs[1])
        if order is None or order[-1] != len(order) - 1:
            return None
    elif op.type == "GatherV2":
        axis = tf.get_static_value(op.inputs[2])
        rank = op.inputs[0].shape.rank
        if axis is None or rank is None or axis % rank == rank - 1:
            return None
    elif op.type == "StridedSlice":
        strides = tf.get_static_value(op.inputs[3])
        if strides is None or (np.asarray(strides) < 0).any():
            return None
        if _ends_in_an_index(op, len(strides)):
            return None
    elif op.type not in layer_kinds.ONE_BY_ONE_OPS:
        return None
    return _distinct(both)


def _ends_in_an_index(op, count):
    """Returns if a slice takes a single entry of the last axis.

    Args:
        op: Operation `StridedSlice`.
        count: Int, how many axes it names.
    """
    masks = [
        op.get_attr(f"{kind}_mask")
        for kind in ("shrink_axis", "new_axis", "ellipsis")
    ]
    index, new, dots = ([bool(m >> i & 1) for i in range(count)] for m in masks)
    named = [i for i in range(count) if not new[i]]
    reaches_last = any(dots) or len(named) == op.inputs[0].shape.rank
    return bool(named) and reaches_last and index[named[-1]]


def _joined(op, taken, size):
    """Returns the pairs after a concatenation or a stack."""
    rank, tensors = op.outputs[0].shape.rank, [*op.inputs]
    if op.type == "Pack":
        axis = op.get_attr("axis")
    else:
        axis = tf.get_static_value(tensors.pop())
    if axis is None:
        return None
    is_last = axis % rank == rank - 1
    widths = [x.shape[-1] if x.shape.rank else None for x in tensors]
    if is_last and (op.type == "Pack" or None in widths):
        return None
    pairs, start = [], 0
    for width, each in zip(widths, taken):
        for path, rows in each.pairs:
            placed = rows
            if is_last:
                placed = np.full(size, -1)
                placed[start : start + width] = rows
            elif len(rows) != size:
                return None
            pairs.append((path, placed))
        start += width if is_last else 0
    return _distinct(pairs)


def _padded(op, pairs, size):
    """Returns the pairs after entries were added to axes."""
    added = tf.get_static_value(op.inputs[1])
    if added is None:
        return None
    placed = []
    for path, rows in pairs:
        all_rows = np.full(size, -1)
        all_rows[added[-1][0] : size - added[-1][1]] = rows
        placed.append((path, all_rows))
    return placed


def _distinct(pairs):
    found = []
    for path, rows in pairs:
        known = [r for p, r in found if p == path]
        if not any(np.array_equal(rows, r) for r in known):
            found.append((path, rows))
    return found


def _readings_of(layer):
    """Returns how a layer reads its channels; `None` if it has no kernel.

    Returns:
        List of `(variable, size, axis, entries)`: a weight, the number of
        channels, its axis for them or `None`, and a function from which of
        them (bool array) to entries of it. Empty for a layer that weighs them
        in another way.
    """
    if isinstance(layer, keras.layers.Bidirectional):
        both = map(_readings_of, (layer.forward_layer, layer.backward_layer))
        return [reading for each in both for reading in each or ()]
    if isinstance(layer, keras.layers.TimeDistributed):
        return _readings_of(layer.layer)
    if isinstance(layer, keras.layers.RNN):
        cell = layer.cell
        if isinstance(cell, keras.layers.StackedRNNCells):
            cell = cell.cells[0]
        # Those of a convolutional layer have theirs on the same axis.
        is_known = hasattr(cell, "recurrent_kernel")
        return [_on_axis(cell.kernel, -2)] if is_known else []
    if isinstance(layer, layer_kinds.SEPARABLE):
        return [_on_axis(layer.depthwise_kernel, -2)]
    if isinstance(layer, layer_kinds.TRANSPOSED):
        return [_on_axis(layer.kernel, -1)]
    if hasattr(layer, "connection_strength"):  # a sparse layer of ours
        return [_on_axis(layer.connection_strength, -2)]
    kernel = keras_private.kernel(layer)
    if kernel is None or isinstance(layer, layer_kinds.DEPTHWISE):
        return [] if _weighs_otherwise(layer) else None
    if isinstance(layer, layer_kinds.CONVOLUTIONS):
        return [_grouped(kernel, layer.groups)]
    if isinstance(layer, keras.layers.Dense):
        axis = -2
    elif isinstance(layer, keras.layers.EinsumDense):
        axis = _read_axis(layer.equation)
        if axis is None:
            return []
    else:
        return []
    found = [_on_axis(kernel, axis)]
    if getattr(layer, "lora_enabled", False):
        found.append(_on_axis(layer_kinds.lora_factor(layer, axis), axis))
    return found


def _weighs_otherwise(layer):
    """Returns if a layer that is not known has a matrix to weigh units with."""
    known = (
        *layer_kinds.DEPTHWISE,
        keras.layers.BatchNormalization,
        keras.layers.LayerNormalization,
        keras.layers.PReLU,
    )
    return not isinstance(layer, known) and any(
        len(v.shape) > 1 for v in keras_private.own_weights(layer)
    )


def _read_axis(equation):
    """Returns the axis of a kernel along which it reads units, or `None`."""
    terms, output = equation.replace(" ", "").split("->")
    inputs, kernel = terms.split(",")
    letter = inputs[-1]
    if letter == "." or letter in output or letter not in kernel:
        return None
    return kernel.index(letter) - len(kernel)


def _on_axis(variable, axis):
    """Returns the reading of a weight that has its channels on one axis."""
    shape = tuple(variable.shape)

    def entries(channels):
        aligned = [1] * len(shape)
        aligned[axis] = -1
        return np.broadcast_to(channels.reshape(aligned), shape)

    return variable, shape[axis], axis, entries


def _grouped(kernel, groups):
    """Returns the reading of the kernel of a convolution.

    A group weighs its own channels alone, from row 0 of the kernel on.
    """
    if groups == 1:
        return _on_axis(kernel, -2)
    shape = tuple(kernel.shape)

    def entries(channels):
        of_groups = channels.reshape(groups, -1).T  # (rows, groups)
        found = of_groups.repeat(shape[-1] // groups, axis=1)
        return np.broadcast_to(found, shape)

    return kernel, shape[-2] * groups, None, entries

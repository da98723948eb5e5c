"""Which weights belong to the units of a layer: what a gate opens and shuts.

A unit is a neuron, a channel, a unit of a recurrent layer or an attention
head. Where its weights are zero, it contributes nothing: it puts out act(0),
which is 0 for ReLU and most others.
"""

import functools
import typing
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from modularity_tf.network import (
    activations,
    keras_private,
    layer_kinds,
    layer_names,
    model_weights,
    unit_flow,
)


class Entries(typing.NamedTuple):
    """The entries of a weight that belong to units of a layer.

    Attributes:
        path: Str, the weight's.
        rank: Int, the number of its axes.
        axis: Negative int, the axis on which the units are.
        units: Int array, the unit of each index of this axis, -1 for none.
    """

    path: str
    rank: int
    axis: int
    units: np.ndarray

    def spread(self, values: Any, other: Any) -> Any:
        """Returns the values of units, in a shape that goes with the weight.

        Args:
            values: Tensor or array `(units,)`.
            other: Number, the value of entries that belong to no unit.
        """
        shape = [1] * self.rank
        shape[self.axis] = -1
        if isinstance(values, np.ndarray):
            found = np.append(values, values.dtype.type(other))[self.units]
            return found.reshape(shape)
        last = ops.cast(ops.convert_to_tensor([other]), values.dtype)
        rows = np.where(self.units < 0, values.shape[0], self.units)
        return ops.reshape(
            ops.take(ops.concatenate([values, last]), rows), shape
        )

    def gathered(self, flags: np.ndarray, size: int) -> np.ndarray:
        """Returns of which units some entry of the weight is flagged.

        Args:
            flags: Bool array of the weight's shape.
            size: Int, the number of units.
        """
        axis = self.axis % self.rank
        others = tuple(i for i in range(self.rank) if i != axis)
        found = np.zeros(size + 1, bool)
        np.logical_or.at(found, self.units, flags.any(axis=others))
        return found[:size]


class Units(typing.NamedTuple):
    """The units of a layer.

    Attributes:
        size: Int, how many there are.
        weights: Tuple of `Entries`, all that a unit is made of.
        gates: Tuple of `Entries`, the last of them on each way to what reads
            the unit. Where these are zero, it contributes nothing either; and
            times a number from 0 to 1 they scale what it contributes.
    """

    size: int
    weights: tuple[Entries, ...]
    gates: tuple[Entries, ...]


class ModelUnits(typing.NamedTuple):
    """The units of a model.

    Attributes:
        layers: Dict from layer path to `Units`, output layers included.
        outputs: List of the paths of layers whose units are outputs of the
            model, or are mixed in one.
        others: Dict from the path of a layer that has weights of no unit to
            the reason.
    """

    layers: Mapping[str, Units]
    outputs: list[str]
    others: Mapping[str, str]


def model_units(model: keras.Model) -> ModelUnits:
    """Returns the units of all layers of a model, and their weights.

    What belongs to a unit:

    - of Dense and Conv layers, transposed, separable and grouped ones
      included, and of an EinsumDense whose units are on one axis: its entries
      of the kernel (of the pointwise one) and of the bias;
    - of LSTM, GRU and SimpleRNN layers: its columns of kernel, recurrent
      kernel and bias, those of all gates;
    - of an attention layer, for each head: its slices of query, key, value and
      output kernels, and of their biases; keys and values that heads of
      `GroupQueryAttention` share belong to none;
    - its entries of depthwise convolutions behind it, and of gamma and beta of
      a BatchNormalization, where these have it alone, not a sum with others.

    Args:
        model: Built `keras.Model`.

    Raises:
        ValueError: If the model is not built or does not know its inputs.
    """
    return _Finder(model).found


def hidden_units(
    model: keras.Model, layers: activations.Names = None
) -> tuple[dict[str, Units], dict[str, str]]:
    """Returns the units of hidden layers that can be shut off.

    Args:
        model: Built `keras.Model`.
        layers: Names or paths of layers, or `None` for all hidden ones. That
            of a layer with others inside means these, too.

    Returns:
        Dict from layer path to `Units`; and with `None` a dict from the path
        of each hidden layer that is left out to the reason.

    Raises:
        ValueError: If there is no such layer, or a named one has no units that
            can be shut off, by its path and the reason.
    """
    found = model_units(model)
    hidden = {p: u for p, u in found.layers.items() if p not in found.outputs}
    others = {p: r for p, r in found.others.items() if p not in found.outputs}
    if layers is not None:
        chosen: set[str] = set()
        for path in layer_names.find(activations.layers_of(model), layers):
            inside = [
                p for p in hidden if p == path or p.startswith(f"{path}/")
            ]
            if not inside:
                reason = found.others.get(path, "it has none")
                if path in found.outputs:
                    reason = "they are the model's outputs"
                raise ValueError(
                    f"`layers` names {path!r}, whose units can't be shut off: "
                    f"{reason}."
                )
            chosen |= {*inside}
        hidden, others = {p: hidden[p] for p in hidden if p in chosen}, {}
    if not hidden:
        told = "; ".join(f"{p!r}: {r}" for p, r in others.items())
        raise ValueError(
            f"{model.name!r} has no hidden layer with units that can be shut "
            f"off{f' ({told})' if told else ''}."
        )
    activations.refuse_channels_first(
        {p: x for p, x in activations.layers_of(model).items() if p in hidden}
    )
    return hidden, others


def spread(
    units: Mapping[str, Units],
    values: Mapping[str, Any],
    join: Callable[[Any, Any], Any],
    *,
    gates: bool = False,
) -> dict[str, Any]:
    """Returns a factor for each weight of some units, from those of units.

    Args:
        units: Dict from layer path to `Units`.
        values: Dict from the same paths to tensor or array `(units,)`.
        join: Function that puts two values of an entry together.
        gates: Bool. Whether the weights are the `gates`.

    Returns:
        Dict from weight path to tensor or array that broadcasts with it.
    """
    factors: dict[str, list[Any]] = {}
    for path, own in units.items():
        for each in own.gates if gates else own.weights:
            found = each.spread(values[path], 1)
            factors.setdefault(each.path, []).append(found)
    return {p: functools.reduce(join, each) for p, each in factors.items()}


class _Finder:
    """Finds the units of a model."""

    def __init__(self, model):
        self._layers = activations.layers_of(model)
        weights = model_weights.model_weights(model)
        self._paths = {id(w.variable): p for p, w in weights.items()}
        self._traced = activations.trace(model)
        self._flow = unit_flow.follow(model, self._traced, others=True)
        called = {
            id(inner)
            for layer, *_ in self._traced.calls
            for inner in keras_private.all_layers(layer)
        }
        both = {
            id(each): layer
            for layer in self._layers.values()
            if isinstance(layer, keras.layers.Bidirectional)
            for each in (layer.forward_layer, layer.backward_layer)
        }
        inside, own, refused = set(), {}, {}  # `inside` of an attention layer
        for path, layer in self._layers.items():
            parts = keras_private.all_layers(layer)
            if id(layer) in inside or called.isdisjoint(map(id, parts)):
                continue
            if isinstance(layer, layer_kinds.ATTENTION):
                inside |= {id(x) for x in parts}
            found = _own_weights(layer, both.get(id(layer), layer))
            if isinstance(found, str):
                refused[path] = found
            elif found is not None:
                own[path] = found
        behind = self._found_behind(own)
        units = {}
        for path, (size, all_own, gates) in own.items():
            last = [(None, gates), *behind.get(path, ())]
            units[path] = Units(
                size,
                self._entries(
                    [*all_own, *(x for _, each in last[1:] for x in each)]
                ),
                self._entries(self._last(path, last)),
            )
        covered = {e.path for own in units.values() for e in own.weights}
        for path, weight in weights.items():
            around = layer_names.around(path)
            is_kernel = weight.role in ("kernel", "recurrent_kernel")
            if is_kernel and path not in covered and {*own}.isdisjoint(around):
                whole = [
                    p
                    for p in around
                    if p in refused
                    or isinstance(self._layers[p], layer_kinds.COMPOSED)
                ]
                top = (*whole, *around[-1:])[0]
                kind = type(self._layers[top]).__name__
                refused.setdefault(top, f"units of {kind} are not known")
        ends = [*self._flow.outputs, *set().union(*self._flow.lost.values())]
        self.found = ModelUnits(
            units, [p for p in self._layers if p in ends], refused
        )

    def _entries(self, found):
        return tuple(
            Entries(self._paths[id(v)], len(v.shape), axis, np.asarray(units))
            for v, axis, units in found
        )

    def _found_behind(self, own):
        """Returns what units pass through alone that has weights for each.

        Returns:
            Dict from layer path to a list of pairs: the names of the tensors
            that a layer puts out, and a list of `(variable, axis, units)`.
        """
        kinds = (keras.layers.BatchNormalization, *layer_kinds.DEPTHWISE)
        calls = {}  # id of a layer: its calls
        for layer, inputs, result in self._traced.calls:
            if isinstance(layer, kinds):
                taken = keras.tree.flatten(inputs)[0]
                channels = self._flow.known.get(taken.name)
                pairs = _alone(channels.pairs if channels else ())
                calls.setdefault(id(layer), []).append((layer, pairs, result))
        behind = {}
        for each in calls.values():
            layer, first, _ = each[0]
            for path, rows in first.items():
                is_same = all(
                    np.array_equal(pairs.get(path), rows)
                    for _, pairs, _ in each
                )
                weights = _weights_behind(layer, rows)
                if path in own and is_same and weights:
                    names = {result.name for *_, result in each}
                    behind.setdefault(path, []).append((names, weights))
        return behind

    def _last(self, path, places):
        """Returns the weights of those places behind which no other comes.

        Args:
            path: Str, a layer's.
            places: List of pairs of the names of tensors and of weights; the
                first is the layer itself.
        """
        if len(places) == 1:
            return places[0][1]
        place_of = {}
        for i, (names, _) in enumerate(places[1:], 1):
            place_of |= dict.fromkeys(names, i)
        own = self._layers[path]
        for layer, _, result in self._traced.calls:
            if own in keras_private.all_layers(layer):
                for x in keras.tree.flatten(result):
                    place_of.setdefault(x.name, 0)
        graph = self._traced.outputs[0].graph
        stack = [*self._traced.outputs]
        for reading in self._flow.readings:
            stack += [graph.get_tensor_by_name(x) for x in reading.tensors]
        seen, reached = {x.name for x in stack}, set()
        while stack:
            tensor = stack.pop()
            if tensor.name in place_of:
                reached.add(place_of[tensor.name])
                continue
            for x in tensor.op.inputs:
                if x.name not in seen:
                    seen.add(x.name)
                    stack.append(x)
        chosen = sorted(reached) or range(len(places))
        return [x for i in chosen for x in places[i][1]]


def _own_weights(layer, called):
    """Returns the weights of a layer that belong to its units.

    Args:
        layer: `keras.layers.Layer`.
        called: The same, or the Bidirectional layer around it.

    Returns:
        Tuple of the number of units, a list of `(variable, axis, units)`, and
        the part of it by which a unit is shut off; a string, the reason why it
        has no such units; or `None` for a layer that is none of these kinds.
    """
    if getattr(layer, "quantization_mode", None):
        return "its kernel is quantized"
    if isinstance(layer, layer_kinds.ATTENTION):
        return _heads(layer)
    gates = layer_kinds.gates(layer)
    if gates:
        cell, size = layer.cell, layer.units
        columns = np.tile(np.arange(size), gates)
        candidate = np.full(gates * size, -1)
        start = layer_kinds.candidate(layer) * size
        candidate[start : start + size] = np.arange(size)
        weights = [cell.kernel, cell.recurrent_kernel]
        weights += [cell.bias] if cell.use_bias else []
        every = [(x, -1, columns) for x in weights]
        if (
            layer.stateful
            or not _takes_one(called)
            or not layer_kinds.stays_at_zero(layer)
        ):
            return size, every, every
        return size, every, [(x, -1, candidate) for x in weights]
    axis = -1
    if isinstance(layer, layer_kinds.TRANSPOSED):
        kernel, axis = keras_private.kernel(layer) or layer.kernel, -2
    elif isinstance(layer, layer_kinds.SEPARABLE):
        kernel = layer.pointwise_kernel
    elif isinstance(layer, keras.layers.EinsumDense):
        kernel, axis = keras_private.kernel(layer), _axis_of_units(layer)
        if axis is None:
            return "its units are not on one axis of their own"
    elif activations.is_neuronal(layer):
        kernel = keras_private.kernel(layer)
    else:
        return None
    rows = np.arange(kernel.shape[axis])
    found = [(kernel, axis, rows)]
    if getattr(layer, "lora_enabled", False):
        found.append((layer_kinds.lora_factor(layer, axis), axis, rows))
    if getattr(layer, "bias", None) is not None:
        found.append((layer.bias, -1, rows))
    return len(rows), found, found


def _heads(layer):
    """Returns what `_own_weights` does, of an attention layer."""
    parts = {x.name: x for x in keras_private.children(layer)}
    if not {"query", "key", "value", "attention_output"} <= {*parts}:
        return "it has no query, key, value and attention_output"
    if any(getattr(x, "lora_enabled", False) for x in parts.values()):
        return "it has LoRA"
    output = parts["attention_output"].kernel
    size = output.shape[0]
    heads = np.arange(size)
    shut = [(output, 0 - len(output.shape), heads)]
    found = [
        (variable, -2, heads)
        for name in ("query", "key", "value")
        for variable in keras_private.own_weights(parts[name])
        if variable.shape[-2] == size
    ]
    return size, [*found, *shut], shut


def _takes_one(layer):
    """Returns whether a recurrent layer is known to take no first state."""
    try:
        return len(keras.tree.flatten(layer.input)) == 1
    except (AttributeError, ValueError):  # not called in a functional model
        return False


def _axis_of_units(layer):
    """Returns the axis of an EinsumDense's kernel for units, or `None`."""
    terms, output = layer.equation.replace(" ", "").split("->")
    inputs, kernel = terms.split(",")
    own = [letter for letter in output if letter in kernel]
    if own != [output[-1]] or own[0] in inputs:
        return None
    if layer.bias is not None and layer.bias_axes != own[0]:
        return None
    return kernel.index(own[0]) - len(kernel)


def _alone(pairs):
    """Returns the pairs of `Channels`, of entries that hold one unit alone."""
    if not pairs:
        return {}
    count = np.sum([rows >= 0 for _, rows in pairs], axis=0)
    found, paths = {}, [path for path, _ in pairs]
    for path, rows in pairs:
        # A layer that shares one entry with others has a unit that is a part.
        if paths.count(path) == 1 and (count[rows >= 0] == 1).all():
            found[path] = rows
    return found


def _weights_behind(layer, rows):
    """Returns the weights of a layer through which units pass.

    Args:
        layer: BatchNormalization or depthwise convolution.
        rows: Int array, the unit in each entry that it takes.

    Returns:
        List of `(variable, axis, units)`; empty where a unit that is 0 may
        come out of it as something else.
    """
    if isinstance(layer, layer_kinds.DEPTHWISE):
        found = [(layer.kernel, -2, rows)]
        if layer.use_bias:
            found.append((layer.bias, -1, rows.repeat(layer.depth_multiplier)))
        return found
    if not layer.scale:
        return []
    return [
        (variable, -1, rows)
        for variable in (layer.gamma, layer.beta)
        if variable is not None
    ]

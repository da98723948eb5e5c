"""Smaller models: units that put out nothing that depends on the inputs go.

A model whose weights are partly zero, as after `surgery.force`, computes the
same without some of its units. A unit may go if each layer that reads it has
only zeros for it, or reads a constant that its bias can take in. Units that
share an index, as those that are added to each other, go or stay together.
"""

import collections
import copy
import math
import typing
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy.sparse import coo_array, csgraph

from modularity_tf.network import (
    activations,
    copying,
    example_inputs,
    keras_private,
    layer_kinds,
    layer_names,
    model_weights,
    surgery,
    unit_flow,
)

_RECURRENT = {  # how many gates have columns in the kernels of a unit
    keras.layers.LSTM: 4,
    keras.layers.GRU: 3,
    keras.layers.SimpleRNN: 1,
}
_EQUAL = 1e-6  # what a constant may differ by between positions
_EQUAL_HALF = 1e-3  # the same in half precision


class Shrunk(typing.NamedTuple):
    """A smaller model, and what is in it.

    Attributes:
        model: Plain `keras.Model`, not compiled.
        units: Dict from the path of a layer to the numbers of its units,
            before and after.
        stays: Dict from the path of a layer to a dict from the reason why
            units of it that might go stay to how many do.
    """

    model: keras.Model
    units: Mapping[str, tuple[int, int]]
    stays: Mapping[str, Mapping[str, int]]


def check_can_shrink(model: keras.Model) -> None:
    """Raises `ValueError` if a model is neither Sequential nor functional.

    Args:
        model: Built `keras.Model`.
    """
    model_weights.model_weights(model)  # refuses what is no built model
    if not _is_graph(model) or not getattr(model, "inputs", None):
        raise ValueError(
            f"{type(model).__name__} {model.name!r} can't be shrunk: its "
            "`call` is code, not a graph of layers that can be made anew in "
            "other sizes. Only Sequential and functional models can."
        )


def shrink(
    model: keras.Model,
    units: surgery.Neurons | None = None,
    *,
    round_to: int = 1,
    inputs: Any = None,
) -> Shrunk:
    """Returns a model without units that it does not need.

    Args:
        model: Built Sequential or functional `keras.Model` in which weights
            are zero. It is not changed.
        units: Dict from layer path to bool array `(units,)`, those that may
            go, each with all that are coupled with it; `None` for all units of
            all layers.
        round_to: Positive int. Layers keep a multiple of so many units, or all
            that they have.
        inputs: Some of what the model takes, to compare the two on; `None` to
            draw them.

    Raises:
        ValueError: If the model is no graph of layers, a layer would have no
            unit left, or the model can't be made in other sizes.
    """
    check_can_shrink(model)
    if inputs is None:
        inputs = example_inputs.draw(model)
    inputs = keras.tree.map_structure(tf.convert_to_tensor, inputs)
    network = _Network(model, inputs)
    gone = network.gone(units)
    gone = network.rounded(gone, round_to)
    network.refuse_empty(gone)
    made = network.without(gone, inputs)
    return Shrunk(made, network.counts(gone), network.stays(gone, units))


def multiply_adds(model: keras.Model, inputs: Any) -> dict[str, int]:
    """Returns how often each layer multiplies and adds for one example.

    Counted are the products with weights: of a kernel, its size times the
    positions where it is used. What attention multiplies without weights,
    activations and normalization are not.

    Args:
        model: Built `keras.Model`.
        inputs: Some of what it takes.

    Returns:
        Dict from layer path to int, of layers that have a kernel.
    """
    paths = {id(x): path for path, x in activations.layers_of(model).items()}
    leaves = keras_private.leaves(model)
    with (
        keras.StatelessScope(),
        activations.recorded_calls(leaves) as calls,
    ):
        model(inputs, training=False)
    found: dict[str, int] = collections.defaultdict(int)
    for layer, taken, result in calls:
        count = _multiply_adds_of(layer, taken, result)
        if count:
            found[paths[id(layer)]] += count
    return dict(found)


def parameters(model: keras.Model) -> dict[str, int]:
    """Returns how many numbers each layer holds, statistics included.

    Args:
        model: Built `keras.Model`.

    Returns:
        Dict from layer path to int, of layers that have any.
    """
    found: dict[str, int] = collections.defaultdict(int)
    seen = set()
    for path, layer in activations.layers_of(model).items():
        for variable in keras_private.own_variables(layer):
            is_seed = "int" in variable.dtype and "seed" in variable.name
            if id(variable) not in seen and not is_seed:
                seen.add(id(variable))
                found[path] += math.prod(variable.shape)
    return dict(found)


class _Source(typing.NamedTuple):
    """A layer of which units can be taken.

    Attributes:
        layer: `keras.layers.Layer`, a Conv, Dense or recurrent one.
        size: Int, the number of its units.
        key: Str, the name of its size in its config.
        where: Tuple of keys that lead to the size in the config of the
            layer of the graph that holds it.
        cuts: List of `(variable, axis, repeats)`: where its units are on the
            axes of its weights, one block after the other.
    """

    layer: keras.layers.Layer
    size: int
    where: tuple
    cuts: list


class _Read(typing.NamedTuple):
    """How a layer reads entries of an axis.

    Attributes:
        path: Str, the layer's.
        layer: The `keras.layers.Layer` that holds the kernel.
        kernel: Variable.
        axis: Negative int, or `None` for one that reads them in groups.
        units: List of int arrays, the numbers of units in each entry, -1 for
            none.
        fixed: Bool array, the entries that are the same whatever the inputs
            and wherever they are read.
        values: Float array, what these are.
    """

    path: str
    layer: keras.layers.Layer
    kernel: keras.Variable
    axis: int | None
    units: list
    fixed: np.ndarray
    values: np.ndarray


class _Network:
    """A model, its units by number, and what must stay."""

    def __init__(self, model, inputs):
        self.model = model
        self._paths = {
            id(x): path for path, x in activations.layers_of(model).items()
        }
        self._tops = dict(_layers_in_graph(model))
        traced = activations.trace(model)
        self._traced = traced
        self._flow = unit_flow.follow(model, traced, others=True)
        self._graph = traced.outputs[0].graph
        self._pinned = {}  # path: why no unit of it can be taken
        self._sources = self._found_sources()
        self._number_units()
        self._cuts = collections.defaultdict(list)
        for path, source in self._sources.items():
            for variable, axis, repeats in source.cuts:
                self._cuts[id(variable)].append((path, axis, repeats))
        self._weights = {
            id(variable): variable.numpy()
            for variable in model.variables
            if "float" in variable.dtype
        }
        self._ranges = self._found_ranges(inputs)
        self._fixed = self._found_fixed()
        self._reads = self._found_reads()
        self._classes = self._found_classes()

    # What there is.

    def _found_sources(self):
        found = {}
        neuronal = activations.neuron_layers(self.model, outputs=True)
        called = {
            id(inner)
            for layer, *_ in self._traced.calls
            for inner in keras_private.all_layers(layer)
        }
        for path, layer in activations.layers_of(self.model).items():
            gates = _gates(layer)
            if id(layer) not in called or not (path in neuronal or gates):
                continue
            reason, where = self._why_pinned(layer), ()
            if gates:
                cell, size = layer.cell, layer.units
                cuts = [
                    (cell.kernel, -1, gates),
                    (cell.recurrent_kernel, -1, gates),
                    (cell.recurrent_kernel, -2, 1),
                ]
                cuts += [(cell.bias, -1, gates)] if cell.use_bias else []
            else:
                kernel = keras_private.kernel(layer)
                size = kernel.shape[-1]
                cuts = [(kernel, -1, 1)]
                cuts += [(layer.bias, -1, 1)] if layer.use_bias else []
                top = self._tops.get(id(layer))
                if isinstance(top, keras.layers.SpectralNormalization):
                    cuts.append((top.vector_u, -1, 1))
            if reason is None:
                where = self._place_of_size(layer, size)
                if where is None:
                    top = self._tops[id(layer)]
                    reason = (
                        f"{self._name(top)} does not take their number alone"
                    )
            if reason:
                self._pinned[path] = reason
            found[path] = _Source(layer, size, where, cuts)
        return found

    def _why_pinned(self, layer):
        """Returns why no unit can be taken from a layer, or `None`."""
        if getattr(layer, "lora_enabled", False):
            return "the layer has LoRA"
        if getattr(layer, "quantization_mode", None):
            return "the layer is quantized"
        if getattr(layer, "groups", 1) > 1:
            return "the convolution is grouped"
        if getattr(layer, "stateful", False):
            return "the layer keeps its state"
        if getattr(layer, "return_state", False):
            return "the layer returns its state"
        return None

    def _place_of_size(self, layer, size):
        """Returns where the config of a layer of the graph has a size.

        Returns:
            Tuple of keys; `None` if there is no such place.
        """
        top = self._tops.get(id(layer))
        if top is None:
            return None
        if top is layer:
            return ("filters" if hasattr(layer, "filters") else "units",)
        for where, value in _leaves_of(top.get_config()):
            is_size = value == size and type(value) is int
            if is_size and _is_size_of(top, layer, where, size):
                return where
        return None

    def _number_units(self):
        sizes = {path: source.size for path, source in self._sources.items()}
        for channels in self._flow.known.values():
            for path, rows in channels.pairs:
                sizes[path] = max(sizes.get(path, 0), int(rows.max()) + 1)
        ends = np.cumsum([0, *sizes.values()])
        self._starts = dict(zip(sizes, ends))
        self._sizes = sizes
        self._count = int(ends[-1])

    def _numbers(self, channels):
        """Returns the numbers of the units in each entry, an array a pair."""
        return [
            np.where(rows < 0, -1, rows + self._starts[path])
            for path, rows in channels.pairs
        ]

    def _units_of(self, path):
        start = self._starts[path]
        return slice(start, start + self._sizes[path])

    def _name(self, layer):
        path = self._paths.get(id(layer), layer.name)
        return f"{path!r} ({type(layer).__name__})"

    # What they put out.

    def _found_ranges(self, inputs):
        """Returns the least and largest values of entries, by tensor."""
        names = {x for each in self._flow.readings for x in each.tensors}
        for name, channels in self._flow.known.items():
            if channels.pairs:
                names |= {x.name for x in self._factors(name)}
        names = sorted(name for name in names if name in self._flow.known)
        specs = self._traced.specs

        @tf.function(autograph=False)
        def call(*inputs):
            self.model(
                keras.tree.pack_sequence_as(specs, inputs), training=False
            )
            found = {}
            for name in names:
                x = tf.compat.v1.get_default_graph().get_tensor_by_name(name)
                if x.dtype.is_floating:
                    axes = [*range(x.shape.rank - 1)]
                    x = tf.cast(x, tf.float64)
                    found[name] = tf.reduce_min(x, axes), tf.reduce_max(x, axes)
            return found

        flat = keras.tree.flatten(specs)
        given = [
            tf.cast(x, spec.dtype) if x.dtype != spec.dtype else x
            for x, spec in zip(keras.tree.flatten(inputs), flat, strict=True)
        ]
        found = call.get_concrete_function(*flat)(*given)
        return {
            name: (low.numpy(), high.numpy())
            for name, (low, high) in found.items()
        }

    def _factors(self, name):
        """Returns the tensors of units of which a tensor is the product."""
        op = self._graph.get_tensor_by_name(name).op
        return self._taken_by(op) if op.type == "Mul" else []

    def _taken_by(self, op):
        """Returns what an operation takes that has units."""
        known = self._flow.known
        return [x for x in op.inputs if x.name in known and known[x.name].pairs]

    def _found_fixed(self):
        """Returns which units put out the same whatever the inputs are."""
        fixed = np.zeros(self._count, bool)
        for path, source in self._sources.items():
            if _gates(source.layer):
                fixed[self._units_of(path)] = _stays_zero(source.layer)
        taken = collections.defaultdict(list)
        for reading in self._flow.readings:
            taken[reading.path].extend(reading.calls)
        kernels = activations.kernel_paths(self.model)
        while True:
            before = fixed.copy()
            for path in kernels:
                source = self._sources.get(path)
                if source is None or path in self._pinned:
                    continue
                weights = self._weights[id(source.cuts[0][0])] != 0
                weights = weights.reshape(-1, *weights.shape[-2:]).any(axis=0)
                for channels in taken[kernels[path]]:
                    depends = ~_all_fixed(self._numbers(channels), fixed)
                    heard = (weights & depends[:, None]).any(axis=0)
                    if channels is taken[kernels[path]][0]:
                        found = ~heard
                    else:
                        found &= ~heard
                if not taken[kernels[path]]:
                    found = ~weights.any(axis=0)
                fixed[self._units_of(path)] = found
            if (fixed == before).all():
                return fixed

    def _constants(self, name):
        """Returns the entries of a tensor that are fixed, and their values."""
        fixed = self._fixed_entries(name)
        if name not in self._ranges:
            return np.zeros_like(fixed), np.zeros(len(fixed))
        low, high = self._ranges[name]
        dtype = self._graph.get_tensor_by_name(name).dtype
        close = _EQUAL_HALF if dtype.size < 4 else _EQUAL
        is_even = high - low <= close * np.maximum(abs(low), abs(high))
        return fixed & is_even, np.where(fixed & is_even, (low + high) / 2, 0.0)

    def _fixed_entries(self, name):
        """Returns the entries of a tensor that do not depend on the inputs."""
        numbers = self._numbers(self._flow.known[name])
        fixed = _all_fixed(numbers, self._fixed)
        for x in self._factors(name):  # whatever a zero is multiplied with
            if x.name in self._ranges and x.shape[-1] == len(fixed):
                low, high = self._ranges[x.name]
                fixed |= self._fixed_entries(x.name) & (low == 0) & (high == 0)
        op = self._graph.get_tensor_by_name(name).op
        passes = (*layer_kinds.ONE_BY_ONE_OPS, *layer_kinds.RESHAPE_OPS)
        passes += layer_kinds.REDUCTION_OPS
        taken = self._taken_by(op) if op.type in passes else []
        if len(taken) == 1 and len(fixed) % taken[0].shape[-1] == 0:
            before = self._fixed_entries(taken[0].name)
            fixed |= np.tile(before, len(fixed) // len(before))
        return fixed

    # Who hears them.

    def _found_reads(self):
        variables = {
            path: weight.variable
            for path, weight in model_weights.model_weights(self.model).items()
        }
        found = []
        for reading in self._flow.readings:
            kernel = variables[reading.path]
            owner = ("", *layer_names.around(reading.path))[-1]
            for name, channels in zip(
                reading.tensors, reading.calls, strict=True
            ):
                if channels.pairs:
                    found.append(
                        _Read(
                            owner,
                            _holder(reading.layer, kernel),
                            kernel,
                            reading.axis,
                            self._numbers(channels),
                            *self._constants(name),
                        )
                    )
        for path, source in self._sources.items():
            if _gates(source.layer):
                units = np.arange(self._count)[self._units_of(path)]
                fixed = self._fixed[units]
                found.append(
                    _Read(
                        path,
                        source.layer,
                        source.layer.cell.recurrent_kernel,
                        -2,
                        [units],
                        fixed,
                        np.zeros(len(units)),
                    )
                )
        return found

    def _found_classes(self):
        """Returns a number for each unit, the same for those coupled."""
        pairs = [np.zeros((2, 0), int)]
        for channels in self._flow.known.values():
            pairs += _neighbours(self._numbers(channels))
        by_kernel = collections.defaultdict(list)
        for read in self._reads:
            by_kernel[id(read.kernel), read.axis] += read.units
        for units in by_kernel.values():
            pairs += _neighbours(units)
        for layer, inputs, _ in self._traced.calls:
            if id(layer) in self._tops and keras_private.own_variables(layer):
                by_kernel[id(layer)] += [
                    each
                    for x in keras.tree.flatten(inputs)[:1]
                    if getattr(x, "name", None) in self._flow.known
                    for each in self._numbers(self._flow.known[x.name])
                ]
        ones, others = np.concatenate(pairs, axis=1)
        matrix = coo_array(
            (np.ones(len(ones), bool), (ones, others)),
            (self._count, self._count),
        )
        return csgraph.connected_components(matrix, directed=False)[1]

    def _needed(self, gone):
        """Returns a dict from the number of a unit that stays to the reason."""
        needed = {}

        def need(units, reason):
            for each in units:
                for number in np.unique(each[each >= 0]):
                    needed.setdefault(int(number), reason)

        every = np.arange(self._count)
        for x in self._traced.outputs:
            channels = self._flow.known.get(x.name)
            if channels is not None:
                need(self._numbers(channels), "they are outputs of the model")
        for path, reason in self._flow.mixed.items():
            if path in self._starts:
                need([every[self._units_of(path)]], f"they reach {reason}")
        for path in self._starts:
            if path in self._pinned:
                need([every[self._units_of(path)]], self._pinned[path])
            elif path not in self._sources:
                layer = activations.layers_of(self.model).get(path)
                what = path if layer is None else self._name(layer)
                need(
                    [every[self._units_of(path)]],
                    f"they are joined with units of {what}",
                )
        for read in self._reads:
            top = self._tops.get(id(read.layer))
            if read.axis is None:
                need(read.units, f"{read.path!r} reads them in groups")
                continue
            if isinstance(top, keras.layers.GroupQueryAttention):
                need(read.units, f"{self._name(top)} puts out as many")
            heard = self._heard(read, gone)
            need([x[heard & ~read.fixed] for x in read.units], "they are kept")
            reason = self._why_unfoldable(read)
            if reason:
                unfoldable = heard & read.fixed & (read.values != 0)
                need([x[unfoldable] for x in read.units], reason)
        return needed

    def _heard(self, read, gone):
        """Returns which entries have a weight that leads to units that stay."""
        live = self._weights[id(read.kernel)] != 0
        cuts = self._cuts[id(read.kernel)]
        for path, axis, repeats in cuts:
            if axis != read.axis:
                keep = ~gone[self._units_of(path)]
                live = live & _aligned(np.tile(keep, repeats), axis, live)
                if (path, read.axis, 1) in cuts:  # no use in hearing itself
                    own = np.eye(len(keep), dtype=bool)
                    live &= ~np.tile(own, repeats)
        axis = read.axis % live.ndim
        return live.any(axis=tuple(i for i in range(live.ndim) if i != axis))

    def _why_unfoldable(self, read):
        """Returns why a layer can't take in a constant; `None` if it can."""
        layer = read.layer
        name = f"what they put out is constant and not 0, and {read.path!r}"
        if read.kernel is not _kernel(layer):
            return f"{name} ({type(layer).__name__}) weighs it in its own way"
        is_conv = isinstance(layer, layer_kinds.CONVOLUTIONS)
        if is_conv and math.prod(layer.kernel_size) > 1:
            if layer.padding != "valid":
                return f"{name} pads with 0"
        if not layer.use_bias and self._place_of_bias(layer) is None:
            return f"{name} has no bias"
        return None

    def _place_of_bias(self, layer):
        top = self._tops.get(id(layer))
        return ("use_bias",) if top is layer else None

    # What goes.

    def gone(self, units):
        """Returns the numbers of units that go, as a bool array."""
        may_go = np.ones(self._count, bool)
        if units is not None:
            may_go[:] = False
            for path, flags in units.items():
                if path in self._sources:
                    may_go[self._units_of(path)] = flags
        chosen = np.zeros(self._classes.max(initial=-1) + 1, bool)
        chosen[self._classes[may_go]] = True
        gone = np.zeros(self._count, bool)
        while True:
            needed = [*self._needed(gone)]
            goes = chosen.copy()
            goes[self._classes[needed]] = False
            found = goes[self._classes]
            if (found == gone).all():
                return gone
            gone = found

    def rounded(self, gone, round_to):
        """Returns the units that go where layers keep multiples."""
        gone = gone.copy()
        self._returned = set()
        is_done = round_to == 1
        while not is_done:
            is_done = True
            for path in self._sources:
                goes = gone[self._units_of(path)]
                if goes.any() and (~goes).sum() % round_to:
                    first = self._starts[path] + int(np.argmax(goes))
                    number = self._classes[first]
                    gone[self._classes == number] = False
                    self._returned.add(int(number))
                    is_done = False
        return gone

    def refuse_empty(self, gone):
        """Raises `ValueError` if a layer has no unit left."""
        for path in self._sources:
            if gone[self._units_of(path)].all():
                raise ValueError(
                    f"The layer {path!r} of {self.model.name!r} would have no "
                    "unit left: keep one at least."
                )

    def counts(self, gone):
        """Returns the numbers of units before and after, by layer."""
        return {
            path: (source.size, int((~gone[self._units_of(path)]).sum()))
            for path, source in self._sources.items()
        }

    def stays(self, gone, units):
        """Returns why units stay that might have gone."""
        needed = self._needed(gone)
        first = {}
        for number, reason in needed.items():
            kept = first.get(self._classes[number], "they are kept")
            if kept == "they are kept":
                first[self._classes[number]] = reason
        found = {}
        for path, source in self._sources.items():
            wanted = self._fixed[self._units_of(path)]
            if units is not None:
                wanted = units.get(path, np.zeros(source.size, bool))
            reasons = collections.Counter()
            start = self._starts[path]
            for unit in np.flatnonzero(wanted):
                number = start + int(unit)
                group = self._classes[number]
                if gone[number]:
                    continue
                if int(group) in self._returned:
                    reason = "`round_to` asks for them"
                elif number in needed and needed[number] != "they are kept":
                    reason = needed[number]
                else:
                    reason = first.get(group, "")
                    if reason == "they are kept":
                        reason = (
                            "they are added to, or multiplied by, units that "
                            "are kept"
                        )
                reasons[reason] += 1
            if reasons:
                found[path] = dict(reasons)
        return found

    # The model without them.

    def without(self, gone, inputs):
        """Returns the model without some units."""
        keeps = collections.defaultdict(dict)  # id of a variable: axis: bools
        variables, configs, folded, biases = {}, {}, {}, {}

        def cut(variable, axis, keep):
            variables[id(variable)] = variable
            axis = axis % len(variable.shape)
            before = keeps[id(variable)].get(axis, True)
            keeps[id(variable)][axis] = before & keep

        def change(layer, where, value):
            top = self._tops[id(layer)]
            if id(top) not in configs:
                configs[id(top)] = copy.deepcopy(top.get_config())
            place = configs[id(top)]
            for key in where[:-1]:
                place = place[key]
            place[where[-1]] = value

        for path, source in self._sources.items():
            keep = ~gone[self._units_of(path)]
            if keep.all():
                continue
            change(source.layer, source.where, int(keep.sum()))
            for variable, axis, repeats in source.cuts:
                cut(variable, axis, np.tile(keep, repeats))
        for read in self._reads:
            goes = _any_gone(read.units, gone)
            if read.axis is None or not goes.any():
                continue
            cut(read.kernel, read.axis, ~goes)
            if isinstance(read.layer, layer_kinds.SEPARABLE):
                times = read.layer.depth_multiplier
                cut(read.layer.pointwise_kernel, -2, (~goes).repeat(times))
            top = self._tops.get(id(read.layer))
            if isinstance(top, keras.layers.MultiHeadAttention):
                size = top.output_dense.kernel.shape[-1]
                change(top, ("output_shape",), (size,))
            values = np.where(goes & read.fixed, read.values, 0.0)
            if values.any() and id(read.kernel) not in folded:
                weights = self._weights[id(read.kernel)].astype("float64")
                total = weights * _aligned(values, read.axis, weights)
                folded[id(read.kernel)] = total.reshape(
                    -1, total.shape[-1]
                ).sum(axis=0)
                cell = getattr(read.layer, "cell", read.layer)
                if not read.layer.use_bias:
                    change(read.layer, ("use_bias",), True)
                    biases[id(read.layer)] = read.kernel
                else:
                    variables[id(cell.bias)] = cell.bias
                    self._weights[id(cell.bias)] = _plus(
                        self._weights[id(cell.bias)], folded[id(read.kernel)]
                    )
        self._cut_between(gone, cut, change)
        values = {
            key: self._cut_value(variable, keeps[key])
            for key, variable in variables.items()
        }
        made = {}
        for key, kernel in biases.items():
            keep = keeps[id(kernel)].get(len(kernel.shape) - 1, True)
            value = folded[id(kernel)].astype(kernel.dtype)
            made[key] = value[np.broadcast_to(keep, value.shape)]
        return copying.resized(self.model, configs, values, made, inputs)

    def _cut_value(self, variable, keeps):
        value = self._weights[id(variable)]
        for axis, keep in keeps.items():
            value = np.compress(keep, value, axis)
        return value.astype(variable.numpy().dtype)

    def _cut_between(self, gone, cut, change):
        """Cuts the weights of layers through which units pass."""
        done = set()
        readers = {id(read.layer) for read in self._reads}
        for layer, inputs, result in self._traced.calls:
            is_first = id(layer) not in done
            done.add(id(layer))
            if not is_first or id(_inner(layer)) in readers:
                continue
            after = self._gone_in(result, gone)
            if after is None or not after.any():
                continue
            if isinstance(layer, keras.layers.Reshape):
                shape = [*layer.target_shape]
                if shape[-1] != -1:
                    shape[-1] = int((~after).sum())
                    change(layer, ("target_shape",), tuple(shape))
                continue
            own = keras_private.own_variables(layer)
            if isinstance(layer, layer_kinds.DEPTHWISE):
                before = self._gone_in(keras.tree.flatten(inputs)[0], gone)
                cut(layer.kernel, -2, ~before)
                own = own[1:]  # its bias
            for variable in own:
                is_alike = tuple(variable.shape)[-1:] == after.shape
                if is_alike and "float" in variable.dtype:
                    cut(variable, -1, ~after)

    def _gone_in(self, tensor, gone):
        channels = self._flow.known.get(getattr(tensor, "name", None))
        if channels is None or not channels.pairs:
            return None
        return _any_gone(self._numbers(channels), gone)


def _is_graph(model):
    kinds = (keras.Sequential, keras_private.FUNCTIONAL)
    return any(type(model).call is kind.call for kind in kinds)


def _layers_in_graph(model):
    """Yields the id of each layer and the layer of the graph that holds it."""
    operations = getattr(model, "operations", model.layers)
    for each in operations:
        if isinstance(each, (keras.Sequential, keras_private.FUNCTIONAL)):
            yield from _layers_in_graph(each)
        elif isinstance(each, keras.layers.Layer):
            for inner in keras_private.all_layers(each):
                yield id(inner), each


def _leaves_of(config, where=()):
    """Yields the places in a config, as tuples of keys, and what is there."""
    items = ()
    if isinstance(config, Mapping):
        items = config.items()
    elif isinstance(config, list):
        items = enumerate(config)
    else:
        yield where, config
    for key, value in items:
        yield from _leaves_of(value, (*where, key))


def _is_size_of(top, layer, where, size):
    """Returns if a place in a config is the size of one layer inside alone."""
    config = copy.deepcopy(top.get_config())
    place = config
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = size + 1
    try:
        made = type(top).from_config(copying.unbuilt(config))
        if not made.built:
            made.build_from_config(top.get_build_config())
        pairs = zip(
            keras_private.all_layers(top),
            keras_private.all_layers(made),
            strict=True,
        )
        changed = {
            id(old)
            for old, new in pairs
            if _size(old) is not None and _size(old) != _size(new)
        }
    except Exception:  # whatever a layer says to another size
        return False
    inside = {id(x) for x in keras_private.all_layers(layer)}
    return id(layer) in changed and changed <= inside


def _size(layer):
    return getattr(layer, "filters", getattr(layer, "units", None))


def _inner(layer):
    while isinstance(layer, keras.layers.TimeDistributed):
        layer = layer.layer
    return layer


def _gates(layer):
    """Returns the number of gates of a recurrent layer; 0 for another."""
    for kind, gates in _RECURRENT.items():
        if isinstance(layer, kind):
            return gates
    return 0


def _stays_zero(layer):
    """Returns which units of a recurrent layer are 0 at all times.

    Those whose candidate for a new state is: of an LSTM the cell's input, of a
    GRU the new state, of a SimpleRNN the state itself.
    """
    cell, units = layer.cell, layer.units
    start = 2 * units if _gates(layer) > 1 else 0
    found = np.ones(units, bool)
    weights = [cell.kernel, cell.recurrent_kernel]
    weights += [cell.bias] if cell.use_bias else []
    for variable in weights:
        block = variable.numpy()[..., start : start + units]
        found &= (block == 0).reshape(-1, units).all(axis=0)
    zero = cell.activation(keras.ops.zeros((1,)))
    return found & bool(zero[0] == 0)


def _kernel(layer):
    if _gates(layer):
        return layer.cell.kernel
    return keras_private.kernel(layer) if activations.is_neuronal(layer) else 0


def _holder(layer, kernel):
    """Returns the layer inside of a wrapper that has a kernel."""
    for inner in keras_private.all_layers(layer):
        if _kernel(inner) is kernel:
            return inner
    return layer


def _all_fixed(numbers, fixed):
    """Returns the entries in which all units are fixed, and there is one."""
    known = np.append(fixed, True)
    both = [known[each] for each in numbers]
    is_unit = np.any([each >= 0 for each in numbers], axis=0)
    return np.all(both, axis=0) & is_unit


def _any_gone(numbers, gone):
    known = np.append(gone, False)
    return np.any([known[each] for each in numbers], axis=0)


def _neighbours(numbers):
    """Returns pairs of the units that share an entry, as arrays `(2, n)`."""
    if len(numbers) < 2 or len({len(each) for each in numbers}) > 1:
        return []
    pairs, last = [], numbers[0]
    for each in numbers[1:]:
        both = (last >= 0) & (each >= 0)
        pairs.append(np.stack([last[both], each[both]]))
        last = np.where(each >= 0, each, last)
    return pairs


def _aligned(values, axis, like):
    """Returns values of one axis in a shape that goes with an array."""
    shape = [1] * like.ndim
    shape[axis] = -1
    return np.reshape(values, shape)


def _plus(bias, added):
    """Returns a bias to which something is added, a GRU's in its first row."""
    total = np.array(bias, "float64")
    rows = total if total.ndim == 1 else total[0]
    rows += added
    return total.astype(bias.dtype)


def _multiply_adds_of(layer, taken, result):
    """Returns how often a call multiplies and adds for one example."""
    layer = _inner(layer)
    if isinstance(layer, keras.layers.Bidirectional):
        both = (layer.forward_layer, layer.backward_layer)
        return sum(_multiply_adds_of(x, taken, result) for x in both)
    if isinstance(layer, keras.layers.RNN):
        steps = taken[0].shape[1]
        return steps * sum(
            math.prod(weight.shape)
            for weight in layer.weights
            if "kernel" in weight.name
        )
    if isinstance(layer, layer_kinds.TRANSPOSED):
        return math.prod(layer.kernel.shape) * math.prod(taken[0].shape[1:-1])
    if isinstance(layer, layer_kinds.SEPARABLE):
        kernels = (layer.depthwise_kernel, layer.pointwise_kernel)
        size = sum(math.prod(kernel.shape) for kernel in kernels)
        return size * math.prod(result.shape[1:-1])
    kernel = keras_private.kernel(layer)
    if kernel is None:
        return 0
    size = math.prod(kernel.shape)
    if isinstance(layer, keras.layers.EinsumDense):
        terms = layer.equation.replace(" ", "").split("->")[0].split(",")
        letters = terms[0].replace("...", "")
        shape = taken[0].shape[-len(letters) :] if letters else ()
        pairs = zip(letters, shape)
        several = [n for letter, n in pairs if letter not in terms[1]]
        batch = 1 if len(letters) == len(taken[0].shape) else 0
        return size * math.prod(several[batch:])
    return size * math.prod(result.shape[1:-1])

"""Smaller models: units go whose outputs nothing depends on.

Where weights of a model are zero, as after `surgery.force`, it computes the
same without some of its units. Each unit has a number. Units that share an
entry of a tensor, as after a sum, have the same index in several layers, and
go or stay together. A unit may go if each layer that reads it has only zeros
for it, or reads a constant that can be folded into its bias. Where a
convolution pads, a constant can't be folded, as the edges lack it: one unit
that puts out a constant stays then, and takes over the weights of the others.
"""

import collections
import contextlib
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

_OTHER_SOURCES = (*layer_kinds.SEPARABLE, *layer_kinds.TRANSPOSED)
_GRAPHS = (keras.Sequential, keras_private.FUNCTIONAL)
_EQUAL = 1e-6  # how far a constant may differ from place to place
_EQUAL_HALF = 1e-3  # the same in half precision
_MORE = 10  # times as far from size to size, where sums are rounded otherwise


class Shrunk(typing.NamedTuple):
    """A smaller model, and what is in it.

    Attributes:
        model: Plain `keras.Model`, not compiled.
        units: Dict from the path of a layer to the numbers of its units, or
            of its attention heads, before and after.
        stays: Dict from the path of a layer to a dict from a reason to the
            number of units that stay for it, of those that were to go.
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
    is_graph = any(type(model).call is kind.call for kind in _GRAPHS)
    if not is_graph or not getattr(model, "inputs", None):
        raise ValueError(
            f"{type(model).__name__} {model.name!r} can't be shrunk: only "
            "Sequential and functional models are made of layers that can be "
            "put together anew, in other sizes."
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
            go, with all that go together with them; `None` for the units of
            all layers, and attention heads.
        round_to: Positive int. Layers keep a multiple of so many units, or all
            that they have; attention layers any number of heads.
        inputs: Some of what the model takes, to compare the two on; `None` to
            draw them. A model of any size is compared on another size, too.

    Raises:
        ValueError: If the model is no graph of layers, a layer would have no
            unit left, or the model can't be made in other sizes.
    """
    check_can_shrink(model)
    if inputs is None:
        inputs = example_inputs.draw(model)
    inputs = copying.as_tensors(inputs)
    for x in keras.tree.flatten(inputs):
        if x.dtype.is_floating and not tf.reduce_all(tf.math.is_finite(x)):
            raise ValueError("`inputs` must be finite, got NaN or infinity.")
    batches = _of_several_sizes(model, inputs)
    parts = _Parts(model, batches)
    going = _Going(parts, units, round_to)
    small = _Cuts(parts, going).made(batches)
    stays = {path: dict(reasons) for path, reasons in going.stays.items()}
    return Shrunk(small, going.counts(), stays)


def _of_several_sizes(model, inputs):
    """Returns inputs, and some of another size if a model takes any size.

    A constant may depend on the size: where it is summed up, say.
    """
    flat, specs = keras.tree.flatten(inputs), keras.tree.flatten(model.inputs)
    for change in (_half, lambda x, axis: tf.repeat(x, 2, axis)):
        changed = []
        for x, spec in zip(flat, specs, strict=True):
            other = x if spec.shape[0] else x[: example_inputs.ROWS]
            for i, size in enumerate(spec.shape[1:], 1):
                other = change(other, i) if size is None else other
            changed.append(other)
        if all(x.shape[1:] == y.shape[1:] for x, y in zip(flat, changed)):
            continue
        others = keras.tree.pack_sequence_as(inputs, changed)
        # A model may take some sizes only, and make NaN of too small ones.
        with contextlib.suppress(Exception), keras.StatelessScope():
            ends = keras.tree.flatten(model(others, training=False))
            if all(np.isfinite(x).all() for x in ends if x.dtype.is_floating):
                return [inputs, others]
    return [inputs]


def _half(x, axis):
    """Returns every second entry of an axis, and the last: padding, say."""
    size = x.shape[axis]
    return tf.gather(x, range((size - 1) % 2, size, 2), axis=axis)


class _Source(typing.NamedTuple):
    """A layer whose units can be taken out.

    Attributes:
        layer: A `keras.layers.Layer`: Dense, Conv, transposed or separable, or
            recurrent.
        size: Int, the number of its units.
        place: Tuple of keys, where the config of the layer of the graph that
            holds it has that number; `None` if no unit can be taken out.
        pinned: Str, why not; or "".
        cuts: List of `(variable, axis, repeats)`: the axes of weights on
            which its units are, one block after the other.
    """

    layer: keras.layers.Layer
    size: int
    place: tuple | None
    pinned: str
    cuts: list


class _Read(typing.NamedTuple):
    """How a kernel reads the entries of an axis in one call.

    Attributes:
        path: Str, of the layer that has the kernel.
        layer: That layer; of a recurrent one not the cell.
        kernel: Variable.
        axis: Negative int; `None` for one that reads entries in groups.
        units: List of int arrays, the numbers of the units in each entry, -1
            for none.
        fixed: Bool array, the entries that do not depend on the inputs.
        even: Bool array, those of them that are the same at all positions.
        values: Float array, what these are.
    """

    path: str
    layer: keras.layers.Layer
    kernel: keras.Variable
    axis: int | None
    units: list
    fixed: np.ndarray
    even: np.ndarray
    values: np.ndarray


class _Parts:
    """The units of a model: their numbers, who puts them out, who reads them.

    Attributes:
        model: `keras.Model`.
        tops: Dict from the id of a layer to the layer of the graph that holds
            it, or is it.
        sources: Dict from path to `_Source`.
        heads: Dict from path to `keras.layers.MultiHeadAttention`.
        flow: `unit_flow.Flow` of all units.
        traced: `activations.Trace`.
        size: Int, the number of units.
        weights: Dict from the id of a variable to its values.
        reads: List of `_Read`.
        groups: Int array, the same number for units that go together.
    """

    def __init__(self, model, batches):
        self.model = model
        self._layers = activations.layers_of(model)
        self._paths = {id(x): path for path, x in self._layers.items()}
        self.tops = dict(_tops(model))
        self.traced = activations.trace(model)
        self.flow = unit_flow.follow(model, self.traced, others=True)
        self._graph = self.traced.outputs[0].graph
        self.weights = {id(x): x.numpy() for x in model.variables}
        self.sources = dict(self._found_sources())
        self.heads = {
            path: layer
            for path, layer in self._layers.items()
            if isinstance(layer, keras.layers.MultiHeadAttention)
        }
        self._slices, self.size = self._numbered()
        self._several = len(batches) > 1
        self._ranges = self._found_ranges(batches)
        self._fixed = self._found_fixed()
        self.reads = [*self._found_reads()]
        self.groups = self._found_groups()

    def of(self, path):
        """Returns the slice of the numbers of a layer's units."""
        return self._slices[path]

    def paths(self):
        """Returns the paths of layers and names of tensors that have units."""
        return [*self._slices]

    def numbers(self, channels):
        """Returns the numbers of units in each entry, an array for a pair."""
        return [
            np.where(rows < 0, -1, rows + self._slices[path].start)
            for path, rows in channels.pairs
        ]

    def numbers_in(self, tensor):
        """Returns the same for a tensor of the graph; `None` if unknown."""
        channels = self.flow.known.get(getattr(tensor, "name", None))
        known = channels is not None and channels.pairs
        return self.numbers(channels) if known else None

    def name(self, layer):
        """Returns a layer's path and kind, for messages."""
        path = self._paths.get(id(layer), layer.name)
        return f"{path!r} ({type(layer).__name__})"

    def why_pinned(self, path):
        """Returns why no unit of a layer or tensor can be taken out, or ""."""
        if path in self.sources:
            return self.sources[path].pinned
        if path in self._layers:
            name = self.name(self._layers[path])
            return f"they share their places with units of {name}"
        return "they share their places with inputs, or with mixed units"

    def why_heads_stay(self, layer):
        """Returns why no head of an attention layer can be taken out, or ""."""
        if self.tops[id(layer)] is not layer:
            name = self.name(self.tops[id(layer)])
            return f"no setting of {name} is their number alone"
        scores, seen = set(), set()
        for each, _, result in self.traced.calls:
            if each is layer.output_dense:
                seen.add(result.name)
            elif each in keras_private.children(layer) and isinstance(
                each, keras.layers.Softmax
            ):
                scores.add(result.name)
        to_do = [*self.traced.outputs]
        while to_do:  # what outputs are made of, but by the output layer
            tensor = to_do.pop()
            if tensor.name not in seen:
                seen.add(tensor.name)
                to_do += tensor.op.inputs
        return (
            "outputs depend on their attention scores" if scores & seen else ""
        )

    def constant(self, path):
        """Returns which units of a source never depend on the inputs."""
        return self._fixed[self._slices[path]]

    # Who puts them out.

    def _found_sources(self):
        called, has_state = set(), set()
        for layer, inputs, _ in self.traced.calls:
            inside = {id(x) for x in keras_private.all_layers(layer)}
            called |= inside
            if sum(map(tf.is_tensor, keras.tree.flatten(inputs))) > 1:
                has_state |= inside
        followed = {
            path
            for channels in self.flow.known.values()
            for path, _ in channels.pairs
        }
        for path, layer in self._layers.items():
            gates = layer_kinds.gates(layer)
            if id(layer) in called and (
                activations.is_neuronal(layer)
                or gates
                or isinstance(layer, _OTHER_SOURCES)
            ):
                pinned = _why_pinned(layer)
                if not pinned and gates and id(layer) in has_state:
                    pinned = "their layer is called with a first state"
                if not pinned and path not in followed:
                    top = self.name(self.tops.get(id(layer), layer))
                    pinned = f"their layer is called inside of {top}"
                yield path, self._source(layer, pinned)

    def _source(self, layer, pinned):
        gates, size = layer_kinds.gates(layer), _size(layer)
        if gates:
            cell = layer.cell
            cuts = [
                (cell.kernel, -1, gates),
                (cell.recurrent_kernel, -1, gates),
                (cell.recurrent_kernel, -2, 1),
                *([(cell.bias, -1, gates)] if cell.use_bias else []),
            ]
        elif isinstance(layer, _OTHER_SOURCES):
            is_separable = isinstance(layer, layer_kinds.SEPARABLE)
            cuts = (
                [(layer.pointwise_kernel, -1, 1)]
                if is_separable
                else [(layer.kernel, -2, 1)]
            )
            cuts += [(layer.bias, -1, 1)] if layer.use_bias else []
        else:
            kernel = keras_private.kernel(layer)
            own = [
                x
                for inner in keras_private.all_layers(layer)  # an activation
                for x in keras_private.own_weights(inner)
                if x.shape
            ]
            own = [x for x in own if x.shape[-1] == size and x is not kernel]
            cuts = [(x, -1, 1) for x in (kernel, *own)]  # a bias, a mask
        top = self.tops.get(id(layer))
        if isinstance(top, keras.layers.SpectralNormalization):
            cuts.append((top.vector_u, -1, 1))
        place = None if pinned else self._place_of(layer, size)
        if place is None and not pinned:
            pinned = f"no setting of {self.name(top)} is their number alone"
        return _Source(layer, size, place, pinned, cuts)

    def _place_of(self, layer, size):
        """Returns where a config has the number of a layer's units.

        The config is that of the layer of the graph that holds the layer: its
        own, a wrapper's, or that of a block with layers of its own. Of a block
        each integer is tried out.
        """
        top = self.tops[id(layer)]
        if top is layer:
            return ("filters" if hasattr(layer, "filters") else "units",)
        for place, value in _leaves_of(top.get_config()):
            if value == size and _is_size_of(top, layer, place, size):
                return place
        return None

    def _numbered(self):
        sizes = {path: source.size for path, source in self.sources.items()}
        for channels in self.flow.known.values():
            for path, rows in channels.pairs:
                last = int(rows.max(initial=-1))
                sizes[path] = max(sizes.get(path, 0), last + 1)
        slices, start = {}, 0
        for path, size in sizes.items():
            slices[path] = slice(start, start + size)
            start += size
        return slices, start

    # What they put out.

    def _found_ranges(self, batches):
        """Returns the least and largest values of entries, by tensor."""
        names = {x for each in self.flow.readings for x in each.tensors}
        for name, channels in self.flow.known.items():
            if channels.pairs:
                names |= {x.name for x in self._factors(name)}
        names = sorted(name for name in names if name in self.flow.known)
        specs = self.traced.specs

        @tf.function(autograph=False)
        def call(*inputs):
            self.model(
                keras.tree.pack_sequence_as(specs, inputs), training=False
            )
            found = {}
            for name in names:  # as in the graph that was followed
                x = tf.compat.v1.get_default_graph().get_tensor_by_name(name)
                if x.dtype.is_floating:
                    axes = [*range(x.shape.rank - 1)]
                    x = tf.cast(x, tf.float64)
                    found[name] = tf.reduce_min(x, axes), tf.reduce_max(x, axes)
            return found

        flat, ranges = keras.tree.flatten(specs), {}
        in_graph = call.get_concrete_function(*flat)
        for inputs in batches:
            given = [
                tf.cast(x, spec.dtype) if x.dtype != spec.dtype else x
                for x, spec in zip(
                    keras.tree.flatten(inputs), flat, strict=True
                )
            ]
            for name, (low, high) in in_graph(*given).items():
                least, most = ranges.get(name, (np.inf, -np.inf))
                ranges[name] = np.minimum(least, low), np.maximum(most, high)
        return ranges

    def _factors(self, name):
        """Returns the tensors of units where a 0 makes a tensor 0."""
        op = self._graph.get_tensor_by_name(name).op
        taken = []
        if op.type == "Mul":
            taken = op.inputs
        elif op.type == "RealDiv":
            taken = op.inputs[:1]
        elif op.type == "SelectV2":  # of units or 0, by a mask
            other = tf.get_static_value(op.inputs[2])
            is_zero = other is not None and not np.any(other)
            taken = op.inputs[1:2] if is_zero else []
        return [x for x in taken if self.numbers_in(x) is not None]

    def _found_fixed(self):
        """Returns the units that put out the same whatever the inputs are."""
        fixed = np.zeros(self.size, bool)
        kernels, calls = {}, collections.defaultdict(list)
        for reading in self.flow.readings:
            calls[reading.path] += reading.calls
        for path, source in self.sources.items():
            if layer_kinds.gates(source.layer):
                fixed[self.of(path)] = not source.pinned and _stays_zero(
                    source.layer
                )
            elif isinstance(source.layer, _OTHER_SOURCES):
                kernel, axis, _ = source.cuts[0]
                values = np.moveaxis(self.weights[id(kernel)] != 0, axis, -1)
                values = values.reshape(-1, source.size)
                fixed[self.of(path)] = ~values.any(axis=0)
            elif not source.pinned:
                values = self.weights[id(source.cuts[0][0])] != 0
                kernels[path] = values.reshape(-1, *values.shape[-2:]).any(0)
        paths = activations.kernel_paths(self.model)
        while True:
            before = fixed.copy()
            for path, weighs in kernels.items():
                depends = np.zeros(len(weighs), bool)
                for channels in calls[paths[path]]:
                    depends |= ~self._all_fixed(channels, fixed)
                if not calls[paths[path]]:
                    depends[:] = True
                fixed[self.of(path)] = ~weighs[depends].any(axis=0)
            if (fixed == before).all():
                return fixed

    def _all_fixed(self, channels, fixed):
        """Returns the entries in which there are units, and all are fixed."""
        numbers = self.numbers(channels)
        if not numbers or channels.nameless:
            return np.zeros(len(numbers[0]) if numbers else 1, bool)
        known = np.append(fixed, True)
        is_unit = np.any([each >= 0 for each in numbers], axis=0)
        return np.all([known[each] for each in numbers], axis=0) & is_unit

    def _fixed_entries(self, name):
        """Returns the entries of a tensor that do not depend on the inputs."""
        fixed = self._all_fixed(self.flow.known[name], self._fixed)
        for x in self._factors(name):  # whatever a zero is multiplied with
            if x.name in self._ranges and x.shape[-1] == len(fixed):
                low, high = self._ranges[x.name]
                fixed |= self._fixed_entries(x.name) & (low == 0) & (high == 0)
        op = self._graph.get_tensor_by_name(name).op
        passes = (
            *layer_kinds.ONE_BY_ONE_OPS,
            *layer_kinds.REDUCTION_OPS,
            *layer_kinds.RESHAPE_OPS,
        )
        taken = [
            x
            for x in (op.inputs if op.type in passes else [])
            if (known := self.flow.known.get(x.name))
            and (known.pairs or known.nameless)
        ]
        before = [self._fixed_entries(x.name) for x in taken]
        if len(before) == 1 and len(fixed) % len(before[0]) == 0:
            times = len(fixed) // len(before[0])
            if times == 1 or op.type in layer_kinds.RESHAPE_OPS:
                fixed |= np.tile(before[0], times)
        return fixed

    def _constants(self, name):
        """Returns which entries are fixed, which are even, and their values."""
        fixed = self._fixed_entries(name)
        if name not in self._ranges:
            return fixed, np.zeros_like(fixed), np.zeros(len(fixed))
        low, high = self._ranges[name]
        dtype = self._graph.get_tensor_by_name(name).dtype
        close = _EQUAL_HALF if dtype.size < 4 else _EQUAL
        close *= _MORE if self._several else 1
        size = np.maximum(np.abs(low), np.abs(high))
        even = fixed & (high - low <= close * size)
        return fixed, even, np.where(even, (low + high) / 2, 0.0)

    # Who reads them.

    def _found_reads(self):
        variables = {
            path: weight.variable
            for path, weight in model_weights.model_weights(self.model).items()
        }
        for reading in self.flow.readings:
            kernel = variables[reading.path]
            layer = _holder(reading.layer, kernel)
            path = self._paths.get(
                id(layer), ("", *layer_names.around(reading.path))[-1]
            )
            for name, channels in zip(
                reading.tensors, reading.calls, strict=True
            ):
                if channels.pairs:
                    yield _Read(
                        path,
                        layer,
                        kernel,
                        reading.axis,
                        self.numbers(channels),
                        *self._constants(name),
                    )
        for path, source in self.sources.items():
            if layer_kinds.gates(source.layer):  # which reads its own units
                units = np.arange(self.size)[self.of(path)]
                fixed = self._fixed[units]
                yield _Read(
                    path,
                    source.layer,
                    source.layer.cell.recurrent_kernel,
                    -2,
                    [units],
                    fixed,
                    fixed,
                    np.zeros(len(units)),
                )

    def _found_groups(self):
        """Returns the number of the group of each unit."""
        together = [self.numbers(x) for x in self.flow.known.values()]
        by_weight = collections.defaultdict(list)  # read by the same weights
        for read in self.reads:
            by_weight[id(read.kernel), read.axis] += read.units
        for layer, _, result in self.traced.calls:
            if isinstance(layer, keras.layers.Bidirectional):
                both = (layer.forward_layer, layer.backward_layer)
                paths = [self._paths[id(each)] for each in both]
                if all(path in self.sources for path in paths):
                    every = np.arange(self.size)  # of one size, says Keras
                    together.append([every[self.of(path)] for path in paths])
            inner = _inner(layer)
            if keras_private.own_variables(inner):
                for x in keras.tree.flatten(result):
                    by_weight[id(inner)] += self.numbers_in(x) or []
        pairs = [np.zeros((2, 0), int)]
        for numbers in (*together, *by_weight.values()):
            pairs += _neighbors(numbers)
        ones, others = np.concatenate(pairs, axis=1)
        matrix = coo_array(
            (np.ones(len(ones), bool), (ones, others)), (self.size,) * 2
        )
        return csgraph.connected_components(matrix, directed=False)[1]


class _Going:
    """Which units of a model go.

    Args:
        parts: `_Parts`.
        units: As in `shrink`.
        round_to: As in `shrink`.

    Attributes:
        gone: Bool array, a value for each unit.
        heads: Dict from the path of an attention layer to a bool array, those
            of its heads that go.
        stays: As in `Shrunk`, but counters.

    Raises:
        ValueError: If a layer has no unit left.
    """

    def __init__(self, parts, units, round_to):
        self._parts = parts
        self._cuts = collections.defaultdict(list)
        for path, source in parts.sources.items():
            for variable, axis, repeats in source.cuts:
                self._cuts[id(variable)].append((path, axis, repeats))
        self.gone = np.zeros(parts.size, bool)
        self.stays = collections.defaultdict(collections.Counter)
        self.heads = self._idle_heads(units)
        self._choose(units)
        self._round(round_to)
        self._tell(units)
        for path, flags in [
            *((path, self.gone[parts.of(path)]) for path in parts.sources),
            *self.heads.items(),
        ]:
            if flags.all():
                raise ValueError(
                    f"The layer {path!r} of {parts.model.name!r} would have no "
                    "unit left: keep one at least."
                )

    def counts(self):
        """Returns the numbers of units and heads before and after."""
        parts = self._parts
        found = {
            path: (source.size, int((~self.gone[parts.of(path)]).sum()))
            for path, source in parts.sources.items()
        }
        for path, layer in parts.heads.items():
            idle = self.heads.get(path, np.zeros(layer.num_heads, bool))
            found[path] = len(idle), int((~idle).sum())
        return found

    def _choose(self, units):
        parts = self._parts
        may_go = np.full(parts.size, units is None)
        for path, flags in (units or {}).items():
            if path in parts.sources:
                may_go[parts.of(path)] = flags
        due = np.zeros(parts.groups.max(initial=-1) + 1, bool)
        due[parts.groups[may_go]] = True
        while True:
            hard, soft = self._needs()
            goes = due.copy()
            goes[parts.groups[[*hard, *soft]]] = False
            found = goes[parts.groups]
            if (found == self.gone).all():
                break
            self.gone = found
        due[parts.groups[[*hard]]] = False
        self._hand_over(soft, due)

    def _hand_over(self, soft, due):
        """Lets units go whose constants other units can stand for.

        Args:
            soft: Dict from the numbers of units that stay for their constants
                alone.
            due: Bool array, the groups of which no unit is needed otherwise.
        """
        parts, reads = self._parts, collections.defaultdict(list)
        size = collections.defaultdict(float)  # of a group: its least constant
        for read in parts.reads:
            if _pads(read.layer):
                for units in read.units:
                    for i in np.flatnonzero(read.even & (read.values != 0)):
                        if units[i] >= 0:
                            group = int(parts.groups[units[i]])
                            reads[group].append(id(read.kernel))
                            value = abs(read.values[i])
                            size[group] = min(size.get(group, np.inf), value)
        chosen = {int(parts.groups[number]) for number in soft}
        kept = set()  # ids of kernels that read a constant that stays
        for group in sorted(chosen, key=lambda each: -size[each]):
            if not due[group] or not kept.issuperset(reads[group]):
                kept.update(reads[group])
            else:
                self.gone[parts.groups == group] = True

    def _needs(self):
        """Returns why units stay.

        Returns:
            Two dicts from the number of a unit to a reason, or to "" if it is
            read as any other: those that stay, and those that stay for a
            constant that can't be folded.
        """
        parts, hard, soft = self._parts, {}, {}

        def need(units, reason, needed=hard):
            for each in units:
                for number in np.unique(each[each >= 0]):
                    needed.setdefault(int(number), reason)

        every = np.arange(parts.size)
        for x in parts.traced.outputs:
            need(parts.numbers_in(x) or (), "they are outputs of the model")
        for path, reason in parts.flow.mixed.items():
            if path in parts.paths():
                need([every[parts.of(path)]], f"they reach {reason}")
        for layer, inputs, _ in parts.traced.calls:
            if isinstance(_inner(layer), keras.layers.Masking):
                taken = keras.tree.flatten(inputs)[0]
                reason = f"{parts.name(layer)} takes its mask from them"
                need(parts.numbers_in(taken) or (), reason)
        for path in parts.paths():
            reason = parts.why_pinned(path)
            if reason:
                need([every[parts.of(path)]], reason)
        for read in parts.reads:
            top, name = parts.tops.get(id(read.layer)), repr(read.path)
            if read.axis is None:
                need(read.units, f"{name} reads them in groups")
            elif isinstance(top, keras.layers.GroupQueryAttention):
                need(read.units, f"{parts.name(top)} puts out as many")
            else:
                heard = self._heard(read)
                uneven = heard & read.fixed & ~read.even
                need([x[heard & ~read.fixed] for x in read.units], "")
                need(
                    [x[uneven] for x in read.units],
                    f"what they put out gets to {name} as a constant, but "
                    "not the same everywhere",
                )
                constant = heard & read.even & (read.values != 0)
                constant = [x[constant] for x in read.units]
                told = f"what they put out is constant and not 0, and {name}"
                reason = self._why_not_folded(read)
                if reason:
                    need(constant, f"{told} {reason}")
                elif _pads(read.layer):
                    need(constant, f"{told} pads with 0", soft)
        return hard, soft

    def _heard(self, read):
        """Returns the entries of which a weight leads to a unit that stays."""
        live = self._parts.weights[id(read.kernel)] != 0
        cuts = self._cuts[id(read.kernel)]
        for path, axis, repeats in cuts:
            if axis != read.axis:
                keep = ~self.gone[self._parts.of(path)]
                live = live & _aligned(np.tile(keep, repeats), axis, live.ndim)
                if (path, read.axis, 1) in cuts:  # no use in hearing itself
                    live &= ~np.tile(np.eye(len(keep), dtype=bool), repeats)
        axis = read.axis % live.ndim
        return live.any(axis=tuple(i for i in range(live.ndim) if i != axis))

    def _why_not_folded(self, read):
        """Returns why a layer can't take constants in, or ""."""
        layer, parts = read.layer, self._parts
        if read.kernel is not _kernel(layer):
            return "weighs it in a way of its own"
        if not layer.use_bias and parts.tops.get(id(layer)) is not layer:
            return "has no bias"
        others = [x.values for x in parts.reads if x.kernel is read.kernel]
        if not all(np.allclose(x, read.values) for x in others):
            return "reads others in another call"
        return ""

    def _round(self, round_to):
        parts, is_done = self._parts, round_to == 1
        before = self.gone.copy()
        while not is_done:
            is_done = True
            for path in parts.sources:
                goes = self.gone[parts.of(path)]
                if goes.any() and (~goes).sum() % round_to:
                    number = parts.of(path).start + int(np.argmax(goes))
                    self.gone[parts.groups == parts.groups[number]] = False
                    is_done = False
        self._returned = before & ~self.gone

    def _tell(self, units):
        """Says why units stay that were to go."""
        parts = self._parts
        hard, soft = self._needs()
        reasons = {**soft, **hard}
        of_group = {}
        for number, reason in reasons.items():
            group = parts.groups[number]
            of_group[group] = of_group.get(group) or reason
        for path in {*(units or {})} - {*parts.sources, *parts.heads}:
            count = int(units[path].sum())
            if count:
                self.stays[path]["no unit is taken out of such a layer"] = count
        for path, source in parts.sources.items():
            due = parts.constant(path)
            if units is not None:
                due = units.get(path, np.zeros(source.size, bool))
            for unit in np.flatnonzero(due & ~self.gone[parts.of(path)]):
                number = parts.of(path).start + int(unit)
                reason = (
                    reasons.get(number)
                    or of_group.get(parts.groups[number])
                    or "they share their places with units that are kept"
                )
                if self._returned[number]:
                    reason = "`round_to` asks for them"
                self.stays[path][reason] += 1

    def _idle_heads(self, units):
        """Returns which of the heads that may go add nothing, or a constant."""
        parts, found = self._parts, {}
        for path, layer in parts.heads.items():
            weighs = parts.weights[id(layer.value_dense.kernel)] != 0
            is_read = parts.weights[id(layer.output_dense.kernel)] != 0
            is_read = is_read.reshape(len(is_read), -1).any(axis=1)
            idle = ~(weighs.any(axis=(0, 2)) & is_read)
            if units is not None:
                idle &= units.get(path, np.zeros_like(idle))
            reason = parts.why_heads_stay(layer)
            if not reason:
                found[path] = idle
            elif idle.any():
                self.stays[path][reason] += int(idle.sum())
        return found


class _Cuts:
    """The weights and configs of a model without some units."""

    def __init__(self, parts, going):
        self._parts, self._gone = parts, going.gone
        self._keeps = collections.defaultdict(dict)  # of a variable, by axis
        self._variables, self._values = {}, {}
        self._configs, self._biases = {}, {}
        for path, source in parts.sources.items():
            keep = ~going.gone[parts.of(path)]
            if not keep.all():
                self._change(source.layer, source.place, int(keep.sum()))
                for variable, axis, repeats in source.cuts:
                    self._cut(variable, axis, np.tile(keep, repeats))
        for path, idle in going.heads.items():
            if idle.any():
                self._cut_heads(parts.heads[path], idle)
        self._cut_readers()
        self._cut_between()

    def made(self, batches):
        """Returns the smaller model, compared with the larger one."""
        values = {
            key: self._part(variable, self._value(variable))
            for key, variable in self._variables.items()
        }
        return copying.resized(
            self._parts.model, self._configs, values, self._biases, batches
        )

    def _value(self, variable):
        """Returns the values of a variable, which may be changed."""
        self._variables[id(variable)] = variable
        if id(variable) not in self._values:
            before = self._parts.weights[id(variable)]
            self._values[id(variable)] = before.astype("float64")
        return self._values[id(variable)]

    def _part(self, variable, value):
        """Returns the part of a variable's values that stays."""
        for axis, keep in self._keeps[id(variable)].items():
            value = np.compress(keep, value, axis)
        return value.astype(self._parts.weights[id(variable)].dtype)

    def _cut(self, variable, axis, keep):
        self._variables[id(variable)] = variable
        axis = axis % len(variable.shape)
        before = self._keeps[id(variable)].get(axis, True)
        self._keeps[id(variable)][axis] = before & keep

    def _change(self, layer, place, value):
        """Changes a setting of the layer of the graph that holds a layer."""
        top = self._parts.tops[id(layer)]
        if id(top) not in self._configs:
            self._configs[id(top)] = copy.deepcopy(top.get_config())
        _set(self._configs[id(top)], place, value)

    def _cut_readers(self):
        done = set()
        for read in self._parts.reads:
            goes = _any_of(read.units, self._gone)
            if not goes.any() or id(read.kernel) in done:
                continue
            done.add(id(read.kernel))
            self._fold(read, goes)
            for variable in keras_private.own_variables(read.layer):
                if variable.shape == read.kernel.shape:  # a mask of ours, say
                    self._cut(variable, read.axis, ~goes)
            self._cut(read.kernel, read.axis, ~goes)
            if isinstance(read.layer, layer_kinds.SEPARABLE):
                keep = (~goes).repeat(read.layer.depth_multiplier)
                self._cut(read.layer.pointwise_kernel, -2, keep)
            top = self._parts.tops.get(id(read.layer))
            if isinstance(top, keras.layers.MultiHeadAttention):
                shape = tuple(top.output_dense.kernel.shape[2:])
                self._change(top, ("output_shape",), shape)

    def _fold(self, read, goes):
        """Adds constants of units that go to a bias, or to one that stays."""
        constant = read.even & (read.values != 0)
        if not (goes & constant).any() or read.kernel is not _kernel(
            read.layer
        ):
            return
        layer, kernel = read.layer, self._value(read.kernel)
        values = np.where(goes & constant, read.values, 0.0)
        lost = kernel * _aligned(values, read.axis, kernel.ndim)
        if _pads(layer):
            stays = np.where(constant & ~goes, np.abs(read.values), 0.0)
            index = int(np.argmax(stays))
            if stays[index]:
                kernel[..., index, :] += lost.sum(-2) / read.values[index]
            return
        lost = lost.reshape(-1, lost.shape[-1]).sum(axis=0)
        if layer.use_bias:
            bias = self._value(getattr(layer, "cell", layer).bias)
            rows = bias if bias.ndim == 1 else bias[0]  # a GRU has two
            rows += lost
        else:
            self._change(layer, ("use_bias",), True)
            keep = self._keeps[id(read.kernel)].get(kernel.ndim - 1, True)
            self._biases[id(layer)] = lost[np.broadcast_to(keep, lost.shape)]

    def _cut_heads(self, layer, idle):
        self._change(layer, ("num_heads",), int((~idle).sum()))
        output = layer.output_dense
        if layer.value_dense.bias is not None:  # attention adds up to 1
            constant = np.tensordot(
                self._value(layer.value_dense.bias)[idle],
                self._value(output.kernel)[idle],
            )
            bias = self._value(output.bias)
            bias += constant
        self._cut(output.kernel, 0, ~idle)
        for dense in (layer.query_dense, layer.key_dense, layer.value_dense):
            for variable in keras_private.own_weights(dense):
                self._cut(variable, -2, ~idle)

    def _cut_between(self):
        """Cuts the weights of layers through which units pass."""
        parts = self._parts
        done = {id(_holder(read.layer, read.kernel)) for read in parts.reads}
        for layer, inputs, result in parts.traced.calls:
            numbers = parts.numbers_in(result)
            if id(_inner(layer)) in done or numbers is None:
                continue
            done.add(id(_inner(layer)))
            goes = _any_of(numbers, self._gone)
            if not goes.any():
                continue
            inner = _inner(layer)
            if not _is_by_unit(inner, len(keras.tree.flatten(result)[0].shape)):
                continue
            own = keras_private.own_variables(inner)
            target = getattr(layer, "target_shape", (-1,))  # of a Reshape
            if target[-1] != -1:
                shape = (*target[:-1], int((~goes).sum()))
                self._change(layer, ("target_shape",), shape)
            if isinstance(layer, layer_kinds.DEPTHWISE):
                before = parts.numbers_in(keras.tree.flatten(inputs)[0])
                self._cut(layer.kernel, -2, ~_any_of(before, self._gone))
                own = own[1:]  # its bias
            for variable in own:
                is_alike = tuple(variable.shape)[-1:] == goes.shape
                if is_alike and "float" in variable.dtype:
                    self._cut(variable, -1, ~goes)


def _tops(model):
    """Yields the id of each layer and the layer of the graph that holds it."""
    for each in getattr(model, "operations", model.layers):
        if isinstance(each, _GRAPHS):
            yield from _tops(each)
        elif isinstance(each, keras.layers.Layer):
            for inner in keras_private.all_layers(each):
                yield id(inner), each


def _why_pinned(layer):
    """Returns why no unit can be taken out of a layer, or ""."""
    if getattr(layer, "lora_enabled", False):
        return "their layer has LoRA"
    if getattr(layer, "quantization_mode", None):
        return "their layer is quantized"
    if getattr(layer, "groups", 1) > 1:
        return "their layer is a grouped convolution"
    if getattr(layer, "stateful", False):
        return "their layer keeps its state"
    if getattr(layer, "return_state", False):
        return "their layer returns its state"
    return ""


def _leaves_of(config, place=()):
    """Yields the places in a config, as tuples of keys, and what is there."""
    if isinstance(config, Mapping):
        items = config.items()
    elif isinstance(config, (list, tuple)):
        items = enumerate(config)
    else:
        yield place, config
        return
    for key, value in items:
        yield from _leaves_of(value, (*place, key))


def _set(config, place, value):
    """Sets a value at a place in a config."""
    for key in place[:-1]:
        config = config[key]
    config[place[-1]] = value


def _is_size_of(top, layer, place, size):
    """Returns if a place in a config is the size of one layer inside alone."""
    config = copy.deepcopy(top.get_config())
    try:
        _set(config, place, size + 1)
        made = type(top).from_config(copying.unbuilt(config))
        if not made.built:
            made.build_from_config(top.get_build_config())
        pairs = zip(
            keras_private.all_layers(top),
            keras_private.all_layers(made),
            strict=True,
        )
        changed = {id(old) for old, new in pairs if _size(old) != _size(new)}
    except Exception:  # whatever a layer says to another setting
        return False
    inside = {id(x) for x in keras_private.all_layers(layer)}
    return id(layer) in changed and changed <= inside


def _size(layer):
    return getattr(layer, "filters", getattr(layer, "units", None))


def _inner(layer):
    while isinstance(layer, keras.layers.TimeDistributed):
        layer = layer.layer
    return layer


def _is_by_unit(layer, rank):
    """Returns if a layer's weights are of units, not of another axis."""
    axes = keras.tree.flatten(getattr(layer, "axis", -1))
    is_norm = isinstance(layer, layer_kinds.NORMALIZATIONS)
    return not is_norm or any(axis in (-1, rank - 1) for axis in axes)


def _stays_zero(layer):
    """Returns which units of a recurrent layer are 0 at all times.

    Those whose candidate for the next state is 0.
    """
    cell, units = layer.cell, layer.units
    start = layer_kinds.candidate(layer) * units
    weights = [cell.kernel, cell.recurrent_kernel]
    weights += [cell.bias] if cell.use_bias else []
    zero = np.full(units, layer_kinds.stays_at_zero(layer))
    for variable in weights:
        block = variable.numpy()[..., start : start + units]
        zero &= (block == 0).reshape(-1, units).all(axis=0)
    return zero


def _kernel(layer):
    """Returns the kernel with which a layer weighs its inputs, or `None`."""
    if layer_kinds.gates(layer):
        return layer.cell.kernel
    is_neuronal = activations.is_neuronal(layer)
    return keras_private.kernel(layer) if is_neuronal else None


def _holder(layer, kernel):
    """Returns the layer inside of a wrapper that has a kernel."""
    for inner in keras_private.all_layers(layer):
        if _kernel(inner) is kernel:
            return inner
    return layer


def _pads(layer):
    """Returns if a layer reads zeros beside its input."""
    is_conv = isinstance(layer, layer_kinds.CONVOLUTIONS)
    is_wide = is_conv and math.prod(layer.kernel_size) > 1
    return is_wide and layer.padding != "valid"


def _any_of(numbers, gone):
    """Returns the entries of which a unit goes."""
    known = np.append(gone, False)
    return np.any([known[each] for each in numbers], axis=0)


def _neighbors(numbers):
    """Returns pairs of the units that share an entry, as arrays `(2, n)`."""
    pairs, last = [], None
    for each in numbers:
        if last is not None and len(last) == len(each):
            both = (last >= 0) & (each >= 0)
            pairs.append(np.stack([last[both], each[both]]))
            each = np.where(each >= 0, each, last)
        last = each
    return pairs


def _aligned(values, axis, rank):
    """Returns values of one axis in a shape that goes with an array."""
    shape = [1] * rank
    shape[axis] = -1
    return np.reshape(values, shape)

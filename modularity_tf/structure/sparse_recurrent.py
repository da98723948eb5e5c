"""SparseRecurrent: recurrent modules joined by sparse connections."""

import inspect
import itertools
import types
from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np
from keras import ops, tree

from modularity_tf import checks
from modularity_tf.network import keras_private
from modularity_tf.structure import rewiring, sparse_dense

_UNROLLED = 32  # steps, by default


@keras.saving.register_keras_serializable(package="modularity_tf")
class SparseRecurrent(keras.layers.Layer):
    """Recurrent modules, each with its own input, joined by sparse links.

    Module n is a Keras cell. Beside its own input x it gets the states h of
    the other modules m, one step earlier, through sparse weights:

        cell_n(x_n W_n + sum over m of h_m W_mn, own states)

    The sum takes the place of the product of input and kernel inside the cell.
    For a `SimpleRNNCell` that is equation 3 of the paper; for a `GRUCell` or
    `LSTMCell` links reach the gates. Of `StackedRNNCells` the first one is
    reached, and the last one's h is sent. Links exist for every ordered pair
    of modules; train them with `DeepR`.

    Each link starts uniform within `link_scale`. Dropout of a cell drops its
    own inputs and states, not what links carry. Where the Keras mask of a
    module's input is False, of a padded step say, that module's states stay
    as they are, as in `keras.layers.RNN`; the others go on and see them.

    >>> from modularity_tf import layers
    >>> cells = [keras.layers.SimpleRNNCell(5), keras.layers.GRUCell(4)]
    >>> joined = layers.SparseRecurrent(cells, connections=3, steps=2)
    >>> [states.shape for states in joined([images, images])]
    [TensorShape([1797, 5]), TensorShape([1797, 4])]

    Args:
        cells: List of two or more Keras cells with a `kernel` for their input
            and one state `h` first: `SimpleRNNCell`, `GRUCell`, `LSTMCell`,
            `StackedRNNCells` of these, or alike.
        connections: Active connections from each module to each other one: an
            int, the number itself, or a float in (0, 1], a fraction of all. So
            1 is one connection and 1.0 is all of them.
        steps: Positive int, for inputs that do not change over time: how many
            steps they are shown. `None` for inputs that are sequences.
        return_sequences: Bool. Whether to return every step's states h.
        return_state: Bool. Whether to return all last states besides.
        stateful: Bool. Whether a batch starts from the last states of the one
            before. `reset_state` makes them 0 again.
        unroll: Bool. Whether to unroll the loop over time: faster, slower to
            trace, and only for a known number of steps. `None` unrolls up to
            32 of them.
        link_scale: Positive float, bound of the strengths at which links start.
        dormant_gradients: Bool. That of the links, see `SparseDense`.
        links_into: What links add to: "input", the product of input and
            kernel, as above, or "state", the module's own state h before its
            recurrent weights see it: h_n + sum over m of h_m W_mn.
        seed: Int in [0, 2**31) or `None`. The same seed draws the same links.

    Call arguments:
        inputs: List or tuple of float tensors, one for each module, or a dict
            of them by the cells' names. Of shape `(batch, features)` with
            `steps`, else `(batch, time, features)`.
        initial_state: States to start from, for each module a list of tensors
            `(batch, units)`, structured like `inputs`. By default 0, or with
            `stateful` the last ones.
        mask: Boolean tensors `(batch, time)`, structured like `inputs`, `None`
            for a module without a mask. By default the Keras masks of the
            inputs, as `Masking` or `Embedding(mask_zero=True)` set them.
        training: Bool. Whether cells drop.

    Returns:
        Float tensors, structured like `inputs`: the last states h, of shape
        `(batch, units)`, or `(batch, time, units)` for all. With
        `return_state` a pair of that and the states, structured like
        `initial_state`.

    Raises:
        ValueError: If an argument is out of its range, or inputs do not fit.

    References:
        - [Bena & Goodman, 2021](https://arxiv.org/abs/2106.02626),
          equation 3. Differs from the paper: one bias for each module in place
          of the sum of two.
    """

    def __init__(
        self,
        cells: Sequence[keras.layers.Layer],
        connections: float,
        *,
        steps: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        stateful: bool = False,
        unroll: bool | None = None,
        link_scale: float = 0.1,
        dormant_gradients: bool = False,
        links_into: Literal["input", "state"] = "input",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        _check_cells(cells)
        if links_into not in ("input", "state"):
            raise ValueError(
                f'`links_into` must be "input" or "state", got {links_into!r}.'
            )
        if steps is not None:
            steps = checks.integer("steps", steps, least=1)
        link_scale = checks.number("link_scale", link_scale, above=True)
        super().__init__(**kwargs)
        self.cells = list(cells)
        rewiring.check_connections(connections)
        self.connections = connections
        self.steps = steps
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.stateful = stateful
        self.unroll = unroll
        self.link_scale = link_scale
        self.dormant_gradients = dormant_gradients
        self.links_into = links_into
        self.seed = checks.seed(seed)
        self.supports_masking = True
        # As in Keras, last states are no weights: hidden from the tracker.
        self._kept = types.SimpleNamespace(states=None)

    def build(self, inputs_shape, initial_state_shape=None):
        shapes = self._check_inputs(inputs_shape)
        for cell, shape in zip(self.cells, shapes, strict=True):
            if not cell.built:  # a loaded one is
                cell.build((shape[0], shape[-1]))
            if not hasattr(_parts(cell)[0], "kernel"):
                raise ValueError(
                    f"`cells` must have a `kernel` for their input, got {cell}."
                )
        pairs = [*itertools.permutations(range(len(self.cells)), 2)]
        drawn = np.random.SeedSequence(self.seed).generate_state(2 * len(pairs))
        drawn = (drawn // 2).reshape(-1, 2).tolist()  # below 2 ** 31
        self._links = []
        for (source, target), (seed, weight_seed) in zip(pairs, drawn):
            entry = _parts(self.cells[target])[0]
            is_state = self.links_into == "state"
            link = sparse_dense.SparseDense(
                _units(entry) if is_state else entry.kernel.shape[-1],
                self.connections,
                use_bias=False,
                kernel_initializer=keras.initializers.RandomUniform(
                    -self.link_scale, self.link_scale, weight_seed
                ),
                dormant_gradients=self.dormant_gradients,
                seed=seed,
                dtype=self.dtype_policy,
                name=f"link_{source}_{target}",
            )
            link.build((None, _units(self.cells[source])))
            self._links.append(link)
        if self.stateful:
            self._keep_states(shapes)

    def link(self, source: int, target: int) -> sparse_dense.SparseDense:
        """Returns the `SparseDense` from one module to another, by number."""
        pairs = [*itertools.permutations(range(len(self.cells)), 2)]
        if (source, target) not in pairs:
            raise ValueError(
                f"`source, target` must be one of {pairs}, got "
                f"{(source, target)!r}."
            )
        return self._links[pairs.index((source, target))]

    def get_initial_state(self, batch_size: int) -> list[list[Any]]:
        """Returns the states at the start, a list of tensors a module."""
        return [
            [
                ops.zeros((batch_size, size), self.compute_dtype)
                for size in tree.flatten(cell.state_size)
            ]
            for cell in self.cells
        ]

    def reset_state(self) -> None:
        """Makes the states 0 that a stateful layer has kept."""
        for state in tree.flatten(self._kept.states or []):
            state.assign(ops.zeros_like(state))

    def call(self, inputs, initial_state=None, mask=None, training=False):
        xs = self._by_module("inputs", inputs)
        masks = self._check_masks(xs, mask)
        batch_size = ops.shape(xs[0])[0]
        states = self._start(initial_state, xs[0])
        for cell in self.cells:
            _draw_dropout(cell, batch_size, self.compute_dtype)
        step = _Step(self, training)
        # Inputs do not depend on states, so one product serves all steps.
        xs = [_project(cell, x, training) for cell, x in zip(self.cells, xs)]
        if self.steps:
            step.constant = xs
            time = self.steps
            sequences = ops.zeros((batch_size, time, 1), self.compute_dtype)
        else:
            time = _first_known(x.shape[1] for x in xs)
            step.masked = [m is not None for m in masks]
            columns = [
                ops.cast(ops.expand_dims(m, -1), self.compute_dtype)
                for m in masks
                if m is not None
            ]
            sequences = ops.concatenate([*xs, *columns], -1)
        unroll = self.unroll
        if unroll is None:
            unroll = time is not None and time <= _UNROLLED
        loop = keras.layers.RNN(
            step,
            return_sequences=self.return_sequences,
            return_state=True,
            unroll=unroll,
            dtype=self.dtype_policy,
            name="loop",
        )
        outputs, *states = loop.call(sequences, tree.flatten(states))
        states = _split(states, self._counts())
        for cell in self.cells:
            _forget_dropout(cell)
        if self.stateful:
            for kept, state in zip(
                tree.flatten(self._kept.states), tree.flatten(states)
            ):
                kept.assign(state)
        if self.return_sequences:
            units = [_units(cell) for cell in self.cells]
            outputs = ops.split(outputs, np.cumsum(units)[:-1].tolist(), -1)
        else:
            outputs = [
                state[_sent(cell)] for cell, state in zip(self.cells, states)
            ]
        outputs = self._like(inputs, outputs)
        if self.return_state:
            return outputs, self._like(inputs, states)
        return outputs

    def compute_mask(self, inputs, mask=None):
        masks = [None] * len(self.cells)
        if self.return_sequences:
            masks = self._check_masks(self._by_module("inputs", inputs), mask)
        masks = self._like(inputs, masks)
        if self.return_state:
            none = [[None] * count for count in self._counts()]
            return masks, self._like(inputs, none)
        return masks

    def compute_output_shape(self, inputs_shape, initial_state_shape=None):
        shapes = self._check_inputs(inputs_shape)
        batch_size = shapes[0][0]
        steps = self.steps or _first_known(shape[1] for shape in shapes)
        steps = (steps,) * self.return_sequences
        outputs = [(batch_size, *steps, _units(cell)) for cell in self.cells]
        outputs = self._like(inputs_shape, outputs)
        if not self.return_state:
            return outputs
        states = [
            [(batch_size, size) for size in tree.flatten(cell.state_size)]
            for cell in self.cells
        ]
        return outputs, self._like(inputs_shape, states)

    def get_config(self):
        config = {
            "cells": [
                keras.saving.serialize_keras_object(cell) for cell in self.cells
            ],
            "connections": self.connections,
            "steps": self.steps,
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "stateful": self.stateful,
            "unroll": self.unroll,
            "link_scale": self.link_scale,
            "dormant_gradients": self.dormant_gradients,
            "links_into": self.links_into,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config):
        cells = config["cells"]
        cells = [keras.saving.deserialize_keras_object(cell) for cell in cells]
        return cls(**{**config, "cells": cells})

    def _by_module(self, name, values):
        """Returns a list, in the order of the cells, of what they are given."""
        names = [cell.name for cell in self.cells]
        if isinstance(values, dict) and sorted(values) == sorted(set(names)):
            values = [values[name] for name in names]
        is_list = isinstance(values, (list, tuple))
        if not is_list or len(values) != len(names):
            raise ValueError(
                f"`{name}` must be a list of {len(names)}, one for each "
                f"module, a tuple, or a dict by the cells' names {names}, got "
                f"{values!r}."
            )
        return list(values)

    def _like(self, inputs, values):
        """Returns the modules' values, structured like the inputs."""
        if isinstance(inputs, dict):
            names = [cell.name for cell in self.cells]
            return dict(zip(names, values, strict=True))
        return tuple(values) if isinstance(inputs, tuple) else values

    def _check_inputs(self, inputs_shape):
        """Returns the shape of each module's input."""
        shapes = self._by_module("inputs", inputs_shape)
        rank = 2 if self.steps else 3
        fits = all(
            isinstance(shape, (list, tuple)) and len(shape) == rank
            for shape in shapes
        )
        if fits and not self.steps:
            fits = len({shape[1] for shape in shapes} - {None}) <= 1
        if not fits:
            wanted = "features" if self.steps else "time, features"
            raise ValueError(
                f"`inputs` must be a list of {len(shapes)} tensors of shape "
                f"(batch, {wanted}) with as many steps, got {inputs_shape!r}."
            )
        return shapes

    def _check_masks(self, xs, mask):
        """Returns a mask or `None` for each module."""
        if mask is None:  # Keras leaves it so beside an `initial_state`
            masks = [keras_private.get_keras_mask(x) for x in xs]
        else:
            masks = self._by_module("mask", mask)
        ranks = {len(m.shape) for m in masks if m is not None}
        if not ranks <= {2} or (ranks and self.steps):
            raise ValueError(
                f"`mask` must be a list of {len(masks)} tensors of shape "
                "(batch, time) or None, and inputs shown for `steps` have "
                f"none; got {mask!r} with `steps`={self.steps!r}."
            )
        return masks

    def _counts(self):
        """Returns how many states each module has."""
        return [len(tree.flatten(cell.state_size)) for cell in self.cells]

    def _keep_states(self, shapes):
        batch_size = shapes[0][0]
        if batch_size is None:
            raise ValueError(
                "`stateful` needs a fixed batch size, as of "
                f"`keras.Input(batch_size=...)`, got inputs of shape {shapes}."
            )
        self._kept.states = [
            [
                keras.Variable(
                    "zeros",
                    (batch_size, size),
                    self.compute_dtype,
                    trainable=False,
                    name="state",
                )
                for size in tree.flatten(cell.state_size)
            ]
            for cell in self.cells
        ]

    def _start(self, initial_state, x):
        """Returns the states to start from, a list of tensors a module."""
        kept = self._kept.states
        if kept is not None and x.shape[0] not in (None, kept[0][0].shape[0]):
            raise ValueError(
                "`inputs` of a stateful layer must have its batch size, "
                f"{kept[0][0].shape[0]}, got {x.shape[0]}."
            )
        if initial_state is None:
            states = kept or self.get_initial_state(ops.shape(x)[0])
        else:
            states = self._by_module("initial_state", initial_state)
            states = [tree.flatten(state) for state in states]
        counts = [len(state) for state in states]
        if counts != self._counts():
            raise ValueError(
                f"`initial_state` must have {self._counts()} tensors for the "
                f"modules, got {counts}."
            )
        return tree.map_structure(
            lambda state: ops.convert_to_tensor(state, self.compute_dtype),
            states,
        )


class _Step:
    """One step of all modules: the cell that `keras.layers.RNN` runs.

    Its inputs are the modules' projected inputs side by side, then a column
    for each mask; its states are those of all modules.
    """

    def __init__(self, layer, training):
        self.compute_dtype = layer.compute_dtype
        self.state_size = tree.flatten([c.state_size for c in layer.cells])
        self.output_size = sum(_units(cell) for cell in layer.cells)
        self.constant = None  # what arrives at every step, if it is the same
        self.masked = [False] * len(layer.cells)
        self._widths = [_parts(c)[0].kernel.shape[-1] for c in layer.cells]
        self._sent = [_sent(cell) for cell in layer.cells]
        self._into_state = layer.links_into == "state"
        self._sizes = [cell.state_size for cell in layer.cells]
        self._cells = [
            _Projected(cell, training, self.compute_dtype)
            for cell in layer.cells
        ]
        self._links = {
            pair: layer.link(*pair).kernel
            for pair in itertools.permutations(range(len(layer.cells)), 2)
        }

    def __call__(self, inputs, states):
        """Returns the states h side by side, and all new states."""
        arriving, columns = self.constant, iter(())
        if arriving is None:
            ends = np.cumsum(self._widths).tolist()
            *arriving, masks = ops.split(inputs, ends, -1)
            columns = iter(ops.unstack(ops.cast(masks, "bool"), axis=-1))
        states = _split(states, [len(tree.flatten(s)) for s in self._sizes])
        sent = [state[i] for state, i in zip(states, self._sent)]
        new = []
        for n, (cell, state) in enumerate(zip(self._cells, states)):
            carried = sum(
                ops.matmul(h, self._links[m, n])
                for m, h in enumerate(sent)
                if m != n
            )
            total, seen = arriving[n], state
            if self._into_state:
                seen = [state[0] + carried, *state[1:]]
            else:
                total += carried
            nest = tree.pack_sequence_as(self._sizes[n], seen)
            nest = nest if tree.is_nested(nest) else [nest]
            after = tree.flatten(cell(total, nest)[1])
            if self.masked[n]:
                keep = ops.expand_dims(next(columns), -1)
                after = [ops.where(keep, *both) for both in zip(after, state)]
            new.append(after)
        outputs = [state[i] for state, i in zip(new, self._sent)]
        return ops.concatenate(outputs, -1), tree.flatten(new)

    call = __call__


class _Projected:
    """A cell whose input has been multiplied with its kernel already.

    To the cell's own `call` it is the cell, but for an identity kernel, and
    for the dropout of its input, which `_project` does.
    """

    def __init__(self, cell, training, dtype):
        self._cell = cell
        self._training = training
        self.dropout = 0.0
        if isinstance(cell, keras.layers.StackedRNNCells):
            first, *others = cell.cells
            self.cells = [_Projected(first, training, dtype), *others]
        elif not _adds_its_bias(cell):
            self.kernel = ops.eye(cell.kernel.shape[-1], dtype=dtype)

    def __getattr__(self, name):
        return getattr(self._cell, name)

    def get_dropout_mask(self, step_input):
        """Returns `None`, as there is nothing left to drop."""

    def __call__(self, inputs, states):
        """Returns what the cell's `call` returns."""
        kwargs = {}
        if "training" in inspect.signature(self._cell.call).parameters:
            kwargs["training"] = self._training
        if _adds_its_bias(self._cell):
            self.kernel = self._cell.kernel[:0]
            self.bias = inputs + self._cell.bias
            inputs = inputs[:, :0]
        return type(self._cell).call(self, inputs, states, **kwargs)


def _adds_its_bias(cell):
    # What arrives can then come with the bias, which saves the identity.
    return type(cell) is keras.layers.SimpleRNNCell and cell.use_bias


def _project(cell, x, training):
    """Returns the product of a cell's input and kernel, after dropout."""
    entry = _parts(cell)[0]
    masks = entry.get_dropout_mask(x) if _drops(entry) else None
    if masks is None or not training:
        return ops.matmul(x, entry.kernel)
    if not isinstance(masks, list):  # else one for each gate
        masks = [masks]
    if len(x.shape) == 3:
        masks = [ops.expand_dims(mask, 1) for mask in masks]
    kernels = ops.split(entry.kernel, len(masks), axis=1)
    products = [ops.matmul(x * m, k) for m, k in zip(masks, kernels)]
    return ops.concatenate(products, -1)


def _draw_dropout(cell, batch_size, dtype):
    """Draws what cells drop, before the loop: the same at every step."""
    for part in filter(_drops, _parts(cell)):
        inputs = ops.ones((batch_size, part.kernel.shape[0]), dtype)
        states = ops.ones((batch_size, part.units), dtype)
        part.get_dropout_mask(inputs)
        part.get_recurrent_dropout_mask(states)


def _forget_dropout(cell):
    for part in filter(_drops, _parts(cell)):
        part.reset_dropout_mask()
        part.reset_recurrent_dropout_mask()


def _drops(cell):
    return hasattr(cell, "get_dropout_mask")


def _parts(cell):
    """Returns the cells that a cell is made of, in their order."""
    if not isinstance(cell, keras.layers.StackedRNNCells):
        return [cell]
    return [part for inner in cell.cells for part in _parts(inner)]


def _sent(cell):
    """Returns which of a cell's states is h, that of its last part."""
    return sum(len(tree.flatten(p.state_size)) for p in _parts(cell)[:-1])


def _units(cell):
    return tree.flatten(cell.state_size)[_sent(cell)]


def _split(values, counts):
    """Returns a flat sequence as lists of given lengths."""
    values = iter(values)
    return [[*itertools.islice(values, count)] for count in counts]


def _first_known(lengths):
    return next((length for length in lengths if length is not None), None)


def _check_cells(cells):
    if not isinstance(cells, (list, tuple)) or len(cells) < 2:
        raise ValueError(
            f"`cells` must be a list of two or more cells, got {cells!r}."
        )
    if len({id(cell) for cell in cells}) < len(cells):
        raise ValueError("`cells` must differ, got one of them twice.")
    for cell in cells:
        if isinstance(cell, keras.layers.RNN):
            raise ValueError(
                f"`cells` must be cells, got the layer {cell.name!r}, a "
                f"{type(cell).__name__}: give its `cell`."
            )
        if not hasattr(cell, "state_size"):
            raise ValueError(
                f"`cells` must be Keras recurrent cells, got {cell!r}."
            )

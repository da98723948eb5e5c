"""SparseRecurrent: recurrent modules joined by sparse connections."""

import itertools

import keras
import numpy as np
from keras import ops

from modularity_tf.parts import checks, seeds
from modularity_tf.structure import rewiring, sparse_dense


@keras.saving.register_keras_serializable(package="modularity_tf")
class SparseRecurrent(keras.layers.Layer):
    """Recurrent modules, each with its own input, joined by sparse links.

    Module n is a Keras cell. Beside its own input x it gets the states h of
    the other modules m, one step earlier, through sparse weights:

        cell_n(x_n W_n + sum over m of h_m W_mn, own states)

    The sum takes the place of the product of input and kernel inside the cell.
    For a `SimpleRNNCell` that is equation 3 of the paper; for a `GRUCell` or
    `LSTMCell` links reach the gates. Links exist for every ordered pair of
    modules; train them with `DeepR`.

    Each link starts uniform within `link_scale`. The loop over time is
    unrolled, which suits some tens of steps. Where the Keras mask of a module's
    input is False, of a padded step say, that module's states stay as they
    are, as in `keras.layers.RNN`; the others go on and see them.

    Args:
        cells: List of two or more Keras cells with a `kernel` for their input
            and one state `h` first: `SimpleRNNCell`, `GRUCell`, `LSTMCell` or
            alike, without dropout.
        connections: Active connections from each module to each other one: an
            int, the number itself, or a float in (0, 1], a fraction of all. So
            1 is one connection and 1.0 is all of them.
        steps: Positive int, for inputs that do not change over time: how many
            steps they are shown. `None` for inputs that are sequences.
        return_sequences: Bool. Whether to return every step's states.
        link_scale: Positive float.
        seed: Int in [0, 2**31) or `None`. The same seed draws the same links.

    Call arguments:
        inputs: List of float tensors, one a module, of shape
            `(batch, features)` with `steps`, else `(batch, time, features)`.
        mask: List of boolean tensors `(batch, time)`, or `None` for a module
            without a mask. By default the Keras masks of the inputs, as
            `Masking` or `Embedding(mask_zero=True)` set them.

    Returns:
        List of float tensors, one a module: the last states h, of shape
        `(batch, units)`, or `(batch, time, units)` for all.

    Raises:
        ValueError: If an argument is out of its range, or inputs do not fit.

    References:
        - [Bena & Goodman, 2021](https://arxiv.org/abs/2106.02626),
          equation 3. Differs from the paper: one bias a module in place of the
          sum of two.
    """

    def __init__(
        self,
        cells,
        connections,
        steps=None,
        return_sequences=False,
        link_scale=0.1,
        seed=None,
        **kwargs,
    ):
        _check_cells(cells)
        if steps is not None:
            steps = checks.integer("steps", steps, least=1)
        link_scale = checks.number("link_scale", link_scale, above=True)
        super().__init__(**kwargs)
        self.cells = list(cells)
        rewiring.check_connections(connections)
        self.connections = connections
        self.steps = steps
        self.return_sequences = return_sequences
        self.link_scale = link_scale
        self.seed = seeds.check_seed(seed)
        self.supports_masking = True

    def build(self, input_shape):
        self._check_inputs(input_shape)
        for cell, shape in zip(self.cells, input_shape, strict=True):
            if not cell.built:  # a loaded one is
                cell.build((shape[0], shape[-1]))
            if not hasattr(cell, "kernel"):
                raise ValueError(
                    f"`cells` must have a `kernel` for their input, got {cell}."
                )
        pairs = [*itertools.permutations(range(len(self.cells)), 2)]
        drawn = np.random.SeedSequence(self.seed).generate_state(2 * len(pairs))
        drawn = (drawn // 2).reshape(-1, 2).tolist()  # below 2 ** 31
        self._links = []
        for (source, target), (seed, weight_seed) in zip(pairs, drawn):
            link = sparse_dense.SparseDense(
                self.cells[target].kernel.shape[-1],
                self.connections,
                use_bias=False,
                kernel_initializer=keras.initializers.RandomUniform(
                    -self.link_scale, self.link_scale, weight_seed
                ),
                seed=seed,
                dtype=self.dtype_policy,
                name=f"link_{source}_{target}",
            )
            link.build((None, self._units(source)))
            self._links.append(link)

    def link(self, source, target):
        """Returns the `SparseDense` from one module to another, by number."""
        pairs = [*itertools.permutations(range(len(self.cells)), 2)]
        if (source, target) not in pairs:
            raise ValueError(
                f"`source, target` must be one of {pairs}, got "
                f"{(source, target)!r}."
            )
        return self._links[pairs.index((source, target))]

    def call(self, inputs, mask=None):
        masks = self._check_masks(mask)
        modules = range(len(self.cells))
        # Inputs do not depend on states, so one product serves all steps.
        projected = [
            ops.matmul(x, cell.kernel) for x, cell in zip(inputs, self.cells)
        ]
        cells = [
            _Projected(cell, x.shape[-1])
            for cell, x in zip(self.cells, projected)
        ]
        steps = self.steps or inputs[0].shape[1]
        links = {
            (m, n): self.link(m, n).kernel
            for m, n in itertools.permutations(modules, 2)
        }
        batch_size = ops.shape(inputs[0])[0]
        states = [cell.get_initial_state(batch_size) for cell in self.cells]
        history = [[] for _ in modules]
        for step in range(steps):
            sent = [state[0] for state in states]
            for n in modules:
                arriving = projected[n] if self.steps else projected[n][:, step]
                for m in modules:
                    if m != n:
                        arriving += ops.matmul(sent[m], links[m, n])
                new = cells[n](arriving, states[n])
                states[n] = _where(masks[n], step, new, states[n])
                history[n].append(states[n][0])
        if self.return_sequences:
            return [ops.stack(states, axis=1) for states in history]
        return [state[0] for state in states]

    def compute_mask(self, inputs, mask=None):
        return self._check_masks(mask) if self.return_sequences else None

    def compute_output_shape(self, input_shape):
        shapes = []
        for n, shape in enumerate(input_shape):
            steps = (self.steps or shape[1],) * self.return_sequences
            shapes.append((shape[0], *steps, self._units(n)))
        return shapes

    def get_config(self):
        config = {
            "cells": [
                keras.saving.serialize_keras_object(cell) for cell in self.cells
            ],
            "connections": self.connections,
            "steps": self.steps,
            "return_sequences": self.return_sequences,
            "link_scale": self.link_scale,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config):
        cells = config["cells"]
        cells = [keras.saving.deserialize_keras_object(cell) for cell in cells]
        return cls(**{**config, "cells": cells})

    def _units(self, module):
        size = self.cells[module].state_size
        return size[0] if isinstance(size, (list, tuple)) else size

    def _check_masks(self, mask):
        """Returns a mask or `None` for each module."""
        masks = [None] * len(self.cells) if mask is None else mask
        ranks = {len(m.shape) for m in masks if m is not None}
        fits = len(masks) == len(self.cells) and ranks <= {2}
        if not fits or (ranks and self.steps):
            raise ValueError(
                f"`mask` must be a list of {len(self.cells)} tensors of shape "
                "(batch, time) or None, and inputs shown for `steps` have "
                f"none; got {mask!r} with `steps`={self.steps!r}."
            )
        return masks

    def _check_inputs(self, shapes):
        rank = 2 if self.steps else 3
        fits = isinstance(shapes, list) and len(shapes) == len(self.cells)
        fits = fits and all(len(shape) == rank for shape in shapes)
        if fits and not self.steps:
            fits = shapes[0][1] and len({shape[1] for shape in shapes}) == 1
        if not fits:
            wanted = "features" if self.steps else "time, features"
            raise ValueError(
                f"`inputs` must be a list of {len(self.cells)} tensors of "
                f"shape (batch, {wanted}) with as many known steps, got "
                f"{shapes!r}."
            )


def _where(mask, step, new, old):
    """Returns a module's new states where its mask is True at this step."""
    if mask is None:
        return new
    keep = ops.expand_dims(ops.cast(mask[:, step], "bool"), -1)
    return [ops.where(keep, *both) for both in zip(new, old, strict=True)]


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
        dropout = (
            getattr(cell, "dropout", 0),
            getattr(cell, "recurrent_dropout", 0),
        )
        if not hasattr(cell, "state_size") or any(dropout):
            raise ValueError(
                "`cells` must be Keras recurrent cells without dropout, got "
                f"{cell!r}."
            )


class _Projected:
    """A cell whose input has been multiplied with its kernel already.

    To the cell's own `call` it is the cell, but for an identity kernel.
    """

    def __init__(self, cell, size):
        self.kernel = ops.eye(size, dtype=cell.compute_dtype)
        self._cell = cell

    def __getattr__(self, name):
        return getattr(self._cell, name)

    def __call__(self, inputs, states):
        """Returns the cell's new states."""
        return type(self._cell).call(self, inputs, states)[1]

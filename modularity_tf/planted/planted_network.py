"""A network with what is known about it: one shape for all kinds of them."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from modularity_tf import checks
from modularity_tf.findings import neuron_selection, weight_mask
from modularity_tf.network import (
    activations,
    batches,
    copying,
    layer_kinds,
    model_weights,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What a weight is for a task.
KINDS = (
    "needed",  # without it some answers are wrong
    "other",  # of a part that other tasks alone use
    "copy",  # of a second copy of a needed part: either will do
    "unread",  # of a part that nothing reads
    "silent",  # of a part that never fires
    "pair",  # of two parts that fire, are read, and cancel
    "absent",  # zero: there is no connection
)


@dataclasses.dataclass(frozen=True, eq=False)
class Needed:
    """What a task needs of a network.

    >>> planted = mtf.planted.make_parities(2, bits=3, seed=1)
    >>> needed = planted.needed[0]
    >>> needed.weights.size, needed.units.size
    (48, 6)

    Attributes:
        weights: `WeightMask` of the weights that are looked at. Of two copies
            of a part it has both, though either will do; `score` knows.
        units: `NeuronSelection` of units, channels, recurrent units or
            attention heads, by layer; or `None` where units are no parts.
        heads: `NeuronSelection`, those of `units` that are attention heads, or
            `None` where there are none.
        edges: Frozenset of pairs of names, which part hands something to which
            input of another part; or `None` where edges are the weights.
    """

    weights: weight_mask.WeightMask
    units: neuron_selection.NeuronSelection | None = None
    heads: neuron_selection.NeuronSelection | None = None
    edges: frozenset[tuple[str, str]] | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Planted:
    """A network with what is known about it.

    A task is to answer in some of the outputs, for some of the examples.
    `data` and `needed` have an item for each task.

    >>> planted = mtf.planted.make_parities(2, bits=3, seed=1)
    >>> x, y = planted.data[0]  # y has a column for each task
    >>> x.shape, y.shape
    ((64, 6), (64, 2))
    >>> loss, accuracy = planted.objective(0)
    >>> planted.accuracy(0, planted.needed[0].weights.values)
    1.0

    Attributes:
        model: `keras.Model` to logits `(examples, ..., outputs)`.
        inputs: Array of all examples, or a list of such.
        labels: Array `(examples, ..., tasks)` of numbers of classes.
        kinds: List with a dict from weight path to an int array for each
            task, what each weight is: 0 needed, 1 other, 2 copy, 3 unread,
            4 silent, 5 pair, 6 absent. All weights that are looked at.
        columns: List of slices, the logits of each task, or `None` for one
            logit a task. One logit is of a bit, several are of classes.
        rows: List of int arrays, the examples of each task, or `None` for all.
        layers: Names of the layers that are looked at, or `None` for all.
        alternatives: List with a list of groups for each task, or `None`. Of a
            group, dicts from weight path to bool array, one is needed.
        units: List with a dict from layer to a bool array for each task, the
            units that it needs, or `None` where units are no parts.
        edges: List with a frozenset of pairs of names for each task, or
            `None`.
        modules: Dict from layer to an int array, the module of each unit or -1
            for units of none; or `None`.
    """

    model: keras.Model
    inputs: Any
    labels: np.ndarray
    kinds: Sequence[Mapping[str, np.ndarray]]
    columns: Sequence[slice] | None = None
    rows: Sequence[np.ndarray] | None = None
    layers: tuple[str, ...] | None = None
    alternatives: Sequence[Any] | None = None
    units: Sequence[Mapping[str, np.ndarray]] | None = None
    edges: Sequence[frozenset[tuple[str, str]]] | None = None
    modules: Mapping[str, np.ndarray] | None = None

    @functools.cached_property
    def data(self) -> tuple[tuple[Any, np.ndarray], ...]:
        """Tuple with `(inputs, labels)` of all examples, for each task."""
        data = self.inputs, self.labels
        if self.rows is None:
            return (data,) * len(self.kinds)
        return tuple(batches.take(data, rows) for rows in self.rows)

    @functools.cached_property
    def needed(self) -> tuple[Needed, ...]:
        """Tuple of `Needed`, for each task."""
        return tuple(map(self._needed, range(len(self.kinds))))

    def weights(self, task: int, *kinds: str) -> dict[str, np.ndarray]:
        """Returns where the weights of some kinds are, a dict of bool arrays.

        Args:
            task: Number of the task.
            *kinds: Names of kinds, as "needed".

        Raises:
            ValueError: If there is no such kind.
        """
        for kind in kinds:
            if kind not in KINDS:
                raise ValueError(
                    f"`kinds` must be some of {KINDS}, got {kind!r}."
                )
        wanted = [KINDS.index(kind) for kind in kinds]
        return {
            path: np.isin(values, wanted)
            for path, values in self.kinds[self._checked(task)].items()
        }

    def split(
        self, task: int, count: int, seed: int | None = 0
    ) -> tuple[tuple[Any, np.ndarray], tuple[Any, np.ndarray]]:
        """Returns two sets of examples of a task, drawn at random.

        Args:
            task: Number of the task.
            count: At most so many in each, and at most half of all.
            seed: Int, not negative; `None` is random.

        Returns:
            Two tuples of inputs and labels.
        """
        data = self.data[self._checked(task)]
        rng = np.random.default_rng(checks.seed(seed))
        order = rng.permutation(len(data[1]))
        count = min(checks.integer("count", count, least=1), len(order) // 2)
        first, second = (
            batches.take(data, rows) for rows in (order[:count], order[-count:])
        )
        return first, second

    def objective(
        self, task: int
    ) -> tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]:
        """Returns loss and accuracy of a task, functions of labels, logits.

        Args:
            task: Number of the task.
        """
        columns = slice(self._checked(task), task + 1)
        if self.columns is not None:
            columns = self.columns[task]
        is_bit = columns.stop - columns.start == 1

        def loss(labels: Any, logits: Any) -> Any:
            labels = labels[..., task : task + 1]
            logits = logits[..., columns]
            if is_bit:
                return keras.losses.binary_crossentropy(
                    labels, logits, from_logits=True
                )
            return keras.losses.sparse_categorical_crossentropy(
                labels[..., 0], logits, from_logits=True
            )

        def accuracy(labels: Any, logits: Any) -> Any:
            labels, logits = labels[..., task], logits[..., columns]
            if is_bit:
                right = (logits[..., 0] > 0) == (labels > 0.5)
            else:
                right = ops.equal(
                    ops.argmax(logits, axis=-1), ops.cast(labels, "int32")
                )
            return ops.cast(right, "float32")

        return loss, accuracy

    def accuracy(
        self,
        task: int,
        kept: weight_mask.WeightMask | Mapping[str, np.ndarray] | None = None,
    ) -> float:
        """Returns how many answers are right, with some weights alone.

        Args:
            task: Number of the task.
            kept: `WeightMask`, or dict from weight path to bool array; `None`
                for all weights.

        Returns:
            Float in [0, 1], over all examples of the task.
        """
        inputs, labels = self.data[self._checked(task)]
        right = self.objective(task)[1](labels, self.logits(inputs, kept))
        return float(np.mean(ops.convert_to_numpy(right), dtype="float64"))

    def logits(
        self,
        inputs: Any,
        kept: weight_mask.WeightMask | Mapping[str, np.ndarray] | None = None,
    ) -> np.ndarray:
        """Returns the model's logits, with some weights alone.

        Args:
            inputs: Examples as those of `inputs`.
            kept: `WeightMask`, or dict from weight path to bool array; `None`
                for all weights.

        Returns:
            Float array `(examples, ..., outputs)`.

        Raises:
            ValueError: If `kept` has other weights, or shapes.
        """
        weights = model_weights.model_weights(self.model)
        if isinstance(kept, weight_mask.WeightMask):
            kept = kept.values
        for path, flags in (kept or {}).items():
            if path not in weights:
                raise ValueError(
                    f"`kept` has {path!r}, which is no weight of "
                    f"{self.model.name!r}: {[*weights]}."
                )
            shape = tuple(weights[path].variable.shape)
            if np.shape(flags) != shape:
                raise ValueError(
                    f"`kept` must have shape {shape} at {path!r}, got "
                    f"{np.shape(flags)}."
                )
        mapping = [
            (weights[path].variable, weights[path].variable.value * flags)
            for path, flags in (kept or {}).items()
        ]
        with keras.StatelessScope(state_mapping=mapping):
            found = self.model(inputs, training=False)
        return ops.convert_to_numpy(found)

    def shuffled(self, seed: int | None = 0) -> "Planted":
        """Returns the same with the weights permuted, tensor by tensor.

        Those that are looked at, or all kernels if there are none.

        The control for a finding: there is nothing to be found, and all
        weights are as large as they were.

        Args:
            seed: Int, not negative; `None` is random.
        """
        twin = copying.copied(self.model)
        rng = np.random.default_rng(checks.seed(seed))
        weights = model_weights.model_weights(twin)
        kernels = (p for p, each in weights.items() if each.role == "kernel")
        for path in self.kinds[0] or kernels:
            variable = weights[path].variable
            values = ops.convert_to_numpy(variable.value)
            dealt = rng.permutation(values.ravel()).reshape(values.shape)
            variable.assign(dealt)
        return dataclasses.replace(self, model=twin)

    def with_label_noise(
        self, share: float, *, seed: int | None = 0
    ) -> "Planted":
        """Returns the same network with wrong labels among its own.

        What a task needs is the same. The network is right less often, as its
        labels are wrong.

        >>> clean = mtf.planted.make_parities(2, bits=3)
        >>> noisy = clean.with_label_noise(0.3, seed=1)
        >>> 0.5 < noisy.accuracy(0) < 0.9
        True

        Args:
            share: Chance, from 0 to 1, that a label is replaced by another
                one: a bit by the other bit, a class by another class.
            seed: Int, not negative; `None` is random.

        Raises:
            ValueError: If `share` is out of its range.
        """
        share = checks.number("share", share, most=1)
        rng = np.random.default_rng([checks.seed(seed), 3])
        labels = self.labels.copy()
        for task in range(labels.shape[-1]):
            classes = 2
            if self.columns is not None:
                columns = self.columns[task]
                classes = max(2, columns.stop - columns.start)
            own = labels[..., task]
            is_wrong = rng.random(own.shape) < share
            other = (own + rng.integers(1, classes, own.shape)) % classes
            labels[..., task] = np.where(is_wrong, other, own)
        return dataclasses.replace(self, labels=labels)

    def plot(self, task: int = 0) -> "Figure":
        """Draws the kernels, with what each weight is for a task.

        Args:
            task: Number of the task.

        Returns:
            Matplotlib figure. A kernel of more than two axes is drawn with its
            last axis as the columns.

        Raises:
            ValueError: If there are no weights to be found.
        """
        from modularity_tf import plots  # and matplotlib with it

        if not self.kinds[self._checked(task)]:
            raise ValueError(
                f"{self.model.name!r} has no weights of known kinds to draw."
            )
        return plots.kinds_of_weights(
            {
                path: np.reshape(values, (-1, values.shape[-1]))
                for path, values in self.kinds[task].items()
            },
            KINDS,
            f"{self.model.name}: what each weight is for task {task}",
        )

    def _checked(self, task):
        """Returns the number of a task; raises `ValueError` if it is none."""
        return checks.integer("task", task, below=len(self.kinds))

    def _needed(self, task):
        provenance = {
            "task": str(task),
            "method": "planted",
            "model_fingerprint": model_weights.fingerprint(self.model),
        }
        edges = self.edges[task] if self.edges is not None else None
        found = Needed(
            weight_mask.WeightMask(
                self.weights(task, "needed", "copy"), provenance
            ),
            edges=edges,
        )
        if self.units is None:
            return found
        layers = activations.layers_of(self.model)
        units = neuron_selection.NeuronSelection(self.units[task], provenance)
        heads = [
            path
            for path in units.values
            if isinstance(layers[path], layer_kinds.ATTENTION)
        ]
        return dataclasses.replace(
            found, units=units, heads=units.select(heads) if heads else None
        )

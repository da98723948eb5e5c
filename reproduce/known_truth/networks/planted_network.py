"""A network with what is known about it: one shape for all kinds of them."""

import dataclasses

import keras
import numpy as np
from keras import ops

from modularity_tf.network import batches, copying, model_weights

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


@dataclasses.dataclass(frozen=True)
class Planted:
    """A network with what is known about it.

    A task is to answer in some of the outputs, for some of the examples.

    Attributes:
        model: `keras.Model` to logits `(examples, outputs)`.
        inputs: Array of all examples, or a list of such.
        labels: Array `(examples, tasks)` of numbers of classes.
        kinds: List with a dict from weight path to an int array for each
            task: indices into `KINDS`. All weights that are looked at.
        columns: List of slices, the logits of each task, or `None` for one
            logit a task. One logit is of a bit, several are of classes.
        rows: List of int arrays, the examples of each task, or `None` for all.
        layers: Names of the layers that are looked at, or `None` for all.
        alternatives: List with a list of groups for each task, or `None`. Of a
            group, dicts from weight path to bool array, one is needed.
        units: List with a dict from layer to a bool array for each task, the
            units that it needs, or `None` where units are no parts.
        modules: Dict from layer to an int array, the module of each unit or -1
            for units of none; or `None`.
    """

    model: keras.Model
    inputs: object
    labels: np.ndarray
    kinds: list
    columns: list | None = None
    rows: list | None = None
    layers: tuple | None = None
    alternatives: list | None = None
    units: list | None = None
    modules: dict | None = None

    def weights(self, task, *kinds):
        """Returns where the weights of some kinds are, a dict of bool arrays.

        Args:
            task: Int.
            *kinds: Names in `KINDS`.
        """
        wanted = [KINDS.index(kind) for kind in kinds]
        return {
            path: np.isin(values, wanted)
            for path, values in self.kinds[task].items()
        }

    def examples(self, task):
        """Returns inputs and labels of all examples of a task."""
        if self.rows is None:
            return self.inputs, self.labels
        return batches.take((self.inputs, self.labels), self.rows[task])

    def split(self, task, count, seed):
        """Returns two sets of examples of a task, drawn at random.

        Args:
            task: Int.
            count: Int, at most so many in each, and at most half of all.
            seed: Int, not negative.

        Returns:
            Two tuples of inputs and labels.
        """
        data = self.examples(task)
        order = np.random.default_rng(seed).permutation(len(data[1]))
        count = min(count, len(order) // 2)
        return tuple(
            batches.take(data, rows) for rows in (order[:count], order[-count:])
        )

    def objective(self, task):
        """Returns loss and accuracy of a task, functions of labels, logits."""
        columns = slice(task, task + 1)
        if self.columns is not None:
            columns = self.columns[task]
        is_bit = columns.stop - columns.start == 1

        def loss(labels, logits):
            labels, logits = labels[:, task : task + 1], logits[:, columns]
            if is_bit:
                return keras.losses.binary_crossentropy(
                    labels, logits, from_logits=True
                )
            return keras.losses.sparse_categorical_crossentropy(
                labels[:, 0], logits, from_logits=True
            )

        def accuracy(labels, logits):
            labels, logits = labels[:, task], logits[:, columns]
            if is_bit:
                right = (logits[:, 0] > 0) == (labels > 0.5)
            else:
                right = ops.equal(
                    ops.argmax(logits, axis=-1), ops.cast(labels, "int32")
                )
            return ops.cast(right, "float32")

        return loss, accuracy

    def accuracy(self, task, kept=None):
        """Returns how many answers are right, with some weights alone.

        Args:
            task: Int.
            kept: Dict from weight path to bool array, or `None` for all
                weights.

        Returns:
            Float in [0, 1], over all examples of the task.
        """
        inputs, labels = self.examples(task)
        right = self.objective(task)[1](labels, self.logits(inputs, kept))
        return float(np.mean(ops.convert_to_numpy(right), dtype="float64"))

    def logits(self, inputs, kept=None):
        """Returns the model's logits, with some weights alone.

        Args:
            inputs: As `inputs`.
            kept: As in `accuracy`.

        Returns:
            Float32 array `(examples, outputs)`.
        """
        weights = model_weights.model_weights(self.model)
        mapping = [
            (weights[path].variable, weights[path].variable.value * flags)
            for path, flags in (kept or {}).items()
        ]
        with keras.StatelessScope(state_mapping=mapping):
            found = self.model(inputs, training=False)
        return ops.convert_to_numpy(found)

    def shuffled(self, seed):
        """Returns the same with the weights dealt out anew, tensor by tensor.

        The control for a finding: there is nothing to be found, and all
        weights are as large as they were.

        Args:
            seed: Int, not negative.
        """
        twin = copying.copied(self.model)
        rng = np.random.default_rng(seed)
        weights = model_weights.model_weights(twin)
        for path in self.kinds[0]:
            variable = weights[path].variable
            values = ops.convert_to_numpy(variable.value)
            dealt = rng.permutation(values.ravel()).reshape(values.shape)
            variable.assign(dealt)
        return dataclasses.replace(self, model=twin)

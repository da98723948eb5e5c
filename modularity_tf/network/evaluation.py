"""What a model does with some of its weights: for many sets of them, fast."""

import functools
import hashlib
import math

import keras
import numpy as np
import tensorflow as tf

from modularity_tf import stats
from modularity_tf.network import batches, functional_call, scoring

_BATCH_SIZE = 1024  # of examples in one call


class Evaluation:
    """The performance of a model with some of its weights, on examples.

    Nothing is cloned or traced for a set of weights: which stay is an input
    of one compiled function.

    Args:
        model: Built `keras.Model`.
        examples: List of `(inputs, targets)`, tensors, as `examples_of`
            returns it.
        objective: As `performance.objective` returns it.
        nothing: Dict as `kept` of `values`, with which nothing is left.
        scale: Another `Evaluation`, whose scale of the loss is taken; `None`
            for one from `nothing` to the whole model.

    Raises:
        ValueError: If `model` itself does not perform, or there is a loss an
            output.
    """

    def __init__(self, model, examples, objective, nothing, scale=None):
        self._call = functional_call.FunctionalCall(model)
        self._examples, self.copies = examples, copies_of(examples)
        self._loss, self._accuracy = objective["loss"], None
        if isinstance(self._loss, (dict, list, tuple)):
            raise ValueError(
                "`loss` must be one loss for all outputs, or None for that of "
                f"a compiled model; for {model.name!r} it is {self._loss!r}."
            )
        found = scoring.accuracies(objective["metrics"])
        if len(found) == 1 and not _is_several(examples[0][1]):
            (self._accuracy,) = found
        self.name = "accuracy" if self._accuracy else scoring.LOSS_EXPLAINED
        self.whole = self.values(
            {path: np.ones_like(value) for path, value in nothing.items()}
        )
        self._scale = None
        if scale is not None:
            self._scale = scale._scale  # of one model, for both
        elif self._accuracy is None:
            self._scale = self.whole, self.values(nothing)
        if scale is None:
            self._check_performs(model)

    @property
    def count(self):
        """Int, the number of examples."""
        return len(self.whole)

    def values(self, kept):
        """Returns the accuracy, or the loss, of each example.

        Args:
            kept: Dict from weight path to boolean array, True for entries that
                stay, with the paths of `nothing`.

        Returns:
            Float64 array `(examples,)`.
        """
        kept = {path: tf.constant(value) for path, value in kept.items()}
        found = [
            self._step(kept, *example).numpy() for example in self._examples
        ]
        return np.concatenate(found).astype("float64")

    def performance(self, values):
        """Returns the performance of what `values` returned, a float."""
        return float(self._of_means(*(x.mean() for x in self._parts(values))))

    def interval(self, values, seed):
        """Returns the 95 % interval of the performance, over examples.

        That of Wilson where each example is right or wrong, else bootstrap.
        Copies of an example say nothing new and do not narrow it.

        Args:
            values: What `values` returned.
            seed: Int, not negative, of the bootstrap.
        """
        if self._scale is None and np.isin(values, (0, 1)).all():
            count = stats.effective_count(self.copies)
            return stats.share_interval(values.mean() * count, count)
        return stats.bootstrap_interval(
            self._of_means, self._parts(values), seed, self.copies
        )

    def is_fall(self, before, after, tolerance):
        """Returns what the examples tell of a fall of performance.

        Args:
            before: What `values` returned.
            after: Likewise, with less of the model.
            tolerance: Float, as in `stats.fall_test`.

        Returns:
            Two bools: it is surely at most `tolerance`, and surely more.
        """
        losses, whole = before - after, None
        if self._scale is not None:  # of a loss
            losses, whole = -losses, self._scale[1] - self._scale[0]
        return stats.fall_test(losses, whole, tolerance, self.copies)

    def notice(self, paths, seed):
        """Returns which weights any output notices, on any example.

        Those without which no output changes, to first order: weights that
        are zero, and those from and to units that never fire.

        Args:
            paths: Iterable of weight paths.
            seed: Int, not negative.

        Returns:
            Dict from path to boolean array.
        """
        paths = [*paths]
        weights = {p: self._call.variables[p].value for p in paths}

        @tf.function(autograph=False, reduce_retracing=True)
        def slopes(inputs):
            values = {p: tf.convert_to_tensor(w) for p, w in weights.items()}
            with tf.GradientTape() as tape:
                tape.watch(values)
                outputs = keras.tree.flatten(self._call(values, inputs))
            # At random, what an output notices cancels out nowhere.
            directions = [
                tf.random.stateless_normal(
                    tf.shape(x), [seed, i], dtype=x.dtype
                )
                for i, x in enumerate(outputs)
            ]
            return tape.gradient(
                outputs,
                values,
                directions,
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )

        found = {path: False for path in paths}
        for inputs, _ in self._examples:
            for path, slope in slopes(inputs).items():
                found[path] |= (slope * weights[path]).numpy() != 0
        return found

    @functools.cached_property
    def _step(self):
        @tf.function(autograph=False, reduce_retracing=True)
        def step(kept, inputs, targets):
            weights = {
                path: tf.where(flags, self._call.variables[path].value, 0)
                for path, flags in kept.items()
            }
            outputs = keras.tree.flatten(self._call(weights, inputs))
            targets = keras.tree.flatten(targets)
            function = self._accuracy or self._loss
            return tf.add_n(
                [
                    scoring.by_example(function, *both)
                    for both in zip(targets, outputs, strict=True)
                ]
            )

        return step

    def _parts(self, values):
        return [values, *(self._scale or ())]

    def _of_means(self, value, *scale):
        return scoring.share_explained(value, *scale) if scale else value

    def _check_performs(self, model):
        means = [x.mean() for x in self._parts(self.whole)]
        good = math.isfinite(sum(means)) and (
            means[1] < means[2] if self._scale else means[0] > 0
        )
        if not good:
            told = (
                "loss {1:.4g}, without all these parts {2:.4g}"
                if self._scale
                else "accuracy {0:.4g}"
            )
            raise ValueError(
                f"{model.name!r} itself does not perform on `data` "
                f"({told.format(*means)}): there is nothing to check. Is it "
                "trained, are these its data?"
            )


def examples_of(data, most, seed, model=None):
    """Returns some examples of users' data, as tensors, in batches.

    Args:
        data: As in `network.batches`.
        most: Positive int: of arrays as many drawn at random, of batches the
            first.
        seed: Int, not negative.
        model: `keras.Model` that the data are for, or `None`.

    Returns:
        List of `(inputs, targets)`.
    """
    if batches.is_arrays(data, model):
        data = batches.checked_arrays("data", data)
        rows = batches.count_rows(data[1])
        if rows > most:
            order = np.random.default_rng(seed).permutation(rows)
            data = batches.take(data, np.sort(order[:most]))
    found, left = [], most
    for batch in batches.read("data", data, _BATCH_SIZE, True, model):
        if len(batch) > 2:
            raise ValueError(
                "`data` must have no sample weights: every example counts as "
                "much as any other here."
            )
        batch = batches.take(batch, slice(0, left))
        left -= batches.count_rows(batch[1])
        found.append(batch)
        if not left:
            break
    return found


def copies_of(examples):
    """Returns which of the distinct examples each of them is.

    Args:
        examples: As `examples_of` returns it.

    Returns:
        Int array `(examples,)`, numbered from 0 in the order in which they
        come. Examples with equal inputs and targets have the same number.
    """
    numbers = {}
    found = [
        numbers.setdefault(row, len(numbers))
        for batch in examples
        for row in zip(*map(_digests, keras.tree.flatten(batch)), strict=True)
    ]
    return np.array(found)


def _digests(tensor):
    """Returns a short name of each row; equal rows have the same."""
    if isinstance(tensor, tf.SparseTensor):
        tensor = tf.sparse.to_dense(tensor)
    if isinstance(tensor, tf.RaggedTensor):
        rows = [repr(row).encode() for row in tensor.to_list()]
    else:
        array = np.asarray(tensor)
        if array.dtype.kind == "O":  # text
            rows = [repr(row).encode() for row in array.tolist()]
        else:
            rows = [row.tobytes() for row in array]
    return [hashlib.blake2b(row, digest_size=16).digest() for row in rows]


def _is_several(targets):
    return len(keras.tree.flatten(targets)) != 1

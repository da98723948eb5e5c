"""How active every neuron is for every class, in one pass over the data.

References:
    - Elbastawisy and Afrin, 2025, "Exploring Modularity of Neural Networks
      through Neuron Subselection", section 4
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from modularity_tf import checks
from modularity_tf.network import (
    activations,
    batches,
    keras_private,
    model_weights,
)
from modularity_tf.neurons import class_positions

# Operations whose results need no `tf.abs`, which takes time on whole images.
_NOT_NEGATIVE = ("Relu", "Relu6", "Sigmoid", "Softmax", "Softplus")


@dataclasses.dataclass(frozen=True)
class ClassStatistics:
    """How active every neuron is, class by class.

    An example's activity is what `magnitudes` returns: |activation|, for a
    channel the mean of it over space. With ReLU that is the activation.

    Attributes:
        counts: Int array of shape `(classes,)`, examples seen.
        mean: Dict from layer path to float64 array `(classes, units)`, the
            mean activity over examples, not negative; NaN for a class without
            examples.
        standard_error: Dict of the same shapes, sd / sqrt(examples) over
            examples, with n - 1; NaN for fewer than two.
    """

    counts: np.ndarray
    mean: dict[str, np.ndarray]
    standard_error: dict[str, np.ndarray]

    def __post_init__(self):
        if not self.mean:
            raise ValueError("There are no layers to select neurons from.")

    def of(
        self, label: int
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Returns mean and standard error of one class, two dicts.

        Raises:
            ValueError: If the class has no example.
        """
        label = checks.integer("label", label, least=-math.inf)
        if not 0 <= label < len(self.counts) or not self.counts[label]:
            raise ValueError(
                f"There is no example of class {label!r}; seen: "
                f"{np.flatnonzero(self.counts).tolist()}."
            )
        return (
            {path: values[label] for path, values in self.mean.items()},
            {path: v[label] for path, v in self.standard_error.items()},
        )


def magnitudes(values: Any) -> tf.Tensor:
    """Returns how active each neuron is for each example.

    The mean of |activation| over positions. The magnitude, since a neuron that
    says much with negative numbers (tanh, GELU, a linear layer) is not off; of
    each position and not of their mean, since a channel that is 1 here and -1
    there is not off, either. The same as the mean activation with ReLU.

    Positions that a Keras mask hides, such as padding, do not count; an example
    that has no other has an activity of 0.

    Args:
        values: Float tensor `(batch, ..., units)`, of an `ActivationModel`.

    Returns:
        Float64 tensor `(batch, units)`.
    """
    keras_mask = keras_private.get_keras_mask(values)
    return tf.cast(
        activations.unit_means([_absolute(values)], [keras_mask]), tf.float64
    )


def _without_padding(labels, values, is_reversed):
    """Returns labels in which positions that are hidden have no class."""
    keras_mask = keras_private.get_keras_mask(values)
    if keras_mask is None or keras_mask.shape[1:] != labels.shape[1:]:
        return labels
    if is_reversed:
        keras_mask = tf.reverse(keras_mask, [1])
    return tf.where(keras_mask, labels, class_positions.NONE)


def _absolute(values):
    is_symbolic = hasattr(values, "graph")
    if is_symbolic and values.op.type in _NOT_NEGATIVE:
        return values
    return tf.abs(values)


def magnitudes_by_class(values: Any, member: tf.Tensor) -> tf.Tensor:
    """Returns how active each neuron is at the positions of each class.

    As `magnitudes`, over the positions of a class alone. An example that has
    none has an activity of 0.

    Args:
        values: Float tensor `(batch, ..., units)`, of an `ActivationModel`.
        member: Float tensor `(batch, ..., classes)`, which share of each of
            these positions is of each class.

    Returns:
        Float64 tensor `(batch, classes, units)`.
    """
    keras_mask = keras_private.get_keras_mask(values)
    values = activations.in_float(_absolute(values))
    member = tf.cast(member, values.dtype)
    if keras_mask is not None:
        counted = tf.cast(keras_mask, values.dtype)
        for _ in range(member.shape.rank - counted.shape.rank):
            counted = counted[..., None]
        values = tf.where(counted > 0, values, tf.zeros_like(values))
        member *= counted
    rows = tf.shape(values)[0]
    member, values = (
        tf.reshape(x, (rows, -1, x.shape[-1])) for x in (member, values)
    )
    sums = tf.matmul(member, values, transpose_a=True)
    counts = tf.reduce_sum(member, axis=1)[..., None]
    return tf.cast(tf.math.divide_no_nan(sums, counts), tf.float64)


def merge_groups(
    statistics: ClassStatistics, merged: Sequence[Sequence[int]]
) -> ClassStatistics:
    """Returns the statistics of unions of groups, without another pass.

    Args:
        statistics: `ClassStatistics`.
        merged: List of lists of groups; every list becomes a class. Groups in
            a list with others need two examples or more.

    Returns:
        `ClassStatistics` of `len(merged)` classes.

    Raises:
        ValueError: If a list is empty or a group unknown.
    """
    groups_of = [np.asarray(rows, int) for rows in merged]
    groups = len(statistics.counts)
    if not groups_of or not all(
        rows.size and (rows >= 0).all() and (rows < groups).all()
        for rows in groups_of
    ):
        raise ValueError(
            f"`merged` must be lists of groups in [0, {groups}), none empty, "
            f"got {[rows.tolist() for rows in groups_of]}."
        )
    counts = np.array([statistics.counts[rows].sum() for rows in groups_of])
    means, errors = {}, {}
    for path, mean in statistics.mean.items():
        parts = []
        for rows, total in zip(groups_of, counts, strict=True):
            n = statistics.counts[rows][:, None]
            center = (n * mean[rows]).sum(axis=0) / total
            inside = statistics.standard_error[path][rows] ** 2 * n * (n - 1)
            between = n * (mean[rows] - center) ** 2
            squares = (inside + between).sum(axis=0)
            parts.append((center, np.sqrt(squares / (total - 1) / total)))
        means[path], errors[path] = map(np.stack, zip(*parts, strict=True))
    return ClassStatistics(counts, means, errors)


def class_statistics(
    model: keras.Model,
    data: batches.Data,
    num_classes: int,
    *,
    layers: activations.Names = None,
    outputs: bool = False,
) -> ClassStatistics:
    """Returns mean and standard error of |activation|, by neuron and class.

    A neuron's activation is the output of its layer or, where that is linear,
    of the activation layer after it, as in `activations.ActivationModel`; its
    magnitude is what `magnitudes` returns. One pass over the data; memory is
    that of a batch.

    >>> from modularity_tf.neurons import rules, statistics
    >>> found = statistics.class_statistics(model, (images, labels), 10)
    >>> threes = rules.threshold_neurons(found, 3, percentile=70)

    Positions that a Keras mask hides, such as padding, do not count. An example
    that has no other is counted, with an activity of 0.

    Args:
        model: Built `keras.Model`.
        data: Arrays `(inputs, labels)` or batches of them, as in
            `network.batches`; labels are ints in [0, num_classes), of shape
            `(examples,)`, or shaped as the outputs are: one for each position
            of an example, or one-hot. An example counts then for each class
            that one of its positions has; its activity is the mean over
            these. `class_positions.aligned` says which positions of a layer
            these are.
        num_classes: Positive int. Any grouping will do, not classes alone.
        layers: Names or paths of Conv or Dense layers, or of the activation
            layers after them, as in `activations.neuron_layers`; `None` for
            the hidden Conv and Dense layers, with a `UserWarning` if the model
            has units in others.
        outputs: Bool. Whether `None` means the output layers, too.

    Returns:
        `ClassStatistics`, by the paths of the Conv and Dense layers.

    Raises:
        ValueError: If an activation (by layer), a weight (by path) or an input
            is NaN or infinite, a label out of range, a layer out of reach, or
            there is no data.
    """
    num_classes = checks.integer("num_classes", num_classes, least=1)

    def read():
        given = class_positions.Labels(model)
        for inputs, labels in batches.read_unweighted("data", data, model):
            numbers = given.numbers("labels", labels)
            if (numbers >= num_classes).any():
                raise ValueError(
                    f"`labels` must be whole numbers in [0, {num_classes}), "
                    f"got {numbers.max()}."
                )
            yield inputs, numbers

    return statistics_of(model, read(), num_classes, layers, outputs)


def statistics_of(
    model: keras.Model,
    read: Iterable[tuple[Any, np.ndarray]],
    num_classes: int,
    layers: activations.Names = None,
    outputs: bool = False,
) -> ClassStatistics:
    """Returns what `class_statistics` does, of batches that are read already.

    Args:
        model: As there.
        read: Iterable of `(inputs, labels)`, labels as
            `class_positions.class_numbers` returns them.
        num_classes: As there.
        layers: As there.
        outputs: As there.

    Raises:
        ValueError: As there.
    """
    watch = activations.ActivationModel(model, layers, outputs=outputs)
    if layers is None:
        activations.warn_of_other_units(model, stacklevel=3)
    model_weights.check_finite(model)
    _refuse_stateful(model)
    cropped = class_positions.croppings(model)
    reordered: dict[str, str] | None = None
    # The second layer of a Bidirectional puts out the steps in reverse.
    reverses = {
        id(layer.backward_layer)
        for layer in activations.layers_of(model).values()
        if isinstance(layer, keras.layers.Bidirectional)
    }

    @tf.function(autograph=False, reduce_retracing=True)
    def summarize(inputs, labels):
        found = watch(inputs)
        of_examples = labels.shape.rank == 1
        if not of_examples:
            for path, values in found.items():
                is_reversed = id(watch.neuron_layers[path]) in reverses
                labels = _without_padding(labels, values, is_reversed)
        member = tf.one_hot(labels, num_classes, dtype=tf.float64)
        present = member
        if not of_examples:
            positions = [*range(1, labels.shape.rank)]
            present = tf.reduce_max(member, axis=positions)
        sums = {}
        for path, values in found.items():
            if of_examples or values.shape.rank == 2:
                means = magnitudes(values)
                powers = (
                    tf.matmul(present, power, transpose_a=True)
                    for power in (means, tf.square(means))
                )
            else:
                for around, why in (reordered or {}).items():
                    if f"{path}/".startswith(f"{around}/"):
                        raise ValueError(
                            f"The positions of the layer {path!r} lie in "
                            f"another order than the labels: {why} reorders "
                            "them. Leave it out with `layers`."
                        )
                here = class_positions.aligned(
                    member, values.shape[1:-1], path, cropped
                )
                if id(watch.neuron_layers[path]) in reverses:
                    here = tf.reverse(here, [1])
                means = magnitudes_by_class(values, here)
                means *= present[..., None]
                powers = (
                    tf.reduce_sum(power, axis=0)
                    for power in (means, tf.square(means))
                )
            sums[path] = tf.stack([*powers])
        return tf.reduce_sum(present, axis=0), sums

    counts, totals = np.zeros(num_classes), dict[str, np.ndarray]()
    for inputs, labels in read:
        if labels.ndim > 1 and reordered is None:
            reordered = class_positions.reordered(model)
        batches.check_finite("data", inputs)
        count, sums = summarize(inputs, tf.constant(labels, tf.int32))
        counts += count.numpy()
        for path, values in sums.items():
            values = values.numpy()
            if not np.all(np.isfinite(values)):
                raise ValueError(
                    f"The layer {path!r} has activations that are NaN or "
                    f"infinite{activations.overflow(model)}."
                )
            totals[path] = totals.get(path, 0.0) + values
    n = counts[:, None]
    means, errors = {}, {}
    with np.errstate(divide="ignore", invalid="ignore"):
        for path, (first, second) in totals.items():
            means[path] = first / n
            spread = np.maximum(second / n - means[path] ** 2, 0.0)
            errors[path] = np.sqrt(spread / np.where(n > 1, n - 1, np.nan))
    return ClassStatistics(counts.astype(int), means, errors)


def _refuse_stateful(model):
    for path, layer in activations.layers_of(model).items():
        if getattr(layer, "stateful", False):
            raise ValueError(
                f"The layer {path!r} of {model.name!r} is stateful: what it "
                "puts out depends on the examples before, of other classes. "
                "Build `model` with `stateful=False`."
            )

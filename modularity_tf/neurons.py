"""Which neurons does a class use? Activations, and the selection of neurons.

A neuron is a unit of a Dense layer or a channel of a convolution; its
activation is the output of its layer, for a channel the mean over space.

References:
    - Elbastawisy and Afrin, 2025, "Exploring Modularity of Neural Networks
      through Neuron Subselection", section 4
"""

import contextlib
import dataclasses
import functools

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from modularity_tf import binary_set, model_weights


@keras.saving.register_keras_serializable(package="modularity_tf")
class NeuronSelection(binary_set.BinarySet):
    """A set of neurons: layer path -> boolean array `(units,)`.

    With the set algebra, `sharing`, `iou`, `shuffled`, `save` and `load` of
    every `BinarySet`; `metrics.overlaps` takes its `values`.
    """

    PARTS = "neurons"

    def check_fits(self, model):
        """Raises `ValueError` with the first layer that `model` has otherwise.

        Args:
            model: Built `keras.Model`.
        """
        layers = neuron_layers(model)
        for path, value in self.values.items():
            if path not in layers:
                raise ValueError(
                    f"The selection does not fit {model.name!r}: it has no "
                    f"layer {path!r} of neurons. Its layers: {list(layers)}."
                )
            units = layers[path].kernel.shape[-1]
            if value.shape != (units,):
                raise ValueError(
                    f"The selection does not fit {model.name!r}: {path!r} has "
                    f"{units} units, the selection {value.shape}."
                )


@dataclasses.dataclass(frozen=True)
class NeuronMask:
    """A three-way decision: forced on, forced off, or unchanged.

    Attributes:
        on: `NeuronSelection`, the active neurons.
        off: `NeuronSelection`, disjoint from `on`.
    """

    on: NeuronSelection
    off: NeuronSelection


@dataclasses.dataclass(frozen=True)
class ClassStatistics:
    """Activations of every neuron, class by class.

    Attributes:
        counts: Int array of shape `(classes,)`, examples seen.
        mean: Dict from layer path to float64 array `(classes, units)`, the
            mean over examples (and space); NaN for a class without examples.
        standard_error: Dict of the same shapes, sd / sqrt(examples) over
            examples, with n - 1; NaN for fewer than two.
    """

    counts: np.ndarray
    mean: dict
    standard_error: dict

    def __post_init__(self):
        if not self.mean:
            raise ValueError("There are no layers to select neurons from.")

    def of(self, label):
        """Returns mean and standard error of one class, two dicts.

        Raises:
            ValueError: If the class has no example.
        """
        if not 0 <= label < len(self.counts) or not self.counts[label]:
            raise ValueError(
                f"There is no example of class {label!r}; seen: "
                f"{np.flatnonzero(self.counts).tolist()}."
            )
        return tuple(
            {path: values[label] for path, values in of_all.items()}
            for of_all in (self.mean, self.standard_error)
        )


def merge_groups(statistics, merged):
    """Returns the statistics of unions of groups, without another pass.

    Args:
        statistics: `ClassStatistics`.
        merged: List of lists of groups; every list becomes a class. Groups in
            a list with others need two examples or more.

    Returns:
        `ClassStatistics` of `len(merged)` classes.
    """
    counts = np.array([statistics.counts[rows].sum() for rows in merged])
    means, errors = {}, {}
    for path, mean in statistics.mean.items():
        parts = []
        for rows, total in zip(merged, counts, strict=True):
            n = statistics.counts[rows][:, None]
            centre = (n * mean[rows]).sum(axis=0) / total
            inside = statistics.standard_error[path][rows] ** 2 * n * (n - 1)
            between = n * (mean[rows] - centre) ** 2
            squares = (inside + between).sum(axis=0)
            parts.append((centre, np.sqrt(squares / (total - 1) / total)))
        means[path], errors[path] = map(np.stack, zip(*parts, strict=True))
    return ClassStatistics(counts, means, errors)


def neuron_layers(model, layers=None):
    """Returns the Conv and Dense layers of a model, keyed by path.

    `Conv1D` to `Conv3D` and `Dense`, and what is derived from them; no
    depthwise, separable or transposed convolutions.

    Args:
        model: Built `keras.Model`.
        layers: Names or paths to choose from them, or `None` for all.

    Returns:
        Dict from path to `keras.layers.Layer`, in the model's order.

    Raises:
        ValueError: If the model is not built, a name is unknown, or a layer
            has its channels first.
    """
    weights = model_weights.model_weights(model)
    if layers is not None:
        weights = model_weights.select_layers(weights, layers)
    path_of = {id(w.variable): path for path, w in weights.items()}
    kinds = (
        keras.layers.Dense,
        keras.layers.Conv1D,
        keras.layers.Conv2D,
        keras.layers.Conv3D,
    )
    found = {}
    for layer in model._flatten_layers():
        kernel = getattr(layer, "_kernel", None)
        if isinstance(layer, kinds) and id(kernel) in path_of:
            if getattr(layer, "data_format", None) == "channels_first":
                raise ValueError(
                    f"The layer {layer.name!r} has its channels first; neurons "
                    "must be on the last axis."
                )
            found[path_of[id(kernel)].rpartition("/")[0]] = layer
    if layers is not None and not found:
        raise ValueError(
            f"`layers`={layers!r} names no Conv or Dense layer of "
            f"{model.name!r}."
        )
    return found


@contextlib.contextmanager
def recorded_calls(layers):
    """Records what layers take and return, while the context lasts.

    Args:
        layers: Iterable of `keras.layers.Layer`.

    Yields:
        List of `(layer, inputs, outputs)`, a tuple a call, in order.
    """
    calls = []

    def record(layer, call, *args, **kwargs):
        outputs = call(*args, **kwargs)
        calls.append((layer, args, outputs))
        return outputs

    changed = []
    try:
        for layer in layers:
            call = layer.call
            wrapped = functools.wraps(call)(
                functools.partial(record, layer, call)
            )
            object.__setattr__(layer, "call", wrapped)
            changed.append(layer)
        yield calls
    finally:
        for layer in changed:
            object.__delattr__(layer, "call")


class ActivationModel(keras.Model):
    """Returns the activations of the neurons of another model.

    In inference mode, without changing the model.

    Args:
        model: Built `keras.Model`: Sequential, functional, nested, or
            subclassed.
        layers: Names or paths of Conv or Dense layers, `None` for all.

    Call arguments:
        inputs: What `model` takes.

    Returns:
        Dict from layer path to the layer's outputs; those of a layer that is
        called several times side by side, as one more axis before the units.

    Raises:
        ValueError: If there is no such layer. When called: if a layer is out
            of reach, never called or called within a loop (as the cell of an
            RNN is), by name.
    """

    def __init__(self, model, layers=None, **kwargs):
        super().__init__(**kwargs)
        self.model = model
        self.neuron_layers = neuron_layers(model, layers)
        if not self.neuron_layers:
            raise ValueError(
                f"{model.name!r} has no Conv or Dense layer to look at."
            )

    def call(self, inputs):
        layers = self.neuron_layers
        with recorded_calls(layers.values()) as calls:
            self.model(inputs, training=False)
        graph = (
            None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
        )
        found = {}
        for path, layer in layers.items():
            outputs = [out for owner, _, out in calls if owner is layer]
            if not outputs or any(
                getattr(out, "graph", None) is not graph
                for out in outputs
                if graph is not None
            ):
                raise ValueError(
                    f"The layer {path!r} of {self.model.name!r} is out of "
                    "reach: it is never called, or within a loop. Leave it "
                    "out with `layers`."
                )
            found[path] = (
                outputs[0] if len(outputs) == 1 else ops.stack(outputs, -2)
            )
        return found


def sample_means(activations):
    """Returns activations with the mean taken over space.

    Args:
        activations: Dict from layer path to tensor `(batch, ..., units)`.

    Returns:
        Dict from layer path to tensor `(batch, units)`.
    """
    return {
        path: ops.mean(values, axis=tuple(range(1, len(values.shape) - 1)))
        if len(values.shape) > 2
        else values
        for path, values in activations.items()
    }


def class_statistics(model, batches, num_classes, layers=None):
    """Returns mean and standard error of every neuron for every class.

    One pass over the data; memory is that of a batch.

    Args:
        model: Built `keras.Model`.
        batches: Iterable of `(inputs, labels)`, a `tf.data.Dataset` say;
            labels are ints in [0, num_classes), of shape `(batch,)`.
        num_classes: Positive int. Any grouping will do, not classes alone.
        layers: Names or paths of Conv or Dense layers, `None` for all.

    Returns:
        `ClassStatistics`.

    Raises:
        ValueError: If an activation (by layer), a weight (by path) or an input
            is NaN or infinite, a label out of range, a layer out of reach, or
            there is no data.
    """
    watch = ActivationModel(model, layers)
    model_weights.check_finite(model)

    @tf.function(reduce_retracing=True)
    def summarize(inputs, labels):
        member = tf.one_hot(labels, num_classes, dtype=tf.float64)
        sums = {}
        for path, values in sample_means(watch(inputs)).items():
            values = tf.cast(values, tf.float64)
            sums[path] = tf.stack(
                [
                    tf.matmul(member, power, transpose_a=True)
                    for power in (values, tf.square(values))
                ]
            )
        return tf.reduce_sum(member, axis=0), sums

    counts, totals = np.zeros(num_classes), {}
    for inputs, labels, *_ in batches:
        labels = _checked_labels(labels, num_classes)
        _check_finite_inputs(inputs)
        count, sums = summarize(
            keras.tree.map_structure(tf.convert_to_tensor, inputs),
            tf.constant(labels, tf.int32),
        )
        counts += count.numpy()
        for path, values in sums.items():
            values = values.numpy()
            if not np.all(np.isfinite(values)):
                raise ValueError(
                    f"The layer {path!r} has activations that are NaN or "
                    "infinite."
                )
            totals[path] = totals.get(path, 0.0) + values
    if not totals:
        raise ValueError("`batches` has no batch.")
    n = counts[:, None]
    means, errors = {}, {}
    with np.errstate(divide="ignore", invalid="ignore"):
        for path, (first, second) in totals.items():
            means[path] = first / n
            spread = np.maximum(second / n - means[path] ** 2, 0.0)
            errors[path] = np.sqrt(spread / np.where(n > 1, n - 1, np.nan))
    return ClassStatistics(counts.astype(int), means, errors)


def _checked_labels(labels, num_classes):
    labels = np.asarray(labels)
    if labels.ndim > 1 and labels.shape[-1] > 1:
        raise ValueError(
            f"Labels must have the shape (batch,), got {labels.shape}."
        )
    labels = labels.reshape(-1)
    strange = labels[(labels < 0) | (labels >= num_classes)]
    if strange.size:
        raise ValueError(
            f"Labels must be in [0, {num_classes}), got {strange[0]}."
        )
    return labels


def _of_layer(setting, path):
    if not isinstance(setting, dict):
        return setting
    if path not in setting:
        raise ValueError(
            f"A dict of thresholds must have {path!r}, got {[*setting]}."
        )
    return setting[path]


def _check_finite_inputs(inputs):
    for values in keras.tree.flatten(inputs):
        values = np.asarray(values)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ValueError("The inputs in `batches` are NaN or infinite.")


def threshold_neurons(statistics, label, percentile=70.0):
    """Returns the neurons above a percentile of their layer (Algorithm 1).

    Args:
        statistics: `ClassStatistics`.
        label: Int, the class.
        percentile: Float in [0, 100]. A neuron is active where its mean is
            strictly above this percentile of its layer's means.

    Returns:
        `NeuronSelection`.

    Raises:
        ValueError: If the class has no example, or `percentile` is out of
            range.

    References:
        - Elbastawisy and Afrin, 2025, section 4.1, Algorithm 1
    """
    if not 0 <= percentile <= 100:
        raise ValueError(
            f"`percentile` must be in [0, 100], got {percentile!r}."
        )
    means, _ = statistics.of(label)
    return NeuronSelection(
        {
            path: values > np.percentile(values, percentile)
            for path, values in means.items()
        },
        {"method": "threshold", "label": label, "percentile": percentile},
    )


def bayesian_neuron_mask(statistics, label, t_high=0.55, t_low=1e-5, tau=0.8):
    """Returns which neurons to force on or off for a class (Algorithm 2).

    The mean activation of a neuron is taken to be normal around the sample
    mean mu, with its standard error SE:

        P_high = 1 - Phi((t_high - mu) / SE),  on where P_high > tau
        P_low = Phi((t_low - mu) / SE),        off where P_low > tau

    A standard error of 0 gives probabilities of 0, 1/2 (a tie) or 1. With many
    examples SE is tiny, and the decision is a threshold on the mean.

    Args:
        statistics: `ClassStatistics`.
        label: Int, the class.
        t_high: Float, or a dict of such by layer path. The text gives none; by
            default that of the authors' released settings.
        t_low: Float, or a dict of such, likewise; below `t_high`.
        tau: Float in [0.5, 1), or a dict of such. The text's is 0.8.

    Returns:
        `NeuronMask`.

    Raises:
        ValueError: If the class has fewer than two examples, or an argument
            is out of its range.

    References:
        - Elbastawisy and Afrin, 2025, section 4.2, Algorithm 2
    """
    from tensorflow_probability import distributions as tfd

    means, errors = statistics.of(label)
    if statistics.counts[label] < 2:
        raise ValueError(f"Class {label} needs two examples or more.")
    limits = []  # t_high, t_low and tau, each once a neuron
    for path, mean in means.items():
        high, low, sure = (
            _of_layer(value, path) for value in (t_high, t_low, tau)
        )
        if not low < high or not 0.5 <= sure < 1:
            raise ValueError(
                "`t_low` must be below `t_high`, and `tau` in [0.5, 1); for "
                f"{path!r} they are {low!r}, {high!r} and {sure!r}."
            )
        limits.append(np.tile([[high], [low], [sure]], mean.size))
    high, low, sure = np.concatenate(limits, axis=1)
    mean, error = (
        np.concatenate([*values.values()]) for values in (means, errors)
    )
    tiny = np.finfo("float64").tiny ** 0.5  # SE = 0: no division by it
    normal = tfd.Normal(mean, np.maximum(error, tiny))
    ends = np.cumsum([values.size for values in means.values()])[:-1]
    on, off = (
        dict(zip(means, np.split(p.numpy() > sure, ends), strict=True))
        for p in (normal.survival_function(high), normal.cdf(low))
    )
    provenance = {"method": "bayesian", "label": label, "t_high": t_high}
    provenance |= {"t_low": t_low, "tau": tau}
    return NeuronMask(
        NeuronSelection(on, provenance), NeuronSelection(off, provenance)
    )

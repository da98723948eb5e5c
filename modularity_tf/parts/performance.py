"""What performance is, for every question: one rule.

It is the accuracy, if that is one of the metrics and the only such one, else
the loss, on a scale from 0, the model with all parts in question removed, to
1, the model as it is.
"""

import functools

import keras
import tensorflow as tf
from keras import ops

from modularity_tf.parts import keras_private

LOSS_EXPLAINED = "share of the loss explained"
_ACCURACIES = (
    keras.metrics.Accuracy,
    keras.metrics.BinaryAccuracy,
    keras.metrics.CategoricalAccuracy,
    keras.metrics.SparseCategoricalAccuracy,
)
_NAMES = ("accuracy", "acc")  # which metric it is, the shapes tell


def objective(model, loss=None, metrics=None):
    """Returns what to compile with: what is given, else that of the model.

    Args:
        model: `keras.Model`.
        loss: As in `keras.Model.compile`; `None` for that of `model`.
        metrics: As in `keras.Model.compile`; `None` for those of `model`.

    Returns:
        Dict of `loss` and `metrics`, and `loss_weights` if `model` has the
        loss.

    Raises:
        ValueError: If there is no loss.
    """
    found = {"loss": loss, "metrics": metrics}
    if metrics is None:
        found["metrics"] = keras_private.compiled_metrics(model)
    if loss is None:
        found["loss"] = getattr(model, "loss", None)
        compiled = model.get_compile_config() or {}
        found["loss_weights"] = compiled.get("loss_weights")
    if found["loss"] is None:
        raise ValueError(
            f"`loss` is needed, since {model.name!r} is not compiled: that of "
            "the task, 'sparse_categorical_crossentropy' say."
        )
    return found


def accuracies(metrics):
    """Returns those of some metrics that are accuracies, as a list.

    Args:
        metrics: As in `keras.Model.compile`.
    """
    return [
        metric
        for metric in keras.tree.flatten(metrics)
        if isinstance(metric, _ACCURACIES) or _name(metric) is not None
    ]


def accuracy_names(metrics):
    """Returns the names under which accuracies are told, a set of str.

    Args:
        metrics: As in `keras.Model.compile`.
    """
    return {*_NAMES} | {
        metric.name if isinstance(metric, _ACCURACIES) else _name(metric)
        for metric in accuracies(metrics)
    }


def share_explained(loss, whole, nothing):
    """Returns a loss on the scale from 0, no part, to 1, the whole model.

    Args:
        loss: Float or array of such.
        whole: Float, the loss of the model as it is.
        nothing: Float, that of the model with all parts removed.
    """
    return (nothing - loss) / (nothing - whole)


def by_example(function, targets, outputs):
    """Returns a loss or an accuracy of each example, a float32 tensor.

    Args:
        function: A loss in any form that `keras.Model.compile` takes for one
            output, or an accuracy, see `accuracies`.
        targets: Tensor, the batch its first axis.
        outputs: Tensor, likewise, what the model puts out.
    """
    function = _function(function, targets, outputs)
    values = function(*_same_rank(targets, outputs))
    if not values.shape.rank:  # one number a batch
        values = tf.vectorized_map(
            lambda pair: function(*_same_rank(*(x[None] for x in pair))),
            (targets, outputs),
        )
    values = tf.cast(values, tf.float32)
    axes = [*range(1, values.shape.rank)]
    keras_mask = keras_private.get_keras_mask(outputs)
    if axes and keras_mask is not None:  # padding does not count
        weights = tf.cast(keras_mask, tf.float32)
        weights = tf.reshape(
            weights, [*weights.shape, *[1] * (values.shape.rank - 2)]
        )
        weights *= tf.ones_like(values)
        return tf.math.divide_no_nan(
            tf.reduce_sum(weights * values, axes),
            tf.reduce_sum(weights, axes),
        )
    return tf.reduce_mean(values, axes)


def _name(metric):
    """Returns the name of an accuracy that is a str or function, or `None`."""
    if callable(metric) and not isinstance(metric, keras.metrics.Metric):
        metric = getattr(metric, "__name__", "")
    is_accuracy = isinstance(metric, str) and (
        metric in _NAMES or metric.endswith("accuracy")
    )
    return metric if is_accuracy else None


def _function(function, targets, outputs):
    """Returns a function from targets and outputs to values."""
    if isinstance(function, str) and function in _NAMES:
        classes = outputs.shape[-1] if outputs.shape.rank > 1 else 1
        if classes == 1:
            return keras.metrics.binary_accuracy
        if targets.shape.rank < outputs.shape.rank or targets.shape[-1] == 1:
            return keras.metrics.sparse_categorical_accuracy
        return keras.metrics.categorical_accuracy
    if isinstance(function, str) and function.endswith("accuracy"):
        function = keras.metrics.get(function)
    if isinstance(function, keras.metrics.BinaryAccuracy):
        return functools.partial(
            keras.metrics.binary_accuracy, threshold=function.threshold
        )
    if isinstance(function, keras.metrics.SparseCategoricalAccuracy):
        return keras.metrics.sparse_categorical_accuracy
    if isinstance(function, keras.metrics.CategoricalAccuracy):
        return keras.metrics.categorical_accuracy
    if isinstance(function, keras.metrics.Accuracy):
        return lambda y, x: tf.equal(*_in_float32(y, x))
    if isinstance(function, str):
        function = keras.losses.get(function)
    if isinstance(function, keras.losses.Loss):
        return lambda y, x: function.call(*_in_float32(y, x))
    return function


def _in_float32(targets, outputs):
    """Returns both in a type in which class 301 is no other one."""
    if outputs.dtype in (tf.bfloat16, tf.float16):
        outputs = tf.cast(outputs, tf.float32)
    return tf.cast(targets, outputs.dtype), outputs


def _same_rank(targets, outputs):
    """Returns targets and outputs as Keras hands them to a loss."""
    if targets.shape.rank == outputs.shape.rank - 1 and outputs.shape[-1] == 1:
        targets = ops.expand_dims(targets, -1)
    if targets.shape.rank - 1 == outputs.shape.rank and targets.shape[-1] == 1:
        outputs = ops.expand_dims(outputs, -1)
    return targets, outputs

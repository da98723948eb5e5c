"""What performance is, for every question: one rule.

It is the accuracy, if that is one of the metrics and the only such one, else
the loss, on a scale from 0, the model with all parts in question removed, to
1, the model as it is.
"""

import functools
import re
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from modularity_tf.network import keras_private

Number = TypeVar("Number", float, np.ndarray)
LOSS_EXPLAINED = "share of the loss explained"
_ACCURACIES = (
    keras.metrics.Accuracy,
    keras.metrics.BinaryAccuracy,
    keras.metrics.CategoricalAccuracy,
    keras.metrics.SparseCategoricalAccuracy,
)
_NAMES = ("accuracy", "acc")  # which metric it is, the shapes tell
_CROSSENTROPIES = ("crossentropy", "ce")  # likewise
_BY_SHAPES = (*_NAMES, *_CROSSENTROPIES)
# What labels are, by the accuracies and losses of Keras that tell.
_LABELS = {
    "sparse_categorical_accuracy": "sparse",
    "sparse_categorical_crossentropy": "sparse",
    "categorical_accuracy": "one_hot",
    "categorical_crossentropy": "one_hot",
    "categorical_focal_crossentropy": "one_hot",
    "binary_accuracy": "binary",
    "binary_crossentropy": "binary",
    "binary_focal_crossentropy": "binary",
}


def objective(
    model: keras.Model, loss: Any = None, metrics: Any = None
) -> dict[str, Any]:
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


def accuracies(metrics: Any) -> list[Any]:
    """Returns those of some metrics that are accuracies, as a list.

    Args:
        metrics: As in `keras.Model.compile`.
    """
    found = map(as_object, keras.tree.flatten(metrics))
    return [metric for metric in found if is_accuracy(metric)]


def is_accuracy(metric: Any) -> bool:
    """Returns whether a metric is an accuracy, by its class or its name.

    Those of Keras that count the best k are none.
    """
    metric = as_object(metric)
    if isinstance(metric, keras.metrics.Metric):
        is_own = type(metric) is keras.metrics.MeanMetricWrapper
        is_own = is_own or not _is_of_keras(type(metric))
        return isinstance(metric, _ACCURACIES) or (
            is_own and _is_name_of_accuracy(metric.name)
        )
    return _is_name_of_accuracy(metric_name(metric))


def as_object(metric: Any) -> Any:
    """Returns a metric that is given by its name as what the name means.

    "accuracy" stays a name, and so does "crossentropy". To be called outside
    of graphs, which may not make the variables of a metric.

    Args:
        metric: A metric in any form that `keras.Model.compile` takes.
    """
    if isinstance(metric, str) and not _is_one_of(_BY_SHAPES, metric):
        return keras.metrics.get(metric)
    return metric


def metric_name(metric: Any) -> str:
    """Returns the name under which Keras tells a metric."""
    if isinstance(metric, str):
        return metric
    name = getattr(metric, "name", None)
    return str(name or getattr(metric, "__name__", ""))


def share_explained(loss: Number, whole: Number, nothing: Number) -> Number:
    """Returns a loss on the scale from 0, no part, to 1, the whole model.

    Args:
        loss: Float or array of such.
        whole: Float, the loss of the model as it is.
        nothing: Float, that of the model with all parts removed.
    """
    return (nothing - loss) / (nothing - whole)


def check_no_text(targets: tf.Tensor) -> None:
    """Raises `ValueError` if labels are text, which no loss compares."""
    if targets.dtype == tf.string:
        raise ValueError(
            "Labels are text: give what the model was trained on, numbers of "
            "classes say, as `keras.layers.StringLookup` makes them."
        )


def by_example(
    function: Any,
    targets: tf.Tensor,
    outputs: tf.Tensor,
    weights: tf.Tensor | None = None,
) -> tf.Tensor:
    """Returns a loss or an accuracy of each example, a float32 tensor.

    Args:
        function: A loss in any form that `keras.Model.compile` takes for one
            output, or one of `accuracies`.
        targets: Tensor, the batch its first axis.
        outputs: Tensor, likewise, what the model puts out.
        weights: Tensor `(batch, ...)`, how much each position of an example
            counts in its mean, or `None`. Those of shape `(batch,)` change no
            mean of an example.

    Raises:
        ValueError: If there are weights of positions, and no values of such,
            or if labels are text.
    """
    check_no_text(targets)
    function = _function(function, targets, outputs)
    values = function(*_same_rank(targets, outputs))
    if not values.shape.rank:  # one number for a batch
        values = tf.vectorized_map(
            lambda pair: function(*_same_rank(*(x[None] for x in pair))),
            (targets, outputs),
        )
    return _means(values, outputs, weights)


def losses_by_example(
    loss: keras.losses.Loss, targets: tf.Tensor, outputs: tf.Tensor
) -> tf.Tensor | None:
    """As `by_example`; `None` where a loss has one value for a whole batch."""
    pair = _same_rank(*_in_float32(targets, outputs))
    values = loss.call(*pair)
    return _means(values, outputs) if values.shape.rank else None


def _means(values, outputs, weights=None):
    """Returns the mean of each example's values, without its padding."""
    values = tf.cast(values, tf.float32)
    axes = [*range(1, values.shape.rank)]
    counted = [keras_private.get_keras_mask(outputs)]  # padding does not count
    if weights is not None and of_positions(weights):
        weights = without_column(weights, values.shape.rank)
        if weights.shape.rank > values.shape.rank:
            raise ValueError(
                f"Sample weights of shape {weights.shape} are one for each "
                "position, and the loss or accuracy has one value for an "
                "example."
            )
        counted.append(weights)
    counted = [each for each in counted if each is not None]
    if not axes or not counted:
        return tf.reduce_mean(values, axes)
    total = tf.ones_like(values)
    for each in counted:
        each = tf.cast(each, tf.float32)
        for _ in range(values.shape.rank - each.shape.rank):
            each = each[..., None]  # whose sizes may be unknown
        total *= each
    return tf.math.divide_no_nan(
        tf.reduce_sum(total * values, axes), tf.reduce_sum(total, axes)
    )


def of_positions(weights: Any) -> bool:
    """Returns whether sample weights are those of positions of examples.

    Args:
        weights: Tensor or array `(batch,)`, `(batch, 1)` or `(batch, ...)`.
    """
    return len(weights.shape) > 1 and any(n != 1 for n in weights.shape[1:])


def without_column(values: Any, rank: int) -> Any:
    """Returns values without a last axis of size 1 that is one too many.

    Args:
        values: Tensor or array: labels, or sample weights.
        rank: Int, how many axes are wanted.
    """
    is_column = len(values.shape) == rank + 1 and values.shape[-1] == 1
    return values[..., 0] if is_column else values


def loss_object(loss: Any, targets: Any, outputs: Any) -> keras.losses.Loss:
    """Returns the loss of one output as `keras.Model.compile` makes it.

    Args:
        loss: A loss in any form that `keras.Model.compile` takes.
        targets: Tensor of an output's targets, for its shape.
        outputs: Tensor, likewise.
    """
    if _is_one_of(_CROSSENTROPIES, loss):
        kind = _kind_by_shapes(targets, outputs)
        loss = {
            "binary": keras.losses.binary_crossentropy,
            "sparse": keras.losses.sparse_categorical_crossentropy,
            "one_hot": keras.losses.categorical_crossentropy,
        }[kind]
    loss = keras.losses.get(loss)
    is_object = isinstance(loss, keras.losses.Loss)
    return loss if is_object else keras_private.loss_of_function(loss)


def metric_object(
    metric: Any, targets: Any, outputs: Any
) -> keras.metrics.Metric:
    """Returns a metric of one output as `keras.Model.compile` makes it.

    A metric object is returned itself; it has its variables afterwards.

    Args:
        metric: A metric in any form that `keras.Model.compile` takes.
        targets: Tensor of an output's targets, for its shape.
        outputs: Tensor, likewise.
    """
    name = metric_name(metric)
    if _is_one_of(_NAMES, metric):
        metric = _function(metric, targets, outputs)
    metric = keras.metrics.get(metric)
    if not isinstance(metric, keras.metrics.Metric):
        metric = keras.metrics.MeanMetricWrapper(metric, name=name or None)
    _build(metric, targets, outputs)
    return metric


def class_elements(
    loss: Any, accuracy: Any, targets: Any, outputs: Any
) -> dict[str, Any] | None:
    """Returns the class of each element, and whether the answer is right.

    An element is an example, a step of a sequence, a pixel, or one of several
    bits of an example.

    Args:
        loss: Of the output, as in `keras.Model.compile`, or `None`.
        accuracy: Likewise, one that says what is right; `None` for what the
            loss implies.
        targets: Tensor, the batch its first axis.
        outputs: Tensor, likewise, what the model puts out.

    Returns:
        `None` where targets are no classes, else a dict of tensors of one
        shape: `labels`, numbers that may still be no ints; `right`, float, 0
        or 1; `losses`, or `None` if the loss is none of an element; and the int
        `columns`, how many bits an example has: a label is 2 * column + bit.
    """
    kind = label_kind(loss, accuracy, targets, outputs)
    if kind is None:
        return _elements_of_function(accuracy, targets, outputs)
    targets, outputs = _in_float32(targets, outputs)
    rank, columns = outputs.shape.rank, 1
    if kind == "binary":
        if targets.shape.rank != rank:
            targets, outputs = _same_rank(targets, outputs)
        if targets.shape.rank > 1 and targets.shape[-1] == 1:
            targets, outputs = targets[..., 0], outputs[..., 0]
        elif targets.shape.rank > 1:
            columns = outputs.shape[-1] or 1
        bits = tf.cast(outputs > _threshold(loss, accuracy), targets.dtype)
        right, labels = bits == targets, targets
        if columns > 1:
            labels += 2.0 * tf.cast(tf.range(columns), targets.dtype)
        pair = targets[..., None], outputs[..., None]
    elif kind == "sparse":
        targets = without_column(targets, rank - 1)
        labels, pair = targets, (targets, outputs)
        right = tf.cast(tf.argmax(outputs, -1), labels.dtype) == labels
    else:
        pair = targets, outputs
        labels = tf.argmax(targets, -1, output_type=tf.int32)
        right = tf.argmax(outputs, -1, output_type=tf.int32) == labels
        is_certain = tf.reduce_max(targets, -1) == 1.0
        is_certain &= tf.reduce_sum(targets, -1) == 1.0
        labels = tf.where(is_certain, tf.cast(labels, tf.float32), 0.5)
    losses = None
    if _is_one_of(_CROSSENTROPIES, loss):
        loss = loss_object(loss, targets, outputs)
    if _keras_name(loss) in _LABELS:
        losses = _function(loss, *pair)(*pair)
    return {
        "labels": labels,
        "right": tf.cast(right, tf.float32),
        "losses": losses,
        "columns": columns,
    }


def label_kind(
    loss: Any, accuracy: Any, targets: Any, outputs: Any
) -> str | None:
    """Returns what labels are: "sparse", "one_hot", "binary", or `None`.

    Args:
        loss: Of the output, as in `keras.Model.compile`, or `None`.
        accuracy: Likewise.
        targets: Tensor, for its shape.
        outputs: Tensor, likewise.
    """
    vague = [_is_one_of(_BY_SHAPES, each) for each in (accuracy, loss)]
    kind = None
    for each, is_vague in zip((accuracy, loss), vague, strict=True):
        if not is_vague:
            kind = kind or _LABELS.get(_keras_name(each) or "")
    if kind is None and any(vague):
        kind = _kind_by_shapes(targets, outputs)
    ranks = targets.shape.rank, outputs.shape.rank
    several = ranks[1] > 1 and outputs.shape[-1] not in (None, 1)
    same = ranks[0] == ranks[1] and targets.shape[-1] == outputs.shape[-1]
    fits = {
        "binary": same or (abs(ranks[0] - ranks[1]) == 1 and not several),
        "one_hot": same and several,
        "sparse": several
        and (
            ranks[0] == ranks[1] - 1
            or (ranks[0] == ranks[1] and targets.shape[-1] == 1)
        ),
    }
    return kind if kind and fits[kind] else None


def check_choice(performance: Any, metrics: Any) -> None:
    """Raises `ValueError` unless a performance can be measured.

    Args:
        performance: As in `find_weights`.
        metrics: As in `keras.Model.compile`.
    """
    if isinstance(performance, dict):
        for each in performance.values():
            check_choice(each, metrics)
        return
    if performance is None:
        return
    if isinstance(performance, str):
        if performance == "loss" or performance.endswith("_loss"):
            return
        names = [metric_name(each) for each in keras.tree.flatten(metrics)]
        names = [name for name in names if name]
        if not any(
            performance == name or performance.endswith(f"_{name}")
            for name in names
        ):
            raise ValueError(
                f"`performance` must be one of the metrics {names}, 'loss', a "
                f"Keras metric or a function, got {performance!r}."
            )
    elif not callable(performance):
        raise ValueError(
            "`performance` must be None, the name of a metric, a Keras metric "
            f"or a function (y_true, y_pred), got {performance!r}."
        )


def _elements_of_function(accuracy, targets, outputs):
    """As `class_elements`, where only a function says what is right."""
    if isinstance(accuracy, keras.metrics.Metric):
        if type(accuracy) is not keras.metrics.Accuracy:
            return None
    elif not callable(accuracy):
        return None
    right = _function(accuracy, targets, outputs)(targets, outputs)
    right = tf.cast(right, tf.float32)
    labels = targets
    if labels.shape.rank > 1:
        labels = without_column(labels, labels.shape.rank - 1)
        right = without_column(right, labels.shape.rank)
    if not right.shape.rank or right.shape.rank != labels.shape.rank:
        return None
    if not all(
        one is None or other is None or one == other
        for one, other in zip(right.shape, labels.shape, strict=True)
    ):
        return None
    return {"labels": labels, "right": right, "losses": None, "columns": 1}


def _metric_by_example(metric, targets, outputs):
    """Returns a metric object's value of each example; it stays as it is."""
    values = keras_private.values_of(metric, targets, outputs)
    if values is not None:
        return values
    keras_mask = keras_private.get_keras_mask(outputs)

    def of_one(example):
        y, x = (part[None] for part in example[:2])
        if keras_mask is not None:
            keras_private.set_keras_mask(x, example[2][None])
        state = metric.stateless_reset_state()
        state = metric.stateless_update_state(state, y, x)
        value = metric.stateless_result(state)
        return tf.reduce_mean(tf.cast(value, tf.float32))

    _build(metric, targets, outputs)
    parts = [targets, outputs]
    if keras_mask is not None:
        parts.append(keras_mask)
    return tf.map_fn(of_one, tuple(parts), fn_output_signature=tf.float32)


def _build(metric, targets, outputs):
    """Lets a metric make the variables that it makes with the first rows."""
    if keras_private.is_built(metric):
        return
    with tf.init_scope():
        rows = (
            tf.zeros([1, *(n or 1 for n in x.shape[1:])], x.dtype)
            for x in (targets, outputs)
        )
        metric.update_state(*rows)
        metric.reset_state()


def _keras_name(function):
    """Returns the name of a loss or metric of Keras's own, or `None`."""
    if isinstance(function, str) and not _is_name_of_accuracy(function):
        function = keras.losses.get(function)  # "bce" is a name, too
    if isinstance(function, str):
        name = function
    elif isinstance(function, (keras.losses.Loss, keras.metrics.Metric)):
        if not _is_of_keras(type(function)):
            return None
        name = type(function).__name__
        if name == "Accuracy":  # not the one that the shapes tell
            return None
    else:
        if not _is_of_keras(function):
            return None
        name = getattr(function, "__name__", "")
    return re.sub("(?<!^)(?=[A-Z])", "_", name).lower()


def _kind_by_shapes(targets, outputs):
    ranks = targets.shape.rank, outputs.shape.rank
    classes = outputs.shape[-1] if ranks[1] > 1 else 1
    if classes == 1 or ranks[0] > ranks[1]:  # a column for each output
        return "binary"
    is_sparse = ranks[0] < ranks[1]
    return "sparse" if is_sparse or targets.shape[-1] == 1 else "one_hot"


def _threshold(loss, accuracy):
    """Returns the output above which the answer is 1."""
    if type(accuracy) is keras.metrics.BinaryAccuracy:
        return accuracy.threshold
    from_logits = isinstance(loss, keras.losses.Loss) and getattr(
        loss, "get_config", dict
    )().get("from_logits")
    return 0.0 if from_logits and accuracy is None else 0.5


def _is_one_of(names, given):
    """Returns whether a loss or metric is given by one of some names."""
    return isinstance(given, str) and given.lower() in names


def _is_name_of_accuracy(name):
    return _is_one_of(_NAMES, name) or name.endswith("accuracy")


def _is_of_keras(function):
    return getattr(function, "__module__", "").split(".")[0] == "keras"


def _function(function, targets, outputs):
    """Returns a function from targets and outputs to values."""
    if _is_one_of(_NAMES, function):
        return {
            "binary": keras.metrics.binary_accuracy,
            "sparse": keras.metrics.sparse_categorical_accuracy,
            "one_hot": keras.metrics.categorical_accuracy,
        }[_kind_by_shapes(targets, outputs)]
    if type(function) is keras.metrics.Accuracy:
        return lambda y, x: tf.equal(*_in_float32(y, x))
    if isinstance(function, keras.metrics.Metric):
        return functools.partial(_metric_by_example, function)
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

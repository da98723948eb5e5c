"""What a model does on data, output by output, in one pass."""

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from modularity_tf.network import keras_private, scoring

_MOST_LABELS = 5  # that are tried as the only answer; one may be padding


@dataclasses.dataclass(frozen=True)
class Measured:
    """What was measured of one output of a model.

    Attributes:
        output: Str, the name of the output.
        name: Str, what performance is; "" where the output has none.
        is_accuracy: Bool, whether that is an accuracy.
        value: Float, the performance in its own unit.
        loss: Float, the mean loss; NaN where there is none.
        labels: Int array of the class of each element, an example or a step
            of a sequence, without padding; `None` where labels are no classes.
        right: Boolean array, whether the answer to each element is right.
        losses: Float array of the loss of each element, or of each example
            where `labels` is `None`; or `None`.
        columns: Int, how many bits an example has: above 1, a label is
            2 * column + bit.
        values: Float array whose mean is the performance, the value of the
            metric or the loss for each element; `None` where it is no mean.
    """

    output: str
    name: str
    is_accuracy: bool
    value: float
    loss: float
    labels: np.ndarray | None = None
    right: np.ndarray | None = None
    losses: np.ndarray | None = None
    columns: int = 1
    values: np.ndarray | None = None

    @property
    def is_loss(self) -> bool:
        """Whether performance is the loss."""
        return self.name == scoring.LOSS_EXPLAINED


class Measure:
    """Measures a model under the weights that a call keeps.

    Metric objects are used as they are, by Keras's stateless API: their state
    is neither read nor changed.

    Args:
        call: Function to the outputs of the model, from a dict from weight path
            to booleans, True for what stays, and inputs.
        objective: As `scoring.objective` returns it.
        performance: As in `find_weights`.
        names: Names of the outputs, or `None`.

    Raises:
        ValueError: If `performance` is neither a metric nor the name of one
            of the objective's.
    """

    def __init__(
        self,
        call: Callable[[Any, Any], Any],
        objective: Mapping[str, Any],
        performance: Any = None,
        names: Sequence[str] | None = None,
    ) -> None:
        scoring.check_choice(performance, objective["metrics"])
        self._call, self._objective = call, objective
        self._performance, self._names = performance, names
        self._outputs: list[_Output] = []
        self.loss_weights: list[float] = []

    def __call__(
        self,
        kept: Mapping[str, np.ndarray],
        batches: Iterable,
        most: float = math.inf,
    ) -> list[Measured]:
        """Returns what the model does, one value for each output.

        Args:
            kept: Dict from weight path to booleans, True for what stays;
                weights without an entry stay.
            batches: Of examples, as of `network.batches`.
            most: Number of rows after which to stop.

        Raises:
            ValueError: If losses or metrics do not fit the outputs.
        """
        flags = {path: tf.constant(value) for path, value in kept.items()}
        step = functools.partial(self._step, flags)
        (found,) = self._pass(step, batches, [None], most)
        return found

    def chance(
        self, batches: Iterable, whole: Sequence[Measured]
    ) -> list[float]:
        """Returns the best accuracy of an answer that is always the same.

        By the metric itself, which may leave out some labels, as padding.

        Args:
            batches: As in the call that returned `whole`.
            whole: What a call returned.

        Returns:
            Float for each output, NaN where its performance is no accuracy.
        """
        if not any(each.is_accuracy for each in whole):
            return [math.nan] * len(whole)
        answers = [
            _constant_answers(one, output.shape)
            for one, output in zip(whole, self._outputs, strict=True)
        ]
        count = max(map(len, answers))
        answers = [
            [*each, *[each[0]] * (count - len(each))] for each in answers
        ]
        step = functools.partial(self._measure, {})
        found = self._pass(step, batches, [*zip(*answers, strict=True)])
        return [
            max(one.value for one in of_output)
            if of_output[0].is_accuracy
            else math.nan
            for of_output in zip(*found, strict=True)
        ]

    def _pass(self, step, batches, answers, most=math.inf):
        """Returns what is measured, once for each of `answers`.

        Args:
            step: `_measure` of some weights.
            batches: As in a call.
            answers: List of `None`, for the answers as they are, or tuples of
                one constant answer for each output.
            most: As in a call.
        """
        rows, losses, seen, states = 0, 0.0, [], None
        for batch in batches:
            if not self._outputs:
                self._prepare(*batch[:2])
            if states is None:
                states = [[x.start() for x in self._outputs] for _ in answers]
            found, states, elements = step(batch, states, answers)
            count = len(keras.tree.flatten(batch[1])[0])
            losses = losses + count * found.numpy().astype("float64")
            seen.append(tf.nest.map_structure(_to_numpy, elements))
            rows += count
            if rows >= most:
                break
        return [
            [
                output.measured(state, loss, [one[k][i] for one in seen])
                for i, (output, state, loss) in enumerate(
                    zip(self._outputs, states[k], losses[k] / rows, strict=True)
                )
            ]
            for k in range(len(answers))
        ]

    @functools.cached_property
    def _step(self):
        return tf.function(
            self._measure, autograph=False, reduce_retracing=True
        )

    def _measure(self, kept, batch, states, answers):
        inputs, targets, weights = (*batch, None)[:3]
        targets = self._flat("labels", targets)
        if answers[0] is None or self._is_varying:
            outputs = self._flat("outputs", self._call(kept, inputs))
        else:
            rows = len(targets[0])
            outputs = [
                tf.zeros([rows, *each.shape[1:]], each.dtype)
                for each in self._outputs
            ]
        weights = self._flat_weights(weights)
        losses, after, elements = [], [], []
        for given, state in zip(answers, states, strict=True):
            found = [
                each.measure(x, y, w, s)
                for each, x, y, w, s in zip(
                    self._outputs,
                    map(_always, outputs, given or [None] * len(outputs)),
                    targets,
                    weights,
                    state,
                    strict=True,
                )
            ]
            losses.append([loss for loss, _, _ in found])
            after.append([state for _, state, _ in found])
            elements.append([part for _, _, part in found])
        return tf.stack(losses), after, elements

    def _prepare(self, inputs, targets):
        """Takes losses and metrics apart, by output."""
        outputs = self._call({}, inputs)
        self._keys = _keys(outputs, self._names)
        targets = self._flat("labels", targets)
        flat = self._flat("outputs", outputs)
        self._is_varying = any(  # from batch to batch, or has padding
            keras_private.get_keras_mask(x) is not None or x.shape.rank > 2
            for x in flat
        )
        losses = self._by_output("loss")
        self.loss_weights = [
            1.0 if weight is None else float(weight)
            for weight in self._by_output("loss_weights")
        ]
        metrics = self._by_output("metrics")
        self._outputs = [
            _Output(*each)
            for each in zip(
                self._keys,
                losses,
                metrics,
                self._choices(metrics),
                targets,
                flat,
                strict=True,
            )
        ]

    def _flat(self, name, values):
        """Returns targets or outputs as a list, in the order of outputs."""
        keys = self._keys
        if isinstance(values, dict) and {*values} == {*keys}:
            return [values[key] for key in keys]
        values = keras.tree.flatten(values)
        if len(values) != len(keys):
            raise ValueError(
                f"The model has the outputs {keys}, but there are "
                f"{len(values)} {name}: one for each output is needed."
            )
        return values

    def _flat_weights(self, weights):
        flat = keras.tree.flatten(weights)
        if len(flat) == 1:
            return flat * len(self._keys)
        if isinstance(weights, dict):
            return [weights.get(key) for key in self._keys]
        return self._flat("sample weights", weights)

    def _by_output(self, name):
        """Returns a part of the objective as a list, one for each output."""
        given, keys = self._objective.get(name), self._keys
        if name == "metrics" and len(keys) == 1:
            return [[x for x in keras.tree.flatten(given) if x is not None]]
        if isinstance(given, dict):
            unknown = {*given} - {*keys}
            if unknown and len(keys) > 1:
                raise ValueError(
                    f"`{name}` has {sorted(unknown)}, which are none of the "
                    f"outputs {keys}."
                )
            found = [given.get(key) for key in keys] if not unknown else None
            found = found or [*given.values()]
        elif isinstance(given, (list, tuple)) and len(given) == len(keys):
            found = [*given]
        elif name == "metrics" and given:
            raise ValueError(
                f"`metrics` must be a list of one item for each of the outputs "
                f"{keys}, or a dict, got {given!r}."
            )
        else:
            found = [given] * len(keys)
        if name == "metrics":
            return [
                [x for x in keras.tree.flatten(each) if x is not None]
                for each in found
            ]
        return found

    def _choices(self, metrics):
        """Returns for each output which performance is asked for."""
        chosen, keys = self._performance, self._keys
        if isinstance(chosen, dict):
            unknown = {*chosen} - {*keys}
            if unknown:
                raise ValueError(
                    f"`performance` has {sorted(unknown)}, which are none of "
                    f"the outputs {keys}."
                )
            return [chosen.get(key) for key in keys]
        if chosen is None or chosen == "loss":
            return [chosen] * len(keys)
        if not isinstance(chosen, str):
            losses = zip(keys, self._by_output("loss"), strict=True)
            asked = [key for key, loss in losses if loss is not None] or keys
            if len(asked) == 1:
                return [chosen if key in asked else False for key in keys]
            raise ValueError(
                f"`performance` must be a dict from output to metric, since "
                f"the model has the outputs {keys}, got {chosen!r}."
            )
        for key, of_output in zip(keys, metrics, strict=True):
            for metric in [*of_output, "loss"]:
                if chosen == f"{key}_{scoring.metric_name(metric)}":
                    name = scoring.metric_name(metric)
                    return [name if k == key else False for k in keys]
        names = [[*map(scoring.metric_name, each)] for each in metrics]
        if not any(chosen in of_output for of_output in names):
            raise ValueError(
                f"`performance`={chosen!r} is none of the metrics of the "
                f"outputs, {dict(zip(keys, names, strict=True))}."
            )
        return [chosen if chosen in each else None for each in names]


class _Output:
    """The loss of one output, and the metric that is its performance.

    Args:
        key: Str, the name of the output.
        loss: As in `keras.Model.compile`, or `None`.
        metrics: List of metrics, as there.
        choice: `None`, the name of a metric, a metric or a function; `False`
            where the output does not matter.
        targets: Tensor of some rows.
        outputs: Likewise.
    """

    def __init__(self, key, loss, metrics, choice, targets, outputs):
        self.key, self.shape, self.dtype = key, outputs.shape, outputs.dtype
        self._loss = None
        if loss is not None:
            self._loss = scoring.loss_object(loss, targets, outputs)
        accuracies = scoring.accuracies(metrics)
        accuracy = accuracies[0] if len(accuracies) == 1 else None
        chosen = accuracy if choice is None else choice
        if isinstance(chosen, str) and choice is not None:
            named = [x for x in metrics if scoring.metric_name(x) == chosen]
            chosen = named[0] if named else None
        self._given_loss, self._accuracy = loss, accuracy
        self._whole, self._metric = None, None  # a function of all rows at once
        self.name, self.is_accuracy = "", False
        is_function = callable(choice) and not isinstance(
            choice, keras.metrics.Metric
        )
        if choice is False:
            pass
        elif is_function:
            self._whole, self.name = choice, scoring.metric_name(choice)
            self.name = self.name or "performance"
            self.is_accuracy = scoring.is_accuracy(choice)
        elif chosen is not None:
            self.name = scoring.metric_name(chosen)
            chosen = scoring.as_object(chosen)
            self.is_accuracy = scoring.is_accuracy(chosen)
            self._metric = scoring.metric_object(chosen, targets, outputs)
            if self.is_accuracy:
                self._accuracy = chosen
        elif self._loss is not None:
            self.name = scoring.LOSS_EXPLAINED
        self._columns = 1

    def start(self):
        """Returns the state of the metric before the first row."""
        if self._metric is None:
            return []
        return [
            *map(tf.convert_to_tensor, self._metric.stateless_reset_state())
        ]

    def measure(self, outputs, targets, weights, state):
        """Returns loss, the metric's next state, and what is seen of elements.

        Args:
            outputs: Tensor.
            targets: Tensor.
            weights: Tensor or `None`.
            state: List of tensors.
        """
        scoring.check_no_text(targets)
        loss = tf.constant(math.nan, tf.float32)
        if self._loss is not None:
            # Of reduction "none" it is that of each example.
            loss = tf.reduce_mean(self._loss(targets, outputs, weights))
        if self._metric is not None:
            weighs = {} if weights is None else self._weighs(weights)
            state = self._metric.stateless_update_state(
                state, targets, outputs, **weighs
            )
            state = [*map(tf.convert_to_tensor, state)]
        seen = self._elements(outputs, targets, weights)
        if _keep(outputs, weights, outputs.shape.rank) is None:
            values = keras_private.values_of(self._metric, targets, outputs)
            if values is not None:
                seen["values"] = tf.cast(values, tf.float32)
        if self._whole is not None:
            seen["y"], seen["x"] = targets, outputs
            seen["w"] = _keep(outputs, None, outputs.shape.rank)
            if weights is not None:
                seen["w"] = tf.cast(weights, tf.float32)
        return tf.cast(loss, tf.float32), state, seen

    def _weighs(self, weights):
        """Returns the argument by which the metric weighs examples."""
        name = "sample_weight"
        takes = inspect.signature(self._metric.update_state).parameters
        return {name: weights} if name in takes else {}

    def measured(self, state, loss, seen):
        """Returns what was measured, a `Measured`."""
        labels, right, losses, values = (
            np.concatenate([np.ravel(one[name]) for one in seen])
            if name in seen[0]
            else None
            for name in ("labels", "right", "losses", "values")
        )
        if labels is not None:
            keep = np.concatenate([np.ravel(one["keep"]) for one in seen]) > 0
            labels, right = labels[keep], right[keep]
            losses = None if losses is None else losses[keep]
            whole = labels.astype("int64")
            if not ((labels == whole).all() and np.isin(right, (0, 1)).all()):
                labels, right = None, None
            else:
                labels, right = whole, right > 0
        if self.name == scoring.LOSS_EXPLAINED and losses is not None:
            values = _with_mean(losses, float(loss))
        return Measured(
            self.key,
            self.name,
            self.is_accuracy,
            self._value(state, loss, seen),
            float(loss),
            labels,
            right,
            losses,
            self._columns,
            values,
        )

    def _value(self, state, loss, seen):
        if self._whole is not None:
            y, x = (np.concatenate([s[name] for s in seen]) for name in "yx")
            values = np.asarray(self._whole(y, x), "float64")
            weights = [s["w"] for s in seen if s["w"] is not None]
            if not weights or not values.ndim:
                return float(values.mean())
            weights = np.concatenate(weights)
            weights = weights.reshape(
                weights.shape + (1,) * (values.ndim - weights.ndim)
            )
            return float(np.average(values, weights=weights + 0 * values))
        if self._metric is None:
            return float(loss)
        value = self._metric.stateless_result(state)
        values = [np.mean(x) for x in keras.tree.flatten(value)]
        return float(np.mean(values))

    def _elements(self, outputs, targets, weights):
        """Returns a dict of tensors of one shape; see `Measured`."""
        found = scoring.class_elements(
            self._given_loss, self._accuracy, targets, outputs
        )
        if found is None:
            losses = self._losses_by_example(outputs, targets)
            return {} if losses is None else {"losses": losses}
        if found["losses"] is None and found["labels"].shape.rank == 1:
            found["losses"] = self._losses_by_example(outputs, targets)
        self._columns = found.pop("columns")
        labels = found["labels"]
        keep = _keep(outputs, weights, labels.shape.rank)
        found["keep"] = tf.ones_like(labels) if keep is None else keep
        found["keep"] *= tf.ones_like(labels)
        ignored = getattr(self._given_loss, "ignore_class", None)
        if ignored is not None:
            found["keep"] *= tf.cast(labels != ignored, labels.dtype)
        if found["losses"] is None:
            del found["losses"]
        return found

    def _losses_by_example(self, outputs, targets):
        if self._loss is None:
            return None
        return scoring.losses_by_example(self._loss, targets, outputs)


def _keep(outputs, weights, rank):
    """Returns which elements count, floats that broadcast, or `None`."""
    found = None
    for part in (keras_private.get_keras_mask(outputs), weights):
        if part is None or part.shape.rank > rank:
            continue
        part = tf.cast(part != 0 if part is weights else part, tf.float32)
        part = tf.reshape(
            part, tf.concat([tf.shape(part), [1] * (rank - part.shape.rank)], 0)
        )
        found = part if found is None else found * part
    return found


def _with_mean(losses, mean):
    """Returns losses in the unit of their weighted mean or sum, or `None`."""
    own = losses.mean()
    if math.isclose(own, mean, rel_tol=1e-3, abs_tol=1e-9):
        return losses
    return losses * (mean / own) if own * mean > 0 else None


def _constant_answers(measured, shape):
    """Returns arrays, each an answer that does not look at the inputs."""
    answers = [np.float32(0), np.float32(1)]
    classes = shape[-1] if len(shape) > 1 else 1
    if measured.labels is None or not len(measured.labels):
        return answers
    labels, counts = np.unique(measured.labels, return_counts=True)
    if measured.columns > 1:
        bits = np.zeros(measured.columns, "float32")
        shares = np.bincount(
            measured.labels // 2, measured.labels % 2, measured.columns
        ) / np.bincount(measured.labels // 2, minlength=measured.columns)
        bits[shares > 0.5] = 1
        return [*answers, bits]
    for label in labels[np.argsort(-counts)][:_MOST_LABELS]:
        if classes and classes > 1 and 0 <= label < classes:
            answers.append(np.eye(classes, dtype="float32")[label])
    return answers


def _always(outputs, answer):
    """Returns outputs, or in their place the same answer to every example."""
    if answer is None:
        return outputs
    keras_mask = keras_private.get_keras_mask(outputs)
    outputs = tf.zeros_like(outputs) + tf.cast(answer, outputs.dtype)
    if keras_mask is not None:
        keras_private.set_keras_mask(outputs, keras_mask)
    return outputs


@dataclasses.dataclass(frozen=True)
class Scale:
    """The scale of performance: 0 is chance or nothing, 1 the whole model.

    Attributes:
        whole: List of `Measured`, of the model as it is.
        nothing: Likewise, of the model without the parts in question.
        zeros: Floats, what counts as 0 for each output.
        counted: Bools, whether an output counts.
    """

    whole: list[Measured]
    nothing: list[Measured]
    zeros: list[float]
    counted: list[bool]

    def shares(self, found: Sequence[Measured]) -> dict[str, float]:
        """Returns the performance of each output that counts, on the scale."""
        return {
            one.output: scoring.share_explained(one.value, whole.value, zero)
            for one, whole, zero, counts in zip(
                found, self.whole, self.zeros, self.counted, strict=True
            )
            if counts
        }

    def share(self, found: Sequence[Measured]) -> float:
        """Returns the performance of the worst output, on the scale."""
        return min(self.shares(found).values())


def _keys(outputs, names):
    """Returns the names of outputs, in the order of Keras."""
    count = len(keras.tree.flatten(outputs))
    names = [*(names or ())]
    if isinstance(outputs, dict) and len(outputs) == count:
        return names if {*names} == {*outputs} else sorted(outputs)
    if len(names) == count:
        return names
    return [f"output_{i}" for i in range(count)] if count > 1 else ["output"]


def _to_numpy(tensor):
    return tensor.numpy() if hasattr(tensor, "numpy") else tensor

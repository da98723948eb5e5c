"""What a model does under some of its weights: one way to ask."""

import functools
import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from modularity_tf import stats
from modularity_tf.network import (
    activations,
    batches,
    functional_call,
    measurement,
    scoring,
    task_outputs,
)

Tensors: TypeAlias = Mapping[str, tf.Tensor]
Flags: TypeAlias = Mapping[str, np.ndarray]  # True for weights that stay
Examples: TypeAlias = list[tuple[Any, ...]]
_BATCH_SIZE = 1024  # of examples in one call
_SMALLER = (2.0**10, 1.0, 2.0**-10, 2.0**-20)  # losses, till float16 holds


class Evaluation:
    """How well a model does its task under some of its weights.

    The weights are an input of compiled functions: nothing is cloned, written
    to or traced for one more set of them. Three questions are asked, and none
    answers another:

    - `measure`: the performance of each output in a whole pass, by Keras's own
      metrics, of which some (the area under a curve) have no value of a single
      example. It is for a choice between masks.
    - `by_example`: a value of each example, of one accuracy or loss, as
      intervals and paired tests need it.
    - `losses`, `mean` and `slopes`: a loss that weights of any value, not only
      kept or removed ones, change smoothly. It is for scores of weights.

    What `MaskedModel` trains on is Keras's `compute_loss`, with the penalties,
    sample weights and loss weights of a compiled model, and is no part of it.

    Args:
        model: Built `keras.Model`. It is not changed.
        objective: As `scoring.objective` returns it.
        performance: As in `find_weights`, for `measure`.
        learns: Bool, as in `FunctionalCall`.

    Attributes:
        measure: `Measure`.

    Raises:
        ValueError: If `performance` can't be measured.
    """

    def __init__(
        self,
        model: keras.Model,
        objective: Mapping[str, Any],
        performance: Any = None,
        *,
        learns: bool = False,
    ) -> None:
        self._model, self._objective = model, objective
        self._call = functional_call.FunctionalCall(model, learns=learns)
        self.measure = measurement.Measure(
            lambda kept, inputs: self._call(self._call.kept(kept), inputs),
            objective,
            performance,
            getattr(model, "output_names", None),
        )
        self._performance = performance

    def by_example(self, kept: Flags, examples: Examples) -> np.ndarray:
        """Returns the performance of each example.

        That which was asked for; else the accuracy, if that is one of the
        metrics and the only such one, and the task is about one output; else
        the loss, summed over outputs with their weights.

        Args:
            kept: Dict from weight path to boolean array; always the same
                paths.
            examples: List of `(inputs, targets)` or of `(inputs, targets,
                sample weights)`, tensors.

        Returns:
            Float64 array `(examples,)`.
        """
        flags = {path: tf.constant(value) for path, value in kept.items()}
        found = [self._step(flags, *batch).numpy() for batch in examples]
        return np.concatenate(found).astype("float64")

    def losses(
        self, values: Tensors, inputs: Any, targets: Any, weights: Any = None
    ) -> tf.Tensor:
        """Returns the loss of each example of a batch, summed over outputs.

        Args:
            values: Dict from weight path to the tensor in its place.
            inputs: What the model takes.
            targets: Of the same examples.
            weights: Sample weights, by which losses are multiplied, or `None`.
        """
        own = self._call.variables  # of float16, say
        values = {p: tf.cast(x, own[p].dtype) for p, x in values.items()}
        return self._of_each(
            self._losses, values, inputs, targets, weights, is_scaled=True
        )

    def mean(self, function: Callable[..., Any], data: batches.Data) -> Any:
        """Returns the mean over data of what is a sum over each batch.

        Args:
            function: From inputs, targets and, where there are any, sample
                weights to a nest of tensors.
            data: As in `network.batches`.

        Returns:
            Nest of float64 arrays.

        Raises:
            ValueError: If one is NaN or infinite.
        """
        total, count = None, 0
        for batch in batches.read(
            "data", data, with_weights=True, model=self._model
        ):
            found = keras.tree.map_structure(
                lambda x: x.numpy().astype("float64"), function(*batch)
            )
            if total is not None:
                found = keras.tree.map_structure(np.add, total, found)
            total, count = found, count + batches.count_rows(batch[1])
        found = keras.tree.map_structure(lambda x: x / count, total)
        if not all(np.isfinite(x).all() for x in keras.tree.flatten(found)):
            raise ValueError(
                f"The loss of {self._model.name!r} or its gradients are NaN or "
                f"infinite{activations.overflow(self._model)}."
            )
        return found

    def slopes(
        self, values: Mapping[str, np.ndarray], data: batches.Data
    ) -> dict[str, np.ndarray]:
        """Returns the gradient of the mean loss at some values of weights.

        Args:
            values: Dict from weight path to array.
            data: As in `network.batches`.

        Returns:
            Dict from weight path to float64 array.
        """
        weights = {path: tf.constant(value) for path, value in values.items()}
        return self.mean(functools.partial(self._finite, weights), data)

    def _finite(self, weights, *batch):
        """Returns slopes, of a smaller loss where float16 overflows."""
        for scale in _SMALLER:
            found = self._slopes(tf.constant(scale), weights, *batch)
            is_finite = all(
                tf.reduce_all(tf.math.is_finite(x)) for x in found.values()
            )
            if is_finite or not activations.overflow(self._model):
                break
        return {p: x / tf.cast(scale, x.dtype) for p, x in found.items()}

    @functools.cached_property
    def _slopes(self):
        @tf.function(autograph=False, reduce_retracing=True)
        def slopes(scale, weights, *batch):
            with tf.GradientTape() as tape:
                tape.watch(weights)
                losses = self.losses(weights, *batch)
                loss = scale * tf.reduce_sum(losses)
            return tape.gradient(
                loss,
                weights,
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )

        return slopes

    @functools.cached_property
    def _step(self):
        functions = {
            name: (scoring.as_object(metric), factor)
            for name, (metric, factor) in (self._metric or {}).items()
        } or self._losses

        @tf.function(autograph=False, reduce_retracing=True)
        def step(kept, inputs, targets, *weights):
            values = self._call.kept(kept)
            return self._of_each(functions, values, inputs, targets, *weights)

        return step

    @functools.cached_property
    def _names(self):
        try:
            return task_outputs.names_of(self._model)
        except ValueError:  # a subclassed model that can't be followed
            return ("output",)

    @functools.cached_property
    def _losses(self):
        """A dict from each output of the task to its loss and its weight."""
        losses, weights = (
            task_outputs.by_output(name, self._objective.get(name), self._names)
            for name in ("loss", "loss_weights")
        )
        return {
            name: (loss, 1.0 if weights[name] is None else weights[name])
            for name, loss in losses.items()
            if loss is not None
        }

    @functools.cached_property
    def _metric(self):
        """The same for a metric; `None` where performance is the loss."""
        chosen = self._performance
        if chosen == "loss" or (chosen is None and len(self._losses) != 1):
            return None
        if len(self._losses) != 1:
            raise ValueError(
                "`performance` must be None or 'loss' for a task of several "
                f"outputs, {[*self._losses]}, or `outputs` name one of them; "
                f"got {chosen!r}."
            )
        ((name, _),) = self._losses.items()
        if chosen == f"{name}_loss":
            return None
        metrics = self._objective["metrics"]
        if len(self._names) > 1:
            metrics = task_outputs.by_output("metrics", metrics, self._names)
            metrics = metrics[name]
        if chosen is None:
            found = scoring.accuracies(metrics)
            return {name: (found[0], 1.0)} if len(found) == 1 else None
        if isinstance(chosen, str):
            known = {
                scoring.metric_name(each): each
                for each in keras.tree.flatten(metrics)
                if each is not None
            }
            found = [
                metric
                for key, metric in known.items()
                if chosen in (key, f"{name}_{key}")
            ]
            if not found:
                raise ValueError(
                    f"`performance` must be one of the metrics {[*known]} of "
                    f"{name!r}, or 'loss', got {chosen!r}."
                )
            chosen = found[0]
        _check_is_a_mean(scoring.as_object(chosen))
        return {name: (chosen, 1.0)}

    def _of_each(
        self,
        functions,
        values,
        inputs,
        targets,
        weights=None,
        is_scaled=False,
    ):
        """Returns a loss or an accuracy of each example, a tensor.

        Args:
            functions: Dict from output to a function and its weight.
            values: As in `losses`.
            inputs: Likewise.
            targets: Likewise.
            weights: Sample weights, or `None`.
            is_scaled: Bool. Whether sample weights multiply the values of one
                output, as they do those of several.
        """
        outputs, targets, weights = (
            self._flat(each)
            for each in (self._call(values, inputs), targets, weights)
        )
        # Those of one output are left to `OnExamples`: they count examples.
        is_scaled = is_scaled or len(functions) > 1
        is_scaled = is_scaled and weights[0] is not None
        found = []
        for name, x, y, w in zip(
            self._names, outputs, targets, weights, strict=True
        ):
            if name not in functions:
                continue
            function, factor = functions[name]
            value = scoring.by_example(
                function, y, activations.with_mask_in_float(x), w
            )
            if is_scaled:
                value *= tf.cast(_of_example(w), value.dtype)
            found.append(factor * value)
        return tf.add_n(found)

    def _flat(self, values):
        """Returns outputs, targets or weights as a list, by output."""
        if values is None:
            return [None] * len(self._names)
        if isinstance(values, dict) and {*values} == {*self._names}:
            return [values[name] for name in self._names]
        return keras.tree.flatten(values)

    def weights_of(self, examples: Examples) -> np.ndarray | None:
        """Returns how much each example counts; `None` for all alike.

        Where positions of examples have weights, these are sums. Where the
        task is about several outputs, each has its own weights, which are in
        what `by_example` returns.

        Args:
            examples: As in `by_example`.
        """
        if len(examples[0]) < 3 or len(self._losses) > 1:
            return None
        ((name, _),) = self._losses.items()
        i = self._names.index(name)
        found = [
            _of_example(self._flat(each[2])[i]).numpy() for each in examples
        ]
        return np.concatenate(found).astype("float64")


def _check_is_a_mean(metric):
    """Raises `ValueError` if a metric has no values of single examples."""
    is_mean = isinstance(
        metric, (keras.metrics.MeanMetricWrapper, keras.metrics.Accuracy)
    )
    if isinstance(metric, keras.metrics.Metric) and not is_mean:
        raise ValueError(
            f"`performance` is {metric.name!r}, a {type(metric).__name__}, "
            "which has no value of a single example: intervals and paired "
            "tests need one. Take a metric that is a mean over examples."
        )


def _of_example(weights):
    """Returns the sums of sample weights of each example, a tensor."""
    return tf.reduce_sum(weights, [*range(1, weights.shape.rank)])


def check_one_loss(model: keras.Model, loss: Any) -> None:
    """Raises `ValueError` unless there is one loss for all outputs.

    Args:
        model: `keras.Model`.
        loss: What was given.
    """
    if loss is None or isinstance(loss, (dict, list, tuple)):
        raise ValueError(
            "`loss` must be one loss for all outputs, or None for that of "
            f"a compiled model; for {model.name!r} it is {loss!r}."
        )


class OnExamples(Evaluation):
    """An evaluation on some examples, on a scale and with intervals.

    Args:
        model: Built `keras.Model`.
        examples: List of `(inputs, targets)`, tensors, with sample weights or
            without, as `examples_of` returns it.
        objective: As `scoring.objective` returns it.
        nothing: Dict as `kept` of `values`, with which nothing is left.
        scale: Another `OnExamples`, whose scale of the loss is taken; `None`
            for one from `nothing` to the whole model.
        argument: Str, the argument that the examples were given as.
        must_perform: Bool. Whether a model that has no answer right is
            refused. A scale from `nothing` to the model is needed either way.
        performance: As in `by_example`: `None`, "loss", or a metric that is a
            mean over examples, by itself or by name.

    Attributes:
        name: Str, what performance is.
        whole: What `values` returns of the whole model.
        copies: Which of the distinct examples each of them is, an int array.
        weights: How much each of them counts, a float array; `None` where all
            count alike.

    Raises:
        ValueError: If `model` itself does not perform.
    """

    def __init__(
        self,
        model: keras.Model,
        examples: Examples,
        objective: Mapping[str, Any],
        nothing: Flags,
        scale: "OnExamples | None" = None,
        argument: str = "data",
        must_perform: bool = True,
        performance: Any = None,
    ) -> None:
        super().__init__(model, objective, performance)
        self._examples, self.copies = examples, copies_of(examples)
        self.weights = self.weights_of(examples)
        self.name, is_scaled = scoring.LOSS_EXPLAINED, True
        if self._metric is not None:
            ((metric, _),) = self._metric.values()
            is_scaled = not scoring.is_accuracy(metric)
            self.name = "accuracy"
            if performance is not None:
                self.name = scoring.metric_name(metric) or "performance"
        self.whole = self.values(
            {path: np.ones_like(value) for path, value in nothing.items()}
        )
        self._scale = None
        if scale is not None:
            self._scale = scale._scale  # of one model, for both
        elif is_scaled:
            self._scale = self.whole, self.values(nothing)
        if scale is None and (must_perform or self._scale):
            self._check_performs(model, argument)

    @property
    def count(self) -> int:
        """Int, the number of examples, without those of weight 0."""
        if self.weights is None:
            return len(self.whole)
        return int(np.count_nonzero(self.weights))

    @property
    def bounds(self) -> tuple[float, float]:
        """Two floats, between which performance lies whatever is removed."""
        if self._scale is None and np.all(np.abs(self.whole - 0.5) <= 0.5):
            return 0.0, 1.0  # an accuracy
        return -math.inf, math.inf

    def values(self, kept: Flags) -> np.ndarray:
        """Returns the accuracy, or the loss, of each example.

        Args:
            kept: Dict from weight path to boolean array, True for entries that
                stay, with the paths of `nothing`.

        Returns:
            Float64 array `(examples,)`.
        """
        return self.by_example(kept, self._examples)

    def performance(self, values: np.ndarray) -> float:
        """Returns the performance of what `values` returned, a float."""
        return float(self._of_means(*self._means(values)))

    def interval(self, values: np.ndarray, seed: int) -> tuple[float, float]:
        """Returns the 95 % interval of the performance, over examples.

        That of Wilson where each example is right or wrong, else bootstrap.
        Copies of an example say nothing new and do not narrow it.

        Args:
            values: What `values` returned.
            seed: Int, not negative, of the bootstrap.
        """
        if self._scale is None and np.isin(values, (0, 1)).all():
            count = stats.effective_count(self.copies, self.weights)
            (mean,) = self._means(values)
            return stats.share_interval(mean * count, count)
        return stats.bootstrap_interval(
            self._of_means,
            self._parts(values),
            seed,
            self.copies,
            self.weights,
        )

    def is_fall(
        self, before: np.ndarray, after: np.ndarray, tolerance: float
    ) -> tuple[bool, bool]:
        """Returns what the examples tell of a fall of performance.

        Args:
            before: What `values` returned.
            after: Likewise, with less of the model.
            tolerance: Float, as in `stats.fall_test`.

        Returns:
            Two bools: it is surely at most `tolerance`, and surely more.
        """
        losses, whole = before - after, None
        if self._scale is not None:
            sign = 1.0 if self._is_better_low else -1.0
            losses = -sign * losses
            whole = sign * (self._scale[1] - self._scale[0])
        return stats.fall_test(
            losses, whole, tolerance, self.copies, self.weights
        )

    def notice(self, paths: Iterable[str], seed: int) -> dict[str, np.ndarray]:
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

        found = {path: np.array(False) for path in paths}
        for inputs, *_ in self._examples:
            for path, slope in slopes(inputs).items():
                found[path] = found[path] | (
                    (slope * weights[path]).numpy() != 0
                )
        return found

    def _parts(self, values):
        return [values, *(self._scale or ())]

    def _means(self, values):
        return [
            float(np.average(x, weights=self.weights))
            for x in self._parts(values)
        ]

    def _of_means(self, value, *scale):
        return scoring.share_explained(value, *scale) if scale else value

    @property
    def _is_better_low(self):
        """Whether the whole model has less of it than nothing has."""
        _, whole, nothing = self._means(self.whole)
        return whole < nothing

    def _check_performs(self, model, argument):
        means = self._means(self.whole)
        is_loss = self._metric is None
        good = math.isfinite(sum(means)) and (
            (means[1] < means[2] if is_loss else means[1] != means[2])
            if self._scale
            else means[0] > 0
        )
        if not good:
            told = (
                "loss {1:.4g}, without all these parts {2:.4g}"
                if is_loss
                else f"{self.name} {{0:.4g}}"
            )
            raise ValueError(
                f"{model.name!r} itself does not perform on `{argument}` "
                f"({told.format(*means)}): there is nothing to check. Is it "
                "trained, are these its data?"
            )


def examples_of(
    data: batches.Data,
    most: int,
    seed: int,
    model: keras.Model | None = None,
    argument: str = "data",
) -> Examples:
    """Returns some examples of users' data, as tensors, in batches.

    Args:
        data: As in `network.batches`.
        most: Positive int: of arrays as many drawn at random, of batches the
            first.
        seed: Int, not negative.
        model: `keras.Model` that the data are for, or `None`.
        argument: Str, the argument that the data were given as.

    Returns:
        List of `(inputs, targets)`, with sample weights if there are any.

    Raises:
        ValueError: If an input is NaN or infinite.
    """
    if batches.is_arrays(data, model):
        data = batches.checked_arrays(argument, data)
        rows = batches.count_rows(data[1])
        if rows > most:
            order = np.random.default_rng(seed).permutation(rows)
            data = batches.take(data, np.sort(order[:most]))
    found, left = [], most
    for batch in batches.read(argument, data, _BATCH_SIZE, True, model):
        batch = batches.take(batch, slice(0, left))
        batches.check_finite(argument, batch[0])
        left -= batches.count_rows(batch[1])
        found.append(batch)
        if not left:
            break
    return found


def copies_of(examples: Examples) -> np.ndarray:
    """Returns which of the distinct examples each of them is.

    Args:
        examples: As `examples_of` returns it.

    Returns:
        Int array `(examples,)`, numbered from 0 in the order in which they
        come. Examples with equal inputs and targets have the same number.
    """
    numbers: dict[tuple[bytes, ...], int] = {}
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

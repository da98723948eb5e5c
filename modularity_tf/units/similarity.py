"""Which units act alike? Matrices of similarity between the units of a layer.

A unit is a unit of a Dense layer or a channel of a convolution. It has one
activation per example: over positions (space, time, repeated calls of the
layer) the mean, as in `neurons`. Derivatives downstream are with respect to a
shift of the unit at all its positions, which raises that mean by as much, so
equations 1 to 4 hold for convolutions as they are written. Positions that a
Keras mask hides, such as padding, count nowhere: not in the mean, the shift,
the outputs or the loss. An example that has no other counts, its activations 0.

References:
    - [Lange et al., 2022](https://arxiv.org/abs/2203.11815),
      "Clustering units in neural networks: upstream vs downstream
      information", section 3.1
"""

import contextlib
import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from modularity_tf import checks
from modularity_tf.network import (
    activations,
    batches,
    keras_private,
    layer_names,
    model_weights,
    progress,
    scoring,
    task_outputs,
)
from modularity_tf.units import graph_paths, relu_similarity

MEASURES = (
    "covariance",
    "normalized_covariance",
    "input_sensitivity",
    "normalized_input_sensitivity",
    "output_sensitivity",
    "normalized_output_sensitivity",
    "loss_hessian",
    "normalized_loss_hessian",
)
# Layer path -> measure -> float64 array `(units, units)`.
Similarities = dict[str, dict[str, np.ndarray]]
_EPSILON = 1e-12  # of the largest entry: less counts as zero


def unit_similarities(
    model: keras.Model,
    data: batches.Data,
    *,
    layers: activations.Names = None,
    loss: Any = None,
    outputs: task_outputs.Chosen = None,
    measures: str | Sequence[str] = MEASURES,
) -> Similarities:
    """Returns how alike the units of each layer are, by up to eight measures.

    With h the n units of a layer, x the inputs, y the outputs, L the loss of
    one example and E the mean over K examples:

        covariance          |sum (h - E h)(h - E h)^T| / (K - 1)    (1)
        input_sensitivity   |E (dh/dx) (dh/dx)^T|                   (2)
        output_sensitivity  |E (dy/dh)^T (dy/dh)|                   (3)
        loss_hessian        |E d2L/dh2|                             (4)

    and `normalize` of each (5). One pass over the data, in inference mode;
    memory is that of a batch: its derivatives dh/dx and dy/dh. Where the
    inputs feed a single product x W, as in a first Dense layer, (2) goes
    through W^T W, and nothing is as wide as the inputs.

    The paper's y are logits. A model that ends in a softmax has probabilities
    for y: (3) is then that of probabilities, (4) the same for a loss to match.

    Args:
        model: Built `keras.Model`: Sequential, functional, nested, or
            subclassed. Several outputs count as one y, side by side.
        data: Arrays `(inputs, targets)` or batches of them, as in
            `network.batches`; two examples or more, held out from training;
            every one counts the same. Inputs are floats, but for covariance
            alone.
        layers: Names or paths of layers, of any kind (a `ReLU`, say), as in
            `activations.choose_layers`; `None` for the Conv and Dense layers
            but those that return the model's outputs.
        loss: What `model.compile` takes as loss: one for all outputs, or a
            dict or a list of one for each, whose sum counts. A function
            returns a loss for each example, or each of its positions. `None`
            for the compiled one.
        outputs: Name of the output that is y, or names of several; `None` for
            all, or those that have a loss.
        measures: Names in `MEASURES`; those left out cost nothing.

    Returns:
        Dict from layer path to a dict from measure to float64 array
        `(units, units)`, symmetric, not negative.

    Raises:
        ValueError: If a name is unknown, a layer out of reach, the data or the
            loss do not fit, or something is NaN or infinite (by layer).

    References:
        - Lange et al., 2022, equations 1 to 5
    """
    return UnitSimilarities(
        model, layers=layers, loss=loss, outputs=outputs, measures=measures
    )(data)


class UnitSimilarities:
    """`unit_similarities` of one model again and again, traced once.

    A call takes the weights as they then are. It traces anew once the model
    has other layers, other variables or another compiled loss. What a layer
    computes is taken to stay the same, as `predict` does: make a new object
    after changing an attribute of a layer, its activation say.

    Args:
        model: As in `unit_similarities`, and the following.
        layers: Names or paths of layers.
        loss: A loss, or `None` for the compiled one.
        outputs: Names of outputs, or `None`.
        measures: Names in `MEASURES`.
        activated: Bool. Of a linear Conv or Dense layer compare what the
            activation after it makes of its units, as `find_units` does.

    Call arguments:
        data: As in `unit_similarities`.
        verbose: Int. With 1 a bar shows the batches from 5 seconds on.

    Returns:
        What `unit_similarities` returns.

    Raises:
        ValueError: As `unit_similarities`.
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        layers: activations.Names = None,
        loss: Any = None,
        outputs: task_outputs.Chosen = None,
        measures: str | Sequence[str] = MEASURES,
        activated: bool = False,
    ):
        measures = measures if isinstance(measures, str) else tuple(measures)
        unknown = [name for name in measures if name not in MEASURES]
        if unknown or not measures:
            raise ValueError(
                f"`measures` must be names in {MEASURES}, got {measures!r}."
            )
        if layers is not None:
            layers = layer_names.as_names(layers, "layers")
        self._model, self._layers = model, layers
        self._activated = activated
        self._outputs, self._asked = outputs, None
        self._loss, self._measures = loss, measures
        self._summarize, self._is_traced = None, False
        self._parts: list[
            Any
        ] = []  # of the model that was traced: its layers, say

    def __call__(self, data: batches.Data, *, verbose: int = 0) -> Similarities:
        self._trace_anew_if_changed()
        model_weights.check_finite(self._model)
        count = 0
        totals: dict[str, Any] = {}
        if self._asked is not None:
            data = self._asked.data("data", data, self._model)
        read = batches.read_unweighted("data", data, self._model)
        for inputs, targets in progress.shown(read, "batch", verbose=verbose):
            rows = batches.count_rows(inputs)
            found = self._sums(inputs, targets)
            for name, sums in found.items():
                sums = {kind: value.numpy() for kind, value in sums.items()}
                totals[name] = _merge(totals.get(name), count, sums, rows, name)
            count += rows
        if count < 2:
            raise ValueError(
                f"`data` must have two examples or more, got {count} examples."
            )
        return {
            name: _finish(sums, count, self._measures)
            for name, sums in totals.items()
        }

    def _trace_anew_if_changed(self):
        model, loss = self._model, None
        hidden_only, activated = self._layers is None, self._activated
        chosen = activations.choose_layers(model, self._layers)
        kinds = {name.removeprefix("normalized_") for name in self._measures}
        parts = [*keras_private.all_layers(model), *model.weights]
        has_loss = "loss_hessian" in kinds
        if has_loss or self._outputs is not None:
            # Without a Hessian the loss says nothing but which outputs count.
            given = self._loss if has_loss else "mse"
            asked = task_outputs.task(model, given, None, self._outputs)
            self._asked = asked if asked.names else None
            parts.append(getattr(model, "loss", None))
        if [*map(id, parts)] == [*map(id, self._parts)]:
            return
        if has_loss:
            loss = functools.partial(_loss_of, asked, model)
        ends = self._asked
        self._summarize = tf.function(
            lambda inputs, targets: _summary(
                model,
                ends,
                chosen,
                hidden_only,
                activated,
                loss,
                kinds,
                inputs,
                targets,
            ),
            autograph=False,
            reduce_retracing=True,
        )
        self._parts, self._is_traced = parts, False

    def _sums(self, inputs, targets):
        """Returns a dict from layer to sums over a batch."""
        name = self._model.name
        if any(x.dtype == tf.string for x in keras.tree.flatten(targets)):
            raise ValueError("The labels in `data` must be numbers, got text.")
        if not self._is_traced:
            self._is_traced = True
            with contextlib.suppress(Exception):  # else: for this size alone
                self._summarize.get_concrete_function(
                    *keras.tree.map_structure(_of_any_size, (inputs, targets))
                )
        try:
            finite, found = activations.call_in_graph(
                self._summarize, inputs, targets
            )
        except tf.errors.InvalidArgumentError as error:  # a label, say
            raise ValueError(
                f"{name!r} or its loss failed on a batch: {error.message}"
            ) from error
        for what, is_finite in finite.items():
            if not is_finite:  # a compiled Dense + ReLU turns NaN into 0
                hint = activations.overflow(self._model)
                raise ValueError(
                    f"NaN or infinite values in {what} of {name!r}"
                    f"{'' if what == 'the inputs' else hint}."
                )
        return found


def relu_similarities(
    kernels: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    inputs: np.ndarray,
    *,
    chunk_size: int = 2048,
) -> list[dict[str, np.ndarray]]:
    """Returns the similarities in a dense ReLU classifier, in closed form.

    What `unit_similarities` returns for a model of layers
    h_l = relu(h_(l-1) W_l + b_l), with logits after the last of D and a cross
    entropy of their softmax: without autodiff or tracing, for many small
    networks. Products are float32, sums over chunks float64.

    Args:
        kernels: List of D arrays `(inputs, outputs)`, D > 1.
        biases: List of D arrays `(outputs,)`.
        inputs: Array `(examples, features)`, two examples or more.
        chunk_size: Positive int, examples at a time: a few times
            their activations are in memory.

    Returns:
        List with a dict from measure to float64 array `(units, units)` for
        each of the D - 1 hidden layers.

    Raises:
        ValueError: If shapes do not fit, or something is NaN or infinite (by
            layer).

    References:
        - Lange et al., 2022, equations 1 to 5
    """
    chunk_size = checks.integer("chunk_size", chunk_size, least=1)
    kernels = [np.asarray(kernel, "float32") for kernel in kernels]
    biases = [np.asarray(bias, "float32") for bias in biases]
    inputs = np.asarray(inputs, "float32")
    _check_network(kernels, biases, inputs)
    totals: list[Any] = [None] * (len(kernels) - 1)
    for start in range(0, len(inputs), chunk_size):
        part = inputs[start : start + chunk_size]
        with np.errstate(all="ignore"):  # `_merge` refuses what is not finite
            parts = relu_similarity.sums_over_examples(kernels, biases, part)
        for i, sums in enumerate(parts):
            totals[i] = _merge(
                totals[i], start, sums, len(part), f"hidden layer {i + 1}"
            )
    return [_finish(sums, len(inputs), MEASURES) for sums in totals]


def normalize(similarity: np.ndarray) -> np.ndarray:
    """Returns a similarity matrix with the scale of each unit taken out.

    S_ij / max(sqrt(S_ii S_jj), epsilon), with epsilon = 1e-12 max_i S_ii: the
    result is the same for any multiple of S, and rows of zeros stay zero. In
    [0, 1] for the absolute values of a positive semidefinite matrix; a Hessian
    of a network that is not piecewise linear may exceed 1.

    Args:
        similarity: Array `(units, units)`, symmetric, not negative.

    Returns:
        Float64 array of the same shape.

    Raises:
        ValueError: If it is not such a matrix.

    References:
        - Lange et al., 2022, equation 5
    """
    similarity = _checked(similarity)
    scale = np.sqrt(np.diagonal(similarity))
    floor = _EPSILON * np.max(similarity.diagonal(), initial=0.0)
    floor = max(floor, np.finfo("float64").tiny)  # a matrix of zeros
    return similarity / np.maximum(np.outer(scale, scale), floor)


def _checked(similarity):
    similarity = np.asarray(similarity, "float64")
    if similarity.ndim != 2 or len(set(similarity.shape)) != 1:
        raise ValueError(
            f"`similarity` must be square, got shape {similarity.shape}."
        )
    if not (similarity >= 0).all() or not np.isfinite(similarity).all():
        raise ValueError(
            "`similarity` must be finite and not negative, got values from "
            f"{similarity.min()} to {similarity.max()}."
        )
    if not np.allclose(similarity, similarity.T, 1e-5, 0.0):
        raise ValueError("`similarity` must be symmetric.")
    return similarity


def _of_any_size(batch):
    is_sparse = isinstance(batch, tf.SparseTensor)
    kind = tf.SparseTensorSpec if is_sparse else tf.TensorSpec
    return kind((None, *batch.shape[1:]), batch.dtype)


def _merge(total, count, part, rows, name):
    """Returns the sums over `count` and `rows` further examples.

    Scatter about the mean is merged by the rule of Chan et al.: a difference
    of sums of squares would lose the digits of a mean far from zero.
    """
    for value in part.values():
        if not np.isfinite(value).all():
            raise ValueError(
                f"NaN or infinite values in the activations of {name!r}, or "
                "in derivatives or the loss there."
            )
    if total is None:
        return {key: value.astype("float64") for key, value in part.items()}
    mean = total["mean"].copy() if "mean" in part else None
    for key, value in part.items():  # in place: a matrix may be large
        total[key] += value
    if mean is not None:
        shift = part["mean"] - mean
        weight = rows / (count + rows)
        total["mean"] = mean + weight * shift
        between = np.outer(shift, shift)
        between *= weight * count
        total["covariance"] += between
    return total


def _finish(sums, count, measures):
    found = {}
    for name in measures:
        kind = name.removeprefix("normalized_")
        freedom = count - 1 if kind == "covariance" else count
        matrix = np.abs(sums[kind]) / freedom
        matrix = (matrix + matrix.T) / 2  # of rounding
        found[name] = matrix if name == kind else normalize(matrix)
    return found


def _loss_of(asked, model, targets, outputs):
    """Returns the loss of a batch, summed over examples and outputs.

    Args:
        asked: `Task`.
        model: `keras.Model` whose outputs they are.
        targets: Nest of tensors.
        outputs: Likewise.
    """
    names, total = asked.names, 0.0
    if not names:  # one loss for all
        is_single = tf.is_tensor(outputs)  # then the name is not needed
        names = ("output",) if is_single else task_outputs.names_of(model)
    losses, weights = (
        task_outputs.by_output(part, asked.objective.get(part), names)
        for part in ("loss", "loss_weights")
    )
    for name in asked.chosen or names:
        y, x = (_of_output(each, name, names) for each in (targets, outputs))
        loss = scoring.loss_object(losses[name], y, x)
        value = _total_loss(loss.call(y, x), keras_private.get_keras_mask(x))
        weight = weights[name]
        total += value if weight is None else weight * value
    return total


def _of_output(values, name, names):
    """Returns that of one output, of a nest with an item for each."""
    if isinstance(values, dict):
        return values[name]
    return keras.tree.flatten(values)[names.index(name)]


def _summary(
    model, asked, chosen, hidden_only, activated, loss, kinds, inputs, targets
):
    """Returns what is finite, and a dict from layer to sums over a batch.

    Of all outputs, or those that a `Task` is about.
    """
    outputs, shifted, keras_masks = activations.activations_in_graph(
        model, chosen, inputs, activated
    )
    if hidden_only:
        ends = keras.tree.flatten(outputs)
        shifted = {
            name: tensors
            for name, tensors in shifted.items()
            if not any(x is y for x in tensors for y in ends)
        }
    leaves = keras.tree.flatten(outputs)
    if asked is not None:
        leaves = [
            _of_output(outputs, name, asked.names) for name in asked.chosen
        ]
    counted = _counted_outputs(leaves)
    outputs = keras.tree.map_structure(activations.with_mask_in_float, outputs)
    leaves = keras.tree.flatten(outputs)
    if asked is not None:
        leaves = [
            _of_output(outputs, name, asked.names) for name in asked.chosen
        ]
    flat = _side_by_side(leaves)
    total_loss = None
    if "loss_hessian" in kinds:
        targets = keras.tree.map_structure(
            lambda target: tf.cast(target, flat.dtype), targets
        )
        total_loss = loss(targets, outputs)
    inputs, dependent = keras.tree.flatten(inputs), None
    if kinds != {"covariance"}:
        _refuse_without_slopes(inputs)
        dependent = graph_paths.depending_on(inputs)
    found = {name: {} for name in shifted}
    if "input_sensitivity" in kinds:
        source = _source(inputs, dependent)
        for name, tensors in shifted.items():
            found[name]["input_sensitivity"] = _input_products(
                tensors, keras_masks[name], dependent, *source
            )
    if kinds & {"output_sensitivity", "loss_hessian"}:
        sums = _downstream(
            shifted,
            keras_masks,
            inputs,
            dependent,
            leaves,
            flat,
            counted,
            total_loss,
            kinds,
        )
        for name, of_layer in sums.items():
            found[name] |= of_layer
    if "covariance" in kinds:
        for name, tensors in shifted.items():
            found[name] |= _moments(
                activations.unit_means(tensors, keras_masks[name])
            )
    ends = [flat, *([] if total_loss is None else [total_loss])]
    checked = {"the inputs": inputs, "the outputs or the loss": ends}
    return {name: _all_finite(x) for name, x in checked.items()}, found


def _all_finite(tensors):
    values = [getattr(x, "flat_values", x) for x in tensors]  # ragged
    values = [getattr(x, "values", x) for x in values]  # sparse
    return tf.reduce_all(
        [
            tf.reduce_all(tf.math.is_finite(x))
            for x in values
            if x.dtype.is_floating
        ]
    )


def _refuse_without_slopes(inputs):
    kinds = [
        type(x).__name__ if not isinstance(x, tf.Tensor) else "string"
        for x in inputs
        if not isinstance(x, tf.Tensor) or x.dtype == tf.string
    ]
    if kinds:
        raise ValueError(
            "The inputs in `data` must be dense numbers for all measures but "
            f"covariance, got {kinds}. Leave the others out with `measures`."
        )


def _counted_outputs(leaves):
    """Returns which entries of y count, `(batch, entries)`; `None` for all."""
    keras_masks = [keras_private.get_keras_mask(x) for x in leaves]
    if all(each is None for each in keras_masks):
        return None
    return _side_by_side(
        [
            tf.cast(_entries_that_count(x, keras_mask), tf.float32)
            for x, keras_mask in zip(leaves, keras_masks, strict=True)
        ]
    )


def _entries_that_count(x, keras_mask):
    if keras_mask is None:
        return tf.ones_like(x, tf.bool)
    keras_mask = tf.cast(keras_mask, tf.bool)
    for _ in range(x.shape.rank - keras_mask.shape.rank):
        keras_mask = keras_mask[..., None]
    return tf.logical_and(keras_mask, tf.ones_like(x, tf.bool))


def _moments(units):
    values = tf.cast(units, tf.float64)
    mean = tf.reduce_mean(values, axis=0)
    values -= mean
    return {"mean": mean, "covariance": _products(values)}


def _downstream(
    shifted,
    keras_masks,
    inputs,
    dependent,
    leaves,
    outputs,
    counted,
    total_loss,
    kinds,
):
    """Returns output sensitivity and Hessian sums of every layer.

    Where the outputs y are piecewise linear in a layer, and fewer than its
    units, d2L/dh2 = (dy/dh)^T d2L/dy2 (dy/dh), from the one Jacobian; else
    it is differentiated unit by unit.
    """
    straight = set()
    if "loss_hessian" in kinds and not graph_paths.leads_past(
        total_loss, leaves, inputs
    ):
        linear = graph_paths.piecewise_linear(leaves, dependent)
        straight = {
            name
            for name, tensors in shifted.items()
            if all(x.name in linear for x in tensors)
            and outputs.shape[1] is not None
            and outputs.shape[1] <= tensors[0].shape[-1]
        }
    found = {name: {} for name in shifted}
    needed = [*shifted] if "output_sensitivity" in kinds else [*straight]

    def by_shift(name, *target):
        return _shift_gradient(shifted[name], keras_masks[name], *target)

    if needed:
        rows = _map_columns(
            outputs, lambda *y: [by_shift(name, *y) for name in needed]
        )
        if counted is not None:  # y at padded positions is no output
            kept = tf.transpose(counted)[..., None]
            rows = [row * tf.cast(kept, row.dtype) for row in rows]
        rows = dict(zip(needed, rows, strict=True))  # (outputs, batch, units)
    if straight:
        slopes = _side_by_side(_partial_gradients(leaves, total_loss))
        curvature = _map_columns(
            slopes, lambda *y: _side_by_side(_partial_gradients(leaves, *y))
        )
        curvature = tf.transpose(curvature, (1, 0, 2))
    for name in shifted:
        if "output_sensitivity" in kinds:
            found[name]["output_sensitivity"] = _products(rows[name])
        if name in straight:
            columns = tf.transpose(rows[name], (1, 0, 2))
            found[name]["loss_hessian"] = _products(
                columns, tf.matmul(curvature, columns)
            )
        elif "loss_hessian" in kinds:
            found[name]["loss_hessian"] = _map_columns(
                by_shift(name, total_loss),
                lambda *slope, name=name: tf.reduce_sum(
                    by_shift(name, *slope), 0
                ),
            )
    return found


def _source(inputs, dependent):
    """Returns what to differentiate by in place of the inputs, and a metric.

    That is the product z = x W if nothing else takes x, for then
    dh/dx (dh/dx)^T = dh/dz (W^T W) (dh/dz)^T; otherwise x itself and `None`.
    """
    if not all(x.dtype.is_floating for x in inputs):
        raise ValueError(
            "The inputs in `data` must be floats for an input sensitivity, "
            f"got {[x.dtype.name for x in inputs]}. Cast them, or leave it "
            "out with `measures`."
        )
    op = None
    if len(inputs) == 1:
        op = graph_paths.only_product(inputs[0], dependent)
    if op is None:
        return inputs, inputs, None
    return inputs, [op.outputs[0]], _products(op.inputs[1])


def _input_products(calls, keras_masks, dependent, inputs, tensors, metric):
    """Returns the sum over examples of dh/dx (dh/dx)^T.

    Units h = f(z), one by one, have dh/dz = diag(f'). Where z is the product
    that `_source` found, that is all; where it is a product a W, dh/dx =
    diag(f') W^T da/dx.
    """
    if tf.gradients(calls, tensors)[0] is None:  # a layer before the product
        tensors, metric = inputs, None

    def gradient(*target):
        return _side_by_side(_gradients(tensors, *target))

    rows = None
    has_positions = len(calls) > 1 or calls[0].shape.rank != 2
    if not has_positions and keras_masks[0] is None:
        units = calls[0]
        z = graph_paths.before_functions(units, dependent)
        if z is tensors[0] and metric is not None:
            return metric * _products(*tf.gradients(units, z))
        if graph_paths.is_product(z.op, dependent):
            below, kernel = z.op.inputs
            (slopes,) = tf.gradients(units, z)
            rows = tf.vectorized_map(
                lambda s: gradient(below, s),
                tf.einsum("bu,wu->ubw", slopes, kernel),
            )
    if rows is None:  # of sums: slopes of a mean are too small for float16
        sums, counts = activations.unit_sums(calls, keras_masks)
        rows = activations.in_float(_map_columns(sums, gradient))
        rows = tf.math.divide_no_nan(rows, tf.cast(counts, rows.dtype))
    rows = activations.in_float(rows)  # (units, batch, wide)
    scaled = rows if metric is None else tf.tensordot(rows, metric, 1)
    return tf.einsum("ubw,vbw->uv", scaled, rows)


def _total_loss(values, keras_mask):
    """Returns the sum over examples of the mean over positions that count."""
    if not values.shape.rank:
        raise ValueError("`loss` must return a value for every example.")
    values = activations.in_float(values)
    is_masked = keras_mask is not None and values.shape.rank > 1
    means = activations.unit_means(
        [values[..., None]], [keras_mask if is_masked else None]
    )
    return tf.reduce_sum(means)


def _shift_gradient(calls, keras_masks, *target):
    """Returns `(batch, units)`: by a shift at all positions that count."""
    slopes = _gradients(calls, *target)
    return activations.unit_sums(slopes, keras_masks)[0]


def _partial_gradients(outputs, *target):
    """Returns the slopes by each output, the others held."""
    return _gradients(outputs, *target, held=outputs)


def _gradients(tensors, target, slopes=None, held=None):
    return tf.gradients(
        target,
        tensors,
        slopes,
        stop_gradients=held,
        unconnected_gradients="zero",
    )


def _side_by_side(tensors):
    """Returns `(batch, entries)`: all entries of an example in a row."""
    sizes = [x.shape[1:].num_elements() for x in tensors]
    flat = [
        x
        if x.shape.rank == 2
        else tf.reshape(x, (tf.shape(x)[0], -1 if size is None else size))
        for x, size in zip(tensors, sizes, strict=True)
    ]
    return flat[0] if len(flat) == 1 else tf.concat(flat, axis=1)


def _products(left, right=None):
    """Returns the sum of l r^T over all (last) rows l of `left`."""
    right = left if right is None else right
    left, right = (
        tf.reshape(activations.in_float(x), (-1, x.shape[-1]))
        for x in (left, right)
    )
    return tf.matmul(left, right, transpose_a=True)


def _map_columns(matrix, gradient):
    """Returns the gradients of every column, stacked, computed at once.

    `gradient` takes the matrix and the slopes by its entries: 1 in a column.
    """
    size = matrix.shape[1]
    columns = tf.eye(tf.shape(matrix)[1] if size is None else size)
    return tf.vectorized_map(
        lambda column: gradient(
            matrix, tf.broadcast_to(column, tf.shape(matrix))
        ),
        tf.cast(columns, matrix.dtype),
    )


def _check_network(kernels, biases, inputs):
    shapes = [kernel.shape for kernel in kernels]
    fits = (
        len(kernels) > 1
        and inputs.ndim == 2
        and all(len(shape) == 2 for shape in shapes)
        and [bias.shape for bias in biases] == [(out,) for _, out in shapes]
        and [size for size, _ in shapes]
        == [inputs.shape[1], *(out for _, out in shapes[:-1])]
    )
    if not fits or len(inputs) < 2:
        raise ValueError(
            "`kernels`, `biases` and `inputs` must make a network of two "
            "layers or more, over two examples or more; got the shapes "
            f"{shapes}, {[bias.shape for bias in biases]}, {inputs.shape}."
        )

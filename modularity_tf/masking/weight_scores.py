"""How much each weight matters, by rules that train nothing: controls.

A learned mask says something only beside what simpler rules say.
"""

import functools

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from modularity_tf import checks
from modularity_tf.findings import weight_mask
from modularity_tf.masking import mask_sampling
from modularity_tf.network import (
    activations,
    batches,
    functional_call,
    keras_private,
    model_weights,
    scoring,
)

METHODS = (
    "random",
    "magnitude",
    "gradient",
    "integrated_gradients",
    "activation",
    "ablation",
)
_AT_ONCE = 64  # ablations of one call


def weight_scores(
    model,
    data=None,
    method="gradient",
    *,
    loss=None,
    layers=None,
    roles="kernels",
    steps=16,
    seed=0,
):
    """Returns how much each weight of a model matters for a task.

    With L the mean loss over the data and w a weight, methods are those below.
    Where outputs carry a Keras mask, the loss of an example is the mean over
    the positions that it does not hide; padding has no part in a score.

    - "random": uniform numbers, the floor.
    - "magnitude": |w|.
    - "gradient": |w dL/dw|, the first-order change of the loss without the
      weight (SNIP).
    - "integrated_gradients": |w| times the mean of |dL/dw| with all weights
      scaled by 1/steps, 2/steps, ..., 1.
    - "activation": |w| times the root mean square of what it weighs (Wanda), of
      each example over the positions that a Keras mask does not hide, 0 if it
      hides all. Conv and Dense kernels alone.
    - "ablation": L without the weight, less L. A call of the model a weight.

    Args:
        model: Built `keras.Model`. It is not changed.
        data: Arrays `(x, y)` or batches of them, as in `network.batches`.
            "random" and "magnitude" need none.
        method: One of `METHODS`.
        loss: As in `keras.Model.compile`; `None` for that of `model`.
        layers: As in `MaskedModel`.
        roles: As in `MaskedModel`.
        steps: Positive int, of integrated gradients.
        seed: Int, not negative, of random scores.

    Returns:
        Dict from weight path to float32 array; higher matters more.

    Raises:
        ValueError: If an argument is not as above, data or a loss missing, or
            something is NaN or infinite.

    References:
        - [Lee et al., 2019](https://arxiv.org/abs/1810.02340), SNIP
        - [Sun et al., 2024](https://arxiv.org/abs/2306.11695), Wanda
    """
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {METHODS}, got {method!r}.")
    seed = checks.integer("seed", seed)
    steps = checks.integer("steps", steps, least=1)
    chosen = model_weights.chosen_weights(model, roles, layers)
    weights = {
        path: _wide(weight.variable.numpy()) for path, weight in chosen.items()
    }
    if method == "random":
        rng = np.random.default_rng(seed)
        found = {
            p: rng.random(w.shape, dtype="float32") for p, w in weights.items()
        }
    elif method == "magnitude":
        found = {path: np.abs(w) for path, w in weights.items()}
    elif data is None:
        raise ValueError(f"`method`={method!r} needs `data`.")
    elif method == "activation":
        found = _by_activation(model, data, weights)
    elif method == "ablation":
        found = _by_ablation(_Task(model, data, loss), weights)
    else:
        at = range(1, steps + 1) if method == "integrated_gradients" else (1,)
        found = _by_gradient(_Task(model, data, loss), weights, at)
    return {path: values.astype("float32") for path, values in found.items()}


def top_weights(scores, share, scope="model"):
    """Returns the weights with the highest scores.

    Args:
        scores: Dict from weight path to array, as `weight_scores` returns it.
        share: Float in (0, 1], rounded to a whole number of weights, at least
            one.
        scope: "model": the highest of all; or "weight": of each tensor.

    Returns:
        `WeightMask`.

    Raises:
        ValueError: If an argument is not as above.
    """
    share = checks.number("share", share, above=True, most=1)
    if scope not in ("model", "weight"):
        raise ValueError(f"`scope` must be model or weight, got {scope!r}.")
    groups = [[*scores]] if scope == "model" else [[path] for path in scores]
    values = {}
    for paths in groups:
        ranks = {path: tf.constant(scores[path], "float32") for path in paths}
        size = sum(int(np.prod(rank.shape)) for rank in ranks.values())
        kept = mask_sampling.top_scores(ranks, max(1, round(share * size)))
        values |= {p: ops.convert_to_numpy(mask) for p, mask in kept.items()}
    provenance = {"share": share, "scope": scope}
    return weight_mask.WeightMask(
        {path: values[path] for path in scores}, provenance
    )


class _Task:
    """The mean loss of a model over data, as a function of its weights."""

    def __init__(self, model, data, loss):
        loss = getattr(model, "loss", None) if loss is None else loss
        if loss is None or isinstance(loss, (dict, list, tuple)):
            raise ValueError(
                "`loss` must be one loss for all outputs, or None for that of "
                f"a compiled model; for {model.name!r} it is {loss!r}."
            )
        self._loss = keras.losses.get(loss)
        self._call = functional_call.FunctionalCall(model)
        self._model, self._data = model, data

    def loss(self, values, inputs, targets):
        """Returns the sum of the losses of a batch's examples, a tensor."""
        own = self._call.variables  # of float16, say
        values = {p: tf.cast(x, own[p].dtype) for p, x in values.items()}
        outputs = self._call(values, inputs)
        keras_mask = keras_private.get_keras_mask(outputs)
        outputs = keras.tree.map_structure(activations.in_float, outputs)
        if tf.is_tensor(outputs):
            if keras_mask is not None:
                keras_private.set_keras_mask(outputs, keras_mask)
            losses = scoring.by_example(self._loss, targets, outputs)
            return tf.reduce_sum(losses)
        mean = tf.reduce_mean(tf.cast(self._loss(targets, outputs), tf.float32))
        rows = tf.shape(keras.tree.flatten(outputs)[0])[0]
        return tf.cast(rows, tf.float32) * mean

    def mean(self, function):
        """Returns the mean over the data of what is a sum over each batch."""
        total, count = None, 0
        for inputs, targets in batches.read(
            "data", self._data, model=self._model
        ):
            found = keras.tree.map_structure(
                lambda x: x.numpy().astype("float64"),
                function(inputs, targets),
            )
            if total is not None:
                found = keras.tree.map_structure(np.add, total, found)
            total, count = found, count + batches.count_rows(targets)
        found = keras.tree.map_structure(lambda x: x / count, total)
        if not all(np.isfinite(x).all() for x in keras.tree.flatten(found)):
            raise ValueError(
                f"The loss of {self._model.name!r} or its gradients are NaN or "
                f"infinite{activations.overflow(self._model)}."
            )
        return found

    def slopes(self, values):
        """Returns dL/dw at some values of the weights, a dict by path."""
        return self.mean(functools.partial(self._finite, _tensors(values)))

    def _finite(self, values, inputs, targets):
        """Returns slopes, of a smaller loss where float16 overflows."""
        for scale in (2.0**10, 1.0, 2.0**-10, 2.0**-20):
            found = self._slopes(values, inputs, targets, tf.constant(scale))
            parts = [
                tf.reduce_all(tf.math.is_finite(x)) for x in found.values()
            ]
            if all(parts) or not activations.overflow(self._model):
                break
        return {p: x / tf.cast(scale, x.dtype) for p, x in found.items()}

    @functools.cached_property
    def _slopes(self):
        @tf.function(autograph=False, reduce_retracing=True)
        def slopes(values, inputs, targets, scale):
            with tf.GradientTape() as tape:
                tape.watch(values)
                loss = scale * self.loss(values, inputs, targets)
            return tape.gradient(
                loss, values, unconnected_gradients=tf.UnconnectedGradients.ZERO
            )

        return slopes


def _by_gradient(task, weights, at):
    """Returns |w| times the mean of |dL/dw| at parts of all the weights."""
    found = {path: np.zeros_like(w) for path, w in weights.items()}
    for step in at:
        part = np.float32(step / len(at))
        slopes = task.slopes({p: w * part for p, w in weights.items()})
        for path, slope in slopes.items():
            found[path] += np.abs(slope) / len(at)
    return {path: np.abs(w) * found[path] for path, w in weights.items()}


def _by_ablation(task, weights):
    """Returns by how much the loss rises without each weight."""

    @tf.function(autograph=False, reduce_retracing=True)
    def losses(values, path, places, inputs, targets):
        def without(place):
            weight = values[path]
            kept = tf.cast(tf.range(tf.size(weight)) != place, weight.dtype)
            changed = weight * tf.reshape(kept, weight.shape)
            return task.loss({**values, path: changed}, inputs, targets)

        return tf.map_fn(without, places, fn_output_signature=tf.float32)

    values, found = _tensors(weights), {}
    for path, weight in weights.items():
        parts = [
            task.mean(
                functools.partial(losses, values, path, tf.constant(places))
            )
            for places in np.array_split(
                np.arange(weight.size, dtype="int32"),
                -(-weight.size // _AT_ONCE),
            )
        ]
        found[path] = np.concatenate(parts).reshape(weight.shape)
    whole = task.mean(functools.partial(task.loss, values))
    return {path: losses - whole for path, losses in found.items()}


def _by_activation(model, data, weights):
    """Returns |w| times the root mean square of what w weighs."""
    of_layer = activations.kernel_paths(model)
    strange = {*weights} - {*of_layer.values()}
    if strange:
        raise ValueError(
            "`method`='activation' is for Conv and Dense kernels, not for "
            f"{sorted(strange)}: leave them out with `layers` or `roles`."
        )
    chosen = [layer for layer, path in of_layer.items() if path in weights]
    owners = activations.neuron_layers(model, chosen, outputs=True)
    called = activations.as_called(model, owners)

    @tf.function(autograph=False, reduce_retracing=True)
    def squares(inputs):
        keras_masks = []
        with activations.recorded_calls(called.values(), keras_masks) as calls:
            model(inputs, training=False)
        found = {}
        for path, layer in called.items():
            activations.outputs_in_reach(model, path, layer, calls)
            taken = [
                (tf.square(activations.in_float(_dense(args[0]))), before)
                for (owner, args, _), (before, _) in zip(
                    calls, keras_masks, strict=True
                )
                if owner is layer
            ]
            means = activations.unit_means(*zip(*taken, strict=True))
            found[path] = tf.reduce_sum(tf.cast(means, tf.float64), axis=0)
        return found

    totals, count = {}, 0
    for inputs, targets in batches.read("data", data, model=model):
        for path, part in squares(inputs).items():
            totals[path] = totals.get(path, 0.0) + part.numpy()
        count += batches.count_rows(targets)
    found = {}
    for path, layer in owners.items():
        weight = weights[of_layer[path]]
        if not np.isfinite(totals[path]).all():
            raise ValueError(
                f"What the layer {path!r} takes is NaN or infinite"
                f"{activations.overflow(model)}."
            )
        size = np.sqrt(totals[path] / count)
        # A group of a grouped convolution weighs channels of its own.
        groups = getattr(layer, "groups", 1)
        of_groups = size.reshape(groups, -1).T
        by_unit = of_groups.repeat(weight.shape[-1] // groups, axis=1)
        found[of_layer[path]] = np.abs(weight) * by_unit
    return {path: found[path] for path in weights}


def _dense(tensor):
    if isinstance(tensor, tf.SparseTensor):
        return tf.sparse.to_dense(tensor)
    return tensor


def _wide(values):
    """Returns an array of float32, or float64 if it is that."""
    return values if values.dtype == "float64" else values.astype("float32")


def _tensors(values):
    return {path: tf.constant(value) for path, value in values.items()}

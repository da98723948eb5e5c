"""How much each weight matters, by rules that train nothing: controls.

A learned mask says something only beside what simpler rules say.
"""

import functools

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from modularity_tf.masking import functional_call, mask_sampling, weight_mask
from modularity_tf.parts import activations, checks
from modularity_tf.parts import data as data_of_users
from modularity_tf.parts import weights as model_weights

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

    With L the mean loss over the data and w a weight, methods are:

    - "random": uniform numbers, the floor.
    - "magnitude": |w|.
    - "gradient": |w dL/dw|, the first-order change of the loss without the
      weight (SNIP).
    - "integrated_gradients": |w| times the mean of |dL/dw| with all weights
      scaled by 1/steps, 2/steps, ..., 1.
    - "activation": |w| times the root mean square of what it weighs (Wanda).
      Conv and Dense kernels alone.
    - "ablation": L without the weight, less L. A call of the model a weight.

    Args:
        model: Built `keras.Model`. It is not changed.
        data: Arrays `(x, y)` or batches of them, as in `parts.data.batches`.
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
        ValueError: If an argument is not as above, or data or a loss missing.

    References:
        - [Lee et al., 2019](https://arxiv.org/abs/1810.02340), SNIP
        - [Sun et al., 2024](https://arxiv.org/abs/2306.11695), Wanda
    """
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {METHODS}, got {method!r}.")
    seed = checks.integer("seed", seed)
    steps = checks.integer("steps", steps, least=1)
    chosen = model_weights.select_roles(
        model_weights.model_weights(model), roles
    )
    if layers is not None:
        chosen = model_weights.select_layers(chosen, layers)
    weights = {
        path: np.asarray(weight.variable.numpy(), "float32")
        for path, weight in chosen.items()
    }
    if method == "random":
        rng = np.random.default_rng(seed)
        return {
            p: rng.random(w.shape, dtype="float32") for p, w in weights.items()
        }
    if method == "magnitude":
        return {path: np.abs(w) for path, w in weights.items()}
    if data is None:
        raise ValueError(f"`method`={method!r} needs `data`.")
    if method == "activation":
        return _by_activation(model, data, weights)
    task = _Task(model, data, loss)
    if method == "gradient":
        slopes = task.slopes(weights)
        return {path: np.abs(w * slopes[path]) for path, w in weights.items()}
    if method == "integrated_gradients":
        found = {path: np.zeros_like(w) for path, w in weights.items()}
        for step in range(1, steps + 1):
            scaled = {
                p: w * np.float32(step / steps) for p, w in weights.items()
            }
            for path, slope in task.slopes(scaled).items():
                found[path] += np.abs(slope) / steps
        return {path: np.abs(w) * found[path] for path, w in weights.items()}
    return _by_ablation(task, weights)


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
        self._data = data

    def loss(self, values, inputs, targets):
        """Returns the mean loss over a batch, a tensor."""
        outputs = self._call(values, inputs)
        return tf.reduce_mean(tf.cast(self._loss(targets, outputs), tf.float32))

    def mean(self, function):
        """Returns the mean over the data of a nest of arrays a batch."""
        total, count = None, 0
        for inputs, targets in data_of_users.batches("data", self._data):
            inputs, targets = keras.tree.map_structure(
                tf.convert_to_tensor, (inputs, targets)
            )
            rows = len(keras.tree.flatten(targets)[0])
            found = keras.tree.map_structure(
                lambda x, rows=rows: rows * x.numpy().astype("float64"),
                function(inputs, targets),
            )
            if total is not None:
                found = keras.tree.map_structure(np.add, total, found)
            total, count = found, count + rows
        return keras.tree.map_structure(
            lambda x: (x / count).astype("float32"), total
        )

    def slopes(self, values):
        """Returns dL/dw at some values of the weights, a dict by path."""
        return self.mean(functools.partial(self._slopes, _tensors(values)))

    @functools.cached_property
    def _slopes(self):
        @tf.function(autograph=False, reduce_retracing=True)
        def slopes(values, inputs, targets):
            with tf.GradientTape() as tape:
                tape.watch(values)
                loss = self.loss(values, inputs, targets)
            return tape.gradient(
                loss, values, unconnected_gradients=tf.UnconnectedGradients.ZERO
            )

        return slopes


def _by_ablation(task, weights):
    """Returns by how much the loss rises without each weight."""

    @tf.function(autograph=False, reduce_retracing=True)
    def losses(values, path, places, inputs, targets):
        def without(place):
            size = tf.size(values[path])
            kept = tf.cast(tf.range(size) != place, tf.float32)
            changed = values[path] * tf.reshape(kept, values[path].shape)
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
    layers = activations.neuron_layers(model)
    kernels = activations.kernel_paths(model)
    owners = {kernels[path]: layer for path, layer in layers.items()}
    strange = [path for path in weights if path not in owners]
    if strange:
        raise ValueError(
            f"`method`='activation' is for Conv and Dense kernels, not for "
            f"{strange}: leave them out with `layers` or `roles`."
        )

    @tf.function(autograph=False, reduce_retracing=True)
    def squares(inputs):
        with activations.recorded_calls(owners.values()) as calls:
            model(inputs, training=False)
        found = {}
        for path, layer in owners.items():
            taken = [args[0] for owner, args, _ in calls if owner is layer]
            if taken:
                found[path] = [
                    tf.reduce_mean(
                        tf.square(tf.cast(x, tf.float32)),
                        [*range(x.shape.rank - 1)],
                    )
                    for x in taken
                ]
        return found

    totals, count = {}, 0
    for inputs, targets in data_of_users.batches("data", data):
        rows = len(keras.tree.flatten(targets)[0])
        inputs = keras.tree.map_structure(tf.convert_to_tensor, inputs)
        for path, parts in squares(inputs).items():
            mean = np.mean([part.numpy() for part in parts], axis=0)
            totals[path] = totals.get(path, 0.0) + rows * mean
        count += rows
    found = {}
    for path, weight in weights.items():
        if path not in totals:
            raise ValueError(f"The layer of {path!r} is never called.")
        size = np.sqrt(totals[path] / count)
        # A group of a grouped convolution weighs channels of its own.
        groups = getattr(owners[path], "groups", 1)
        of_groups = size.reshape(groups, -1).T
        by_unit = of_groups.repeat(weight.shape[-1] // groups, axis=1)
        found[path] = np.abs(weight) * by_unit.astype("float32")
    return found


def _tensors(values):
    return {path: tf.constant(value) for path, value in values.items()}

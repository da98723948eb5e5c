"""How much each weight matters, by rules that train nothing: controls.

A learned mask says something only beside what simpler rules say.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeAlias, get_args

import keras
import numpy as np
import tensorflow as tf

from modularity_tf import checks
from modularity_tf.findings import part_set, weight_mask
from modularity_tf.network import (
    activations,
    batches,
    evaluation,
    model_weights,
)

Scores: TypeAlias = dict[str, np.ndarray]
_Known = Literal[
    "random",
    "magnitude",
    "gradient",
    "integrated_gradients",
    "activation",
    "ablation",
]
METHODS: tuple[str, ...] = get_args(_Known)
Method: TypeAlias = (
    _Known | Callable[[keras.Model, Any], Mapping[str, np.ndarray]]
)
_AT_ONCE = 64  # ablations of one call


def weight_scores(
    model: keras.Model,
    data: batches.Data | None = None,
    *,
    method: Method = "gradient",
    loss: Any = None,
    layers: str | Iterable[str] | None = None,
    roles: str | Iterable[str] = "kernels",
    steps: int = 16,
    seed: int | None = 0,
) -> Scores:
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
    - "ablation": L without the weight, less L. The model is called once for
      each weight.
    - A function `(model, data)` that returns a dict from weight path to array
      is a score of yours.

    >>> scores = mtf.weight_scores(model, (images, labels))
    >>> scores["hidden/kernel"].shape
    (64, 32)
    >>> def distance_from_mean(model, data):
    ...     kernel = model.get_layer("hidden").kernel.numpy()
    ...     return {"hidden/kernel": abs(kernel - kernel.mean())}
    >>> mine = mtf.weight_scores(model, method=distance_from_mean)
    >>> [*mine]
    ['hidden/kernel']

    Args:
        model: Built `keras.Model`. It is not changed.
        data: Arrays `(x, y)`, or `(x, y, sample_weight)`, or batches of them:
            a list, a `tf.data.Dataset`, a `PyDataset` or another iterable.
            "random" and "magnitude" need none, and "activation", which does
            not look at losses, refuses sample weights.
        method: One of the names above, or a function of `model` and `data` as
            they were given. The function may leave weights out, but not score
            one that `layers` and `roles` do not choose.
        loss: As in `keras.Model.compile`, one for all outputs; `None` for that
            of `model`.
        layers: Names or paths of layers, or `None` for all.
        roles: Which weights have scores: some of "kernel", "recurrent_kernel",
            "bias", "norm_scale", "norm_offset", "embedding" and "adapter", or
            one of the papers' choices: "kernels" ("kernel" and
            "recurrent_kernel"), "all" (all but "embedding") or "transformer"
            ("kernel", "norm_scale" and "norm_offset").
        steps: Positive int, number of steps of integrated gradients.
        seed: Int of random scores; `None` is random.

    Returns:
        Dict from weight path to float32 array; higher matters more. A function
        of your own may also return float64.

    Raises:
        ValueError: If an argument is not as above, data or a loss missing, or
            something is NaN or infinite.

    References:
        - [Lee et al., 2019](https://arxiv.org/abs/1810.02340), SNIP
        - [Sun et al., 2024](https://arxiv.org/abs/2306.11695), Wanda
    """
    if method not in METHODS and not callable(method):
        raise ValueError(
            f"`method` must be one of {METHODS} or a function (model, data), "
            f"got {method!r}."
        )
    seed = checks.seed(seed)
    steps = checks.integer("steps", steps, least=1)
    chosen = model_weights.chosen_weights(model, roles, layers)
    weights = {
        path: _wide(weight.variable.numpy()) for path, weight in chosen.items()
    }
    if callable(method):
        return _checked(method(model, data), weights)
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
    else:
        if loss is None:
            loss = getattr(model, "loss", None)
        evaluation.check_one_loss(model, loss)
        asked = evaluation.Evaluation(model, {"loss": loss, "metrics": None})
        if method == "ablation":
            found = _by_ablation(asked, weights, data)
        else:
            at = range(1, steps + 1) if method != "gradient" else (1,)
            found = _by_gradient(asked, weights, data, at)
    return {path: values.astype("float32") for path, values in found.items()}


def mask_of_scores(
    scores: Mapping[str, np.ndarray],
    *,
    keep: float,
    scope: Literal["model", "weight"] = "model",
    model: keras.Model | None = None,
) -> weight_mask.WeightMask:
    """Returns the mask that keeps the weights with the highest scores.

    The answer of a one-shot method: nothing is trained, and the mask has the
    size that is asked for. It is as good as its scores, and a score judges a
    weight alone, while all others are there. Two parts of a network that
    cancel each other show what scores can't see: the loss rises without one of
    them, so their weights have the highest scores, and the task needs neither.
    `find_weights` removes weights together, and removes both parts.

    >>> scores = mtf.weight_scores(model, (images, labels))
    >>> mask = mtf.mask_of_scores(scores, keep=0.25, model=model)
    >>> mask.keep_fraction
    0.25
    >>> pruned = mask.apply(model)  # a plain Keras model

    Args:
        scores: Dict from weight path to float array, higher for weights that
            matter more, as `weight_scores` returns it.
        keep: Float in (0, 1], the share of all weights with scores to keep,
            rounded to a whole number of weights, at least one. Of equal scores
            the first are kept, in the order of `scores`.
        scope: "model": the highest of all; or "weight": of each tensor.
        model: Built `keras.Model` that the scores are of; with it, the mask
            knows by its provenance which model it fits. `None` leaves that
            out.

    Returns:
        `WeightMask` over the weights of `scores`, which are its `scores`, in
        float32, or float64 where they are.

    Raises:
        ValueError: If an argument is not as above, a score is NaN or infinite,
            or the scores do not fit the model.
    """
    keep = checks.number("keep", keep, above=True, most=1)
    if scope not in ("model", "weight"):
        raise ValueError(f"`scope` must be model or weight, got {scope!r}.")
    arrays = _arrays("`scores` must be", scores)
    provenance: dict[str, Any] = {
        "method": "highest scores",
        "keep": keep,
        "scope": scope,
    }
    if model is not None:
        provenance["model"] = model.name
        provenance["model_fingerprint"] = model_weights.fingerprint(model)
    groups = [[*arrays]] if scope == "model" else [[path] for path in arrays]
    values: dict[str, np.ndarray] = {}
    for paths in groups:
        ranks = {path: arrays[path] for path in paths}
        size = sum(array.size for array in ranks.values())
        values |= part_set.top_scores(ranks, max(1, round(keep * size)))
    mask = weight_mask.WeightMask(
        {path: values[path] for path in arrays}, provenance, arrays
    )
    if model is not None:
        mask.check_fits(model)
    return mask


def _checked(found, weights):
    """Returns what a user's function says of weights, or refuses it."""
    arrays = _arrays("`method` must return", found)
    shapes = {path: weight.shape for path, weight in weights.items()}
    for path, array in arrays.items():
        if array.shape != shapes.get(path):
            raise ValueError(
                f"`method` returned scores of shape {array.shape} for "
                f"{path!r}; the weights to score are {shapes}."
            )
    return arrays


def _arrays(due, scores):
    """Returns scores as float32 or, where they are more exact, float64.

    Refuses what is no dict of finite ones.
    """
    if not isinstance(scores, Mapping) or not scores:
        raise ValueError(
            f"{due} a dict from weight path to array, got {scores!r}."
        )
    arrays = {path: np.asarray(values) for path, values in scores.items()}
    for path, array in arrays.items():
        if array.dtype.kind not in "iufb" or not np.isfinite(array).all():
            raise ValueError(
                f"{due} finite numbers for each weight; those of {path!r} are "
                "not."
            )
        arrays[path] = array.astype(np.result_type(array, "float32"))
    return arrays


def _by_gradient(asked, weights, data, at):
    """Returns |w| times the mean of |dL/dw| at parts of all the weights."""
    found = {path: np.zeros_like(w) for path, w in weights.items()}
    for step in at:
        part = np.float32(step / len(at))
        slopes = asked.slopes({p: w * part for p, w in weights.items()}, data)
        for path, slope in slopes.items():
            found[path] += np.abs(slope) / len(at)
    return {path: np.abs(w) * found[path] for path, w in weights.items()}


def _by_ablation(asked, weights, data):
    """Returns by how much the loss rises without each weight."""
    values = {path: tf.constant(weight) for path, weight in weights.items()}

    def total(values, *batch):
        return tf.reduce_sum(asked.losses(values, *batch))

    @tf.function(autograph=False, reduce_retracing=True)
    def losses(values, path, places, *batch):
        def without(place):
            weight = values[path]
            kept = tf.cast(tf.range(tf.size(weight)) != place, weight.dtype)
            changed = weight * tf.reshape(kept, weight.shape)
            return total({**values, path: changed}, *batch)

        return tf.map_fn(without, places, fn_output_signature=tf.float32)

    found = {}
    for path, weight in weights.items():
        parts = [
            asked.mean(
                functools.partial(losses, values, path, tf.constant(places)),
                data,
            )
            for places in np.array_split(
                np.arange(weight.size, dtype="int32"),
                -(-weight.size // _AT_ONCE),
            )
        ]
        found[path] = np.concatenate(parts).reshape(weight.shape)
    whole = asked.mean(functools.partial(total, values), data)
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
    for inputs, targets in batches.read_unweighted("data", data, model):
        sums = activations.call_in_graph(squares, inputs)
        for path, part in sums.items():
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

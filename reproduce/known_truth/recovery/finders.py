"""Methods that look for what was planted, all on all kinds of networks.

The functions take the `Config` of `stages`.
"""

import functools
import time
import warnings

import keras
import numpy as np
import tensorflow as tf
from keras import ops

import modularity_tf as mtf
from modularity_tf.findings import neuron_selection, weight_mask
from modularity_tf.masking import find_weights, scored_model, weight_scores
from modularity_tf.network import (
    activations,
    batches,
    functional_call,
    model_weights,
    unit_weights,
)
from modularity_tf.neurons import rules, statistics
from modularity_tf.planted.scores import truth
from modularity_tf.units import clustering, similarity

MASKS = ("mask", "mask_paper")
WEIGHTS = (*MASKS, "edge_popup", *weight_scores.METHODS)
NEURONS = ("threshold", "bayesian")
CLUSTERS = similarity.MEASURES
# Which units a task needs: learned gates, and scores beside them.
UNITS = ("gates", "unit_taylor", "unit_magnitude", "unit_random")
METHODS = (*WEIGHTS, "neurons", "clusters")  # by default
# Of masks, by their names in records.
SETTINGS = {"alpha": "alpha", "initial_keep_probability": "keep_probability"}
PAPER = {"num_samples": 4, "initial_keep_probability": 0.9}  # drawn as there
# Of the mask to score where none was chosen by its performance.
PERFORMS_NOT = {"alpha": 1e-5, "initial_keep_probability": 0.9}
RESTARTS = 10  # of a search for clusters, as in `find_units`
_TAYLOR_EXAMPLES = 256


def applies(planted, method):
    """Returns whether a method can look at a network."""
    if method == "neurons":
        return None not in (planted.units, planted.modules)
    if method == "clusters":
        return planted.modules is not None
    if method in UNITS:
        return planted.units is not None
    if method == "activation":
        return {*planted.kinds[0]} <= {
            *activations.kernel_paths(planted.model).values()
        }
    return bool(planted.kinds[0])


def examples(config, planted, task, seed, whole):
    """Returns what a method may see, and what to choose a mask by.

    Args:
        config: `Config`.
        planted: `Planted`.
        task: Int.
        seed: Int, of the examples.
        whole: Bool. Whether nothing is held out to choose a mask by, so that
            `find_weights` does so itself. Else half of all examples are left.
    """
    if not whole:
        return planted.split(task, config.examples, seed)
    data = planted.data[task]
    order = np.random.default_rng(seed).permutation(len(data[1]))
    return batches.take(data, order[: config.examples]), None


def find(config, planted, task, method, seed, settings=None, whole=False):
    """Returns what a method says of each weight.

    Args:
        config: `Config`.
        planted: `Planted`.
        task: Int.
        method: One of `WEIGHTS`.
        seed: Int, of the examples and the method.
        settings: Dict with the `SETTINGS` of masks, or `None` to have them
            chosen.
        whole: Bool, as in `examples`. Time and warnings of masks are told.

    Returns:
        `WeightMask` with scores, or for methods without a threshold of their
        own a dict from weight path to scores; and a dict with what else is
        known.
    """
    data, validation = examples(config, planted, task, seed, whole)
    if method in MASKS:
        settings = dict(settings or {})
        if method == "mask_paper":
            settings |= PAPER
        start = time.process_time()
        mask, told = find_mask(
            config, planted, task, data, validation, settings, seed
        )
        if whole:
            told["seconds"] = round(time.process_time() - start, 1)
        else:
            del told["warned"]
        return mask, told
    loss, _ = planted.objective(task)
    if method == "edge_popup":
        return find_by_popup(config, planted, task, data, loss, seed)
    scores = weight_scores.weight_scores(
        planted.model,
        data,
        method=method,
        loss=loss,
        layers=planted.layers,
        seed=seed,
    )
    return scores, {}


def find_mask(config, planted, task, data, validation, settings, seed):
    """Returns what `find_weights` finds."""
    mask, told = _found_or_not(
        config,
        planted,
        task,
        functools.partial(
            find_weights.find_weights,
            planted.model,
            data,
            validation,
            layers=planted.layers,
            seed=seed,
            **settings,
        ),
    )
    return _without_provenance(mask), told


def _without_provenance(found):
    """Returns what was found, without what is not in the records."""
    return type(found)(dict(found.values), {}, dict(found.scores))


def _found_or_not(config, planted, task, find):
    """Returns what a search finds, and what is known of it.

    Args:
        config: `Config`.
        planted: `Planted`.
        task: Int.
        find: Function, `find_weights` or `find_neurons` with its arguments.
    """
    loss, accuracy = planted.objective(task)
    find = functools.partial(
        find,
        loss=loss,
        metrics=[accuracy],
        steps=config.mask_steps or None,
        verbose=0,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            found = find()
            told = {
                name: found.provenance[key] for key, name in SETTINGS.items()
            }
            told |= {"performs": True, "keep_fraction": found.keep_fraction}
        except ValueError:  # no mask, or no performance to choose one by
            found = find(**PERFORMS_NOT)
            told = {"performs": False}
    told["warned"] = any(x.category is UserWarning for x in caught)
    return found, told


def find_units(config, planted, task, method, seed, whole=False):
    """Returns what a method says of the units that a task may need.

    Args:
        config: `Config`.
        planted: `Planted` with `units`.
        task: Int.
        method: One of `UNITS`.
        seed: Int, of the examples and the method.
        whole: Bool, as in `examples`.

    Returns:
        `NeuronSelection` with scores, or for methods without a threshold a
        dict from layer to scores `(units,)`; and a dict with what else is
        known.
    """
    data, validation = examples(config, planted, task, seed, whole)
    layers = [*planted.units[task]]
    if method == "gates":
        found, told = _found_or_not(
            config,
            planted,
            task,
            functools.partial(
                mtf.find_neurons,
                planted.model,
                data,
                method="mask",
                validation_data=validation,
                layers=layers,
                seed=seed,
            ),
        )
        del told["warned"]
        return _without_provenance(found), told
    units, _ = unit_weights.hidden_units(planted.model, layers)
    if method == "unit_random":
        rng = np.random.default_rng(seed)
        return {p: rng.random(own.size) for p, own in units.items()}, {}
    if method == "unit_taylor":
        loss, _ = planted.objective(task)
        return _taylor(planted.model, data, loss, units), {}
    weights = model_weights.model_weights(planted.model)
    scores = {}
    for path, own in units.items():
        squares = np.zeros(own.size + 1)  # the last one is of no unit
        for each in own.weights:
            values = np.square(weights[each.path].variable.numpy())
            values = np.moveaxis(values, each.axis, 0)
            sums = values.reshape(len(values), -1).sum(axis=1)
            np.add.at(squares, each.units, sums)
        scores[path] = np.sqrt(squares[: own.size])
    return scores, {}


def _taylor(model, data, loss, units):
    """Returns |activation x gradient| of units, the mean over examples.

    What a unit puts out is scaled by a number, 1, which has as a gradient the
    sum of activation times gradient.

    References:
        - [Molchanov et al., 2017](https://arxiv.org/abs/1611.06440), section
          2.2
    """
    inputs, labels = batches.take(data, slice(0, _TAYLOR_EXAMPLES))
    call = functional_call.FunctionalCall(model)
    with tf.GradientTape(persistent=True) as tape:
        gates = {path: tf.ones(own.size) for path, own in units.items()}
        tape.watch(gates)
        weights = {
            path: call.variables[path].value * factor
            for path, factor in unit_weights.spread(
                units, gates, tf.multiply, gates=True
            ).items()
        }
        losses = tf.reshape(loss(labels, call(weights, inputs)), (-1,))
    return {
        path: np.abs(tape.jacobian(losses, gate).numpy()).mean(axis=0)
        for path, gate in gates.items()
    }


def find_by_popup(config, planted, task, data, loss, seed):
    """Returns the mask of edge-popup, of the share that is needed.

    The share is told, which no user could: its best case.
    """
    scores = {path: 0.0 * kinds for path, kinds in planted.kinds[task].items()}
    needed, _ = truth(planted, scores, task)
    present = weight_mask.WeightMask(
        {
            path: ~flags
            for path, flags in planted.weights(task, "absent").items()
        }
    )
    share = sum(int(flags.sum()) for flags in needed.values())
    scored = scored_model.ScoredModel(
        planted.model,
        share=share / sum(int(v.sum()) for v in present.values.values()),
        candidates=present,
        seed=seed,
    )
    scored.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss)
    scored.fit(
        *data,
        batch_size=128,
        epochs=config.popup_epochs,
        verbose=0,
        shuffle=False,
    )
    scores = {
        path: ops.convert_to_numpy(value.value)
        for path, value in scored.scores.items()
    }
    mask = scored.weight_mask()
    return weight_mask.WeightMask(dict(mask.values), {}, scores), {}


def find_neurons(config, planted, task, seed):
    """Returns what methods for neurons say: method -> `NeuronSelection`.

    The task's class are the examples with a 1 for an answer. Scores are a
    unit's mean activity in the class.
    """
    (inputs, labels), _ = planted.split(task, config.examples, seed)
    of_class = labels[:, task].astype(int)
    found = statistics.class_statistics(
        planted.model, (inputs, of_class), 2, layers=[*planted.modules]
    )
    scores = {layer: values[1] for layer, values in found.mean.items()}
    sets = {
        "threshold": rules.threshold_neurons(found, 1),
        "bayesian": rules.bayesian_neurons(found, 1),
    }
    return {
        name: neuron_selection.NeuronSelection(dict(each.values), {}, scores)
        for name, each in sets.items()
    }


def find_clusters(config, planted, seed):
    """Returns the clusters of units, those of the first task for the Hessian.

    Args:
        config: `Config`.
        planted: `Planted`.
        seed: Int.

    Returns:
        Dict from layer to a dict from measure to an int array `(units,)`.
    """
    data, _ = planted.split(0, config.examples, seed)
    loss, _ = planted.objective(0)
    similarities = similarity.UnitSimilarities(
        planted.model, layers=[*planted.modules], loss=loss
    )
    return {
        layer: {
            measure: clustering.find_clusters(
                matrix, seed=seed, restarts=RESTARTS
            )
            for measure, matrix in matrices.items()
        }
        for layer, matrices in similarities(data).items()
    }

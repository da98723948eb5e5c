"""What neurons classes use and share: the stages of neuron_subselection.

The functions take the `Config` of `reproduce.neuron_subselection`.
"""

import functools
import itertools

import numpy as np
import tensorflow as tf

from modularity_tf.neurons import (
    calibration,
    selection,
    statistics,
    subnetworks,
)
from modularity_tf.parts import activations, confusion, overlap
from reproduce.elbastawisy2025 import findings
from reproduce.harness import experiment


def batches_of(split, groups=None):
    """Returns the images of a split with their labels, or other groups."""
    groups = split.labels if groups is None else groups
    data = tf.data.Dataset.from_tensor_slices((split.images, groups))
    return data.batch(500).map(lambda x, y: (tf.cast(x, tf.float32), y))


def halves(split, num_classes, seed):
    """Returns 2 * label + half for every image, halves drawn at random."""
    rng = np.random.default_rng(seed)
    half = np.zeros(len(split.labels), "int32")
    for label in range(num_classes):
        (rows,) = np.nonzero(split.labels == label)
        half[rng.permutation(rows)[: len(rows) // 2]] = 1
    return 2 * split.labels + half


def decide(config, method, statistics, label, **changes):
    """Returns the `NeuronSelection` of a class, or its `NeuronMask`."""
    if method == "threshold":
        return selection.threshold_neurons(statistics, label, config.percentile)
    settings = {
        name: getattr(config, name) for name in ("t_high", "t_low", "tau")
    }
    return selection.bayesian_neuron_mask(
        statistics, label, **{**settings, **changes}
    )


def active(decision):
    """Returns the active neurons: above the threshold, or forced on."""
    is_mask = isinstance(decision, selection.NeuronMask)
    return decision.on if is_mask else decision


def without_output(chosen, outputs):
    """Returns layer -> boolean array without the output layers."""
    return {
        path: value
        for path, value in active(chosen).values.items()
        if path not in outputs
    }


def ratios(first, second):
    """Returns the overlaps of two selections, layer by layer, as dicts."""
    found = overlap.overlaps(first, second)
    sizes = {path: value.size for path, value in first.items()}
    sizes["total"] = sum(sizes.values())
    return {
        path: {
            "of_layer": both.shared / sizes[path],
            "share": both.share,
            "jaccard": both.jaccard,
            "expected_of_layer": both.expected / sizes[path],
            "expected_share": both.expected_share,
        }
        for path, both in found.items()
    }


def draw_pairs(config, count, seed):
    """Returns all pairs of classes, the text's ten of them, and ten classes."""
    every = list(itertools.combinations(range(count), 2))
    rng = np.random.default_rng(experiment.derive_seed(seed, "pairs"))
    drawn = rng.choice(len(every), min(config.pairs, len(every)), False)
    return every, drawn, rng.integers(count, size=config.pairs)


def sharing(config, data, network, method, by_class, by_half, seed):
    """Returns what classes, and halves of a class, have in common."""
    count = len(data.class_names)
    outputs = subnetworks.output_layers(network)
    chosen = [
        without_output(decide(config, method, by_class, label), outputs)
        for label in range(count)
    ]
    halved = [
        without_output(decide(config, method, by_half, group), outputs)
        for group in range(2 * count)
    ]
    every, drawn, classes = draw_pairs(config, count, seed)
    return {
        "specialize": [ratios(chosen[a], chosen[b]) for a, b in every],
        "random_pairs": sorted(int(i) for i in drawn),
        "reuse": [
            ratios(halved[2 * label], halved[2 * label + 1])
            for label in range(count)
        ],
        "random_classes": [int(label) for label in classes],
        "active": [
            {path: float(np.mean(v)) for path, v in one.items()}
            for one in chosen
        ],
    }


def permutation_test(config, data, network, method, split, seed):
    """Returns sharing of pairs of classes beside that of shuffled labels.

    The images of two classes are dealt out to two sub-tasks at random: what
    they share then is what sub-tasks without a difference share.
    """
    rng = np.random.default_rng(experiment.derive_seed(seed, "permutations"))
    rows = np.concatenate(
        [
            rng.permutation(np.flatnonzero(split.labels == label))[
                : config.null_images
            ]
            for label in range(len(data.class_names))
        ]
    )
    watch = activations.ActivationModel(network)
    outputs = subnetworks.output_layers(network)
    parts = [
        {
            p: np.array(activations.unit_means([v]), "float64")
            for p, v in a.items()
        }
        for a in (watch(x) for x, _ in batches_of(split._rows(rows)))
    ]
    values = {p: np.concatenate([part[p] for part in parts]) for p in parts[0]}
    labels = split.labels[rows]
    every, drawn, _ = draw_pairs(config, len(data.class_names), seed)
    found = []
    for a, b in (every[i] for i in drawn):
        (mine,) = np.nonzero((labels == a) | (labels == b))
        own = {p: v[mine] for p, v in values.items()}
        second = labels[mine] == b
        shares = []
        for k in range(1 + config.permutations):
            group = second if k == 0 else rng.permutation(second)
            statistics = of_groups(own, group)
            one, two = (
                without_output(decide(config, method, statistics, g), outputs)
                for g in (0, 1)
            )
            shares.append(overlap.overlaps(one, two)["total"].jaccard)
        # NaN: no neuron is active.
        observed, null = shares[0], np.array(shares[1:])
        null = null[~np.isnan(null)]
        p = (1 + np.sum(null <= observed)) / (1 + len(null))
        found.append(
            {
                "classes": [data.class_names[a], data.class_names[b]],
                "observed": observed,
                "null_mean": float(np.mean(null)) if len(null) else np.nan,
                "null_sd": float(np.std(null, ddof=1))
                if len(null) > 1
                else 0.0,
                "p": np.nan if np.isnan(observed) else float(p),
            }
        )
    return found


def of_groups(values, second):
    """Returns `ClassStatistics` of two groups of rows."""
    groups = [{p: v[second == g] for p, v in values.items()} for g in (0, 1)]
    counts = np.array([np.sum(second == g) for g in (0, 1)])
    mean, error = (
        {
            path: np.stack([function(group[path]) for group in groups])
            for path in values
        }
        for function in (
            lambda x: x.mean(0),
            lambda x: x.std(0, ddof=1) / np.sqrt(len(x)),
        )
    )
    return statistics.ClassStatistics(counts, mean, error)


def logits(model, split):
    """Returns the outputs of a model for every image of a split."""
    # Called eagerly: compiling each of many models costs more than it saves.
    return np.concatenate(
        [np.array(model(x, training=False)) for x, _ in batches_of(split)]
    )


def score(model, data):
    """Returns accuracy and confusion rates on the test set."""
    return score_logits(logits(model, data.test), data)


def score_logits(outputs, data):
    """Returns accuracy and confusion rates, from the test set's logits."""
    predicted = outputs.argmax(axis=-1)
    count = len(data.class_names)
    matrix = confusion.confusion_matrix(data.test.labels, predicted, count)
    per_class = np.bincount(data.test.labels, minlength=count)
    return {
        "accuracy": float(np.mean(predicted == data.test.labels)),
        "confusion": matrix.tolist(),
        "counts": per_class.tolist(),
    }


def ablation(config, data, network, method, by_class, label, seed):
    """Returns the scores without a class's neurons, and of its subnetwork.

    As in the text, neurons found by thresholding are not ablated.
    """
    decision = decide(config, method, by_class, label)
    subnetwork = subnetworks.build_subnetwork(network, decision)
    outputs = [logits(subnetwork, s) for s in (data.validation, data.test)]
    found = {
        "active": active(decision).keep_fraction,
        "subnetwork": score_logits(outputs[1], data),
        "calibration": calibrate(*outputs, data),
    }
    if method == "bayesian":
        chosen = active(decision)
        seed = experiment.derive_seed(seed, "control", label)
        for name, removed in (
            ("ablated", chosen),
            ("random", chosen.shuffled(seed)),
        ):
            found[name] = score(subnetworks.ablate(network, removed), data)
    return found


def calibrate(validation, test, data):
    """Returns temperature and calibration error before and after.

    The temperature is fitted to the logits of the validation set, the error
    measured on those of the test set.
    """
    fitted = calibration.fit_temperature(validation, data.validation.labels)
    error = functools.partial(
        calibration.expected_calibration_error, test, data.test.labels
    )
    bins = {
        name: {
            key: np.nan_to_num(values, nan=-1.0).tolist()
            for key, values in calibration.reliability(
                test, data.test.labels, temperature
            ).items()
        }
        for name, temperature in (("before", 1.0), ("after", fitted))
    }
    return {
        "temperature": fitted,
        "error_before": error(),
        "error_after": error(temperature=fitted),
        "bins": bins,
    }


def sweep(config, network, by_class, by_half, count):
    """Returns sharing by masking over tau and the upper threshold."""
    found = []
    outputs = subnetworks.output_layers(network)
    for tau, t_high in itertools.product(
        (0.5, 0.8, 0.95), (0.05, 0.1, 0.2, 0.55, 1.0, 2.0)
    ):
        selected = [
            [
                without_output(
                    decide(
                        config,
                        "bayesian",
                        statistics,
                        group,
                        tau=tau,
                        t_high=t_high,
                    ),
                    outputs,
                )
                for group in range(groups)
            ]
            for statistics, groups in ((by_class, count), (by_half, 2 * count))
        ]
        classes, split = selected
        pairs = {
            "different": itertools.permutations(classes, 2),
            "same": zip(split[::2], split[1::2], strict=True),
        }
        shared = {
            kind: [ratios(a, b)["total"] for a, b in both]
            for kind, both in pairs.items()
        }
        found.append(
            {
                "tau": tau,
                "t_high": t_high,
                **{
                    f"{kind}_{key}": findings.mean([one[key] for one in every])
                    for kind, every in shared.items()
                    for key in ("share", "of_layer")
                },
                "active": float(
                    np.mean(
                        [np.concatenate([*c.values()]).mean() for c in classes]
                    )
                ),
            }
        )
    return found

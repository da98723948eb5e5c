"""What classes share, experiment 1: stages of neuron_subselection."""

import itertools

import numpy as np

from modularity_tf.findings import overlap
from modularity_tf.network import activations, surgery
from modularity_tf.neurons import statistics
from reproduce.data import images
from reproduce.elbastawisy2025 import class_neurons
from reproduce.publishing import records

# Of the sweep, over all pairs of the two.
TAUS = (0.5, 0.8, 0.95)
T_HIGHS = (0.05, 0.1, 0.2, 0.55, 1.0, 2.0)


def find_sharing(stage, network, halves, method):
    """Returns what classes, and halves of a class, have in common."""
    outputs = surgery.output_layers(network)
    chosen, halved = (
        class_neurons.choose_all(stage.config, method, found, outputs)
        for found in class_neurons.by_class_and_half(halves)
    )
    every, drawn, classes = draw_pairs(stage, len(chosen))
    return {
        "specialize": [ratios(chosen[a], chosen[b]) for a, b in every],
        "random_pairs": sorted(int(i) for i in drawn),
        "reuse": [
            ratios(first, second)
            for first, second in zip(halved[::2], halved[1::2], strict=True)
        ],
        "random_classes": [int(label) for label in classes],
        "active": [
            {path: float(np.mean(v)) for path, v in one.items()}
            for one in chosen
        ],
    }


def draw_pairs(stage, count):
    """Returns all pairs of classes, the text's ten of them, and ten classes."""
    every = list(itertools.combinations(range(count), 2))
    rng = np.random.default_rng(stage.derive_seed("pairs"))
    pairs = stage.config.pairs
    drawn = rng.choice(len(every), min(pairs, len(every)), False)
    return every, drawn, rng.integers(count, size=pairs)


def ratios(first, second):
    """Returns the overlaps of two selections, layer by layer, as dicts.

    A share of nothing, where no neuron is active, is `None`.
    """
    found = overlap.between(first, second)
    sizes = {path: value.size for path, value in first.items()}
    sizes["total"] = sum(sizes.values())
    shared = {
        path: {
            "of_layer": both.shared / sizes[path],
            "share": both.share,
            "jaccard": both.jaccard,
            "expected_of_layer": both.expected / sizes[path],
            "expected_share": both.expected_share,
        }
        for path, both in {**found.by_tensor, "total": found}.items()
    }
    return records.without_nan(shared)


def permute_labels(stage, data, network, method):
    """Returns sharing of pairs of classes beside that of shuffled labels.

    The images of two classes are dealt out to two sub-tasks at random: what
    they share then is what sub-tasks without a difference share.
    """
    config = stage.config
    split = class_neurons.selecting_split(config, data)
    names = data.class_names
    rng = np.random.default_rng(stage.derive_seed("permutations"))
    rows = np.concatenate(
        [
            rng.permutation(np.flatnonzero(split.labels == label))[
                : config.null_images
            ]
            for label in range(len(names))
        ]
    )
    labels = split.labels[rows]
    values = mean_activations(network, images.Split(split.images[rows], labels))
    outputs = surgery.output_layers(network)
    every, drawn, _ = draw_pairs(stage, len(names))
    found = []
    for a, b in (every[i] for i in drawn):
        (mine,) = np.nonzero((labels == a) | (labels == b))
        own = {path: rows[mine] for path, rows in values.items()}
        second = labels[mine] == b
        groupings = [second]
        groupings += [
            rng.permutation(second) for _ in range(config.permutations)
        ]
        shares = []
        for grouping in groupings:
            chosen = class_neurons.choose_all(
                config, method, of_groups(own, grouping), outputs
            )
            shares.append(overlap.between(*chosen).jaccard)
        found.append({"classes": [names[a], names[b]], **compare(shares)})
    return found


def mean_activations(network, split):
    """Returns layer -> float64 array `(images, units)`, as `magnitudes`."""
    watch = activations.ActivationModel(network, outputs=True)
    parts = [
        {
            path: statistics.magnitudes(values).numpy()
            for path, values in watch(x).items()
        }
        for x, _ in class_neurons.batches_of(split)
    ]
    return {path: np.concatenate([p[path] for p in parts]) for path in parts[0]}


def of_groups(values, second):
    """Returns `ClassStatistics` of two groups of rows.

    Args:
        values: Dict from layer to array `(rows, units)`.
        second: Bool array `(rows,)`, those of the second group.
    """
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


def compare(shares):
    """Returns the first of some overlaps beside the others, its null.

    NaN stands for two sets without a neuron, `None` in what is returned. `p`
    is the chance of so little overlap if the first is one like the others.
    """
    observed, null = shares[0], np.array(shares[1:])
    null = null[~np.isnan(null)]
    p = (1 + np.sum(null <= observed)) / (1 + len(null))
    found = {
        "observed": observed,
        "null_mean": float(records.mean(null)),
        "null_sd": float(np.std(null, ddof=1)) if len(null) > 1 else 0.0,
        "p": np.nan if np.isnan(observed) else float(p),
    }
    return records.without_nan(found)


def sweep(stage, network, halves):
    """Returns sharing by masking over tau and the upper threshold."""
    outputs = surgery.output_layers(network)
    both = class_neurons.by_class_and_half(halves)
    found = []
    for tau, t_high in itertools.product(TAUS, T_HIGHS):
        classes, halved = (
            class_neurons.choose_all(
                stage.config, "bayesian", each, outputs, tau=tau, t_high=t_high
            )
            for each in both
        )
        pairs = {
            "different": itertools.permutations(classes, 2),
            "same": zip(halved[::2], halved[1::2], strict=True),
        }
        point = {"tau": tau, "t_high": t_high}
        for kind, sets in pairs.items():
            shared = [ratios(a, b)["total"] for a, b in sets]
            for key in ("share", "of_layer"):
                point[f"{kind}_{key}"] = records.mean(
                    [one[key] for one in shared]
                )
        point["active"] = float(
            np.mean([np.concatenate([*c.values()]).mean() for c in classes])
        )
        found.append(records.without_nan(point))
    return found

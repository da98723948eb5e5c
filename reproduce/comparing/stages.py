"""Finds weights, neurons and units in one CNN: stages of compare_methods.

The functions take the `Config` of `reproduce.compare_methods`. Networks and
masks are those of `reproduce.cifar_ablation`.
"""

import numpy as np

from modularity_tf import comparing
from modularity_tf.findings import neuron_selection
from modularity_tf.neurons import rules, statistics
from modularity_tf.units import find_units
from reproduce.csordas2021.images import cifar_ablation
from reproduce.data import images
from reproduce.publishing import records

NETWORK = "cnn_nodropout"
METHODS = ("threshold", "bayesian")


def plan(run):
    """Plans all networks and what is found in them; returns the records."""
    data = images.load_once(run.config.dataset)
    return [plan_seed(run, data, seed) for seed in run.config.seeds]


def plan_seed(run, data, seed):
    """Plans the stages of one network; returns the record to be."""
    config, names = run.config, data.class_names

    def stage(what, *args, **kwargs):
        return run.stage(f"seed{seed}/{what}", *args, seed=seed, **kwargs)

    def mask(name, *args):
        steps = {"steps": config.mask_steps, "phase": "masks"}
        return stage(f"mask_{name}", *args, **steps)

    network = stage(
        "network",
        cifar_ablation.train_network,
        NETWORK,
        steps=config.network_steps,
        phase="network",
    )
    control = mask("control", cifar_ablation.train_control_mask, network, None)
    without = {
        name: mask(
            name,
            cifar_ablation.train_class_mask,
            network,
            control,
            None,
            label,
        )
        for label, name in enumerate(names)
    }
    return {
        "data": data.title,
        "class_names": names,
        "seed": seed,
        "dense": stage("scores", cifar_ablation.score, network),
        "control": stage(
            "scores_control", cifar_ablation.score, network, control
        ),
        "comparison": stage(
            "comparison", compare_all, network, control, without
        ),
    }


def phases(config):
    """Returns what the estimate times: training weights, training masks."""
    return cifar_ablation.phases_of(config, NETWORK)


def compare_all(stage, network, control, without):
    """Returns how far what was found of each class marks the same units.

    Returns:
        Dict of `rows`, those of `comparison.Comparison` for every class, and
        for each way to select neurons `shares`, a matrix: of the units that
        the weights of a class alone end in, how many the neurons of each class
        are.
    """
    config = stage.config
    data = images.load_once(config.dataset)
    features = cifar_ablation.without_output(control)
    hidden = [path.rpartition("/")[0] for path in features.values]
    hidden = list(dict.fromkeys(hidden))
    neurons = find_all_neurons(config, network, data, hidden)
    few = slice(config.cluster_images)
    clusters = find_units.find_units(
        network,
        (data.test.images[few].astype("float32"), data.test.labels[few]),
        layers=hidden,
        measure=config.measure,
        restarts=config.restarts,
        seed=stage.derive_seed("clusters"),
    )
    # Units that never vary are no evidence, and count nowhere.
    used = neuron_selection.NeuronSelection(
        {layer: found.clusters >= 0 for layer, found in clusters.items()}
    )
    alone = {
        name: (features - mask).units(network) & used
        for name, mask in without.items()
    }
    rows = []
    for name in data.class_names:
        found = comparing.compare(
            {
                "weights": alone[name],
                **{method: neurons[method][name] for method in METHODS},
                "units": clusters,
            },
            network,
            permutations=config.permutations,
            seed=stage.derive_seed("permutations", name),
        )
        kept = ("layer", "first", "second", "measure", "value", "chance", "p")
        rows += [
            {"class": name, **{key: getattr(row, key) for key in kept}}
            for row in found.rows
        ]
    shares = {
        method: [
            [
                alone[own].sharing(neurons[method][other])
                for other in data.class_names
            ]
            for own in data.class_names
        ]
        for method in METHODS
    }
    return records.without_nan({"rows": rows, "shares": shares})


def find_all_neurons(config, network, data, layers):
    """Returns the neurons of every class: method -> class -> selection."""
    few = data.train.images.astype("float32"), data.train.labels
    found = statistics.class_statistics(
        network, few, len(data.class_names), layers=layers
    )
    chosen = {method: {} for method in METHODS}
    for label, name in enumerate(data.class_names):
        chosen["threshold"][name] = rules.threshold_neurons(
            found, label
        )
        chosen["bayesian"][name] = rules.bayesian_neurons(
            found, label, t_high=config.t_high
        )
    return chosen


def own_and_others(shares):
    """Returns the mean share of a class's own neurons, and of the others'.

    Args:
        shares: Matrix as in `compare_all`.

    Returns:
        Two floats, NaN where a class has no unit.
    """
    shares = np.array(shares, "float64")
    own = np.diagonal(shares)
    others = shares[~np.eye(len(shares), dtype=bool)]
    return float(records.mean(own)), float(records.mean(others))

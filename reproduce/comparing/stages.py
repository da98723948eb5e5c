"""Finds weights, neurons and units in one CNN: stages of compare_methods.

Networks and masks are those of `cifar_ablation`.
"""

import dataclasses
import functools
import warnings

import numpy as np

from modularity_tf import comparing
from modularity_tf.findings import neuron_selection
from modularity_tf.neurons import find_neurons, rules, statistics
from modularity_tf.units import find_units
from reproduce.csordas2021 import mask_training
from reproduce.csordas2021.images import classifiers
from reproduce.csordas2021.images.cnn import CONTROL
from reproduce.publishing import records
from reproduce.running.configuration import field

NETWORK = "cnn_nodropout"
METHODS = ("threshold", "bayesian")
GATES = "gates"
_GATE_STEPS, _LEVELS = 50, 40  # of a path of gates


@dataclasses.dataclass(frozen=True)
class Config(mask_training.Config):
    """Every field is a flag."""

    dataset: str = field(
        "mnist", "Data set of images.", one_of=("mnist", "cifar10", "digits")
    )
    t_high: float = field(
        0.55,
        "Bayesian rule: a neuron whose mean is surely above this is on.",
        above=0,
    )
    measure: str = field(
        "covariance",
        "Measure of how alike two units are, for the clusters.",
        one_of=("covariance", "input_sensitivity", "output_sensitivity"),
    )
    restarts: int = field(
        10, "Restarts of the search for clusters.", at_least=0
    )
    cluster_images: int = field(
        2000, "Largest number of test images for the clusters.", at_least=2
    )
    permutations: int = field(
        999, "Permutations for the null of every comparison.", at_least=19
    )
    gates: bool = field(
        False,
        "Which units does a class need? Learns gates of all units, too: for "
        "all classes, and without each of them.",
    )
    gate_steps: int = field(
        0,
        "Training steps of gates at each penalty; 0 for the default of "
        "find_neurons.",
        at_least=0,
    )


def plan(run):
    """Plans all networks and what is found in them; returns the records."""
    return [
        plan_seed(run, subject_of(run.config, seed))
        for seed in run.config.seeds
    ]


def subject_of(config, seed):
    """Returns the network of a repeat, a `Subject`."""
    subject = classifiers.subject_of(config, seed, NETWORK)
    return dataclasses.replace(subject, folder=f"seed{seed}")


def plan_seed(run, subject):
    """Plans the stages of one network; returns the record to be."""
    data = subject.data
    stage = functools.partial(mask_training.plan, run, subject)
    network = mask_training.plan_network(run, subject)
    masks, _ = classifiers.plan_masks(
        run, subject, network, range(len(data.class_names))
    )
    control = masks.pop(CONTROL)
    gates = plan_gates(run, subject, network) if run.config.gates else None
    return {
        "data": data.title,
        "class_names": data.class_names,
        "seed": subject.seed,
        "dense": stage("scores", classifiers.score, network),
        "control": stage(
            "scores_control", classifiers.score, network, [control]
        ),
        "comparison": stage(
            "comparison", compare_all, network, control, masks, gates
        ),
    }


def plan_gates(run, subject, network):
    """Plans the gates of all classes, and of all but one: a dict of stages."""
    names = subject.data.class_names

    def plan_one(name, labels, first=None):
        steps = _LEVELS * (run.config.gate_steps or _GATE_STEPS)
        return mask_training.plan(
            run,
            subject,
            f"gates_{name}",
            find_gates,
            network,
            labels,
            first,
            steps=steps,
            phase=f"{subject.name}: masks",
        )

    found = {CONTROL: plan_one(CONTROL, None)}
    for label, name in enumerate(names):
        others = tuple(i for i in range(len(names)) if i != label)
        found[name] = plan_one(name, others, found[CONTROL])
    return found


def find_gates(stage, subject, network, labels, first):
    """Returns the units that some classes need.

    Args:
        stage: `Stage`.
        subject: `Subject`.
        network: Keras model.
        labels: Ints, the classes, or `None` for all.
        first: `NeuronSelection` of all classes, whose penalty is taken, or
            `None` to have one chosen.
    """
    parts = subject.data.train, subject.data.validation
    if labels is not None:
        parts = [part.only(labels) for part in parts]
    data, validation = (
        (part.images.astype("float32"), part.labels) for part in parts
    )
    with warnings.catch_warnings():
        # What a class loses is what is asked for here.
        warnings.simplefilter("ignore", UserWarning)
        return find_neurons.find_neurons(
            network,
            data,
            method="mask",
            validation_data=validation,
            loss=subject.loss,
            metrics=["accuracy"],
            alpha="auto" if first is None else first.provenance["alpha"],
            steps=stage.config.gate_steps or None,
            seed=stage.derive_seed("gates"),
            verbose=0,
        )


def phases(config):
    """Returns what the estimate times: training weights, training masks."""
    return mask_training.phases([subject_of(config, 0)])


def compare_all(stage, subject, network, control, without, gates=None):
    """Returns how far what was found of each class marks the same units.

    Args:
        stage: `Stage`.
        subject: `Subject`.
        network: Keras model.
        control: `WeightMask` of all classes.
        without: Dict from class to the `WeightMask` of the others.
        gates: Dict from `CONTROL` and class to the `NeuronSelection` of all
            and of the other classes, or `None`.

    Returns:
        Dict of `rows`, those of `comparison.Comparison` for every class, and
        for each way to select neurons `shares`, a matrix: of the units that
        the weights of a class alone end in, how many the neurons of each class
        are.
    """
    config, data = stage.config, subject.data
    features = classifiers.without_output(control)
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
        verbose=0,
    )
    # Units that never vary are no evidence, and count nowhere.
    used = neuron_selection.NeuronSelection(
        {layer: found.clusters >= 0 for layer, found in clusters.items()}
    )
    alone = {
        name: (features - mask).units(network) & used
        for name, mask in without.items()
    }
    methods = METHODS
    if gates:
        methods = (GATES, *METHODS)
        whole = gates[CONTROL].select(hidden)
        neurons[GATES] = {
            name: (whole - gates[name].select(hidden)) & used
            for name in data.class_names
        }
    rows = []
    for name in data.class_names:
        found = comparing.compare(
            {
                "weights": alone[name],
                **{method: neurons[method][name] for method in methods},
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
        for method in methods
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
        chosen["threshold"][name] = rules.threshold_neurons(found, label)
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

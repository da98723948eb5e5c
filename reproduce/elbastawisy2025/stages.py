"""Trains CNNs, and removes the neurons of classes: neuron_subselection."""

import dataclasses
import functools

import keras
import numpy as np
import tensorflow as tf

from modularity_tf import confusion
from modularity_tf.network import surgery
from modularity_tf.neurons import calibration, statistics
from reproduce.data import images
from reproduce.elbastawisy2025 import (
    class_neurons,
    neuron_cnn,
    sharing,
    summaries,
)
from reproduce.running import configuration, training
from reproduce.running.configuration import field


@dataclasses.dataclass(frozen=True)
class Config(configuration.Config):
    """Every field is a flag; the defaults are the paper's values."""

    datasets: tuple[str, ...] = field(
        ("mnist", "cifar10"),
        "Data set of images.",
        part=True,
        one_of=("mnist", "cifar10", "digits"),
        distinct=True,
    )
    methods: tuple[str, ...] = field(
        ("threshold", "bayesian", "relative"),
        "Ways to select neurons: thresholding; masking; masking with t_high "
        "at each layer's --percentile of the means of all classes.",
        part=True,
        one_of=("threshold", "bayesian", "relative"),
        distinct=True,
    )
    experiments: tuple[str, ...] = field(
        ("sharing", "ablation"),
        "Which of the report's two experiments to run.",
        part=True,
        one_of=("sharing", "ablation"),
        distinct=True,
    )
    select_on: str = field(
        "train",
        "Images that select the neurons; the authors select on test images.",
        one_of=("train", "test"),
    )
    batch_size: int = field(128, "Images in a training step.", at_least=1)
    network_steps: int = field(
        10_000,
        "Training steps of each network.",
        at_least=1,
        multiple_of="log_steps",
    )
    network_lr: float = field(
        1e-3, "Learning rate of RMSprop for the weights of a network.", above=0
    )
    percentile: float = field(
        70.0,
        "Thresholding: neurons above this percentile of their layer are "
        "active. Relative masking: t_high is this percentile.",
        at_least=0,
        less_than=100,
    )
    t_high: float = field(
        0.55, "Masking: a neuron whose mean is surely above this is on."
    )
    t_low: float = field(
        1e-5, "Masking: a neuron whose mean is surely below this is off."
    )
    tau: float = field(
        0.8,
        "Masking: probability from which a decision counts as sure.",
        at_least=0.5,
        less_than=1,
    )
    pairs: int = field(
        10,
        "Number of random pairs of classes; the report has 10.",
        at_least=1,
        at_most=45,
    )
    permutations: int = field(
        200,
        "Of the labels of a pair, for the null distribution; with fewer than "
        "19 no p could be as low as 5 %.",
        at_least=19,
    )
    score_images: int = field(
        0,
        "Number of validation images, and of test images, to score on; 0 "
        "for all.",
        at_least=0,
    )
    null_images: int = field(
        500,
        "Largest number of images of a class in the permutation test.",
        at_least=2,
    )
    log_steps: int = field(
        500,
        "Steps between two points in TensorBoard; must divide --network_steps.",
        at_least=1,
    )

    def __post_init__(self):
        super().__post_init__()
        if not self.t_low < self.t_high:
            raise ValueError(
                f"--t_low={self.t_low} must be below --t_high={self.t_high}."
            )


def plan(run):
    """Plans all networks and what is found in them; returns the records."""
    config = run.config
    data = [class_neurons.load(config, name) for name in config.datasets]
    return [
        plan_network(run, each, seed) for seed in config.seeds for each in data
    ]


def plan_network(run, data, seed):
    """Plans the stages of one data set and seed; returns the record to be."""
    config = run.config

    def stage(what, *args, **kwargs):
        name = f"{data.name}/seed{seed}/{what}"
        return run.stage(name, *args, seed=seed, **kwargs)

    network = stage(
        "network",
        train_network,
        data,
        steps=config.network_steps,
        phase=data.name,
    )
    halves = stage("statistics", measure_halves, data, network)
    record = {
        "dataset": data.name,
        "data": data.title,
        "class_names": data.class_names,
        "seed": seed,
        "network": stage("scores", score_network, data, network),
        "calibration": stage("calibration", calibrate_network, data, network),
        "methods": {},
    }
    if "bayesian" in config.methods and "sharing" in config.experiments:
        record["sweep"] = stage("sweep", sharing.sweep, network, halves)
    for method in config.methods:
        found = record["methods"][method] = {}
        if "sharing" in config.experiments:
            found["sharing"] = stage(
                f"{method}_sharing",
                sharing.find_sharing,
                network,
                halves,
                method,
            )
            found["permutations"] = stage(
                f"{method}_permutations",
                sharing.permute_labels,
                data,
                network,
                method,
            )
        if "ablation" in config.experiments:
            found["ablation"] = [
                stage(
                    f"{method}_class{label}",
                    ablate_class,
                    data,
                    network,
                    halves,
                    method,
                    label,
                )
                for label in range(len(data.class_names))
            ]
    return run.combine(summaries.summarize, record)


def phases(config):
    """Returns what the estimate times: the training of each network."""
    return {
        data.name: training.phase(
            untrained(config, data, seed=0),
            functools.partial(images.batches, data.train, config.batch_size, 0),
        )
        for data in map(images.load_once, config.datasets)
    }


def untrained(config, data, seed):
    """Returns the compiled network for a data set."""
    build = neuron_cnn.cifar10 if data.name == "cifar10" else neuron_cnn.mnist
    network = build(data.train.images.shape[1:], len(data.class_names), seed)
    network.compile(
        keras.optimizers.RMSprop(config.network_lr),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=config.jit_compile,
    )
    return network


def train_network(stage, data):
    """Returns the trained network."""
    config = stage.config
    few = data.validation.images[:1000], data.validation.labels[:1000]
    return stage.fit(
        untrained(config, data, stage.derive_seed("network")),
        functools.partial(
            images.batches,
            data.train,
            config.batch_size,
            stage.derive_seed("batches", stage.name),
        ),
        config.network_steps,
        config.log_steps,
        validation_data=tf.data.Dataset.from_tensor_slices(
            (few[0].astype("float32"), few[1])
        ).batch(500),
    )


def measure_halves(stage, data, network):
    """Returns `ClassStatistics` of the halves of all classes, as JSON."""
    split = class_neurons.selecting_split(stage.config, data)
    count = len(data.class_names)
    groups = class_neurons.halves(split, count, stage.derive_seed("halves"))
    return class_neurons.to_json(
        statistics.class_statistics(
            network,
            class_neurons.batches_of(split, groups),
            2 * count,
            outputs=True,
        )
    )


def score_network(stage, data, network):
    """Returns the scores of the whole network."""
    return score(logits(network, data.test), data)


def calibrate_network(stage, data, network):
    """Returns temperature and calibration error of the whole network."""
    outputs = (logits(network, part) for part in (data.validation, data.test))
    return calibrate(*outputs, data)


def ablate_class(stage, data, network, halves, method, label):
    """Returns the scores without a class's neurons, and of its subnetwork.

    As in the text, neurons found by thresholding are not ablated.
    """
    by_class, _ = class_neurons.by_class_and_half(halves)
    chosen = class_neurons.decide(stage.config, method, by_class, label)
    if method == "threshold":
        # Weights and biases alone are zero, as in the text.
        none = {path: np.zeros_like(v) for path, v in chosen.values.items()}
        subnetwork = surgery.force(network, none, (~chosen).values)
    else:
        subnetwork = chosen.force(network)
    validation = logits(subnetwork, data.validation)
    test = logits(subnetwork, data.test)
    found = {
        "active": chosen.keep_fraction,
        "subnetwork": score(test, data),
        "calibration": calibrate(validation, test, data),
    }
    if method != "threshold":
        random = chosen.shuffled(stage.derive_seed("control", label))
        for name, removed in (("ablated", chosen), ("random", random)):
            without = removed.remove_from(network)
            found[name] = score(logits(without, data.test), data)
    return found


def logits(model, split):
    """Returns the outputs of a model for every image of a split."""
    # Called eagerly: compiling each of many models costs more than it saves.
    return np.concatenate(
        [
            np.array(model(x, training=False))
            for x, _ in class_neurons.batches_of(split)
        ]
    )


def score(outputs, data):
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
                test, data.test.labels, temperature=temperature
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

r"""Which neurons does a class use? Neuron subselection in CNNs.

Trains a CNN, selects the neurons of each class by thresholding and by Bayesian
masking, and shows what classes share and what removing their neurons does:
Elbastawisy and Afrin (2025), sections 4 and 5; figures 1 to 6.

python -m reproduce.neuron_subselection \
    --flagfile=reproduce/flags/neuron_subselection_demo.flags
"""

import dataclasses
import functools

import keras
import tensorflow as tf

from modularity_tf.neurons import statistics
from reproduce.data import images
from reproduce.elbastawisy2025 import findings, neuron_cnn, stages
from reproduce.harness import experiment

FIGURES = ("1", "2", "3", "4", "5", "6")
DATASETS = ("mnist", "cifar10", "digits")
METHODS = ("threshold", "bayesian")
EXPERIMENTS = ("sharing", "ablation")


@dataclasses.dataclass(frozen=True)
class Config(experiment.Config):
    """Every field is a flag; the defaults are the paper's values."""

    datasets: tuple[str, ...] = experiment.field(
        ("mnist", "cifar10"), "Of mnist, cifar10, digits.", False
    )
    methods: tuple[str, ...] = experiment.field(
        METHODS, "Of threshold, bayesian.", False
    )
    experiments: tuple[str, ...] = experiment.field(
        EXPERIMENTS, "Of sharing, ablation.", False
    )
    select_on: str = experiment.field(
        "train", "Data that select the neurons: train, or test as the authors."
    )
    batch_size: int = experiment.field(128, "Images a step.")
    network_steps: int = experiment.field(10_000, "Steps of the weights.")
    network_lr: float = experiment.field(1e-3, "RMSprop step of the weights.")
    percentile: float = experiment.field(70.0, "Of thresholding.")
    t_high: float = experiment.field(0.55, "Forced on above it, surely.")
    t_low: float = experiment.field(1e-5, "Forced off below it, surely.")
    tau: float = experiment.field(0.8, "How sure a decision must be.")
    pairs: int = experiment.field(10, "Random pairs of classes, as the text.")
    permutations: int = experiment.field(
        200, "Of the labels of a pair, for the null distribution."
    )
    score_images: int = experiment.field(
        0, "Validation and test images to score on, each; 0 for all."
    )
    null_images: int = experiment.field(
        500, "Images of a class in the permutation test, at most."
    )
    log_steps: int = experiment.field(
        500, "Steps between points in TensorBoard; divides network_steps."
    )

    def __post_init__(self):
        super().__post_init__()
        for name, known in (
            ("datasets", DATASETS),
            ("methods", METHODS),
            ("experiments", EXPERIMENTS),
        ):
            values = getattr(self, name)
            if not values or not set(values) <= set(known):
                raise ValueError(
                    f"--{name} must be of {', '.join(known)}, got {values}."
                )
        if self.select_on not in ("train", "test"):
            raise ValueError(
                f"--select_on must be train or test, got {self.select_on!r}."
            )
        if not self.t_low < self.t_high or not 0.5 <= self.tau < 1:
            raise ValueError(
                "--t_low must be below --t_high and --tau in [0.5, 1), got "
                f"{self.t_low}, {self.t_high} and {self.tau}."
            )
        if not 0 <= self.percentile <= 100:
            raise ValueError(
                f"--percentile must be in [0, 100], got {self.percentile}."
            )
        if self.permutations < 1 or self.pairs < 1 or self.null_images < 2:
            raise ValueError(
                "--permutations and --pairs must be at least 1, --null_images "
                f"2, got {self.permutations}, {self.pairs} and "
                f"{self.null_images}."
            )
        if self.network_steps % min(self.log_steps, self.network_steps):
            raise ValueError(
                f"--network_steps={self.network_steps} must be a multiple of "
                f"--log_steps={self.log_steps}."
            )


def load(name, score_images):
    """Returns a data set with so many images to score on, or all for 0."""
    data = images.load(name)
    if not score_images:
        return data
    few = {
        part: getattr(data, part)._rows(slice(score_images))
        for part in ("validation", "test")
    }
    return dataclasses.replace(data, **few)


def untrained(config, data, seed):
    """Returns the compiled network for a data set."""
    build = neuron_cnn.cifar10 if data.name == "cifar10" else neuron_cnn.mnist
    network = build(
        data.train.images.shape[1:],
        len(data.class_names),
        experiment.derive_seed(seed, "network"),
    )
    network.compile(
        keras.optimizers.RMSprop(config.network_lr),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=config.jit_compile,
    )
    return network


def train_network(run, data, seed, stage):
    """Returns the trained network."""
    config = run.config
    network = untrained(config, data, seed)
    few = data.validation.images[:1000], data.validation.labels[:1000]
    run.fit(
        stage,
        network,
        functools.partial(
            images.batches,
            data.train,
            config.batch_size,
            experiment.derive_seed(seed, "batches", stage),
        ),
        config.network_steps,
        config.log_steps,
        validation_data=tf.data.Dataset.from_tensor_slices(
            (few[0].astype("float32"), few[1])
        ).batch(500),
    )
    return network


def analyse(run, data, seed):
    """Carries out the stages of one data set and seed; returns the record."""
    config, count = run.config, len(data.class_names)
    folder = f"{data.name}/seed{seed}"
    network = run.stage(
        f"{folder}/network",
        lambda: train_network(run, data, seed, f"{folder}/network"),
        config.network_steps,
    )
    split = data.train if config.select_on == "train" else data.test
    groups = stages.halves(split, count, experiment.derive_seed(seed, "halves"))

    @functools.cache
    def measured():
        by_half = statistics.class_statistics(
            network, stages.batches_of(split, groups), 2 * count
        )
        both = [[2 * label, 2 * label + 1] for label in range(count)]
        return statistics.merge_groups(by_half, both), by_half

    stage = functools.partial(_stage, run, folder)
    record = {
        "dataset": data.name,
        "data": data.title,
        "class_names": data.class_names,
        "seed": seed,
        "network": stage("scores", lambda: stages.score(network, data)),
        "calibration": stage(
            "calibration",
            lambda: stages.calibrate(
                stages.logits(network, data.validation),
                stages.logits(network, data.test),
                data,
            ),
        ),
        "methods": {},
    }
    if "bayesian" in config.methods and "sharing" in config.experiments:
        record["sweep"] = stage(
            "sweep",
            lambda: stages.sweep(config, network, *measured(), count),
        )
    for method in config.methods:
        record["methods"][method] = analyse_method(
            config, stage, data, network, method, measured, split, seed
        )
    return record


def analyse_method(config, stage, data, network, method, measured, split, seed):
    """Returns the part of the record that rests on one way to select."""
    common = config, data, network, method
    found = {}
    if "sharing" in config.experiments:
        found["sharing"] = stage(
            f"{method}_sharing",
            lambda: stages.sharing(*common, *measured(), seed),
        )
        found["permutations"] = stage(
            f"{method}_permutations",
            lambda: stages.permutation_test(*common, split, seed),
        )
    if "ablation" in config.experiments:
        found["ablation"] = [
            stage(
                f"{method}_class{label}",
                lambda label=label: stages.ablation(
                    *common, measured()[0], label, seed
                ),
            )
            for label in range(len(data.class_names))
        ]
    return found


def _stage(run, folder, name, function):
    return run.stage(f"{folder}/{name}", function)


def main(config):
    loaded = [load(name, config.score_images) for name in config.datasets]
    steps = len(config.seeds) * len(loaded) * config.network_steps
    with experiment.Run(config, "neuron_subselection", steps) as run:
        if config.stage == "figures":
            run.draw(findings.draw)
            return
        if config.dry_run or steps > experiment.LONG_RUN_STEPS:
            run.estimate(
                [
                    (
                        data.title,
                        untrained(config, data, 0),
                        functools.partial(
                            images.batches, data.train, config.batch_size, 0
                        ),
                        len(config.seeds) * config.network_steps,
                    )
                    for data in loaded
                ]
            )
        if config.dry_run:
            return
        records = [
            analyse(run, data, seed) for seed in config.seeds for data in loaded
        ]
        run.finish(records, findings.claims, findings.draw)


if __name__ == "__main__":
    experiment.run_main(Config, main)

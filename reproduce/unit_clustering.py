r"""Which units act alike? Clusters of maximal modularity (Lange et al., 2022).

Trains networks of two hidden layers under three kinds of regularisation,
clusters the units of each layer by eight measures of similarity, and compares
the clusters: sections 4.1 to 4.3; figures 3, 4 and S1 to S5.

python -m reproduce.unit_clustering \
    --flagfile=reproduce/flags/unit_clustering_demo.flags
"""

import dataclasses
import functools

import keras
import numpy as np
import tensorflow as tf

from reproduce.data import images
from reproduce.harness import experiment
from reproduce.lange2022 import figures, findings, stacked_mlp, stages

FIGURES = ("3", "4", "S1", "S2", "S3", "S4", "S5")
UNTRAINED_STACK = 25  # untrained networks a stage
EXAMPLES = 4  # matrices of figure 3


def _logspace(low, high, count):
    return tuple(float(f"{x:.4g}") for x in np.logspace(low, high, count))


@dataclasses.dataclass(frozen=True)
class Config(experiment.Config):
    """Every field is a flag; the defaults are the paper's values.

    The text gives neither optimiser nor batch size nor epochs: those here are
    of the authors' code, without its decay of the step on a plateau.
    """

    seeds: tuple[int, ...] = experiment.field(
        tuple(range(9)), "Seeds; one stack of networks each.", False
    )
    dataset: str = experiment.field("mnist", "mnist or digits.")
    l2: tuple[float, ...] = experiment.field(
        _logspace(-5, -1, 9), "L2 strengths, alone (Table 1)."
    )
    l1: tuple[float, ...] = experiment.field(
        _logspace(-5, -2, 7), "L1 strengths, with mild L2 (Table 1)."
    )
    dropout: tuple[float, ...] = experiment.field(
        tuple(round(0.05 * i, 2) for i in range(1, 15)),
        "Dropout rates, with mild L2 (Table 1).",
    )
    mild_l2: float = experiment.field(1e-5, "L2 beside L1 or dropout.")
    sizes: tuple[int, ...] = experiment.field((64, 64), "Hidden units, two.")
    untrained: int = experiment.field(500, "Networks without training.", False)
    batch_size: int = experiment.field(200, "Images a step.")
    network_steps: int = experiment.field(137_500, "Steps of the weights.")
    network_lr: float = experiment.field(1e-3, "Adam step of the weights.")
    log_steps: int = experiment.field(
        275, "Steps between points in TensorBoard; divides network_steps."
    )
    call_steps: int = experiment.field(
        25, "Steps of one compiled call; divides log_steps.", False
    )
    score_images: int = experiment.field(
        0, "Test images for scores and similarities; 0 for all."
    )
    min_accuracy: float = experiment.field(0.8, "Networks below are dropped.")
    search_steps: int = experiment.field(1000, "Monte Carlo steps.")
    subsample: float = experiment.field(
        0.05,
        "Share of matrices searched from one cluster as well (figure S2), and "
        "of pairs of clusterings with a permutation null.",
    )
    permutations: int = experiment.field(20, "Of a pair's null distribution.")

    def __post_init__(self):
        super().__post_init__()
        if self.dataset not in ("mnist", "digits"):
            raise ValueError(
                f"--dataset must be mnist or digits, got {self.dataset!r}."
            )
        for kind in findings.KINDS:
            values = getattr(self, kind)
            top = 1.0 if kind == "dropout" else np.inf
            if len(values) < 2 or not 0 < min(values) <= max(values) < top:
                raise ValueError(
                    f"--{kind} must be two or more positive strengths"
                    f"{' below 1' if kind == 'dropout' else ''}, got {values}."
                )
            if list(values) != sorted(set(values)):
                raise ValueError(f"--{kind} must rise, got {values}.")
        if not self.mild_l2 >= 0:
            raise ValueError(f"--mild_l2 must be >= 0, got {self.mild_l2}.")
        if len(self.sizes) != 2 or min(self.sizes) < 4:
            raise ValueError(
                f"--sizes must be two of at least 4 units, got {self.sizes}."
            )
        for name in ("min_accuracy", "subsample"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"--{name} must be in [0, 1], got {getattr(self, name)}."
                )
        for name, least in (("untrained", 2), ("permutations", 1)):
            if getattr(self, name) < least:
                raise ValueError(
                    f"--{name} must be at least {least}, got "
                    f"{getattr(self, name)}."
                )
        if self.score_images < 0:
            raise ValueError(
                f"--score_images must be >= 0, got {self.score_images}."
            )
        for whole, part in (
            ("network_steps", "log_steps"),
            ("log_steps", "call_steps"),
        ):
            if getattr(self, whole) % getattr(self, part):
                raise ValueError(
                    f"--{whole}={getattr(self, whole)} must be a multiple of "
                    f"--{part}={getattr(self, part)}."
                )

    def settings(self):
        """Returns Table 1: pairs of a kind and a strength."""
        return [
            (kind, strength)
            for kind in findings.KINDS
            for strength in getattr(self, kind)
        ]


def untrained(config, data, settings, seed, metrics=()):
    """Returns a compiled stack of one network for each setting.

    Args:
        config: `Config`.
        data: `ImageData`.
        settings: Pairs of a kind and a strength.
        seed: Int.
        metrics: Keras metrics.
    """
    strengths = {
        kind: [strength if own == kind else 0.0 for own, strength in settings]
        for kind in findings.KINDS
    }
    strengths["l2"] = [
        strength if kind == "l2" else config.mild_l2
        for kind, strength in settings
    ]
    stack = stacked_mlp.build(
        data.train.images.shape[1:],
        config.sizes,
        len(data.class_names),
        **strengths,
        seed=seed,
    )
    stack.compile(
        keras.optimizers.Adam(config.network_lr, epsilon=1e-8),
        stacked_mlp.StackedCrossentropy(),
        metrics=list(metrics),
        steps_per_execution=config.call_steps,
        jit_compile=config.jit_compile,
    )
    return stack


class _AccuracyOfSettings(keras.callbacks.Callback):
    """Writes the training accuracy of every setting for TensorBoard."""

    def __init__(self, folder, settings, metric):
        super().__init__()
        self._writer = tf.summary.create_file_writer(str(folder))
        self._settings, self._metric = settings, metric

    def on_epoch_end(self, epoch, logs=None):
        values = self._metric.per_network().numpy()
        with self._writer.as_default(step=epoch):
            for (kind, strength), value in zip(
                self._settings, values, strict=True
            ):
                tf.summary.scalar(f"accuracy_{kind}/{strength:.3g}", value)


def train(run, data, seed, stage):
    """Returns the trained stack of one seed."""
    config, settings = run.config, run.config.settings()
    accuracy = stacked_mlp.StackedAccuracy(len(settings))
    seeds = [
        experiment.derive_seed(seed, use) for use in ("weights", "batches")
    ]
    stack = untrained(config, data, settings, seeds[0], [accuracy])
    batches = functools.partial(
        images.batches, data.train, config.batch_size, seeds[1]
    )
    logger = _AccuracyOfSettings(
        run.folder / "logs" / stage, settings, accuracy
    )
    run.fit(
        stage,
        stack,
        batches,
        config.network_steps,
        config.log_steps,
        callbacks=[logger],
    )
    return stack


def analyse_seed(run, data, seed):
    """Trains and analyses one network for each setting; returns the records."""
    config, settings = run.config, run.config.settings()
    stage = f"seed{seed}/networks"
    stack = run.stage(
        stage, lambda: train(run, data, seed, stage), config.network_steps
    )
    rates = [i for i, (kind, _) in enumerate(settings) if kind == "dropout"]
    few = np.linspace(0, len(rates) - 1, EXAMPLES).round().astype(int)
    found = run.stage(
        f"seed{seed}/analysis",
        lambda: stages.analyse(
            config,
            data.test,
            stacked_mlp.weights(stack),
            experiment.derive_seed(seed, "analysis"),
            config.min_accuracy,
            [rates[i] for i in few],
        ),
    )
    return [
        {"seed": seed, "kind": kind, "strength": strength, **record}
        for (kind, strength), record in zip(settings, found, strict=True)
    ]


def analyse_untrained(run, data):
    """Returns the records of the networks that are not trained."""
    config, records = run.config, []
    for start in range(0, config.untrained, UNTRAINED_STACK):
        stop = min(start + UNTRAINED_STACK, config.untrained)
        seed = experiment.derive_seed(start, "untrained")

        def analyse(seed=seed, count=stop - start):
            stack = untrained(config, data, [("l2", 0.0)] * count, seed)
            networks = stacked_mlp.weights(stack)
            return stages.analyse(config, data.test, networks, seed)

        records += run.stage(f"untrained/{start}to{stop}", analyse)
    return records


def estimate(run, data):
    """Prints how long training and analysis will take."""
    config, settings = run.config, run.config.settings()
    seeds = len(config.seeds)
    stack = untrained(config, data, settings, 0)
    batches = functools.partial(
        images.batches, data.train, config.batch_size, 0
    )
    networks = seeds * len(settings) + config.untrained
    run.estimate(
        [
            (
                f"{len(settings)} networks, {config.call_steps} at a time",
                stack,
                lambda start, stop: batches(
                    start * config.call_steps, stop * config.call_steps
                ),
                seeds * config.network_steps // config.call_steps,
            ),
            (
                "networks analysed",
                _Analysis(config, data, stack),
                range,
                networks,
            ),
        ]
    )


class _Analysis:
    """The analysis of a few networks, to be timed like a model's `fit`."""

    def __init__(self, config, data, stack):
        self._config, self._data = config, data
        self._networks = stacked_mlp.weights(stack)

    def fit(self, indices, **_):
        few = [self._networks[i % len(self._networks)] for i in indices]
        stages.analyse(self._config, self._data.test, few, seed=0)


def main(config):
    seeds, settings = config.seeds, config.settings()
    steps = len(seeds) * config.network_steps
    with experiment.Run(config, "unit_clustering", steps) as run:
        if config.stage == "figures":
            run.draw(figures.draw)
            return
        data = images.load(config.dataset)
        if config.dry_run or steps > experiment.LONG_RUN_STEPS:
            estimate(run, data)
        if config.dry_run:
            return
        networks = [r for seed in seeds for r in analyse_seed(run, data, seed)]
        examples = []  # figure 3 shows those of the first seed
        for record in networks:
            example = record.pop("example", None)
            if example and record["seed"] == seeds[0]:
                examples.append({"strength": record["strength"], **example})
        records = {
            "data": data.title,
            "settings": settings,
            "min_accuracy": config.min_accuracy,
            "networks": networks,
            "untrained": analyse_untrained(run, data),
            "examples": examples,
        }
        run.finish(records, findings.claims, figures.draw)


if __name__ == "__main__":
    experiment.run_main(Config, main)

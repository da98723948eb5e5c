"""Trains and analyzes networks of Table 1: stages of unit_clustering."""

import dataclasses
import functools

import keras
import numpy as np
import tensorflow as tf

from reproduce.data import images
from reproduce.lange2022 import analysis, stacked_mlp
from reproduce.lange2022.summaries import KINDS
from reproduce.publishing.records import mean, without_nan
from reproduce.running import configuration, training
from reproduce.running.configuration import field

UNTRAINED_STACK = 25  # untrained networks a stage
EXAMPLES = 4  # matrices of figure 3
# Of each layer, in the records.
UNTRAINED = ("q", "clusters")
SAMPLED = ("one_cluster", "null")  # left out where they are empty
TRAINED = (*UNTRAINED, "q_spectral", "q_restarts", *SAMPLED)


def _logspace(low, high, count):
    return tuple(float(f"{x:.4g}") for x in np.logspace(low, high, count))


@dataclasses.dataclass(frozen=True)
class Config(configuration.Config):
    """Every field is a flag; the defaults are the paper's values.

    The text gives neither optimizer nor batch size nor epochs: those here are
    of the authors' code, without its decay of the step on a plateau.
    """

    seeds: tuple[int, ...] = field(
        tuple(range(9)),
        "Seeds; for each, one network of every setting is trained.",
        part=True,
        at_least=0,
        less_than=2**31,
        distinct=True,
    )
    dataset: str = field(
        "mnist", "Data set of images.", one_of=("mnist", "digits")
    )
    l2: tuple[float, ...] = field(
        _logspace(-5, -1, 9),
        "Strengths of L2 where it is alone (Table 1).",
        above=0,
    )
    l1: tuple[float, ...] = field(
        _logspace(-5, -2, 7),
        "Strengths of L1, with mild L2 beside it (Table 1).",
        above=0,
    )
    dropout: tuple[float, ...] = field(
        tuple(round(0.05 * i, 2) for i in range(1, 15)),
        "Dropout rates, with mild L2 beside them (Table 1).",
        above=0,
        less_than=1,
    )
    mild_l2: float = field(
        1e-5, "Strength of L2 beside L1 or dropout.", at_least=0
    )
    sizes: tuple[int, ...] = field(
        (64, 64), "Units of the two hidden layers.", at_least=4
    )
    untrained: int = field(
        500, "Number of networks that are not trained.", part=True, at_least=2
    )
    batch_size: int = field(200, "Images in a training step.", at_least=1)
    network_steps: int = field(
        137_500,
        "Training steps of each network.",
        at_least=1,
        multiple_of="log_steps",
    )
    network_lr: float = field(
        1e-3, "Learning rate of Adam for the weights of a network.", above=0
    )
    log_steps: int = field(
        275,
        "Steps between two points in TensorBoard; must divide --network_steps.",
        at_least=1,
    )
    call_steps: int = field(
        25,
        "Training steps of one compiled call; must divide --log_steps and "
        "--network_steps.",
        names_run=False,
        at_least=1,
    )
    score_images: int = field(
        0,
        "Number of test images for scores and similarities; 0 for all.",
        at_least=0,
    )
    min_accuracy: float = field(
        0.8,
        "Networks with a lower accuracy are dropped.",
        at_least=0,
        at_most=1,
    )
    search_steps: int = field(
        1000, "Monte Carlo steps of the search for clusters.", at_least=1
    )
    restarts: int = field(
        10,
        "Restarts of a second, better search for Q beside that of the "
        "paper; 0 for no such search.",
        at_least=0,
    )
    subsample: float = field(
        0.05,
        "Share of matrices searched from one cluster as well (figure S2), and "
        "of pairs of clusterings with a permutation null.",
        at_least=0,
        at_most=1,
    )
    permutations: int = field(
        20, "Permutations for the null of a pair of clusterings.", at_least=1
    )

    def __post_init__(self):
        super().__post_init__()
        for kind in KINDS:
            values = getattr(self, kind)
            if len(values) < 2 or list(values) != sorted(set(values)):
                raise ValueError(
                    f"--{kind} must be two strengths or more that rise, got "
                    f"{','.join(map(str, values))}."
                )
        if len(self.sizes) != 2:
            raise ValueError(
                f"--sizes must be two numbers, got {len(self.sizes)}."
            )
        if self.score_images == 1:
            raise ValueError("--score_images must be 0 or at least 2, got 1.")
        for name in ("log_steps", "network_steps"):
            # `multiple_of` would allow fewer steps than one call makes.
            steps = getattr(self, name)
            if steps % self.call_steps:
                raise ValueError(
                    f"--{name} must be a multiple of --call_steps="
                    f"{self.call_steps}, got {steps}."
                )

    def settings(self):
        """Returns Table 1: pairs of a kind and a strength."""
        return [
            (kind, strength)
            for kind in KINDS
            for strength in getattr(self, kind)
        ]


def plan(run):
    """Plans a stack of networks a seed, and some untrained; returns records."""
    config = run.config
    data = images.load_once(config.dataset)
    if config.score_images > len(data.test.labels):
        raise ValueError(
            f"--score_images={config.score_images} must be at most "
            f"{len(data.test.labels)}: {config.dataset} has no more to test on."
        )
    analyses = [plan_seed(run, data, seed) for seed in config.seeds]
    untrained = [
        plan_untrained(run, data, start)
        for start in range(0, config.untrained, UNTRAINED_STACK)
    ]
    return {
        "data": data.title,
        "settings": config.settings(),
        "min_accuracy": config.min_accuracy,
        "networks": run.combine(describe, config, analyses),
        "untrained": run.combine(number_stacks, untrained),
        "examples": run.combine(find_examples, config, analyses[0]),
    }


def plan_seed(run, data, seed):
    """Plans a network for each setting, and the stage that analyzes them."""
    stack = run.stage(
        f"seed{seed}/networks",
        train_networks,
        data,
        seed=seed,
        steps=run.config.network_steps,
        phase="networks",
    )
    return run.stage(
        f"seed{seed}/analysis",
        analyze_networks,
        data,
        stack,
        seed=seed,
        steps=len(run.config.settings()),
        phase="analysis",
    )


def plan_untrained(run, data, start):
    """Plans the analysis of some networks that are not trained."""
    stop = min(start + UNTRAINED_STACK, run.config.untrained)
    return run.stage(
        f"untrained/{start}to{stop}",
        analyze_untrained,
        data,
        stop - start,
        seed=start,
        steps=stop - start,
        phase="analysis",
    )


def describe(config, analyses):
    """Returns the records of all trained networks, seed by seed."""
    return [
        {
            "seed": seed,
            "kind": kind,
            "strength": strength,
            **thinned(record, TRAINED),
        }
        for seed, found in zip(config.seeds, analyses, strict=True)
        for (kind, strength), record in zip(
            config.settings(), found, strict=True
        )
    ]


def number_stacks(analyses):
    """Returns the records of all untrained networks; a stack is a repeat."""
    return [
        {"stack": stack, **thinned(record, UNTRAINED)}
        for stack, found in enumerate(analyses)
        for record in found
    ]


def thinned(record, keys):
    """Returns what figures and claims need of a network.

    Args:
        record: Dict of what was measured on it.
        keys: What to keep of each layer. Agreements are means over layers, Q
            of the search with restarts one over measures.
    """
    found = {key: value for key, value in record.items() if key != "example"}
    if "layers" in found:
        layers = [
            {key: each[key] for key in keys if each[key] or key not in SAMPLED}
            for each in found["layers"]
        ]
        for layer in layers:
            layer["clusters"] = _means([layer["clusters"]], 2)
            if "q_restarts" in layer:
                layer["q_restarts"] = _means(np.c_[layer["q_restarts"]], 5)
        agreements = [layer["agreement"] for layer in found["layers"]]
        found["agreement"] = _means(agreements, 3)
        found["layers"] = layers
    return found


def _means(rows, decimals):
    """Returns the mean of the rows, rounded, `None` where none is known."""
    return without_nan(mean(rows, 0).round(decimals).tolist())


def find_examples(config, records):
    """Returns the matrices of figure 3, which are of one seed.

    Of a matrix there is what lies below the diagonal, row by row, in percent.
    """

    def percent(matrix):
        rows = np.round(100 * np.array(matrix)).astype(int).tolist()
        return [row[:i] for i, row in enumerate(rows)]

    return [
        {
            "strength": strength,
            **record["example"],
            "matrix": percent(record["example"]["matrix"]),
        }
        for (_, strength), record in zip(
            config.settings(), records, strict=True
        )
        if "example" in record
    ]


def train_networks(stage, data):
    """Returns the trained stack of one seed, a network for each setting."""
    config, settings = stage.config, stage.config.settings()
    accuracy = stacked_mlp.StackedAccuracy(len(settings))
    return stage.fit(
        untrained(
            config, data, settings, stage.derive_seed("weights"), [accuracy]
        ),
        functools.partial(
            images.batches,
            data.train,
            config.batch_size,
            stage.derive_seed("batches"),
        ),
        config.network_steps,
        config.log_steps,
        callbacks=[_AccuracyOfSettings(stage.log_dir, settings, accuracy)],
    )


def analyze_networks(stage, data, stack):
    """Returns scores and clusters of the trained networks of one seed."""
    config = stage.config
    rates = [
        i for i, (kind, _) in enumerate(config.settings()) if kind == "dropout"
    ]
    few = np.linspace(0, len(rates) - 1, EXAMPLES).round().astype(int)
    return analysis.analyze(
        config,
        data.test,
        stacked_mlp.weights(stack),
        stage.derive_seed("analysis"),
        config.min_accuracy,
        [rates[i] for i in few],
    )


def analyze_untrained(stage, data, count):
    """Returns scores and clusters of so many networks without training."""
    config, seed = stage.config, stage.derive_seed("untrained")
    stack = untrained(config, data, [("l2", 0.0)] * count, seed)
    return analysis.analyze(config, data.test, stacked_mlp.weights(stack), seed)


def untrained(config, data, settings, seed, metrics=()):
    """Returns a compiled stack of one network for each setting.

    Args:
        config: `Config`.
        data: `images.ImageData`.
        settings: Pairs of a kind and a strength.
        seed: Int.
        metrics: Keras metrics.
    """
    strengths = {
        kind: [strength if own == kind else 0.0 for own, strength in settings]
        for kind in KINDS
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


def phases(config):
    """Returns what the estimate times: training a stack, analyzing networks."""
    data = images.load_once(config.dataset)
    stack = untrained(config, data, config.settings(), seed=0)
    networks = stacked_mlp.weights(stack)

    def train(calls):
        steps = calls * config.call_steps
        batches = images.batches(data.train, config.batch_size, 0, 0, steps)
        stack.fit(batches, shuffle=False, verbose=0)

    def analyze(count):
        few = [networks[i % len(networks)] for i in range(count)]
        analysis.analyze(config, data.test, few, seed=0)

    return {
        "networks": training.Phase(train, unit=config.call_steps),
        "analysis": training.Phase(analyze),
    }


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

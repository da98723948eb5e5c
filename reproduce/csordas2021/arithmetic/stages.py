"""Networks that calculate, and the masks of their tasks: what is trained.

The experiments `add_mul`, `double_add`, `mask_sensitivity` and
`mask_stability` plan these stages; their configurations extend `Config`.
"""

import dataclasses
import functools
from collections.abc import Iterable, Mapping

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from modularity_tf import WeightMask
from modularity_tf.findings import overlap
from reproduce.csordas2021 import mask_training, sharing
from reproduce.csordas2021.arithmetic import data, networks
from reproduce.csordas2021.arithmetic.data import FULL
from reproduce.csordas2021.mask_training import AGAIN, plan, plan_mask
from reproduce.csordas2021.subject import Settings, Subject, adam
from reproduce.publishing import records
from reproduce.running import configuration
from reproduce.running.run import Run
from reproduce.running.stage import Stage

Problem = data.AddMul | data.DoubleAdd
field = configuration.field


@dataclasses.dataclass(frozen=True)
class Config(mask_training.Config):
    """Every field is a flag; the defaults are the paper's values."""

    network: str = field("fnn", "Kind of network.", one_of=("fnn", "lstm"))
    digits: int = field(2, "Decimal digits of a number.", at_least=1, at_most=3)
    sizes: tuple[int, ...] = field(
        networks.SIZES["big"],
        "Units of the FNN's hidden layers.",
        at_least=1,
    )
    hidden_size: int = field(256, "Units of each LSTM layer.", at_least=1)
    lstm_layers: int = field(2, "Layers of the LSTM.", at_least=1)
    mask_lr: float = field(
        1e-2, "Learning rate of Adam for the logits of a mask.", above=0
    )
    held_out_fraction: float = field(
        0.0,
        "Share of the pairs of operands that is held out for tests.",
        at_least=0,
        less_than=1,
    )

    def __post_init__(self):
        super().__post_init__()
        fitted, held_out = operands(self, 0)
        if self.held_out_fraction and not (len(fitted) and len(held_out)):
            raise ValueError(
                f"--held_out_fraction={self.held_out_fraction} of "
                f"{100**self.digits} pairs leaves {len(fitted)} to train on "
                f"and {len(held_out)} to test."
            )


def operands(config: Config, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the pairs to train on and those held out."""
    seed = configuration.derive_seed(seed, "held out")
    return data.operand_pairs(config.digits, config.held_out_fraction, seed)


def subject_of(
    config: Config,
    seed: int,
    name: str,
    sizes: tuple[int, ...],
    presentation: str | None = None,
) -> Subject[Problem]:
    """Returns a network that calculates.

    Its tasks are those of the problem, and `FULL`, all of them.

    Args:
        config: `Config`.
        seed: Int, the repeat, which may hold out other pairs.
        name: Str, the folder of its stages.
        sizes: Ints, the hidden layers of a feedforward network.
        presentation: Str, how `DoubleAdd` presents its pairs; `None` for
            `AddMul`.
    """
    pairs, _ = operands(config, seed)
    if presentation:
        problem = data.DoubleAdd(config.digits, pairs, presentation)
    else:
        problem = data.AddMul(config.digits, pairs)

    def asked(task):
        return None if task == FULL else task

    return Subject(
        name=name,
        folder=f"{name}/seed{seed}",
        seed=seed,
        settings=Settings.of(config),
        data=problem,
        build=functools.partial(
            build,
            config,
            problem,
            sizes,
            configuration.derive_seed(seed, "network"),
        ),
        optimizer=functools.partial(adam, config.network_lr),
        loss=keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, ignore_class=data.NOT_ASKED
        ),
        metrics=(all_digits_right,),
        roles="kernels",  # biases are not masked
        batches=lambda task: functools.partial(
            data.batches, problem, task=asked(task)
        ),
        performance=lambda model: mean(accuracies(model, problem)),
        curves=lambda task: data.batches(
            problem, 500, 0, 0, 2, task=asked(task)
        ),
        whole=FULL,
    )


def build(
    config: Config, problem: Problem, sizes: tuple[int, ...], seed: int
) -> keras.Model:
    """Returns the untrained network for a problem."""
    inputs, labels = problem.every(problem.tasks[0], problem.pairs[:1])
    features, digits = inputs.shape[-1], labels.shape[1]
    if config.network == "fnn":
        return networks.fnn(features, digits, sizes, seed)
    return networks.lstm(
        features,
        digits,
        inputs.shape[1] if len(inputs.shape) == 3 else None,
        config.hidden_size,
        config.lstm_layers,
        seed=seed,
    )


def plan_network(run: Run, subject: Subject[Problem]) -> tuple[Stage, Stage]:
    """Plans the network of a subject and its scores; returns both stages."""
    network = mask_training.plan_network(run, subject)
    return network, plan(run, subject, "scores_dense", score, network)


def plan_record(
    run: Run, subject: Subject[Problem], **more: object
) -> tuple[Stage, Stage, dict[str, Stage]]:
    """Plans all that figures of both experiments show of a repeat.

    Args:
        run: `Run`.
        subject: `Subject`.
        **more: Further entries of the record.

    Returns:
        The record to be, the network's stage and a dict of the masks'.
    """
    tasks = subject.data.tasks
    network, dense = plan_network(run, subject)
    search, alpha = mask_training.plan_search(
        run, subject, network, run.combine(mean, dense)
    )
    masks = {
        task: plan_mask(run, subject, network, task, task, alpha)
        for task in (FULL, *tasks)
    }
    again = {
        task: plan_mask(run, subject, network, task + AGAIN, task, alpha)
        for task in tasks
    }
    applied = {
        **masks,
        **{
            f"not {t}": run.combine(WeightMask.__invert__, masks[t])
            for t in tasks
        },
    }
    accuracy = {
        name: plan(
            run,
            subject,
            f"scores_{name.replace(' ', '_')}",
            score,
            network,
            mask,
        )
        for name, mask in applied.items()
    }
    if run.config.held_out_fraction:
        more["held_out"] = plan(
            run, subject, "scores_held_out", score_held_out, network
        )
    record = {
        "seed": subject.seed,
        "digits": subject.data.digits,
        "alpha_search": search,
        "dense": dense,
        "accuracy": accuracy,
        **more,
    }
    record = run.combine(complete, subject, record, masks, again)
    return record, network, masks


def complete(
    subject: Subject[Problem],
    record: dict,
    masks: Mapping[str, WeightMask],
    again: Mapping[str, WeightMask],
) -> dict:
    """Returns a record with what it has of the masks.

    Args:
        subject: `Subject`.
        record: Dict.
        masks: Dict from task to `WeightMask`.
        again: The same, from another seed.
    """
    tasks = {task: masks[task].values for task in subject.data.tasks}
    found = {
        **record,
        "beta": subject.settings.found_beta(record["alpha_search"]),
        "layers": [layer_name(path) for path in masks[FULL].values],
        "kept": {
            task: [int(value.sum()) for value in mask.values.values()]
            for task, mask in masks.items()
        },
        "keep_fraction": {t: m.keep_fraction for t, m in masks.items()},
        "sharing": {
            task: [
                {
                    "share": both.share,
                    "expected": both.expected_share,
                    "ceiling": twice[layer].share,
                    "jaccard": both.jaccard,
                }
                for layer, both in sharing.with_total(found).items()
            ]
            for task, found in sharing.sharing_with_others(tasks).items()
            for twice in [
                sharing.with_total(
                    overlap.between(tasks[task], again[task].values)
                )
            ]
        },
        "excess": dataclasses.asdict(sharing.excess(tasks)),
    }
    return records.without_nan(found)


def layer_name(path: str) -> str:
    """Returns a weight's name for a figure: its layer, and if recurrent."""
    layer = path.split("/")[0]
    return f"{layer} recurrent" if "recurrent" in path else layer


def score(
    stage: Stage,
    subject: Subject[Problem],
    network: keras.Model,
    mask: WeightMask | None = None,
    task: str | None = None,
) -> dict[str, float]:
    """Returns the accuracy of a network, or of what a mask leaves of it.

    Returns:
        Dict from task to float; of one task if it is given.
    """
    model = mask.apply(network) if mask else network
    return accuracies(model, subject.data, (task,) if task else None)


def score_held_out(
    stage: Stage, subject: Subject[Problem], network: keras.Model
) -> dict[str, float]:
    """Returns the accuracy on the pairs that were held out."""
    _, held_out = operands(stage.config, stage.seed)
    return accuracies(network, subject.data, pairs=held_out)


def accuracies(
    model: keras.Model,
    problem: Problem,
    tasks: Iterable[str] | None = None,
    pairs: np.ndarray | None = None,
) -> dict[str, float]:
    """Returns the accuracy on each task, a dict."""
    return {
        task: accuracy(model, problem, task, pairs)
        for task in tasks or problem.tasks
    }


def accuracy(
    model: keras.Model,
    problem: Problem,
    task: str,
    pairs: np.ndarray | None = None,
) -> float:
    """Returns the share of the pairs that a model answers right."""
    inputs, labels = problem.every(task, pairs)
    asked = labels != data.NOT_ASKED
    right = mask_training.predict(model, inputs) == labels
    return float(np.mean(np.all(right | ~asked, axis=-1)))


def mean(scores: Mapping[str, float]) -> float:
    """Returns the mean of a dict of scores."""
    return float(np.mean([*scores.values()]))


@keras.saving.register_keras_serializable(package="reproduce")
def all_digits_right(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Returns whether every digit that was asked for is right, 0 or 1."""
    labels = ops.cast(labels, "int32")
    right = ops.equal(ops.cast(ops.argmax(logits, -1), "int32"), labels)
    right = ops.logical_or(right, labels == data.NOT_ASKED)
    return ops.cast(ops.all(right, axis=-1), "float32")

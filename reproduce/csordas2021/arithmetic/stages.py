"""Networks that calculate, and the masks of their tasks: what is trained.

The experiments `add_mul`, `double_add` and `mask_sensitivity` plan these
stages; they all take the `Config` below.
"""

import dataclasses
import functools
import operator
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from modularity_tf.findings import overlap
from reproduce.csordas2021 import mask_training, sharing
from reproduce.csordas2021.arithmetic import data, networks
from reproduce.csordas2021.arithmetic.data import FULL
from reproduce.csordas2021.mask_training import AGAIN
from reproduce.publishing import records
from reproduce.running import configuration, training

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


class Subject(NamedTuple):
    """Which network learns which problem: what its stages have in common.

    Attributes:
        name: Str, the folder of its stages.
        problem: "add_mul", or how `DoubleAdd` presents its pairs.
        sizes: Ints, the hidden layers of a feedforward network.
    """

    name: str
    problem: str
    sizes: tuple

    @property
    def same_function(self):
        """Bool. Whether the tasks are the same function on other inputs."""
        return self.problem != "add_mul"

    @property
    def tasks(self):
        """The names of the tasks."""
        if self.same_function:
            return data.DoubleAdd.tasks
        return data.AddMul.tasks


def operands(config, seed):
    """Returns the pairs to train on and those held out."""
    seed = configuration.derive_seed(seed, "held out")
    return data.operand_pairs(config.digits, config.held_out_fraction, seed)


def make_problem(config, subject, seed):
    """Returns the problem with the pairs that a repeat trains on."""
    pairs, _ = operands(config, seed)
    if subject.same_function:
        return data.DoubleAdd(config.digits, pairs, subject.problem)
    return data.AddMul(config.digits, pairs)


def plan_stage(run, subject, seed, what, function, *needs, **kwargs):
    """Plans a stage in the folder of a subject's repeat."""
    name = f"{subject.name}/seed{seed}/{what}"
    return run.stage(name, function, subject, *needs, seed=seed, **kwargs)


def plan_network(run, subject, seed):
    """Plans the network of a subject and its scores; returns both stages."""
    network = plan_stage(
        run,
        subject,
        seed,
        "network",
        train_network,
        steps=run.config.network_steps,
        phase=f"{subject.name}: network",
    )
    return network, plan_stage(
        run, subject, seed, "scores_dense", score, network
    )


def plan_mask(run, subject, seed, network, task, alpha=None, name=None):
    """Plans the mask of a task, or of all (`FULL`).

    Args:
        run: `Run`.
        subject: `Subject`.
        seed: Int, the repeat.
        network: `Stage`.
        task: Str.
        alpha: Float or `Stage`, the penalty; `None` for the configuration's.
        name: Str, of the stage.
    """
    return plan_stage(
        run,
        subject,
        seed,
        name or f"mask_{task}",
        train_mask,
        network,
        task,
        alpha,
        steps=run.config.mask_steps,
        phase=f"{subject.name}: masks",
    )


def plan_record(run, subject, seed, **more):
    """Plans all that figures of both experiments show of a repeat.

    Args:
        run: `Run`.
        subject: `Subject`.
        seed: Int, the repeat.
        **more: Further entries of the record.

    Returns:
        The record to be, the network's stage and a dict of the masks'.
    """
    config, stage = (
        run.config,
        functools.partial(plan_stage, run, subject, seed),
    )
    network, dense = plan_network(run, subject, seed)
    search = alpha = None
    if config.find_beta:
        search = stage("alpha_search", find_alpha, network, dense)
        alpha = run.combine(operator.itemgetter("alpha"), search)
    masks = {
        task: plan_mask(run, subject, seed, network, task, alpha)
        for task in (FULL, *subject.tasks)
    }
    again = {
        task: plan_mask(
            run, subject, seed, network, task, alpha, f"mask_{task}{AGAIN}"
        )
        for task in subject.tasks
    }
    applied = {
        **masks,
        **{
            f"not {task}": run.combine(operator.invert, masks[task])
            for task in subject.tasks
        },
    }
    accuracy = {
        name: stage(f"scores_{name.replace(' ', '_')}", score, network, mask)
        for name, mask in applied.items()
    }
    if config.held_out_fraction:
        more["held_out"] = stage("scores_held_out", score_held_out, network)
    record = {
        "seed": seed,
        "digits": config.digits,
        "alpha_search": search,
        "dense": dense,
        "accuracy": accuracy,
        **more,
    }
    record = run.combine(complete, config, subject, record, masks, again)
    return record, network, masks


def complete(config, subject, record, masks, again):
    """Returns a record with what it has of the masks.

    Args:
        config: `Config`.
        subject: `Subject`.
        record: Dict.
        masks: Dict from task to `WeightMask`.
        again: The same, from another seed.
    """
    search = record["alpha_search"]
    tasks = {task: masks[task].values for task in subject.tasks}
    found = {
        **record,
        "beta": search["alpha"] * config.mask_batch_size
        if search
        else config.beta,
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
        "excess": dataclasses.asdict(
            sharing.overlap_of_repeats([tuple(tasks.values())])
            if subject.same_function
            else sharing.overlap_of_functions(tasks)
        ),
    }
    return records.without_nan(found)


def layer_name(path):
    """Returns a weight's name for a figure: its layer, and if recurrent."""
    layer = path.split("/")[0]
    return f"{layer} recurrent" if "recurrent" in path else layer


def train_network(stage, subject):
    """Returns the trained network."""
    problem = make_problem(stage.config, subject, stage.seed)
    return mask_training.train_network(
        stage,
        untrained(stage.config, subject, problem, stage.derive_seed("network")),
        functools.partial(data.batches, problem),
        validation_data=curve_batches(problem, None),
    )


def train_mask(stage, subject, network, task, alpha):
    """Returns the mask that keeps what a task needs, or all (`FULL`)."""
    problem = make_problem(stage.config, subject, stage.seed)
    asked = None if task == FULL else task
    return mask_training.train_mask(
        stage,
        masked(stage.config, network),
        functools.partial(data.batches, problem, task=asked),
        alpha,
        validation_data=curve_batches(problem, asked),
    )


def find_alpha(stage, subject, network, dense):
    """Returns an `AlphaSearch` as a dict: masks of all tasks."""
    problem = make_problem(stage.config, subject, stage.seed)

    def performance(mask):
        return np.mean([*accuracies(mask.apply(network), problem).values()])

    return mask_training.find_alpha(
        stage,
        lambda substage, alpha: train_mask(
            substage, subject, network, FULL, alpha
        ),
        performance,
        np.mean([*dense.values()]),
    )


def score(stage, subject, network, mask=None, task=None):
    """Returns the accuracy of a network, or of what a mask leaves of it.

    Returns:
        Dict from task to float; of one task if it is given.
    """
    problem = make_problem(stage.config, subject, stage.seed)
    model = mask.apply(network) if mask else network
    return accuracies(model, problem, (task,) if task else problem.tasks)


def score_held_out(stage, subject, network):
    """Returns the accuracy on the pairs that were held out."""
    problem = make_problem(stage.config, subject, stage.seed)
    _, held_out = operands(stage.config, stage.seed)
    return accuracies(network, problem, pairs=held_out)


def accuracies(model, problem, tasks=None, pairs=None):
    """Returns the accuracy on each task, a dict."""
    return {
        task: accuracy(model, problem, task, pairs)
        for task in tasks or problem.tasks
    }


def accuracy(model, problem, task, pairs=None):
    """Returns the share of the pairs that a model answers right."""
    inputs, labels = problem.every(task, pairs)
    asked = labels != data.NOT_ASKED
    right = mask_training.predict(model, inputs) == labels
    return float(np.mean(np.all(right | ~asked, axis=-1)))


def untrained(config, subject, problem, seed):
    """Returns the compiled, untrained network for a problem."""
    inputs, labels = problem.every(problem.tasks[0], problem.pairs[:1])
    num_digits = labels.shape[1]
    if config.network == "fnn":
        network = networks.fnn(
            inputs.shape[-1], num_digits, subject.sizes, seed
        )
    else:
        network = networks.lstm(
            inputs.shape[-1],
            num_digits,
            inputs.shape[1] if len(inputs.shape) == 3 else None,
            config.hidden_size,
            config.lstm_layers,
            seed=seed,
        )
    return mask_training.compile_network(config, network, **task_loss())


@training.keep_last
def masked(config, network):
    """Returns the compiled masked network; biases are not masked."""
    return mask_training.compile_masked(
        config, network, "kernels", **task_loss()
    )


def task_loss():
    """Returns what both `compile` calls have in common."""
    return {
        "loss": keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, ignore_class=data.NOT_ASKED
        ),
        "metrics": [all_digits_right],
    }


@keras.saving.register_keras_serializable(package="reproduce")
def all_digits_right(labels, logits):
    """Returns whether every digit that was asked for is right, 0 or 1."""
    labels = ops.cast(labels, "int32")
    right = ops.equal(ops.cast(ops.argmax(logits, -1), "int32"), labels)
    right = ops.logical_or(right, labels == data.NOT_ASKED)
    return ops.cast(ops.all(right, axis=-1), "float32")


def curve_batches(problem, task):
    """Returns the random examples of the curves in TensorBoard."""
    return data.batches(problem, 500, 0, 0, 2, task=task)


def phases(config, subjects):
    """Returns what the estimate times: each network, and a mask over it."""
    found = {}
    for subject in subjects:
        problem = make_problem(config, subject, 0)
        network = untrained(config, subject, problem, 0)
        model = mask_training.compile_masked(
            config, network, "kernels", **task_loss()
        )
        batches = functools.partial(data.batches, problem)
        for what, trained, size in (
            ("network", network, config.batch_size),
            ("masks", model, config.mask_batch_size),
        ):
            found[f"{subject.name}: {what}"] = training.phase(
                trained, functools.partial(batches, size, 0)
            )
    return found

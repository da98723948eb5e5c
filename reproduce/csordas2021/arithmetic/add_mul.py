"""Trains networks to add and multiply: flags and stages of add_mul."""

import dataclasses
import operator

import keras
import numpy as np

from modularity_tf import WeightMask
from reproduce.csordas2021 import mask_training
from reproduce.csordas2021.arithmetic import data, stages
from reproduce.csordas2021.arithmetic.data import FULL
from reproduce.csordas2021.subject import Subject
from reproduce.running import training
from reproduce.running.run import Run
from reproduce.running.stage import Stage

TASKS = data.AddMul.tasks


@dataclasses.dataclass(frozen=True)
class Config(stages.Config):
    """Every field is a flag; the defaults are the paper's values."""


def plan(run: Run) -> list[Stage]:
    """Plans all networks and masks; returns the records to be."""
    return [
        plan_repeat(run, subject_of(run.config, seed))
        for seed in run.config.seeds
    ]


def subject_of(config: Config, seed: int) -> Subject[data.AddMul]:
    """Returns the one network of a repeat."""
    return stages.subject_of(config, seed, config.network, config.sizes)


def plan_repeat(run: Run, subject: Subject[data.AddMul]) -> Stage:
    """Plans the stages of one seed; returns the record to be."""
    record, network, masks = stages.plan_record(run, subject)
    performed = {
        task: mask_training.plan(
            run,
            subject,
            f"performed_{task}",
            tell_operations,
            network,
            masks[task],
        )
        for task in (FULL, *TASKS)
    }
    more = {"network": run.config.network, "performed": performed}
    return run.combine(operator.or_, record, more)


def tell_operations(
    stage: Stage,
    subject: Subject[data.AddMul],
    network: keras.Model,
    mask: WeightMask,
) -> list[list[float]]:
    """Returns which operation is performed with the weights of a mask."""
    return performed_operations(mask.apply(network), subject.data)


def performed_operations(
    model: keras.Model, problem: data.AddMul
) -> list[list[float]]:
    """Returns which operation a model performs where one is asked for.

    Returns:
        List of rows, one for each task: the share of pairs whose answer is
        that of addition, of multiplication, of neither. Where both operations
        agree, the answer counts as that of the operation asked for.
    """
    power = 10 ** np.arange(problem.digits)[::-1]
    results = [np.array(values) for values in problem.results(problem.pairs)]
    rows = []
    for i, task in enumerate(TASKS):
        inputs, _ = problem.every(task)
        answers = mask_training.predict(model, inputs) @ power
        asked = answers == results[i]
        other = (answers == results[1 - i]) & ~asked
        row = [np.mean(asked), np.mean(other)]
        row = row if i == 0 else row[::-1]
        rows.append([*map(float, row), float(np.mean(~asked & ~other))])
    return rows


def phases(config: Config) -> dict[str, training.Phase]:
    """Returns what the estimate times: training weights, training masks."""
    return mask_training.phases([subject_of(config, 0)])

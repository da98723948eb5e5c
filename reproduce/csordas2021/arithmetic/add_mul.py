"""Trains networks to add and multiply: stages of add_mul.

The functions take the `Config` of `reproduce.add_mul`.
"""

import operator

import numpy as np

from reproduce.csordas2021 import mask_training
from reproduce.csordas2021.arithmetic import data, stages
from reproduce.csordas2021.arithmetic.data import FULL

TASKS = data.AddMul.tasks


def plan(run):
    """Plans all networks and masks; returns the records to be."""
    (subject,) = subjects(run.config)
    return [plan_repeat(run, subject, seed) for seed in run.config.seeds]


def subjects(config):
    """Returns the one network and problem of this experiment."""
    return [stages.Subject(config.network, "add_mul", config.sizes)]


def plan_repeat(run, subject, seed):
    """Plans the stages of one seed; returns the record to be."""
    record, network, masks = stages.plan_record(run, subject, seed)
    performed = {
        task: stages.plan_stage(
            run,
            subject,
            seed,
            f"performed_{task}",
            tell_operations,
            network,
            masks[task],
        )
        for task in (FULL, *TASKS)
    }
    more = {"network": run.config.network, "performed": performed}
    return run.combine(operator.or_, record, more)


def tell_operations(stage, subject, network, mask):
    """Returns which operation is performed with the weights of a mask."""
    problem = stages.make_problem(stage.config, subject, stage.seed)
    return performed_operations(mask.apply(network), problem)


def performed_operations(model, problem):
    """Returns which operation a model performs where one is asked for.

    Returns:
        List of rows, a task each: the share of pairs whose answer is that of
        addition, of multiplication, of neither. Where both operations agree,
        the answer counts as that of the operation asked for.
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


def phases(config):
    """Returns what the estimate times: training weights, training masks."""
    return stages.phases(config, subjects(config))

"""Trains networks to add two pairs of numbers: stages of double_add.

The functions take the `Config` of `reproduce.double_add`.
"""

from reproduce.csordas2021.arithmetic import data, stages


def plan(run):
    """Plans all networks and masks; returns the records to be."""
    return [
        plan_repeat(run, subject, seed)
        for seed in run.config.seeds
        for subject in subjects(run.config)
    ]


def subjects(config):
    """Returns the network on each way to show it the pairs."""
    presentations = {
        "fnn": data.FNN_PRESENTATIONS,
        "lstm": data.LSTM_PRESENTATIONS,
    }[config.network]
    return [
        stages.Subject(
            f"{config.network}_{presentation}", presentation, config.sizes
        )
        for presentation in presentations
    ]


def plan_repeat(run, subject, seed):
    """Plans the stages of one seed; returns the record to be."""
    record, _, _ = stages.plan_record(
        run, subject, seed, presentation=subject.problem
    )
    return record


def phases(config):
    """Returns what the estimate times: training weights, training masks."""
    return stages.phases(config, subjects(config))

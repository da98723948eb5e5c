"""Trains networks to add two pairs of numbers: flags, stages of double_add."""

import dataclasses

from reproduce.csordas2021 import mask_training
from reproduce.csordas2021.arithmetic import data, stages
from reproduce.csordas2021.subject import Subject
from reproduce.running import training
from reproduce.running.configuration import field
from reproduce.running.run import Run
from reproduce.running.stage import Stage


@dataclasses.dataclass(frozen=True)
class Config(stages.Config):
    """Every field is a flag; the defaults are the paper's values."""

    beta: float = field(
        4e-4,
        "Penalty: each logit costs beta / mask_batch_size. The paper's 4e-4 is "
        "for the FNN; 1e-4 for the LSTM.",
        at_least=0,
    )


def plan(run: Run) -> list[Stage]:
    """Plans all networks and masks; returns the records to be."""
    return [
        plan_repeat(run, subject)
        for seed in run.config.seeds
        for subject in subjects(run.config, seed)
    ]


def subjects(config: Config, seed: int) -> list[Subject[data.DoubleAdd]]:
    """Returns a repeat's network on each way to show it the pairs."""
    presentations = {
        "fnn": data.FNN_PRESENTATIONS,
        "lstm": data.LSTM_PRESENTATIONS,
    }[config.network]
    return [
        stages.subject_of(
            config,
            seed,
            f"{config.network}_{presentation}",
            config.sizes,
            presentation,
        )
        for presentation in presentations
    ]


def plan_repeat(run: Run, subject: Subject[data.DoubleAdd]) -> Stage:
    """Plans the stages of one seed; returns the record to be."""
    shown = subject.data.presentation
    record, _, _ = stages.plan_record(run, subject, presentation=shown)
    return record


def phases(config: Config) -> dict[str, training.Phase]:
    """Returns what the estimate times: training weights, training masks."""
    return mask_training.phases(subjects(config, 0))

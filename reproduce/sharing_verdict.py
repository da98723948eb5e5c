r"""How often is the verdict of soundness.check on sharing right?

Draws pairs of tasks of which it is known by construction what they share, and
counts how often the verdict is "shared" or "separate", and how often that is
wrong. No paper has this experiment.

python -m reproduce.sharing_verdict \
    --flagfile=reproduce/flags/sharing_verdict_demo.flags
"""

import dataclasses

from reproduce.known_truth.verdicts import claims, figures, stages
from reproduce.publishing import experiment
from reproduce.running import configuration
from reproduce.running.configuration import field


@dataclasses.dataclass(frozen=True)
class Config(configuration.Config):
    """Every field is a flag."""

    seeds: tuple[int, ...] = field(
        tuple(range(10)),
        "Seeds; each makes one network of each kind.",
        part=True,
        at_least=0,
        less_than=2**31,
        distinct=True,
    )
    sets: int = field(
        100,
        "Pairs of tasks that are drawn for each kind of errors and each "
        "quality.",
        at_least=1,
    )
    methods: tuple[str, ...] = field(
        stages.METHODS,
        "Methods that look for weights in planted networks.",
        part=True,
        one_of=stages.METHODS,
        distinct=True,
    )
    extractions: int = field(4, "Findings of each task.", at_least=1)
    mask_seeds: int = field(
        2**31, "Masks are learned only for seeds below this.", at_least=0
    )
    mask_steps: int = field(
        0,
        "Training steps of each mask; 0 for the default of find_weights.",
        at_least=0,
    )


EXPERIMENT = experiment.Experiment(
    name="sharing_verdict",
    title="How often is the verdict of soundness.check on sharing right?",
    figures={
        "A": "false verdicts by kind of sharing",
    },
    config=Config,
    plan=stages.plan,
    phases=stages.phases,
    claims=claims.claims,
    draw=figures.draw,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)

r"""Is the verdict of soundness.check on sharing right? No paper's.

Two tasks share parts, or don't, by construction: counts how often "shared" and
"separate" are said, and how often wrongly.

python -m reproduce.sharing_verdict \
    --flagfile=reproduce/flags/sharing_verdict_demo.flags
"""

import dataclasses

from reproduce.harness import config, experiment
from reproduce.harness.config import field
from reproduce.known_truth import calibration

FIGURES = {
    "A": "false verdicts by kind of sharing",
}


@dataclasses.dataclass(frozen=True)
class Config(config.Config):
    """Every field is a flag."""

    seeds: tuple[int, ...] = field(
        tuple(range(10)),
        "Seeds; one a network of each kind.",
        part=True,
        at_least=0,
        less_than=2**31,
        distinct=True,
    )
    sets: int = field(
        100, "Pairs of tasks of each kind of errors and quality.", at_least=1
    )
    methods: tuple[str, ...] = field(
        calibration.METHODS,
        "Who looks for weights in planted networks.",
        part=True,
        one_of=calibration.METHODS,
        distinct=True,
    )
    extractions: int = field(4, "Extractions of each task.", at_least=1)
    mask_seeds: int = field(
        2**31, "Learned masks for seeds below this alone.", at_least=0
    )
    mask_steps: int = field(
        0, "Steps of each mask; 0 for the default of find_weights.", at_least=0
    )


EXPERIMENT = experiment.Experiment(
    name="sharing_verdict",
    config=Config,
    plan=calibration.plan,
    phases=calibration.phases,
    claims=calibration.claims,
    draw=calibration.draw,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)

r"""Do these methods find what is really there? Networks of known truth.

Builds networks of which it is known, weight by weight, what does what. Each
method looks for the weights that one output needs, and is scored by that
truth. No paper has this experiment; docs/known_truth.md has the results.

python -m reproduce.planted --flagfile=reproduce/flags/planted_demo.flags
"""

import dataclasses

from reproduce.known_truth.recovery import cases, claims, figures, stages
from reproduce.publishing import experiment
from reproduce.running import configuration
from reproduce.running.configuration import field


@dataclasses.dataclass(frozen=True)
class Config(configuration.Config):
    """Every field is a flag."""

    seeds: tuple[int, ...] = field(
        tuple(range(10)),
        "Seeds; each makes one network of each case.",
        part=True,
        at_least=0,
        less_than=2**31,
        distinct=True,
    )
    cases: tuple[str, ...] = field(
        tuple(
            case
            for case in (*cases.CASES, *cases.CONTROLS)
            if case not in cases.LOUDER
        ),
        "Cases: which kinds of networks to build.",
        part=True,
        one_of=cases.ALL,
        distinct=True,
    )
    methods: tuple[str, ...] = field(
        stages.METHODS,
        "Who looks for it; `mask` is `find_weights`, `mask_paper` the same "
        "with masks drawn as in the paper. Each looks where it can.",
        part=True,
        one_of=stages.METHODS,
        distinct=True,
    )
    controls: tuple[str, ...] = field(
        stages.CONTROLS,
        "What masks are compared with: `seeds`, the mask found once more; "
        "`twin`, that of the network with its weights dealt out anew.",
        part=True,
        one_of=stages.CONTROLS,
        distinct=True,
    )
    examples: int = field(
        4000,
        "Largest number of inputs to train on; never more than half of all.",
        at_least=8,
    )
    mask_steps: int = field(
        0,
        "Training steps of each mask; 0 for the default of find_weights.",
        at_least=0,
    )
    popup_epochs: int = field(10, "Training epochs of edge-popup.", at_least=1)


EXPERIMENT = experiment.Experiment(
    name="planted",
    title="Do these methods find what is really there? Known truth.",
    figures={
        "A": "average precision of all methods",
        "B": "precision and recall at the own threshold",
        "C": "false alarms by kind of weight",
        "D": "precision at every recall",
        "E": "clusters against modules",
        "F": "networks with what was found",
        "G": "units that are no parts",
    },
    config=Config,
    plan=stages.plan,
    phases=stages.phases,
    claims=claims.claims,
    draw=figures.draw,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)

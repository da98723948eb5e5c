r"""Do weights, neurons and units tell the same story? No paper's experiment.

Trains a CNN and finds, for each class, the weights that it alone needs (a
mask of all classes less that without it) and the neurons that it uses, and
the clusters of units that act alike; then how far they mark the same units.

python -m reproduce.compare_methods \
    --flagfile=reproduce/flags/compare_methods_demo.flags
"""

import dataclasses

from reproduce.comparing import findings, stages
from reproduce.csordas2021 import mask_stages
from reproduce.harness import experiment
from reproduce.harness.config import field

FIGURES = {
    "A": "agreement of methods by layer",
    "B": "agreement by class",
}


@dataclasses.dataclass(frozen=True)
class Config(mask_stages.Config):
    """Every field is a flag."""

    dataset: str = field(
        "mnist", "Images.", one_of=("mnist", "cifar10", "digits")
    )
    t_high: float = field(
        0.55, "Bayesian: surely above it, a neuron is on.", above=0
    )
    measure: str = field(
        "covariance",
        "How units are alike.",
        one_of=("covariance", "input_sensitivity", "output_sensitivity"),
    )
    restarts: int = field(10, "Of the search for clusters.", at_least=0)
    cluster_images: int = field(
        2000, "Test images for the clusters, at most.", at_least=2
    )
    permutations: int = field(
        999, "Of the null of every comparison.", at_least=19
    )


EXPERIMENT = experiment.Experiment(
    name="compare_methods",
    config=Config,
    plan=stages.plan,
    phases=stages.phases,
    claims=findings.claims,
    draw=findings.draw,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)

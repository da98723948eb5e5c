r"""Do weights, neurons and units tell the same story? Our own question.

Trains a CNN and finds, for each class, the weights that it alone needs (those
in a mask of all classes but not in a mask without it) and the neurons that it
uses, and also the clusters of units that act alike. Then it measures how far
these findings mark the same units. No paper has this experiment.

python -m reproduce.compare_methods \
    --flagfile=reproduce/flags/compare_methods_demo.flags
"""

import dataclasses

from reproduce.comparing import claims, stages
from reproduce.csordas2021 import mask_training
from reproduce.publishing import experiment
from reproduce.running.configuration import field


@dataclasses.dataclass(frozen=True)
class Config(mask_training.Config):
    """Every field is a flag."""

    dataset: str = field(
        "mnist", "Data set of images.", one_of=("mnist", "cifar10", "digits")
    )
    t_high: float = field(
        0.55,
        "Bayesian rule: a neuron whose mean is surely above this is on.",
        above=0,
    )
    measure: str = field(
        "covariance",
        "Measure of how alike two units are, for the clusters.",
        one_of=("covariance", "input_sensitivity", "output_sensitivity"),
    )
    restarts: int = field(
        10, "Restarts of the search for clusters.", at_least=0
    )
    cluster_images: int = field(
        2000, "Largest number of test images for the clusters.", at_least=2
    )
    permutations: int = field(
        999, "Permutations for the null of every comparison.", at_least=19
    )


EXPERIMENT = experiment.Experiment(
    name="compare_methods",
    title="Do weights, neurons and units tell the same story?",
    figures={
        "A": "agreement of methods by layer",
        "B": "agreement by class",
    },
    config=Config,
    plan=stages.plan,
    phases=stages.phases,
    claims=claims.claims,
    draw=claims.draw,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)

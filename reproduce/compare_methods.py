r"""Do weights, neurons and units tell the same story? Our own question.

Trains a CNN and finds, for each class, the weights that it alone needs (those
in a mask of all classes but not in a mask without it) and the neurons that it
uses, and also the clusters of units that act alike. Then it measures how far
these findings mark the same units. No paper has this experiment.

python -m reproduce.compare_methods \
    --flagfile=reproduce/flags/compare_methods_demo.flags
"""

from reproduce.comparing import claims, stages
from reproduce.publishing import experiment

EXPERIMENT = experiment.Experiment(
    name="compare_methods",
    title="Do weights, neurons and units tell the same story?",
    figures={
        "A": "agreement of methods by layer",
        "B": "agreement by class",
    },
    config=stages.Config,
    plan=stages.plan,
    phases=stages.phases,
    claims=claims.claims,
    draw=claims.draw,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)

r"""Which neurons does a class use? (Elbastawisy & Afrin, 2025)

Trains a CNN, selects the neurons of each class by thresholding and by Bayesian
masking, and shows what classes share and what removing their neurons does:
Elbastawisy and Afrin (2025), sections 4 and 5; figures 1 to 6.

python -m reproduce.neuron_subselection \
    --flagfile=reproduce/flags/neuron_subselection_demo.flags
"""

from reproduce.elbastawisy2025 import claims, figures, stages
from reproduce.publishing import experiment

EXPERIMENT = experiment.Experiment(
    name="neuron_subselection",
    title="Which neurons does a class use?",
    paper="Elbastawisy & Afrin, 2025",
    figures={
        "1": "neurons shared by classes, thresholding",
        "2": "by similar subtasks, thresholding",
        "3": "by classes, masking",
        "4": "by similar subtasks, masking",
        "5": "confusion without a class, MNIST",
        "6": "the same, CIFAR-10",
    },
    config=stages.Config,
    plan=stages.plan,
    phases=stages.phases,
    claims=claims.claims,
    draw=figures.draw,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)

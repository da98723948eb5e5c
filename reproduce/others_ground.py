r"""Do our methods do as well where others have published numbers?

Transformers that are compiled from programs (Tracr), of which every edge is
known, and toy models of superposition. Neither needs a download; compiled
programs need the extra `tracr`. docs/others_ground.md has the results.

python -m reproduce.others_ground \
    --flagfile=reproduce/flags/others_ground_demo.flags
"""

from reproduce.known_truth.others import claims, figures, stages
from reproduce.publishing import experiment

EXPERIMENT = experiment.Experiment(
    name="others_ground",
    title="Do our methods do as well where others have published numbers?",
    figures={
        "A": "area under the ROC curve, beside published ones",
        "B": "precision and recall with decoys",
        "C": "masks of superposed features",
    },
    config=stages.Config,
    plan=stages.plan,
    phases=stages.phases,
    claims=claims.claims,
    draw=figures.draw,
    tables=figures.tables,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)

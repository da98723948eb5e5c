r"""Which units act alike? Clusters of units (Lange et al., 2022).

Trains networks of two hidden layers under three kinds of regularization,
clusters the units of each layer by eight measures of similarity, and compares
the clusters: sections 4.1 to 4.3; figures 3, 4 and S1 to S5.

python -m reproduce.unit_clustering \
    --flagfile=reproduce/flags/unit_clustering_demo.flags
"""

from reproduce.lange2022 import claims, figures, stages
from reproduce.publishing import experiment

EXPERIMENT = experiment.Experiment(
    name="unit_clustering",
    title="Which units act alike? Clusters of units.",
    paper="Lange et al., 2022",
    figures={
        "3": "modularity by strength of regularization",
        "4": "agreement of clusterings",
        "S1": "performance by strength",
        "S2": "search for clusters",
        "S3": "modularity by layer",
        "S4": "number of clusters by layer",
        "S5": "agreement by strength",
    },
    config=stages.Config,
    plan=stages.plan,
    phases=stages.phases,
    claims=claims.claims,
    draw=figures.draw,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)

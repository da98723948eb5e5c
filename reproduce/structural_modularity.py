r"""Does structure force function? Two modules (Bena & Goodman, 2021).

Trains two recurrent modules on a task for which they must exchange a bit. Each
module sees one digit. The number of links between them goes from one each way
to all, and the experiment measures how far each module deals with its own digit
alone: Bena and Goodman (2021); figures 2 to 4.

python -m reproduce.structural_modularity \
    --flagfile=reproduce/flags/structural_modularity_demo.flags
"""

from reproduce.bena2021 import (
    arm_comparison,
    claims,
    figures,
    stages,
    subject,
)
from reproduce.publishing import experiment

EXPERIMENT = experiment.Experiment(
    name="structural_modularity",
    title="Does structure force function? Two modules.",
    paper="Bena & Goodman, 2021",
    figures={
        "2": "specialization by sparsity and Q",
        "3": "the measures themselves",
        "4": "accuracy",
    },
    config=subject.Config,
    plan=stages.plan,
    phases=stages.phases,
    claims=claims.claims,
    draw=figures.draw,
    tables=claims.tables,
    across=arm_comparison.across,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)

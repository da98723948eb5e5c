r"""Do these methods find what is really there? Networks of known truth.

Builds networks of which it is known, weight by weight, what does what. Each
method looks for the weights that one output needs, and is scored by that
truth. No paper has this experiment; docs/known_truth.md has the results.

python -m reproduce.planted --flagfile=reproduce/flags/planted_demo.flags
"""

from reproduce.known_truth.recovery import claims, figures, stages, tables
from reproduce.publishing import experiment

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
    config=stages.Config,
    plan=stages.plan,
    phases=stages.phases,
    claims=claims.claims,
    draw=figures.draw,
    tables=tables.tables,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)

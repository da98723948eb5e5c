r"""How often is the verdict of soundness.check on sharing right?

Draws pairs of tasks of which it is known by construction what they share, and
counts how often the verdict is "shared" or "separate", and how often that is
wrong. No paper has this experiment.

python -m reproduce.sharing_verdict \
    --flagfile=reproduce/flags/sharing_verdict_demo.flags
"""

from reproduce.known_truth.verdicts import claims, figures, stages
from reproduce.publishing import experiment

EXPERIMENT = experiment.Experiment(
    name="sharing_verdict",
    title="How often is the verdict of soundness.check on sharing right?",
    figures={
        "A": "false verdicts by kind of sharing",
    },
    config=stages.Config,
    plan=stages.plan,
    phases=stages.phases,
    claims=claims.claims,
    draw=figures.draw,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)

r"""Do harder questions need more weights? Mathematics (Csordas et al., 2021).

Trains one Transformer for each module on easy, medium and hard questions, then
masks on all of them and on the easy ones, and shows how well the masks answer
the hard ones: section 4, appendix C.6.2; figures 5 and 17.

python -m reproduce.mathematics \
    --flagfile=reproduce/flags/mathematics_demo.flags
"""

from reproduce.csordas2021.sequences import mathematics, mathematics_claims
from reproduce.publishing import experiment

EXPERIMENT = experiment.Experiment(
    name="mathematics",
    title="Do harder questions need more weights? Mathematics.",
    paper="Csordas et al., 2021",
    figures={
        "5": "accuracy on hard questions by mask",
        "17": "examples of questions",
    },
    config=mathematics.Config,
    plan=mathematics.plan,
    phases=mathematics.phases,
    claims=mathematics_claims.claims,
    draw=mathematics_claims.draw,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)

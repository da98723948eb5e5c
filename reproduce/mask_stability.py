r"""How alike are masks of one task from two seeds? (Csordas et al., 2021)

Trains every mask of a network twice, which differ in their samples and in the
order of the data, and compares the two beside random masks of the same sizes:
appendix B.1. No two tasks can be expected to share more than one task shares
with itself.

python -m reproduce.mask_stability \
    --flagfile=reproduce/flags/mask_stability_demo.flags
"""

from reproduce.csordas2021.images import mask_stability, mask_stability_claims
from reproduce.publishing import experiment

EXPERIMENT = experiment.Experiment(
    name="mask_stability",
    title="How alike are masks of one task from two seeds?",
    paper="Csordas et al., 2021",
    figures={"B1": "masks of one task from two seeds (a number in the text)"},
    config=mask_stability.Config,
    plan=mask_stability.plan,
    phases=mask_stability.phases,
    claims=mask_stability_claims.claims,
    draw=mask_stability_claims.draw,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)

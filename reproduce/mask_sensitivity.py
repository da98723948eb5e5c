r"""How far do masks depend on beta and network size? (Csordas et al., 2021)

Trains masks for addition and multiplication over a range of beta and of
network sizes, and draws the keep probabilities of masks that other
experiments left: appendix C.2 and C.3; figures 7, 8 and 9.

python -m reproduce.mask_sensitivity \
    --flagfile=reproduce/flags/mask_sensitivity_demo.flags
"""

from reproduce.csordas2021.arithmetic import (
    mask_sensitivity,
    mask_sensitivity_claims,
)
from reproduce.publishing import experiment

EXPERIMENT = experiment.Experiment(
    name="mask_sensitivity",
    title="How far do masks depend on beta and network size?",
    paper="Csordas et al., 2021",
    figures={
        "7": "histogram of keep probabilities",
        "8": "sensitivity to beta",
        "9": "sharing by network size",
    },
    config=mask_sensitivity.Config,
    plan=mask_sensitivity.plan,
    phases=mask_sensitivity.phases,
    claims=mask_sensitivity_claims.claims,
    draw=mask_sensitivity_claims.draw,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)

r"""Do networks use one rule for all commands? SCAN (Csordas et al., 2021).

Trains networks on all kinds of commands, then masks on the training part of
splits that test generalization, and shows how well the masks do on the rest:
section 4, appendix C.6.1; figures 4a, 4b and 16.

python -m reproduce.scan --flagfile=reproduce/flags/scan_demo.flags
"""

from reproduce.csordas2021.sequences import scan, scan_claims
from reproduce.publishing import experiment

EXPERIMENT = experiment.Experiment(
    name="scan",
    title="Do networks use one rule for all commands? SCAN.",
    paper="Csordas et al., 2021",
    figures={
        "4a": "accuracy on splits by mask",
        "4b": "output weights removed by token",
        "16": "networks trained on a split alone",
    },
    config=scan.Config,
    plan=scan.plan,
    phases=scan.phases,
    claims=scan_claims.claims,
    draw=scan_claims.draw,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)

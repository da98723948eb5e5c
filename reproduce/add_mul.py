r"""Do two operations use separate weights? (Csordas et al., 2021)

Trains a network to add and to multiply modulo 10 ** digits, then a mask for
each operation, and shows what the masks share and what they perform: Csordas
et al. (2021), section 3.1, appendix C.3; figures 1, 10, 11 and 12.

python -m reproduce.add_mul \
    --flagfile=reproduce/flags/add_mul_demo.flags
"""

from reproduce.csordas2021.arithmetic import add_mul, add_mul_claims
from reproduce.publishing import experiment

EXPERIMENT = experiment.Experiment(
    name="add_mul",
    title="Do two operations use separate weights?",
    paper="Csordas et al., 2021",
    figures={
        "1": "weights shared per layer, addition and multiplication",
        "10": "accuracy under each operation's mask",
        "11": "weights per operation and layer",
        "12": "which operation is performed",
    },
    config=add_mul.Config,
    plan=add_mul.plan,
    phases=add_mul.phases,
    claims=add_mul_claims.claims,
    draw=add_mul_claims.draw,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)

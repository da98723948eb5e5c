r"""Does a network reuse weights for the same operation? (Csordas et al., 2021)

Trains a network to add two pairs of numbers on separate inputs and outputs,
then a mask for each pair, and shows what the masks share and what they
perform: section 3.2, appendix C.4; figures 2, 13 and 14.

An LSTM sees both pairs all the time (`together`) or one after the other
(`in_turn`); the experiment compares the two.

python -m reproduce.double_add \
    --flagfile=reproduce/flags/double_add_demo.flags
"""

from reproduce.csordas2021.arithmetic import double_add, double_add_claims
from reproduce.publishing import experiment

EXPERIMENT = experiment.Experiment(
    name="double_add",
    title="Does a network reuse weights for the same operation?",
    paper="Csordas et al., 2021",
    figures={
        "2": "accuracy on either pair under each mask",
        "13": "weights shared per layer",
        "14": "LSTM with one pair at a time",
    },
    config=double_add.Config,
    plan=double_add.plan,
    phases=double_add.phases,
    claims=double_add_claims.claims,
    draw=double_add_claims.draw,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)

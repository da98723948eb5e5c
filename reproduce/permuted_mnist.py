r"""Does a network reuse weights for task after task? (Csordas et al., 2021)

Trains weights and masks together on MNIST with permuted pixels, one
permutation after the other; the weights that a task needs are frozen for the
next: section 3.3, appendix C.5; figures 3, 15a and 15b.

python -m reproduce.permuted_mnist \
    --flagfile=reproduce/flags/permuted_mnist_demo.flags
"""

from reproduce.csordas2021.continual import (
    permuted_mnist,
    permuted_mnist_claims,
)
from reproduce.publishing import experiment

EXPERIMENT = experiment.Experiment(
    name="permuted_mnist",
    title="Does a network reuse weights for task after task?",
    paper="Csordas et al., 2021",
    figures={
        "3": "weights shared with earlier tasks",
        "15a": "masks that prefer old weights, new ones from 0",
        "15b": "the same, new ones from -1",
    },
    config=permuted_mnist.Config,
    plan=permuted_mnist.plan,
    phases=permuted_mnist.phases,
    claims=permuted_mnist_claims.claims,
    draw=permuted_mnist_claims.draw,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)

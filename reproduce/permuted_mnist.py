r"""Does a network reuse weights for task after task? (Csordas et al., 2021)

Trains weights and masks together on MNIST with permuted pixels, one
permutation after the other; the weights that a task needs are frozen for the
next: section 3.3, appendix C.5; figures 3, 15a and 15b.

python -m reproduce.permuted_mnist \
    --flagfile=reproduce/flags/permuted_mnist_demo.flags
"""

import dataclasses

from reproduce.csordas2021 import mask_training
from reproduce.csordas2021.continual import (
    permuted_mnist,
    permuted_mnist_claims,
)
from reproduce.publishing import experiment
from reproduce.running import configuration
from reproduce.running.configuration import field


@dataclasses.dataclass(frozen=True)
class Config(configuration.Config):
    """Every field is a flag; the defaults are the paper's values."""

    dataset: str = field(
        "mnist", "Data set of images.", one_of=("mnist", "digits")
    )
    tasks: int = field(
        11,
        "Number of tasks; each has its pixels permuted, but for the first.",
        at_least=2,
    )
    sizes: tuple[int, ...] = field(
        (800, 800, 64), "Units of the hidden layers.", at_least=1
    )
    new_logits: tuple[float, ...] = field(
        (2.0, 0.0, -1.0),
        "Initial logits of weights that no task uses yet; those of used "
        "weights start at 2.",
        part=True,
        distinct=True,
    )
    batch_size: int = field(128, "Images in a training step.", at_least=1)
    task_steps: int = field(
        30_000,
        "Training steps of each task.",
        at_least=1,
        multiple_of="log_steps",
    )
    task_lr: float = field(
        1e-2, "Learning rate of Adam for weights and logits.", above=0
    )
    beta: float = field(
        1.28e-3,
        "Strength of the penalty: each logit of a mask costs beta / "
        "batch_size.",
        at_least=0,
    )
    num_samples: int = field(
        8, "Masks that are drawn for each batch.", at_least=1
    )
    log_steps: int = field(
        500,
        "Steps between two points in TensorBoard; must divide --task_steps.",
        at_least=1,
    )

    def __post_init__(self):
        super().__post_init__()
        starts = {f"{logit:g}" for logit in self.new_logits}
        if len(starts) < len(self.new_logits):
            raise ValueError(
                "--new_logits must differ in their first six digits, got "
                f"{','.join(map(str, self.new_logits))}."
            )
        mask_training.check_samples(self, "batch_size")


EXPERIMENT = experiment.Experiment(
    name="permuted_mnist",
    title="Does a network reuse weights for task after task?",
    paper="Csordas et al., 2021",
    figures={
        "3": "weights shared with earlier tasks",
        "15a": "masks that prefer old weights, new ones from 0",
        "15b": "the same, new ones from -1",
    },
    config=Config,
    plan=permuted_mnist.plan,
    phases=permuted_mnist.phases,
    claims=permuted_mnist_claims.claims,
    draw=permuted_mnist_claims.draw,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)

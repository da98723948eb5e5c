r"""Which weights does each class need? CNNs on images (Csordas et al., 2021).

Trains a CNN, a control mask on all classes and one mask for each class left
out, and shows what becomes of a class when its exclusive weights are gone:
section 5, appendix C.7; figures 6, 18, 19, 20 and, for residual networks, 21.

python -m reproduce.cifar_ablation \
    --flagfile=reproduce/flags/cifar_ablation_demo.flags
"""

import dataclasses

from reproduce.csordas2021 import mask_training
from reproduce.csordas2021.images import cifar_ablation, cifar_ablation_claims
from reproduce.publishing import experiment
from reproduce.running.configuration import field


@dataclasses.dataclass(frozen=True)
class Config(mask_training.Config):
    """Every field is a flag; the defaults are the paper's values."""

    dataset: str = field(
        "cifar10", "Data set of images.", one_of=("cifar10", "mnist", "digits")
    )
    networks: tuple[str, ...] = field(
        ("cnn", "cnn_nodropout"),
        "Networks to train: the simple CNN with or without dropout, or "
        "residual networks.",
        part=True,
        one_of=cifar_ablation.NETWORKS,
        distinct=True,
    )
    classes: tuple[str, ...] = field(
        (),
        "Names of the classes to leave out, one mask for each; all classes "
        "if empty.",
        part=True,
        distinct=True,
    )
    resnet_steps: int = field(
        64_000,
        "Training steps of a residual network.",
        at_least=1,
        multiple_of="log_steps",
    )
    resnet_lr: float = field(
        0.1,
        "SGD step of a residual network's weights; a tenth after half of the "
        "steps, a hundredth after three quarters.",
        above=0,
    )
    resnet_mask_batch_size: int = field(
        256,
        "Examples in a training step of a residual network's mask.",
        at_least=1,
    )
    resnet_mask_steps: int = field(
        30_000,
        "Training steps of each mask of a residual network.",
        at_least=1,
        multiple_of="log_steps",
    )
    resnet_mask_lr: float = field(
        0.03,
        "Learning rate of Adam for the logits of a residual network's masks.",
        above=0,
    )
    resnet_beta: float = field(
        2e-5,
        "Penalty of a residual network's masks: each logit costs resnet_beta / "
        "resnet_mask_batch_size.",
        at_least=0,
    )
    recalibrate: bool = field(
        False,
        "Score residual networks a second time, their batch statistics "
        "measured anew under each mask.",
        part=True,
    )

    def __post_init__(self):
        super().__post_init__()
        mask_training.check_samples(self, "resnet_mask_batch_size")
        residual = set(self.networks) & set(cifar_ablation.RESNETS)
        if self.recalibrate and not residual:
            raise ValueError(
                "--recalibrate is for residual networks: --networks has none, "
                f"got {','.join(self.networks)}."
            )
        if self.find_beta and residual and not self.resnet_beta:
            raise ValueError(
                "--find_beta starts at --resnet_beta, got --resnet_beta=0."
            )


EXPERIMENT = experiment.Experiment(
    name="cifar_ablation",
    title="Which weights does each class need? CNNs on images.",
    paper="Csordas et al., 2021",
    figures={
        "6": "drop of the removed class, and of others",
        "18": "confusion under the mask of all classes",
        "19": "confusion without a class, simple CNN",
        "20": "the same, CNN without dropout",
        "21": "the same, residual networks",
    },
    config=Config,
    plan=cifar_ablation.plan,
    phases=cifar_ablation.phases,
    claims=cifar_ablation_claims.claims,
    draw=cifar_ablation_claims.draw,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)

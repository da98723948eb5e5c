r"""How alike are masks of one task from two seeds? (Csordas et al., 2021)

Trains every mask of a network twice, which differ in their samples and in the
order of the data, and compares the two beside random masks of the same sizes:
appendix B.1. No two tasks can be expected to share more than one task shares
with itself.

python -m reproduce.mask_stability \
    --flagfile=reproduce/flags/mask_stability_demo.flags
"""

import dataclasses
import math

from reproduce.csordas2021.arithmetic import stages
from reproduce.csordas2021.images import (
    cifar_ablation,
    mask_stability,
    mask_stability_claims,
)
from reproduce.publishing import experiment
from reproduce.running.configuration import field

CLASSES = 10  # of every set of images


@dataclasses.dataclass(frozen=True)
class Config(stages.Config):
    """Every field is a flag; the defaults are the paper's values."""

    dataset: str = field(
        "cifar10",
        "Data set that CNNs learn; add_mul if there is only the network "
        "that calculates.",
        one_of=("cifar10", "mnist", "digits", "add_mul"),
    )
    networks: tuple[str, ...] = field(
        ("cnn_nodropout",),
        "Networks to train: the CNN with or without dropout, or fnn, the "
        "network that calculates.",
        part=True,
        one_of=(*cifar_ablation.CNNS, mask_stability.FNN),
        distinct=True,
    )
    pairs: int = field(
        10,
        "Pairs of classes that masks of a CNN are trained on, drawn by seed.",
        at_least=1,
        at_most=math.comb(CLASSES, 2),
    )
    network: str = field(
        "fnn", "Kind of the network that calculates.", one_of=("fnn",)
    )
    mask_lr: float = field(
        1e-3, "Learning rate of Adam for the logits of a mask.", above=0
    )

    def __post_init__(self):
        super().__post_init__()
        others = set(self.networks) - {mask_stability.FNN}
        if self.dataset == "add_mul" and others:
            raise ValueError(
                "--dataset=add_mul has no images: --networks must be fnn, got "
                f"{','.join(self.networks)}."
            )
        if self.find_beta or self.held_out_fraction:
            raise ValueError(
                "--find_beta and --held_out_fraction are flags of "
                "reproduce.cifar_ablation and reproduce.add_mul: search there, "
                "and pass the beta here."
            )


EXPERIMENT = experiment.Experiment(
    name="mask_stability",
    title="How alike are masks of one task from two seeds?",
    paper="Csordas et al., 2021",
    figures={"B1": "masks of one task from two seeds (a number in the text)"},
    config=Config,
    plan=mask_stability.plan,
    phases=mask_stability.phases,
    claims=mask_stability_claims.claims,
    draw=mask_stability_claims.draw,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)

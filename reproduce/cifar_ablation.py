r"""Which weights does each class need? CNNs on images (Csordas et al., 2021).

Trains a CNN, a control mask on all classes and one mask for each class left
out, and shows what becomes of a class when its exclusive weights are gone:
section 5, appendix C.7.1 and C.7.2; figures 6, 18a, 18b, 19 and 20.

python -m reproduce.cifar_ablation \
    --flagfile=reproduce/flags/cifar_ablation_demo.flags
"""

import dataclasses

from reproduce.csordas2021 import cifar_findings, cifar_stages, mask_stages
from reproduce.harness import experiment
from reproduce.harness.config import field

PAPER = "Csordas et al., 2021"
FIGURES = {
    "6": "drop of the removed class, and of others",
    "18": "confusion under the mask of all classes",
    "19": "confusion without a class, simple CNN",
    "20": "the same, CNN without dropout",
}


@dataclasses.dataclass(frozen=True)
class Config(mask_stages.Config):
    """Every field is a flag; the defaults are the paper's values."""

    dataset: str = field(
        "cifar10", "Images.", one_of=("cifar10", "mnist", "digits")
    )
    networks: tuple[str, ...] = field(
        ("cnn", "cnn_nodropout"),
        "Networks, with and without dropout.",
        part=True,
        one_of=tuple(cifar_stages.NETWORKS),
        distinct=True,
    )
    classes: tuple[str, ...] = field(
        (),
        "Classes to leave out, one mask each; all if empty.",
        part=True,
        distinct=True,
    )


EXPERIMENT = experiment.Experiment(
    name="cifar_ablation",
    config=Config,
    plan=cifar_stages.plan,
    phases=cifar_stages.phases,
    claims=cifar_findings.claims,
    draw=cifar_findings.draw,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)

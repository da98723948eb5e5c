r"""Does structure force function? Two modules (Bena & Goodman, 2021).

Trains two recurrent modules on a task for which they must exchange a bit. Each
module sees one digit. The number of links between them goes from one each way
to all, and the experiment measures how far each module deals with its own digit
alone: Bena and Goodman (2021); figures 2 to 4.

python -m reproduce.structural_modularity \
    --flagfile=reproduce/flags/structural_modularity_demo.flags
"""

import dataclasses

from reproduce.bena2021 import arms, claims, figures, parity_mnist, stages
from reproduce.publishing import experiment
from reproduce.running import configuration
from reproduce.running.configuration import field


@dataclasses.dataclass(frozen=True)
class Config(configuration.Config):
    """Every field is a flag; the defaults are the paper's values.

    Steps, batches and the modules' optimizer are not: the paper's do not
    train good networks at every sparsity.
    """

    dataset: str = field(
        "mnist", "Data set of images.", one_of=("mnist", "digits")
    )
    arm: str = field(
        "ours",
        "Choice of the settings that the paper leaves open, or those of its"
        " Table 1.",
        one_of=(*arms.ARMS,),
    )
    links: tuple[int, ...] = field(
        (1, 3, 8, 22, 60, 167, 464, 1292, 3594, 10_000),
        "Numbers of links from each module to the other; all possible ones "
        "are units**2, and p is the share of them.",
        part=True,
        at_least=1,
        distinct=True,
    )
    demands: tuple[int, ...] = field(
        (2,),
        "Modulus m of the task, for which the modules must exchange log2(m)"
        " bits.",
        part=True,
        one_of=parity_mnist.MODULI,
        distinct=True,
    )
    controls: bool = field(
        True,
        "Whether to run the controls with the fewest links: untrained "
        "networks, masks of several sizes, and networks whose links train "
        "in other ways.",
        part=True,
    )
    control_links: tuple[int, ...] = field(
        (1,),
        "Numbers of links at which networks are also trained whose links "
        "train in other ways.",
        part=True,
        at_least=1,
        distinct=True,
    )
    units: int = field(100, "Hidden units of each module.", at_least=2)
    bottleneck: int = field(
        5,
        "Units of the bottleneck between a module and its readout.",
        at_least=1,
    )
    batch_size: int = field(
        256, "Pairs of images in a training step.", at_least=1
    )
    network_steps: int = field(
        2340,
        "Training steps of a network.",
        at_least=1,
        multiple_of="log_steps",
    )
    bottleneck_steps: int = field(
        3276,
        "Training steps of a network with a bottleneck, which learns later.",
        at_least=1,
        multiple_of="log_steps",
    )
    network_lr: float = field(
        3e-3, "Learning rate of Adam for the modules.", above=0
    )
    lr_end: float = field(
        0.1,
        "Share of --network_lr that is left at the end; the rate falls as a"
        " cosine.",
        above=0,
        at_most=1,
    )
    link_lrs: tuple[float, ...] = field(
        (0.1, 0.01),
        "Learning rates of Adam for the links at p = 0 and at p = 1.",
        above=0,
    )
    link_noise: float = field(
        1e-3,
        "Standard deviation of the random walk of the links at p = 0.",
        at_least=0,
    )
    link_l1: float = field(
        0.0,
        "L1 penalty of Bellec et al. on the links; the paper gives none.",
        at_least=0,
    )
    mask_share: float = field(
        0.05, "Share q of the weights that a mask keeps.", above=0, at_most=1
    )
    mask_shares: tuple[float, ...] = field(
        (0.02, 0.05, 0.1, 0.2, 0.4),
        "Values of q that are tried on the network with the fewest links, "
        "as a control.",
        part=True,
        above=0,
        at_most=1,
        distinct=True,
    )
    mask_repeats: int = field(
        1,
        "Number of masks for each digit, each from other initial scores.",
        part=True,
        at_least=1,
    )
    mask_open_links: bool = field(
        False,
        "Whether to train also masks in which links do not compete and are "
        "always on.",
        part=True,
    )
    mask_steps: int = field(
        234,
        "Training steps of the scores of a mask.",
        at_least=1,
        multiple_of="log_steps",
    )
    mask_lr: float = field(0.1, "Learning rate of SGD for the scores.", above=0)
    mask_momentum: float = field(
        0.9,
        "Momentum of SGD for the scores, as in Ramanujan et al.; the paper "
        "gives none.",
        at_least=0,
        less_than=1,
    )
    fit_pairs: int = field(
        10_000, "Pairs of images to fit readouts on.", at_least=100
    )
    test_pairs: int = field(
        10_000, "Pairs of images to measure on.", at_least=100
    )
    log_steps: int = field(
        234,
        "Steps of an epoch, between two points in TensorBoard; must divide "
        "the numbers of steps.",
        at_least=1,
    )

    def __post_init__(self):
        super().__post_init__()
        limit = self.units**2
        if max(self.links) > limit:
            raise ValueError(
                f"--links must be at most --units**2 = {limit}, got "
                f"{max(self.links)}."
            )
        if len(self.link_lrs) != 2:
            raise ValueError(
                f"--link_lrs must be two values, got {self.link_lrs}."
            )


EXPERIMENT = experiment.Experiment(
    name="structural_modularity",
    title="Does structure force function? Two modules.",
    paper="Bena & Goodman, 2021",
    figures={
        "2": "specialization by sparsity and Q",
        "3": "the measures themselves",
        "4": "accuracy",
    },
    config=Config,
    plan=stages.plan,
    phases=stages.phases,
    claims=claims.claims,
    draw=figures.draw,
    tables=claims.tables,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)

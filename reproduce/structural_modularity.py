r"""Does structure force function? Two modules, few links between them.

Trains two recurrent modules that see a digit each on a task that makes them
exchange a bit, with one link each way up to all of them, and measures how far
each module does its own digit alone: Bena and Goodman (2021); figures 2 to 4.

python -m reproduce.structural_modularity \
    --flagfile=reproduce/flags/structural_modularity_demo.flags
"""

import dataclasses

from reproduce.bena2021 import arms, figures, findings, parity_mnist, stages
from reproduce.harness import config as harness_config
from reproduce.harness import experiment
from reproduce.harness.config import field

PAPER = "Bena & Goodman, 2021"
FIGURES = {
    "2": "specialization by sparsity and Q",
    "3": "the measures themselves",
    "4": "accuracy",
}


@dataclasses.dataclass(frozen=True)
class Config(harness_config.Config):
    """Every field is a flag; the defaults are the paper's values.

    Steps, batches and the modules' optimizer are not: the paper's do not
    train good networks at every sparsity.
    """

    dataset: str = field("mnist", "Images.", one_of=("mnist", "digits"))
    arm: str = field(
        "ours",
        "How the text is read: what it leaves open, and its Table 1.",
        one_of=(*arms.ARMS,),
    )
    links: tuple[int, ...] = field(
        (1, 3, 8, 22, 60, 167, 464, 1292, 3594, 10_000),
        "Links from each module to the other, p * units**2.",
        part=True,
        at_least=1,
        distinct=True,
    )
    demands: tuple[int, ...] = field(
        (2,),
        "The task's modulus m: log2(m) bits to exchange.",
        part=True,
        one_of=parity_mnist.MODULI,
        distinct=True,
    )
    controls: bool = field(
        True,
        "Also untrained networks, masks of several sizes and networks whose "
        "links train in other ways, for the fewest links.",
        part=True,
    )
    control_links: tuple[int, ...] = field(
        (1,),
        "Links at which networks whose links train in other ways are trained "
        "besides.",
        part=True,
        at_least=1,
        distinct=True,
    )
    units: int = field(100, "Hidden units of a module.", at_least=2)
    bottleneck: int = field(5, "Units of the bottleneck.", at_least=1)
    batch_size: int = field(256, "Pairs a step.", at_least=1)
    network_steps: int = field(
        2340, "Steps of a network.", at_least=1, multiple_of="log_steps"
    )
    bottleneck_steps: int = field(
        3276,
        "Steps of a network with a bottleneck, which learns later.",
        at_least=1,
        multiple_of="log_steps",
    )
    network_lr: float = field(3e-3, "Adam step of the modules.", above=0)
    lr_end: float = field(
        0.1,
        "What is left of it in the end; it falls as a cosine.",
        above=0,
        at_most=1,
    )
    link_lrs: tuple[float, ...] = field(
        (0.1, 0.01), "Adam step of the links at p = 0 and at p = 1.", above=0
    )
    link_noise: float = field(
        1e-3,
        "Random walk of the links at p = 0, standard deviation.",
        at_least=0,
    )
    link_l1: float = field(
        0.0,
        "L1 term of Bellec et al. on the links; the paper gives none.",
        at_least=0,
    )
    mask_share: float = field(
        0.05, "Weights a mask keeps, q.", above=0, at_most=1
    )
    mask_shares: tuple[float, ...] = field(
        (0.02, 0.05, 0.1, 0.2, 0.4),
        "Values of q that are tried on the sparsest network, as a control.",
        part=True,
        above=0,
        at_most=1,
        distinct=True,
    )
    mask_repeats: int = field(
        1,
        "Masks of each digit, from other scores.",
        part=True,
        at_least=1,
    )
    mask_open_links: bool = field(
        False,
        "Also masks in which links do not compete and are always on.",
        part=True,
    )
    mask_steps: int = field(
        234, "Steps of a mask's scores.", at_least=1, multiple_of="log_steps"
    )
    mask_lr: float = field(0.1, "SGD step of the scores.", above=0)
    mask_momentum: float = field(
        0.9,
        "Momentum of that, as Ramanujan et al.; the paper gives none.",
        at_least=0,
        less_than=1,
    )
    fit_pairs: int = field(10_000, "Pairs to fit readouts on.", at_least=100)
    test_pairs: int = field(10_000, "Pairs to measure on.", at_least=100)
    log_steps: int = field(
        234,
        "Steps between points in TensorBoard, an epoch; divides the steps.",
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
    config=Config,
    plan=stages.plan,
    phases=stages.phases,
    claims=findings.claims,
    draw=figures.draw,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)

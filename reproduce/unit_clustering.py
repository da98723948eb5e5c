r"""Which units act alike? Clusters of units (Lange et al., 2022).

Trains networks of two hidden layers under three kinds of regularisation,
clusters the units of each layer by eight measures of similarity, and compares
the clusters: sections 4.1 to 4.3; figures 3, 4 and S1 to S5.

python -m reproduce.unit_clustering \
    --flagfile=reproduce/flags/unit_clustering_demo.flags
"""

import dataclasses

import numpy as np

from reproduce.lange2022 import claims, figures, stages, summaries
from reproduce.publishing import experiment
from reproduce.running import configuration

field = configuration.field


def _logspace(low, high, count):
    return tuple(float(f"{x:.4g}") for x in np.logspace(low, high, count))


@dataclasses.dataclass(frozen=True)
class Config(configuration.Config):
    """Every field is a flag; the defaults are the paper's values.

    The text gives neither optimiser nor batch size nor epochs: those here are
    of the authors' code, without its decay of the step on a plateau.
    """

    seeds: tuple[int, ...] = field(
        tuple(range(9)),
        "Seeds; for each, one network of every setting is trained.",
        part=True,
        at_least=0,
        less_than=2**31,
        distinct=True,
    )
    dataset: str = field(
        "mnist", "Data set of images.", one_of=("mnist", "digits")
    )
    l2: tuple[float, ...] = field(
        _logspace(-5, -1, 9),
        "Strengths of L2 where it is alone (Table 1).",
        above=0,
    )
    l1: tuple[float, ...] = field(
        _logspace(-5, -2, 7),
        "Strengths of L1, with mild L2 beside it (Table 1).",
        above=0,
    )
    dropout: tuple[float, ...] = field(
        tuple(round(0.05 * i, 2) for i in range(1, 15)),
        "Dropout rates, with mild L2 beside them (Table 1).",
        above=0,
        less_than=1,
    )
    mild_l2: float = field(
        1e-5, "Strength of L2 beside L1 or dropout.", at_least=0
    )
    sizes: tuple[int, ...] = field(
        (64, 64), "Units of the two hidden layers.", at_least=4
    )
    untrained: int = field(
        500, "Number of networks that are not trained.", part=True, at_least=2
    )
    batch_size: int = field(200, "Images in a training step.", at_least=1)
    network_steps: int = field(
        137_500,
        "Training steps of each network.",
        at_least=1,
        multiple_of="log_steps",
    )
    network_lr: float = field(
        1e-3, "Learning rate of Adam for the weights of a network.", above=0
    )
    log_steps: int = field(
        275,
        "Steps between two points in TensorBoard; must divide --network_steps.",
        at_least=1,
    )
    call_steps: int = field(
        25,
        "Training steps of one compiled call; must divide --log_steps and "
        "--network_steps.",
        names_run=False,
        at_least=1,
    )
    score_images: int = field(
        0,
        "Number of test images for scores and similarities; 0 for all.",
        at_least=0,
    )
    min_accuracy: float = field(
        0.8,
        "Networks with a lower accuracy are dropped.",
        at_least=0,
        at_most=1,
    )
    search_steps: int = field(
        1000, "Monte Carlo steps of the search for clusters.", at_least=1
    )
    restarts: int = field(
        10,
        "Restarts of a second, better search for Q beside that of the "
        "paper; 0 for no such search.",
        at_least=0,
    )
    subsample: float = field(
        0.05,
        "Share of matrices searched from one cluster as well (figure S2), and "
        "of pairs of clusterings with a permutation null.",
        at_least=0,
        at_most=1,
    )
    permutations: int = field(
        20, "Permutations for the null of a pair of clusterings.", at_least=1
    )

    def __post_init__(self):
        super().__post_init__()
        for kind in summaries.KINDS:
            values = getattr(self, kind)
            if len(values) < 2 or list(values) != sorted(set(values)):
                raise ValueError(
                    f"--{kind} must be two strengths or more that rise, got "
                    f"{','.join(map(str, values))}."
                )
        if len(self.sizes) != 2:
            raise ValueError(
                f"--sizes must be two numbers, got {len(self.sizes)}."
            )
        if self.score_images == 1:
            raise ValueError("--score_images must be 0 or at least 2, got 1.")
        for name in ("log_steps", "network_steps"):
            # `multiple_of` would allow fewer steps than one call makes.
            steps = getattr(self, name)
            if steps % self.call_steps:
                raise ValueError(
                    f"--{name} must be a multiple of --call_steps="
                    f"{self.call_steps}, got {steps}."
                )

    def settings(self):
        """Returns Table 1: pairs of a kind and a strength."""
        return [
            (kind, strength)
            for kind in summaries.KINDS
            for strength in getattr(self, kind)
        ]


EXPERIMENT = experiment.Experiment(
    name="unit_clustering",
    title="Which units act alike? Clusters of units.",
    paper="Lange et al., 2022",
    figures={
        "3": "modularity by strength of regularization",
        "4": "agreement of clusterings",
        "S1": "performance by strength",
        "S2": "search for clusters",
        "S3": "modularity by layer",
        "S4": "number of clusters by layer",
        "S5": "agreement by strength",
    },
    config=Config,
    plan=stages.plan,
    phases=stages.phases,
    claims=claims.claims,
    draw=figures.draw,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)

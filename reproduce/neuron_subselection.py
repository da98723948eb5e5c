r"""Which neurons does a class use? (Elbastawisy & Afrin, 2025)

Trains a CNN, selects the neurons of each class by thresholding and by Bayesian
masking, and shows what classes share and what removing their neurons does:
Elbastawisy and Afrin (2025), sections 4 and 5; figures 1 to 6.

python -m reproduce.neuron_subselection \
    --flagfile=reproduce/flags/neuron_subselection_demo.flags
"""

import dataclasses

from reproduce.elbastawisy2025 import claims, figures, stages
from reproduce.publishing import experiment
from reproduce.running import configuration

field = configuration.field


@dataclasses.dataclass(frozen=True)
class Config(configuration.Config):
    """Every field is a flag; the defaults are the paper's values."""

    datasets: tuple[str, ...] = field(
        ("mnist", "cifar10"),
        "Data set of images.",
        part=True,
        one_of=("mnist", "cifar10", "digits"),
        distinct=True,
    )
    methods: tuple[str, ...] = field(
        ("threshold", "bayesian", "relative"),
        "Ways to select neurons: thresholding; masking; masking with t_high "
        "at each layer's --percentile of the means of all classes.",
        part=True,
        one_of=("threshold", "bayesian", "relative"),
        distinct=True,
    )
    experiments: tuple[str, ...] = field(
        ("sharing", "ablation"),
        "Which of the report's two experiments to run.",
        part=True,
        one_of=("sharing", "ablation"),
        distinct=True,
    )
    select_on: str = field(
        "train",
        "Images that select the neurons; the authors select on test images.",
        one_of=("train", "test"),
    )
    batch_size: int = field(128, "Images in a training step.", at_least=1)
    network_steps: int = field(
        10_000,
        "Training steps of each network.",
        at_least=1,
        multiple_of="log_steps",
    )
    network_lr: float = field(
        1e-3, "Learning rate of RMSprop for the weights of a network.", above=0
    )
    percentile: float = field(
        70.0,
        "Thresholding: neurons above this percentile of their layer are "
        "active. Relative masking: t_high is this percentile.",
        at_least=0,
        less_than=100,
    )
    t_high: float = field(
        0.55, "Masking: a neuron whose mean is surely above this is on."
    )
    t_low: float = field(
        1e-5, "Masking: a neuron whose mean is surely below this is off."
    )
    tau: float = field(
        0.8,
        "Masking: probability from which a decision counts as sure.",
        at_least=0.5,
        less_than=1,
    )
    pairs: int = field(
        10,
        "Number of random pairs of classes; the report has 10.",
        at_least=1,
        at_most=45,
    )
    permutations: int = field(
        200,
        "Of the labels of a pair, for the null distribution; with fewer than "
        "19 no p could be as low as 5 %.",
        at_least=19,
    )
    score_images: int = field(
        0,
        "Number of validation images, and of test images, to score on; 0 "
        "for all.",
        at_least=0,
    )
    null_images: int = field(
        500,
        "Largest number of images of a class in the permutation test.",
        at_least=2,
    )
    log_steps: int = field(
        500,
        "Steps between two points in TensorBoard; must divide --network_steps.",
        at_least=1,
    )

    def __post_init__(self):
        super().__post_init__()
        if not self.t_low < self.t_high:
            raise ValueError(
                f"--t_low={self.t_low} must be below --t_high={self.t_high}."
            )


EXPERIMENT = experiment.Experiment(
    name="neuron_subselection",
    title="Which neurons does a class use?",
    paper="Elbastawisy & Afrin, 2025",
    figures={
        "1": "neurons shared by classes, thresholding",
        "2": "by similar subtasks, thresholding",
        "3": "by classes, masking",
        "4": "by similar subtasks, masking",
        "5": "confusion without a class, MNIST",
        "6": "the same, CIFAR-10",
    },
    config=Config,
    plan=stages.plan,
    phases=stages.phases,
    claims=claims.claims,
    draw=figures.draw,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)

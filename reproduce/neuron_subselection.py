r"""Which neurons does a class use? Neuron subselection in CNNs.

Trains a CNN, selects the neurons of each class by thresholding and by Bayesian
masking, and shows what classes share and what removing their neurons does:
Elbastawisy and Afrin (2025), sections 4 and 5; figures 1 to 6.

python -m reproduce.neuron_subselection \
    --flagfile=reproduce/flags/neuron_subselection_demo.flags
"""

import dataclasses

from reproduce.elbastawisy2025 import figures, findings, stages
from reproduce.harness import config as harness_config
from reproduce.harness import experiment

PAPER = "Elbastawisy & Afrin, 2025"
FIGURES = {
    "1": "neurons shared by classes, thresholding",
    "2": "by similar subtasks, thresholding",
    "3": "by classes, masking",
    "4": "by similar subtasks, masking",
    "5": "confusion without a class, MNIST",
    "6": "the same, CIFAR-10",
}
field = harness_config.field


@dataclasses.dataclass(frozen=True)
class Config(harness_config.Config):
    """Every field is a flag; the defaults are the paper's values."""

    datasets: tuple[str, ...] = field(
        ("mnist", "cifar10"),
        "Images.",
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
        "Experiments 1 and 2 of the text.",
        part=True,
        one_of=("sharing", "ablation"),
        distinct=True,
    )
    select_on: str = field(
        "train",
        "Data that select the neurons; test as the authors.",
        one_of=("train", "test"),
    )
    batch_size: int = field(128, "Images a step.", at_least=1)
    network_steps: int = field(
        10_000, "Steps of the weights.", at_least=1, multiple_of="log_steps"
    )
    network_lr: float = field(1e-3, "RMSprop step of the weights.", above=0)
    percentile: float = field(
        70.0,
        "Thresholding: neurons above it are active; relative masking.",
        at_least=0,
        less_than=100,
    )
    t_high: float = field(0.55, "Masking: surely above it, a neuron is on.")
    t_low: float = field(1e-5, "Masking: surely below it, a neuron is off.")
    tau: float = field(
        0.8,
        "Masking: how sure a decision must be.",
        at_least=0.5,
        less_than=1,
    )
    pairs: int = field(
        10, "Random pairs of classes, as the text.", at_least=1, at_most=45
    )
    permutations: int = field(
        200,
        "Of the labels of a pair, for the null distribution; with fewer than "
        "19 no p could be as low as 5 %.",
        at_least=19,
    )
    score_images: int = field(
        0,
        "Validation and test images to score on, each; 0 for all.",
        at_least=0,
    )
    null_images: int = field(
        500, "Images of a class in the permutation test, at most.", at_least=2
    )
    log_steps: int = field(
        500,
        "Steps between points in TensorBoard; divides network_steps.",
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
    config=Config,
    plan=stages.plan,
    phases=stages.phases,
    claims=findings.claims,
    draw=figures.draw,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)

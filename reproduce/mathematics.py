r"""Do harder questions need more weights? Mathematics (Csordas et al., 2021).

Trains one Transformer for each module on easy, medium and hard questions, then
masks on all of them and on the easy ones, and shows how well the masks answer
the hard ones: section 4, appendix C.6.2; figures 5 and 17.

python -m reproduce.mathematics \
    --flagfile=reproduce/flags/mathematics_demo.flags
"""

import dataclasses

from reproduce.csordas2021.sequences import (
    mathematics,
    mathematics_claims,
)
from reproduce.publishing import experiment
from reproduce.running import configuration
from reproduce.running.configuration import field

_EACH = "One value for all modules, or one for each in the order " + ", ".join(
    mathematics.MODULES
)


@dataclasses.dataclass(frozen=True)
class Config(configuration.Config):
    """Every field is a flag; the defaults are the paper's values, Table 1."""

    modules: tuple[str, ...] = field(
        mathematics.MODULES,
        "Modules of the data set; each has a network of its own.",
        part=True,
        one_of=mathematics.MODULES,
        distinct=True,
    )
    train_size: int = field(
        656_666, "Questions of each level to train on.", at_least=1
    )
    validation_size: int = field(
        10_000, "Questions of each level to validate on.", at_least=2
    )
    data_seed: int = field(0, "Seed of the questions.", at_least=0)
    batch_sizes: tuple[int, ...] = field(
        (256, 512, 128, 256, 128),
        f"Examples in a training step of the network. {_EACH}.",
        at_least=1,
    )
    network_steps: tuple[int, ...] = field(
        (30_000, 200_000, 40_000, 30_000, 200_000),
        f"Training steps of each network. {_EACH}.",
        at_least=1,
        multiple_of="log_steps",
    )
    network_lr: float = field(
        1e-4, "Learning rate of Adam for the weights of a network.", above=0
    )
    warmup_steps: tuple[int, ...] = field(
        (0, 5000, 0, 0, 5000),
        f"Warm-up steps until --network_lr is reached. {_EACH}.",
        at_least=0,
    )
    mask_batch_sizes: tuple[int, ...] = field(
        (256, 400, 128, 256, 256),
        f"Examples in a training step of a mask. {_EACH}.",
        at_least=1,
    )
    mask_steps: tuple[int, ...] = field(
        (30_000, 50_000, 40_000, 30_000, 50_000),
        f"Training steps of each mask. {_EACH}.",
        at_least=1,
        multiple_of="log_steps",
    )
    mask_lrs: tuple[float, ...] = field(
        (0.03, 0.02, 0.03, 0.03, 0.02),
        f"Learning rate of Adam for the logits of a mask. {_EACH}.",
        above=0,
    )
    betas: tuple[float, ...] = field(
        (2e-5, 1e-6, 1e-5, 3e-6, 1e-6),
        "Strength of the penalty: each logit of a mask costs beta / mask "
        f"batch size. {_EACH}.",
        at_least=0,
    )
    find_beta: bool = field(
        False, "Find beta by the rule of appendix C.2, starting at --betas."
    )
    num_samples: int = field(
        8, "Masks that are drawn for each batch.", at_least=1
    )
    keep_probability: float = field(
        0.9,
        "Probability that a weight is kept, at the start of mask training.",
        above=0,
        less_than=1,
    )
    clip_norm: float = field(
        1.0,
        "Largest norm of the gradient; a larger one is scaled down.",
        above=0,
    )
    log_steps: int = field(
        500,
        "Steps between two points in TensorBoard; must divide the numbers "
        "of steps.",
        at_least=1,
    )
    model_size: int = field(
        256, "Width of the Transformer (d_model).", at_least=1
    )
    inner_size: int = field(
        512, "Units of the Transformer's feed-forward layers.", at_least=1
    )
    heads: int = field(4, "Attention heads of the Transformer.", at_least=1)
    layers: int = field(
        3,
        "Layers of the Transformer's encoder, and of its decoder.",
        at_least=1,
    )
    dropout: float = field(
        0.1, "Dropout rate of the Transformer.", at_least=0, less_than=1
    )

    def __post_init__(self):
        super().__post_init__()
        count = len(mathematics.MODULES)
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if _EACH in f.metadata["help"] and len(value) not in (1, count):
                raise ValueError(
                    f"--{f.name} must have 1 value or {count}, got "
                    f"{len(value)}."
                )
        if min(self.mask_batch_sizes) < self.num_samples:
            raise ValueError(
                f"--mask_batch_sizes={min(self.mask_batch_sizes)} is smaller "
                f"than --num_samples={self.num_samples}."
            )
        if self.find_beta and not all(self.betas):
            raise ValueError("--find_beta starts at --betas, got a 0 there.")
        if self.model_size % self.heads:
            raise ValueError(
                f"--heads={self.heads} must divide --model_size="
                f"{self.model_size}."
            )


EXPERIMENT = experiment.Experiment(
    name="mathematics",
    title="Do harder questions need more weights? Mathematics.",
    paper="Csordas et al., 2021",
    figures={
        "5": "accuracy on hard questions by mask",
        "17": "examples of questions",
    },
    config=Config,
    plan=mathematics.plan,
    phases=mathematics.phases,
    claims=mathematics_claims.claims,
    draw=mathematics_claims.draw,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)

"""Trains networks to answer questions: flags and stages of mathematics."""

import dataclasses
import functools

import keras
import numpy as np

from modularity_tf import WeightMask
from reproduce.csordas2021 import mask_training
from reproduce.csordas2021.mask_training import AGAIN
from reproduce.csordas2021.sequences import (
    mathematics_data,
    networks,
    pairs,
    scores,
    stages,
)
from reproduce.csordas2021.subject import Settings, Subject, adam
from reproduce.running import configuration, training
from reproduce.running.configuration import field
from reproduce.running.run import Run
from reproduce.running.stage import Stage

MODULES, LEVELS = mathematics_data.MODULES, mathematics_data.LEVELS
EASY, HARD = LEVELS[0], LEVELS[-1]
ALL = "all"  # the mask of all levels: the control
CHARACTERS = pairs.Vocabulary(mathematics_data.CHARACTERS)
POSITIONS = mathematics_data.MAX_QUESTION + 1  # and an end
EXAMPLES = 2  # questions of each level that records show


_EACH = "One value for all modules, or one for each in the order " + ", ".join(
    MODULES
)


@dataclasses.dataclass(frozen=True)
class Config(configuration.Config):
    """Every field is a flag; the defaults are the paper's values, Table 1."""

    modules: tuple[str, ...] = field(
        MODULES,
        "Modules of the data set; each has a network of its own.",
        part=True,
        one_of=MODULES,
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
        count = len(MODULES)
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


@functools.lru_cache(maxsize=1)
def load(
    module: str, train_size: int, validation_size: int, seed: int
) -> tuple[dict[str, pairs.Sequences], dict[str, pairs.Sequences]]:
    """Returns what to train on, a dict of `Sequences`, and to validate on.

    The first also has all levels together, as `ALL`.
    """
    train, validation = {}, {}
    for level, split in mathematics_data.splits(
        module, train_size, validation_size, seed
    ).items():
        train[level], validation[level] = (
            pairs.encode(part, CHARACTERS, CHARACTERS, POSITIONS)
            for part in split
        )
    train[ALL] = pairs.joined([*train.values()])
    return train, validation


@dataclasses.dataclass(frozen=True)
class Questions:
    """The questions of a module, generated where they are asked for."""

    module: str
    train_size: int
    validation_size: int
    seed: int

    def train(self, level: str) -> pairs.Sequences:
        """Returns the questions of a level to train on, or of all (`ALL`)."""
        return load(**dataclasses.asdict(self))[0][level]

    def sample(self) -> pairs.Sequences:
        """Returns some of the questions to train on, of all levels."""
        return stages.some(self.train(ALL), self.validation_size, 0)

    @property
    def validation(self) -> dict[str, pairs.Sequences]:
        """Dict from level to the questions that score a network."""
        return load(**dataclasses.asdict(self))[1]


def subjects(config: Config, seed: int) -> list[Subject[Questions]]:
    """Returns the networks of a repeat; their tasks are levels, or `ALL`."""
    return [subject_of(config, seed, module) for module in config.modules]


def subject_of(config: Config, seed: int, module: str) -> Subject[Questions]:
    """Returns the network of a module and seed."""

    def own(values):
        return values[MODULES.index(module) if len(values) > 1 else 0]

    questions = Questions(
        module, config.train_size, config.validation_size, config.data_seed
    )
    return stages.subject_of(
        kind="transformer",
        train=questions.train,
        # Judged on what masks are trained on: validation is for scores.
        sample=questions.sample,
        name=module,
        folder=f"{module}/seed{seed}",
        seed=seed,
        settings=Settings.of(
            config,
            batch_size=own(config.batch_sizes),
            network_steps=own(config.network_steps),
            mask_batch_size=own(config.mask_batch_sizes),
            mask_steps=own(config.mask_steps),
            mask_lr=own(config.mask_lrs),
            beta=own(config.betas),
        ),
        data=questions,
        build=functools.partial(
            build, config, configuration.derive_seed(seed, "network", module)
        ),
        optimizer=functools.partial(
            adam,
            config.network_lr,
            config.clip_norm,
            own(config.warmup_steps),
            epsilon=1e-9,
            beta_2=0.995,
        ),
        whole=ALL,
    )


def build(config: Config, seed: int) -> keras.Model:
    """Returns the untrained network."""
    return networks.transformer(
        len(CHARACTERS),
        len(CHARACTERS),
        POSITIONS,
        config.model_size,
        config.inner_size,
        config.heads,
        config.layers,
        config.dropout,
        tied=True,
        seed=seed,
    )


def plan(run: Run) -> list[dict]:
    """Plans all networks and masks; returns the records to be."""
    return [
        plan_module(run, subject)
        for seed in run.config.seeds
        for subject in subjects(run.config, seed)
    ]


def plan_module(run: Run, subject: Subject[Questions]) -> dict:
    """Plans the stages of one module and seed; returns the record to be."""
    stage = functools.partial(mask_training.plan, run, subject)
    network = mask_training.plan_network(run, subject)
    search, alpha = mask_training.plan_search(run, subject, network)
    masks, scored = {}, {}
    for levels in (ALL, EASY):
        for task in (levels, levels + AGAIN):
            masks[task] = mask_training.plan_mask(
                run, subject, network, task, levels, alpha
            )
            scored[task] = stage(
                f"scores_{task}", score_mask, network, masks[task]
            )
    return {
        "module": subject.name,
        "seed": subject.seed,
        "dense": stage("scores_dense", score, network),
        "examples": stage("examples", answers, network, masks[EASY]),
        "alpha_search": search,
        "beta": run.combine(subject.settings.found_beta, search),
        "masks": run.combine(stages.describe_all, masks, scored),
    }


def score(
    stage: Stage, subject: Subject[Questions], network: keras.Model
) -> dict[str, float]:
    """Returns a network's accuracy on each level, a dict."""
    return stages.accuracies(network, subject.data.validation)


def score_mask(
    stage: Stage,
    subject: Subject[Questions],
    network: keras.Model,
    mask: WeightMask,
) -> dict:
    """Returns what a mask keeps of each level, and its controls on hard."""
    validation = subject.data.validation
    return {
        "levels": score(stage, subject, mask.apply(network)),
        **stages.controls(stage, network, mask, validation[HARD]),
    }


def answers(
    stage: Stage,
    subject: Subject[Questions],
    network: keras.Model,
    mask: WeightMask,
) -> list[dict[str, str]]:
    """Returns questions and what is answered to them, a list of dicts.

    Decoded one character after the other: with all weights and with those
    that the mask of easy questions keeps.
    """
    validation = subject.data.validation
    shown = pairs.joined(
        [validation[level].first(EXAMPLES) for level in LEVELS]
    )
    steps = mathematics_data.MAX_ANSWER + 1
    said = [
        scores.decode(model, shown.source, steps)
        for model in (network, mask.apply(network))
    ]
    levels = np.repeat(LEVELS, EXAMPLES).tolist()
    return [
        {
            "level": level,
            **{
                name: "".join(CHARACTERS.decode(row.tolist()))
                for name, row in zip(
                    ("question", "answer", "dense", EASY), rows
                )
            },
        }
        for level, *rows in zip(levels, shown.source, shown.target, *said)
    ]


def phases(config: Config) -> dict[str, training.Phase]:
    """Returns what the estimate times, for each module."""
    return mask_training.phases(subjects(config, 0))

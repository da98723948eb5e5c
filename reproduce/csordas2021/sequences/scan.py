"""Trains networks to act on commands, and masks: flags and stages of scan."""

import dataclasses
import functools
import operator
from collections.abc import Iterable, Mapping

import keras

from modularity_tf import WeightMask
from reproduce.csordas2021 import mask_training
from reproduce.csordas2021.mask_training import AGAIN
from reproduce.csordas2021.sequences import (
    networks,
    pairs,
    scan_data,
    stages,
)
from reproduce.csordas2021.sequences.scan_data import SIMPLE
from reproduce.csordas2021.subject import Settings, Subject, adam
from reproduce.running import configuration, training
from reproduce.running.configuration import field
from reproduce.running.run import Run
from reproduce.running.stage import Stage

NETWORKS = ("lstm", "transformer")
SPLITS = scan_data.SPLITS[1:]  # those that generalization is tested on
POSITIONS = 49  # the longest output has 48 actions, and an end
COMMANDS = pairs.Vocabulary(scan_data.INPUT_WORDS)
ACTIONS = pairs.Vocabulary(scan_data.OUTPUT_TOKENS)
TOKENS = ("end", *scan_data.OUTPUT_TOKENS)  # by number


@dataclasses.dataclass(frozen=True)
class Config(mask_training.Config):
    """Every field is a flag; the defaults are the paper's values."""

    networks: tuple[str, ...] = field(
        NETWORKS,
        "Networks to train.",
        part=True,
        one_of=NETWORKS,
        distinct=True,
    )
    splits: tuple[str, ...] = field(
        SPLITS,
        "Splits of the data set that test generalization.",
        part=True,
        one_of=SPLITS,
        distinct=True,
    )
    split_seed: int = field(
        0,
        "Seed of the random split `simple`, which is not the official one.",
        at_least=0,
    )
    test_size: int = field(
        0, "Number of commands to score a network on; 0 for all.", at_least=0
    )
    batch_size: int = field(
        256, "Examples in a training step of the network.", at_least=1
    )
    network_steps: int = field(
        25_000,
        "Training steps of each network.",
        at_least=1,
        multiple_of="log_steps",
    )
    mask_batch_size: int = field(
        256, "Examples in a training step of a mask.", at_least=1
    )
    mask_steps: int = field(
        25_000,
        "Training steps of each mask.",
        at_least=1,
        multiple_of="log_steps",
    )
    mask_lr: float = field(
        1e-2, "Learning rate of Adam for the logits of a mask.", above=0
    )
    beta: float = field(
        3e-5,
        "Strength of the LSTM's penalty: each logit of a mask costs beta / "
        "mask_batch_size.",
        at_least=0,
    )
    transformer_beta: float = field(
        1e-3,
        "Strength of the Transformer's penalty, in place of --beta.",
        at_least=0,
    )
    clip_norm: float = field(
        5.0,
        "Largest norm of the gradient; a larger one is scaled down.",
        above=0,
    )
    embedding_size: int = field(
        16, "Size of the LSTM's embeddings.", at_least=1
    )
    hidden_size: int = field(200, "Units of an LSTM layer.", at_least=1)
    lstm_layers: int = field(
        2, "Layers of the encoder's LSTM, and of the decoder's.", at_least=1
    )
    lstm_dropout: float = field(
        0.5, "Dropout rate of the LSTM.", at_least=0, less_than=1
    )
    teacher_forcing: float = field(
        0.5,
        "Share of the LSTM's batches with teacher forcing.",
        at_least=0,
        at_most=1,
    )
    model_size: int = field(
        100, "Width of the Transformer (d_model).", at_least=1
    )
    inner_size: int = field(
        200, "Units of the Transformer's feed-forward layers.", at_least=1
    )
    heads: int = field(4, "Attention heads of the Transformer.", at_least=1)
    transformer_layers: int = field(
        3,
        "Layers of the Transformer's encoder, and of its decoder.",
        at_least=1,
    )
    transformer_dropout: float = field(
        0.1, "Dropout rate of the Transformer.", at_least=0, less_than=1
    )

    def __post_init__(self):
        super().__post_init__()
        if self.find_beta and not self.transformer_beta:
            raise ValueError(
                "--find_beta starts at --transformer_beta, got "
                "--transformer_beta=0."
            )
        if self.model_size % self.heads:
            raise ValueError(
                f"--heads={self.heads} must divide --model_size="
                f"{self.model_size}."
            )


@functools.cache
def load(split: str, seed: int) -> tuple[pairs.Sequences, pairs.Sequences]:
    """Returns a split's commands to train on and to test, two `Sequences`.

    Args:
        split: Str.
        seed: Int, of the split "simple".
    """
    return tuple(
        pairs.encode(
            [(e.command.split(), e.actions.split()) for e in examples],
            COMMANDS,
            ACTIONS,
            POSITIONS,
        )
        for examples in scan_data.split(split, seed)
    )


@dataclasses.dataclass(frozen=True)
class Commands:
    """The commands of all splits.

    Attributes:
        split_seed: Int, of the split "simple".
        test_size: Int, the commands that score a network, or 0 for all.
    """

    split_seed: int
    test_size: int

    def train(self, split: str) -> pairs.Sequences:
        """Returns the commands to train on."""
        return load(split, self.split_seed)[0]

    def tested(self, split: str) -> pairs.Sequences:
        """Returns the commands that score a network on a split."""
        _, test = load(split, self.split_seed)
        return stages.some(test, self.test_size, 0)

    def trained(self, split: str) -> pairs.Sequences:
        """Returns commands of the training part, as many as are tested."""
        return stages.some(self.train(split), self.test_size or 2000, 1)


def subjects(config: Config, seed: int) -> list[Subject[Commands]]:
    """Returns the networks of a repeat; their tasks are the splits."""
    return [subject_of(config, seed, name) for name in config.networks]


def subject_of(config: Config, seed: int, name: str) -> Subject[Commands]:
    """Returns the network of a name and seed."""
    commands = Commands(config.split_seed, config.test_size)
    is_lstm = name == "lstm"
    return stages.subject_of(
        kind=name,
        train=commands.train,
        # Judged on what masks are trained on: test commands are for tests.
        sample=functools.partial(commands.trained, SIMPLE),
        teacher_forcing=config.teacher_forcing if is_lstm else 1.0,
        name=name,
        folder=f"{name}/seed{seed}",
        seed=seed,
        settings=Settings.of(
            config, beta=config.beta if is_lstm else config.transformer_beta
        ),
        data=commands,
        build=functools.partial(
            build, config, name, configuration.derive_seed(seed, "network")
        ),
        optimizer=functools.partial(adam, config.network_lr, config.clip_norm),
        whole=SIMPLE,
    )


def build(config: Config, name: str, seed: int) -> keras.Model:
    """Returns the untrained network."""
    if name == "lstm":
        return networks.lstm(
            len(COMMANDS),
            len(ACTIONS),
            config.embedding_size,
            config.hidden_size,
            config.lstm_layers,
            config.lstm_dropout,
            seed,
        )
    return networks.transformer(
        len(COMMANDS),
        len(ACTIONS),
        POSITIONS,
        config.model_size,
        config.inner_size,
        config.heads,
        config.transformer_layers,
        config.transformer_dropout,
        seed=seed,
    )


def plan(run: Run) -> list[dict]:
    """Plans all networks and masks; returns the records to be."""
    return [
        plan_network(run, subject)
        for seed in run.config.seeds
        for subject in subjects(run.config, seed)
    ]


def plan_network(run: Run, subject: Subject[Commands]) -> dict:
    """Plans the stages of one network and seed; returns the record to be."""
    stage = functools.partial(mask_training.plan, run, subject)
    network = mask_training.plan_network(run, subject)
    search, alpha = mask_training.plan_search(run, subject, network)
    splits, masks, scores = (SIMPLE, *run.config.splits), {}, {}
    for split in splits:
        for task in (split, split + AGAIN):
            masks[task] = mask_training.plan_mask(
                run, subject, network, task, split, alpha
            )
            scores[task] = stage(
                f"scores_{task}",
                score_mask,
                network,
                masks[task],
                split,
                splits if split == SIMPLE else (split,),
            )
    alone = {}
    for split in run.config.splits:
        other = mask_training.plan_network(
            run, subject, f"alone_{split}", split
        )
        scored = stage(f"scores_alone_{split}", score, other, (split,))
        alone[split] = run.combine(operator.itemgetter(split), scored)
    return {
        "network": subject.name,
        "seed": subject.seed,
        "dense": stage("scores_dense", score, network, splits),
        "alone": alone,
        "alpha_search": search,
        "beta": run.combine(subject.settings.found_beta, search),
        "masks": run.combine(stages.describe_all, masks, scores),
        "removed": run.combine(removed_by_token, masks),
    }


def removed_by_token(masks: Mapping[str, WeightMask]) -> dict[str, list]:
    """Returns which share of the output layer each mask lacks, token by token.

    Of the weights that the mask of the full problem keeps; figure 4b. That
    mask, extracted again, is the control.

    Returns:
        Dict from the other masks to shares, as `TOKENS`.
    """
    (path,) = (
        p for p in masks[SIMPLE].values if f"/{p}".endswith("/output/kernel")
    )
    kept = masks[SIMPLE].values[path]
    return {
        task: (
            (kept & ~mask.values[path]).sum(axis=0)
            / kept.sum(axis=0).clip(min=1)
        ).tolist()
        for task, mask in masks.items()
        if task == SIMPLE + AGAIN
        or (task != SIMPLE and not task.endswith(AGAIN))
    }


def score(
    stage: Stage,
    subject: Subject[Commands],
    network: keras.Model,
    splits: Iterable[str],
) -> dict[str, float]:
    """Returns a network's accuracy on the test part of splits, a dict."""
    return stages.accuracies(
        network, {split: subject.data.tested(split) for split in splits}
    )


def score_mask(
    stage: Stage,
    subject: Subject[Commands],
    network: keras.Model,
    mask: WeightMask,
    split: str,
    tested: Iterable[str],
) -> dict:
    """Returns what a mask keeps, what chance does, what it removes.

    Returns:
        Dict: "test", by split, those of `tested`; "train", "random" and
        "complement", on the mask's own split.
    """
    part, commands = mask.apply(network), subject.data
    return {
        "test": score(stage, subject, part, tested),
        **stages.accuracies(part, {"train": commands.trained(split)}),
        **stages.controls(stage, network, mask, commands.tested(split)),
    }


def phases(config: Config) -> dict[str, training.Phase]:
    """Returns what the estimate times, for each network."""
    return mask_training.phases(subjects(config, 0))

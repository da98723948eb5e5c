"""Trains networks to act on commands, and masks of the splits: stages of scan.

The functions take the `Config` of `reproduce.scan`.
"""

import functools
import operator

from reproduce.csordas2021 import mask_training
from reproduce.csordas2021.mask_training import AGAIN
from reproduce.csordas2021.sequences import (
    networks,
    pairs,
    scan_data,
    stages,
)
from reproduce.csordas2021.sequences.scan_data import SIMPLE

NETWORKS = ("lstm", "transformer")
SPLITS = scan_data.SPLITS[1:]  # those that generalization is tested on
POSITIONS = 49  # the longest output has 48 actions, and an end
COMMANDS = pairs.Vocabulary(scan_data.INPUT_WORDS)
ACTIONS = pairs.Vocabulary(scan_data.OUTPUT_TOKENS)
TOKENS = ("end", *scan_data.OUTPUT_TOKENS)  # by number


def plan(run):
    """Plans all networks and masks; returns the records to be."""
    return [
        plan_network(run, name, seed)
        for seed in run.config.seeds
        for name in run.config.networks
    ]


def plan_network(run, name, seed):
    """Plans the stages of one network and seed; returns the record to be."""
    config = run.config

    def stage(what, function, *args, **kwargs):
        return run.stage(
            f"{name}/seed{seed}/{what}", function, *args, seed=seed, **kwargs
        )

    def network_of(what, split):
        return stage(
            what,
            train_network,
            name,
            split,
            steps=config.network_steps,
            phase=f"{name}: network",
        )

    network = network_of("network", SIMPLE)
    search = alpha = None
    if config.find_beta:
        search = stage("alpha_search", find_alpha, network)
        alpha = run.combine(operator.itemgetter("alpha"), search)
    splits, masks, scores = (SIMPLE, *config.splits), {}, {}
    for split in splits:
        for task in (split, split + AGAIN):
            masks[task] = stage(
                f"mask_{task}",
                train_mask,
                network,
                split,
                alpha,
                steps=config.mask_steps,
                phase=f"{name}: masks",
            )
            scores[task] = stage(
                f"scores_{task}", score_mask, network, masks[task], split
            )
    alone = {}
    for split in config.splits:
        other = network_of(f"alone_{split}", split)
        scored = stage(f"scores_alone_{split}", score, other, (split,))
        alone[split] = run.combine(operator.itemgetter(split), scored)
    return {
        "network": name,
        "seed": seed,
        "dense": stage("scores_dense", score, network, splits),
        "alone": alone,
        "alpha_search": search,
        "beta": run.combine(
            functools.partial(
                mask_training.found_beta, settings_of(config, name)
            ),
            search,
        ),
        "masks": run.combine(stages.describe_all, masks, scores),
        "removed": run.combine(removed_by_token, masks),
    }


def removed_by_token(masks):
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


@functools.cache
def load(split, seed):
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


def tested(config, split):
    """Returns the commands that score a network on a split."""
    _, test = load(split, config.split_seed)
    return stages.some(test, config.test_size, 0)


def trained(config, split):
    """Returns commands of the training part, as many as are tested."""
    train, _ = load(split, config.split_seed)
    return stages.some(train, config.test_size or 2000, 1)


@functools.cache
def settings_of(config, name):
    """Returns how a network and its masks are trained, `Settings`."""
    is_lstm = name == "lstm"
    return stages.Settings(
        batch_size=config.batch_size,
        network_steps=config.network_steps,
        optimizer=functools.partial(
            stages.adam,
            config.network_lr,
            config.clip_norm,
            epsilon=1e-8,
        ),
        mask_batch_size=config.mask_batch_size,
        mask_steps=config.mask_steps,
        mask_lr=config.mask_lr,
        beta=config.beta if is_lstm else config.transformer_beta,
        num_samples=config.num_samples,
        keep_probability=config.keep_probability,
        clip_norm=config.clip_norm,
        log_steps=config.log_steps,
        jit_compile=config.jit_compile,
        teacher_forcing=config.teacher_forcing if is_lstm else 1.0,
    )


def untrained(config, name, seed):
    """Returns the network before training."""
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


def train_network(stage, name, split):
    """Returns the network trained on a split."""
    config = stage.config
    train, _ = load(split, config.split_seed)
    return stages.train_network(
        stage,
        settings_of(config, name),
        untrained(config, name, stage.derive_seed("network")),
        train,
    )


def train_mask(stage, network, split, alpha):
    """Returns the mask that keeps what a split's training part needs."""
    config = stage.config
    train, _ = load(split, config.split_seed)
    settings = settings_of(config, network.name)
    return stages.train_mask(stage, settings, network, train, alpha)


def find_alpha(stage, network):
    """Returns an `AlphaSearch` as a dict: masks of the full problem.

    They are judged on what they were trained on: test commands are for tests.
    """
    config = stage.config
    train, _ = load(SIMPLE, config.split_seed)
    settings = settings_of(config, network.name)
    return stages.find_alpha(
        stage, settings, network, train, trained(config, SIMPLE)
    )


def score(stage, network, splits):
    """Returns a network's accuracy on the test part of splits, a dict."""
    return stages.accuracies(
        network, {split: tested(stage.config, split) for split in splits}
    )


def score_mask(stage, network, mask, split):
    """Returns what a mask keeps, what chance does, what it removes.

    Returns:
        Dict: "test", by split, all of them for the full problem; "train",
        "random" and "complement", on the mask's own split.
    """
    config, part = stage.config, mask.apply(network)
    splits = (SIMPLE, *config.splits) if split == SIMPLE else (split,)
    return {
        "test": score(stage, part, splits),
        **stages.accuracies(part, {"train": trained(config, split)}),
        **stages.controls(stage, network, mask, tested(config, split)),
    }


def phases(config):
    """Returns what the estimate times, for each network."""
    train, _ = load(SIMPLE, config.split_seed)
    return {
        f"{name}: {what}": phase
        for name in config.networks
        for what, phase in stages.phases(
            settings_of(config, name), untrained(config, name, 0), train
        ).items()
    }

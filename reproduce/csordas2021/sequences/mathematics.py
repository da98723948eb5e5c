"""Trains networks to answer questions, and masks: stages of mathematics.

The functions take the `Config` of `reproduce.mathematics`.
"""

import functools
import operator

import numpy as np

from reproduce.csordas2021 import mask_training
from reproduce.csordas2021.mask_training import AGAIN
from reproduce.csordas2021.sequences import (
    mathematics_data,
    networks,
    pairs,
    stages,
)
from reproduce.csordas2021.sequences import scores as sequence_scores

MODULES, LEVELS = mathematics_data.MODULES, mathematics_data.LEVELS
EASY, HARD = LEVELS[0], LEVELS[-1]
ALL = "all"  # the mask of all levels: the control
CHARACTERS = pairs.Vocabulary(mathematics_data.CHARACTERS)
POSITIONS = mathematics_data.MAX_QUESTION + 1  # and an end
EXAMPLES = 2  # questions of each level that records show


def plan(run):
    """Plans all networks and masks; returns the records to be."""
    return [
        plan_module(run, module, seed)
        for seed in run.config.seeds
        for module in run.config.modules
    ]


def plan_module(run, module, seed):
    """Plans the stages of one module and seed; returns the record to be."""
    settings = settings_of(run.config, module)

    def stage(what, function, *args, **kwargs):
        return run.stage(
            f"{module}/seed{seed}/{what}",
            function,
            module,
            *args,
            seed=seed,
            **kwargs,
        )

    network = stage(
        "network",
        train_network,
        steps=settings.network_steps,
        phase=f"{module}: network",
    )
    search = alpha = None
    if run.config.find_beta:
        search = stage("alpha_search", find_alpha, network)
        alpha = run.combine(operator.itemgetter("alpha"), search)
    masks, scores = {}, {}
    for levels in (ALL, EASY):
        for task in (levels, levels + AGAIN):
            masks[task] = stage(
                f"mask_{task}",
                train_mask,
                network,
                levels,
                alpha,
                steps=settings.mask_steps,
                phase=f"{module}: masks",
            )
            scores[task] = stage(
                f"scores_{task}", score_mask, network, masks[task]
            )
    return {
        "module": module,
        "seed": seed,
        "dense": stage("scores_dense", score, network),
        "examples": stage("examples", answers, network, masks[EASY]),
        "alpha_search": search,
        "beta": run.combine(
            functools.partial(mask_training.found_beta, settings), search
        ),
        "masks": run.combine(stages.describe_all, masks, scores),
    }


@functools.lru_cache(maxsize=1)
def load(module, train_size, validation_size, seed):
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


def data(config, module):
    """Returns what `load` does, as the configuration has it."""
    return load(
        module, config.train_size, config.validation_size, config.data_seed
    )


@functools.cache
def settings_of(config, module):
    """Returns how a module's network and masks are trained, `Settings`."""

    def own(values):
        return values[MODULES.index(module) if len(values) > 1 else 0]

    return stages.Settings(
        batch_size=own(config.batch_sizes),
        network_steps=own(config.network_steps),
        optimizer=functools.partial(
            stages.adam,
            config.network_lr,
            config.clip_norm,
            own(config.warmup_steps),
            beta_2=0.995,
            epsilon=1e-9,
        ),
        mask_batch_size=own(config.mask_batch_sizes),
        mask_steps=own(config.mask_steps),
        mask_lr=own(config.mask_lrs),
        beta=own(config.betas),
        num_samples=config.num_samples,
        keep_probability=config.keep_probability,
        clip_norm=config.clip_norm,
        log_steps=config.log_steps,
        jit_compile=config.jit_compile,
    )


def untrained(config, seed):
    """Returns the network before training."""
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


def train_network(stage, module):
    """Returns the network trained on all levels."""
    config = stage.config
    train, _ = data(config, module)
    return stages.train_network(
        stage,
        settings_of(config, module),
        untrained(config, stage.derive_seed("network", module)),
        train[ALL],
    )


def train_mask(stage, module, network, levels, alpha):
    """Returns the mask that keeps what the questions of a level need."""
    train, _ = data(stage.config, module)
    settings = settings_of(stage.config, module)
    return stages.train_mask(stage, settings, network, train[levels], alpha)


def find_alpha(stage, module, network):
    """Returns an `AlphaSearch` as a dict: masks of all levels.

    They are judged on what they were trained on; validation is for scores.
    """
    config = stage.config
    train, _ = data(config, module)
    some = stages.some(train[ALL], config.validation_size, 0)
    return stages.find_alpha(
        stage, settings_of(config, module), network, train[ALL], some
    )


def score(stage, module, network):
    """Returns a network's accuracy on each level, a dict."""
    _, validation = data(stage.config, module)
    return stages.accuracies(network, validation)


def score_mask(stage, module, network, mask):
    """Returns what a mask keeps of each level, and its controls on hard."""
    _, validation = data(stage.config, module)
    return {
        "levels": score(stage, module, mask.apply(network)),
        **stages.controls(stage, network, mask, validation[HARD]),
    }


def answers(stage, module, network, mask):
    """Returns questions and what is answered to them, a list of dicts.

    Decoded one character after the other: with all weights and with those
    that the mask of easy questions keeps.
    """
    _, validation = data(stage.config, module)
    shown = pairs.joined(
        [validation[level].first(EXAMPLES) for level in LEVELS]
    )
    steps = mathematics_data.MAX_ANSWER + 1
    said = [
        sequence_scores.decode(model, shown.source, steps)
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


def phases(config):
    """Returns what the estimate times, for each module."""
    found = {}
    for module in config.modules:
        train, _ = data(config, module)
        timed = stages.phases(
            settings_of(config, module), untrained(config, 0), train[ALL]
        )
        found |= {f"{module}: {what}": phase for what, phase in timed.items()}
    return found

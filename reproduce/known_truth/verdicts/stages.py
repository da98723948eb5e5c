"""Judges what pairs of tasks share: stages of sharing_verdict.

Three kinds of re-extraction, from cheap to real: sets drawn from a truth with
known errors; such weights of planted networks, or those with the highest
scores on halves of the examples; and learned masks of several seeds. The
latter two go through `soundness.check`.
"""

import dataclasses
import functools
from typing import Any

import numpy as np

from modularity_tf import WeightMask, soundness
from modularity_tf.masking import find_weights, weight_scores
from modularity_tf.planted import (
    Planted,
    at_least,
    between,
    make_boolean,
    parity,
)
from reproduce.known_truth.verdicts import sets
from reproduce.publishing import records
from reproduce.running import configuration, training
from reproduce.running.configuration import field
from reproduce.running.run import Run
from reproduce.running.stage import Stage

_REST = ((1, parity(4)), (2, parity(4)))


def _network(*outputs, pairs=0):
    return functools.partial(
        make_boolean, (*outputs, *_REST), unread=3, pairs=pairs
    )


# By the share of the first task's units that the second needs.
_NONE = ((0, parity(4)),)
_ALL = ((0, parity(4)), (0, (1, 0, 1, 0, 1)))
NETWORKS = {
    "0": _network(*_NONE),
    "25": _network((0, parity(4)), (0, at_least(4, 3))),
    "50": _network((0, parity(4)), (0, between(4, 1, 2))),
    "100": _network(*_ALL),
    "0, pairs": _network(*_NONE, pairs=2),
    "100, pairs": _network(*_ALL, pairs=2),
}
MASK, NOISY = "mask", "noisy_truth"
METHODS = (NOISY, "magnitude", "gradient", "ablation", MASK)
_RECALL, _FALSE = 0.97, 0.02  # of `NOISY`, of needed weights and of others
_REMOVALS = 60


@dataclasses.dataclass(frozen=True)
class Config(configuration.Config):
    """Every field is a flag."""

    seeds: tuple[int, ...] = field(
        tuple(range(10)),
        "Seeds; each makes one network of each kind.",
        part=True,
        at_least=0,
        less_than=2**31,
        distinct=True,
    )
    sets: int = field(
        100,
        "Pairs of tasks that are drawn for each kind of errors and each "
        "quality.",
        at_least=1,
    )
    methods: tuple[str, ...] = field(
        METHODS,
        "Methods that look for weights in planted networks.",
        part=True,
        one_of=METHODS,
        distinct=True,
    )
    extractions: int = field(4, "Findings of each task.", at_least=1)
    mask_seeds: int = field(
        2**31, "Masks are learned only for seeds below this.", at_least=0
    )
    mask_steps: int = field(
        0,
        "Training steps of a mask at each penalty; 0 for the default of "
        "find_weights.",
        at_least=0,
    )


def plan(run: Run) -> list[dict[str, Any]]:
    """Plans all; returns the records to be, one for each seed."""
    return [
        {
            "seed": seed,
            "sets": {
                f"{errors}/{quality}": run.stage(
                    f"seed{seed}/{errors}_{quality}",
                    judge_sets,
                    errors,
                    quality,
                    seed=seed,
                    steps=1,
                    phase="sets",
                )
                for errors in sets.ERRORS
                for quality in sets.QUALITIES
            },
            "networks": {
                f"{shared}/{method}": run.stage(
                    f"seed{seed}/{shared}_{method}",
                    judge_network,
                    shared,
                    method,
                    seed=seed,
                    steps=1,
                    phase="masks" if method == MASK else "scores",
                )
                for shared in NETWORKS
                for method in run.config.methods
                if method != MASK or seed < run.config.mask_seeds
            },
        }
        for seed in run.config.seeds
    ]


def phases(config: Config) -> dict[str, training.Phase]:
    """Returns what the estimate times; the masks are not in it."""

    def judge(count):
        rng = np.random.default_rng(0)
        for _ in range(count * config.sets):
            sets.judge_case(rng, "task", "good")

    def scores(count):
        for _ in range(count):
            extract(config, NETWORKS["50"](seed=0), 0, "gradient", 0)

    return {
        "sets": training.Phase(judge),
        "scores": training.Phase(scores),
        "masks": training.Phase(scores),
    }


def judge_sets(stage: Stage, errors: str, quality: str) -> dict[str, dict]:
    """Returns the verdicts on sets with known errors, counted.

    Returns:
        Dict from "verdict true" and "verdict false" to a dict from the share
        of parts in common to a count.
    """
    rng = np.random.default_rng(stage.derive_seed(errors, quality))
    found = {}
    for _ in range(stage.config.sets):
        shared, verdict, is_true = sets.judge_case(rng, errors, quality)
        key = f"{verdict} {str(is_true).lower()}"
        counts = found.setdefault(key, {})
        counts[str(shared)] = counts.get(str(shared), 0) + 1
    return found


def judge_network(stage: Stage, shared: str, method: str) -> dict[str, Any]:
    """Returns the verdict of `soundness.check` in a planted network.

    Returns:
        Dict of `verdict`, `true`, `reason`, `index` and `needed`; the verdict
        is `None` where a method finds nothing.
    """
    planted = NETWORKS[shared](seed=stage.seed)
    truths = [planted.weights(i, "needed") for i in (0, 1)]
    dead = planted.weights(0, "absent", "unread", "silent")
    for truth in truths:
        for path, flags in dead.items():
            truth[path] = truth[path][~flags]
    true = sorted(sets.true_verdicts(*truths))
    loss, accuracy = planted.objective(0)
    try:
        first, second = extractions(stage, planted, shared, method)
        found = soundness.check(
            first[0],
            planted.model,
            (planted.inputs, planted.labels),
            loss=loss,
            metrics=[accuracy],
            repeats=first[1:],
            others={"second": second},
            removals=_REMOVALS,
            seed=stage.derive_seed("check"),
        )
    except ValueError as error:  # nothing found, or nothing to check
        return {"verdict": None, "true": true, "reason": str(error)}
    row = vars(found.sharing["second"])
    keys = ("verdict", "reason", "index", "overlap", "floor", "needed")
    return records.without_nan({**{k: row[k] for k in keys}, "true": true})


def extractions(
    stage: Stage, planted: Planted, shared: str, method: str
) -> tuple[list[WeightMask], list[WeightMask]]:
    """Returns the extractions of the first output, and of the second."""
    settings, found = {}, ([], [])
    for output in (0, 1):
        for repeat in range(stage.config.extractions):
            seed = stage.derive_seed(shared, method, output, repeat)
            mask = extract(
                stage.config, planted, output, method, seed, **settings
            )
            found[output].append(mask)
            if method == MASK:  # as that of the first
                keys = ("alpha", "initial_keep_probability")
                settings = {key: mask.provenance[key] for key in keys}
    return found


def extract(
    config: Config,
    planted: Planted,
    output: int,
    method: str,
    seed: int,
    **settings: float,
) -> WeightMask:
    """Returns a `WeightMask` for one output, from half of the inputs.

    Scores are told how many weights are needed, which no user could.

    Args:
        config: `Config`.
        planted: `Planted`.
        output: Int.
        method: One of `METHODS`.
        seed: Int.
        **settings: Those of `find_weights`.
    """
    order = np.random.default_rng(seed).permutation(len(planted.inputs))
    half = order[: len(order) // 2]
    data = planted.inputs[half], planted.labels[half]
    loss, accuracy = planted.objective(output)
    if method == MASK:
        return find_weights.find_weights(
            planted.model,
            data,
            loss=loss,
            metrics=[accuracy],
            steps=config.mask_steps or None,
            seed=seed,
            verbose=0,
            **settings,
        )
    needed = planted.weights(output, "needed")
    if method == NOISY:
        rng = np.random.default_rng(seed)
        return WeightMask(
            {
                path: rng.random(v.shape) < np.where(v, _RECALL, _FALSE)
                for path, v in needed.items()
            },
            {"method": method, "seed": seed},
        )
    scores = weight_scores.weight_scores(
        planted.model, data, method=method, loss=loss, seed=seed
    )
    share = sum(int(v.sum()) for v in needed.values()) / sum(
        v.size for v in needed.values()
    )
    found = weight_scores.mask_of_scores(scores, keep=share)
    return WeightMask(dict(found.values), {"method": method, "seed": seed})

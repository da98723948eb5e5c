"""Networks that answer with sequences, and masks over them.

What `scan` and `mathematics` have in common: subjects, scores, records.
"""

import functools
from collections.abc import Callable, Mapping

import keras
import numpy as np

from modularity_tf import WeightMask
from reproduce.csordas2021.mask_training import AGAIN
from reproduce.csordas2021.sequences import pairs, scores
from reproduce.csordas2021.subject import Subject
from reproduce.publishing import records
from reproduce.running.stage import Stage

# Biases and embeddings are never masked; layer normalization is.
ROLES = {"lstm": "kernels", "transformer": "transformer"}


def subject_of(
    kind: str,
    train: Callable[[str], pairs.Sequences],
    sample: Callable[[], pairs.Sequences],
    teacher_forcing: float = 1.0,
    **attributes: object,
) -> Subject:
    """Returns a network that answers with sequences.

    Args:
        kind: Str, "lstm" or "transformer".
        train: Function from a task to the `Sequences` to train on.
        sample: Function without arguments to the `Sequences` that tell the
            search for beta what a mask keeps.
        teacher_forcing: Float, the share of batches with teacher forcing.
        **attributes: The other attributes of `Subject`.
    """
    return Subject(
        loss=scores.sequence_loss,
        metrics=(scores.whole_sequence_right,),
        roles=ROLES[kind],
        batches=lambda task: functools.partial(
            pairs.batches, train(task), teacher_forcing=teacher_forcing
        ),
        performance=lambda network: scores.accuracy(network, sample()),
        **attributes,
    )


def accuracies(
    network: keras.Model, data: Mapping[str, pairs.Sequences]
) -> dict[str, float]:
    """Returns the accuracy on each of a dict of `Sequences`."""
    return {name: scores.accuracy(network, part) for name, part in data.items()}


def controls(
    stage: Stage, network: keras.Model, mask: WeightMask, data: pairs.Sequences
) -> dict[str, float]:
    """Returns what chance and what the mask removes do with the same task.

    Returns:
        Dict from "random", a mask of the same size in every weight, and
        "complement" to accuracies.
    """
    seed = stage.derive_seed("random mask", stage.name)
    others = {"random": mask.shuffled(seed), "complement": ~mask}
    return {
        name: scores.accuracy(other.apply(network), data)
        for name, other in others.items()
    }


def describe_all(
    masks: Mapping[str, WeightMask], scored: Mapping[str, dict]
) -> dict[str, dict]:
    """Returns what the record has of each task's mask.

    Args:
        masks: Dict from task to `WeightMask`; that of the same task, extracted
            again, has `AGAIN` behind the task's name.
        scored: Dict with the same keys, to dicts.
    """
    return {
        task: {
            **scored[task],
            "again": scored[task + AGAIN],
            **describe(mask, masks[task + AGAIN]),
        }
        for task, mask in masks.items()
        if not task.endswith(AGAIN)
    }


def describe(mask: WeightMask, again: WeightMask) -> dict:
    """Returns what the record has of a mask and of one extracted again.

    Args:
        mask: `WeightMask`.
        again: `WeightMask` of the same task and network, from another seed.
    """
    both = mask.overlap(again)
    return records.without_nan(
        {
            "keep_fraction": mask.keep_fraction,
            "keep_fractions": mask.keep_fractions(),
            "jaccard": both.jaccard,
            "jaccard_by_chance": both.expected_jaccard,
        }
    )


def some(data: pairs.Sequences, count: int, seed: int) -> pairs.Sequences:
    """Returns random examples, `count` at most, or all for a count of 0."""
    if not count or count >= len(data):
        return data
    rows = np.random.default_rng(seed).permutation(len(data))[:count]
    return pairs.Sequences(data.source[rows], data.target[rows])

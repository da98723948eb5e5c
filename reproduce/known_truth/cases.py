"""What is planted: cases from easy to hard, and how findings are scored."""

import numpy as np
from sklearn import metrics

from reproduce.known_truth.boolean_networks import (
    Plan,
    at_least,
    between,
    parity,
)
from reproduce.known_truth.planted_network import KINDS

_THREE = ((0, parity(5)), (1, parity(5)), (2, parity(5)))
CASES = {
    "simple": Plan(_THREE, unread=5),
    "robust": Plan(
        ((0, at_least(5, 3)), (1, between(5, 2, 3)), (2, parity(5))), unread=5
    ),
    "silent": Plan(_THREE, unread=5, silent=5, decoy_scale=2.0),
    "pairs": Plan(_THREE, unread=5, pairs=4),
    "copies": Plan(((0, parity(4)), (1, parity(4))), copies=True, unread=4),
    # Two outputs; the second reads this share of the first one's units.
    "shared_0": Plan(((0, parity(8)), (1, between(8, 3, 5))), unread=5),
    "shared_25": Plan(((0, parity(8)), (0, between(8, 3, 5))), unread=5),
    "shared_100": Plan(
        ((0, parity(8)), (0, tuple(1 - x for x in parity(8)))), unread=5
    ),
}


def truth(planted, scores, task=0):
    """Returns which weights a task needs, and which count at all.

    Of several parts that will do, needed is the one whose weights score
    higher, and the others do not count.

    Args:
        planted: `Planted`.
        scores: Dict from weight path to float array.
        task: Int.

    Returns:
        Two dicts from weight path to bool array: the needed weights, and those
        that are there, not zero.
    """
    needed = planted.weights(task, "needed", "copy")
    absent = planted.weights(task, "absent")
    counts = {path: ~flags for path, flags in absent.items()}
    groups = planted.alternatives[task] if planted.alternatives else []
    for group in groups:
        totals = [
            sum(scores[path][flags].sum() for path, flags in part.items())
            for part in group
        ]
        best = np.argmax(totals)
        for i, part in enumerate(group):
            for path, flags in part.items() if i != best else ():
                needed[path] &= ~flags
                counts[path] &= ~flags
    return needed, counts


def score(planted, scores, kept=None, task=0):
    """Returns how well scores, and a set of weights, tell the truth.

    Args:
        planted: `Planted`.
        scores: Dict from weight path to float array, higher for weights that
            matter more.
        kept: Dict from weight path to bool array, or `None`.
        task: Int.

    Returns:
        Dict of floats: `auroc` and `average_precision`, over the weights that
        are there; `chance`, the share of them that is needed; with a set, its
        `precision` and `recall`, and under `false_positives` the share of each
        kind of weight that it keeps.
    """
    needed, counts = truth(planted, scores, task)
    paths = [*needed]
    positive, value = (
        np.concatenate([part[path][counts[path]] for path in paths])
        for part in (needed, scores)
    )
    found = {
        "auroc": float(metrics.roc_auc_score(positive, value)),
        "average_precision": float(
            metrics.average_precision_score(positive, value)
        ),
        "chance": float(positive.mean()),
    }
    if kept is None:
        return found
    inside = np.concatenate([kept[path][counts[path]] for path in paths])
    hits = np.sum(positive & inside)
    found["precision"] = float(hits / inside.sum()) if inside.any() else None
    found["recall"] = float(hits / positive.sum())
    found["false_positives"] = {}
    for kind in KINDS:
        if kind in ("needed", "copy"):
            continue
        flags = planted.weights(task, kind)
        chosen = np.concatenate([kept[path][flags[path]] for path in paths])
        if chosen.size:
            found["false_positives"][kind] = float(chosen.mean())
    return found

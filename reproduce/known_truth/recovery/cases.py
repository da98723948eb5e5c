"""What is planted: cases from easy to hard, and how findings are scored."""

import functools

import numpy as np
from sklearn import metrics

from reproduce.known_truth.networks import (
    attention,
    boolean,
    gated,
    recurrent,
    rotated,
)
from reproduce.known_truth.networks.boolean import (
    Plan,
    at_least,
    between,
    parity,
)
from reproduce.known_truth.networks.planted_network import KINDS

_THREE = ((0, parity(5)), (1, parity(5)), (2, parity(5)))
CASES = {
    "simple": Plan(_THREE, unread=5),
    "robust": Plan(
        ((0, at_least(5, 3)), (1, between(5, 2, 3)), (2, parity(5))), unread=5
    ),
    "silent": Plan(_THREE, unread=5, silent=5, decoy_scale=2.0),
    "silent_8": Plan(_THREE, unread=5, silent=5, decoy_scale=8.0),
    "silent_32": Plan(_THREE, unread=5, silent=5, decoy_scale=32.0),
    "pairs": Plan(_THREE, unread=5, pairs=4),
    "copies": Plan(((0, parity(4)), (1, parity(4))), copies=True, unread=4),
    # Two outputs; the second reads this share of the first one's units.
    "shared_0": Plan(((0, parity(8)), (1, between(8, 3, 5))), unread=5),
    "shared_25": Plan(((0, parity(8)), (0, between(8, 3, 5))), unread=5),
    "shared_50": Plan(
        ((0, parity(8)), (0, (0, 0, 1, 1, 0, 0, 1, 1, 0))), unread=5
    ),
    "shared_100": Plan(
        ((0, parity(8)), (0, tuple(1 - x for x in parity(8)))), unread=5
    ),
}

LOUDER = ("silent_8", "silent_32")  # the case `silent` with larger decoys

# Networks of other kinds: functions of the seed.
OTHERS = {
    "attention": attention.build,
    "attention_pairs": functools.partial(attention.build, pairs=2),
    "trained_apart": gated.build,
    "trained_shared": functools.partial(gated.build, shared=0.5),
    "recurrent": recurrent.build,
}
CONTROLS = {
    "aligned": functools.partial(rotated.build, rotated=False),
    "rotated": rotated.build,
}
ALL = (*CASES, *OTHERS, *CONTROLS)
TITLES = {
    "simple": "three parities",
    "robust": "majority and window",
    "silent": "decoys that never fire",
    "silent_8": "decoys, 8 times as large",
    "silent_32": "decoys, 32 times as large",
    "pairs": "cancelling pairs",
    "copies": "two copies",
    "shared_0": "nothing shared",
    "shared_25": "a quarter shared",
    "shared_50": "half shared",
    "shared_100": "all shared",
    "attention": "attention heads",
    "attention_pairs": "cancelling heads",
    "trained_apart": "trained supports",
    "trained_shared": "trained, half shared",
    "recurrent": "recurrent modules",
    "aligned": "units that are parts",
    "rotated": "rotated units",
}
_RECALLS = np.linspace(0.05, 1.0, 20)  # of curves


def build(case, seed):
    """Returns the `Planted` of a case, another one for each seed.

    Args:
        case: Str, one of `ALL`.
        seed: Int, not negative.
    """
    if case in CASES:
        return boolean.build(CASES[case], seed)
    return {**OTHERS, **CONTROLS}[case](seed)


@functools.lru_cache(maxsize=1)
def network(case, seed):
    """Returns what `build` does; the last one is kept, as training it takes."""
    return build(case, seed)


def measures_sharing(case):
    """Returns whether what two tasks share is asked for in a case."""
    return case.startswith(("shared", "trained"))


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
        are there; `chance`, the share of them that is needed; under `curve`
        the best precision at recalls of .05, .1, ..., 1; with a set, its
        `precision` and `recall`, and under `false_positives` the share of each
        kind of weight that it keeps.
    """
    needed, counts = truth(planted, scores, task)
    paths = [*needed]
    positive, value = (
        np.concatenate([part[path][counts[path]] for path in paths])
        for part in (needed, scores)
    )
    found = _rank_scores(positive, value)
    if kept is None:
        return found
    inside = np.concatenate([kept[path][counts[path]] for path in paths])
    found |= _set_scores(positive, inside)
    found["false_positives"] = {}
    for kind in KINDS:
        if kind in ("needed", "copy"):
            continue
        flags = planted.weights(task, kind)
        chosen = np.concatenate([kept[path][flags[path]] for path in paths])
        if chosen.size:
            found["false_positives"][kind] = float(chosen.mean())
    return found


def score_units(planted, scores, kept=None, task=0):
    """Returns how well scores, and a set of units, tell what a task needs.

    Args:
        planted: `Planted` with `units`.
        scores: Dict from layer to float array `(units,)`.
        kept: Dict from layer to bool array, or `None`.
        task: Int.

    Returns:
        As `score`, without `false_positives`.
    """
    positive, value = (
        np.concatenate([part[layer] for layer in planted.units[task]])
        for part in (planted.units[task], scores)
    )
    found = _rank_scores(positive, value)
    if kept is None:
        return found
    inside = np.concatenate([kept[layer] for layer in planted.units[task]])
    return found | _set_scores(positive, inside)


def agreement(planted, layer, clusters):
    """Returns the adjusted mutual information of clusters and modules.

    Over the units of a module; decoys belong to none.

    Args:
        planted: `Planted` with `modules`.
        layer: Str.
        clusters: Int array `(units,)`.

    Returns:
        Float: 1 for the modules, around 0 by chance; NaN for one module.
    """
    modules = planted.modules[layer]
    own = modules >= 0
    if len({*modules[own].tolist()}) < 2:
        return float("nan")
    return float(
        metrics.adjusted_mutual_info_score(modules[own], clusters[own])
    )


def _rank_scores(positive, value):
    """Returns scores of an order, and its curve of precision and recall."""
    precision, recall, _ = metrics.precision_recall_curve(positive, value)
    curve = [precision[recall >= r - 1e-9].max() for r in _RECALLS]
    return {
        "auroc": float(metrics.roc_auc_score(positive, value)),
        # Of a perfect order scikit-learn's sum is 1 but for its last bit.
        "average_precision": round(
            float(metrics.average_precision_score(positive, value)), 12
        ),
        "chance": float(positive.mean()),
        "curve": [round(float(each), 4) for each in curve],
    }


def _set_scores(positive, inside):
    """Returns precision and recall of a set."""
    hits = np.sum(positive & inside)
    return {
        "precision": float(hits / inside.sum()) if inside.any() else None,
        "recall": float(hits / positive.sum()),
    }

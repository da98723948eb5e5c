"""How well a finding tells what was planted."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from modularity_tf import checks
from modularity_tf.findings import neuron_selection, part_set, weight_mask
from modularity_tf.planted.planted_network import KINDS, Planted

Values = Mapping[str, np.ndarray]
_RECALLS = np.linspace(0.05, 1.0, 20)  # of curves


@dataclasses.dataclass(frozen=True)
class Score:
    """How well a finding tells what a task needs.

    >>> planted = mtf.planted.make_parities(2, bits=3, seed=1)
    >>> found = mtf.planted.score(planted.needed[0].units, planted, task=0)
    >>> found.precision, found.recall, found.chance
    (1.0, 1.0, 0.5)

    Zero weights count nowhere. What can't be told of a finding is `None`: a
    ranking keeps nothing, a set without scores ranks nothing, and an empty set
    has no precision.

    Attributes:
        average_precision: Float in [0, 1], of the order of the scores.
        auroc: Float in [0, 1], the area under the ROC curve of the order.
        chance: Float, the share of the parts that the task needs, which is the
            average precision of random scores and the precision of random
            sets.
        curve: Floats, the best precision at recalls of .05, .1, ..., 1.
        precision: Float in [0, 1], the share of what is kept that is needed.
        recall: Float in [0, 1], the share of what is needed that is kept.
        false_positives: Dict from the kind of weight to the share that is
            kept, for kinds that are not needed. Of weights alone.
    """

    chance: float
    average_precision: float | None = None
    auroc: float | None = None
    curve: tuple[float, ...] | None = None
    precision: float | None = None
    recall: float | None = None
    false_positives: Mapping[str, float] | None = None

    def __str__(self):
        return self.summary()

    def summary(self) -> str:
        """Returns what the numbers mean, in a sentence or two."""
        told = []
        if self.recall is not None:
            told.append(f"It keeps {self.recall:.1%} of what the task needs")
            told[0] += (
                " and nothing else."
                if self.precision == 1
                else "."
                if self.precision is None
                else f", and {self.precision:.1%} of what it keeps is needed."
            )
        if self.average_precision is not None:
            told.append(
                f"Its order has an average precision of "
                f"{self.average_precision:.3f}; {self.chance:.3f} is chance."
            )
        return " ".join(told)


def score(
    finding: weight_mask.WeightMask | neuron_selection.NeuronSelection | Values,
    planted: Planted,
    *,
    task: int = 0,
) -> Score:
    """Returns how well a finding tells what a task needs.

    >>> planted = mtf.planted.make_parities(2, bits=3, seed=1)
    >>> scores = mtf.weight_scores(planted.model, method="magnitude")
    >>> ranked = mtf.planted.score(scores, planted, task=0)
    >>> ranked.recall is None  # a ranking keeps nothing
    True
    >>> truth = planted.needed[0].weights
    >>> print(mtf.planted.score(truth, planted, task=0))
    It keeps 100.0% of what the task needs and nothing else.

    Of two copies of a part that will do for each other, the one of which more
    is kept counts as needed, for the order the one whose weights score higher,
    and the other one does not count. (Among units, both count as needed.)

    Args:
        finding: `WeightMask` or `NeuronSelection`, or a dict from weight path
            or layer to a float array, higher for parts that matter more. Other
            weights or layers than those of `planted.kinds` and
            `planted.units` do not count.
        planted: `Planted`.
        task: Number of the task.

    Raises:
        ValueError: If the finding lacks weights or layers of the network, is
            over none of it, is of a network with other weights, or has scores
            that are not finite.
    """
    if not isinstance(planted, Planted):
        raise ValueError(f"`planted` must be a Planted, got {planted!r}.")
    task = checks.integer("task", task, below=len(planted.kinds))
    units: Values = planted.units[task] if planted.units else {}
    if isinstance(finding, weight_mask.WeightMask):
        scores, of_units = finding.scores, False
    elif isinstance(finding, neuron_selection.NeuronSelection):
        scores, of_units = finding.scores, True
    elif isinstance(finding, Mapping) and finding:
        scores = {path: np.asarray(v) for path, v in finding.items()}
        of_units = bool(units) and not {*planted.kinds[task]} & {*scores}
    else:
        raise ValueError(
            "`finding` must be a WeightMask, a NeuronSelection or a dict of "
            f"arrays, got {finding!r}."
        )
    wanted: Values = units if of_units else planted.kinds[task]

    def against(parts):
        """Returns what is needed, and the parts, of all that counts."""
        if of_units:
            needed = {path: np.asarray(flags) for path, flags in units.items()}
            counts = {path: np.ones_like(v) for path, v in needed.items()}
        else:
            needed, counts = truth(planted, parts, task)
        return _joined(needed, counts), _joined(parts, counts)

    told: dict[str, Any] = {}
    if scores is not None:
        _check_finite(scores)
        _check(scores, wanted, planted)
        positive, values = against(scores)
        told = _of_order(positive, values)
    if isinstance(finding, part_set.PartSet):
        kept = finding.values
        _check(kept, wanted, planted)
        finding.check_found_in(planted.model, "finding")
        positive, inside = against(kept)
        hits = np.sum(positive & inside)
        told |= {
            "precision": float(hits / inside.sum()) if inside.any() else None,
            "recall": float(hits / positive.sum()),
        }
        if not of_units:
            told["false_positives"] = _false_positives(planted, task, kept)
    return Score(chance=float(positive.mean()), **told)


def truth(
    planted: Planted, scores: Values, task: int = 0
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns which weights a task needs, and which count at all.

    Of several parts that will do, needed is the one whose weights score
    higher, and the others do not count.

    Args:
        planted: `Planted`.
        scores: Dict from weight path to float or bool array.
        task: Number of the task.

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


def agreement(
    clusters: Sequence[int] | np.ndarray, planted: Planted, layer: str
) -> float:
    """Returns the adjusted mutual information of clusters and modules.

    Over the units of a module; decoys belong to none.

    >>> planted = mtf.planted.make_parities(2, bits=3, seed=1)
    >>> modules = planted.modules["hidden"]  # -1 for units of none
    >>> mtf.planted.agreement(modules, planted, "hidden")
    1.0

    Args:
        clusters: Int array `(units,)`, the number of each unit's cluster.
        planted: `Planted` with `modules`.
        layer: Name of the layer.

    Returns:
        Float: 1 for the modules, around 0 by chance; NaN for one module.

    Raises:
        ValueError: If the layer has no known modules, or `clusters` are not
            those of its units.
    """
    from sklearn import metrics  # which takes a while

    if planted.modules is None or layer not in planted.modules:
        raise ValueError(f"`layer` has no known modules, got {layer!r}.")
    modules = planted.modules[layer]
    if np.shape(clusters) != modules.shape:
        raise ValueError(
            f"`clusters` must be numbers of shape {modules.shape}, for the "
            f"units of {layer!r}, got {clusters!r}."
        )
    own = modules >= 0
    if len({*modules[own].tolist()}) < 2:
        return float("nan")
    return float(
        metrics.adjusted_mutual_info_score(
            modules[own], np.asarray(clusters)[own]
        )
    )


def _check(parts, wanted, planted):
    """Raises `ValueError` unless a finding is over all that is wanted."""
    if not wanted:
        raise ValueError(
            f"`finding` is over parts of which {planted.model.name!r} has no "
            f"truth: {[*parts]}."
        )
    for path, values in wanted.items():
        if path not in parts:
            raise ValueError(
                f"`finding` lacks {path!r} of {planted.model.name!r}; it has "
                f"{[*parts]}."
            )
        if np.shape(parts[path]) != np.shape(values):
            raise ValueError(
                f"`finding` must have shape {np.shape(values)} at {path!r}, "
                f"got {np.shape(parts[path])}."
            )


def _check_finite(scores):
    for path, values in scores.items():
        if values.dtype.kind not in "biuf" or not np.isfinite(values).all():
            raise ValueError(
                f"`finding` must have finite scores, got others at {path!r}."
            )


def _joined(values, counts):
    """Returns the values of what counts, as one array."""
    return np.concatenate([values[p][flags] for p, flags in counts.items()])


def _false_positives(planted, task, kept):
    """Returns the share of each kind of weight that is kept by mistake."""
    found = {}
    for kind in KINDS:
        if kind in ("needed", "copy"):
            continue
        chosen = _joined(kept, planted.weights(task, kind))
        if chosen.size:
            found[kind] = float(chosen.mean())
    return found


def _of_order(positive, value):
    """Returns scores of an order, and its curve of precision and recall."""
    from sklearn import metrics  # which takes a while

    precision, recall, _ = metrics.precision_recall_curve(positive, value)
    curve = [precision[recall >= r - 1e-9].max() for r in _RECALLS]
    return {
        "auroc": None  # where all is needed
        if positive.all()
        else float(metrics.roc_auc_score(positive, value)),
        # Of a perfect order scikit-learn's sum is 1 but for its last bit.
        "average_precision": round(
            float(metrics.average_precision_score(positive, value)), 12
        ),
        "curve": tuple(round(float(each), 4) for each in curve),
    }

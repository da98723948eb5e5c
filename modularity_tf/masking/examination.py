"""What is wrong with a found mask: what gets lost, and whether data are few.

Each rule is a test with a small share of false alarms, so that a sound mask
is told nothing.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import special, stats

from modularity_tf.findings import part_set
from modularity_tf.network import measurement
from modularity_tf.network.scoring import share_explained

ALLOWED = 0.05  # what a mask may lose by the rule of 95 %
FALLEN = 0.1  # what is lost of a class, an output or the whole: too much
FALSE_ALARMS = 1e-3  # share of sound masks that a rule speaks of
_MOST_CLASSES = 1000  # that are recorded, those with the most examples
_SURE, _SURELY_WRONG = -math.log(0.9), -math.log(0.1)  # losses, in nats
_FEWEST, _SHARE_SURELY = 5, 0.2  # examples that make a rule, of those lost
_GAP = 0.03  # of the scale, between training and validation data
_SURE_OF_GAP = float(stats.norm.isf(FALSE_ALARMS))


@dataclasses.dataclass(frozen=True)
class Examined:
    """What was measured of the model and of a mask, on the same data.

    Attributes:
        whole: List of `Measured`, one for each output, of the model.
        mask: Likewise, of the mask.
    """

    whole: Sequence[measurement.Measured]
    mask: Sequence[measurement.Measured]

    @property
    def outputs(
        self,
    ) -> list[tuple[measurement.Measured, measurement.Measured]]:
        """Pairs of what was measured of each output."""
        return [*zip(self.whole, self.mask, strict=True)]


def by_class(examined: Examined) -> dict[str, Any]:
    """Returns the recall of each class, of the model and the mask.

    Args:
        examined: On validation data.

    Returns:
        Dict from class to a dict of `count`, `whole` and `mask`; with several
        outputs a dict from output to such a dict. An output whose labels are
        no classes is left out.
    """
    found = {}
    for whole, mask in examined.outputs:
        classes = _counts(whole, mask)
        if classes:
            classes = sorted(classes, key=lambda one: -one.count)
            classes = sorted(classes[:_MOST_CLASSES], key=lambda one: one.label)
            found[whole.output] = {
                one.name: {
                    "count": one.count,
                    "whole": one.whole / one.count,
                    "mask": one.mask / one.count,
                }
                for one in classes
            }
    if len(examined.whole) == 1:
        return next(iter(found.values()), {})
    return found


def fallen_classes(examined: Examined) -> list[str]:
    """Returns a sentence for each output of which classes get lost.

    A class is lost if the mask is right less than 0.9 times as often as the
    model, and that many losses are not chance where 5 % may get lost.
    """
    texts = []
    for whole, mask in examined.outputs:
        classes = _counts(whole, mask)
        fallen = [
            one
            for one in classes
            if one.mask < (1 - FALLEN) * one.whole
            and stats.binom.sf(one.whole - one.mask - 1, one.whole, ALLOWED)
            < FALSE_ALARMS / len(classes)
        ]
        if fallen:
            told = ", ".join(
                f"{one.name} ({one.mask / one.count:.3g}, of the model "
                f"{one.whole / one.count:.3g})"
                for one in fallen[:3]
            )
            if len(fallen) > 3:
                told += f" and {len(fallen) - 3} more"
            of = "" if len(examined.whole) == 1 else f" of {whole.output!r}"
            texts.append(
                f"The mask loses what some classes{of} need: the recall falls "
                f"of {told}. Lower `alpha`, weight these examples "
                "(`sample_weight`), or choose by another `performance`."
            )
    return texts


def fallen_outputs(scale: measurement.Scale, examined: Examined) -> list[str]:
    """Returns a sentence for each output that falls and does not count."""
    texts = []
    for (whole, mask), nothing, counts in zip(
        examined.outputs, scale.nothing, scale.counted, strict=True
    ):
        gains = nothing.loss - whole.loss
        if counts or not gains > 1e-6 * abs(nothing.loss):
            continue
        share = share_explained(mask.loss, whole.loss, nothing.loss)
        if share < 1 - FALLEN:
            texts.append(
                f"The mask loses what the output {whole.output!r} needs: it "
                f"explains {share:.3g} of the loss that the model does. Let "
                "`performance` include this output."
            )
    return texts


def differs_in_training(
    scale: measurement.Scale, validation: Examined, training: Examined
) -> list[str]:
    """Returns a sentence if the mask fits the training data too well.

    It compares what the mask is better than the model on training data with
    the same on validation data.
    """
    texts = []
    for there, here, nothing, zero, counts in zip(
        training.outputs,
        validation.outputs,
        scale.nothing,
        scale.zeros,
        scale.counted,
        strict=True,
    ):
        whole = here[0]
        span = nothing.loss - whole.loss
        if whole.labels is not None and whole.right is not None:
            span = whole.right.mean() - (zero if whole.is_accuracy else 0.0)
        gap, error = _gap(there, here)
        if counts and gap > max(_GAP * span, error * _SURE_OF_GAP):
            texts.append(
                "The mask fits its training data: beside the model it is "
                f"better there than on the validation data by {gap:.3g}, "
                f"{gap / span:.1%} of the scale. It keeps what the task does "
                "not need: give more training data, or raise `alpha`."
            )
    return texts[:1]


def _gap(there, here):
    """Returns how much more a mask gains in training, and the standard error.

    In right answers; where labels are no classes, in the loss. No gap where
    the model and the mask saw other examples, or in another order.
    """
    gains = []
    for whole, mask in (there, here):
        if whole.labels is not None:
            if not _is_aligned(whole, mask):
                return 0.0, 1.0
            gain = mask.right.astype(float) - whole.right
        elif whole.losses is not None and len(whole.losses) == len(mask.losses):
            gain = whole.losses - mask.losses.astype(float)
        else:
            return 0.0, 1.0
        gains.append(gain)
    is_share = there[0].labels is not None
    error = sum((x.var() + is_share / len(x)) / len(x) for x in gains)
    return gains[0].mean() - gains[1].mean(), math.sqrt(error)


def few_rows(
    mask: part_set.PartSet,
    validation: Examined,
    training: Examined,
    share: float | None,
) -> list[str]:
    """Returns a sentence if data are too few to tell what is kept.

    A mask of k of N weights says log2 of binomial(N, k) bits, and labels of
    the training data log2(classes) bits each. Where the mask says more, what
    is kept is no more than a guess, unless the validation data show that it
    performs: that it loses no tenth of the right answers (97.5 % bound).

    Args:
        mask: The mask.
        validation: On validation data.
        training: On training data.
        share: Float, the share of the training data that `training` has seen,
            or `None` where nobody knows: all, if they are few.
    """
    said, texts = bits_of_mask(mask), []
    for (whole, found), (there, _) in zip(
        validation.outputs, training.outputs, strict=True
    ):
        if whole.labels is None or there.labels is None:
            continue
        if whole.right is None or found.right is None:
            continue
        classes = max(len(np.unique(whole.labels)), 2)
        labels = len(there.labels) / (share or 1.0)
        right = int(whole.right.sum())
        lost = max(right - int(found.right.sum()), 0)
        bits = math.log2(classes)
        if said <= bits * labels or lost >= right:
            continue
        most_lost = stats.beta.ppf(0.975, lost + 1, right - lost)
        if most_lost > FALLEN:
            texts.append(
                "The data are few beside what the mask keeps: which "
                f"{mask.KIND} it keeps are {said:.0f} bits, and {labels:.0f} "
                f"training labels of {classes} classes have "
                f"{bits * labels:.0f}. Give about {said / bits:.0f} training "
                f"examples and {_rows_to_show(lost / right)} to validate on, "
                "or do not take what is kept for what is needed."
            )
    return texts[:1]


def bits_of_mask(mask: part_set.PartSet) -> float:
    """Returns log2 of the number of masks that keep as many weights."""
    size = mask.size
    kept = sum(int(np.sum(value)) for value in mask.values.values())
    return float(
        -(special.betaln(size - kept + 1, kept + 1) + math.log(size + 1))
        / math.log(2)
    )


def lost_examples(parts: Sequence[Examined]) -> list[str]:
    """Returns a sentence if the mask lost a rule that few examples need.

    The sign is examples that the model answers right with a probability above
    0.9, and the mask wrong, with one below 0.1 for the right answer. Where a
    mask only knows less than the model, these are hardly any of its errors.

    Args:
        parts: What was examined on training and validation data.
    """
    texts = []
    for pairs in zip(*(part.outputs for part in parts), strict=True):
        lost, surely, count = _lost(pairs)
        if surely >= _FEWEST and surely > _SHARE_SURELY * lost:
            of = (
                ""
                if len(parts[0].whole) == 1
                else f" of {pairs[0][0].output!r}"
            )
            texts.append(
                f"The mask loses a rule{of} that few examples need: {surely} "
                f"of {count} are answered right by the model and wrong by the "
                "mask, and both are sure. Lower `alpha`, or weight such "
                "examples (`sample_weight`)."
            )
    return texts


def _lost(pairs):
    """Returns how many answers the mask loses, how many surely, of how many."""
    lost = surely = count = 0
    for whole, mask in pairs:
        right, left = _right(whole), _right(mask)
        known = (right, left, whole.losses, mask.losses)
        if any(part is None for part in known) or len({*map(len, known)}) > 1:
            continue
        if whole.labels is not None and not _is_aligned(whole, mask):
            continue
        gone = right & ~left
        sure = (whole.losses < _SURE) & (mask.losses > _SURELY_WRONG)
        lost += int(gone.sum())
        surely += int((gone & sure).sum())
        count += len(gone)
    return lost, surely, count


def _right(measured):
    """Returns which answers are right, `None` where that is no question."""
    if measured.labels is not None:
        return measured.right
    values = measured.values if measured.is_accuracy else None
    if values is None or not np.isin(values, (0, 1)).all():
        return None
    return values > 0


@dataclasses.dataclass(frozen=True)
class _Class:
    label: int
    name: str
    count: int
    whole: int
    mask: int


def _counts(whole, mask):
    """Returns a `_Class` for each class of an output."""
    if whole.labels is None or mask.labels is None:
        return []
    labels, inverse = np.unique(whole.labels, return_inverse=True)
    known = np.isin(mask.labels, labels)
    count = np.bincount(inverse)
    right = np.bincount(inverse, whole.right)
    left = np.bincount(
        np.searchsorted(labels, mask.labels[known]),
        mask.right[known],
        len(labels),
    )
    return [
        _Class(int(label), _class_name(int(label), whole.columns), *map(int, n))
        for label, *n in zip(labels, count, right, left, strict=True)
    ]


def _class_name(label, columns):
    if columns == 1:
        return str(label)
    return f"column {label // 2} is {label % 2}"


def _is_aligned(whole, mask):
    """Whether both saw the same examples in the same order."""
    return mask.labels is not None and np.array_equal(whole.labels, mask.labels)


def _rows_to_show(lost):
    """Returns how many rows show that less than a tenth is lost."""
    lost = min(lost, ALLOWED)
    for rows in range(40, 2000, 20):
        if stats.beta.ppf(0.975, lost * rows + 1, rows * (1 - lost)) < FALLEN:
            break
    return rows

"""Do two tasks share parts? A verdict that needs evidence for either answer."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from modularity_tf import checks, stats
from modularity_tf.findings import overlap, part_set

LEAST = 3  # extractions of each task, without which there is no verdict
MARGIN = 0.1  # what still counts as nothing
_PERMUTATIONS = 999  # random sets beside two extractions of a task
LEVEL = 0.01  # of each test, so that few of the verdicts are false


@dataclasses.dataclass(frozen=True)
class Sharing:
    """How much two tasks share, between floor and ceiling, and the verdict.

    With a and b sets of parts, their overlap is |a & b| / sqrt(|a| |b|): 0 if
    they have nothing in common, 1 if they are equal.

    >>> low, high = np.arange(100) < 20, np.arange(100) >= 80
    >>> found = mtf.soundness.sharing([{"a": low}] * 3, [{"a": high}] * 3)
    >>> found.overlap, found.ceiling
    (0.0, 1.0)

    Attributes:
        overlap: Float, the mean overlap of an extraction of the one task with
            one of the other, over all such pairs. An extraction is a finding
            of a task, made with a seed of its own.
        floor: Float, the same for random sets of their sizes in each layer.
        ceiling: Float, the mean overlap of two extractions of one task: the
            geometric mean of the two tasks; NaN for a single extraction.
        index: Float, `overlap` on a scale from 0, random sets, to 1, as much
            as two extractions of one task have in common beyond random sets.
            Below 0 where the tasks avoid each other.
        low: Float, the lower end of the 95 % interval of `index`.
        high: Float, the upper end.
        p: Float, how often random sets of their sizes have as many parts in
            common as the parts in most extractions of either task.
        extractions: Two ints, how many there are of each task.
        verdict: "shared", "separate" or "undetermined".
        reason: Str, why this is the verdict.
        needed: Float in [0, 1], how much the parts in common matter to the
            task, a lower bound: 1 is as much as any that were extracted.
    """

    overlap: float
    floor: float
    ceiling: float
    index: float
    low: float
    high: float
    p: float
    extractions: tuple[int, int]
    verdict: str
    reason: str
    needed: float = 1.0

    def summary(self) -> str:
        """Returns verdict, reason and overlap, in a sentence."""
        known = not math.isnan(self.ceiling)
        ceiling = f"{self.ceiling:.1%}" if known else "not known"
        return (
            f"{self.verdict} ({self.reason}): the overlap is "
            f"{self.overlap:.1%}, that of random sets {self.floor:.1%} and "
            f"that of two findings of one task {ceiling}."
        )

    def __str__(self) -> str:
        return self.summary()


def sharing(
    own: Sequence[part_set.PartSet | Mapping[str, np.ndarray]],
    other: Sequence[part_set.PartSet | Mapping[str, np.ndarray]],
    *,
    needed: float = 1.0,
    margin: float = MARGIN,
    level: float = LEVEL,
    seed: int | None = 0,
) -> Sharing:
    """Returns how much two tasks share, and whether that is more than nothing.

    Each task was extracted several times, with other seeds. With p(w) the
    chance that a part w is in an extraction of the one task and q(w) of the
    other, sums over the parts of all layers, and bars for means over a layer,

        overlap / ceiling = sum p q / sqrt(sum p^2 sum q^2)
        index = the same with p - p_bar and q - q_bar, a correlation.

    Sums of products are estimated without bias by what two extractions have
    in common, so errors that two extractions make independently of each
    other cancel in both ratios. Intervals are jackknife over the extractions of
    either task, with Student's t and the degrees of freedom of Welch. The
    verdicts:

    - "shared" rejects, at `level` each, that the tasks have no more parts in
      common than random sets of their sizes in each layer, and that `index`
      of the share `needed` of what is in common is at most `margin`.
    - "separate" rejects, at `level`, that `overlap` is `margin` times the
      ceiling or more, even if one more part that both need had been missed.
    - "undetermined" rejects nothing. It is what is said without evidence: of
      fewer than three extractions of a task, where two extractions of one
      task have no more in common than random sets, at `level` (the ceiling is
      not clearly above the floor), or where neither of the two above can be
      rejected.

    Errors that extractions of both tasks make alike can't be told from shared
    parts by counting, but by what happens without them: `needed`.

    >>> low, high = np.arange(100) < 20, np.arange(100) >= 80
    >>> own = [{"layer": low}] * 3
    >>> mtf.soundness.sharing(own, [{"layer": high}] * 3).verdict
    'separate'
    >>> mtf.soundness.sharing(own, own).verdict
    'shared'

    Args:
        own: List of findings of the one task, one for each extraction: sets,
            or dicts from name to boolean array.
        other: The same for the other task.
        needed: Float in [0, 1], how much the parts in common matter to the
            task, of which 1 is as much as any that were extracted; a lower
            bound at `level`.
        margin: Float in (0, 1), what still counts as next to nothing, of
            `index` and of the ceiling.
        level: Float in (0, 1), the significance level of each test.
        seed: Int, not negative, of the random sets; `None` is random.

    Returns:
        `Sharing`.

    Raises:
        ValueError: If a list or a set is empty, they are not over the same
            parts, or an argument is out of its range.
    """
    needed = checks.number("needed", needed, most=1)
    margin = checks.number("margin", margin, above=True, below=1)
    level = checks.number("level", level, above=True, below=1)
    seed = checks.seed(seed)
    own, other = _values("own", own), _values("other", other)
    counts = _Counts(own, other)
    found = counts.estimates()
    size = math.sqrt(found["size"] * found["other_size"])
    result: dict[str, Any] = {
        "overlap": found["both"] / size,
        "floor": found["chance"] / size,
        "ceiling": _root(found["own"] * found["other"]) / size,
        "index": math.nan,
        "low": math.nan,
        "high": math.nan,
        "p": _p_of_most(own, other, seed),
        "extractions": (len(own), len(other)),
        "needed": needed,
    }

    def judged(verdict, reason):
        return Sharing(**result, verdict=verdict, reason=reason)

    if min(len(own), len(other)) < LEAST:
        return judged(
            "undetermined",
            f"{len(own)} and {len(other)} extractions, {LEAST} of each task "
            "are needed",
        )
    if not all(_are_alike(sets, level, seed) for sets in (own, other)):
        return judged(
            "undetermined", "extractions of one task are not clearly alike"
        )
    result["index"] = _index(found)
    result["low"], result["high"] = counts.bounds(_index, 0.025)
    is_more = result["p"] <= level
    is_more = is_more and counts.bounds(_index_of(needed), level)[0] > margin
    missed = _ratio_if_missed(margin)
    is_less = counts.bounds(missed, level)[1] < 0
    if is_more == is_less:
        return judged(
            "undetermined", "neither much nor nothing in common is excluded"
        )
    if is_more:
        reason = f"{margin:.0%} or less beyond random sets is excluded"
        return judged("shared", reason)
    return judged(
        "separate", f"{margin:.0%} or more of the ceiling is excluded"
    )


class _Counts:
    """What extractions have in common, for all of them or all but some."""

    def __init__(self, own, other):
        own, other = (
            _matrices(name, sets)
            for name, sets in (("own", own), ("other", other))
        )
        if own.keys() != other.keys() or any(
            own[path].shape[1] != other[path].shape[1] for path in own
        ):
            raise ValueError(
                "The sets must be over the same parts, got those of "
                f"{[*own]} and {[*other]}."
            )
        self._both, self._own, self._other = (
            np.array(sum(x @ y.T for x, y in pairs), "float64")
            for pairs in (
                [(own[path], other[path]) for path in own],
                [(x, x) for x in own.values()],
                [(x, x) for x in other.values()],
            )
        )
        sizes = np.array([x.shape[1] for x in own.values()], "float64")
        weights = np.sqrt(np.maximum(sizes, 1))
        self._members, self._other_members = (
            np.array([x.sum(axis=1) for x in sets.values()]).T / weights
            for sets in (own, other)
        )
        empty = [*np.diag(self._own), *np.diag(self._other)]
        if not all(empty):
            raise ValueError("A set has no member.")

    def estimates(self, i=None, j=None):
        """Returns the mean counts, without one extraction of either task.

        Args:
            i: Int, the one left out, or `None`.
            j: Int, the same of the other task.
        """
        rows, columns = (
            np.delete(np.arange(count), [] if out is None else out)
            for count, out in zip(self._both.shape, (i, j), strict=True)
        )
        own, members = self._own[np.ix_(rows, rows)], self._members[rows]
        other = self._other[np.ix_(columns, columns)]
        other_members = self._other_members[columns]
        return {
            "both": float(self._both[np.ix_(rows, columns)].mean()),
            "chance": float(members.mean(axis=0) @ other_members.mean(axis=0)),
            "own": _mean_of_pairs(own),
            "own_chance": _mean_of_pairs(members @ members.T),
            "other": _mean_of_pairs(other),
            "other_chance": _mean_of_pairs(other_members @ other_members.T),
            "size": float(np.diag(own).mean()),
            "other_size": float(np.diag(other).mean()),
        }

    def bounds(self, function, level):
        """Returns the ends of an interval, each missed by chance at `level`.

        Args:
            function: Function from what `estimates` returns to a number.
            level: Float.
        """
        value, counts = function(self.estimates()), np.array(self._both.shape)
        variances = np.array(
            [
                (count - 1)
                * np.var(
                    [function(self.estimates(**{i: n})) for n in range(count)]
                )
                for i, count in zip("ij", counts.tolist(), strict=True)
            ]
        )
        total = variances.sum()
        if not total > 0:  # no spread, or NaN
            return value + total, value + total
        freedom = total**2 / np.sum(variances**2 / (counts - 1))
        reach = special.stdtrit(freedom, 1 - level) * math.sqrt(total)
        return float(value - reach), float(value + reach)


def in_most(
    sets: Sequence[Mapping[str, np.ndarray]],
) -> dict[str, np.ndarray]:
    """Returns the parts that are in more than half of some sets.

    Args:
        sets: List of dicts from name to boolean array.
    """
    return {
        path: 2 * np.sum([one[path] for one in sets], axis=0) > len(sets)
        for path in sets[0]
    }


def need(
    common: tuple[npt.ArrayLike, bool],
    members: tuple[npt.ArrayLike, bool],
    level: float = LEVEL,
) -> float:
    """Returns how much parts in common matter to a task, a lower bound.

    Args:
        common: Performance lost in removals of some of the parts in common, an
            array, and whether these are all such removals.
        members: The same for as many of any of the task's parts.
        level: The chance that the bound is too high.

    Returns:
        Float in [0, 1]: the ratio of the mean losses, a lower bound of the one
        over an upper bound of the other. 0 if no loss is seen.
    """
    low, high = _bounds(*common, level)[0], _bounds(*members, level)
    return float(np.clip(low / high[1], 0, 1)) if high[0] > 0 else 0.0


def _bounds(losses, is_all, level):
    losses = np.asarray(losses, "float64")
    mean, count = losses.mean(), len(losses)
    if is_all:
        return mean, mean
    if np.ptp(losses) == 0:
        # What was never seen may be there, up to a share of this chance.
        return mean * level ** (1 / count), mean
    return stats.mean_interval(losses, level)


def _are_alike(sets, level, seed):
    """Returns whether any two sets have more in common than random ones."""
    return all(
        overlap.between(*pair).p_value(permutations=_PERMUTATIONS, seed=seed)
        <= level
        for pair in itertools.combinations(sets, 2)
    )


def _p_of_most(own, other, seed):
    both = overlap.between(in_most(own), in_most(other))
    return both.p_value(seed=seed)


def _values(name, sets):
    """Returns sets, given as findings or as their values, as values."""
    is_list = isinstance(sets, Sequence)
    found = [
        each.values if isinstance(each, part_set.PartSet) else each
        for each in (sets if is_list else ())
    ]
    if not is_list or not all(isinstance(each, Mapping) for each in found):
        raise ValueError(
            f"`{name}` must be a list of findings, or of dicts from name to "
            f"boolean array, got {sets!r}."
        )
    return found


def _matrices(name, sets):
    """Returns name -> array `(extractions, parts)` of some sets."""
    if not sets:
        raise ValueError(f"`{name}` must be one set or more, got none.")
    for each in sets[1:]:
        overlap.between(sets[0], each)  # refuses what does not fit
    return {
        path: np.array([np.ravel(one[path]) for one in sets], "float32")
        for path in sets[0]
    }


def _mean_of_pairs(matrix):
    count = len(matrix)
    if count < 2:
        return math.nan
    return float((matrix.sum() - np.trace(matrix)) / (count * (count - 1)))


def _root(value):
    return math.sqrt(value) if value >= 0 else math.nan


def _above_floor(which):
    return lambda found: found[which] - found[f"{which}_chance"]


def _index(found, needed=1.0):
    own, other = (_above_floor(which)(found) for which in ("own", "other"))
    if min(own, other) <= 0:
        return math.nan
    return (needed * found["both"] - found["chance"]) / math.sqrt(own * other)


def _index_of(needed):
    return lambda found: _index(found, needed)


def _ratio_if_missed(margin):
    """Returns the overlap, a part more, over what the margin allows."""

    def difference(found):
        size = math.sqrt(found["size"] * found["other_size"])
        ceiling = math.sqrt(found["own"] * found["other"])
        return (found["both"] + ceiling / size) / size - margin * ceiling / size

    return difference

"""Intervals of 95 %: of rates, of means, and of what examples decide.

SciPy has Wilson's interval and the bootstrap, but for cases that count one
each. Here some may be copies of others, which say nothing new (`copies`).
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import special
from scipy import stats as scipy_stats

RESAMPLES = 1000
Z = 1.959964  # of the normal distribution, 2.5 % of which are above


def share_interval(
    hits: float, count: float, is_all: bool = False
) -> tuple[float, float]:
    """Returns the Wilson interval of a share, low and high.

    Args:
        hits: How many of those looked at.
        count: How many were looked at, above 0; no whole number where copies
            count less than others, as in `effective_count`.
        is_all: Whether these are all there are: the share is no estimate.
    """
    share = hits / count
    if is_all:
        return share, share
    middle = (share + Z**2 / (2 * count)) / (1 + Z**2 / count)
    reach = (
        Z
        * math.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
        / (1 + Z**2 / count)
    )
    return max(0.0, middle - reach), min(1.0, middle + reach)


def rate_interval(hits: int, cases: int) -> tuple[float, float]:
    """Returns the exact interval of a rate, of Clopper and Pearson.

    It is wide where the cases are few: from 0 hits of 6 cases one can say no
    more than that the rate is at most 46 %.

    Args:
        hits: In how many cases it was so.
        cases: How many cases there were, above 0.
    """
    found = scipy_stats.binomtest(hits, cases).proportion_ci(method="exact")
    return float(found.low), float(found.high)


def bounded_interval(
    values: npt.ArrayLike, low: float = -math.inf, high: float = math.inf
) -> tuple[float, float]:
    """Returns an interval of the mean of a quantity that has a range.

    Student's interval is taken on the scale

        link(x) = log(x - low) - log(high - x),

    to which the standard error of the mean m is carried over by the slope of
    the link at m. With the range (0, 1) that is the logit interval of a share,
    with (-1, 1) that of a correlation by Fisher's z, and without a range it is
    Student's. An infinite end has no term. A mean at an end of the range,
    where all values are alike, has an interval without width.

    Args:
        values: Array of numbers in the range.
        low: Float, the lower end of the range.
        high: Float, the upper end of the range.

    Returns:
        Two floats in the range; NaN for a single value.

    Raises:
        ValueError: If the mean lies beyond the range.
    """
    values = np.asarray(values, "float64")
    ends = mean_interval(values)
    mean = float(values.mean())
    if mean < low or mean > high:
        raise ValueError(
            f"`values` must lie in ({low:g}, {high:g}), got a mean of {mean:g}."
        )
    if mean in (low, high) or (math.isinf(low) and math.isinf(high)):
        return ends
    slope = 1 / (mean - low) + 1 / (high - mean)  # 0 of an infinite end
    reach = (ends[1] - mean) * slope
    below = 0.0 if math.isinf(low) else math.log(mean - low)
    above = 0.0 if math.isinf(high) else math.log(high - mean)
    found = [below - above + sign * reach for sign in (-1, 1)]
    if math.isinf(high):
        start, stop = (low + math.exp(x) for x in found)
    elif math.isinf(low):
        start, stop = (high - math.exp(-x) for x in found)
    else:
        start, stop = low + (high - low) * special.expit(found)
    return float(start), float(stop)


def mean_interval(
    values: npt.ArrayLike,
    level: float = 0.025,
    copies: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> tuple[float, float]:
    """Returns Student's interval of a mean; NaN for a single value.

    Args:
        values: Array of numbers.
        level: The chance that the mean is beyond an end, of each end.
        copies: As in `effective_count`; `None` if no two values belong to
            copies.
        weights: As in `effective_count`.
    """
    sums, weights = _by_example(values, copies, weights)
    count, total = len(sums), weights.sum()
    if count < 2:
        return math.nan, math.nan
    mean = float(sums.sum() / total)
    spread = np.sqrt(np.sum((sums - weights * mean) ** 2) / (count - 1))
    reach = special.stdtrit(count - 1, 1 - level) * spread * math.sqrt(count)
    return mean - float(reach / total), mean + float(reach / total)


def half_width(sd: npt.ArrayLike, count: npt.ArrayLike) -> np.ndarray:
    """Returns half of Student's interval of a mean; NaN for a single value.

    Args:
        sd: Standard deviation of the values (of count - 1), or an array.
        count: How many values there are, or an array.
    """
    count = np.asarray(count)
    return special.stdtrit(count - 1, 0.975) * sd / np.sqrt(count)


def mean_half_width(values: npt.ArrayLike) -> np.ndarray:
    """Returns half of Student's interval of the mean over repeats.

    NaN where fewer than two repeats are known.

    Args:
        values: Float array of shape `(repeats, ...)`; NaN is not known.

    Returns:
        Float array of shape `(...)`.
    """
    known = np.ma.masked_invalid(np.asarray(values, "float64"))
    sd = np.ma.filled(known.std(axis=0, ddof=1), np.nan)
    return half_width(sd, known.count(axis=0))


def bootstrap_interval(
    function: Callable[..., np.ndarray],
    values: Sequence[npt.ArrayLike],
    seed: int,
    copies: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> tuple[float, float]:
    """Returns the bootstrap interval of a function of means over examples.

    Copies of an example are drawn together. NaN for a single example.

    Args:
        function: Function from the means, arrays `(resamples,)` each, to an
            array of that shape.
        values: List of arrays `(examples,)`, with the same examples.
        seed: Int, not negative.
        copies: As in `effective_count`; `None` if there are no copies.
        weights: As in `effective_count`.
    """
    sums, totals = zip(*(_by_example(each, copies, weights) for each in values))
    count = len(totals[0])
    if count < 2:
        return math.nan, math.nan
    drawn = np.random.default_rng(seed).multinomial(
        count, np.full(count, 1 / count), RESAMPLES
    )
    means = drawn @ np.stack(sums, axis=1) / (drawn @ totals[0])[:, None]
    low, high = np.quantile(function(*means.T), (0.025, 0.975))
    return float(low), float(high)


def combined_interval(
    value: float,
    *ends: tuple[float, float],
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> tuple[float, float]:
    """Returns the interval of a value that several draws decide.

    The distances to the ends add up as those of independent errors do, as far
    as the range of the value goes.

    Args:
        value: The estimate.
        *ends: For each of the draws, the interval over that draw alone.
        bounds: Between which the value lies whatever happens.
    """
    low, high = (
        math.hypot(*(value - end for end in side)) for side in zip(*ends)
    )
    return max(value - low, bounds[0]), min(value + high, bounds[1])


def effective_count(
    copies: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """Returns as how many distinct examples some with copies count.

    With w(i) examples that are copies of example i, each example included, or
    the sum of their weights,

        (sum w)^2 / sum w^2.

    This is the number of examples without copies, and the number of distinct
    examples if each has as many copies.

    Args:
        copies: Int array `(examples,)`: which of the distinct examples, from
            0 on, each of them is.
        weights: Float array `(examples,)`, not negative, how much each of them
            counts; one of weight 0 is none. `None`: all alike.

    References:
        - Kish, Survey Sampling, 1965, section 11.7
    """
    totals = np.bincount(copies, weights).astype("float64")
    return float(totals.sum() ** 2 / np.sum(totals**2))


def fall_test(
    losses: np.ndarray,
    whole: np.ndarray | None,
    tolerance: float,
    copies: np.ndarray,
    weights: np.ndarray | None = None,
) -> tuple[bool, bool]:
    """Returns what examples tell of a fall: is it small, is it large?

    The fall is the mean of `losses` over that of `whole`. Each answer is
    wrong for about 2.5 % of samples of examples. Where an example is right
    or wrong, this is Tango's score test for paired shares, else Student's t
    test of a ratio (Fieller), with which a fall is small only if there are so
    many examples that a share of `tolerance` could not have been missed. Both
    may be False: the examples can't tell.

    Args:
        losses: Array `(examples,)`, by how much each of them became worse.
        whole: Array `(examples,)`, how much there is to lose; `None` for
            examples that are right or wrong: 1.
        tolerance: Float in [0, 1), how much of all is a small fall.
        copies: As in `effective_count`.
        weights: As in `effective_count`.

    Returns:
        Two bools: the fall is surely at most `tolerance`, and surely more.

    References:
        - Tango, Statistics in Medicine 17, 1998, section 2
    """
    count = effective_count(copies, weights)
    if whole is None and np.isin(losses, (-1, 0, 1)).all():
        lost, gained = (
            count * np.average(losses == sign, weights=weights)
            for sign in (1, -1)
        )
        score = _score(lost, gained, count, tolerance)
        return score <= -Z, score >= Z
    allowed = tolerance if whole is None else tolerance * whole
    low, high = mean_interval(losses - allowed, copies=copies, weights=weights)
    is_seen = (1 - tolerance) ** count <= 0.025
    return bool(high <= 0 and is_seen), low > 0


def _score(lost, gained, count, difference):
    """Returns Tango's statistic: is a paired difference of shares this one?"""
    b = (2 * count - lost + gained) * difference - lost - gained
    c = -gained * difference * (1 - difference)
    chance = (math.sqrt(b**2 - 8 * count * c) - b) / (4 * count)  # of a gain
    variance = count * (2 * chance + difference * (1 - difference))
    if not variance > 0:
        return 0.0
    return (lost - gained - count * difference) / math.sqrt(variance)


def _by_example(values, copies, weights=None):
    """Returns the sums of values over copies, and how much these count."""
    values = np.asarray(values, "float64")
    if copies is None:
        copies = np.arange(len(values))
    if weights is not None:
        values = values * weights
    totals = np.bincount(copies, weights).astype("float64")
    counted = totals > 0
    return np.bincount(copies, values)[counted], totals[counted]

"""Intervals of 95 %: of shares, of means, and of what examples decide."""

import math

import numpy as np

RESAMPLES = 1000
Z = 1.959964


def of_share(hits, count, is_all=False):
    """Returns the Wilson interval of a share, low and high.

    Args:
        hits: Number, how many of those looked at.
        count: Positive int, how many were looked at.
        is_all: Bool. These are all there are: the share is no estimate.
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


def of_mean(values, level=0.025, copies=None):
    """Returns the t interval of a mean; NaN for a single value.

    Args:
        values: Array of numbers.
        level: Float, by which chance misses either end.
        copies: As in `effective_count`; `None` if no two values belong to
            copies.
    """
    from scipy import stats

    sums, weights = _by_example(values, copies)
    count, total = len(sums), weights.sum()
    if count < 2:
        return math.nan, math.nan
    mean = float(sums.sum() / total)
    spread = np.sqrt(np.sum((sums - weights * mean) ** 2) / (count - 1))
    reach = stats.t.ppf(1 - level, count - 1) * spread * math.sqrt(count)
    return mean - float(reach / total), mean + float(reach / total)


def of_examples(function, values, seed, copies=None):
    """Returns the bootstrap interval of a function of means over examples.

    Copies of an example are drawn together. NaN for a single example.

    Args:
        function: Function from the means, arrays `(resamples,)` each, to an
            array of that shape.
        values: List of arrays `(examples,)`, with the same examples.
        seed: Int, not negative.
        copies: As in `effective_count`; `None` if there are no copies.
    """
    sums, weights = zip(*(_by_example(each, copies) for each in values))
    count = len(weights[0])
    if count < 2:
        return math.nan, math.nan
    drawn = np.random.default_rng(seed).multinomial(
        count, np.full(count, 1 / count), RESAMPLES
    )
    means = drawn @ np.stack(sums, axis=1) / (drawn @ weights[0])[:, None]
    low, high = np.quantile(function(*means.T), (0.025, 0.975))
    return float(low), float(high)


def of_both(value, *ends):
    """Returns the interval of a value that several draws decide.

    The distances to the ends add up as those of independent errors do.

    Args:
        value: Float.
        *ends: Pairs of floats, the interval over each of the draws alone.
    """
    low, high = (
        math.hypot(*(value - end for end in side)) for side in zip(*ends)
    )
    return value - low, value + high


def effective_count(copies):
    """Returns as how many distinct examples some with copies count, a float.

    With w(i) examples that are copies of example i, each example included,

        (sum w)^2 / sum w^2.

    This is the number of examples without copies, and the number of distinct
    examples if each has as many copies.

    Args:
        copies: Int array `(examples,)`: which of the distinct examples, from
            0 on, each of them is.

    References:
        - Kish, Survey Sampling, 1965, section 11.7
    """
    weights = np.bincount(copies).astype("float64")
    return float(weights.sum() ** 2 / np.sum(weights**2))


def is_fall(losses, whole, tolerance, copies):
    """Returns what examples tell of a fall: is it small, is it not?

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

    Returns:
        Two bools: the fall is surely at most `tolerance`, and surely more.

    References:
        - Tango, Statistics in Medicine 17, 1998, section 2
    """
    count = effective_count(copies)
    if whole is None and np.isin(losses, (-1, 0, 1)).all():
        lost, gained = (count * np.mean(losses == sign) for sign in (1, -1))
        score = _score(lost, gained, count, tolerance)
        return score <= -Z, score >= Z
    whole = 1.0 if whole is None else whole
    low, high = of_mean(losses - tolerance * whole, copies=copies)
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


def _by_example(values, copies):
    """Returns the sums of values over copies, and how many copies there are."""
    if copies is None:
        copies = np.arange(len(values))
    weights = np.bincount(copies).astype("float64")
    return np.bincount(copies, np.asarray(values, "float64")), weights

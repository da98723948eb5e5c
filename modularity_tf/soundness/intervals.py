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


def of_mean(values, level=0.025):
    """Returns the t interval of a mean; NaN for a single value.

    Args:
        values: Array of numbers.
        level: Float, by which chance misses either end.
    """
    from scipy import stats

    count = len(values)
    if count < 2:
        return math.nan, math.nan
    reach = stats.t.ppf(1 - level, count - 1) * np.std(values, ddof=1)
    mean, reach = float(np.mean(values)), float(reach) / math.sqrt(count)
    return mean - reach, mean + reach


def of_examples(function, values, seed):
    """Returns the bootstrap interval of a function of means over examples.

    Args:
        function: Function from the means, arrays `(resamples,)` each, to an
            array of that shape.
        values: List of arrays `(examples,)`, with the same examples.
        seed: Int, not negative.
    """
    count = len(values[0])
    drawn = np.random.default_rng(seed).multinomial(
        count, np.full(count, 1 / count), RESAMPLES
    )
    means = drawn @ np.stack(values, axis=1) / count
    low, high = np.quantile(function(*means.T), (0.025, 0.975))
    return float(low), float(high)

"""The strength of the mask's penalty, found by the paper's own rule."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class AlphaSearch:
    """What `search_alpha` found.

    Attributes:
        alpha: Float, the largest alpha tried that kept the performance.
        reference: Float, the performance of the network without a mask.
        fraction: Float, the share of it that had to be kept.
        trials: Tuple of dicts with `alpha`, `performance` and
            `keep_fraction`, in increasing order of alpha.
    """

    alpha: float
    reference: float
    fraction: float
    trials: tuple


def search_alpha(
    trial,
    reference,
    start=1e-6,
    fraction=0.95,
    factor=10**0.5,
    refinements=1,
    max_trials=20,
):
    """Returns the largest alpha whose mask of the full task still performs.

    The rule of the paper: train a mask on the *full* task with growing alpha
    until performance falls, then step back to where it is adequate. Starting
    at `start`, alpha is multiplied by `factor` until the performance is below
    `fraction * reference` (or divided, if `start` is already too much); then
    the last interval is halved on the log scale `refinements` times.

    Performance must be measured on data that the masks are not trained on,
    and that no later result is reported on.

    Args:
        trial: Function from alpha, a float, to `(performance, keep_fraction)`
            of a mask trained with it on the full task. Higher is better.
        reference: Float above 0, the performance of the network as it is.
        start: Positive float, the first alpha.
        fraction: Float in (0, 1].
        factor: Float above 1.
        refinements: Int, at least 0.
        max_trials: Positive int.

    Returns:
        `AlphaSearch`.

    Raises:
        ValueError: If an argument is out of its range, a performance is NaN,
            or no alpha is found within `max_trials`.

    Example:

    >>> def trial(alpha):
    ...     masked.reset(seed=0, alpha=alpha)
    ...     masked.fit(train_data, epochs=5)
    ...     return accuracy(masked), masked.weight_mask().keep_fraction
    >>> found = search_alpha(trial, accuracy(model))
    >>> masked.reset(seed=0, alpha=found.alpha)

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), C.2
    """
    for name, value, valid in (
        ("reference", reference, reference > 0),
        ("start", start, start > 0),
        ("fraction", fraction, 0 < fraction <= 1),
        ("factor", factor, factor > 1),
        ("refinements", refinements, refinements >= 0),
    ):
        if not valid:
            raise ValueError(f"`{name}` is out of its range, got {value!r}.")
    trials = {}

    def performs(alpha):
        if len(trials) == max_trials:
            raise ValueError(
                f"Among {max_trials} values of alpha from {min(trials):.3g} "
                f"to {max(trials):.3g} performance never crossed "
                f"{fraction} * {reference:.4g}: choose another `start`, or "
                "train the masks longer."
            )
        performance, keep_fraction = trial(alpha)
        if math.isnan(performance):
            raise ValueError(f"The performance at alpha={alpha:.3g} is NaN.")
        trials[alpha] = {
            "alpha": alpha,
            "performance": float(performance),
            "keep_fraction": float(keep_fraction),
        }
        return performance >= fraction * reference

    good = bad = start
    if performs(start):
        while performs(bad := good * factor):
            good = bad
    else:
        while not performs(good := bad / factor):
            bad = good
    for _ in range(refinements):
        middle = math.sqrt(good * bad)
        if performs(middle):
            good = middle
        else:
            bad = middle
    ordered = tuple(trials[alpha] for alpha in sorted(trials))
    return AlphaSearch(good, float(reference), fraction, ordered)

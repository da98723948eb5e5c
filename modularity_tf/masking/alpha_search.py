"""The strength of the mask's penalty, found by the paper's own rule."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from modularity_tf import checks


class NoMaskError(ValueError):
    """No `alpha` gives a mask that keeps the performance and removes weights.

    Another network, or more data or steps, may have one: a program that goes
    through many networks can tell this from a mistake in its arguments.

    >>> def find_all(models, data):
    ...     masks = {}
    ...     for name, model in models.items():
    ...         try:
    ...             masks[name] = mtf.find_weights(model, data, verbose=0)
    ...         except mtf.NoMaskError as error:
    ...             print(f"{name}: {error}")
    ...     return masks
    """


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
    trials: tuple[dict[str, float], ...]


def search_alpha(
    trial: Callable[[float], tuple[float, float]],
    reference: float,
    *,
    start: float = 1e-6,
    fraction: float = 0.95,
    factor: float = 10**0.5,
    refinements: int = 1,
    max_trials: int = 20,
) -> AlphaSearch:
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
        NoMaskError: If no alpha is found within `max_trials`.
        ValueError: If an argument is out of its range, or `trial` returns
            anything but two numbers.

    Example:

    >>> from modularity_tf.masking import alpha_search
    >>> def trial(alpha):  # in earnest: train a mask with it, and score it
    ...     return 1 - 20 * alpha, 1e-4 / alpha
    >>> found = alpha_search.search_alpha(trial, reference=1.0, start=1e-4)
    >>> round(found.alpha, 6)
    0.001778

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), C.2
    """
    if not callable(trial):
        raise ValueError(
            "`trial` must be a function from alpha to `(performance, "
            f"keep_fraction)`, got {trial!r}."
        )
    checks.number("reference", reference, above=True)
    checks.number("start", start, above=True)
    checks.number("fraction", fraction, above=True, most=1)
    checks.number("factor", factor, least=1, above=True)
    checks.integer("refinements", refinements)
    checks.integer("max_trials", max_trials, least=1)
    trials: dict[float, dict[str, float]] = {}

    def performs(alpha: float) -> bool:
        if len(trials) == max_trials:
            advice = "begin with another alpha"
            if not any(
                trial["performance"] >= fraction * reference
                for trial in trials.values()
            ):
                advice += (
                    "; or, if masks that remove hardly a weight perform no "
                    "better, give them more training data or more steps"
                )
            raise NoMaskError(
                f"Among {max_trials} values of alpha from {min(trials):.3g} "
                f"to {max(trials):.3g} performance never crossed "
                f"{fraction} * {reference:.4g}: {advice}."
            )
        performance, keep_fraction = _numbers(trial(alpha), alpha)
        trials[alpha] = {
            "alpha": alpha,
            "performance": performance,
            "keep_fraction": keep_fraction,
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


def _numbers(result: Any, alpha: float) -> tuple[float, float]:
    """Returns what a trial returned as two floats."""
    try:
        performance, keep_fraction = map(float, result)
    except (TypeError, ValueError):
        raise ValueError(
            "`trial` must return two numbers, `(performance, keep_fraction)`, "
            f"got {result!r} at alpha={alpha:.3g}."
        ) from None
    if not math.isfinite(performance):
        raise ValueError(
            f"The performance at alpha={alpha:.3g} is {performance}."
        )
    if not 0 <= keep_fraction <= 1:
        raise ValueError(
            f"The keep fraction at alpha={alpha:.3g} must be in [0, 1], got "
            f"{keep_fraction}."
        )
    return performance, keep_fraction

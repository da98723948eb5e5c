"""What the masks of several tasks share: the sums of sections 2 and 3."""

import collections.abc
import dataclasses
import itertools

import numpy as np

from modularity_tf.findings import overlap


def with_total(both):
    """Returns an `Overlap` tensor by tensor, all of them as "total"."""
    return {**both.by_tensor, "total": both}


def sharing_with_others(sets):
    """Returns how much each of several sets shares with all the others.

    s(t, r) = |t & r| / |t| with r the union of the others.

    Args:
        sets: Dict from task to a mapping as in `overlap.between`; two or
            more.

    Returns:
        Dict from task to `Overlap`.

    Raises:
        ValueError: If there are fewer than two, or they don't fit together.

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), section 2
    """
    if not isinstance(sets, collections.abc.Mapping):
        raise ValueError(f"`sets` must be a dict from task, got {sets!r}.")
    if len(sets) < 2:
        raise ValueError(f"At least two sets are needed, got {len(sets)}.")
    found = {}
    for task, own in sets.items():
        others = [each for name, each in sets.items() if name != task]
        found[task] = overlap.between(own, _union(others))
    return found


def overlap_of_functions(sets):
    """Returns the excess overlap of the sets of *different* functions.

    P_specialize holds where it is low: different functions use different
    parts, fewer in common than random sets of the same sizes would have.

    Args:
        sets: Dict from function to a mapping as in `overlap.between`.

    Returns:
        `Excess` over all pairs of functions, in both directions.
    """
    return _excess(itertools.combinations(sets.values(), 2))


def overlap_of_repeats(repeats):
    """Returns the excess overlap of sets of the *same* function, met twice.

    P_reuse holds where it is high: the same function uses the same parts
    wherever it is met, more in common than random sets would have.

    Args:
        repeats: List of pairs `(first, second)` of mappings as in
            `overlap.between`.

    Returns:
        `Excess` over the pairs, in both directions.
    """
    return _excess(repeats)


@dataclasses.dataclass(frozen=True)
class Excess:
    """Overlap over what random sets share: a mean and its spread.

    Attributes:
        mean: Float in [-1, 1], mean of `Overlap.excess`.
        sd: Float, standard deviation over pairs and directions.
        share: Float in [0, 1], mean of `Overlap.share`.
        chance_sd: Float, standard deviation of the mean if all sets were
            random.
    """

    mean: float
    sd: float
    share: float
    chance_sd: float


def _excess(pairs):
    found = [overlap.between(a, b) for a, b in pairs]
    if not found:
        raise ValueError("At least two sets are needed.")
    both = np.array([(x.first, x.second) for x in found], "float64")
    shared = np.array([[x.shared] for x in found])
    over = shared - np.array([[x.expected] for x in found])
    # The two directions of a pair vary together, the pairs on their own.
    sd = np.sqrt([[x.variance] for x in found])
    with np.errstate(divide="ignore", invalid="ignore"):  # an empty set: NaN
        share, excess, chance = shared / both, over / both, sd / both
    return Excess(
        mean=float(np.mean(excess)),
        sd=float(np.std(excess, ddof=1)),
        share=float(np.mean(share)),
        chance_sd=float(np.linalg.norm(chance.sum(axis=1)) / both.size),
    )


def _union(sets):
    union = {name: np.array(value) for name, value in sets[0].items()}
    for other in sets[1:]:
        overlap.between(union, other)  # refuses what does not fit
        union = {name: value | other[name] for name, value in union.items()}
    return union

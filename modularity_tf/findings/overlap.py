"""The overlap of sets of parts, beside that of random sets of their sizes."""

import collections.abc
import dataclasses
import functools
import itertools
import math
import operator

import numpy as np

from modularity_tf import checks


def ratio(part, whole):
    """Returns part / whole as a float; NaN for a whole of 0."""
    return part / whole if whole else math.nan


@dataclasses.dataclass(frozen=True)
class Overlap:
    """How much two subsets of a network's parts have in common.

    The parts are weights, neurons or the units of a cluster; t and r are two
    sets of them. The expectation is that of random sets of the same sizes
    (hypergeometric). Sets of several layers add up, layer by layer. 0 / 0, for
    an empty set, is NaN.

    Attributes:
        shared: Int, |t & r|.
        layers: Tuple of `(size, |t|, |r|)`, ints, one a layer.
    """

    shared: int
    layers: tuple

    @property
    def first(self):
        """Int, |t|."""
        return sum(t for _, t, _ in self.layers)

    @property
    def second(self):
        """Int, |r|."""
        return sum(r for _, _, r in self.layers)

    @property
    def expected(self):
        """Float, the number shared by chance."""
        return float(sum(t * r / n for n, t, r in self.layers if n))

    @property
    def variance(self):
        """Float, the variance of the number shared by chance."""
        return float(
            sum(
                t * r / n * (1 - t / n) * (1 - r / n) * n / max(n - 1, 1)
                for n, t, r in self.layers
                if n
            )
        )

    @property
    def share(self):
        """Float, s(t, r) = |t & r| / |t|: not symmetric."""
        return ratio(self.shared, self.first)

    @property
    def jaccard(self):
        """Float, |t & r| / |t | r|."""
        return ratio(self.shared, self.first + self.second - self.shared)

    @property
    def expected_share(self):
        """Float, the share s(t, r) of random sets of these sizes."""
        return ratio(self.expected, self.first)

    @property
    def expected_jaccard(self):
        """Float, the Jaccard index of random sets that share as expected."""
        union = self.first + self.second - self.expected
        return ratio(self.expected, union)

    @property
    def excess(self):
        """Float, `share` less `expected_share`."""
        return self.share - self.expected_share

    def p_value(self, permutations=9999, seed=0):
        """Returns how likely random sets share as much, or more.

        The members of one set are dealt out anew in each layer, which leaves a
        hypergeometric number of shared ones.

        Args:
            permutations: Positive int. p is never below 1 / (permutations + 1).
            seed: Int, not negative.

        Returns:
            Float in (0, 1].

        Raises:
            ValueError: If an argument is out of its range.
        """
        permutations = checks.integer("permutations", permutations, least=1)
        rng = np.random.default_rng(checks.integer("seed", seed))
        null = sum(
            rng.hypergeometric(t, n - t, r, permutations)
            for n, t, r in self.layers
        )
        return float((1 + np.sum(null >= self.shared)) / (1 + permutations))

    def __add__(self, other):
        return Overlap(self.shared + other.shared, self.layers + other.layers)


def overlaps(first, second):
    """Returns the overlap of two sets, layer by layer.

    >>> from modularity_tf.findings import overlap
    >>> one, other = np.arange(8) < 4, np.arange(8) >= 3
    >>> both = overlap.overlaps({"hidden": one}, {"hidden": other})["total"]
    >>> both.share, both.expected_share
    (0.25, 0.625)

    Args:
        first: Mapping from the name of a layer or weight to a boolean array,
            True for its members; `WeightMask.values`, say.
        second: Mapping with the same names and shapes.

    Returns:
        Dict from name to `Overlap`, "total" the last.

    Raises:
        ValueError: If names, shapes or types differ from that.

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), section 2
    """
    if first.keys() != second.keys():
        raise ValueError(
            "The sets must be over the same layers, got "
            f"{list(first)} and {list(second)}."
        )
    found = {}
    for name in first:
        t, r = np.asarray(first[name]), np.asarray(second[name])
        if t.dtype != bool or r.dtype != bool or t.shape != r.shape:
            raise ValueError(
                f"The sets of {name!r} must be boolean and of one shape, got "
                f"{t.dtype} {t.shape} and {r.dtype} {r.shape}."
            )
        found[name] = _overlap(t, r)
    nothing = Overlap(0, ())
    found["total"] = functools.reduce(operator.add, found.values(), nothing)
    return found


def sharing_with_others(sets):
    """Returns how much each of several sets shares with all the others.

    s(t, r) = |t & r| / |t| with r the union of the others.

    Args:
        sets: Dict from task to a mapping as in `overlaps`; two or more.

    Returns:
        Dict from task to what `overlaps` returns.

    Raises:
        ValueError: If there are fewer than two, or they don't fit together.

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), section 2
    """
    if not isinstance(sets, collections.abc.Mapping):
        raise ValueError(f"`sets` must be a dict from task, got {sets!r}.")
    if len(sets) < 2:
        raise ValueError(f"At least two sets are needed, got {len(sets)}.")
    return {
        task: overlaps(own, _union([s for t, s in sets.items() if t != task]))
        for task, own in sets.items()
    }


def overlap_of_functions(sets):
    """Returns the excess overlap of the sets of *different* functions.

    P_specialize holds where it is low: different functions use different
    parts, fewer in common than random sets of the same sizes would have.

    Args:
        sets: Dict from function to a mapping as in `overlaps`.

    Returns:
        `Excess` over all pairs of functions, in both directions.
    """
    return _excess(itertools.combinations(sets.values(), 2))


def overlap_of_repeats(repeats):
    """Returns the excess overlap of sets of the *same* function, met twice.

    P_reuse holds where it is high: the same function uses the same parts
    wherever it is met, more in common than random sets would have.

    Args:
        repeats: List of pairs `(first, second)` of mappings as in `overlaps`.

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
    found = [overlaps(a, b)["total"] for a, b in pairs]
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


def _overlap(t, r):
    sizes = t.size, int(t.sum()), int(r.sum())
    return Overlap(int((t & r).sum()), (sizes,))


def _union(sets):
    union = {name: np.array(value) for name, value in sets[0].items()}
    for other in sets[1:]:
        overlaps(union, other)  # refuses what does not fit
        union = {name: value | other[name] for name, value in union.items()}
    return union

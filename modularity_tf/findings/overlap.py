"""The overlap of sets of parts, beside that of random sets of their sizes."""

import dataclasses
import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from modularity_tf import checks


def ratio(part: float, whole: float) -> float:
    """Returns part / whole as a float; NaN for a whole of 0."""
    return part / whole if whole else math.nan


class Counts(NamedTuple):
    """What two subsets of a tensor's parts have in common.

    Attributes:
        name: Str, the path of the weight or layer.
        size: Int, how many parts there are.
        first: Int, |t|, how many the first set has.
        second: Int, |r|, how many the second set has.
        shared: Int, |t & r|.
    """

    name: str
    size: int
    first: int
    second: int
    shared: int


@dataclasses.dataclass(frozen=True)
class Overlap:
    """How much two subsets of a network's parts have in common.

    The parts are weights, neurons or the units of a cluster; t and r are two
    sets of them. The expectation is that of random sets of the same sizes in
    each tensor (hypergeometric). Tensors add up. 0 / 0, for an empty set, is
    NaN.

    Attributes:
        counts: Tuple of `Counts`, one for each tensor.
    """

    counts: tuple[Counts, ...] = ()

    @property
    def by_tensor(self) -> dict[str, "Overlap"]:
        """Dict from the path of a weight or layer to its own `Overlap`."""
        return {each.name: Overlap((each,)) for each in self.counts}

    @property
    def shared(self) -> int:
        """Int, |t & r|."""
        return sum(each.shared for each in self.counts)

    @property
    def first(self) -> int:
        """Int, |t|."""
        return sum(each.first for each in self.counts)

    @property
    def second(self) -> int:
        """Int, |r|."""
        return sum(each.second for each in self.counts)

    @property
    def expected(self) -> float:
        """Float, the number shared by chance."""
        return float(sum(t * r / n for _, n, t, r, _ in self.counts if n))

    @property
    def variance(self) -> float:
        """Float, the variance of the number shared by chance."""
        return float(
            sum(
                t * r / n * (1 - t / n) * (1 - r / n) * n / max(n - 1, 1)
                for _, n, t, r, _ in self.counts
                if n
            )
        )

    @property
    def share(self) -> float:
        """Float, s(t, r) = |t & r| / |t|: not symmetric."""
        return ratio(self.shared, self.first)

    @property
    def jaccard(self) -> float:
        """Float, |t & r| / |t | r|."""
        return ratio(self.shared, self.first + self.second - self.shared)

    @property
    def expected_share(self) -> float:
        """Float, the share s(t, r) of random sets of these sizes."""
        return ratio(self.expected, self.first)

    @property
    def expected_jaccard(self) -> float:
        """Float, the Jaccard index of random sets that share as expected."""
        union = self.first + self.second - self.expected
        return ratio(self.expected, union)

    @property
    def excess(self) -> float:
        """Float, `share` less `expected_share`."""
        return self.share - self.expected_share

    def p_value(
        self, *, permutations: int = 9999, seed: int | None = 0
    ) -> float:
        """Returns how likely random sets share as much, or more.

        The members of one set are permuted in each tensor, which leaves a
        hypergeometric number of shared ones.

        Args:
            permutations: Positive int. p is never below 1 / (permutations + 1).
            seed: Int, not negative; `None` is random.

        Returns:
            Float in (0, 1].

        Raises:
            ValueError: If an argument is out of its range.
        """
        permutations = checks.integer("permutations", permutations, least=1)
        rng = np.random.default_rng(checks.seed(seed))
        null = np.zeros(permutations, "int64")
        for _, n, t, r, _ in self.counts:
            null += rng.hypergeometric(t, n - t, r, permutations)
        return float((1 + np.sum(null >= self.shared)) / (1 + permutations))

    def __str__(self) -> str:
        return (
            f"{self.shared:,} of {self.first:,} parts are in the other set, "
            f"too ({self.share:.1%}; by chance {self.expected_share:.1%}, "
            f"p = {self.p_value():.2g})."
        )

    def __repr__(self) -> str:
        return (
            f"<Overlap: {self.shared:,} of {self.first:,} parts shared with "
            f"{self.second:,}, {self.share:.1%}; by chance "
            f"{self.expected_share:.1%}, p = {self.p_value():.2g}>"
        )

    def __add__(self, other: "Overlap") -> "Overlap":
        return Overlap(self.counts + other.counts)


def between(
    first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]
) -> Overlap:
    """Returns the overlap of two sets.

    >>> from modularity_tf.findings import overlap
    >>> one, other = np.arange(8) < 4, np.arange(8) >= 3
    >>> both = overlap.between({"hidden": one}, {"hidden": other})
    >>> both.share, both.expected_share
    (0.25, 0.625)
    >>> both
    <Overlap: 1 of 4 parts shared with 5, 25.0%; by chance 62.5%, p = 1>

    Args:
        first: Dict from the name of a layer or weight to a boolean array,
            True for its members; `WeightMask.values`, say.
        second: Dict with the same names and shapes.

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
    counts = []
    for name in first:
        t, r = np.asarray(first[name]), np.asarray(second[name])
        if t.dtype != bool or r.dtype != bool or t.shape != r.shape:
            raise ValueError(
                f"The sets of {name!r} must be boolean and of one shape, got "
                f"{t.dtype} {t.shape} and {r.dtype} {r.shape}."
            )
        shared = int((t & r).sum())
        counts.append(Counts(name, t.size, int(t.sum()), int(r.sum()), shared))
    return Overlap(tuple(counts))

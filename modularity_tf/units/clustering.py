"""Which units act alike? Clusters of maximal modularity, and their agreement.

Clusters are an int array `(units,)` of labels 0, 1, ... with the largest
cluster first, and -1 for "unused" units, which are similar to no other. A stack
of similarity matrices `(matrices, units, units)` has a stack of labels.

References:
    - Lange et al., 2022, "Clustering Units in Neural Networks: Upstream vs
      Downstream Information", section 3.2 and appendix A.1
"""

import itertools
import os
import typing
from collections.abc import Sequence
from concurrent import futures

import numpy as np
import threadpoolctl

from modularity_tf import checks
from modularity_tf.findings import unit_clusters

ROUNDING = 1e-12  # Q, at most 1, that differs by less is equal
GROUP_ROUNDS = 10  # of moves of groups in a restart of `find_clusters`
FEW = 128  # units: above, spectral splits and restarts are those that scale


def modularity(similarity: np.ndarray, clusters: np.ndarray) -> float:
    """Returns Newman's modularity of a clustering.

    Q = Tr(P' A P) - Tr(P' A 1 1' A P), where A is the similarity without its
    diagonal, divided by its sum, and P says which unit is in which cluster.

    >>> from modularity_tf.units import clustering
    >>> blocks = np.kron(np.eye(2), np.ones((3, 3)))
    >>> float(clustering.modularity(blocks, [0, 0, 0, 1, 1, 1]))
    0.5

    Args:
        similarity: Array of shape `(n, n)`, symmetric, not negative.
        clusters: Int array of shape `(n,)`; units of label -1 are left out,
            with their links. Or float array of shape `(n, c)`, soft clusters:
            not negative, every row sums to 1.

    Returns:
        Float, at most 1; 0 for a single cluster, NaN without any link.

    Raises:
        ValueError: If an argument is not as above.

    References:
        - Lange et al., 2022, equation 6
    """
    adjacency, clusters = _adjacency(similarity), np.asarray(clusters)
    n = len(adjacency)
    if adjacency.ndim != 2 or clusters.shape[:1] != (n,):
        raise ValueError(
            "`clusters` must have a row for each unit of one `similarity`, "
            f"got the shapes {clusters.shape} and {adjacency.shape}."
        )
    if clusters.ndim == 1:
        used = unit_clusters.checked_labels(clusters) >= 0
        if not used.all():
            adjacency = adjacency[np.ix_(used, used)]
        names, place = np.unique(clusters[used], return_inverse=True)
        clusters = np.eye(n if n <= FEW else len(names))[place]
    elif not (
        clusters.ndim == 2
        and np.all(clusters >= 0)
        and np.allclose(clusters.sum(axis=1), 1)
    ):
        raise ValueError(
            "The rows of soft `clusters` must be probabilities, got "
            f"{clusters!r}."
        )
    total = adjacency.sum()
    if not total:
        return float("nan")
    inside = np.sum(clusters * (adjacency @ clusters)) / total
    return float(inside - np.sum((adjacency.sum(0) @ clusters / total) ** 2))


def num_clusters(clusters: np.ndarray) -> float:
    """Returns the effective number of clusters, exp(entropy of their sizes).

    exp(-sum_c r_c log r_c), r_c the share of units in cluster c.

    >>> from modularity_tf.units import clustering
    >>> round(float(clustering.num_clusters([0, 0, 1, 1])), 6)
    2.0

    Args:
        clusters: Int array of shape `(n,)`; label -1 is left out.

    Returns:
        Float, from 1 to the number of clusters; 0 if all units are left out.

    References:
        - Lange et al., 2022, equation 8
    """
    return unit_clusters.effective_number(
        unit_clusters.checked_labels(clusters)
    )


def spectral_clusters(
    similarity: np.ndarray, *, within_cluster_correction: bool = False
) -> np.ndarray:
    """Returns clusters by recursive spectral splits (Algorithm 2).

    Splits a cluster by the signs in the eigenvector of the largest eigenvalue
    of B = A - A 1 1' A over its units, if that raises Q, and its parts
    likewise. The largest eigenvalue is not the largest in size: a negative one
    has no say. The eigenvector of more than 128 units is found by Lanczos
    steps.

    Args:
        similarity: Array of shape `(n, n)`, or a stack `(m, n, n)`.
        within_cluster_correction: Bool. Subtracts the sums of the rows of that
            part of B from its diagonal first, as Newman does, so that it is
            the gain of splitting. The paper has no such correction.

    Returns:
        Int array of shape `(n,)` or `(m, n)`; -1 where a row is all zero.

    Raises:
        ValueError: If `similarity` is not symmetric, negative or NaN.

    References:
        - Lange et al., 2022, appendix A.1, Algorithm 2
        - Newman, 2006, "Modularity and community structure in networks", PNAS
          103, equation 6 (the correction)
    """

    def split(adjacency, start, seed):
        return _split(adjacency, within_cluster_correction)

    adjacency = _adjacency(similarity)
    return _each(split, adjacency, np.where(adjacency.any(axis=-1), 0, -1))


def refine_clusters(
    similarities: np.ndarray,
    clusters: np.ndarray,
    *,
    steps: int = 1000,
    entropy: float = 0.15,
    restarts: int = 10,
    seed: int | None = 0,
) -> np.ndarray:
    """Returns the best clusters of a Monte Carlo search (Algorithm 3).

    In a step a random unit moves to cluster j, or to a new one, with
    probability exp(Q_j / T) / sum, at the temperature T where the entropy of
    that choice is `entropy`. Where the best clusters tie, no temperature gives
    so small an entropy, and the choice among them is fair (T -> 0). The best
    clusters of all steps count, moves that were tried and not made included.

    Differs from the paper: as printed, Algorithm 3 forgets the best in every
    step. A new cluster for a unit that is alone is the same as staying, and
    no candidate of its own. Restarts are an addition, since single units are
    slow to leave a local maximum: a restart searches from random clusters, as
    many as the best so far, and then in 10 rounds in which small groups form
    within the clusters, groups move as units do, and units again. Of more than
    128 units, a restart begins at 32 random clusters or more and lets the
    entropy fall from 0.8 to 0, over 60 steps for each unit or more. Units that
    are together both there and in the best so far then move as groups, and
    units again, three times.

    Args:
        similarities: Array of shape `(n, n)`, or a stack `(m, n, n)`.
        clusters: Int array of shape `(n,)` or `(m, n)`, the start. Units of
            label -1 are left out, with their links.
        steps: Int, not negative, how many units are drawn in a search. A
            restart of more than 128 units has its own number.
        entropy: Float, not negative, in nats.
        restarts: Int, not negative. The best of the search as in the paper
            and of that many more counts; each takes some 20 times as long
            (a second for 4,096 units).
        seed: Int, not negative. Matrix i of a stack has `seed + i`, and the
            clusters that it would have alone. `None` is random.

    Returns:
        Int array like `clusters`. Q is never below that of the start.

    Raises:
        ValueError: If an argument is not as above.

    References:
        - Lange et al., 2022, appendix A.1, Algorithm 3
    """
    seed = checks.seed(seed)
    check_search(steps, entropy, restarts)

    def refine(adjacency, start, seed):
        rng = np.random.default_rng(seed)
        best = _search(adjacency, start, steps, entropy, rng)
        for _ in range(restarts):
            if len(start) > FEW:
                best = _anneal(adjacency, best, rng)
                continue
            start = rng.integers(best[0].max() + 1, size=len(start))
            found = _search(adjacency, start, steps, entropy, rng, GROUP_ROUNDS)
            best = max(best, found, key=lambda pair: pair[1])
        return best[0]

    adjacencies = _adjacency(similarities)
    clusters = unit_clusters.checked_labels(clusters)
    if adjacencies.shape[:-1] != clusters.shape:
        raise ValueError(
            "`clusters` must have a label for each unit, got the shapes "
            f"{clusters.shape} and {adjacencies.shape}."
        )
    return _each(refine, adjacencies, clusters, seed)


def find_clusters(
    similarities: np.ndarray,
    *,
    steps: int = 1000,
    entropy: float = 0.15,
    restarts: int = 10,
    seed: int | None = 0,
) -> np.ndarray:
    """Returns the clusters of maximal modularity (Algorithm 1).

    `spectral_clusters`, then `refine_clusters`.

    >>> from modularity_tf.units import clustering
    >>> blocks = np.kron(np.eye(2), np.ones((3, 3)))
    >>> clustering.find_clusters(blocks)
    array([0, 0, 0, 1, 1, 1])

    Args:
        similarities: Array of shape `(n, n)`, or a stack `(m, n, n)`:
            symmetric, not negative. The diagonal does not matter.
        steps: Int, Monte Carlo steps; as the rest, see `refine_clusters`.
        entropy: Float, of a step.
        restarts: Int; the paper has none.
        seed: Int; matrix i of a stack has `seed + i`. `None` is random.

    Returns:
        Int array of shape `(n,)` or `(m, n)`; -1 where a row is all zero.

    Raises:
        ValueError: If an argument is not as above.

    References:
        - Lange et al., 2022, appendix A.1, Algorithm 1
    """
    check_search(steps, entropy, restarts)
    return refine_clusters(
        similarities,
        spectral_clusters(similarities),
        steps=steps,
        entropy=entropy,
        restarts=restarts,
        seed=seed,
    )


def agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Returns the element-centric similarity of two clusterings.

    By clusim, with its default alpha = 0.9. Units that are unused (-1) in
    either are left out: they neither agree nor disagree.

    >>> from modularity_tf.units import clustering
    >>> clustering.agreement([0, 0, 1, 1], [1, 1, 0, 0])
    1.0

    Args:
        a: Int array of shape `(n,)`.
        b: Int array of shape `(n,)`.

    Returns:
        Float in [0, 1], 1 for the same partition; NaN if no unit is left.

    Raises:
        ValueError: If the shapes differ.

    References:
        - Lange et al., 2022, section 4.3
        - Gates et al., 2019, "Element-centric clustering comparison unifies
          overlaps and hierarchy", Scientific Reports 9
    """
    from clusim import clustering as partitions
    from clusim import sim

    a, b = _used_in_both(a, b)
    if not len(a):
        return float("nan")
    one, other = (
        partitions.Clustering().from_membership_list(labels.tolist())
        for labels in (a, b)
    )
    return float(sim.element_sim(one, other))


def agreements(clusterings: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the agreement of all pairs of clusterings.

    Args:
        clusterings: List of int arrays of shape `(n,)`, or a dict of such.

    Returns:
        Float64 array of shape `(len(clusterings), len(clusterings))`,
        symmetric, in the order given; 1 on the diagonal.
    """
    values = [*getattr(clusterings, "values", lambda: clusterings)()]
    found = np.eye(len(values))
    for (i, a), (j, b) in itertools.combinations(enumerate(values), 2):
        found[i, j] = found[j, i] = agreement(a, b)
    return found


class AgreementNull(typing.NamedTuple):
    """An agreement, and what it is by chance.

    Attributes:
        agreement: Float, the observed one.
        mean: Float, its mean over permutations.
        p_value: Float in (0, 1], one-sided: (1 + number of permutations that
            reach the observed one) / (1 + permutations).
    """

    agreement: float
    mean: float
    p_value: float


def agreement_null(
    a: np.ndarray,
    b: np.ndarray,
    *,
    permutations: int = 1000,
    seed: int | None = 0,
) -> AgreementNull:
    """Returns the agreement of two clusterings against permuted labels.

    The labels of `b` are permuted among the units that are used in both.

    Args:
        a: Int array of shape `(n,)`.
        b: Int array of shape `(n,)`.
        permutations: Positive int.
        seed: Int.

    Returns:
        `AgreementNull`.

    Raises:
        ValueError: If an argument is not as above, or no unit is left.
    """
    checks.integer("permutations", permutations, least=1)
    seed = checks.seed(seed)
    a, b = _used_in_both(a, b)
    if not len(a):
        raise ValueError("`a` and `b` have no unit that is used in both.")
    rng, observed = np.random.default_rng(seed), agreement(a, b)
    null = np.array(
        [agreement(a, rng.permutation(b)) for _ in range(permutations)]
    )
    reached = np.sum(null >= observed - ROUNDING)
    p_value = (1 + reached) / (1 + permutations)
    return AgreementNull(observed, float(null.mean()), float(p_value))


def _adjacency(similarity):
    """Returns similarities without their diagonals, after checks."""
    similarity = np.array(similarity, "float64")
    shape = similarity.shape
    if len(shape) not in (2, 3) or shape[-1] != shape[-2] or not shape[-1]:
        raise ValueError(
            "`similarity` must have the shape (n, n) or (m, n, n), got "
            f"{shape}."
        )
    diagonal = np.arange(shape[-1])
    similarity[..., diagonal, diagonal] = 0.0
    if not np.all(np.isfinite(similarity)):
        raise ValueError("`similarity` must be finite, got NaN or infinity.")
    if similarity.size and similarity.min() < 0:
        raise ValueError(
            f"`similarity` must not be negative, got {similarity.min()}."
        )
    turned = np.swapaxes(similarity, -1, -2)
    size = similarity.max(axis=(-2, -1), keepdims=True)
    if np.any(np.abs(similarity - turned) > 1e-5 * size):  # float32 sums
        raise ValueError("`similarity` must be symmetric.")
    return (similarity + turned) / 2


def check_search(
    steps: int = 0, entropy: float = 0.0, restarts: int = 0
) -> None:
    """Raises `ValueError` if a setting of `find_clusters` is out of range."""
    checks.number("entropy", entropy)
    checks.integer("steps", steps)
    checks.integer("restarts", restarts)


def _used_in_both(a, b):
    a, b = unit_clusters.checked_labels(a), unit_clusters.checked_labels(b)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(
            "`a` and `b` must be of one shape (n,), got "
            f"{a.shape} and {b.shape}."
        )
    used = (a >= 0) & (b >= 0)
    return a[used], b[used]


def _each(function, adjacencies, clusters, seed=0):
    """Returns `function` of each matrix over its used units, on all cores."""

    def cluster(adjacency, labels, seed):
        result, used = labels.copy(), labels >= 0
        if not used.all():
            adjacency = adjacency[np.ix_(used, used)]
        if adjacency.any():
            adjacency = adjacency / adjacency.sum()
            result[used] = function(adjacency, labels[used], seed)
        return _by_size(result)

    n = clusters.shape[-1]
    stacks = adjacencies.reshape(-1, n, n), clusters.reshape(-1, n)
    # One thread a matrix: those of BLAS only wait for each other at this size.
    blas = threadpoolctl.threadpool_limits(1, "blas")
    with blas, futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(cluster, *stacks, itertools.count(int(seed))))
    return np.array(found, int).reshape(clusters.shape)


def _by_size(labels):
    """Renumbers clusters by size, equal ones by their first unit."""
    used = labels >= 0
    _, first, place, sizes = np.unique(
        labels[used], return_index=True, return_inverse=True, return_counts=True
    )
    rank = np.empty_like(first)
    rank[np.lexsort((first, -sizes))] = np.arange(len(first))
    result = labels.copy()
    result[used] = rank[place]
    return result


def _split(adjacency, correct):
    """Returns the labels of Algorithm 2; no row of `adjacency` is zero."""
    from scipy import linalg
    from scipy.sparse import linalg as splinalg

    strength = adjacency.sum(axis=1)
    gain = adjacency - np.outer(strength, strength)
    labels, clusters = np.zeros(len(gain), int), [np.arange(len(gain))]
    while clusters:
        units = clusters.pop()
        block = gain[np.ix_(units, units)]
        matrix = block - np.diag(block.sum(axis=1)) if correct else block
        if len(units) > FEW:  # Lanczos: some products instead of n^3
            start = np.random.default_rng(0).normal(size=len(units))
            vector = splinalg.eigsh(matrix, 1, which="LA", v0=start)[1][:, 0]
        else:
            last = [len(units) - 1] * 2
            vector = linalg.eigh(matrix, subset_by_index=last)[1][:, 0]
        up, down = vector > ROUNDING, vector < -ROUNDING
        if not (up.any() and down.any()):
            continue
        if -2 * block[np.ix_(down, ~down)].sum() > ROUNDING:  # Q' - Q
            labels[units[down]] = labels.max() + 1
            clusters += [units[~down], units[down]]
    return labels


def _search(adjacency, labels, steps, entropy, rng, rounds=0):
    """Returns the best labels of a search, and their Q."""
    from modularity_tf.units import monte_carlo

    def move(adjacency, labels, steps):
        labels = np.unique(labels, return_inverse=True)[1]
        uniforms = rng.random((steps, 2))
        return monte_carlo.refine(adjacency, labels, float(entropy), uniforms)

    n = len(labels)
    labels, q = move(adjacency, labels, steps)
    for _ in range(rounds):
        inside = adjacency * (labels[:, None] == labels)
        if not inside.any():
            break
        groups, _ = move(inside / inside.sum(), np.arange(n), n)
        _, first, groups = np.unique(
            groups * n + labels, return_index=True, return_inverse=True
        )
        member = np.eye(len(first))[groups]
        linked = member.T @ adjacency @ member
        moved, _ = move(linked, labels[first], steps)
        labels, q = move(adjacency, moved[groups], steps)
    return labels, q


def _anneal(adjacency, best, rng):
    """Returns the better of some labels, with their Q, and of a restart."""
    from modularity_tf.units import monte_carlo

    def anneal(adjacency, labels, each, entropy=0.8):
        labels = np.unique(labels, return_inverse=True)[1]
        uniforms = rng.random((each * len(labels), 2))
        return monte_carlo.refine(adjacency, labels, entropy, uniforms, True)

    n = len(adjacency)
    start = rng.integers(max(32, 2 * (best[0].max() + 1)), size=n)
    found = anneal(adjacency, start, max(60, 100_000 // n))
    _, groups = np.unique(best[0] * n + found[0], return_inverse=True)
    linked = monte_carlo.merge(adjacency, groups, groups.max() + 1)
    joined = []
    for _ in range(3):
        moved, _ = anneal(linked, np.arange(len(linked)), 100)
        joined.append(anneal(adjacency, moved[groups], 5, 0.15))
    return max(best, found, *joined, key=lambda pair: pair[1])

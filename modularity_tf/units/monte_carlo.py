"""Compiled kernels of `clustering`: Monte Carlo moves at constant entropy.

A step is a few hundred dependent operations on scalars, too fine for NumPy or
TensorFlow: hence numba. Importing this module costs half a second, so
`clustering` imports it only when it is needed. Plain loops, since numba takes
many times longer to compile array expressions.

References:
    - Lange et al., 2022, "Clustering Units in Neural Networks: Upstream vs
      Downstream Information", appendix A.1, Algorithm 3
"""

import math

import numba
import numpy as np

ROUNDING = 1e-12  # gains, at most 1 in size, that differ by less are equal


@numba.njit(cache=True, nogil=True)
def choose(gains, entropy, uniform, chances):
    """Draws from softmax(gains / T) at the temperature T of a given entropy.

    The unit of the gains does not matter. Gains that tie at the top (within
    1e-12) are equally likely at every temperature: where that alone makes the
    entropy too large, T -> 0, a fair choice among them. Where all gains
    together can't reach it, T -> infinity, a fair choice among all.

    Args:
        gains: Float64 array of shape `(candidates,)`, in [-1, 1].
        entropy: Float, not negative, in nats.
        uniform: Float in [0, 1), the random number.
        chances: Float64 array of the same shape, overwritten with the
            probabilities.

    Returns:
        Int, the candidate drawn.
    """
    best = gains.max()
    first, ties = math.inf, 0  # how far the second is behind the best
    for gain in gains:
        if best - gain > ROUNDING:
            first = min(first, best - gain)
        else:
            ties += 1
    beta = math.inf
    if math.log(len(gains)) <= entropy:
        beta = 0.0
    elif math.log(ties) < entropy:
        beta = _inverse_temperature(gains, best, 4 / first, entropy)
    total = 0.0
    for c in range(len(gains)):
        behind = best - gains[c]
        chances[c] = math.exp(-beta * behind) if behind > ROUNDING else 1.0
        total += chances[c]
    below, drawn = 0.0, len(gains) - 1
    for c in range(len(gains)):
        chances[c] /= total
        below += chances[c]
        if uniform < below:
            drawn = min(drawn, c)
    return drawn


@numba.njit(cache=True, nogil=True)
def _inverse_temperature(gains, best, beta, entropy):
    """Returns 1 / T, by Newton steps on log(entropy) within a bracket."""
    low, high = 0.0, math.inf
    while True:
        total = mean = square = 0.0
        for gain in gains:
            behind = best - gain if best - gain > ROUNDING else 0.0
            weight = math.exp(-beta * behind)
            total += weight
            mean += weight * behind
            square += weight * behind * behind
        mean, square = mean / total, square / total
        found = math.log(total) + beta * mean
        if abs(found - entropy) < 1e-9 or high - low < 1e-12 * low:
            return beta
        if found > entropy:
            low = beta
        else:
            high = beta
        slope = beta * (square - mean * mean)  # of -found
        if found > 0 and slope > 0:
            beta += found * math.log(found / entropy) / slope
        if high == math.inf:
            beta = min(max(beta, 1.01 * low), 2 * low)
        elif not low < beta < high:
            beta = (low + high) / 2


@numba.njit(cache=True, nogil=True)
def refine(adjacency, labels, entropy, uniforms, anneal=False):
    """Returns the best clusters met in some Monte Carlo steps (Algorithm 3).

    Unit i moves from cluster a to j. With k_i = sum_l A_il and, over the
    other units, L_j = sum_{l in j} A_il and D_j = sum_{l in j} k_l:

        Q' - Q = 2 k_i (g_j - g_a),  g_j = L_j / k_i - D_j

    so that a step costs O(n + clusters). A new cluster has g = 0; for a unit
    alone in its cluster that is the same as staying, and counts once.

    With `anneal` the entropy falls to 0 over the steps and the last clusters
    are returned instead of the best. The links of all units to each cluster
    are kept up to date, so that a step costs O(clusters) and a move O(n); the
    sums round differently from those of the paper's search.

    Args:
        adjacency: Float64 array of shape `(n, n)`: symmetric, the sum 1.
            The diagonal is 0, or the links within the group that a unit stands
            for. Units without links stay where they are.
        labels: Int64 array of shape `(n,)`, all of 0 ... clusters - 1.
        entropy: Float, of the choice among the clusters in a step.
        uniforms: Float64 array of shape `(steps, 2)` of random numbers in
            [0, 1): which unit, which cluster.
        anneal: Bool.

    Returns:
        Int64 array of shape `(n,)`, and its Q as a float. For the best
        clusters, moves that were tried and not made count as well.
    """
    n = len(labels)
    labels = labels.copy()
    strength, volumes = np.zeros(n), np.zeros(n + 1)
    sizes = np.zeros(n + 1, np.int64)
    gains, chances = np.zeros(n + 1), np.zeros(n + 1)
    q, count = 0.0, 0
    for i in range(n):
        for j in range(n):
            strength[i] += adjacency[i, j]
            if labels[i] == labels[j]:
                q += adjacency[i, j]
        sizes[labels[i]] += 1
        volumes[labels[i]] += strength[i]
        count = max(count, labels[i] + 1)
    for c in range(count):
        q -= volumes[c] ** 2
    links = np.zeros((count + 1 if anneal else 0, n))
    if anneal:
        for i in range(n):
            for j in range(n):
                links[labels[i], j] += adjacency[i, j]
    best, best_q = labels.copy(), q
    for step in range(len(uniforms)):
        i = int(uniforms[step, 0] * n)
        if strength[i] == 0:
            continue
        old = labels[i]
        sizes[old] -= 1
        volumes[old] = volumes[old] - strength[i] if sizes[old] else 0.0
        candidates = count + 1 if sizes[old] else count
        if anneal:
            if candidates > len(links):
                links = np.concatenate((links, np.zeros_like(links)))
            gains[:candidates] = links[:candidates, i]
        else:
            _fill_links(adjacency, i, labels, gains[:candidates])
        gains[old] -= adjacency[i, i]
        for c in range(candidates):
            gains[c] = gains[c] / strength[i] - volumes[c]
        top = np.argmax(gains[:candidates])
        tried = q + 2 * strength[i] * (gains[top] - gains[old])
        if not anneal and tried > best_q + ROUNDING:
            best_q = tried
            best[:] = labels
            best[i] = top
        new = choose(
            gains[:candidates],
            entropy * (1 - step / len(uniforms)) if anneal else entropy,
            uniforms[step, 1],
            chances[:candidates],
        )
        q += 2 * strength[i] * (gains[new] - gains[old])
        labels[i] = new
        sizes[new] += 1
        volumes[new] += strength[i]
        if anneal and new != old:
            for j in range(n):
                links[old, j] -= adjacency[i, j]
                links[new, j] += adjacency[i, j]
        count = max(count, new + 1)
        if not sizes[old]:  # the last cluster takes the empty place
            count -= 1
            for j in range(n):
                if labels[j] == count:
                    labels[j] = old
            if anneal:
                links[old] = links[count]
                links[count] = 0.0
            sizes[old], volumes[old] = sizes[count], volumes[count]
            sizes[count], volumes[count] = 0, 0.0
    return (labels, q) if anneal else (best, best_q)


@numba.njit(cache=True, nogil=True)
def _fill_links(adjacency, i, labels, links):
    """Fills in the links of unit i to every cluster, itself included."""
    for c in range(len(links)):
        links[c] = 0.0
    for j in range(len(labels)):
        links[labels[j]] += adjacency[i, j]


@numba.njit(cache=True, nogil=True)
def merge(adjacency, groups, count):
    """Returns the links between groups of units.

    Args:
        adjacency: Float64 array of shape `(n, n)`.
        groups: Int64 array of shape `(n,)`, of 0 ... count - 1.
        count: Int, number of groups.

    Returns:
        Float64 array of shape `(count, count)`; on the diagonal the links
        within a group.
    """
    linked = np.zeros((count, count))
    for i in range(len(groups)):
        for j in range(len(groups)):
            linked[groups[i], groups[j]] += adjacency[i, j]
    return linked

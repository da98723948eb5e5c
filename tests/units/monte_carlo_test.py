import itertools

import numpy as np
from absl.testing import absltest, parameterized

from modularity_tf.units import monte_carlo


def random_adjacency(seed, n=12, density=1.0):
    """Returns a weighted graph: symmetric, no diagonal, the sum 1."""
    rng = np.random.default_rng(seed)
    weights = rng.random((n, n)) * (rng.random((n, n)) < density)
    weights = np.triu(weights, 1)
    weights[0, 1] += 0.1  # never empty
    return (weights + weights.T) / (2 * weights.sum())


def q_of(adjacency, labels):
    """Returns equation 6, written out unit by unit."""
    k, q = adjacency.sum(axis=1), 0.0
    for i, one in enumerate(labels):
        for j, other in enumerate(labels):
            if one == other:
                q += adjacency[i, j] - k[i] * k[j]
    return q


def entropy_of(chances):
    positive = chances[chances > 0]
    return -np.sum(positive * np.log(positive))


def choose(gains, entropy, uniform=0.5):
    gains = np.array(gains, "float64")
    chances = np.empty_like(gains)
    return monte_carlo.choose(gains, entropy, uniform, chances), chances


def literal_search(adjacency, labels, entropy, uniforms):
    """Returns Algorithm 3 with a full recomputation of Q for each candidate.

    Yields the clusters after every step and the best (Q, clusters) so far.
    """
    labels, best = list(labels), (q_of(adjacency, labels), list(labels))
    for one, other in uniforms:
        i = int(one * len(labels))
        rest = [c for j, c in enumerate(labels) if j != i]
        candidates = sorted(set(rest) | {labels[i]})
        if labels[i] in rest:  # a new cluster would not be where it is
            candidates.append(max(labels) + 1)
        tried = []
        for c in candidates:
            moved = [*labels[:i], c, *labels[i + 1 :]]
            tried.append((q_of(adjacency, moved), moved))
        best = max([best, *tried], key=lambda pair: pair[0])
        _, chances = choose([q for q, _ in tried], entropy)
        labels = tried[int(np.sum(np.cumsum(chances) <= other))][1]
        last = max(labels)
        if labels[i] != candidates[-1] or len(set(labels)) <= last:
            empty = sorted(set(range(last)) - set(labels))
            labels = [empty[0] if empty and c == last else c for c in labels]
        yield list(labels), best


def same_partition(a, b):
    return len(set(zip(a, b, strict=True))) == len(set(a)) == len(set(b))


class ChooseTest(parameterized.TestCase):
    @parameterized.product(
        candidates=[2, 3, 8, 60],
        entropy=[1e-3, 0.15, 0.6],
        scale=[1e-9, 1e-3, 1.0],
    )
    def test_the_choice_has_the_entropy_asked_for(
        self, candidates, entropy, scale
    ):
        rng = np.random.default_rng(candidates)
        for _ in range(20):
            gains = rng.normal(size=candidates)
            gains *= scale / np.abs(gains).max()
            _, chances = choose(gains, entropy)
            np.testing.assert_allclose(entropy_of(chances), entropy, atol=1e-6)
            np.testing.assert_allclose(chances.sum(), 1)
            # A softmax: the logarithms are linear in the gains.
            inner = chances > 1e-200
            if inner.sum() > 2:
                line = np.polyfit(gains[inner], np.log(chances[inner]), 1)
                fitted = np.polyval(line, gains[inner])
                error = np.abs(fitted - np.log(chances[inner])).max()
                self.assertLess(error, 1e-5 * np.log(1 / chances[inner].min()))

    def test_the_unit_of_the_gains_does_not_matter(self):
        gains = np.random.default_rng(0).random(6)
        expected = choose(gains, 0.15)[1]
        for scale in (1e-6, 0.3):
            found = choose(scale * gains, 0.15)[1]
            np.testing.assert_allclose(found, expected, rtol=1e-5)

    @parameterized.named_parameters(
        ("two_at_the_top", [0.3, 0.1, 0.3], 0.15, [0.5, 0, 0.5]),
        ("but_for_rounding", [0.3, 0.1, 0.3 + 1e-15], 0.15, [0.5, 0, 0.5]),
        ("all_equal", [0.2] * 4, 0.15, [0.25] * 4),
        ("greedy", [0.2, 0.1, 0.19], 0.0, [1, 0, 0]),
        ("more_than_can_be", [0.2, 0.1], 0.8, [0.5, 0.5]),
        ("a_single_one", [0.2], 0.15, [1]),
    )
    def test_where_no_temperature_will_do(self, gains, entropy, expected):
        np.testing.assert_allclose(choose(gains, entropy)[1], expected)

    def test_ties_below_the_top_leave_the_entropy_as_asked(self):
        _, chances = choose([0.3, 0.1, 0.1, 0.1], 0.15)
        self.assertAlmostEqual(entropy_of(chances), 0.15, places=6)
        np.testing.assert_allclose(chances[1:], chances[1])

    def test_draws_follow_the_probabilities(self):
        gains = [0.1, 0.3, 0.2]
        chances = choose(gains, 0.6)[1]
        edges = np.cumsum(chances)
        for drawn, low, high in zip(range(3), [0, *edges], edges):
            for uniform in (low + 1e-9, high - 1e-9):
                self.assertEqual(choose(gains, 0.6, uniform)[0], drawn)


class RefineTest(parameterized.TestCase):
    @parameterized.product(seed=[0, 1, 2], entropy=[0.0, 0.15, 0.6])
    def test_is_algorithm_3_with_every_q_computed_in_full(self, seed, entropy):
        adjacency = random_adjacency(seed, density=[1, 0.4, 0.2][seed])
        adjacency = adjacency[np.ix_(*[adjacency.any(axis=1)] * 2)]
        rng = np.random.default_rng(seed)
        start = rng.integers(4, size=len(adjacency))
        start = np.unique(start, return_inverse=True)[1]
        uniforms = rng.random((300, 2))
        steps = literal_search(adjacency, start, entropy, uniforms)
        for step, (_, (q, labels)) in enumerate(steps, 1):  # noqa: B007
            found, found_q = monte_carlo.refine(
                adjacency, start, entropy, uniforms[:step]
            )
            self.assertAlmostEqual(found_q, q, places=12)
            self.assertAlmostEqual(q_of(adjacency, found), q, places=12)
        self.assertGreater(q, q_of(adjacency, start) + 0.01)
        self.assertLen(set(labels), len(set(found)))

    def test_groups_move_as_units_with_links_within(self):
        adjacency = random_adjacency(1, n=12)
        group = np.arange(12) // 2
        member = np.eye(6)[group]
        coarse = member.T @ adjacency @ member
        uniforms = np.random.default_rng(0).random((200, 2))
        start = np.array([0, 0, 1, 1, 2, 2])
        found, q = monte_carlo.refine(coarse, start, 0.15, uniforms)
        self.assertAlmostEqual(q, q_of(adjacency, found[group]), places=12)
        best = max(
            q_of(adjacency, np.array(labels)[group])
            for labels in itertools.product(range(3), repeat=6)
        )
        self.assertGreater(q, best - 1e-12)  # up to 3 clusters of 6 groups

    def test_links_between_groups_are_sums(self):
        adjacency = random_adjacency(2, n=12)
        group = np.random.default_rng(0).integers(5, size=12)
        member = np.eye(5)[group]
        np.testing.assert_allclose(
            monte_carlo.merge(adjacency, group, 5),
            member.T @ adjacency @ member,
        )

    @parameterized.parameters(False, True)
    def test_the_running_q_does_not_drift(self, anneal):
        adjacency = random_adjacency(0, n=64)
        uniforms = np.random.default_rng(0).random((100_000, 2))
        found, q = monte_carlo.refine(
            adjacency, np.zeros(64, int), 0.15, uniforms, anneal
        )
        self.assertAlmostEqual(q, q_of(adjacency, found), places=12)

    @parameterized.parameters(1, 3, 12)
    def test_annealed_steps_are_those_of_links_summed_anew(self, groups):
        # With no entropy the choice is the same at every step; clusters come
        # and go: 12 units of one cluster, or alone.
        adjacency = random_adjacency(3, density=0.4)
        adjacency = adjacency[np.ix_(*[adjacency.any(axis=1)] * 2)]
        start = np.arange(len(adjacency)) % groups
        start = np.unique(start, return_inverse=True)[1]
        uniforms = np.random.default_rng(0).random((400, 2))
        found, q = monte_carlo.refine(adjacency, start, 0.0, uniforms)
        annealed, other = monte_carlo.refine(
            adjacency, start, 0.0, uniforms, True
        )
        self.assertTrue(same_partition(annealed, found))
        self.assertAlmostEqual(other, q, places=12)

    def test_no_step_returns_the_start(self):
        adjacency, start = random_adjacency(0), np.arange(12) % 3
        found, q = monte_carlo.refine(adjacency, start, 0.15, np.empty((0, 2)))
        np.testing.assert_array_equal(found, start)
        self.assertAlmostEqual(q, q_of(adjacency, start), places=14)

    def test_a_pair_of_pairs_splits_into_a_new_cluster(self):
        adjacency = np.kron(np.eye(2), [[0, 1], [1, 0]]) / 4
        uniforms = np.random.default_rng(0).random((100, 2))
        found, q = monte_carlo.refine(
            adjacency, np.zeros(4, int), 0.15, uniforms
        )
        self.assertEqual(q, 0.5)
        self.assertTrue(same_partition(found, [0, 0, 1, 1]))

    def test_units_without_links_stay(self):
        adjacency = np.zeros((5, 5))
        adjacency[0, 1] = adjacency[1, 0] = 0.5
        uniforms = np.random.default_rng(0).random((50, 2))
        start = np.array([0, 0, 1, 1, 2])
        found, _ = monte_carlo.refine(adjacency, start, 0.15, uniforms)
        np.testing.assert_array_equal(found[2:], start[2:])


if __name__ == "__main__":
    absltest.main()

import networkx as nx
import numpy as np
from absl.testing import absltest, parameterized

from benchmarks import clustering as benchmark
from modularity_tf.units import clustering


def random_graph(seed, n=64, groups=1, within=1.0, across=1.0):
    """Returns uniform weights on links that are planted with a density."""
    rng = np.random.default_rng(seed)
    group = rng.integers(groups, size=n)
    same = group[:, None] == group
    linked = rng.random((n, n)) < np.where(same, within, across)
    weights = np.triu(rng.random((n, n)) * linked, 1)
    return weights + weights.T


def cliques(*sizes):
    """Returns disconnected cliques, and which unit is in which."""
    group = np.repeat(np.arange(len(sizes)), sizes)
    return (group[:, None] == group).astype("float64"), group


def members(labels):
    return [set(np.flatnonzero(labels == c)) for c in np.unique(labels)]


class ModularityTest(parameterized.TestCase):
    @parameterized.parameters(0, 1, 2)
    def test_equals_networkx(self, seed):
        similarity = random_graph(seed, 20, across=0.5, within=0.5)
        labels = np.random.default_rng(seed).integers(4, size=20)
        graph = nx.from_numpy_array(similarity)
        expected = nx.community.modularity(graph, members(labels))
        found = clustering.modularity(similarity + np.eye(20), labels)
        self.assertAlmostEqual(found, expected, places=14)

    @parameterized.named_parameters(
        ("two_pairs", [2, 2], [0, 0, 1, 1], 1 / 2),
        ("the_other_way", [2, 2], [0, 1, 0, 1], -1 / 2),
        ("one_cluster", [2, 2], [0, 0, 0, 0], 0),
        ("alone", [2, 2], [0, 1, 2, 3], -1 / 4),
        ("three_cliques", [3, 3, 3], [7, 7, 7, 2, 2, 2, 0, 0, 0], 2 / 3),
        ("an_unused_unit", [2, 2, 1], [0, 0, 1, 1, -1], 1 / 2),
        ("and_its_links", [2, 3], [0, 0, 1, 1, -1], 1 / 2),
    )
    def test_by_hand(self, sizes, labels, expected):
        found = clustering.modularity(cliques(*sizes)[0], labels)
        self.assertAlmostEqual(found, expected, places=14)

    def test_soft_clusters_follow_the_traces(self):
        similarity = random_graph(0, 10)
        soft = np.random.default_rng(1).dirichlet(np.ones(3), size=10)
        a = similarity / similarity.sum()
        b = a - a @ np.ones((10, 10)) @ a
        expected = np.trace(soft.T @ b @ soft)
        found = clustering.modularity(similarity, soft)
        self.assertAlmostEqual(found, expected, places=14)
        hard = np.random.default_rng(2).integers(3, size=10)
        self.assertAlmostEqual(
            clustering.modularity(similarity, np.eye(3)[hard]),
            clustering.modularity(similarity, hard),
            places=14,
        )

    def test_without_a_link_there_is_no_modularity(self):
        found = clustering.modularity(np.eye(3), [0, 1, -1])
        self.assertTrue(np.isnan(found))

    @parameterized.named_parameters(
        ("not_square", np.ones((2, 3)), r"must have the shape .* \(2, 3\)"),
        ("asymmetric", [[0, 1], [2, 0]], "symmetric"),
        ("negative", [[0, -1], [-1, 0]], "not be negative, got"),
        ("nan", [[0, np.nan], [np.nan, 0]], "finite"),
        ("infinite", [[0, np.inf], [np.inf, 0]], "finite"),
        ("empty", np.ones((0, 0)), "shape"),
    )
    def test_refuses_a_similarity_that_is(self, similarity, message):
        for call in (
            lambda: clustering.modularity(similarity, [0, 0]),
            lambda: clustering.spectral_clusters(similarity),
            lambda: clustering.refine_clusters(similarity, [0, 0]),
            lambda: clustering.find_clusters(similarity),
        ):
            with self.assertRaisesRegex(ValueError, message):
                call()

    def test_the_diagonal_may_be_anything(self):
        similarity = np.array([[np.nan, 1.0], [1.0, -3.0]])
        self.assertEqual(clustering.modularity(similarity, [0, 0]), 0)

    @parameterized.named_parameters(
        ("too_few", [0], "a row for each unit"),
        ("floats", [0.0, 1.0], "ints from -1"),
        ("below_unused", [0, -2], "ints from -1"),
        ("soft_rows", [[0.5, 0.6], [1, 0]], "probabilities"),
        ("soft_negative", [[-0.5, 1.5], [1, 0]], "probabilities"),
    )
    def test_refuses_clusters_that_are(self, clusters, message):
        with self.assertRaisesRegex(ValueError, message):
            clustering.modularity(1 - np.eye(2), clusters)


class NumClustersTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("one", [0, 0, 0], 1),
        ("equal_ones", [2, 0, 1, 0, 2, 1], 3),
        ("unused_left_out", [0, 1, -1, -1], 2),
        ("unequal", [0, 0, 0, 1], 4 / 3**0.75),
        ("none", [-1, -1], 0),
    )
    def test_by_hand(self, labels, expected):
        self.assertAlmostEqual(clustering.num_clusters(labels), expected)


def literal_split(similarity, correct):
    """Returns Algorithm 2, with Q computed in full for every split."""
    a = similarity / similarity.sum()
    b = a - np.outer(a.sum(axis=0), a.sum(axis=0))
    labels, queue = np.zeros(len(a), int), [0]
    while queue:
        c = queue.pop()
        units = np.flatnonzero(labels == c)
        block = b[np.ix_(units, units)]
        if correct:
            block = block - np.diag(block.sum(axis=1))
        vector = np.linalg.eigh(block)[1][:, -1]
        tried = labels.copy()
        tried[units[vector < 0]] = labels.max() + 1
        gain = clustering.modularity(similarity, tried)
        gain -= clustering.modularity(similarity, labels)
        if np.any(vector > 0) and np.any(vector < 0) and gain > 1e-12:
            queue += [c, labels.max() + 1]
            labels = tried
    return labels


class SpectralTest(parameterized.TestCase):
    @parameterized.parameters(True, False)
    def test_finds_cliques_and_numbers_them_by_size(self, correct):
        similarity, group = cliques(5, 9, 6)
        similarity += 0.1
        shuffled = np.random.default_rng(0).permutation(20)
        found = clustering.spectral_clusters(
            similarity[np.ix_(shuffled, shuffled)],
            within_cluster_correction=correct,
        )
        np.testing.assert_array_equal(
            found, np.array([2, 0, 1])[group[shuffled]]
        )

    def test_a_negative_eigenvalue_has_no_say_however_large(self):
        # Units link to those of the other kind, within a half strongly: B has
        # the eigenvalues -2.4 (kinds; Q would fall), 1.6 (halves), -1.6 and 0.
        half, kind = np.arange(8) // 4, np.arange(8) % 2
        similarity = np.where(half[:, None] == half, 1.0, 0.2)
        similarity *= kind[:, None] != kind
        a = similarity / similarity.sum()
        values = np.linalg.eigvalsh(a - np.outer(a.sum(0), a.sum(0)))
        scale = similarity.sum()
        np.testing.assert_allclose(scale * values[[0, -1]], [-2.4, 1.6])
        found = clustering.spectral_clusters(similarity)
        np.testing.assert_array_equal(found, half)
        self.assertLess(clustering.modularity(similarity, kind), 0)

    @parameterized.parameters(0, 1, 2)
    def test_splits_only_where_q_grows(self, seed):
        similarity = random_graph(seed, 30, 3, 0.9, 0.3)
        for correct in (True, False):
            found = clustering.spectral_clusters(
                similarity, within_cluster_correction=correct
            )
            q = clustering.modularity(similarity, found)
            self.assertGreater(q, 0)
        complete = 1 - np.eye(30)  # nothing to gain
        found = clustering.spectral_clusters(
            complete, within_cluster_correction=correct
        )
        np.testing.assert_array_equal(found, np.zeros(30))

    @parameterized.product(seed=[0, 1, 2, 3], correct=[False, True])
    def test_is_algorithm_2_with_every_q_computed_in_full(self, seed, correct):
        similarity = random_graph(seed, 30, 2 + seed, 0.9, 0.2)
        found = clustering.spectral_clusters(
            similarity, within_cluster_correction=correct
        )
        expected = literal_split(similarity, correct)
        self.assertEqual(clustering.agreement(found, expected), 1)

    def test_the_correction_changes_what_is_found(self):
        differ = 0
        for seed in range(10):
            similarity = random_graph(seed, 30)
            plain, corrected = (
                clustering.spectral_clusters(
                    similarity, within_cluster_correction=correct
                )
                for correct in (False, True)
            )
            differ += not np.array_equal(plain, corrected)
        self.assertGreater(differ, 0)

    def test_units_similar_to_no_other_are_unused(self):
        similarity = np.zeros((6, 6))
        similarity[np.ix_([1, 3, 4], [1, 3, 4])] = 1.0
        similarity[2, 2] = 5.0  # its own diagonal is no link
        expected = [-1, 0, -1, 0, 0, -1]
        for found in (
            clustering.spectral_clusters(similarity),
            clustering.find_clusters(similarity, steps=50),
        ):
            np.testing.assert_array_equal(found, expected)
        found = clustering.find_clusters(np.zeros((3, 3)))
        np.testing.assert_array_equal(found, [-1, -1, -1])


class FindClustersTest(parameterized.TestCase):
    @parameterized.parameters(2, 3, 5)
    def test_recovers_a_planted_partition(self, groups):
        rng = np.random.default_rng(groups)
        group = np.sort(rng.permutation(64) % groups)
        similarity = rng.random((64, 64)) * (0.2 + (group[:, None] == group))
        found = clustering.find_clusters(similarity + similarity.T)
        self.assertEqual(clustering.agreement(found, group), 1.0)

    def test_a_stack_gives_what_its_matrices_give_alone(self):
        stack = np.stack([random_graph(s, 24, across=0.5) for s in range(5)])
        stack[2, :3] = stack[2, :, :3] = 0.0
        spectral = clustering.spectral_clusters(stack)
        found = clustering.find_clusters(stack, steps=200, seed=4)
        self.assertEqual(found.shape, (5, 24))
        for i, similarity in enumerate(stack):
            np.testing.assert_array_equal(
                spectral[i], clustering.spectral_clusters(similarity)
            )
            alone = clustering.find_clusters(similarity, steps=200, seed=4 + i)
            np.testing.assert_array_equal(found[i], alone)
        np.testing.assert_array_equal(found[2, :3], -1)

    def test_the_same_seed_finds_the_same_and_others_differ(self):
        similarity = random_graph(0)
        one, again, *others = (
            clustering.find_clusters(similarity, steps=100, seed=seed)
            for seed in (3, 3, 4, 5, 6)
        )
        np.testing.assert_array_equal(one, again)
        self.assertFalse(all(np.array_equal(one, x) for x in others))

    @parameterized.parameters(1e-200, 1e-9, 1e9)
    def test_scale_and_diagonal_do_not_matter(self, scale):
        similarity = random_graph(0, 30, 3, 0.9, 0.3)
        expected = clustering.find_clusters(similarity, steps=300)
        scaled = scale * (similarity + np.diag(np.arange(30.0)))
        found = clustering.find_clusters(scaled, steps=300)
        np.testing.assert_array_equal(found, expected)

    @parameterized.parameters(0, 1, 2, 3)
    def test_refining_never_lowers_q_and_more_steps_neither(self, seed):
        similarity = random_graph(seed, across=0.5)
        labels = np.random.default_rng(seed).integers(6, size=64)
        q = [clustering.modularity(similarity, labels)]
        for steps in (0, 1, 10, 100, 1000):
            found = clustering.refine_clusters(
                similarity, labels, steps=steps, restarts=0
            )
            q.append(clustering.modularity(similarity, found))
        self.assertAlmostEqual(q[0], q[1], places=14)  # nothing is done
        self.assertAllGrow(q)
        self.assertGreater(q[-1], q[0] + 0.01)

    @parameterized.parameters(0, 27, 45, 130, 146, 1, 3)
    def test_with_restarts_it_finds_what_leiden_and_greedy_find(self, seed):
        found = benchmark.compare(seed)
        self.assertGreater(found["restarted"], 0.995 * found["leiden"])
        self.assertGreater(found["restarted"], found["greedy"] - 1e-12)
        self.assertGreaterEqual(found["restarted"], found["found"])

    @parameterized.parameters("random", "planted", "covariance")
    def test_restarts_of_many_units_find_what_leiden_finds(self, kind):
        similarity = {
            "random": lambda: benchmark.graph(0, 256),
            "planted": lambda: benchmark.graph(3, 256),
            "covariance": lambda: benchmark.covariance(0, 256),
        }[kind]()
        found = clustering.find_clusters(similarity, restarts=10)
        q = clustering.modularity(similarity, found)
        self.assertGreater(q, 0.995 * benchmark.leiden(similarity))

    def test_many_small_clusters_are_found_apart(self):
        similarity, group = cliques(*[4] * 33)
        self.assertGreater(len(group), clustering.FEW)
        for found in (
            clustering.spectral_clusters(similarity),
            clustering.refine_clusters(similarity, np.zeros(len(group), int)),
        ):
            self.assertEqual(clustering.agreement(found, group), 1)

    def test_large_and_small_matrices_are_split_alike(self):
        similarity = random_graph(2, clustering.FEW + 40, 3, 0.9, 0.2)
        found = clustering.spectral_clusters(similarity)
        expected = literal_split(similarity, False)
        self.assertEqual(clustering.agreement(found, expected), 1)

    @parameterized.parameters(64, clustering.FEW + 40)
    def test_restarts_only_add(self, n):
        similarity = random_graph(1, n, across=0.2, within=0.2)
        q = [
            clustering.modularity(
                similarity,
                clustering.find_clusters(
                    similarity, steps=200, restarts=restarts
                ),
            )
            for restarts in range(4)
        ]
        self.assertAllGrow(q)
        self.assertGreater(q[-1], q[0] + 1e-3)

    def test_restarts_never_lower_q_without_a_step_or_from_one_cluster(
        self,
    ):
        pair = 1 - np.eye(2)
        for start, steps in (([0, 1], 0), ([0, 0], 20)):
            found = clustering.refine_clusters(
                pair, start, steps=steps, restarts=2
            )
            self.assertGreaterEqual(
                clustering.modularity(pair, found),
                clustering.modularity(pair, start),
            )

    def assertAllGrow(self, values):
        self.assertGreaterEqual(np.diff(values).min(), -1e-12)

    def test_refining_leaves_the_unused_alone_also_when_they_have_links(self):
        similarity, group = cliques(4, 4, 4)
        similarity += 0.1
        start = np.where(group == 2, -1, 0)
        found = clustering.refine_clusters(similarity, start)
        np.testing.assert_array_equal(found, np.where(group == 2, -1, group))

    def test_labels_may_be_of_a_small_type(self):
        start = np.arange(200, dtype=np.uint8)
        found = clustering.refine_clusters(
            random_graph(0, 200), start, steps=0, restarts=0
        )
        np.testing.assert_array_equal(found, np.arange(200))

    @parameterized.named_parameters(
        ("steps", {"steps": -1}, "`steps`.*-1"),
        ("entropy", {"entropy": -0.1}, "`entropy`.*-0.1"),
        ("nan", {"entropy": np.nan}, "`entropy`.*nan"),
        ("seed", {"seed": -5}, "`seed`.*-5"),
        ("restarts", {"restarts": -2}, "`restarts`.*-2"),
        ("steps_in_parts", {"steps": 1.5}, "`steps` must be an int.*1.5"),
        ("text", {"entropy": "low"}, "`entropy`.*'low'"),
        ("large_seed", {"seed": 2**31}, "`seed`.*2147483648"),
    )
    def test_refuses_a_bad(self, options, message):
        with self.assertRaisesRegex(ValueError, message):
            clustering.find_clusters(1 - np.eye(3), **options)
        with self.assertRaisesRegex(ValueError, "label for each unit"):
            clustering.refine_clusters(1 - np.eye(3), [0, 0])


class AgreementTest(parameterized.TestCase):
    def expected(self, a, b):
        """Returns mean_i n_i(a & b) / max(n_i(a), n_i(b)), for partitions."""
        a, b = np.asarray(a), np.asarray(b)
        shares = []
        for i in range(len(a)):
            one, other = a == a[i], b == b[i]
            shares.append((one & other).sum() / max(one.sum(), other.sum()))
        return np.mean(shares)

    def test_equals_its_closed_form_for_partitions(self):
        rng = np.random.default_rng(0)
        for _ in range(5):
            a, b = rng.integers(5, size=30), rng.integers(3, size=30)
            found = clustering.agreement(a, b)
            self.assertAlmostEqual(found, self.expected(a, b))
            self.assertAlmostEqual(found, clustering.agreement(b, a))

    def test_the_same_partition_agrees_wholly_whatever_its_labels(self):
        self.assertEqual(clustering.agreement([0, 0, 1, 2], [5, 5, 0, 1]), 1)

    def test_units_unused_in_either_neither_agree_nor_disagree(self):
        a = [0, 0, 1, 1, -1, -1, 0, -1]
        b = [0, 0, 1, 0, -1, -1, -1, 2]
        self.assertAlmostEqual(
            clustering.agreement(a, b), self.expected(a[:4], b[:4])
        )
        self.assertTrue(np.isnan(clustering.agreement([-1, 0], [0, -1])))

    def test_all_pairs_in_order(self):
        rng = np.random.default_rng(0)
        labels = {name: rng.integers(3, size=12) for name in "abc"}
        found = clustering.agreements(labels)
        np.testing.assert_array_equal(
            found, clustering.agreements([*labels.values()])
        )
        for i, a in enumerate(labels.values()):
            for j, b in enumerate(labels.values()):
                expected = self.expected(a, b)
                self.assertAlmostEqual(found[i, j], expected)

    def test_permuted_labels_reach_their_expectation(self):
        # Two clusters of n / 2: the overlap with the own half is
        # hypergeometric, seen from a unit 1 + (n / 2 - 1)^2 / (n - 1).
        n, permutations = 20, 400
        a = np.arange(n) % 2
        null = clustering.agreement_null(a, a, permutations=permutations)
        half = n / 2
        expected = (1 + (half - 1) ** 2 / (n - 1)) / half
        # Hoeffding: agreements are in [1 / 2, 1]; one seed in 1e9 flakes.
        bound = 0.5 * np.sqrt(np.log(2e9) / (2 * permutations))
        self.assertLess(abs(null.mean - expected), bound)
        self.assertEqual(null.agreement, 1)
        self.assertEqual(null.p_value, 1 / (1 + permutations))

    def test_what_always_agrees_is_never_significant(self):
        null = clustering.agreement_null(
            [0] * 6, [0, 0, 0, 1, 1, 2], permutations=20
        )
        self.assertEqual(null.p_value, 1)
        self.assertAlmostEqual(null.mean, null.agreement)

    def test_permutes_only_what_is_used_in_both(self):
        a, b = [0, 0, 1, 1, -1], [0, 0, 1, 1, 2]
        with_unused = clustering.agreement_null(a, b, permutations=30, seed=1)
        without = clustering.agreement_null(
            a[:4], b[:4], permutations=30, seed=1
        )
        self.assertEqual(with_unused, without)

    def test_p_values_of_unrelated_labels_are_not_small(self):
        # Under the null P(p <= t) <= t: with 20 draws, 7 or more below 0.05
        # have a probability of 6e-5.
        rng = np.random.default_rng(0)
        small = sum(
            clustering.agreement_null(
                rng.integers(3, size=15),
                rng.integers(3, size=15),
                permutations=39,
                seed=seed,
            ).p_value
            <= 0.05
            for seed in range(20)
        )
        self.assertLess(small, 7)

    @parameterized.named_parameters(
        ("shapes", [0, 1], [0, 1, 1], "one shape"),
        ("nothing_left", [-1, 0], [0, -1], "no unit"),
    )
    def test_refuses(self, a, b, message):
        with self.assertRaisesRegex(ValueError, message):
            clustering.agreement_null(a, b)
        with self.assertRaisesRegex(ValueError, "permutations"):
            clustering.agreement_null([0, 1], [0, 1], permutations=0)


if __name__ == "__main__":
    absltest.main()

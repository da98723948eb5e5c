import itertools

import networkx
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from networkx.algorithms import community

from modularity_tf.findings import weight_mask
from modularity_tf.structure import specialization


def _two_modules(units, links, seed=0):
    """Returns two dense modules with random links each way, and the groups."""
    rng = np.random.default_rng(seed)
    adjacency = np.ones((2 * units, 2 * units))
    for m in (0, 1):
        between = np.zeros(units**2)
        between[rng.permutation(units**2)[:links]] = 1.0
        rows = slice(m * units, (m + 1) * units)
        columns = slice((1 - m) * units, (2 - m) * units)
        adjacency[rows, columns] = between.reshape(units, units)
    return adjacency, np.repeat([0, 1], units)


class SpecializationTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(
        (0.9, 0.1, 0.8),
        (0.0, 0.5, -1.0),
        (0.5, 0.0, 1.0),
        (0.3, 0.3, 0.0),
        (0.0, 0.0, 0.0),
        (0.4, -1e-3, 1.0),
        (-1e-3, -1e-3, 0.0),
    )
    def test_is_the_normalized_difference(self, own, other, expected):
        self.assertAllClose(
            specialization.specialization(own, other), expected, atol=1e-12
        )

    def test_arrays_go_entry_by_entry(self):
        found = specialization.specialization([1.0, 0.0], [0.0, 1.0])
        self.assertAllEqual(found, [1.0, -1.0])
        with self.assertRaisesRegex(ValueError, "`own` must have the shape"):
            specialization.specialization([1.0, 0.0], [0.0])


class ReadoutAccuracyTest(parameterized.TestCase, tf.test.TestCase):
    def test_tells_what_is_in_the_states_and_nothing_else(self):
        rng = np.random.default_rng(0)
        labels = rng.integers(0, 3, 600)
        states = np.eye(3)[labels] @ rng.normal(size=(3, 4))
        states += 0.01 * rng.normal(size=states.shape)
        fit, test = slice(0, 400), slice(400, None)
        arguments = states[fit], labels[fit], states[test], labels[test]
        self.assertEqual(specialization.readout_accuracy(*arguments), 1.0)
        # Labels apart from the states: Hoeffding bounds chance, 1 / 3.
        other = rng.integers(0, 3, 600)
        found = specialization.readout_accuracy(
            states[fit], other[fit], states[test], other[test]
        )
        bound = np.sqrt(np.log(2 / 1e-9) / (2 * 200))
        self.assertLess(found, 1 / 3 + bound)

    def test_the_scale_of_the_states_does_not_matter(self):
        rng = np.random.default_rng(1)
        labels = rng.integers(0, 4, 500)
        states = np.eye(4)[labels] + 0.7 * rng.normal(size=(500, 4))
        accuracy = [
            specialization.readout_accuracy(x[:300], labels[:300], x[300:], y)
            for x in (states, 1e-4 * states + 5.0)
            for y in (labels[300:],)
        ]
        self.assertAllClose(*accuracy, atol=0.01)

    @parameterized.named_parameters(
        ("shapes", np.ones((4, 2)), np.arange(3), "shape"),
        ("nan", np.full((4, 2), np.nan), np.arange(4), "finite"),
        ("one_class", np.ones((4, 2)), np.zeros(4), "`labels` must have 2"),
    )
    def test_refuses(self, states, labels, message):
        with self.assertRaisesRegex(ValueError, message):
            specialization.readout_accuracy(
                states, labels, np.ones((4, 2)), np.arange(4)
            )

    @parameterized.named_parameters(
        ("other_units", np.ones((4, 3)), np.zeros(4)),
        ("no_example", np.ones((0, 2)), []),
    )
    def test_refuses_as_test_states(self, test_states, test_labels):
        message = "`test_states` must have examples of 2 units"
        with self.assertRaisesRegex(ValueError, message):
            specialization.readout_accuracy(
                np.ones((4, 2)), np.arange(4), test_states, test_labels
            )


class MaskSharesTest(tf.test.TestCase):
    def test_counts_the_weights_kept_in_each_module(self):
        kept = {"a": np.arange(6) < 4, "b": np.arange(3) < 1, "c": np.ones(3)}
        mask = weight_mask.WeightMask({p: v > 0 for p, v in kept.items()})
        shares = specialization.mask_shares(mask, {"a": 1, "b": 0, "c": 1})
        self.assertEqual(shares, {0: 1 / 8, 1: 7 / 8})

    def test_a_module_without_weights_has_none(self):
        mask = weight_mask.WeightMask({"a": np.ones(2, bool)})
        shares = specialization.mask_shares(mask, {"a": 0, "other": 1})
        self.assertEqual(shares, {0: 1.0, 1: 0.0})

    def test_refuses_an_empty_mask_and_a_path_without_module(self):
        mask = weight_mask.WeightMask({"a": np.zeros(2, bool)})
        with self.assertRaisesRegex(ValueError, "`mask` must keep"):
            specialization.mask_shares(mask, {"a": 0})
        with self.assertRaisesRegex(ValueError, "no module for .'a'"):
            specialization.mask_shares(mask, {"b": 0})


class MeanCorrelationTest(tf.test.TestCase):
    def test_equals_the_mean_over_all_pairs(self):
        rng = np.random.default_rng(0)
        groups = rng.integers(0, 4, 40)
        states = rng.normal(size=(40, 7)) + rng.normal(size=(4, 7))[groups]
        states[[3, 11]] = [[0.0], [0.3]]  # constant: left out
        correlations = [
            np.corrcoef(states[i], states[j])[0, 1]
            for i, j in itertools.combinations(range(40), 2)
            if groups[i] == groups[j] and not {i, j} & {3, 11}
        ]
        found = specialization.mean_correlation(states, groups)
        self.assertAllClose(found, np.mean(correlations), rtol=1e-9)

    def test_is_1_where_the_group_decides_up_to_scale(self):
        rng = np.random.default_rng(1)
        groups = np.repeat(np.arange(3), 5)
        states = rng.normal(size=(3, 6))[groups]
        states = states * rng.uniform(0.5, 2, (15, 1)) + rng.normal(
            size=(15, 1)
        )
        found = specialization.mean_correlation(states, groups)
        self.assertAllClose(found, 1.0)

    def test_opposites_correlate_negatively(self):
        states = np.array([[1.0, 0.0], [0.0, 1.0]])
        self.assertAllClose(
            specialization.mean_correlation(states, [0, 0]), -1.0
        )

    def test_is_nan_without_a_pair(self):
        rng = np.random.default_rng(2)
        alone = specialization.mean_correlation(
            rng.normal(size=(3, 4)), [0, 1, 2]
        )
        constant = specialization.mean_correlation(
            np.full((3, 4), 0.1), [0] * 3
        )
        self.assertAllEqual(np.isnan([alone, constant]), [True, True])

    def test_refuses_states_that_do_not_fit(self):
        with self.assertRaisesRegex(ValueError, "as many labels"):
            specialization.mean_correlation(np.ones((3, 4)), [0, 1])
        with self.assertRaisesRegex(ValueError, "finite"):
            specialization.mean_correlation(np.full((2, 4), np.inf), [0, 1])


def _gram_cka(x, y, unbiased):
    """The NumPy twin: from the matrices of examples by examples."""
    n = len(x)
    ones = np.ones(n)

    def hsic(k, m):
        if not unbiased:
            centring = np.eye(n) - 1 / n
            return np.trace(k @ centring @ m @ centring) / (n - 1) ** 2
        k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
        product = np.trace(k @ m)
        product += (ones @ k @ ones) * (ones @ m @ ones) / (n - 1) / (n - 2)
        return (product - 2 / (n - 2) * ones @ k @ m @ ones) / n / (n - 3)

    k, m = x @ x.T, y @ y.T
    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


class CkaTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(True, False)
    def test_equals_the_form_with_gram_matrices(self, unbiased):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(30, 5)) + 3.0
        y = x[:, :3] @ rng.normal(size=(3, 8)) + rng.normal(size=(30, 8))
        found = specialization.cka(x, y, unbiased=unbiased)
        self.assertAllClose(found, _gram_cka(x, y, unbiased), rtol=1e-9)

    @parameterized.parameters(True, False)
    def test_rotation_scale_and_shift_do_not_matter(self, unbiased):
        rng = np.random.default_rng(1)
        x = rng.normal(size=(20, 6))
        rotation, _ = np.linalg.qr(rng.normal(size=(6, 6)))
        found = specialization.cka(
            x, 3.0 * x @ rotation + 1.0, unbiased=unbiased
        )
        self.assertAllClose(found, 1.0)

    def test_only_the_unbiased_one_is_near_0_for_independent_activations(self):
        # Over 200 draws of 20 examples and 30 units; the standard error of
        # the mean is 200 ** -0.5 of the spread, 7 of which fail once in 1e11.
        rng = np.random.default_rng(2)
        draws = rng.normal(size=(200, 2, 20, 30))
        found = [
            [specialization.cka(x, y, unbiased=unbiased) for x, y in draws]
            for unbiased in (True, False)
        ]
        error = 7 * np.std(found, axis=1) / np.sqrt(200)
        self.assertLess(abs(np.mean(found[0])), error[0])
        self.assertGreater(np.mean(found[1]), 0.3)

    def test_is_nan_for_activations_that_do_not_vary(self):
        x = np.random.default_rng(3).normal(size=(5, 2))
        self.assertTrue(np.isnan(specialization.cka(x, np.ones((5, 2)))))

    def test_refuses(self):
        with self.assertRaisesRegex(ValueError, "the same examples"):
            specialization.cka(np.ones((5, 2)), np.ones((4, 2)))
        with self.assertRaisesRegex(ValueError, "at least 4 examples"):
            specialization.cka(np.eye(3), np.eye(3), unbiased=True)

    def test_the_distance_is_0_where_the_group_decides(self):
        rng = np.random.default_rng(4)
        groups = np.repeat(np.arange(4), 25)
        means = rng.normal(size=(4, 6))
        decided = specialization.cka_distance(means[groups], groups, seed=0)
        self.assertAllClose(decided, 0.0, atol=1e-12)
        noise = rng.normal(size=(100, 6))
        mixed = specialization.cka_distance(
            means[groups] + noise, groups, seed=0
        )
        unrelated = specialization.cka_distance(noise, groups, seed=0)
        self.assertGreater(mixed, 0.1)
        self.assertGreater(unrelated, mixed)

    def test_rounding_is_not_taken_for_variation(self):
        one, other = (np.full((1000, 3), value) for value in (0.1, 0.7))
        self.assertTrue(np.isnan(specialization.cka(one, other)))

    def test_the_distance_leaves_out_who_is_alone(self):
        rng = np.random.default_rng(0)
        states = rng.normal(size=(12, 3))
        groups = np.repeat([0, 1, 2], 4)
        lonely = np.append(groups, [3, 4])
        self.assertAlmostEqual(
            specialization.cka_distance(states, groups, seed=0),
            specialization.cka_distance(
                np.concatenate([states, rng.normal(size=(2, 3))]),
                lonely,
                seed=0,
            ),
        )
        alone = specialization.cka_distance(states, np.arange(12), seed=0)
        self.assertTrue(np.isnan(alone))

    def test_the_distance_pairs_nobody_with_itself(self):
        # One group of unrelated states: a pair of equals would show.
        states = np.random.default_rng(5).normal(size=(2, 3))
        found = specialization.cka_distance(states, [0, 0], seed=0)
        swapped = 1 - specialization.cka(states, states[::-1])
        self.assertAllClose(found, swapped)


class StructuralModularityTest(parameterized.TestCase, tf.test.TestCase):
    def test_corners(self):
        found = specialization.structural_modularity([0.0, 1.0, 1 / 3])
        self.assertAllClose(found, [0.5, 0.0, 0.25])

    @parameterized.parameters(-0.1, 1.1, np.nan)
    def test_refuses_a_fraction_out_of_range(self, fraction):
        with self.assertRaisesRegex(ValueError, "`fraction`"):
            specialization.structural_modularity(fraction)

    @parameterized.parameters(0, 1, 40, 400)
    def test_the_graph_of_two_dense_modules_has_the_analytic_value(self, links):
        adjacency, groups = _two_modules(20, links)
        self.assertAllClose(
            specialization.directed_modularity(adjacency, groups),
            specialization.structural_modularity(links / 400),
            rtol=1e-9,
        )

    def test_equals_networkx_on_weighted_directed_graphs(self):
        rng = np.random.default_rng(0)
        adjacency = rng.uniform(size=(12, 12)) * (
            rng.uniform(size=(12, 12)) < 0.4
        )
        groups = rng.integers(0, 3, 12)
        graph = networkx.from_numpy_array(
            adjacency, create_using=networkx.DiGraph
        )
        parts = [set(np.flatnonzero(groups == g)) for g in range(3)]
        self.assertAllClose(
            specialization.directed_modularity(adjacency, groups),
            community.modularity(graph, parts),
        )

    def test_the_direction_of_edges_matters(self):
        # 0 sends to 1 only: as a directed graph its groups are as by chance.
        adjacency = np.array([[0.0, 1.0], [0.0, 0.0]])
        found = specialization.directed_modularity(adjacency, [0, 1])
        self.assertAllClose(found, 0.0)

    @parameterized.named_parameters(
        ("not_square", np.ones((2, 3)), [0, 1], "square"),
        ("negative", -np.ones((2, 2)), [0, 1], "none below 0"),
        ("empty", np.zeros((2, 2)), [0, 1], "an edge"),
        ("nan", np.full((2, 2), np.nan), [0, 1], "an edge"),
        ("groups", np.ones((2, 2)), [0], "`groups` must"),
    )
    def test_refuses(self, adjacency, groups, message):
        with self.assertRaisesRegex(ValueError, message):
            specialization.directed_modularity(adjacency, groups)


if __name__ == "__main__":
    tf.test.main()

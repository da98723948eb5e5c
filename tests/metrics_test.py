import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf import metrics


class ConfusionMatrixTest(parameterized.TestCase, tf.test.TestCase):
    def test_matches_counts_by_hand(self):
        labels = [0, 0, 0, 0, 1, 1, 2]
        predictions = [0, 0, 0, 2, 0, 1, 1]
        expected = [[3 / 4, 0, 1 / 4], [1 / 2, 1 / 2, 0], [0, 1, 0]]
        self.assertAllClose(
            metrics.confusion_matrix(labels, predictions, 3), expected
        )

    def test_matches_numpy_and_rows_sum_to_1(self):
        rng = np.random.default_rng(0)
        labels = np.concatenate([np.arange(5), rng.integers(0, 5, 200)])
        predictions = rng.integers(0, 5, 205)
        expected = [
            [np.mean(predictions[labels == t] == p) for p in range(5)]
            for t in range(5)
        ]
        matrix = metrics.confusion_matrix(labels, predictions, 5)
        self.assertAllClose(matrix, expected)
        self.assertAllClose(matrix.sum(axis=1), np.ones(5))

    def test_a_class_that_is_never_predicted_has_a_column_of_0(self):
        matrix = metrics.confusion_matrix([0, 1, 2], [0, 0, 0], 3)
        self.assertAllEqual(matrix, [[1, 0, 0]] * 3)

    def test_one_class(self):
        self.assertAllEqual(metrics.confusion_matrix([0, 0], [0, 0], 1), [[1]])

    def test_labels_may_be_a_column_as_in_keras_datasets(self):
        labels, predictions = np.array([[0], [1], [1]]), np.array([0, 1, 0])
        self.assertAllClose(
            metrics.confusion_matrix(labels, predictions, 2),
            [[1, 0], [0.5, 0.5]],
        )

    @parameterized.parameters(
        ([0, 1, 3], [0, 2, 2], 2),
        ([0, 1, 3], [0, 1, 1], 2),
        ([0, 1, 2], [0, 1, 2], 3),
    )
    def test_refuses_an_empty_class(self, labels, predictions, empty):
        with self.assertRaisesRegex(ValueError, f"no example of class {empty}"):
            metrics.confusion_matrix(labels, predictions, 4)

    # scikit-learn drops such examples, and the shares would be wrong.
    @parameterized.named_parameters(
        ("label", [0, 1, 2], [0, 1, 1], r"`labels` .* \[0, 2\), got 2"),
        ("prediction", [0, 1, 1], [0, 1, 7], r"`predictions` .* got 7"),
        ("negative", [0, 1, 1], [0, -1, 1], r"`predictions` .* got -1"),
    )
    def test_refuses_a_class_out_of_range(self, labels, predictions, message):
        with self.assertRaisesRegex(ValueError, message):
            metrics.confusion_matrix(labels, predictions, 2)

    def test_refuses_other_numbers_of_predictions_than_labels(self):
        with self.assertRaisesRegex(ValueError, "samples: .3, 2"):
            metrics.confusion_matrix([0, 1, 1], [0, 1], 2)


class RelativeDropTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(
        ("no_change", 0.8, 0.8, 0.0),
        ("total_loss", 0.8, 0.0, 1.0),
        ("half", 0.8, 0.4, 0.5),
        ("a_rise_is_negative", 0.4, 0.5, -0.25),
        ("never_recognized_is_nan", 0.0, 0.0, np.nan),
        ("a_rise_from_never_is_nan", 0.0, 0.5, np.nan),
    )
    def test_corners(self, before, after, expected):
        reference, confusion = np.eye(2), np.eye(2)
        reference[1] = [1 - before, before]
        confusion[1] = [1 - after, after]
        drop = metrics.relative_drop(reference, confusion)
        self.assertAllClose(drop, [0.0, expected])

    def test_only_the_diagonal_counts(self):
        rng = np.random.default_rng(0)
        reference, confusion = rng.uniform(0.1, 1, (2, 4, 4))
        expected = [1 - confusion[i, i] / reference[i, i] for i in range(4)]
        drop = metrics.relative_drop(reference, confusion)
        self.assertAllClose(drop, expected)
        self.assertAllClose(
            metrics.relative_drop(reference.T.tolist(), confusion.T), expected
        )


class OverlapsTest(parameterized.TestCase, tf.test.TestCase):
    def test_by_hand(self):
        t = {"a": np.array([1, 1, 0, 0], bool), "b": np.ones((2, 1), bool)}
        r = {"a": np.array([1, 0, 1, 1], bool), "b": np.zeros((2, 1), bool)}
        found = metrics.overlaps(t, r)
        self.assertEqual(list(found), ["a", "b", "total"])
        a, total = found["a"], found["total"]
        self.assertEqual((a.shared, a.first, a.second), (1, 2, 3))
        self.assertAllClose(
            [a.share, a.share_of_second, a.jaccard], [1 / 2, 1 / 3, 1 / 4]
        )
        self.assertAllClose(a.expected, 2 * 3 / 4)
        self.assertAllClose(a.excess, 1 / 2 - 3 / 4)
        self.assertEqual((total.shared, total.first, total.second), (1, 4, 3))
        self.assertAllClose(total.share, 1 / 4)
        self.assertTrue(np.isnan(found["b"].share_of_second))

    def test_expectation_and_spread_are_those_of_random_sets(self):
        rng = np.random.default_rng(0)
        flags = np.arange(60) < 20
        others = np.arange(60) < 33
        found = metrics.overlaps({"a": flags}, {"a": others})["a"]
        counts = [
            np.sum(rng.permutation(flags) & others) for _ in range(20_000)
        ]
        sd = np.sqrt(found.variance)
        # 20,000 repeats: 6 standard errors of mean and deviation.
        self.assertLess(
            abs(np.mean(counts) - found.expected), 6 * sd / np.sqrt(20_000)
        )
        self.assertAllClose(np.std(counts), sd, rtol=0.04)
        self.assertAllClose(found.share_sd, sd / 20)

    @parameterized.named_parameters(
        ("other_names", {"b": np.ones(2, bool)}, "the same layers"),
        ("another_shape", {"a": np.ones(3, bool)}, "'a' must be boolean"),
        ("numbers", {"a": np.ones(2)}, "'a' must be boolean"),
    )
    def test_refuses(self, other, message):
        with self.assertRaisesRegex(ValueError, message):
            metrics.overlaps({"a": np.ones(2, bool)}, other)


class SharingWithOthersTest(tf.test.TestCase):
    def test_the_reference_is_the_union_of_the_others(self):
        rng = np.random.default_rng(0)
        x, y, z = (rng.random(50) < 0.4 for _ in range(3))
        found = metrics.sharing_with_others(
            {"x": {"w": x}, "y": {"w": y}, "z": {"w": z}}
        )
        self.assertEqual(list(found), ["x", "y", "z"])
        expected = np.sum(y & (x | z)) / np.sum(y)
        self.assertAllClose(found["y"]["total"].share, expected)
        self.assertAllClose(found["y"]["w"].share, expected)

    def test_one_set_has_no_others(self):
        with self.assertRaisesRegex(ValueError, "got 1"):
            metrics.sharing_with_others({"x": {"w": np.ones(2, bool)}})


class SpecializeAndReuseTest(tf.test.TestCase):
    def test_disjoint_sets_are_specialized(self):
        flags = np.arange(100) < 50
        found = metrics.specialize({"a": {"w": flags}, "b": {"w": ~flags}})
        self.assertAllClose([found.mean, found.share], [-0.5, 0.0])
        self.assertGreater(-found.mean, 5 * found.chance_sd)

    def test_equal_sets_are_reused(self):
        flags = {"w": np.arange(100) < 50}
        found = metrics.reuse([(flags, flags)])
        self.assertAllClose([found.mean, found.share], [0.5, 1.0])

    def test_random_sets_are_neither(self):
        rng = np.random.default_rng(0)
        sets = {i: {"w": rng.random(10_000) < 0.3} for i in range(4)}
        found = metrics.specialize(sets)
        self.assertLess(abs(found.mean), 7 * found.chance_sd)
        self.assertAllClose(found.share, 0.3, atol=0.05)
        again = metrics.reuse([(sets[0], sets[1])])
        self.assertLess(abs(again.mean), 7 * again.chance_sd)


if __name__ == "__main__":
    tf.test.main()

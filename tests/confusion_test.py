import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf import confusion


class ConfusionMatrixTest(parameterized.TestCase, tf.test.TestCase):
    def test_matches_counts_by_hand(self):
        labels = [0, 0, 0, 0, 1, 1, 2]
        predictions = [0, 0, 0, 2, 0, 1, 1]
        expected = [[3 / 4, 0, 1 / 4], [1 / 2, 1 / 2, 0], [0, 1, 0]]
        self.assertAllClose(
            confusion.confusion_matrix(labels, predictions, 3), expected
        )

    def test_matches_numpy_and_rows_sum_to_1(self):
        rng = np.random.default_rng(0)
        labels = np.concatenate([np.arange(5), rng.integers(0, 5, 200)])
        predictions = rng.integers(0, 5, 205)
        expected = [
            [np.mean(predictions[labels == t] == p) for p in range(5)]
            for t in range(5)
        ]
        matrix = confusion.confusion_matrix(labels, predictions, 5)
        self.assertAllClose(matrix, expected)
        self.assertAllClose(matrix.sum(axis=1), np.ones(5))

    def test_a_class_that_is_never_predicted_has_a_column_of_0(self):
        matrix = confusion.confusion_matrix([0, 1, 2], [0, 0, 0], 3)
        self.assertAllEqual(matrix, [[1, 0, 0]] * 3)

    def test_one_class(self):
        self.assertAllEqual(
            confusion.confusion_matrix([0, 0], [0, 0], 1), [[1]]
        )

    def test_labels_may_be_a_column_as_in_keras_datasets(self):
        labels, predictions = np.array([[0], [1], [1]]), np.array([0, 1, 0])
        self.assertAllClose(
            confusion.confusion_matrix(labels, predictions, 2),
            [[1, 0], [0.5, 0.5]],
        )

    @parameterized.parameters(
        ([0, 1, 3], [0, 2, 2], 2),
        ([0, 1, 3], [0, 1, 1], 2),
        ([0, 1, 2], [0, 1, 2], 3),
    )
    def test_refuses_an_empty_class(self, labels, predictions, empty):
        with self.assertRaisesRegex(ValueError, f"no example of class {empty}"):
            confusion.confusion_matrix(labels, predictions, 4)

    # scikit-learn drops such examples, and the shares would be wrong.
    @parameterized.named_parameters(
        ("label", [0, 1, 2], [0, 1, 1], r"`labels` .* \[0, 2\), got 2"),
        ("prediction", [0, 1, 1], [0, 1, 7], r"`predictions` .* got 7"),
        ("negative", [0, 1, 1], [0, -1, 1], r"`predictions` .* got -1"),
    )
    def test_refuses_a_class_out_of_range(self, labels, predictions, message):
        with self.assertRaisesRegex(ValueError, message):
            confusion.confusion_matrix(labels, predictions, 2)

    def test_refuses_other_numbers_of_predictions_than_labels(self):
        with self.assertRaisesRegex(ValueError, "as many.* 3 and 2"):
            confusion.confusion_matrix([0, 1, 1], [0, 1], 2)


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
        reference, changed = np.eye(2), np.eye(2)
        reference[1] = [1 - before, before]
        changed[1] = [1 - after, after]
        drop = confusion.relative_drop(reference, changed)
        self.assertAllClose(drop, [0.0, expected])

    @parameterized.parameters(((2, 2), (3, 3)), ((2,), (2,)), ((2, 3), (2, 3)))
    def test_refuses_shapes(self, *shapes):
        with self.assertRaisesRegex(ValueError, r"of one shape \(classes, "):
            confusion.relative_drop(*map(np.ones, shapes))

    def test_only_the_diagonal_counts(self):
        rng = np.random.default_rng(0)
        reference, changed = rng.uniform(0.1, 1, (2, 4, 4))
        expected = [1 - changed[i, i] / reference[i, i] for i in range(4)]
        drop = confusion.relative_drop(reference, changed)
        self.assertAllClose(drop, expected)
        self.assertAllClose(
            confusion.relative_drop(reference.T.tolist(), changed.T), expected
        )

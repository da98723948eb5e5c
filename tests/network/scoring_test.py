import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.network import scoring

RNG = np.random.default_rng(0)
P = np.float32(RNG.uniform(0.05, 0.95, (9, 4)))
P /= P.sum(axis=1, keepdims=True)
CLASSES = RNG.integers(4, size=9)
ONE_HOT = np.eye(4, dtype="float32")[CLASSES]
ONE = P[:, :1]
BITS = np.float32(RNG.integers(2, size=(9, 1)))


def own_accuracy(y, p):
    right = keras.ops.equal(keras.ops.argmax(p, axis=-1), y)
    return keras.ops.cast(right, "float32")


def one_number(y, p):
    return keras.ops.mean(keras.ops.square(y - p))


class Doubled(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return 2 * keras.losses.mean_squared_error(y_true, y_pred)


class ByExampleTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(
        ("name", "sparse_categorical_crossentropy", CLASSES, P),
        ("column", "sparse_categorical_crossentropy", CLASSES[:, None], P),
        ("one_hot", "categorical_crossentropy", ONE_HOT, P),
        ("binary", "binary_crossentropy", BITS, ONE),
        ("binary_by_rank", "binary_crossentropy", BITS[:, 0], ONE),
        ("ints", "binary_crossentropy", BITS.astype(int), ONE),
        ("squares", "mse", BITS[:, 0], ONE),
        ("function", keras.losses.mean_absolute_error, ONE_HOT, P),
        ("one_number", one_number, ONE_HOT, P),
        ("own_class", Doubled(), ONE_HOT, P),
        (
            "with_settings",
            keras.losses.CategoricalCrossentropy(label_smoothing=0.2),
            ONE_HOT,
            P,
        ),
        ("sequences", "mse", P[:, :, None], ONE_HOT[:, :, None]),
    )
    def test_the_mean_is_the_loss_that_keras_tells(self, loss, y, p):
        model = keras.Sequential([keras.Input(p.shape[1:])])
        model.compile("sgd", loss)
        expected = model.evaluate(p, y, verbose=0)
        found = scoring.by_example(loss, tf.constant(y), tf.constant(p))
        self.assertEqual(found.shape, (9,))
        self.assertAllClose(np.mean(found), expected, rtol=1e-5)
        self.assertGreater(np.ptp(found), 0)

    @parameterized.parameters(int, "float32")
    def test_labels_of_pixels_may_have_any_form(self, kind):
        p = np.float32(RNG.random((5, 3, 3, 3)))  # as many classes as columns
        y = RNG.integers(0, 3, (5, 3, 3))
        expected = np.mean(p.argmax(-1) == y, axis=(1, 2))
        for labels in (y, y[..., None], y[..., None] == np.arange(3)):
            pair = tf.constant(labels.astype(kind)), tf.constant(p)
            found = scoring.by_example("accuracy", *pair)
            self.assertAllClose(found, expected)
        p, y = p[..., 0], y > 0  # maps without an axis of channels
        expected = np.mean((p > 0.5) == y, axis=(1, 2))
        labels = tf.constant(y[..., None].astype(kind))
        found = scoring.by_example("accuracy", labels, tf.constant(p))
        self.assertAllClose(found, expected)

    @parameterized.parameters(1, 2, 3)
    def test_a_column_that_is_one_too_many_is_left_out(self, rank):
        for values in (np.ones((2, 1, 1)), tf.ones((2, 1, 1))):
            found = scoring.without_column(values, rank)
            self.assertLen(found.shape, 2 if rank == 2 else 3)

    @parameterized.named_parameters(
        ("accuracy", "accuracy", CLASSES, P),
        ("acc", "acc", CLASSES[:, None], P),
        ("capital", "ACC", CLASSES[:, None], P),
        ("of_one_hot", "accuracy", ONE_HOT, P),
        ("of_bits", "accuracy", BITS, ONE),
        ("of_bits_by_rank", "accuracy", BITS[:, 0], ONE),
        ("by_name", "sparse_categorical_accuracy", CLASSES, P),
        ("class", keras.metrics.SparseCategoricalAccuracy(), CLASSES, P),
        ("class_of_one_hot", keras.metrics.CategoricalAccuracy(), ONE_HOT, P),
        ("threshold", keras.metrics.BinaryAccuracy(threshold=0.2), BITS, ONE),
        ("equal", keras.metrics.Accuracy(), BITS, np.round(ONE + 0.3)),
        ("function", own_accuracy, CLASSES, P),
    )
    def test_the_mean_is_the_accuracy_that_keras_tells(self, metric, y, p):
        model = keras.Sequential([keras.Input(p.shape[1:])])
        model.compile("sgd", "mse", metrics=[metric])
        model.compute_loss = lambda *args, **kwargs: 0.0  # of other shapes
        expected = model.evaluate(p, y, verbose=0)[1]
        (metric,) = scoring.accuracies([metric])
        found = scoring.by_example(metric, tf.constant(y), tf.constant(p))
        self.assertEqual(found.shape, (9,))
        self.assertAllClose(np.mean(found), expected)
        self.assertContainsSubset(np.unique(found).tolist(), [0, 1])

    def test_the_name_of_an_accuracy_is_no_loss(self):
        y, x = tf.constant(CLASSES), tf.constant(P)
        with self.assertRaisesRegex(ValueError, "loss identifier: accuracy"):
            scoring.loss_object("accuracy", y, x)

    def test_a_metric_object_has_all_of_its_variables(self):
        y, x = tf.constant([[1.0], [2.0]]), tf.constant([[1.0], [3.0]])
        metric = scoring.metric_object(keras.metrics.R2Score(), y, x)
        state = metric.stateless_reset_state()
        state = metric.stateless_update_state(state, y, x)
        self.assertAllClose(metric.stateless_result(state), -1.0)

    def test_padding_does_not_count(self):
        inputs = tf.constant([[1, 2, 0, 0], [3, 1, 2, 0]])
        embedding = keras.layers.Embedding(4, 3, mask_zero=True)
        outputs = embedding(inputs)
        y = tf.zeros(outputs.shape)
        found = scoring.by_example("mse", y, outputs)
        squares = np.mean(np.square(outputs), axis=-1)
        expected = [squares[0, :2].mean(), squares[1, :3].mean()]
        self.assertAllClose(found, expected)


class AccuraciesTest(parameterized.TestCase):
    def test_only_accuracies_are_found(self):
        known = [
            "accuracy",
            "Accuracy",
            own_accuracy,
            keras.metrics.BinaryAccuracy(name="right"),
        ]
        others = [
            "mse",
            "crossentropy",
            "top_k_categorical_accuracy",
            keras.metrics.TopKCategoricalAccuracy(),
            one_number,
            keras.metrics.AUC(),
        ]
        self.assertEqual(scoring.accuracies([*known, *others]), known)
        for name in ("binary_accuracy", "BinaryAccuracy"):
            (found,) = scoring.accuracies([name, *others])
            self.assertIsInstance(found, keras.metrics.BinaryAccuracy)
        self.assertEqual(scoring.accuracies(None), [])

    def test_the_scale_of_the_loss_goes_from_nothing_to_the_whole(self):
        found = scoring.share_explained(np.array([3, 1, 2]), 1, 3)
        self.assertEqual(found.tolist(), [0, 1, 0.5])


if __name__ == "__main__":
    tf.test.main()

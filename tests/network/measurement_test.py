import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.network import batches, measurement, scoring

RNG = np.random.default_rng(0)
P = np.float32(RNG.uniform(0.05, 0.95, (30, 4)))
P /= P.sum(axis=1, keepdims=True)
CLASSES = np.r_[np.zeros(12, int), RNG.integers(4, size=18)]
ONE_HOT = np.eye(4, dtype="float32")[CLASSES]
ONE = np.float32(RNG.uniform(0.05, 0.95, (30, 1)))
BITS = np.float32(RNG.random((30, 1)) < 0.3)
SOME_BITS = np.float32(RNG.random((30, 4)) < 0.3)
TOKENS = np.array([[1, 2, 3, 0], [2, 0, 0, 0], [3, 3, 1, 1], [1, 2, 0, 0]])
# Padding has the label 0; what is no padding has it rarely.
TAGS = np.where(TOKENS > 0, 1 + TOKENS % 2, 0)


@keras.saving.register_keras_serializable("tests")
class WithoutPadding(keras.metrics.SparseCategoricalAccuracy):
    """Counts no label 0, and starts with settings of its own."""

    def __init__(self, padding, name="accuracy"):
        super().__init__(name=name)
        self._padding = padding

    def update_state(self, y_true, y_pred, sample_weight=None):
        counts = keras.ops.not_equal(y_true, self._padding)
        super().update_state(y_true, y_pred, counts)


def identity(shape):
    return keras.Sequential(
        [keras.Input(shape), keras.layers.Activation("linear")]
    )


def measure(model, y, x, choice=None, loss=None, metrics=None, weights=()):
    """Returns what is measured in batches that do not divide the rows."""
    objective = {"loss": loss or model.loss, "metrics": metrics}
    if metrics is None:
        objective = scoring.objective(model, loss)
    found = measurement.Measure(
        lambda kept, inputs: model(inputs),
        objective,
        choice,
        getattr(model, "output_names", None),
    )

    def rows():
        return batches.read("data", (x, y, *weights), 7, True)

    whole = found({}, rows())
    return whole, found.chance(rows(), whole)


class MeasureTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(
        ("sparse", CLASSES, P, "sparse_categorical_crossentropy", "accuracy"),
        ("one_hot", ONE_HOT, P, "categorical_crossentropy", "accuracy"),
        ("by_shapes", CLASSES, P, "crossentropy", "acc"),
        ("bits", BITS, ONE, "bce", "accuracy"),
        ("bits_by_rank", BITS[:, 0], ONE, "bce", "accuracy"),
        ("several_bits", SOME_BITS, P, "bce", "binary_accuracy"),
        (
            "threshold", BITS, ONE, "bce",
            keras.metrics.BinaryAccuracy(threshold=0.3),
        ),
        ("auc", BITS, ONE, "bce", keras.metrics.AUC(name="auc")),
        ("settings", CLASSES, P, "sparse_categorical_crossentropy",
         WithoutPadding(0)),
    )  # fmt: skip
    def test_values_are_those_that_keras_tells(self, y, x, loss, metric):
        model = identity(x.shape[1:])
        model.compile("sgd", loss, metrics=[metric])
        expected = model.evaluate(x, y, 7, verbose=0, return_dict=True)
        name = scoring.metric_name(metric)
        (found,), _ = measure(model, y, x, name)
        self.assertEqual(found.name, name)
        self.assertAllClose(found.value, expected[name])
        self.assertAllClose(found.loss, expected["loss"])

    @parameterized.parameters("accuracy", keras.metrics.AUC(name="auc"))
    def test_examples_count_by_their_weights(self, metric):
        model = identity(ONE.shape[1:])
        model.compile("sgd", "bce", weighted_metrics=[metric])
        weights = np.linspace(0, 1, len(BITS)).astype("float32")
        expected = model.evaluate(
            ONE, BITS, 7, sample_weight=weights, verbose=0, return_dict=True
        )
        name = scoring.metric_name(metric)
        (found,), _ = measure(model, BITS, ONE, name, weights=[weights])
        self.assertAllClose(found.value, expected[name])
        (alike,), _ = measure(model, BITS, ONE, name)
        self.assertNotAllClose(found.value, alike.value)

    @parameterized.named_parameters(
        ("sparse", CLASSES, P, "sparse_categorical_crossentropy", CLASSES),
        ("one_hot", ONE_HOT, P, "categorical_crossentropy", CLASSES),
        ("bits", BITS, ONE, "bce", BITS[:, 0]),
        ("several_bits", SOME_BITS, P, "bce", 2 * np.arange(4) + SOME_BITS),
    )
    def test_labels_are_classes(self, y, x, loss, labels):
        model = identity(x.shape[1:])
        model.compile("sgd", loss, metrics=["accuracy"])
        (found,), (chance,) = measure(model, y, x)
        self.assertAllEqual(found.labels, np.ravel(labels))
        if loss != "bce":
            self.assertAllEqual(found.right, x.argmax(1) == labels)
            self.assertAllClose(chance, np.mean(labels == 0))
            self.assertAllClose(
                found.losses, -np.log(x[np.arange(30), labels]), rtol=1e-4
            )
        else:
            self.assertAllEqual(found.right, np.ravel((x > 0.5) == y))

    def test_labels_that_are_no_classes_have_no_chance(self):
        for y, x, loss in ((P, P / 2, "mse"), (ONE, ONE / 2, "bce")):
            model = identity(x.shape[1:])
            model.compile("sgd", loss)
            (found,), (chance,) = measure(model, y, x)
            self.assertIsNone(found.labels)
            self.assertLen(found.losses, 30)
            self.assertEqual(found.name, scoring.LOSS_EXPLAINED)
            self.assertTrue(np.isnan(chance))

    def test_losses_of_a_function_are_known_by_example(self):
        def loss(labels, outputs):
            return keras.losses.binary_crossentropy(labels, outputs)

        def accuracy(labels, outputs):
            return (outputs[:, 0] > 0.5) == (labels[:, 0] > 0.5)

        (found,), _ = measure(
            identity((1,)), BITS, ONE, loss=loss, metrics=[accuracy]
        )
        (own,), _ = measure(
            identity((1,)),
            BITS,
            ONE,
            loss="binary_crossentropy",
            metrics=["accuracy"],
        )
        self.assertAllEqual(found.labels, own.labels)
        self.assertAllEqual(found.right, own.right)
        self.assertAllClose(found.losses, own.losses)

    def test_padding_by_keras_or_by_the_metric_does_not_count(self):
        embedding = keras.layers.Embedding(4, 3, mask_zero=True)
        model = keras.Sequential(
            [keras.Input((4,)), embedding, keras.layers.Activation("softmax")]
        )
        model.compile(
            "sgd", "sparse_categorical_crossentropy", metrics=["accuracy"]
        )
        (found,), (chance,) = measure(model, TAGS, TOKENS)
        self.assertLen(found.labels, np.sum(TOKENS > 0))
        self.assertNotIn(0, found.labels)
        _, counts = np.unique(found.labels, return_counts=True)
        self.assertAllClose(chance, counts.max() / counts.sum())
        embedding.supports_masking = embedding.mask_zero = False
        objective = {
            "loss": "sparse_categorical_crossentropy",
            "metrics": [WithoutPadding(0)],
        }
        again = measurement.Measure(
            lambda _, x: keras.ops.softmax(embedding(x)), objective
        )
        few = [*batches.read("data", (TOKENS, TAGS), 4)]
        own = again({}, few)
        self.assertAllClose(again.chance(few, own), [chance])

    def test_a_metric_object_stays_as_it_is(self):
        metric = WithoutPadding(0)
        metric.update_state(CLASSES, P)
        before = [v.numpy() for v in metric.variables]
        model = identity((4,))
        model.compile("sgd", "crossentropy", metrics=[metric])
        values = [measure(model, CLASSES, P)[0][0].value for _ in range(2)]
        self.assertEqual(*values)
        self.assertAllEqual(before, [v.numpy() for v in metric.variables])

    def test_a_function_sees_all_rows_at_once(self):
        seen = []

        def spread(y, p):
            seen.append(len(p))
            return np.std(p)

        model = identity((1,))
        model.compile("sgd", "bce", metrics=["accuracy"])
        (found,), _ = measure(model, BITS, ONE, spread)
        self.assertEqual(seen, [30])
        self.assertAllClose(found.value, ONE.std())
        self.assertEqual(found.name, "spread")

    @parameterized.parameters("dict", "list")
    def test_each_output_has_its_own(self, kind):
        inputs = keras.Input((4,))
        outputs = {
            "kind": keras.layers.Softmax(name="kind")(inputs),
            "box": keras.layers.Dense(2, name="box")(inputs),
        }
        y = {"kind": CLASSES, "box": P[:, :2]}
        if kind == "list":
            outputs, y = [*outputs.values()], [*y.values()]
        model = keras.Model(inputs, outputs)
        model.compile(
            "sgd",
            {"kind": "sparse_categorical_crossentropy", "box": "mse"},
            metrics={"kind": ["accuracy"], "box": ["mae"]},
            loss_weights={"kind": 2.0, "box": 1.0},
        )
        found, chance = measure(model, y, P)
        found = {one.output: one for one in found}
        self.assertEqual(found["kind"].name, "accuracy")
        self.assertEqual(found["box"].name, scoring.LOSS_EXPLAINED)
        self.assertAllClose(np.nanmax(chance), np.mean(CLASSES == 0))
        expected = model.evaluate(P, y, 30, verbose=0, return_dict=True)
        self.assertAllClose(found["kind"].value, expected["kind_accuracy"])
        total = 2 * found["kind"].loss + found["box"].loss
        self.assertAllClose(total, expected["loss"], rtol=1e-5)
        for choice, name in (("mae", "mae"), ({"box": "mae"}, "mae")):
            for one in measure(model, y, P, choice)[0]:
                wanted = name if one.output == "box" else "accuracy"
                self.assertEqual(one.name, wanted)
        alone, _ = measure(model, y, P, "box_mae")
        self.assertEqual({one.name for one in alone}, {"", "mae"})
        loss = {"kind": None, "box": "mse"}
        two, _ = measure(model, y, P, lambda y, x: 7.0, loss, {})
        (box,) = (one for one in two if one.output == "box")
        self.assertEqual((box.name, box.value), ("<lambda>", 7.0))

    @parameterized.named_parameters(
        ("mean", {}, (), 63),
        ("sum", {"reduction": "sum"}, (), 63),
        ("weights", {}, (np.full(63, 0.01, "float32"),), 63),
        ("ignored", {"ignore_class": 0}, (), 42),
    )
    def test_the_mean_of_values_is_the_loss(self, settings, weights, count):
        x = np.random.default_rng(0).normal(size=(63, 4)).astype("float32")
        loss = keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, **settings
        )
        model = identity((4,))
        model.compile("sgd", loss)
        y = np.arange(63) % 3
        ((found,), _) = measure(model, y, x, weights=weights)
        self.assertAllClose(found.values.mean(), found.loss, rtol=1e-4)
        self.assertLen(found.values, count)

    @parameterized.parameters(
        ("f1", r"`performance` must be one of the metrics \['accuracy'\]"),
        (3, "`performance` must be None, the name of a metric"),
    )
    def test_refuses(self, choice, message):
        model = identity((1,))
        model.compile("sgd", "bce", metrics=["accuracy"])
        with self.assertRaisesRegex(ValueError, message):
            measure(model, BITS, ONE, choice)


if __name__ == "__main__":
    tf.test.main()

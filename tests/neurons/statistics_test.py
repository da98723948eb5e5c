import warnings

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from keras import layers
from scipy import stats

from modularity_tf.network import activations
from modularity_tf.neurons import rules, statistics
from tests import small_models


class ClassStatisticsTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(1, 4, 11)
    def test_matches_numpy_in_batches_of_any_size(self, batch_size):
        model = small_models.cnn()
        rng = np.random.default_rng(0)
        images = rng.normal(size=(11, 6, 6, 2)).astype("float32")
        labels = np.array([0, 2, 2, 0, 0, 3, 2, 0, 2, 2, 0])
        data = tf.data.Dataset.from_tensor_slices((images, labels))
        found = statistics.class_statistics(
            model, data.batch(batch_size), 4, outputs=True
        )
        self.assertAllEqual(found.counts, [5, 0, 5, 1])
        conv = np.array(model.layers[0](images))
        means = conv.mean(axis=(1, 2))
        for label in (0, 2):
            rows = means[labels == label]
            mean, error = found.of(label)
            self.assertAllClose(mean["conv"], rows.mean(0), atol=1e-6)
            self.assertAllClose(error["conv"], stats.sem(rows), atol=1e-6)
        self.assertAllClose(found.mean["conv"][3], means[5], atol=1e-6)
        self.assertTrue(np.all(np.isnan(found.standard_error["conv"][3])))
        with self.assertRaisesRegex(ValueError, "no example of class 1"):
            found.of(1)

    def test_strong_negative_and_changing_signs_are_activity(self):
        # Position by position: 1 and -1 do not cancel each other.
        model = keras.Sequential(
            [
                keras.Input((4, 1)),
                layers.Conv1D(2, 1, activation="tanh", name="signed"),
                layers.GlobalAveragePooling1D(),
                layers.Dense(1, name="output"),
            ]
        )
        model.get_layer("signed").kernel.assign([[[3.0, -2.0]]])
        rows = np.random.default_rng(0).normal(size=(6, 4, 1))
        rows = rows.astype("float32")
        found = statistics.class_statistics(
            model, [(rows, [0] * 6)], 1, outputs=True
        )
        expected = np.abs(np.tanh(rows * [3.0, -2.0])).mean(axis=1)
        self.assertAllClose(found.mean["signed"][0], expected.mean(0))
        self.assertAllClose(
            found.standard_error["signed"][0], stats.sem(expected)
        )

    def test_strongly_negative_neurons_are_on(self):
        model = keras.Sequential(
            [
                keras.Input((1,)),
                layers.Dense(3, name="d"),
                layers.ELU(name="elu"),
            ]
        )
        model.layers[0].kernel.assign([[-4.0, 0.0, 0.1]])
        rows = np.linspace(1, 2, 9, dtype="float32")[:, None]
        found = statistics.class_statistics(
            model, [(rows, [0] * 9)], 1, layers="elu"
        )
        mask = rules.bayesian_neurons(found, 0)
        self.assertAllEqual(mask.values["d"], [1, 0, 0])
        self.assertAllEqual(mask.off["d"], [0, 1, 0])

    def test_warns_once_of_units_it_does_not_look_at(self):
        model = keras.Sequential(
            [
                keras.Input((3, 2)),
                layers.LSTM(4, name="lstm"),
                layers.Dense(2, name="output"),
            ],
            name="recurrent",
        )
        batches = [(np.zeros((2, 3, 2), "float32"), [0, 1])] * 2
        with self.assertWarnsRegex(UserWarning, r"'lstm' \(LSTM\)") as caught:
            statistics.class_statistics(model, batches, 2, outputs=True)
        self.assertLen(caught.warnings, 1)
        self.assertEqual(caught.filename, __file__)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            statistics.class_statistics(model, batches, 2, layers="output")

    def test_groups_merge_to_what_one_pass_would_give(self):
        model = small_models.cnn()
        rng = np.random.default_rng(0)
        images = rng.normal(size=(20, 6, 6, 2)).astype("float32")
        fine = np.arange(20) % 4
        found = statistics.merge_groups(
            statistics.class_statistics(
                model, [(images, fine)], 4, outputs=True
            ),
            [[0, 3], [1, 2]],
        )
        coarse = np.where(np.isin(fine, [0, 3]), 0, 1)
        expected = statistics.class_statistics(
            model, [(images, coarse)], 2, outputs=True
        )
        self.assertAllEqual(found.counts, expected.counts)
        self.assertAllClose(found.mean, expected.mean)
        self.assertAllClose(found.standard_error, expected.standard_error)

    def test_refuses_nan_and_strange_labels(self):
        images = np.zeros((4, 6, 6, 2), "float32")
        with self.assertRaisesRegex(ValueError, r"in \[0, 2\), got 5"):
            statistics.class_statistics(
                small_models.cnn(), [(images, [0, 1, 5, 0])], 2, outputs=True
            )
        model = small_models.cnn()
        model.get_layer("output").bias.assign([0.0, np.nan])
        with self.assertRaisesRegex(ValueError, "output/bias' is NaN"):
            statistics.class_statistics(
                model, [(images, [0, 1, 1, 0])], 2, outputs=True
            )
        model = small_models.cnn()  # too large for float32
        hidden, output = (model.get_layer(n) for n in ("hidden", "output"))
        hidden.bias.assign([10.0] * 4)
        output.kernel.assign(np.full((4, 2), 3e38))
        with self.assertRaisesRegex(ValueError, "'output' .* NaN or infinite"):
            statistics.class_statistics(
                model, [(images, [0, 1, 1, 0])], 2, outputs=True
            )

    def test_refuses_nan_that_a_relu_would_hide(self):
        model = keras.Sequential(
            [keras.Input((3,)), layers.Dense(4, activation="relu")]
        )
        inputs = np.array([[0.0, np.nan, 1.0]], "float32")
        with self.assertRaisesRegex(ValueError, "inputs in `data` are NaN"):
            statistics.class_statistics(model, [(inputs, [0])], 2, outputs=True)

    def test_sample_weights_are_ignored(self):
        images = np.ones((4, 6, 6, 2), "float32")
        labels = [0, 1, 1, 0]
        found = statistics.class_statistics(
            small_models.cnn(), [(images, labels, np.ones(4))], 2, outputs=True
        )
        self.assertAllEqual(found.counts, [2, 2])

    def test_refuses_no_data(self):
        with self.assertRaisesRegex(ValueError, "no batch"):
            statistics.class_statistics(small_models.cnn(), [], 2, outputs=True)

    @parameterized.parameters(0, 2.5, "2", None)
    def test_refuses_as_a_number_of_classes(self, num_classes):
        message = "`num_classes` must be a positive int, got"
        with self.assertRaisesRegex(ValueError, message):
            statistics.class_statistics(
                small_models.cnn(), [], num_classes, outputs=True
            )

    @parameterized.parameters([[]], [[[0], []]], [[[0, 2]]], [[[-1]]])
    def test_refuses_to_merge(self, merged):
        one = np.zeros((2, 3))
        of_all = statistics.ClassStatistics([4, 4], {"a": one}, {"a": one})
        with self.assertRaisesRegex(ValueError, r"`merged` .* in \[0, 2\)"):
            statistics.merge_groups(of_all, merged)

    def test_refuses_channels_first(self):
        model = keras.Sequential(
            [
                keras.Input((3, 6, 6)),
                layers.Conv2D(2, 3, data_format="channels_first", name="odd"),
            ]
        )
        with self.assertRaisesRegex(ValueError, "'odd' has its channels first"):
            activations.neuron_layers(model, outputs=True)


ROWS = np.random.default_rng(0).normal(size=(6, 5, 3)).astype("float32")
LENGTHS = [2, 5, 3, 0, 1, 4]


def padded(length):
    found = np.zeros((6, length, 3), "float32")
    for i, n in enumerate(LENGTHS):
        found[i, :n] = ROWS[i, :n]
    return found


class PaddingTest(tf.test.TestCase):
    def test_more_of_it_changes_nothing(self):
        model = keras.Sequential(
            [
                keras.Input((None, 3)),
                layers.Masking(),
                layers.Dense(4, name="a"),
                layers.LayerNormalization(),
                layers.ReLU(),
                layers.LSTM(3, return_sequences=True),
                layers.Dense(2, name="b"),
                layers.LSTM(2),
                layers.Dense(2, name="last"),
            ]
        )
        model.get_layer("a").bias.assign([1.0, -1.0, 2.0, 0.5])
        labels, names = [0, 1, 0, 1, 0, 1], ["a", "b", "last"]
        short, long = (
            statistics.class_statistics(
                model, [(padded(n), labels)], 2, layers=names
            )
            for n in (5, 9)
        )
        self.assertAllClose(short.mean, long.mean)
        self.assertAllClose(short.standard_error, long.standard_error)
        # The mean over an example's own positions; 0 for the one without any.
        units = keras.Sequential(model.layers[:4])
        expected = [
            np.mean(units(ROWS[i : i + 1, :n])[0], 0) if n else np.zeros(4)
            for i, n in enumerate(LENGTHS)
        ]
        self.assertAllEqual(short.counts, [3, 3])
        self.assertAllClose(short.mean["a"][1], np.mean(expected[1::2], 0))


class HalfPrecisionTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters("mixed_float16", "mixed_bfloat16", "float16")
    def test_large_images_have_the_right_means(self, policy):
        model = keras.Sequential(
            [
                keras.Input((96, 96, 1)),
                layers.Conv2D(2, 1, activation="relu", name="c", dtype=policy),
            ]
        )
        kernel = np.full((1, 1, 1, 2), 1.5)
        model.set_weights([kernel, np.array([0.5, -0.25])])
        images = np.ones((3, 96, 96, 1), "float32")
        found = statistics.class_statistics(
            model, (images, [0] * 3), 1, outputs=True
        )
        self.assertAllClose(found.mean["c"], [[2.0, 1.25]], rtol=1e-6)
        self.assertAllClose(found.standard_error["c"], [[0.0, 0.0]])

    def test_an_overflow_is_said_to_be_one(self):
        model = keras.Sequential(
            [
                keras.Input((2,)),
                layers.Dense(2, "relu", name="big", dtype="mixed_float16"),
                layers.Dense(2, name="last"),
            ]
        )
        model.layers[0].kernel.assign(np.full((2, 2), 3e4))
        data = (np.full((4, 2), 2.0), [0, 1, 1, 0])
        message = "'big' has .* infinite: they overflow in float16"
        with self.assertRaisesRegex(ValueError, message):
            statistics.class_statistics(model, data, 2, outputs=True)


class TextTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters("U", "S", "O", "tensor", "list")
    def test_is_taken_as_fit_takes_it(self, kind):
        words = np.array(["a b", "b c a", "a", "c c c"])
        text = layers.TextVectorization(output_sequence_length=4)
        text.adapt(words)
        model = keras.Sequential(
            [
                keras.Input((), dtype="string"),
                text,
                layers.Embedding(6, 3, mask_zero=True),
                layers.Dense(4, name="d"),
                layers.GlobalAveragePooling1D(),
            ]
        )
        as_given = {"tensor": tf.constant(words), "list": words.tolist()}
        given = as_given.get(kind)
        given = words.astype(kind) if given is None else given
        found = statistics.class_statistics(
            model, (given, [0, 1, 0, 1]), 2, outputs=True
        )
        units = np.abs(keras.Sequential(model.layers[:3])(tf.constant(words)))
        expected = (units[0, :2].mean(0) + units[2, 0]) / 2
        self.assertAllClose(found.mean["d"][0], expected)


class PositionsTest(parameterized.TestCase, tf.test.TestCase):
    """A label for each step: the mean is one over the steps of the class."""

    @parameterized.parameters("numbers", "column", "one_hot")
    def test_the_mean_is_over_the_positions_of_the_class(self, kind):
        keras.utils.set_random_seed(0)
        rng = np.random.default_rng(0)
        model = keras.Sequential(
            [
                keras.Input((8, 2)),
                layers.Conv1D(3, 3, padding="same", name="full"),
                layers.Cropping1D((1, 1)),
                layers.Dense(4, "tanh", name="cropped"),
                layers.MaxPooling1D(2),
                layers.Dense(2, name="pooled"),
                layers.UpSampling1D(2),
                layers.Dense(3, "softmax", name="out"),
            ]
        )
        x = rng.normal(size=(7, 8, 2)).astype("float32")
        labels = rng.integers(0, 3, (7, 6))
        labels[:2] = 0  # examples without a position of class 1
        given = {
            "numbers": labels,
            "column": labels[..., None],
            "one_hot": np.eye(3)[labels],
        }[kind]
        found = statistics.class_statistics(model, (x, given), 3)
        has = (labels == 1).any(axis=1)
        self.assertEqual(found.counts[1], has.sum())
        values = {
            path: np.abs(keras.Sequential(model.layers[:count])(x))
            for path, count in (("full", 1), ("cropped", 3), ("pooled", 5))
        }
        here = (labels == 1).astype(float)
        shares = {
            "full": np.pad(here, ((0, 0), (1, 1))),
            "cropped": here,
            "pooled": here.reshape(7, 3, 2).mean(axis=-1),
        }
        for path, share in shares.items():
            each = np.einsum("bs,bsu->bu", share, values[path])
            each = each[has] / share[has].sum(axis=1, keepdims=True)
            self.assertAllClose(found.mean[path][1], each.mean(axis=0))
            error = each.std(axis=0, ddof=1) / has.sum() ** 0.5
            self.assertAllClose(found.standard_error[path][1], error)

    def test_padding_is_of_no_class(self):
        model = keras.Sequential(
            [
                keras.Input((4, 2)),
                layers.Masking(),
                layers.Dense(3, name="units"),
                layers.Dense(2, name="out"),
            ]
        )
        x = np.ones((2, 4, 2), "float32")
        x[0, 2:] = 0.0
        x[0, 1] = 3.0
        found = statistics.class_statistics(model, (x, np.ones((2, 4), int)), 2)
        unit = np.abs(model.layers[1](x[1]))[0]
        self.assertAllClose(found.mean["units"][1], (2 * unit + unit) / 2)

    def test_steps_of_a_backward_layer_have_their_own_labels(self):
        inner = layers.SimpleRNN(2, "relu", return_sequences=True, name="r")
        model = keras.Sequential(
            [
                keras.Input((8, 2)),
                layers.Bidirectional(inner, name="both"),
                layers.Dense(2, name="out"),
            ]
        )
        weights = [np.eye(2), np.zeros((2, 2)), np.zeros(2)]
        model.layers[0].set_weights(weights * 2)
        y = np.tile(np.arange(8) < 3, (4, 1)).astype(int)
        x = np.stack([y, 1 - y], axis=-1).astype("float32")
        for name in ("forward_r", "backward_r"):
            found = statistics.class_statistics(model, (x, y), 2, layers=name)
            (mean,) = found.mean.values()
            self.assertAllClose(mean, [[0.0, 1.0], [1.0, 0.0]])

    def test_padding_changes_nothing_of_a_layer_that_runs_backwards(self):
        def network(steps):
            inner = layers.SimpleRNN(2, return_sequences=True, name="r")
            keras.utils.set_random_seed(1)
            return keras.Sequential(
                [
                    keras.Input((steps,)),
                    layers.Embedding(6, 3, mask_zero=True),
                    layers.Bidirectional(inner, name="both"),
                    layers.Dense(2, name="out"),
                ]
            )

        x = np.random.default_rng(0).integers(1, 6, (8, 7)).astype("float32")
        x[:, 3:] = 0
        of_examples = np.arange(8) % 2
        of_positions = np.random.default_rng(1).integers(0, 2, (8, 7))
        names = "forward_r", "backward_r", "out"
        for labels in (of_examples, of_positions):
            short = labels if labels.ndim == 1 else labels[:, :3]
            expected = statistics.class_statistics(
                network(3), (x[:, :3], short), 2, layers=names
            )
            found = statistics.class_statistics(
                network(7), (x, labels), 2, layers=names
            )
            self.assertAllEqual(found.counts, expected.counts)
            self.assertLen(found.mean, 3)
            for path, mean in found.mean.items():
                self.assertAllClose(mean, expected.mean[path], msg=path)
                self.assertGreater(np.min(mean), 0.0)

    def test_a_layer_of_other_positions_is_refused_by_its_path(self):
        inputs = keras.Input((9, 2))
        x = layers.Dense(4, name="before")(inputs)
        x = layers.Conv1D(3, 3, name="valid")(x)
        model = keras.Model(inputs, layers.Dense(2, name="out")(x))
        data = np.ones((3, 9, 2), "float32"), np.ones((3, 7), int)
        found = statistics.class_statistics(model, data, 2, layers="valid")
        self.assertEqual(found.counts[1], 3)
        with self.assertRaisesRegex(ValueError, "'before' has 9 .* 7 labels"):
            statistics.class_statistics(model, data, 2)

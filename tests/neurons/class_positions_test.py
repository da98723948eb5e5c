import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.neurons import class_positions

PIXELS = (None, 4, 6, 3)


class ClassNumbersTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(
        ("examples", (5,), PIXELS, (5,)),
        ("a_column", (5, 1), PIXELS, (5,)),
        ("pixels", (5, 4, 6), PIXELS, (5, 4, 6)),
        ("a_channel", (5, 4, 6, 1), PIXELS, (5, 4, 6)),
        ("any_length", (5, 7), (None, None, 2), (5, 7)),
        ("no_output_known", (5,), None, (5,)),
        ("as_many_columns_as_classes", (5, 6, 3), (None, 6, 3, 3), (5, 6, 3)),
    )
    def test_numbers_of_examples_or_positions(self, given, shape, expected):
        values = np.full(given, 2.0)
        found = class_positions.class_numbers("y", values, shape)
        self.assertAllEqual(found, np.full(expected, 2))
        self.assertEqual(found.dtype, np.int64)

    def test_one_hot_labels_may_have_none(self):
        labels = np.array([[0, 2, -1], [1, 1, 0]])
        one_hot = np.where(labels[..., None] == np.arange(3), 1.0, 0.0)
        found = class_positions.class_numbers("y", one_hot, (None, 3, 3))
        self.assertAllEqual(found, labels)
        found = class_positions.class_numbers("y", one_hot[0], (None, 3))
        self.assertAllEqual(found, labels[0])

    @parameterized.named_parameters(
        ("shape", np.ones((5, 4)), PIXELS, r"each position, .examples, 4, 6"),
        ("several", np.ones((5, 3)), (None, 3), "several classes at once"),
        ("map", np.ones((5, 4, 6)), (None, 4, 6), "several classes at once"),
        ("half", [0.5], None, "whole numbers from 0 on, got 0.5"),
        ("negative", [-1], None, "whole numbers from 0 on, got -1"),
        ("text", ["a"], None, "class numbers, got"),
    )
    def test_refuses(self, values, shape, message):
        with self.assertRaisesRegex(ValueError, message):
            class_positions.class_numbers("y", values, shape)


def _network(*layers, shape):
    return keras.Sequential([keras.Input(shape), *layers])


def _dense(units):
    return keras.layers.Dense(units)


def _of(function):
    return keras.layers.Lambda(function)


class LabelsTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(
        ("reshaped", _dense(1), keras.layers.Reshape((3, 3))),
        ("squeezed", _dense(1), _of(lambda x: keras.ops.squeeze(x, -1))),
        ("one_of_two", _dense(2), _of(lambda x: x[..., 1])),
        ("one_by_its_place", _dense(2), _of(lambda x: x[:, :, :, 0])),
        ("taken", _dense(2), _of(lambda x: keras.ops.take(x, 0, axis=-1))),
        ("mean", _dense(2), _of(lambda x: keras.ops.mean(x, -1))),
        (
            "unstacked",
            _dense(2),
            _of(lambda x: keras.ops.unstack(x, axis=3)[0]),
        ),
        (
            "activated",
            _dense(1),
            keras.layers.Reshape((3, 3)),
            keras.layers.Activation("sigmoid"),
        ),
    )
    def test_maps_are_of_positions_whatever_is_in_them(self, *layers):
        model = _network(*layers, shape=(3, 3, 2))
        given = class_positions.Labels(model)
        y = np.zeros((4, 3, 3), int)
        y[:, np.arange(3), np.arange(3)] = 1  # as if it were one-hot
        for values in (y, y[..., None], y.astype("float32"), 2 * y):
            expected = values.reshape(y.shape)
            self.assertAllEqual(given.numbers("y", values), expected)
        for wrong in (y[:, 0], np.eye(3)[y], y[:, :, :2]):
            with self.assertRaisesRegex(ValueError, "each position, .*, 3, 3"):
                given.numbers("y", wrong)

    @parameterized.named_parameters(
        ("dense", _dense(3)),
        ("activated", _dense(3), keras.layers.Activation("sigmoid")),
        ("convolution", keras.layers.Conv1D(3, 1)),
        ("recurrent", keras.layers.LSTM(3, return_sequences=True)),
        ("softmax", keras.layers.Reshape((3, 3)), keras.layers.Softmax()),
    )
    def test_units_are_classes_as_many_as_positions_or_not(self, *layers):
        given = class_positions.Labels(_network(*layers, shape=(3, 3)))
        y = np.random.default_rng(0).integers(0, 3, (4, 3))
        one_hot = y[..., None] == np.arange(3)
        for values in (y, y[..., None], one_hot, one_hot.astype("float32")):
            self.assertAllEqual(given.numbers("y", values), y)
        with self.assertRaisesRegex(ValueError, "several classes at once"):
            given.numbers("y", np.ones((4, 3, 3)))

    @parameterized.named_parameters(
        ("turned", _dense(3), keras.layers.Permute((2, 1))),
        (
            "folded",
            keras.layers.Flatten(),
            _dense(9),
            keras.layers.Reshape((3, 3)),
        ),
    )
    def test_what_can_not_be_told_is_refused(self, *layers):
        given = class_positions.Labels(_network(*layers, shape=(3, 3)))
        one_hot = np.eye(3, dtype=int)[np.zeros((4, 3), int)]
        with self.assertRaisesRegex(
            ValueError, "3, 3, 1. where each output is"
        ):
            given.numbers("y", one_hot)
        found = given.numbers("y", one_hot[..., None])
        self.assertAllEqual(found, one_hot)

    def test_an_axis_of_any_size_is_none_of_classes(self):
        squeeze = _of(lambda x: keras.ops.squeeze(x, -1))
        model = _network(_dense(1), squeeze, shape=(None, 2))
        found = class_positions.Labels(model).numbers("y", np.eye(4))
        self.assertAllEqual(found, np.eye(4))

    def test_batches_have_labels_of_one_kind(self):
        given = class_positions.Labels(_network(_dense(3), shape=(None, 2)))
        given.numbers("y", np.ones((4, 5)))
        given.numbers("y", np.ones((4, 1)))  # examples of one step
        with self.assertRaisesRegex(ValueError, "of examples in some batches"):
            given.numbers("y", np.ones(4))


class ReorderedTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(
        ("permute", keras.layers.Permute((2, 1, 3)), "'turn' (Permute)"),
        (
            "operation",
            _of(lambda x: keras.ops.transpose(x, (0, 2, 1, 3))),
            "the operation Transpose",
        ),
        (
            "flip",
            _of(lambda x: keras.ops.flip(x, 2)),
            "the operation ReverseV2",
        ),
    )
    def test_layers_before_a_change_of_order_are_named(self, turn, name):
        turn.name = "turn"
        image, dense = keras.Input((3, 3, 2)), keras.layers.Dense
        x = dense(2, name="after")(turn(dense(2, name="before")(image)))
        found = class_positions.reordered(keras.Model(image, x))
        self.assertEqual(found, {"before": name})
        x = dense(2, name="last")(turn(x))
        found = class_positions.reordered(keras.Model(image, x))
        self.assertNotIn("before", found)  # turned back
        self.assertIn("after", found)

    def test_steps_may_run_backwards(self):
        steps, kwargs = keras.Input((3, 2)), {"return_sequences": True}
        x = keras.layers.Dense(2, name="before")(steps)
        x = keras.layers.Bidirectional(keras.layers.GRU(2, **kwargs))(x)
        self.assertEmpty(class_positions.reordered(keras.Model(steps, x)))
        x = keras.layers.GRU(2, go_backwards=True, name="back", **kwargs)(x)
        found = class_positions.reordered(keras.Model(steps, x))
        self.assertEqual(found["before"], "'back' (GRU)")
        self.assertNotIn("back", found)


class AlignedTest(parameterized.TestCase, tf.test.TestCase):
    def test_a_layer_that_is_cropped_later_has_no_label_in_its_margins(self):
        model = keras.Sequential(
            [
                keras.Input((9, 1)),
                keras.layers.Cropping1D((2, 1)),
                keras.layers.Cropping1D(1),
            ]
        )
        cropped = class_positions.croppings(model)
        self.assertEqual(cropped, [((2, 1),), ((1, 1),), ((3, 2),)])
        member = tf.ones((2, 4, 3))
        found = class_positions.aligned(member, (9,), "a", cropped)
        self.assertAllEqual(found[:, 3:7], member)
        self.assertAllEqual(tf.reduce_sum(found), 24.0)

    @parameterized.named_parameters(
        ("half", (4, 6), (2, 3)),
        ("padded", (5, 6), (3, 3)),
        ("twice", (2, 3), (4, 6)),
        ("same", (4, 6), (4, 6)),
    )
    def test_positions_are_averaged_or_repeated(self, labels, positions):
        rng = np.random.default_rng(0)
        member = rng.random((2, *labels, 2)).astype("float32")
        found = class_positions.aligned(member, positions, "a")
        rows = [
            [
                [j for j in range(m) if j * n // (n * -(-m // n)) == i]
                if m > n
                else [i * m // n]
                for i in range(n)
            ]
            for m, n in zip(labels, positions)
        ]
        expected = np.array(
            [
                [member[:, r][:, :, c].mean(axis=(1, 2)) for c in rows[1]]
                for r in rows[0]
            ]
        ).transpose(2, 0, 1, 3)
        self.assertAllClose(found, expected)

    @parameterized.named_parameters(
        ("valid", (9,), (7,)),
        ("thirds_that_do_not_fit", (7,), (3,)),
        ("sevenths_or_three_strides_of_two", (28,), (4,)),
        ("no_positions", (9,), ()),
        ("another_rank", (9,), (9, 2)),
    )
    def test_others_are_refused_by_the_layer(self, labels, positions):
        member = np.ones((1, *labels, 2), "float32")
        with self.assertRaisesRegex(ValueError, "'a/b' has .* labels"):
            class_positions.aligned(tf.constant(member), positions, "a/b")


if __name__ == "__main__":
    tf.test.main()

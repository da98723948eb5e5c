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
        ("maps_without_channels", (5, 4, 6), (None, 4, 6), (5, 4, 6)),
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
        ("half", [0.5], None, "whole numbers from 0 on, got 0.5"),
        ("negative", [-1], None, "whole numbers from 0 on, got -1"),
        ("text", ["a"], None, "class numbers, got"),
    )
    def test_refuses(self, values, shape, message):
        with self.assertRaisesRegex(ValueError, message):
            class_positions.class_numbers("y", values, shape)


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

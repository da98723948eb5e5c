import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from keras import layers, ops

from modularity_tf.network import example_inputs


def values(x):
    return {*np.ravel(x).tolist()}


class DrawTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters("int32", "float32")
    def test_words_are_from_the_whole_vocabulary_and_padding_is_not_all(
        self, dtype
    ):
        model = keras.Sequential(
            [
                keras.Input((50,), dtype=dtype),
                layers.Embedding(7, 2, mask_zero=True),
                layers.LSTM(2),
            ]
        )
        drawn = example_inputs.draw(model)
        self.assertEqual(drawn.dtype, dtype)
        self.assertEqual(values(drawn), set(range(7)))
        self.assertAllEqual(np.argwhere(drawn == 0), [[3, 49]])

    def test_each_input_has_the_range_of_the_layer_that_looks_it_up(self):
        words, kinds = (keras.Input((40,), dtype="int64") for _ in range(2))
        there = keras.Input((40,), dtype="int32")
        x = layers.Embedding(9, 2)(words + 0) + layers.Embedding(3, 2)(kinds)
        x = x * ops.expand_dims(ops.cast(there, "float32"), -1)
        model = keras.Model({"a": words, "b": kinds, "c": there}, x)
        drawn = example_inputs.draw(model)
        self.assertEqual(values(drawn["a"]), set(range(9)))
        self.assertEqual(values(drawn["b"]), set(range(3)))
        self.assertEqual(values(drawn["c"]), {0, 1})
        self.assertAllEqual(drawn["c"][:, 0], np.ones(4))

    def test_text_is_made_of_the_vocabulary_and_another_word(self):
        lookup = layers.StringLookup(vocabulary=["a", "b"])
        model = keras.Sequential(
            [
                keras.Input((30,), dtype="string"),
                lookup,
                layers.Embedding(3, 2),
            ]
        )
        self.assertEqual(
            values(example_inputs.draw(model)), {b"a", b"b", b"another word"}
        )

    def test_integers_that_are_looked_up_before_keep_their_own_range(self):
        model = keras.Sequential(
            [
                keras.Input((30,), dtype="int32"),
                layers.IntegerLookup(vocabulary=[10, 20], num_oov_indices=0),
                layers.CategoryEncoding(2, output_mode="multi_hot"),
            ]
        )
        self.assertEqual(values(example_inputs.draw(model)), {10, 20})

    def test_numbers_are_small_and_large(self):
        model = keras.Sequential([keras.Input((9, 3)), layers.Dense(2)])
        drawn = np.abs(example_inputs.draw(model))
        self.assertGreater(drawn[2].max(), 50)
        self.assertLess(drawn[1].max(), 1)

    def test_an_axis_of_any_size_is_made_large_enough(self):
        model = keras.Sequential(
            [
                keras.Input((None, None, 1)),
                layers.Conv2D(2, 20),
                layers.GlobalMaxPooling2D(),
            ]
        )
        self.assertEqual(example_inputs.draw(model).shape, (4, 33, 33, 1))

    def test_a_model_is_left_as_it_was(self):
        drop = keras.Sequential([keras.Input((3,)), layers.Dropout(0.5)])
        inputs = keras.Input((3,))
        model = keras.Model(inputs, drop(inputs, training=True))
        state = [v.numpy() for v in model.variables]
        example_inputs.draw(model)
        self.assertAllEqual(state, [v.numpy() for v in model.variables])

    def test_a_model_that_refuses_all_says_what_it_raised(self):
        class Picky(layers.Layer):
            is_picky = False

            def call(self, x):
                if self.is_picky:
                    raise RuntimeError("not on a Sunday\nat all")
                return x

        model = keras.Sequential([keras.Input((3,)), Picky()])
        model.layers[0].is_picky = True
        message = r"Give `inputs`.*\(It raised: .*not on a Sunday"
        with self.assertRaisesRegex(ValueError, message) as caught:
            example_inputs.draw(model)
        self.assertNotIn("\n", str(caught.exception))


if __name__ == "__main__":
    tf.test.main()

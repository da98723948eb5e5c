import keras
import numpy as np
import tensorflow as tf
from keras import layers

from modularity_tf.network import sizes


class SizesTest(tf.test.TestCase):
    def test_a_kernel_counts_at_each_position(self):
        inputs = keras.Input((6, 6, 4))
        x = layers.Conv2D(5, 3, name="conv")(inputs)  # 4 x 4
        x = layers.Conv2D(8, 3, strides=2, padding="same", name="same")(x)
        x = layers.Conv2D(8, 1, groups=4, name="grouped")(x)  # 2 x 2
        x = layers.DepthwiseConv2D(2, padding="same", name="depthwise")(x)
        x = layers.SeparableConv2D(3, 2, name="separable")(x)  # 1 x 1
        x = layers.Conv2DTranspose(2, 3, name="transposed")(x)
        x = layers.Flatten()(x)
        x = layers.Dense(7, name="dense")(x)
        model = keras.Model(inputs, layers.BatchNormalization(name="n")(x))
        self.assertEqual(
            sizes.multiply_adds(model, np.zeros((3, 6, 6, 4))),
            {
                "conv": 16 * 9 * 4 * 5,
                "same": 4 * 9 * 5 * 8,
                "grouped": 4 * 2 * 8,
                "depthwise": 4 * 4 * 8,
                "separable": 4 * 8 + 8 * 3,
                "transposed": 9 * 3 * 2,
                "dense": 18 * 7,
            },
        )

    def test_a_recurrent_layer_counts_at_each_step_and_attention_its_layers(
        self,
    ):
        inputs = keras.Input((5, 4))
        x = layers.MultiHeadAttention(2, 3, name="attend")(inputs, inputs)
        x = layers.TimeDistributed(layers.Dense(6), name="each")(x)
        x = layers.Bidirectional(
            layers.GRU(2, return_sequences=True), name="both"
        )(x)
        x = layers.LSTM(3, name="lstm")(x)
        model = keras.Model(inputs, x)
        found = sizes.multiply_adds(model, np.zeros((2, 5, 4)))
        self.assertEqual(
            found,
            {
                "attend/query": 5 * 4 * 6,
                "attend/key": 5 * 4 * 6,
                "attend/value": 5 * 4 * 6,
                "attend/attention_output": 5 * 6 * 4,
                "each": 5 * 4 * 6,
                "both": 2 * 5 * (6 * 6 + 2 * 6),
                "lstm": 5 * (4 * 12 + 3 * 12),
            },
        )

    def test_a_convolution_in_a_loop_counts_at_each_step_and_position(self):
        for returns, positions in ((True, 16), (False, 16)):
            layer = layers.ConvLSTM2D(
                3, 3, return_sequences=returns, name="loop"
            )
            model = keras.Sequential([keras.Input((5, 6, 6, 2)), layer])
            self.assertEqual(
                sizes.multiply_adds(model, np.zeros((2, 5, 6, 6, 2))),
                {"loop": 5 * positions * (9 * 2 * 12 + 9 * 3 * 12)},
            )

    def test_a_recurrent_layer_in_a_wrapper_counts_at_all_steps(self):
        each = layers.TimeDistributed(layers.LSTM(3), name="each")
        model = keras.Sequential([keras.Input((2, 5, 4)), each])
        self.assertEqual(
            sizes.multiply_adds(model, np.zeros((2, 2, 5, 4))),
            {"each": 2 * 5 * (4 * 12 + 3 * 12)},
        )

    def test_parameters_are_those_of_keras_without_seeds(self):
        shared = layers.Dense(4, name="shared")
        inputs = keras.Input((4,))
        x = layers.Dropout(0.5)(shared(shared(inputs)))
        x = layers.BatchNormalization(name="norm")(x)
        model = keras.Model(inputs, layers.SimpleRNN(2, name="rnn")(x[:, None]))
        found = sizes.parameters(model)
        self.assertEqual(found, {"shared": 20, "norm": 16, "rnn": 14})


if __name__ == "__main__":
    tf.test.main()

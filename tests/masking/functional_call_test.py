import keras
import numpy as np
import tensorflow as tf

from modularity_tf.masking import functional_call


def two_layers():
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(3, activation="tanh", name="a"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(2, name="b"),
        ],
    )


class FunctionalCallTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        keras.utils.set_random_seed(0)
        self.model = two_layers()
        self.call = functional_call.FunctionalCall(self.model)
        self.inputs = np.random.default_rng(0).normal(size=(6, 4))
        self.before = self.model.get_weights()

    def tearDown(self):
        super().tearDown()
        for old, new in zip(self.before, self.model.get_weights(), strict=True):
            self.assertAllEqual(old, new)  # whatever a test did

    def test_values_replace_weights_and_the_others_stay(self):
        kernel_a, bias_a, _, bias_b = self.before
        kernel_b = np.ones((3, 2), "float32")
        outputs = self.call({"b/kernel": tf.constant(kernel_b)}, self.inputs)
        hidden = np.tanh(self.inputs @ kernel_a + bias_a)
        self.assertAllClose(outputs, hidden @ kernel_b + bias_b, atol=1e-5)

    def test_gradients_reach_the_values(self):
        kernel = tf.ones((3, 2))
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            loss = tf.reduce_sum(self.call({"b/kernel": kernel}, self.inputs))
        kernel_a, bias_a = self.before[:2]
        hidden = np.tanh(self.inputs @ kernel_a + bias_a).sum(axis=0)
        expected = np.stack([hidden, hidden], axis=1)
        self.assertAllClose(tape.gradient(loss, kernel), expected, atol=1e-5)

    def test_parts_see_values_of_their_own_in_order(self):
        biases = [tf.constant([float(k), 0.0]) for k in range(3)]
        values = [{"b/bias": bias} for bias in biases]
        parts = [self.inputs[:2], self.inputs[2:3], self.inputs[3:]]
        plain = self.model(self.inputs)[:, 0]
        compiled = tf.function(lambda: self.call.call_parts(values, parts))
        for outputs in (self.call.call_parts(values, parts), compiled()):
            shift = outputs[:, 0] - plain
            self.assertAllClose(shift, [0, 0, 1, 2, 2, 2], atol=1e-5)


if __name__ == "__main__":
    tf.test.main()

import tempfile

import keras
import numpy as np
import tensorflow as tf

from reproduce.csordas2021.arithmetic import networks


def lstm_by_hand(kernel, recurrent, bias, sequence):
    """Returns the outputs of an LSTM layer, `(batch, steps, units)`."""
    units = recurrent.shape[0]
    h = c = np.zeros((len(sequence), units))
    outputs = []
    for x in np.swapaxes(sequence, 0, 1):
        i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4, axis=1)
        sigmoid = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs, axis=1)


class FnnTest(tf.test.TestCase):
    def test_shapes_and_names(self):
        model = networks.fnn(42, 2, (7, 5))
        self.assertEqual(model.output_shape, (None, 2, 10))
        names = [layer.name for layer in model.layers]
        self.assertEqual(names, ["hidden1", "hidden2", "output", "digits"])

    def test_matches_numpy(self):
        model = networks.fnn(6, 2, (5,), seed=1)
        x = np.random.default_rng(0).normal(size=(3, 6))
        kernel, bias, out, out_bias = model.get_weights()
        hidden = np.maximum(x @ kernel + bias, 0)
        expected = (hidden @ out + out_bias).reshape(3, 2, 10)
        self.assertAllClose(model(x), expected, atol=1e-5)

    def test_kernels_are_uniform_within_the_root_of_fan_in(self):
        kernel = networks.fnn(100, 2, (400,)).get_weights()[0]
        self.assertAllInRange(kernel, -0.1, 0.1)
        self.assertGreater(kernel.std(), 0.95 * 0.1 / np.sqrt(3))

    def test_the_seed_decides(self):
        one, same, other = (
            networks.fnn(6, 1, (5,), seed=s).get_weights()[0] for s in (1, 1, 2)
        )
        self.assertAllEqual(one, same)
        self.assertNotAllEqual(one, other)

    def test_refuses_a_layer_without_units(self):
        with self.assertRaisesRegex(ValueError, r"`sizes`.*\(5, 0\)"):
            networks.fnn(6, 1, (5, 0))


class LstmTest(tf.test.TestCase):
    def test_the_answer_is_read_after_the_repeats(self):
        model = networks.lstm(6, 2, hidden=4, num_layers=2, repeats=3)
        x = np.random.default_rng(0).normal(size=(5, 6))
        weights = model.get_weights()
        sequence = np.repeat(x[:, None], 3, axis=1)
        for i in (0, 3):
            sequence = lstm_by_hand(*weights[i : i + 3], sequence)
        kernel, bias = weights[6:]
        expected = (sequence[:, -1] @ kernel + bias).reshape(5, 2, 10)
        self.assertAllClose(model(x), expected, atol=1e-5)

    def test_inputs_in_turn_are_answered_in_turn(self):
        model = networks.lstm(6, 4, 2, hidden=4, num_layers=1, repeats=3)
        x = np.random.default_rng(0).normal(size=(5, 2, 6)).astype("float32")
        weights = model.get_weights()
        sequence = lstm_by_hand(*weights[:3], np.repeat(x, 3, axis=1))
        kernel, bias = weights[3:]
        logits = (sequence @ kernel + bias).reshape(5, 6, 4, 10)
        self.assertEqual(model.output_shape, (None, 4, 10))
        self.assertAllClose(model(x)[:, :2], logits[:, 2, :2], atol=1e-5)
        self.assertAllClose(model(x)[:, 2:], logits[:, 5, 2:], atol=1e-5)

    def test_is_saved_and_loaded(self):
        model = networks.lstm(6, 4, 2, hidden=3, num_layers=1)
        folder = self.enterContext(tempfile.TemporaryDirectory())
        file = f"{folder}/m.keras"
        model.save(file)
        x = np.ones((2, 2, 6), "float32")
        self.assertAllClose(keras.saving.load_model(file)(x), model(x))


if __name__ == "__main__":
    tf.test.main()

import itertools
import os
import tempfile

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.structure import deep_r
from reproduce.bena2021 import modular_rnn

SHAPE = (4, 3, 1)


def pixels(batch=6, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (batch, *SHAPE)) for _ in range(2)]


def network(**kwargs):
    return modular_rnn.build(
        SHAPE, **{"connections": 3, "units": 8, "seed": 1, **kwargs}
    )


def twin(model, digits, steps, bottleneck):
    """Section 2.2 of the paper in NumPy: states, readouts and decision."""

    def weights(name):
        return model.get_layer(name).get_weights()

    modules = model.get_layer("modules")
    inputs = [x.reshape(len(x), -1) * (0.3 / 255) for x in digits]
    h = [[np.zeros((len(digits[0]), 8)) for _ in (0, 1)]]
    for _ in range(steps):
        h.append([])
        for n in (0, 1):
            m = 1 - n
            w_ih, w_hh, bias = modules.cells[n].get_weights()
            phi, sign = modules.link(m, n).get_weights()
            w_sparse = np.where(phi > 0, sign * phi, 0.0)
            h[-1].append(
                np.tanh(
                    inputs[n] @ w_ih
                    + bias
                    + h[-2][n] @ w_hh
                    + h[-2][m] @ w_sparse
                )
            )
    readouts = []
    for n in (0, 1):
        last = h[-1][n]
        if bottleneck:
            kernel, bias = weights(f"bottleneck{n}")
            last = last @ kernel + bias
        kernel, bias = weights(f"readout{n}")
        readouts.append(last @ kernel + bias)
    decision = [max(pair, key=np.max) for pair in zip(*readouts)]
    return h[-1], readouts, decision


class ModularRnnTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(
        ("standard", None, 5), ("bottleneck", 5, 5), ("one_step", None, 1)
    )
    def test_matches_the_paper_in_numpy(self, bottleneck, steps):
        model = network(bottleneck=bottleneck, steps=steps)
        rng = np.random.default_rng(2)
        for variable in model.trainable_variables:
            if not hasattr(variable, "active_connections"):
                variable.assign(rng.normal(size=variable.shape) / 2)
        digits = pixels()
        states, readouts, decision = twin(model, digits, steps, bottleneck)
        self.assertAllClose(model(digits), decision, atol=1e-4)
        names = ("modules", "readout0", "readout1")
        inside = keras.Model(
            model.inputs, [model.get_layer(name).output for name in names]
        )
        found = keras.tree.flatten(inside(digits))
        for output, value in zip(found, [*states, *readouts], strict=True):
            self.assertAllClose(output, value, atol=1e-4)

    def test_pixels_are_standardized_if_asked(self):
        model = network(standardize=True)
        pixel = keras.Model(model.inputs, model.get_layer("rescaling1").output)
        digits = pixels()
        expected = (digits[1].reshape(6, -1) / 255 - 0.1307) / 0.3081
        self.assertAllClose(pixel(digits), expected, atol=1e-5)

    def test_the_most_certain_module_decides(self):
        readouts = [
            np.array([[1.0, 0.0, 0.0], [0.0, 5.0, -9.0], [1.0, 1.0, 1.0]]),
            np.array([[0.0, 0.0, 2.0], [4.0, 4.0, 4.0], [1.0, 0.0, 1.0]]),
        ]
        decided = modular_rnn.CompetitiveMax()(readouts)
        expected = [[0.0, 0.0, 2.0], [0.0, 5.0, -9.0], [1.0, 1.0, 1.0]]
        self.assertAllEqual(decided, expected)  # a tie goes to module 0

    def test_the_deciding_readout_alone_receives_a_gradient(self):
        readouts = [tf.constant([[1.0, 2.0]]), tf.constant([[3.0, 0.0]])]
        with tf.GradientTape() as tape:
            tape.watch(readouts)
            decided = modular_rnn.CompetitiveMax()(readouts)
        gradients = tape.gradient(decided, readouts)
        self.assertAllEqual(gradients, [[[0.0, 0.0]], [[1.0, 1.0]]])

    def test_weights_start_uniform_within_a_tenth(self):
        model = network(units=100, connections=1.0, bottleneck=5)
        drawn = [
            variable.numpy().ravel()
            for variable in model.trainable_variables
            if len(variable.shape) == 2
        ]
        self.assertLen(drawn, 10)
        for values in drawn:
            self.assertLess(np.abs(values).max(), 0.1)
        # Kolmogorov's bound: fails once in 1e9 seeds.
        values = np.sort(np.abs(np.concatenate(drawn))) / 0.1
        distance = np.abs(values - np.linspace(0, 1, len(values))).max()
        self.assertLess(distance, np.sqrt(np.log(2e9) / (2 * len(values))))
        for one, other in itertools.pairwise(drawn):
            self.assertNotAllEqual(one[:40], other[:40])

    def test_the_seed_decides_weights_and_links(self):
        one, again, other = (network(seed=s).get_weights() for s in (1, 1, 2))
        for value, same in zip(one, again, strict=True):
            self.assertAllEqual(value, same)
        different = sum(np.any(x != y) for x, y in zip(one, other))
        self.assertEqual(different, 10)  # all but four biases

    @parameterized.parameters((1, 1), (0.25, 16), (1.0, 64))
    def test_links_in_each_direction(self, connections, expected):
        modules = network(connections=connections).get_layer("modules")
        for m, n in ((0, 1), (1, 0)):
            kernel = np.array(modules.link(m, n).kernel)
            self.assertEqual(np.count_nonzero(kernel), expected)

    def test_is_saved_with_its_optimizer(self):
        model = network(bottleneck=5)
        model.compile(
            deep_r.DeepR(keras.optimizers.Adam(0.01), 0.05, seed=1),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=False,
        )
        digits, labels = pixels(32), np.arange(32) % 3
        history = model.fit(digits, labels, epochs=5, verbose=0).history
        self.assertLess(history["loss"][-1], history["loss"][0])
        folder = self.enterContext(tempfile.TemporaryDirectory())
        file = os.path.join(folder, "m.keras")
        model.save(file)
        loaded = keras.saving.load_model(file)
        self.assertAllClose(loaded(digits), model(digits), atol=1e-6)
        self.assertEqual(int(loaded.optimizer.iterations), 5)


if __name__ == "__main__":
    tf.test.main()

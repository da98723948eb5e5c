"""The truth about trained supports, on all their examples."""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.planted import gated


class BuildTest(parameterized.TestCase, tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.planted = gated.make_gated_mlp(seed=0, shared=0.5)

    @parameterized.parameters(0, 1)
    def test_the_task_is_learned(self, task):
        inputs, labels = self.planted.data[task]
        self.assertGreater(self.planted.accuracy(task), 0.95)
        self.assertAllEqual(inputs[1], np.full(len(labels), task))

    @parameterized.parameters((0, 0.0, 20), (0, 0.5, 20), (2, 1.0, 3))
    def test_the_support_alone_answers_as_the_network_does(
        self, seed, shared, epochs
    ):
        planted = self.planted
        if (seed, shared) != (0, 0.5):
            planted = gated.make_gated_mlp(
                seed=seed, shared=shared, epochs=epochs
            )
        for task in (0, 1):
            inputs, _ = planted.data[task]
            self.assertAllClose(
                planted.logits(inputs),
                planted.logits(inputs, planted.weights(task, "needed")),
                atol=1e-4,
            )

    def test_weights_that_hold_a_unit_at_0_are_used(self):
        x = np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        layer = keras.layers.Dense(1, "relu")
        layer.build((None, 3))
        # The second holds it at 0 where the first is on; the third need not.
        layer.set_weights([np.array([[1.0], [-2.0], [-1.0]]), np.array([-0.5])])
        y = layer(x).numpy()
        self.assertAllEqual(y[:, 0], [0.5, 0, 0])
        self.assertAllEqual(gated._used(x, y, layer), [[True], [True], [False]])

    @parameterized.parameters(0, 1)
    def test_without_the_support_it_says_the_same_to_all(self, task):
        planted = self.planted
        inputs, _ = planted.data[task]
        needed = planted.weights(task, "needed")
        rest = {path: ~flags for path, flags in needed.items()}
        self.assertLess(planted.accuracy(task, rest), 0.2)
        self.assertAllClose(
            np.ptp(planted.logits(inputs, rest), axis=0), [0] * 10
        )

    def test_every_weight_of_the_support_changes_answers_and_no_other(self):
        planted = self.planted
        inputs, _ = planted.data[0]
        variables = {w.path: w for w in planted.model.weights}
        tensors = [variables[path] for path in planted.kinds[0]]
        with tf.GradientTape(persistent=True) as tape:
            found = tf.reduce_sum(tf.square(planted.model(inputs)))
        needed = planted.weights(0, "needed")
        for variable in tensors:
            slopes = tape.gradient(found, variable.value).numpy()
            flags = needed[variable.path]
            self.assertAllEqual(slopes[~flags], np.zeros((~flags).sum()))
            # Two units may be on at once where no later one is, and what
            # holds a unit at 0 has no slope.
            self.assertGreater(np.mean(slopes[flags] != 0), 0.9)

    def test_units_are_open_and_have_used_weights(self):
        for layer, reader in (("hidden0", "hidden1"), ("hidden1", "output")):
            gate = self.planted.model.get_layer(f"gate_{layer}").embeddings
            is_open = gate.numpy() > 0
            self.assertAllEqual(is_open.sum(axis=1), [20, 20])
            self.assertEqual(is_open.all(axis=0).sum(), 10)
            for task, units in enumerate(self.planted.units):
                needed = self.planted.weights(task, "needed")
                used = needed[f"{reader}/kernel"].any(axis=1)
                self.assertAllEqual(units[layer], used & is_open[task])
                self.assertFalse(
                    needed[f"{layer}/kernel"][:, ~units[layer]].any()
                )
                self.assertBetween(units[layer].sum(), 12, 20)

    def test_refuses(self):
        with self.assertRaisesRegex(
            ValueError, r"`shared` must be in \[0, 1\]"
        ):
            gated.make_gated_mlp(shared=2)


if __name__ == "__main__":
    tf.test.main()

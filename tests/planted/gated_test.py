"""The truth about trained supports, on all their examples."""

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
    def test_the_support_alone_answers_as_the_network_does(self, task):
        planted = self.planted
        inputs, labels = planted.data[task]
        self.assertGreater(planted.accuracy(task), 0.95)
        self.assertAllEqual(inputs[1], np.full(len(labels), task))
        needed = planted.weights(task, "needed")
        self.assertAllClose(
            planted.logits(inputs), planted.logits(inputs, needed), atol=1e-4
        )

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
            # Two units may be on at once where no later one is.
            self.assertGreater(np.mean(slopes[flags] != 0), 0.99)

    def test_half_of_the_units_are_open_and_half_of_these_shared(self):
        for layer in ("hidden0", "hidden1"):
            first, second = (own[layer] for own in self.planted.units)
            self.assertEqual((first.sum(), second.sum()), (20, 20))
            self.assertEqual(np.sum(first & second), 10)

    def test_refuses(self):
        with self.assertRaisesRegex(
            ValueError, r"`shared` must be in \[0, 1\]"
        ):
            gated.make_gated_mlp(shared=2)


if __name__ == "__main__":
    tf.test.main()

import keras
import numpy as np
import tensorflow as tf

from modularity_tf import WeightMask
from modularity_tf.findings.neuron_selection import NeuronSelection
from modularity_tf.soundness import kept_parts


def network():
    return keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(3, activation="relu", name="hidden"),
            keras.layers.Dense(1, name="out"),
        ]
    )


class KeptPartsTest(tf.test.TestCase):
    def test_weights_stay_alone_or_go(self):
        values = {"hidden/kernel": np.arange(6).reshape(2, 3) < 2}
        parts = kept_parts.KeptParts(WeightMask(values), network(), False)
        self.assertAllEqual(parts.alone(values)["hidden/kernel"].sum(), 2)
        self.assertAllEqual(parts.without(values)["hidden/kernel"].sum(), 4)
        self.assertFalse(parts.nothing["hidden/kernel"].any())

    def test_flat_and_nest_are_inverse(self):
        values = {
            "hidden/kernel": np.arange(6).reshape(2, 3) % 2 == 0,
            "out/kernel": np.array([[True], [False], [True]]),
        }
        parts = kept_parts.KeptParts(WeightMask(values), network(), False)
        nested = parts.nest(parts.flat(values))
        for path, value in values.items():
            self.assertAllEqual(nested[path], value)

    def test_neurons_of_the_output_are_no_parts(self):
        selection = NeuronSelection(
            {"hidden": np.array([True, False, False]), "out": np.array([True])}
        )
        parts = kept_parts.KeptParts(selection, network(), False)
        self.assertEqual(parts.paths, ["hidden"])
        none = NeuronSelection(
            {"hidden": np.zeros(3, bool), "out": np.array([True])}
        )
        with self.assertRaisesRegex(ValueError, "no member that can be remov"):
            kept_parts.KeptParts(none, network(), False)


if __name__ == "__main__":
    tf.test.main()

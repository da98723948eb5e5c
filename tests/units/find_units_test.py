from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.findings.neuron_selection import NeuronSelection
from modularity_tf.units import clustering
from modularity_tf.units import find_units as finding
from modularity_tf.units.find_units import find_units

X = np.random.default_rng(0).normal(size=(200, 2)).astype("float32")
MODULES = np.array([0, 0, 0, 1, 1, 1])


def two_modules():
    """Returns a model whose first three units follow one input each."""
    model = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(6, "relu", use_bias=False, name="hidden"),
            keras.layers.Dense(1, name="out"),
        ]
    )
    kernel = np.array([[1, 2, 3, 0, 0, 0], [0, 0, 0, 1, 2, 3.0]])
    model.layers[0].set_weights([kernel])
    return model


class FindUnitsTest(parameterized.TestCase, tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.model = two_modules()
        cls.found = find_units(cls.model, (X, X[:, 0]), restarts=2)

    def test_finds_the_modules_of_every_hidden_layer(self):
        self.assertEqual([*self.found], ["hidden"])
        one = self.found["hidden"]
        self.assertEqual(clustering.agreement(one.clusters, MODULES), 1.0)
        self.assertEqual((one.layer, one.measure), ("hidden", "covariance"))

    def test_a_cluster_is_a_selection_of_neurons(self):
        one = self.found["hidden"]
        label = int(one.clusters[0])
        members = one.members(label)
        self.assertIsInstance(members, NeuronSelection)
        self.assertAllEqual(members.values["hidden"], MODULES == 0)
        self.assertEqual(members.provenance["cluster"], label)
        # What the first input drives is gone.
        without = members.remove_from(self.model)
        kernel = without.get_layer("out").get_weights()[0][:, 0]
        self.assertAllEqual(kernel != 0, MODULES == 1)

    def test_the_record_says_how_they_were_found(self):
        told = self.found["hidden"].provenance
        self.assertEqual((told["restarts"], told["seed"]), (2, 0))
        self.found["hidden"].check_fits(self.model)

    def test_an_activation_layer_puts_out_what_its_layer_finds(self):
        model = keras.Sequential(
            [
                keras.Input((2,)),
                keras.layers.Dense(6, use_bias=False, name="hidden"),
                keras.layers.BatchNormalization(name="norm"),
                keras.layers.ReLU(name="relu"),
                keras.layers.Dense(1, name="out"),
            ]
        )
        model.layers[0].set_weights(self.model.layers[0].get_weights())
        for layers in (None, "hidden", "relu"):
            found = find_units(model, (X, X[:, 0]), layers=layers, restarts=0)
            self.assertEqual([*found], ["hidden"])
            # But for the epsilon of the normalization.
            self.assertAllClose(
                found["hidden"].similarity,
                self.found["hidden"].similarity,
                rtol=5e-3,
            )
        found = find_units(model, (X, X[:, 0]), layers="norm", restarts=0)
        self.assertEqual([*found], ["norm"])

    def test_an_activation_may_be_an_operation(self):
        inputs = keras.Input((2,))
        hidden = keras.layers.Dense(6, use_bias=False, name="hidden")(inputs)
        outputs = keras.layers.Dense(1)(keras.ops.relu(hidden))
        model = keras.Model(inputs, outputs)
        model.layers[1].set_weights(self.model.layers[0].get_weights())
        found = find_units(model, (X, X[:, 0]), restarts=0)
        self.assertAllClose(
            found["hidden"].similarity,
            self.found["hidden"].similarity,
            rtol=1e-5,
        )

    def test_the_loss_is_needed_for_a_hessian_alone(self):
        measure = {"measure": "loss_hessian", "restarts": 0}
        with self.assertRaisesRegex(ValueError, "`loss` is needed"):
            find_units(self.model, (X, X[:, :1]), **measure)
        found = find_units(self.model, (X, X[:, :1]), loss="mse", **measure)
        self.assertEqual(found["hidden"].measure, "loss_hessian")

    def test_memory_beyond_some_gigabytes_is_told_before(self):
        with (
            mock.patch.object(finding, "MEMORY", 1e-9),
            self.assertWarnsRegex(UserWarning, "'hidden' has 6 units.* GB"),
        ):
            find_units(self.model, (X, X[:, :1]), restarts=0)

    def test_a_model_without_a_hidden_layer_is_named(self):
        model = keras.Sequential(
            [keras.Input((2,)), keras.layers.Dense(1)], name="flat"
        )
        with self.assertRaisesRegex(ValueError, "'flat' has no hidden Conv"):
            find_units(model, (X, X[:, :1]))

    @parameterized.named_parameters(
        ("measure", {"measure": "correlation"}, "`measure` must be one of"),
        ("layer", {"layers": "conv"}, "'conv'"),
        ("restarts", {"restarts": -1}, "`restarts` must be"),
    )
    def test_refuses(self, changes, message):
        with self.assertRaisesRegex(ValueError, message):
            find_units(self.model, (X, X[:, :1]), **changes)


if __name__ == "__main__":
    tf.test.main()

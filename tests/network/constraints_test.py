import os

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from keras import layers

from modularity_tf.findings.weight_mask import WeightMask
from modularity_tf.network import constraints, model_weights


def network():
    return keras.Sequential(
        [
            keras.Input((4, 4, 2)),
            layers.DepthwiseConv2D(2, activation="tanh", name="depthwise"),
            layers.SeparableConv2D(4, 2, activation="tanh", name="separable"),
            layers.BatchNormalization(name="norm"),
            layers.Reshape((4, 4)),
            layers.Bidirectional(layers.LSTM(3), name="both"),
            layers.Dense(5, "tanh", kernel_constraint="non_neg", name="hidden"),
            layers.Dense(2, name="out"),
        ]
    )


def half(model, seed=0):
    """Returns a mask that keeps about half of all weights."""
    rng = np.random.default_rng(seed)
    return WeightMask(
        {
            path: rng.random(weight.variable.shape) < 0.5
            for path, weight in model_weights.model_weights(model).items()
        }
    )


def trained(model, optimizer="adam", eagerly=True):
    rng = np.random.default_rng(1)
    model.compile(optimizer, "mse", run_eagerly=eagerly)
    model.fit(
        rng.normal(size=(8, *model.input_shape[1:])),
        rng.normal(size=(8, 2)),
        epochs=3,
        verbose=0,
    )
    return model


class KeepZerosTest(parameterized.TestCase, tf.test.TestCase):
    def check_zeros(self, model, mask):
        for path, weight in model_weights.model_weights(model).items():
            value = weight.variable.numpy()
            if path in mask.values:
                self.assertTrue((value[~mask.values[path]] == 0).all(), path)

    @parameterized.named_parameters(
        ("adam", keras.optimizers.AdamW(0.1, weight_decay=0.1)),
        ("momentum", keras.optimizers.SGD(0.1, 0.9, nesterov=True)),
    )
    def test_removed_weights_stay_at_zero_and_others_are_trained(
        self, optimizer
    ):
        model = network()
        mask = half(model)
        made = mask.keep_zeros(model)
        before = made.get_layer("out").kernel.numpy()
        trained(made, optimizer, eagerly=False)
        self.check_zeros(made, mask)
        moved = before != made.get_layer("out").kernel.numpy()
        self.assertAllEqual(moved, mask.values["out/kernel"])

    def test_the_constraints_are_in_a_file(self):
        model = network()
        mask = half(model)
        file = os.path.join(self.get_temp_dir(), "sparse.keras")
        mask.keep_zeros(model).save(file)
        loaded = trained(keras.saving.load_model(file))
        self.check_zeros(loaded, mask)
        kernel = loaded.get_layer("hidden").kernel.numpy()
        self.assertAllGreaterEqual(kernel, 0.0)  # as its own constraint says

    def test_the_model_has_none_of_them(self):
        model = network()
        half(model).keep_zeros(model)
        self.assertIsNone(model.get_layer("out").kernel.constraint)

    def test_the_constraint_is_before_and_after_another(self):
        kept = np.array([[True, False], [True, True]])
        norm = keras.constraints.UnitNorm(axis=0)
        value = np.array([[3.0, 5.0], [4.0, 2.0]], "float32")
        both = constraints.KeepZeros(kept, norm)
        self.assertAllClose(both(value), [[0.6, 0.0], [0.8, 1.0]])
        shifted = constraints.KeepZeros(kept, lambda w: w + 1.0)
        self.assertAllClose(shifted(value), [[4.0, 0.0], [5.0, 3.0]])
        again = constraints.KeepZeros.from_config(both.get_config())
        self.assertAllClose(again(value), both(value))

    def test_a_constraint_that_no_file_would_have_is_refused_by_path(self):
        inputs = keras.Input((3, 4))
        x = layers.MultiHeadAttention(2, 2, name="attend")(inputs, inputs)
        model = keras.Model(inputs, layers.Dense(2, name="out")(x))
        mask = half(model)
        with self.assertRaisesRegex(ValueError, "attend/query/kernel.*select"):
            mask.keep_zeros(model)
        mask.select("out").keep_zeros(model)

    def test_a_smaller_model_is_without_constraints(self):
        model = network()
        units = np.ones((6, 5), bool)
        units[:, 2:] = False
        mask = WeightMask({"hidden/kernel": units})
        tuned = trained(mask.keep_zeros(model))
        small = mask.shrink(tuned).model
        hidden = small.get_layer("hidden")
        self.assertEqual(hidden.units, 2)
        self.assertIsInstance(
            hidden.kernel.constraint, keras.constraints.NonNeg
        )
        trained(small)

    def test_kept_must_be_boolean(self):
        with self.assertRaisesRegex(ValueError, "`kept` must be boolean"):
            constraints.KeepZeros(np.ones(2))


if __name__ == "__main__":
    tf.test.main()

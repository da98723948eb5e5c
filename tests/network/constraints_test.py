import os

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from keras import layers

from modularity_tf.findings.neuron_selection import NeuronSelection
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

    def test_a_smaller_model_has_none(self):
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

    def check_is_plain(self, model):
        """Checks that only `hidden` has a constraint, its own, and no file."""
        held = {
            path: type(weight.variable.constraint)
            for path, weight in model_weights.model_weights(model).items()
            if weight.variable.constraint is not None
        }
        self.assertEqual(held, {"hidden/kernel": keras.constraints.NonNeg})
        self.assertNotIn("KeepZeros", model.to_json())

    @parameterized.named_parameters(
        ("a_mask", lambda model: half(model, seed=1)),
        ("neurons", lambda _: NeuronSelection({"hidden": np.arange(5) < 3})),
    )
    def test_a_plain_model_is_made_of_one_that_was_read(self, make):
        model = network()
        found = make(model)
        mask = half(model)
        file = os.path.join(self.get_temp_dir(), "sparse.keras")
        trained(mask.keep_zeros(model)).save(file)
        sparse = keras.saving.load_model(file)
        for made in (found.apply(sparse), found.remove_from(sparse)):
            self.check_is_plain(made)
            self.check_zeros(made, mask)
        self.check_zeros(trained(sparse), mask)  # as before

    def test_forced_neurons_are_in_a_plain_model(self):
        model = network()
        some = np.arange(5) < 3
        found = NeuronSelection({"hidden": some}, off={"hidden": ~some})
        self.check_is_plain(found.force(half(model).keep_zeros(model)))

    def test_the_zeros_of_the_last_mask_are_kept(self):
        model = network()
        first, last = half(model), half(model, seed=1)
        made = last.keep_zeros(first.keep_zeros(model))
        self.check_zeros(made, first & last)
        trained(made)
        self.check_zeros(made, last)
        kernel = made.get_layer("hidden").kernel
        self.assertIsInstance(
            kernel.constraint.constraint, keras.constraints.NonNeg
        )
        values = first.values["out/kernel"], last.values["out/kernel"]
        regrown = ~values[0] & values[1]
        self.assertTrue(regrown.any())
        self.assertTrue(made.get_layer("out").kernel.numpy()[regrown].any())

    def test_a_chain_of_constraints_is_taken_off(self):
        model = network()
        made = half(model).keep_zeros(model)
        constraints.keep_zeros(made, half(model, seed=1).values)
        self.check_is_plain(constraints.take_off(made))

    def test_a_moving_average_is_set_to_zero_by_apply(self):
        model = network()
        mask = half(model)
        made = mask.keep_zeros(model)
        trained(made, keras.optimizers.Adam(0.1, use_ema=True))
        kernel = made.get_layer("out").kernel.numpy()
        # Were it zero, docs need not tell of this exception.
        self.assertTrue(kernel[~mask.values["out/kernel"]].any())
        self.check_zeros(mask.apply(made), mask)

    @parameterized.named_parameters(
        ("dense", layers.Dense(3, name="low"), "low/kernel"),
        ("conv", layers.Conv1D(3, 1, name="low"), "low/kernel"),
        ("embedding", layers.Embedding(4, 3, name="low"), "low/embeddings"),
    )
    def test_a_weight_with_lora_is_refused_by_path(self, low, path):
        shape = (4,) if isinstance(low, layers.Embedding) else (4, 2)
        model = keras.Sequential(
            [
                keras.Input(shape),
                low,
                layers.Flatten(),
                layers.Dense(2, name="out"),
            ]
        )
        low.enable_lora(2)
        mask = half(model)
        message = rf"zeros of \['{path}'\].*LoRA.*select"
        with self.assertRaisesRegex(ValueError, message) as raised:
            WeightMask({path: mask.values[path]}).keep_zeros(model)
        self.assertNotIn("get_config", str(raised.exception))
        mask.select("out").keep_zeros(model)
        if low.name + "/bias" in mask.values:
            bias = WeightMask({"low/bias": np.array([True, False, True])})
            made = trained(bias.keep_zeros(model))
            self.check_zeros(made, bias)

    def test_kept_must_be_boolean(self):
        with self.assertRaisesRegex(ValueError, "`kept` must be boolean"):
            constraints.KeepZeros(np.ones(2))


if __name__ == "__main__":
    tf.test.main()

import os
import tempfile

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf import layers

ARGUMENTS = {
    "units": 3,
    "connections": 7,
    "activation": "tanh",
    "use_bias": False,
    "dormant_gradients": True,
    "seed": 5,
}


class SparseDenseTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(("2d", (4, 5)), ("3d", (4, 2, 5)))
    def test_matches_numpy(self, shape):
        rng = np.random.default_rng(0)
        x, bias = rng.normal(size=shape), rng.normal(size=3)
        sign = rng.choice([-1.0, 1.0], size=(5, 3))
        strength = np.maximum(rng.normal(size=(5, 3)), 0.0)
        layer = layers.SparseDense(3, 4, activation="tanh", seed=0)
        self.assertEqual(layer(x).shape, (*shape[:-1], 3))
        self.assertEqual(layer.compute_output_shape(shape), (*shape[:-1], 3))
        layer.connection_strength.assign(strength)
        layer.sign.assign(sign)
        layer.bias.assign(bias)
        expected = np.tanh(x @ (sign * strength) + bias)
        self.assertAllClose(layer(x), expected, atol=1e-5)
        self.assertAllClose(layer.kernel, sign * strength)

    def test_a_negative_strength_is_dormant(self):
        layer = layers.SparseDense(1, 1, use_bias=False)
        layer.build((None, 1))
        layer.connection_strength.assign([[-2.0]])
        self.assertAllEqual(layer(np.ones((1, 1))), [[0.0]])

    def test_all_connections_make_a_dense_layer(self):
        initializer = keras.initializers.GlorotUniform(3)
        sparse = layers.SparseDense(6, 1.0, kernel_initializer=initializer)
        dense = keras.layers.Dense(6, kernel_initializer=initializer)
        x = np.random.default_rng(0).normal(size=(2, 7))
        self.assertAllClose(sparse(x), dense(x))

    @parameterized.parameters((1, 1), (13, 13), (0.5, 21), (1.0, 42))
    def test_starts_with_so_many_connections(self, connections, expected):
        layer = layers.SparseDense(6, connections, kernel_initializer="zeros")
        layer.build((None, 7))
        self.assertEqual(np.count_nonzero(layer.kernel), expected)

    def test_the_seed_draws_the_connections(self):
        active = []
        for seed in (1, 1, 2):
            layer = layers.SparseDense(6, 10, seed=seed)
            layer.build((None, 7))
            active.append(np.array(layer.kernel) != 0)
        self.assertAllEqual(active[0], active[1])
        self.assertNotAllEqual(active[0], active[2])

    def test_active_connections_alone_receive_gradients(self):
        layer = layers.SparseDense(6, 10, seed=0)
        x = np.random.default_rng(0).normal(size=(4, 7))
        layer(x)
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(layer(x) ** 2)
        variables = [v.value for v in layer.trainable_variables]
        strength, bias = tape.gradient(value, variables)
        active = layer.connection_strength.numpy() > 0
        self.assertAllEqual(strength.numpy() != 0, active)
        self.assertGreater(np.max(np.abs(bias)), 0.0)
        self.assertLen(layer.non_trainable_variables, 1)  # the signs

    def test_dormant_connections_may_receive_theirs_too(self):
        layer = layers.SparseDense(
            6, 10, use_bias=False, dormant_gradients=True, seed=0
        )
        plain = layers.SparseDense(6, 10, use_bias=False, seed=0)
        x = np.random.default_rng(0).normal(size=(4, 7))
        layer(x)
        plain(x)
        plain.set_weights(layer.get_weights())
        with tf.GradientTape() as tape:
            outputs = layer(x)
            value = tf.reduce_sum(outputs**2)
        self.assertAllEqual(outputs, plain(x))
        gradient = tape.gradient(value, layer.connection_strength.value)
        expected = layer.sign.numpy() * (x.T @ (2 * outputs.numpy()))
        self.assertAllClose(gradient, expected, atol=1e-5)

    @parameterized.parameters("adam", "sgd")
    def test_plain_optimizers_lose_no_connection(self, optimizer):
        optimizer = keras.optimizers.get(
            {"class_name": optimizer, "config": {"learning_rate": 0.1}}
        )
        layer = layers.SparseDense(6, 10, use_bias=False, seed=0)
        model = keras.Sequential([keras.Input((7,)), layer])
        model.compile(optimizer, "mse", run_eagerly=True)
        before = np.array(layer.kernel)
        x = np.random.default_rng(0).normal(size=(32, 7))
        target = -x @ np.sign(before)  # every sign is wrong
        model.fit(x, target, epochs=20, verbose=0)
        after = np.array(layer.kernel)
        self.assertAllEqual(np.sign(after), np.sign(before))
        self.assertLess(np.abs(after).sum(), np.abs(before).sum() / 10)

    def test_config_keeps_every_argument(self):
        initializers = {
            "kernel_initializer": keras.initializers.HeNormal(seed=4),
            "bias_initializer": keras.initializers.Constant(0.5),
        }
        config = layers.SparseDense(**ARGUMENTS, **initializers).get_config()
        self.assertEqual(ARGUMENTS, {key: config[key] for key in ARGUMENTS})
        again = layers.SparseDense.from_config(config)
        self.assertEqual(again.get_config(), config)
        self.assertEqual(again.kernel_initializer.seed, 4)
        self.assertEqual(again.bias_initializer.value, 0.5)

    def test_saves_and_loads(self):
        model = keras.Sequential(
            [keras.Input((5,)), layers.SparseDense(**ARGUMENTS)]
        )
        layer = model.layers[0]
        layer.connection_strength.assign(np.eye(5, 3))
        folder = self.enterContext(tempfile.TemporaryDirectory())
        file = os.path.join(folder, "m.keras")
        model.save(file)
        loaded = keras.saving.load_model(file)
        inputs = np.random.default_rng(0).normal(size=(2, 5))
        self.assertAllClose(loaded(inputs), model(inputs))
        strength = loaded.layers[0].connection_strength
        # What DeepR reads:
        self.assertEqual(strength.active_connections, 7)
        self.assertTrue(strength.dormant_gradients)

    def test_refuses_inputs_of_unknown_or_another_width(self):
        with self.assertRaisesRegex(ValueError, "last axis .* must be known"):
            layers.SparseDense(3, 7).build((None, None))
        layer = layers.SparseDense(3, 7)
        layer.build((None, 5))
        with self.assertRaisesRegex(ValueError, "incompatible"):
            layer(np.ones((2, 4)))

    def test_passes_keras_masks_on_as_dense_does(self):
        tokens = keras.Input((6,), dtype="int32")
        shown = keras.layers.Embedding(9, 5, mask_zero=True)(tokens)
        found = layers.SparseDense(3, 1.0)(shown)
        model = keras.Model(
            tokens, [found, keras.layers.GlobalAveragePooling1D()(found)]
        )
        steps, mean = model(np.array([[1, 2, 3, 0, 0, 0]]))
        self.assertAllClose(mean, np.mean(steps[:, :3], axis=1))

    @parameterized.parameters(
        ("mixed_float16", "float16", "float32"),
        ("bfloat16", "bfloat16", "float32"),
        ("float32", "float32", "float32"),
        ("float64", "float64", "float64"),
    )
    def test_strengths_are_float32_at_least(self, dtype, outputs, strengths):
        layer = layers.SparseDense(3, 7, dtype=dtype)
        self.assertEqual(layer(np.ones((2, 5))).dtype, outputs)
        self.assertEqual(layer.connection_strength.dtype, strengths)

    @parameterized.named_parameters(
        ("units", {"units": 0}, "`units` must be a positive int, got 0"),
        ("none", {"connections": 0}, "`connections` must be a pos.*got 0"),
        ("text", {"connections": "5"}, "`connections` must be .* got '5'"),
        ("many", {"connections": 16}, "got 16"),
        ("fraction", {"connections": 1.5}, "got 1.5"),
        ("seed", {"seed": -1}, "`seed` must be an int"),
    )
    def test_refuses(self, kwargs, message):
        with self.assertRaisesRegex(ValueError, message):
            layers.SparseDense(**{**ARGUMENTS, **kwargs}).build((None, 5))


if __name__ == "__main__":
    tf.test.main()

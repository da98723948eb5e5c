import os
import tempfile

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

import modularity_tf as mtf
from modularity_tf import layers
from modularity_tf.masking import mask_sampling

MASK = {
    "num_samples": 2,
    "alpha": 1e-3,
    "initial_keep_probability": 0.8,
    "mask_bias": True,
    "temperature": 2.0,
    "seed": 7,
}
CASES = (
    ("dense", layers.MaskedDense, {"units": 3, **MASK}, (4, 5)),
    ("dense_3d", layers.MaskedDense, {"units": 3, **MASK}, (4, 2, 5)),
    (
        "conv",
        layers.MaskedConv2D,
        {
            "filters": 3,
            "kernel_size": (2, 3),
            "strides": (2, 1),
            "padding": "same",
            "activation": "relu",
            **MASK,
        },
        (4, 6, 6, 2),
    ),
)


class MaskedLayerTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(*CASES)
    def test_config_keeps_every_argument(self, layer_class, kwargs, shape):
        del shape
        config = layer_class(**kwargs).get_config()
        self.assertEqual(kwargs, {key: config[key] for key in kwargs})
        again = layer_class.from_config(config).get_config()
        self.assertEqual(config, again)

    @parameterized.named_parameters(*CASES)
    def test_inference_matches_the_keras_layer(
        self, layer_class, kwargs, shape
    ):
        layer = layer_class(**kwargs)
        inputs = np.random.default_rng(0).normal(size=shape).astype("float32")
        layer(inputs)  # builds
        twin = layer_class.__bases__[1].from_config(
            {k: v for k, v in layer.get_config().items() if k not in MASK}
        )
        twin(inputs)
        rng = np.random.default_rng(1)
        bias = rng.normal(size=layer.bias.shape)
        for bias_variable in (layer.bias, twin.bias):
            bias_variable.assign(bias)
        kernel = layer.kernel.numpy()
        for logits in (
            np.full(kernel.shape, 2.0),
            np.full(kernel.shape, -2.0),
            np.zeros(kernel.shape),  # a tie is removed
            rng.normal(size=kernel.shape),
        ):
            layer.mask_logits.assign(logits)
            twin.kernel.assign(kernel * (logits > 0))
            self.assertAllClose(layer(inputs), twin(inputs), atol=1e-5)
        layer.bias_mask_logits.assign(-np.ones(bias.shape))
        twin.bias.assign(np.zeros(bias.shape))
        self.assertAllClose(layer(inputs), twin(inputs), atol=1e-5)
        self.assertAllEqual(layer.kernel, kernel)

    @parameterized.named_parameters(*CASES)
    def test_each_part_of_a_batch_has_its_own_mask(
        self, layer_class, kwargs, shape
    ):
        kwargs = {**kwargs, "activation": None, "initial_keep_probability": 0.5}
        layer = layer_class(**kwargs)
        rows = np.random.default_rng(0).normal(size=(1, *shape[1:]))
        outputs = layer(np.repeat(rows, 4, axis=0), training=True).numpy()
        self.assertAllClose(outputs[0], outputs[1])
        self.assertAllClose(outputs[2], outputs[3])
        self.assertNotAllClose(outputs[0], outputs[2])

    @parameterized.named_parameters(*CASES)
    def test_weights_and_masks_receive_gradients(
        self, layer_class, kwargs, shape
    ):
        layer = layer_class(**{**kwargs, "activation": None})
        inputs = np.random.default_rng(0).normal(size=shape).astype("float32")
        layer(inputs)
        layer.bias.assign(np.ones(layer.bias.shape))
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(layer(inputs, training=True) ** 2)
        variables = layer.trainable_variables
        self.assertLen(variables, 4)
        gradients = tape.gradient(value, [v.value for v in variables])
        for variable, gradient in zip(variables, gradients, strict=True):
            self.assertGreater(np.abs(gradient).max(), 0.0, variable.path)

    @parameterized.named_parameters(*CASES)
    def test_penalty_counts_every_logit(self, layer_class, kwargs, shape):
        layer = layer_class(**kwargs)
        layer(np.zeros(shape))
        weights = layer.kernel.numpy().size + layer.bias.numpy().size
        expected = 1e-3 * mask_sampling.logit(0.8) * weights
        self.assertAllClose(sum(layer.losses), expected)

    @parameterized.named_parameters(*CASES)
    def test_saves_and_loads(self, layer_class, kwargs, shape):
        model = keras.Sequential(
            [keras.Input(shape[1:]), layer_class(**kwargs, name="masked")]
        )
        rng = np.random.default_rng(0)
        layer = model.get_layer("masked")
        layer.mask_logits.assign(rng.normal(size=layer.mask_logits.shape))
        folder = self.enterContext(tempfile.TemporaryDirectory())
        file = os.path.join(folder, "m.keras")
        model.save(file)
        inputs = rng.normal(size=shape)
        loaded = keras.saving.load_model(file)
        self.assertAllClose(loaded(inputs), model(inputs))

    @parameterized.named_parameters(*CASES)
    def test_mixed_precision_keeps_the_logits_in_float32(
        self, layer_class, kwargs, shape
    ):
        layer = layer_class(**kwargs, dtype="mixed_float16")
        for training in (True, False):
            outputs = layer(np.ones(shape), training=training)
            self.assertEqual(outputs.dtype, "float16")
        self.assertEqual(layer.mask_logits.dtype, "float32")

    @parameterized.named_parameters(*CASES)
    def test_trains_in_a_model(self, layer_class, kwargs, shape):
        model = keras.Sequential(
            [
                keras.Input(shape[1:]),
                layer_class(**kwargs),
                keras.layers.Flatten(),
                keras.layers.Dense(1),
            ]
        )
        model.compile(keras.optimizers.Adam(0.05), "mse")
        inputs = np.random.default_rng(0).normal(size=shape)
        before = model.evaluate(inputs, np.ones(4), verbose=0)
        model.fit(inputs, np.ones(4), batch_size=4, epochs=30, verbose=0)
        self.assertLess(model.evaluate(inputs, np.ones(4), verbose=0), before)

    @parameterized.named_parameters(
        ("samples", {"num_samples": 0}, "`num_samples` must be"),
        ("alpha", {"alpha": -1}, "`alpha` must be .* at least 0, got -1"),
        ("keep", {"initial_keep_probability": 0.0}, "got 0.0"),
        ("temperature", {"temperature": -1}, "`temperature` must be"),
        ("bias", {"mask_bias": True, "use_bias": False}, "`mask_bias=True`"),
        ("bias_str", {"mask_bias": "no"}, "`mask_bias` must be a bool"),
        ("alpha_inf", {"alpha": np.inf}, "`alpha` must be a finite"),
        ("alpha_str", {"alpha": "1e-6"}, "`alpha` must be .* got '1e-6'"),
        ("seed", {"seed": "3"}, "`seed` must be an int"),
    )
    def test_refuses(self, kwargs, message):
        with self.assertRaisesRegex(ValueError, message):
            layers.MaskedDense(3, **kwargs)

    def test_refuses_weights_that_would_have_no_mask(self):
        layer = layers.MaskedDense(3, name="d")
        layer.build((None, 4))
        with self.assertRaisesRegex(ValueError, "'d' can't have LoRA"):
            layer.enable_lora(2)

    def test_layers_with_one_seed_draw_masks_of_their_own(self):
        def draw(name=None, units=50):
            layer = layers.MaskedDense(
                units,
                initial_keep_probability=0.5,
                use_bias=False,
                seed=3,
                name=name,
            )
            layer.build((None, 4))
            layer.kernel.assign(np.ones((4, units)))
            return layer(np.eye(4), training=True).numpy().ravel()[:200]

        self.assertAllEqual(draw("a"), draw("a"))
        # Keras numbers what has no name by all that the process has built.
        self.assertAllEqual(draw(), draw())
        others = [draw("a"), draw("b"), draw(), draw(units=100)]
        for i, one in enumerate(others):
            for other in others[:i]:
                # 200 fair coins: 60 or fewer agree once in 1e8 draws.
                self.assertAllInRange(np.sum(one == other), 61, 139)


class OldConfigTest(tf.test.TestCase):
    def test_the_name_of_release_0_1_is_read(self):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        for made in (
            layers.MaskedDense(3, initial_keep_probability=0.7),
            layers.MaskedConv2D(3, 2, initial_keep_probability=0.7),
            mtf.MaskedModel(model, initial_keep_probability=0.7),
        ):
            config = made.get_config()
            config["keep_probability"] = config.pop("initial_keep_probability")
            same = type(made).from_config(config)
            self.assertEqual(same.initial_keep_probability, 0.7)


if __name__ == "__main__":
    tf.test.main()

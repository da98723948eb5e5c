import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from reproduce.csordas2021.images import resnet


def forward(model, images):
    """Computes the outputs from the weights alone, without Keras's layers."""

    def normalized(x, name):
        gamma, beta, mean, variance = model.get_layer(name).get_weights()
        return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta

    def convolved(x, name, stride):
        (kernel,) = model.get_layer(name).get_weights()
        side = [kernel.shape[0] // 2] * 2
        padding = [[0, 0], side, side, [0, 0]]
        return tf.nn.conv2d(x, kernel, stride, padding).numpy()

    def relu(x):
        return np.maximum(x, 0)

    x = images / 127.5 - 1
    x = relu(normalized(convolved(x, "conv", 1), "norm"))
    for channels in (16, 32, 64):
        name = f"block{channels}_1_"
        stride = 1 if channels == 16 else 2
        y = convolved(x, f"{name}conv1", stride)
        y = relu(normalized(y, f"{name}norm1"))
        y = normalized(convolved(y, f"{name}conv2", 1), f"{name}norm2")
        if channels > 16:
            x = convolved(x, f"{name}shortcut", 2)
            x = normalized(x, f"{name}shortcut_norm")
        x = relu(x + y)
    kernel, bias = model.get_layer("classifier").get_weights()
    return x.mean(axis=(1, 2)) @ kernel + bias


class BuildTest(parameterized.TestCase):
    def test_computes_what_the_docstring_says(self):
        model, rng = resnet.build((16, 8, 3), 5, 8), np.random.default_rng(0)
        model.set_weights(
            [  # statistics and normalizations that matter
                w + rng.uniform(0.1, 0.5, w.shape) if w.ndim == 1 else w
                for w in model.get_weights()
            ]
        )
        images = rng.uniform(0, 255, (2, 16, 8, 3)).astype("float32")
        expected = forward(model, images)
        np.testing.assert_allclose(
            model(images, training=False), expected, rtol=1e-3, atol=1e-3
        )

    @parameterized.parameters((8, 3), (20, 3), (110, 1))
    def test_has_as_many_layers_as_its_name_says(self, depth, channels):
        model = resnet.build((32, 32, channels), 10, depth)
        self.assertEqual(model.name, f"resnet{depth}")
        convolutions = [
            layer
            for layer in model.layers
            if isinstance(layer, keras.layers.Conv2D)
            and layer.kernel_size == (3, 3)
        ]
        self.assertLen(convolutions, depth - 1)  # and the classifier
        blocks = (depth - 2) // 6
        weights = 9 * 16 * channels + 2 * 16
        for before, after in ((16, 16), (16, 32), (32, 64)):
            weights += 9 * before * after + (2 * blocks - 1) * 9 * after**2
            weights += 2 * blocks * 2 * after
            if after > before:
                weights += before * after + 2 * after
        weights += 64 * 10 + 10
        self.assertEqual(
            sum(np.prod(w.shape) for w in model.trainable_weights), weights
        )

    def test_kernels_follow_the_law_and_no_two_share_a_seed(self):
        model = resnet.build((8, 8, 3), 10, 20)
        seeds = []
        for layer in model.layers:
            config = layer.get_config().get("kernel_initializer")
            if config:
                seeds.append(config["config"]["seed"])
            if isinstance(layer, keras.layers.Conv2D):
                (kernel,) = layer.get_weights()
                width, height, _, channels = kernel.shape
                sd = np.sqrt(2 / (width * height * channels))
                # Five standard errors of a standard deviation: 6e-7 a kernel.
                self.assertLess(
                    abs(kernel.std() / sd - 1), 5 / np.sqrt(2 * kernel.size)
                )
        self.assertLen(set(seeds), 22)
        again = resnet.build((8, 8, 3), 10, 20)
        for one, two in zip(model.get_weights(), again.get_weights()):
            np.testing.assert_array_equal(one, two)

    @parameterized.named_parameters(
        ("depth", {"depth": 18}, "`depth` must be one of .*, got 18"),
        ("seed", {"seed": -1}, "seed.*got -1"),
        ("low", {"input_shape": (7, 8, 1)}, "input_shape.*7, 8, 1"),
    )
    def test_refuses_bad_arguments(self, changes, message):
        arguments = {"input_shape": (8, 8, 1), "num_classes": 10, **changes}
        with self.assertRaisesRegex(ValueError, message):
            resnet.build(**arguments)


if __name__ == "__main__":
    absltest.main()

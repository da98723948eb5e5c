import os
import tempfile

import keras
import numpy as np
from absl.testing import parameterized

from reproduce.csordas2021.images import cnn

LAYERS_OF_TABLE_2 = [
    ("rescaling", "Rescaling"),
    ("conv1", "Conv2D"),
    ("pool1", "MaxPooling2D"),
    ("conv2", "Conv2D"),
    ("pool2", "MaxPooling2D"),
    ("conv3", "Conv2D"),
    ("dropout3", "Dropout"),
    ("pool3", "MaxPooling2D"),
    ("conv4", "Conv2D"),
    ("dropout4", "Dropout"),
    ("average", "GlobalAveragePooling2D"),
    ("classifier", "Dense"),
]
CONVOLUTIONS = ["conv1", "conv2", "conv3", "conv4"]


def pixels(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype("float32")


def twin(x, model):
    """The network of Table 2 in NumPy, without dropout."""
    x = x / 127.5 - 1
    for number, name in enumerate(CONVOLUTIONS):
        kernel, bias = model.get_layer(name).get_weights()
        height, width = x.shape[1:3]
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        x = bias + sum(
            padded[:, i : i + height, j : j + width] @ kernel[i, j]
            for i in range(3)
            for j in range(3)
        )
        x = np.maximum(x, 0)
        if number < 3:
            x = x[:, : height // 2 * 2, : width // 2 * 2]
            x = x.reshape(len(x), height // 2, 2, width // 2, 2, -1)
            x = x.max(axis=(2, 4))
    kernel, bias = model.get_layer("classifier").get_weights()
    return x.mean(axis=(1, 2)) @ kernel + bias


class CnnTest(parameterized.TestCase):
    def test_has_the_layers_of_table_2(self):
        model = cnn.build((32, 32, 3), 10)
        layers = [(x.name, type(x).__name__) for x in model.layers]
        self.assertEqual(layers, LAYERS_OF_TABLE_2)
        self.assertEqual(model.get_layer("dropout3").rate, 0.25)
        self.assertEqual(model.get_layer("dropout4").rate, 0.5)

    def test_leaves_out_the_dropout_layers_and_nothing_else(self):
        model = cnn.build((32, 32, 3), 10, dropout=False)
        expected = [x for x, kind in LAYERS_OF_TABLE_2 if kind != "Dropout"]
        self.assertEqual([x.name for x in model.layers], expected)

    @parameterized.named_parameters(
        ("cifar10", (32, 32, 3), 896),  # conv1: 3 * 3 * 3 * 32 + 32
        ("mnist", (28, 28, 1), 320),  # conv1: 3 * 3 * 1 * 32 + 32
        ("digits", (8, 8, 1), 320),
    )
    def test_has_the_parameters_of_table_2(self, input_shape, conv1):
        # 3 * 3 * in * out + out each; the classifier 256 * 10 + 10.
        expected = conv1 + 18_496 + 73_856 + 295_168 + 2_570
        self.assertEqual(cnn.build(input_shape, 10).count_params(), expected)

    @parameterized.named_parameters(
        ("cifar10", (32, 32, 3), 10),
        ("mnist", (28, 28, 1), 10),
        ("digits", (8, 8, 1), 10),
        ("not_square", (9, 13, 2), 7),
    )
    def test_logits_match_numpy(self, input_shape, num_classes):
        model = cnn.build(input_shape, num_classes)
        rng = np.random.default_rng(1)
        for layer in model.layers:
            if layer.weights and layer.name in [*CONVOLUTIONS, "classifier"]:
                kernel, bias = layer.get_weights()
                layer.set_weights([kernel, rng.normal(0, 0.1, bias.shape)])
        x = pixels((3, *input_shape))
        logits = model(x, training=False)
        self.assertEqual(logits.shape, (3, num_classes))
        np.testing.assert_allclose(logits, twin(x, model), atol=1e-4)

    def test_dropout_acts_in_training_only(self):
        model, x = cnn.build((8, 8, 1), 10), pixels((2, 8, 8, 1))
        logits = model(x, training=False)
        np.testing.assert_array_equal(logits, model(x, training=False))
        self.assertGreater(np.abs(logits - model(x, training=True)).max(), 0)

    def test_without_dropout_training_and_inference_agree(self):
        model = cnn.build((8, 8, 1), 10, dropout=False)
        x = pixels((2, 8, 8, 1))
        np.testing.assert_array_equal(
            model(x, training=False), model(x, training=True)
        )

    def test_kernels_fill_the_range_of_the_documented_law(self):
        model = cnn.build((32, 32, 3), 10)
        for name in [*CONVOLUTIONS, "classifier"]:
            kernel, bias = model.get_layer(name).get_weights()
            bound = 1 / np.sqrt(np.prod(kernel.shape[:-1]))
            # All 864 weights or more below 0.97 of the bound: 4e-12.
            largest = np.abs(kernel).max()
            self.assertLessEqual(largest, bound * (1 + 1e-6))
            self.assertGreater(largest, 0.97 * bound)
            np.testing.assert_array_equal(bias, 0)

    def test_the_same_seed_gives_the_same_weights_and_dropout(self):
        one, two = (cnn.build((8, 8, 1), 10, seed=3) for _ in range(2))
        for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        x = pixels((2, 8, 8, 1))
        np.testing.assert_array_equal(
            one(x, training=True), two(x, training=True)
        )

    def test_weights_do_not_depend_on_dropout(self):
        one = cnn.build((8, 8, 1), 10, dropout=True)
        two = cnn.build((8, 8, 1), 10, dropout=False)
        weights = zip(one.trainable_weights, two.trainable_weights, strict=True)
        for a, b in weights:
            np.testing.assert_array_equal(a, b)

    def test_no_two_layers_and_no_two_models_share_a_seed(self):
        seeds = []
        for seed in (0, 1, 2):
            for layer in cnn.build((8, 8, 1), 10, seed=seed).layers:
                config = layer.get_config()
                initializer = config.get("kernel_initializer", {})
                config.update(initializer.get("config", {}))
                seeds += [config["seed"]] if "seed" in config else []
        self.assertLen(seeds, 3 * 7)
        self.assertLen(set(seeds), 3 * 7)

    def test_saves_and_loads(self):
        model, x = cnn.build((8, 8, 1), 10), pixels((2, 8, 8, 1))
        home = self.enter_context(tempfile.TemporaryDirectory())
        path = os.path.join(home, "cnn.keras")
        model.save(path)
        loaded = keras.saving.load_model(path)
        np.testing.assert_array_equal(
            model(x, training=False), loaded(x, training=False)
        )

    @parameterized.named_parameters(
        ("low", ((7, 8, 1), 10), "input_shape.*7, 8, 1"),
        ("narrow", ((8, 7, 1), 10), "input_shape.*8, 7, 1"),
        ("no_channel_axis", ((28, 28), 10), "input_shape.*28, 28"),
        ("no_channel", ((28, 28, 0), 10), "input_shape.*28, 28, 0"),
        ("no_class", ((8, 8, 1), 0), "num_classes.*got 0"),
        ("half_a_class", ((8, 8, 1), 2.5), "num_classes.*got 2.5"),
        ("negative_seed", ((8, 8, 1), 10, True, -1), "seed.*got -1"),
        ("no_seed", ((8, 8, 1), 10, True, None), "seed.*got None"),
    )
    def test_refuses_bad_arguments(self, arguments, message):
        with self.assertRaisesRegex(ValueError, message):
            cnn.build(*arguments)

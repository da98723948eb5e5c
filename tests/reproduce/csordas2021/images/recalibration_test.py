import keras
import numpy as np
from absl.testing import absltest

from reproduce.csordas2021.images import recalibration, resnet


def network():
    return keras.Sequential(
        [
            keras.Input((2, 2, 3)),
            keras.layers.Conv2D(4, 1, use_bias=False, name="conv"),
            keras.layers.BatchNormalization(name="norm"),
        ]
    )


class RecalibrateTest(absltest.TestCase):
    def test_statistics_become_the_mean_of_the_batches_statistics(self):
        model, rng = network(), np.random.default_rng(0)
        images = rng.uniform(0, 255, (25, 2, 2, 3)).astype("uint8")
        recalibration.recalibrate(model, images, batch_size=8)
        (kernel,) = model.get_layer("conv").get_weights()
        values = images.astype("float32") @ kernel[0, 0]
        batches = [values[i : i + 8] for i in (0, 8, 16)]  # the 25th is left
        norm = model.get_layer("norm")
        np.testing.assert_allclose(
            norm.moving_mean,
            np.mean([b.mean((0, 1, 2)) for b in batches], 0),
            rtol=1e-4,
        )
        np.testing.assert_allclose(
            norm.moving_variance,
            np.mean([b.var((0, 1, 2)) for b in batches], 0),
            rtol=1e-4,
        )
        self.assertEqual(norm.momentum, 0.99)
        np.testing.assert_array_equal(norm.gamma, 1)

    def test_brings_a_network_back_that_was_scaled(self):
        model = resnet.build((8, 8, 1), 10, 8)
        images = np.random.default_rng(0).uniform(0, 255, (40, 8, 8, 1))
        recalibration.recalibrate(model, images, batch_size=40)
        before = model(images, training=False)
        weights = model.get_layer("block16_1_conv2").get_weights()
        model.get_layer("block16_1_conv2").set_weights([7 * weights[0]])
        self.assertGreater(np.abs(model(images) - before).max(), 0.5)
        recalibration.recalibrate(model, images, batch_size=40)
        np.testing.assert_allclose(model(images), before, atol=1e-3)


if __name__ == "__main__":
    absltest.main()

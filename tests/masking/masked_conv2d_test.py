import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from scipy import signal

from modularity_tf import layers


class MaskedConv2DTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(
        ("all_kept", lambda shape: np.full(shape, 2.0)),
        ("all_removed", lambda shape: np.full(shape, -2.0)),
        ("ties", lambda shape: np.resize([-1.0, 0.0, 1.0], shape)),
    )
    def test_inference_matches_scipy(self, make_logits):
        rng = np.random.default_rng(0)
        shape = (3, 2, 2, 4)  # height, width, input channels, filters
        x, kernel = rng.normal(size=(2, 6, 5, 2)), rng.normal(size=shape)
        bias, logits = rng.normal(size=4), make_logits(shape)
        layer = layers.MaskedConv2D(4, (3, 2))
        layer.build((None, 6, 5, 2))
        layer.set_weights([kernel, bias, logits])
        masked = kernel * (logits > 0)
        expected = np.zeros((2, 4, 4, 4)) + bias
        for n, c, f in np.ndindex(2, 2, 4):
            expected[n, :, :, f] += signal.correlate2d(
                x[n, :, :, c], masked[:, :, c, f], mode="valid"
            )
        self.assertAllClose(layer(x), expected, atol=1e-5)


if __name__ == "__main__":
    tf.test.main()

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf import layers


class MaskedDenseTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(
        ("all_kept", np.full((4, 3), 2.0)),
        ("all_removed", np.full((4, 3), -2.0)),
        ("a_tie_is_removed", np.tile([-1.0, 0.0, 1.0], (4, 1))),
    )
    def test_inference_matches_numpy(self, logits):
        rng = np.random.default_rng(0)
        x, kernel, bias = (rng.normal(size=s) for s in [(2, 4), (4, 3), (3,)])
        layer = layers.MaskedDense(units=3)
        layer.build((None, 4))
        layer.set_weights([kernel, bias, logits])
        expected = x @ (kernel * (logits > 0)) + bias
        self.assertAllClose(layer(x), expected, atol=1e-5)

    def test_a_sample_removes_whole_weights(self):
        layer = layers.MaskedDense(
            units=50, initial_keep_probability=0.3, seed=1
        )
        layer.build((None, 40))
        layer.set_weights([np.ones((40, 50)), np.zeros(50), np.zeros((40, 50))])
        sampled = layer(np.eye(40), training=True)  # the masked kernel itself
        self.assertAllInSet(sampled, [0.0, 1.0])
        # Hoeffding over 2,000 weights kept with probability 1/2: one in 1e9.
        self.assertAllClose(np.mean(sampled), 0.5, atol=0.074)


if __name__ == "__main__":
    tf.test.main()

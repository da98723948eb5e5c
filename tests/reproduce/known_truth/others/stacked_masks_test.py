import warnings

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest

from modularity_tf.masking import find_weights
from reproduce.known_truth.others import stacked_masks, superposition

KIND = superposition.Kind(3, 2)
# Columns that hardly disturb each other.
COLUMNS = np.array([[1.2, 0.4], [-0.9, 0.8], [-0.2, -1.2]], "float32")
BIAS = np.full(3, -0.15, "float32")


class FindTest(tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        columns = np.stack([COLUMNS, COLUMNS[::-1]])
        cls.weights = {"columns": columns, "bias": np.stack([BIAS] * 2)}
        cls.found = stacked_masks.find(KIND, cls.weights, seed=0)

    def test_each_feature_has_a_mask_of_its_own_column(self):
        self.assertAllEqual(self.found.network, [0, 0, 0, 1, 1, 1])
        self.assertAllEqual(self.found.feature, [0, 1, 2, 0, 1, 2])
        kept = self.found.kept["columns"]
        for feature, mask in zip(self.found.feature, kept):
            self.assertTrue(mask[feature].any())
            self.assertFalse(np.delete(mask, feature, axis=0).any())
        self.assertAllGreater(self.found.explained, 0.8)
        self.assertAllGreater(self.found.share, 0.95)

    def test_a_network_upside_down_has_its_masks_upside_down(self):
        kept = self.found.kept["columns"]
        self.assertAllEqual(kept[3:], kept[2::-1, ::-1])

    def test_find_weights_finds_the_same_one_by_one(self):
        draws = tf.random.Generator.from_seed(7)
        x = superposition.drawn(KIND, 4096, draws).numpy()
        inputs = keras.Input((3,))
        feature = 1
        one = {k: v[:1] for k, v in self.weights.items()}
        stack = stacked_masks.Stack(KIND, one, np.array([feature]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            mask = find_weights.find_weights(
                keras.Model(inputs, stack(inputs)),
                (x, x[:, feature : feature + 1]),
                loss="mean_squared_error",
                metrics=[],
                batch_size=256,
                verbose=0,
            )
        (kept,) = mask.values.values()
        self.assertAllEqual(kept[0], self.found.kept["columns"][feature])


if __name__ == "__main__":
    absltest.main()

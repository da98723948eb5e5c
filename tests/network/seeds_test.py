import json

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

import modularity_tf as mtf
from modularity_tf import checks, layers
from modularity_tf.network import seeds


class CheckSeedTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(-1, 2**31, 1.0, "1", True)
    def test_refuses_a_seed_of(self, seed):
        with self.assertRaisesRegex(ValueError, "`seed` must be an int"):
            checks.seed(seed)

    def test_no_seed_is_a_random_one(self):
        # Two draws of 2**31 are equal with a chance below 1e-9.
        self.assertLen({checks.seed(None) for _ in range(2)}, 2)
        self.assertEqual(checks.seed(7), 7)

    @parameterized.parameters(np.int64, np.int32, np.uint8)
    def test_an_int_of_numpy_is_an_int(self, kind):
        self.assertIs(type(checks.seed(kind(3))), int)
        self.assertEqual(checks.seed(kind(3)), 3)

    @parameterized.parameters(np.int64, np.uint8)
    def test_every_seed_may_be_one_of_numpy(self, kind):
        inputs = keras.Input((4,))
        model = keras.Model(inputs, keras.layers.Dense(2, name="d")(inputs))
        mask = mtf.WeightMask({"d/kernel": np.eye(4, 2, dtype=bool)})
        for made in (
            mtf.MaskedModel(model, seed=kind(3)),
            mtf.ScoredModel(model, seed=kind(3)),
            mtf.DeepR("adam", seed=kind(3)),
            layers.MaskedDense(2, seed=kind(3)),
            layers.MaskedConv2D(2, 3, seed=kind(3)),
            layers.SparseDense(2, connections=0.5, seed=kind(3)),
        ):
            config = made.get_config()
            json.dumps(config["seed"])
            self.assertEqual(config["seed"], 3)
        self.assertEqual(mask.shuffled(kind(3)), mask.shuffled(3))


class GeneratorsOfTest(tf.test.TestCase):
    def test_the_same_seed_draws_the_same_and_all_is_put_back(self):
        dropout = keras.layers.Dropout(0.5)
        model = keras.Sequential([keras.Input((40,)), dropout])
        found = []
        for seed in (1, 2, 1):
            keras.utils.set_random_seed(len(found))
            unseeded = keras.random.uniform((3,))
            before = dropout.seed_generator.state.numpy()
            with seeds.generators_of(model, seed):
                drawn = model(tf.ones((2, 40)), training=True)
                found.append((drawn, keras.random.uniform((3,))))
            self.assertAllEqual(dropout.seed_generator.state, before)
            after = keras.random.uniform((3,))
            keras.utils.set_random_seed(len(found) - 1)
            self.assertAllEqual(keras.random.uniform((3,)), unseeded)
            self.assertAllEqual(keras.random.uniform((3,)), after)
        self.assertAllEqual(found[0][0], found[2][0])
        self.assertAllEqual(found[0][1], found[2][1])
        self.assertNotAllEqual(found[0][0], found[1][0])
        self.assertNotAllEqual(found[0][1], found[1][1])


if __name__ == "__main__":
    tf.test.main()

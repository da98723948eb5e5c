import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.parts import seeds


class CheckSeedTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(-1, 2**31, 1.0, "1", True)
    def test_refuses_a_seed_of(self, seed):
        with self.assertRaisesRegex(ValueError, "`seed` must be an int"):
            seeds.check_seed(seed)

    def test_no_seed_is_a_random_one(self):
        # Two draws of 2**31 are equal with a chance below 1e-9.
        self.assertLen({seeds.check_seed(None) for _ in range(2)}, 2)
        self.assertEqual(seeds.check_seed(7), 7)


if __name__ == "__main__":
    tf.test.main()

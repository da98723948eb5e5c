import numpy as np
import tensorflow as tf

from reproduce.csordas2021 import initializers


class UniformTest(tf.test.TestCase):
    def test_is_uniform_within_the_root_of_fan_in(self):
        values = np.array(initializers.uniform(0)((3, 3, 4, 500)))
        bound = 1 / np.sqrt(3 * 3 * 4)
        self.assertAllInRange(values, -bound, bound)
        # A uniform variable has the sd bound / sqrt(3); 18,000 values.
        self.assertAllClose(values.std(), bound / np.sqrt(3), rtol=0.03)

    def test_the_seed_decides(self):
        one, same, other = (initializers.uniform(s)((9, 9)) for s in (1, 1, 2))
        self.assertAllEqual(one, same)
        self.assertNotAllEqual(one, other)


class XavierNormalTest(tf.test.TestCase):
    def test_has_the_variance_of_xavier_with_the_gain_of_relu(self):
        values = np.array(initializers.xavier_normal(0)((300, 100)))
        self.assertAllClose(values.std(), np.sqrt(2 * 2 / 400), rtol=0.02)
        # Of a normal variable 4.6 % lie beyond two standard deviations.
        beyond = np.mean(np.abs(values) > 2 * values.std())
        self.assertAllClose(beyond, 0.0455, atol=0.005)


class HeNormalTest(tf.test.TestCase):
    def test_has_the_variance_of_two_over_fan_out(self):
        values = np.array(initializers.he_normal(0)((3, 3, 40, 80)))
        self.assertAllClose(values.std(), np.sqrt(2 / (9 * 80)), rtol=0.02)
        beyond = np.mean(np.abs(values) > 2 * values.std())
        self.assertAllClose(beyond, 0.0455, atol=0.005)


if __name__ == "__main__":
    tf.test.main()

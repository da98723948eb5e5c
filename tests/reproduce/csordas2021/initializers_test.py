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


if __name__ == "__main__":
    tf.test.main()

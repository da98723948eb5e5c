import tempfile

import numpy as np
import tensorflow as tf

from modularity_tf import binary_set, weight_mask

# What the set operations do is tested on WeightMask, in weight_mask_test.py.


class BinarySetTest(tf.test.TestCase):
    def test_sets_of_different_kinds_do_not_mix(self):
        values = {"a": np.ones(3, bool)}
        one = binary_set.BinarySet(values)
        other = weight_mask.WeightMask(values)
        self.assertNotEqual(one, other)
        with self.assertRaises(TypeError):
            _ = one & other
        folder = self.enterContext(tempfile.TemporaryDirectory())
        one.save(f"{folder}/s.npz")
        with self.assertRaisesRegex(ValueError, "holds no WeightMask"):
            weight_mask.WeightMask.load(f"{folder}/s.npz")
        self.assertEqual(binary_set.BinarySet.load(f"{folder}/s.npz"), one)


if __name__ == "__main__":
    tf.test.main()

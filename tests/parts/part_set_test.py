import tempfile

import numpy as np
import tensorflow as tf

from modularity_tf.masking import weight_mask
from modularity_tf.parts import part_set

# What the set operations do is tested on WeightMask, in weight_mask_test.py.


class BinarySetTest(tf.test.TestCase):
    def test_sets_of_different_kinds_do_not_mix(self):
        values = {"a": np.ones(3, bool)}
        one = part_set.PartSet(values)
        other = weight_mask.WeightMask(values)
        self.assertNotEqual(one, other)
        with self.assertRaises(TypeError):
            _ = one & other
        folder = self.enterContext(tempfile.TemporaryDirectory())
        one.save(f"{folder}/s.npz")
        with self.assertRaisesRegex(ValueError, "holds no WeightMask"):
            weight_mask.WeightMask.load(f"{folder}/s.npz")
        self.assertEqual(part_set.PartSet.load(f"{folder}/s.npz"), one)


if __name__ == "__main__":
    tf.test.main()

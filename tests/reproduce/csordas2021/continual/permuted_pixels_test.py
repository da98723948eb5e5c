import numpy as np
import tensorflow as tf

from reproduce.csordas2021.continual import permuted_pixels
from reproduce.data import images


class PermutedMnistTest(tf.test.TestCase):
    def test_task_0_is_the_identity_and_the_others_are_permutations(self):
        self.assertAllEqual(permuted_pixels.permutation(0, 9, 5), np.arange(9))
        orders = [permuted_pixels.permutation(t, 9, 5) for t in (1, 2)]
        for order in orders:
            self.assertAllEqual(np.sort(order), np.arange(9))
        self.assertNotAllEqual(*orders)

    def test_the_seed_decides(self):
        one, same = (permuted_pixels.permutation(3, 50, 7) for _ in range(2))
        self.assertAllEqual(one, same)
        other = permuted_pixels.permutation(3, 50, 8)
        self.assertNotAllEqual(one, other)

    def test_pixels_are_reordered_and_labels_stay(self):
        pixels = np.arange(24, dtype="uint8").reshape(2, 3, 4, 1)
        split = images.Split(pixels, np.array([3, 1], "int32"))
        order = permuted_pixels.permutation(1, 12, 0)
        rows = permuted_pixels.permuted(split, order)
        self.assertAllEqual(rows.images, np.stack([order, 12 + order]))
        self.assertAllEqual(rows.labels, [3, 1])

    def test_refuses_a_negative_task(self):
        with self.assertRaisesRegex(ValueError, "`task`"):
            permuted_pixels.permutation(-1, 9, 0)


if __name__ == "__main__":
    tf.test.main()

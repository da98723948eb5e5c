import numpy as np
import tensorflow as tf

from reproduce.csordas2021 import sharing


class SharingWithOthersTest(tf.test.TestCase):
    def test_the_reference_is_the_union_of_the_others(self):
        rng = np.random.default_rng(0)
        x, y, z = (rng.random(50) < 0.4 for _ in range(3))
        found = sharing.sharing_with_others(
            {"x": {"w": x}, "y": {"w": y}, "z": {"w": z}}
        )
        self.assertEqual(list(found), ["x", "y", "z"])
        expected = np.sum(y & (x | z)) / np.sum(y)
        self.assertAllClose(found["y"].share, expected)
        self.assertAllClose(found["y"].by_tensor["w"].share, expected)


class ExcessTest(tf.test.TestCase):
    def test_disjoint_masks_are_specialized(self):
        flags = np.arange(100) < 50
        found = sharing.excess({"a": {"w": flags}, "b": {"w": ~flags}})
        self.assertAllClose([found.mean, found.share], [-0.5, 0.0])
        self.assertGreater(-found.mean, 5 * found.chance_sd)

    def test_equal_masks_are_reused(self):
        flags = {"w": np.arange(100) < 50}
        found = sharing.excess({"a": flags, "b": flags})
        self.assertAllClose([found.mean, found.share], [0.5, 1.0])

    def test_random_masks_are_neither(self):
        rng = np.random.default_rng(0)
        masks = {i: {"w": rng.random(10_000) < 0.3} for i in range(4)}
        found = sharing.excess(masks)
        self.assertLess(abs(found.mean), 7 * found.chance_sd)
        self.assertAllClose(found.share, 0.3, atol=0.05)


if __name__ == "__main__":
    tf.test.main()

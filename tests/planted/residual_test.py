"""The truth about planted residual blocks, by going through all inputs."""

import numpy as np
import tensorflow as tf

from modularity_tf.planted import make_residual
from tests.planted import certified


class MakeResidualTest(tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.planted = make_residual(seed=1)

    def test_a_task_needs_what_is_said_and_nothing_else(self):
        for task in (0, 1):
            certified.check(self, self.planted, task)
            certified.check_units(self, self.planted, task)
        certified.check_pairs(self, self.planted)

    def test_pairs_cancel_across_blocks(self):
        for block in range(3):
            kept = {
                path: np.ones_like(flags)
                for path, flags in self.planted.weights(0).items()
            }
            pairs = self.planted.weights(0, "pair")[f"write{block}/kernel"]
            kept[f"write{block}/kernel"] = ~pairs
            self.assertLess(self.planted.accuracy(0, kept), 0.9)

    def test_without_decoys_two_blocks_are_left(self):
        plain = make_residual(unread=0, silent=0, pairs=0)
        self.assertEqual([*plain.units[0]], ["read0", "read1"])
        self.assertEqual(plain.accuracy(1), 1.0)

    def test_refuses(self):
        with self.assertRaisesRegex(ValueError, "`unread` must be an int"):
            make_residual(unread=0.5)


if __name__ == "__main__":
    tf.test.main()

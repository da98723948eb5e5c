"""The truth about planted heads, by going through all inputs."""

import numpy as np
import tensorflow as tf

from modularity_tf.planted import make_two_heads
from tests.planted import certified


class MakeTwoHeadsTest(tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.planted = make_two_heads(seed=1)

    def test_a_task_needs_what_is_said_and_nothing_else(self):
        for task in (0, 1):
            # Decoys change what is normalized, and no answer.
            certified.check(self, self.planted, task, noise=np.inf)
            certified.check_units(self, self.planted, task)
        certified.check_pairs(self, self.planted)

    def test_decoys_change_what_the_heads_say_but_no_sign(self):
        unread = self.planted.weights(0, "unread")
        kept = {path: ~flags for path, flags in unread.items()}
        inputs, _ = self.planted.data[0]
        found, whole = (
            self.planted.logits(inputs, k)[:, 0] for k in (kept, None)
        )
        self.assertGreater(np.abs(found - whole).max(), 0.1)
        self.assertAllEqual(found > 0, whole > 0)

    def test_one_of_the_parities_is_odd_in_the_examples(self):
        for task in (0, 1):
            inputs, labels = self.planted.data[task]
            self.assertEqual(len(inputs), 256)
            self.assertEqual(labels[:, task].mean(), 0.5)

    def test_refuses(self):
        with self.assertRaisesRegex(ValueError, "`pairs` must be an int"):
            make_two_heads(pairs=-1)


if __name__ == "__main__":
    tf.test.main()

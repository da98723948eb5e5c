"""The truth about planted GRUs, on all their sequences."""

import numpy as np
import tensorflow as tf

from modularity_tf.planted import make_two_grus, stacked_grus
from tests.planted import certified


class MakeTwoGrusTest(tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.planted = make_two_grus(
            unread=1, silent=1, pairs=1, examples=150, seed=1
        )

    def test_the_answer_is_the_parity_when_it_was_last_asked_for(self):
        inputs, labels = self.planted.data[0]
        for tokens, found in zip(inputs.argmax(axis=2), labels, strict=True):
            for task, (turn, ask) in enumerate(((1, 2), (3, 4))):
                last = max(np.flatnonzero(tokens == ask))
                count = np.sum(tokens[: last + 1] == turn)
                self.assertEqual(found[task], count % 2 == 0)

    def test_a_task_needs_what_is_said_and_nothing_else(self):
        certified.check(self, self.planted, 1)
        for task in (0, 1):
            needed = self.planted.needed[task]
            weights, units = needed.weights.values, needed.units.values
            self.assertEqual(sum(v.sum() for v in weights.values()), 8)
            self.assertEqual(self.planted.accuracy(task, weights), 1.0)
            self.assertEqual([v.sum() for v in units.values()], [2, 1])

    def test_a_task_needs_its_recurrent_weight(self):
        path = "count/gru_cell/recurrent_kernel"
        needed = self.planted.needed[0].weights.values[path]
        self.assertEqual(needed.sum(), 1)
        kept = {path: ~needed}
        self.assertLess(self.planted.accuracy(0, kept), 0.95)

    def test_one_of_a_pair_alone_is_missed(self):
        certified.check_pairs(self, self.planted)

    def test_every_sequence_starts_and_asks_for_either(self):
        tokens = stacked_grus._sequences(np.random.default_rng(0), 500)
        self.assertAllEqual(tokens[:, 0], np.zeros(500))
        for ask in (2, 4):
            self.assertTrue((tokens == ask).any(axis=1).all())
        self.assertLess(tokens.max(), 6)

    def test_refuses(self):
        with self.assertRaisesRegex(ValueError, "`pairs` must be an int"):
            make_two_grus(pairs=-1)


if __name__ == "__main__":
    tf.test.main()

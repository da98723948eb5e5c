"""The truth about planted labels of steps, on all their sequences."""

import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.planted import make_sequence_labels
from tests.planted import certified


class MakeSequenceLabelsTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters((False, 1 / 2, 14), (True, 1 / 9, 8))
    def test_it_needs_what_is_said_and_nothing_else(self, rare, share, count):
        planted = make_sequence_labels(rare=rare, examples=300, seed=1)
        certified.check(self, planted, 0)
        certified.check_units(self, planted, 0)
        certified.check_pairs(self, planted)
        needed = planted.needed[0].weights
        self.assertEqual(sum(v.sum() for v in needed.values.values()), count)
        # 3,300 steps: one seed in 1e6 is off by five standard deviations.
        sd = (share * (1 - share) / planted.labels.size) ** 0.5
        self.assertAllClose(planted.labels.mean(), share, atol=7 * sd)

    def test_the_seed_decides(self):
        one, same, other = (
            make_sequence_labels(examples=50, seed=s) for s in (1, 1, 2)
        )
        self.assertAllEqual(one.inputs, same.inputs)
        self.assertAllEqual(
            one.kinds[0]["window/kernel"], same.kinds[0]["window/kernel"]
        )
        self.assertNotAllEqual(one.inputs, other.inputs)

    def test_refuses(self):
        with self.assertRaisesRegex(ValueError, "`silent` must be an int"):
            make_sequence_labels(silent=-1)


if __name__ == "__main__":
    tf.test.main()

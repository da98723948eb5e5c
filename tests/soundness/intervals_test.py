import math

import numpy as np
from absl.testing import absltest, parameterized
from scipy import stats

from modularity_tf.soundness import intervals


class IntervalsTest(parameterized.TestCase):
    @parameterized.parameters((0, 10), (7, 10), (10, 10), (1, 2000))
    def test_of_a_share_is_that_of_wilson(self, hits, count):
        found = intervals.of_share(hits, count)
        expected = stats.binomtest(hits, count).proportion_ci(method="wilson")
        np.testing.assert_allclose(found, expected, atol=1e-7)

    def test_a_share_of_all_is_no_estimate(self):
        self.assertEqual(intervals.of_share(3, 4, is_all=True), (0.75, 0.75))

    def test_of_a_mean_is_that_of_student(self):
        values = np.random.default_rng(0).normal(size=12)
        expected = stats.ttest_1samp(values, 0).confidence_interval()
        np.testing.assert_allclose(intervals.of_mean(values), expected)
        self.assertTrue(math.isnan(intervals.of_mean([1.0])[0]))

    def test_of_examples_holds_the_truth_in_95_of_100(self):
        rng, inside = np.random.default_rng(0), 0
        for seed in range(80):
            values = [rng.normal(3, 1, 80), rng.normal(1, 0.3, 80)]
            low, high = intervals.of_examples(lambda a, b: a / b, values, seed)
            inside += low <= 3 <= high
        # 76 of 80 expected; below 66 in fewer than 1e-4.
        self.assertBetween(inside, 66, 80)

    def test_the_same_examples_are_drawn_for_all_values(self):
        values = np.random.default_rng(0).normal(size=50)
        low, high = intervals.of_examples(
            lambda a, b: a - b, [values, values - 1], 0
        )
        np.testing.assert_allclose([low, high], 1)


if __name__ == "__main__":
    absltest.main()

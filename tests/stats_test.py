import math

import numpy as np
from absl.testing import absltest, parameterized
from scipy import stats

from modularity_tf import stats as intervals


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

    def test_copies_do_not_narrow_an_interval(self):
        values = np.random.default_rng(0).normal(size=30)
        copies = np.repeat(np.arange(30), 7)
        self.assertAlmostEqual(intervals.effective_count(copies), 30)
        self.assertEqual(intervals.effective_count(np.arange(30)), 30)
        many = np.repeat(values, 7)
        np.testing.assert_allclose(
            intervals.of_mean(many, copies=copies), intervals.of_mean(values)
        )
        np.testing.assert_allclose(
            intervals.of_examples(lambda a: a, [many], 0, copies),
            intervals.of_examples(lambda a: a, [values], 0),
        )
        one = np.zeros(9, int)
        self.assertTrue(math.isnan(intervals.of_mean(many[:9], copies=one)[0]))
        found = intervals.of_examples(lambda a: a, [many[:9]], 0, one)
        self.assertTrue(math.isnan(found[0]))
        # One example of which half of all are copies counts for much.
        half = np.array([0] * 100 + [*range(1, 101)])
        self.assertAlmostEqual(
            intervals.effective_count(half), 200**2 / (100**2 + 100)
        )

    def test_independent_errors_add_up(self):
        found = intervals.of_both(1.0, (0.7, 1.3), (0.6, 1.0))
        np.testing.assert_allclose(found, (0.5, 1.3))

    @parameterized.parameters(
        (0, 0, 16, 0.01, False, False),  # could be a fifth of all examples
        (0, 0, 379, 0.01, False, False),
        (0, 0, 381, 0.01, True, False),
        (0, 0, 10_000, 0.0, False, False),  # less than 0 is never sure
        (3, 0, 16, 0.01, False, False),
        (6, 0, 16, 0.01, False, True),
        (6, 6, 16, 0.01, False, False),
        (0, 9, 40, 0.01, True, False),
    )
    def test_what_right_and_wrong_examples_tell_of_a_fall(
        self, lost, gained, count, tolerance, small, large
    ):
        losses = np.zeros(count)
        losses[:lost], losses[lost : lost + gained] = 1, -1
        found = intervals.is_fall(losses, None, tolerance, np.arange(count))
        self.assertEqual(found, (small, large))
        ten = intervals.is_fall(
            np.tile(losses, 10), None, tolerance, np.tile(np.arange(count), 10)
        )
        self.assertEqual(ten, found)

    @parameterized.parameters(
        (0.0, 16, False, False),
        (0.0, 400, True, False),
        (0.1, 400, False, True),
        (0.02, 3, False, False),
        (0.1, 1, False, False),
    )
    def test_what_losses_tell_of_a_fall(self, fall, count, small, large):
        rng = np.random.default_rng(0)
        whole = rng.uniform(1, 3, count)
        losses = fall * whole + rng.normal(0, 0.05, count)
        found = intervals.is_fall(losses, whole, 0.01, np.arange(count))
        self.assertEqual(found, (small, large))

    @parameterized.parameters("right or wrong", "losses")
    def test_a_fall_at_the_limit_is_seldom_called_small_or_large(self, kind):
        rng, hits, trials = np.random.default_rng(0), np.zeros(2), 1000
        for _ in range(trials):
            if kind == "losses":
                whole = rng.exponential(1, 300)
                losses = 0.05 * whole + rng.normal(0, 0.1, 300)
            else:
                whole = None
                losses = rng.choice([-1, 0, 1], 300, p=[0.05, 0.85, 0.1])
            hits += intervals.is_fall(losses, whole, 0.05, np.arange(300))
        # 25 expected of each; above 52 in fewer than 1e-6.
        self.assertLess(hits.max(), 52)


if __name__ == "__main__":
    absltest.main()

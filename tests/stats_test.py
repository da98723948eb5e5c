import math

import numpy as np
import scipy.stats
from absl.testing import absltest, parameterized

from modularity_tf import stats


class StatsTest(parameterized.TestCase):
    @parameterized.parameters((0, 10), (7, 10), (10, 10), (1, 2000))
    def test_of_a_share_is_that_of_wilson(self, hits, count):
        found = stats.share_interval(hits, count)
        expected = scipy.stats.binomtest(hits, count).proportion_ci(
            method="wilson"
        )
        np.testing.assert_allclose(found, expected, atol=1e-7)

    def test_a_share_of_all_is_no_estimate(self):
        self.assertEqual(stats.share_interval(3, 4, is_all=True), (0.75, 0.75))

    def test_of_a_rate_is_exact(self):
        # With the bound as the rate, as few hits come in 2.5 % of cases.
        low, high = stats.rate_interval(3, 20)
        self.assertAlmostEqual(scipy.stats.binom.cdf(3, 20, high), 0.025)
        self.assertAlmostEqual(scipy.stats.binom.sf(2, 20, low), 0.025)
        self.assertAlmostEqual(stats.rate_interval(0, 6)[1], 0.4593, 4)

    @parameterized.parameters((0, 1), (-1, 1), (0, np.inf), (-np.inf, 1))
    def test_of_a_bounded_mean_is_students_on_the_scale_of_its_link(
        self, low, high
    ):
        values = np.array([0.9, 0.7, 0.97, 0.95])
        mean = values.mean()
        links = {  # and its slope at the mean
            (0, 1): (scipy.special.logit, 1 / (mean * (1 - mean))),
            (-1, 1): (lambda x: 2 * np.arctanh(x), 2 / (1 - mean**2)),
            (0, np.inf): (np.log, 1 / mean),
            (-np.inf, 1): (lambda x: -np.log(1 - x), 1 / (1 - mean)),
        }
        link, slope = links[low, high]
        ends = stats.bounded_interval(values, low, high)
        reach = stats.mean_half_width(values) * slope
        np.testing.assert_allclose(
            [link(end) for end in ends], link(mean) + reach * np.array([-1, 1])
        )
        self.assertTrue(low <= ends[0] < mean < ends[1] <= high)

    def test_of_skewed_shares_holds_the_truth_in_95_of_100(self):
        # Three networks that are right on 95 % of the examples on average.
        rng, inside = np.random.default_rng(0), 0
        for values in rng.beta(20, 1, (2000, 3)):
            low, high = stats.bounded_interval(values, 0, 1)
            inside += low <= 20 / 21 <= high
        # 1900 expected; below 1850 in fewer than 1e-6. Student's holds 1790.
        self.assertGreater(inside, 1850)

    def test_of_a_mean_without_a_range_is_students(self):
        values = [0.3, 0.5, 1.4]
        expected = stats.mean_interval(values)
        self.assertEqual(stats.bounded_interval(values), expected)

    def test_of_values_at_an_end_has_no_width(self):
        self.assertEqual(stats.bounded_interval([1.0] * 3, 0, 1), (1.0, 1.0))
        self.assertTrue(math.isnan(stats.bounded_interval([0.5], 0, 1)[0]))

    def test_refuses_a_mean_beyond_the_range(self):
        with self.assertRaisesRegex(ValueError, "got a mean of 2"):
            stats.bounded_interval([2.0, 2.0], 0, 1)

    def test_of_a_mean_is_that_of_student(self):
        values = np.random.default_rng(0).normal(size=12)
        expected = scipy.stats.ttest_1samp(values, 0).confidence_interval()
        np.testing.assert_allclose(stats.mean_interval(values), expected)
        self.assertTrue(math.isnan(stats.mean_interval([1.0])[0]))

    def test_half_a_width_is_that_of_the_known_values_alone(self):
        values = [[1.0, 2.0, 5.0], [3.0, np.nan, np.nan], [5.0, 4.0, np.nan]]
        # t of 2 degrees times 2 / sqrt(3), of 1 degree times sqrt(2) / sqrt(2)
        expected = [4.302653 * 2 / np.sqrt(3), 12.706205, np.nan]
        np.testing.assert_allclose(
            stats.mean_half_width(values), expected, rtol=1e-6
        )
        low, high = stats.mean_interval(range(9))
        np.testing.assert_allclose(
            [stats.mean_half_width(range(9))] * 2, [high - 4, 4 - low]
        )
        self.assertTrue(math.isnan(stats.mean_half_width([1.0])))

    def test_of_examples_holds_the_truth_in_95_of_100(self):
        rng, inside = np.random.default_rng(0), 0
        for seed in range(80):
            values = [rng.normal(3, 1, 80), rng.normal(1, 0.3, 80)]
            low, high = stats.bootstrap_interval(
                lambda a, b: a / b, values, seed
            )
            inside += low <= 3 <= high
        # 76 of 80 expected; below 66 in fewer than 1e-4.
        self.assertBetween(inside, 66, 80)

    def test_the_same_examples_are_drawn_for_all_values(self):
        values = np.random.default_rng(0).normal(size=50)
        low, high = stats.bootstrap_interval(
            lambda a, b: a - b, [values, values - 1], 0
        )
        np.testing.assert_allclose([low, high], 1)

    def test_copies_do_not_narrow_an_interval(self):
        values = np.random.default_rng(0).normal(size=30)
        copies = np.repeat(np.arange(30), 7)
        self.assertAlmostEqual(stats.effective_count(copies), 30)
        self.assertEqual(stats.effective_count(np.arange(30)), 30)
        many = np.repeat(values, 7)
        np.testing.assert_allclose(
            stats.mean_interval(many, copies=copies),
            stats.mean_interval(values),
        )
        np.testing.assert_allclose(
            stats.bootstrap_interval(lambda a: a, [many], 0, copies),
            stats.bootstrap_interval(lambda a: a, [values], 0),
        )
        one = np.zeros(9, int)
        self.assertTrue(
            math.isnan(stats.mean_interval(many[:9], copies=one)[0])
        )
        found = stats.bootstrap_interval(lambda a: a, [many[:9]], 0, one)
        self.assertTrue(math.isnan(found[0]))
        # One example of which half of all are copies counts for much.
        half = np.array([0] * 100 + [*range(1, 101)])
        self.assertAlmostEqual(
            stats.effective_count(half), 200**2 / (100**2 + 100)
        )

    def test_independent_errors_add_up(self):
        found = stats.combined_interval(1.0, (0.7, 1.3), (0.6, 1.0))
        np.testing.assert_allclose(found, (0.5, 1.3))
        found = stats.combined_interval(
            0.98, (0.9, 1.0), (0.96, 0.99), bounds=(0, 1)
        )
        np.testing.assert_allclose(found, (0.98 - np.hypot(0.08, 0.02), 1))

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
        found = stats.fall_test(losses, None, tolerance, np.arange(count))
        self.assertEqual(found, (small, large))
        ten = stats.fall_test(
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
        found = stats.fall_test(losses, whole, 0.01, np.arange(count))
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
            hits += stats.fall_test(losses, whole, 0.05, np.arange(300))
        # 25 expected of each; above 52 in fewer than 1e-6.
        self.assertLess(hits.max(), 52)


if __name__ == "__main__":
    absltest.main()

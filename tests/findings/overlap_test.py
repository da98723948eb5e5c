import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from scipy import stats

from modularity_tf.findings import overlap


class BetweenTest(parameterized.TestCase, tf.test.TestCase):
    def test_by_hand(self):
        t = {"a": np.array([1, 1, 0, 0], bool), "b": np.ones((2, 1), bool)}
        r = {"a": np.array([1, 0, 1, 1], bool), "b": np.zeros((2, 1), bool)}
        total = overlap.between(t, r)
        self.assertEqual([*total.by_tensor], ["a", "b"])
        a = total.by_tensor["a"]
        self.assertEqual((a.shared, a.first, a.second), (1, 2, 3))
        self.assertAllClose([a.share, a.jaccard], [1 / 2, 1 / 4])
        self.assertAllClose(a.expected, 2 * 3 / 4)
        self.assertAllClose(a.excess, 1 / 2 - 3 / 4)
        self.assertAllClose(a.expected_jaccard, 1.5 / (2 + 3 - 1.5))
        self.assertEqual((total.shared, total.first, total.second), (1, 4, 3))
        self.assertAllClose(total.share, 1 / 4)
        none = overlap.between(r, t).by_tensor["b"]
        self.assertTrue(np.isnan(none.share))

    def test_expectation_and_spread_are_those_of_random_sets(self):
        rng = np.random.default_rng(0)
        flags = np.arange(60) < 20
        others = np.arange(60) < 33
        found = overlap.between({"a": flags}, {"a": others})
        counts = [
            np.sum(rng.permutation(flags) & others) for _ in range(20_000)
        ]
        sd = np.sqrt(found.variance)
        # 20,000 repeats: 6 standard errors of mean and deviation.
        self.assertLess(
            abs(np.mean(counts) - found.expected), 6 * sd / np.sqrt(20_000)
        )
        self.assertAllClose(np.std(counts), sd, rtol=0.04)

    def test_p_is_that_of_permuted_sets(self):
        t = {"a": np.arange(6) < 3, "b": np.arange(10) < 5}
        r = {"a": np.arange(6) < 3, "b": np.arange(10) % 2 > 0}
        total = overlap.between(t, r)
        found = total.by_tensor
        # 1 of the 20 triples of a layer of six.
        self.assertAllClose(found["a"].p_value(), 1 / 20, atol=0.01)
        # Five of ten with five of ten: two or more in all but 26 of 252.
        self.assertAllClose(found["b"].p_value(), 1 - 26 / 252, atol=0.015)
        # Of both layers the chance that the sum is five or more.
        first = [stats.hypergeom(6, 3, 3).pmf(k) for k in range(4)]
        second = stats.hypergeom(10, 5, 5)
        expected = sum(p * second.sf(4 - k) for k, p in enumerate(first))
        self.assertAllClose(total.p_value(), expected, atol=0.015)
        self.assertEqual(total.p_value(seed=1), total.p_value(seed=1))
        same = overlap.between(t, t).by_tensor["b"]
        self.assertEqual(same.p_value(permutations=19), 0.05)
        with self.assertRaisesRegex(ValueError, "`permutations` must be"):
            found["a"].p_value(permutations=0)

    def test_says_chance_and_p_in_words(self):
        t = {"a": np.arange(6) < 3}
        found = overlap.between(t, t)
        p = f"{found.p_value():.2g}"  # about 1 / 20
        self.assertEqual(
            repr(found),
            "<Overlap: 3 of 3 parts shared with 3, 100.0%; by chance 50.0%, "
            f"p = {p}>",
        )
        self.assertIn(f"by chance 50.0%, p = {p}).", str(found))

    def test_what_is_empty_shares_nothing_by_any_chance(self):
        nothing = {"a": np.zeros(3, bool)}
        for found in (overlap.between(nothing, nothing), overlap.Overlap()):
            self.assertEqual(found.p_value(), 1.0)
            self.assertIn("p = 1>", repr(found))

    @parameterized.named_parameters(
        ("other_names", {"b": np.ones(2, bool)}, "the same layers"),
        ("another_shape", {"a": np.ones(3, bool)}, "'a' must be boolean"),
        ("numbers", {"a": np.ones(2)}, "'a' must be boolean"),
    )
    def test_refuses(self, other, message):
        with self.assertRaisesRegex(ValueError, message):
            overlap.between({"a": np.ones(2, bool)}, other)

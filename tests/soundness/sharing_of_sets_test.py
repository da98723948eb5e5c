import dataclasses
import math

import numpy as np
from absl.testing import absltest, parameterized

from modularity_tf.soundness import sharing_of_sets
from modularity_tf.soundness.sharing_of_sets import sharing

SIZE = 400
FIRST = np.arange(SIZE) < 60


def noisy(truth, count=4, seed=0, recall=0.9, false=0.02):
    """Returns extractions of a set, with errors drawn anew in each."""
    rng = np.random.default_rng(seed)
    return [
        {"a": rng.random(truth.size) < np.where(truth, recall, false)}
        for _ in range(count)
    ]


def exact(*members, size=SIZE):
    return [{"a": np.isin(np.arange(size), m)} for m in members]


class SharingTest(parameterized.TestCase):
    def test_the_numbers_are_those_of_their_formulas(self):
        own = exact(range(0, 10), range(1, 11), range(2, 12), size=100)
        other = exact(range(5, 15), range(5, 15), range(6, 16), size=100)
        found = sharing(own, other)
        p, q = (
            [one["a"].astype(float) for one in sets] for sets in (own, other)
        )

        def mean(pairs):
            return np.mean([a @ b for a, b in pairs])

        both = mean([(a, b) for a in p for b in q])
        first, second = (
            mean([(s[0], s[1]), (s[0], s[2]), (s[1], s[2])]) for s in (p, q)
        )
        self.assertAlmostEqual(found.overlap, both / 10)
        self.assertAlmostEqual(found.floor, 10 * 10 / 100 / 10)
        self.assertAlmostEqual(found.ceiling, math.sqrt(first * second) / 10)
        # All sets have ten members: a correlation with the means taken out.
        index = (both - 1) / math.sqrt((first - 1) * (second - 1))
        self.assertAlmostEqual(found.index, index)
        self.assertBetween(found.index, found.low, found.high)
        self.assertEqual(found.extractions, (3, 3))

    def test_the_floor_is_that_of_each_layer(self):
        both = {"a": np.arange(10) < 5, "b": np.arange(100) < 10}
        found = sharing([both], [both])
        self.assertAlmostEqual(found.floor, (2.5 + 1.0) / 15)

    def test_errors_of_extractions_cancel_out_of_the_index(self):
        for recall in (1.0, 0.8, 0.6):
            index = [
                sharing(
                    noisy(FIRST, 6, seed, recall),
                    noisy(np.roll(FIRST, 30), 6, seed + 1000, recall),
                ).index
                for seed in range(20)
            ]
            # Thirty of sixty parts in common: (30 - 9) / (60 - 9).
            error = np.std(index) / np.sqrt(len(index))
            self.assertLess(abs(np.mean(index) - 21 / 51), 5 * error + 0.005)

    def test_all_three_verdicts(self):
        own = noisy(FIRST, false=0.003)
        for roll, verdict in ((0, "shared"), (30, "shared"), (60, "separate")):
            other = noisy(np.roll(FIRST, roll), seed=9, false=0.003)
            found = sharing(own, other)
            self.assertEqual((roll, found.verdict), (roll, verdict))
        rng = np.random.default_rng(1)
        found = sharing(own, noisy(rng.permutation(FIRST), seed=9))
        self.assertEqual(found.verdict, "undetermined")
        self.assertIn("neither much nor nothing", found.reason)

    @parameterized.parameters((1, 4), (2, 4), (4, 2))
    def test_without_three_extractions_of_each_nothing_is_said(self, *counts):
        own, other = (noisy(FIRST, count, count) for count in counts)
        found = sharing(own, other)
        self.assertEqual(found.verdict, "undetermined")
        self.assertIn("3 of each task are needed", found.reason)
        self.assertTrue(math.isnan(found.index))
        self.assertTrue(math.isfinite(found.overlap))

    def test_a_ceiling_that_is_no_higher_than_the_floor_says_nothing(self):
        rng = np.random.default_rng(0)
        random = [{"a": rng.permutation(FIRST)} for _ in range(4)]
        found = sharing(random, noisy(FIRST))
        self.assertEqual(found.verdict, "undetermined")
        self.assertIn("not clearly alike", found.reason)

    def test_sets_of_all_parts_say_nothing(self):
        every = [{"a": np.ones(50, bool)}] * 3
        self.assertEqual(sharing(every, every).verdict, "undetermined")

    def test_few_parts_may_have_been_missed(self):
        for count, verdict in ((8, "undetermined"), (20, "separate")):
            own = exact(*[range(count)] * 3)
            other = exact(*[range(100, 100 + count)] * 3)
            self.assertEqual(sharing(own, other).verdict, verdict)

    def test_what_random_sets_have_in_common_is_not_shared(self):
        for common, verdict in ((3, "undetermined"), (5, "shared")):
            own = exact(*[range(5)] * 3, size=20)
            other = exact(*[range(5 - common, 10 - common)] * 3, size=20)
            found = sharing(own, other)
            self.assertGreater(found.low, 0.4)  # every extraction is the same
            self.assertEqual(found.verdict, verdict)

    def test_what_does_not_matter_is_not_shared(self):
        own, other = noisy(FIRST), noisy(np.roll(FIRST, 20), seed=9)
        self.assertEqual(sharing(own, other).verdict, "shared")
        found = sharing(own, other, needed=0.2)
        self.assertEqual(found.verdict, "undetermined")

    def test_false_verdicts_are_rare_where_chance_decides(self):
        rng, verdicts = np.random.default_rng(0), []
        for seed in range(150):  # a tenth is in common by chance
            sets = [
                noisy(rng.permutation(SIZE) < 60, 3, 2 * seed + i)
                for i in (0, 1)
            ]
            verdicts.append(sharing(*sets).verdict)
        # Both are false, each in 1 % at most: 11 of 150 in fewer than 1e-3.
        self.assertLess(150 - verdicts.count("undetermined"), 11)

    @parameterized.named_parameters(
        ("none", [], "`own` must be one set or more, got none"),
        ("empty", [{"a": np.zeros(SIZE, bool)}], "A set has no member"),
        ("others", [{"b": FIRST}], "must be over the same parts"),
        ("sizes", [{"a": FIRST[1:]}], "must be over the same parts"),
    )
    def test_refuses(self, own, message):
        with self.assertRaisesRegex(ValueError, message):
            sharing(own, noisy(FIRST))

    @parameterized.parameters(
        ("needed", 1.5), ("margin", 0), ("level", 1), ("seed", -1)
    )
    def test_refuses_arguments_out_of_their_range(self, name, value):
        with self.assertRaisesRegex(ValueError, f"`{name}` must be"):
            sharing(noisy(FIRST), noisy(FIRST), **{name: value})

    def test_is_a_value(self):
        found = sharing(noisy(FIRST), noisy(FIRST, seed=3))
        self.assertEqual(found, sharing(noisy(FIRST), noisy(FIRST, seed=3)))
        with self.assertRaises(dataclasses.FrozenInstanceError):
            found.verdict = "separate"

    def test_says_verdict_and_reason(self):
        one = [{"a": FIRST}]
        self.assertEqual(
            str(sharing(one, one)),
            "undetermined (1 and 1 extractions, 3 of each task are needed): "
            "the overlap is 100.0%, that of random sets 15.0% and that of two "
            "findings of one task not known.",
        )


class NeedTest(parameterized.TestCase):
    def test_of_all_removals_is_the_ratio(self):
        found = sharing_of_sets.need(([0.1, 0.3], True), ([0.4] * 5, True))
        self.assertAlmostEqual(found, 0.5)

    def test_of_some_is_a_lower_bound(self):
        rng = np.random.default_rng(0)
        low = [
            sharing_of_sets.need(
                (rng.random(50) < 0.4, False), (rng.random(50) < 0.8, False)
            )
            for _ in range(200)
        ]
        self.assertLess(np.mean(np.array(low) > 0.5), 0.03)
        self.assertGreater(np.mean(low), 0.2)

    @parameterized.parameters(
        ([0.0] * 9, [0.5] * 9), ([0.5] * 9, [0.0] * 9), ([0.0], [0.0])
    )
    def test_without_a_loss_nothing_is_needed(self, common, members):
        found = sharing_of_sets.need((common, False), (members, False))
        self.assertEqual(found, 0.0)

    def test_what_was_never_seen_may_be_there(self):
        found = sharing_of_sets.need(([0.5] * 20, False), ([0.5] * 20, True))
        self.assertAlmostEqual(found, 0.01 ** (1 / 20))


if __name__ == "__main__":
    absltest.main()

import numpy as np
from absl.testing import absltest, parameterized

from reproduce.known_truth.verdicts import sets


def members(*chosen, size=100):
    return {0: np.isin(np.arange(size), chosen)}


class TrueVerdictsTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("nothing_in_common", range(20, 40), {"separate"}),
        ("all", range(20), {"shared"}),
        ("half", range(10, 30), {"shared"}),
        ("one_of_twenty", range(19, 39), {"separate"}),
        ("by_chance", range(16, 36), set()),  # 4 of 20, as a fifth of all is
    )
    def test_are_those_of_the_definitions(self, other, verdicts):
        found = sets.true_verdicts(members(*range(20)), members(*other))
        self.assertEqual(found, verdicts)

    def test_never_both(self):
        rng = np.random.default_rng(0)
        for _ in range(200):
            sizes = rng.integers(5, 200, 3)
            truths = [
                {i: rng.random(n) < rng.random() for i, n in enumerate(sizes)}
                for _ in range(2)
            ]
            if all(any(v.any() for v in t.values()) for t in truths):
                self.assertLess(len(sets.true_verdicts(*truths)), 2)


class SetsTest(parameterized.TestCase):
    @parameterized.product(errors=sets.ERRORS, quality=["good", "poor"])
    def test_errors_come_at_their_rates(self, errors, quality):
        rng = np.random.default_rng(0)
        truths = [
            {0: np.arange(40_000) < 4000},
            {0: np.arange(40_000)[::-1] < 4000},
        ]
        recall, false = sets.QUALITIES[quality]
        tasks = sets._extractions(rng, truths, errors, recall, false, 2)
        for truth, extractions in zip(truths, tasks):
            for found in extractions:
                hits = np.mean(found[0][truth[0]])
                alarms = np.mean(found[0][~truth[0]]) * 9
                self.assertAlmostEqual(hits, recall, delta=0.03)
                self.assertAlmostEqual(alarms, false, delta=0.08)
        (one, _), (other, _) = tasks
        nobody = ~(truths[0][0] | truths[1][0])
        both = np.mean(one[0][nobody] & other[0][nobody])
        by_chance = np.mean(one[0][nobody]) * np.mean(other[0][nobody])
        noise = 5 * np.sqrt(by_chance / nobody.sum())
        alike = errors in ("decoys", "everywhere")
        self.assertEqual(both > by_chance + noise, alike)

    def test_few_verdicts_are_false(self):
        rng = np.random.default_rng(1)
        found = [
            sets.judge_case(rng, errors, quality)
            for _ in range(12)
            for errors in ("independent", "task", "decoys")
            for quality in sets.QUALITIES
        ]
        said = [one for one in found if one[1] != "undetermined"]
        self.assertGreater(len(said), 25)
        self.assertLessEqual(sum(not true for *_, true in said), 2)

    def test_what_matters_is_measured_among_what_is_in_common(self):
        rng = np.random.default_rng(0)
        truth, own = members(*range(10)), members(*range(20))
        for other, least, most in (
            (range(10), 1.0, 1.0),
            (range(10, 20), 0.0, 0.0),
            (range(5, 15), 1.0, 1.0),  # as much as of all that was found
            (range(50, 60), 0.0, 0.0),
        ):
            found = sets._need(rng, truth, own, members(*other))
            self.assertBetween(found, least, most)


if __name__ == "__main__":
    absltest.main()

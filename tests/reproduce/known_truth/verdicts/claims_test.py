from absl.testing import absltest

from reproduce.known_truth.verdicts import claims
from tests.reproduce.checking import checked
from tests.reproduce.known_truth.verdicts.judged import record


class ClaimsTest(absltest.TestCase):
    def checked(self, records):
        return checked(claims.claims(records), "sets, independent")

    def test_at_most_a_twentieth_may_be_false(self):
        good = {"shared true": {"1.0": 40}, "separate true": {"0.0": 9}}
        bad = {**good, "shared false": {"0.0": 10}}
        found = self.checked([record(s, **good) for s in range(3)])
        self.assertEqual(found["false_shared"]["verdict"], "agrees")
        # 27 verdicts are too few: the exact bound is above a twentieth.
        separate = found["false_separate"]
        self.assertEqual(separate["verdict"], "undetermined")
        self.assertEqual(separate["interval"][0], 0.0)
        self.assertAlmostEqual(separate["interval"][1], 1 - 0.025 ** (1 / 27))
        found = self.checked([record(s, **bad) for s in range(3)])
        self.assertEqual(found["false_shared"]["verdict"], "differs")
        self.assertAlmostEqual(found["false_shared"]["mean"], 0.2)

    def test_the_worst_quality_counts_and_not_the_mean(self):
        records = [record(s, **{"shared true": {"1.0": 90}}) for s in range(3)]
        for one in records:
            one["sets"]["independent/poor"] = {
                "shared true": {"1.0": 8},
                "shared false": {"0.0": 2},
            }
        found = self.checked(records)["false_shared"]
        self.assertAlmostEqual(found["mean"], 0.2)
        self.assertEqual(found["cases"], [10, 10, 10])
        self.assertIn("poor", found["statement"])

    def test_without_a_verdict_there_is_no_claim(self):
        self.assertEmpty(self.checked([record(0)]))


if __name__ == "__main__":
    absltest.main()

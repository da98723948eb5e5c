from absl.testing import absltest

from reproduce.known_truth.verdicts import claims
from tests.reproduce.known_truth.verdicts.judged import record


class ClaimsTest(absltest.TestCase):
    def verdicts(self, records):
        return {
            each.statement.split(": ")[1].split("'")[1]: each.checked()
            for each in claims.claims(records)
            if each.statement.startswith("sets, independent")
        }

    def test_at_most_a_twentieth_may_be_false(self):
        good = {"shared true": {"1.0": 20}, "separate true": {"0.0": 9}}
        bad = {**good, "shared false": {"0.0": 5}}
        found = self.verdicts([record(s, **good) for s in range(3)])
        self.assertEqual(found["shared"]["verdict"], "agrees")
        self.assertEqual(found["separate"]["verdict"], "agrees")
        found = self.verdicts([record(s, **bad) for s in range(3)])
        self.assertEqual(found["shared"]["verdict"], "differs")
        self.assertAlmostEqual(found["shared"]["mean"], 0.2)

    def test_without_a_verdict_there_is_no_claim(self):
        self.assertEmpty(self.verdicts([record(0)]))


if __name__ == "__main__":
    absltest.main()

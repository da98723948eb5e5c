from absl.testing import absltest

from reproduce.known_truth.verdicts import claims
from tests.reproduce.checking import checked
from tests.reproduce.known_truth.verdicts.judged import record


class ClaimsTest(absltest.TestCase):
    def checked(self, records):
        return checked(claims.claims(records), "sets, independent")

    def test_at_most_a_twentieth_may_be_false(self):
        good = {"shared true": {"1.0": 20}, "separate true": {"0.0": 9}}
        bad = {**good, "shared false": {"0.0": 5}}
        found = self.checked([record(s, **good) for s in range(3)])
        self.assertEqual(found["false_shared"]["verdict"], "agrees")
        self.assertEqual(found["false_separate"]["verdict"], "agrees")
        found = self.checked([record(s, **bad) for s in range(3)])
        self.assertEqual(found["false_shared"]["verdict"], "differs")
        self.assertAlmostEqual(found["false_shared"]["mean"], 0.2)

    def test_without_a_verdict_there_is_no_claim(self):
        self.assertEmpty(self.checked([record(0)]))


if __name__ == "__main__":
    absltest.main()

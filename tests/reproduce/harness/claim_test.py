import numpy as np
from absl.testing import absltest, parameterized
from scipy import stats

from reproduce.harness import claim


class ClaimTest(parameterized.TestCase):
    @parameterized.parameters(
        ([0.5], 0.4, True, "holds"),
        ([0.5], 0.4, False, "fails"),
        ([0.3], 0.4, True, "fails"),
        ([0.3], 0.4, False, "holds"),
        ([0.4, 0.5, 0.6], 0.2, True, "holds"),
        ([0.4, 0.5, 0.6], 0.9, True, "fails"),
        ([0.4, 0.5, 0.6], 0.45, True, "undetermined"),  # inside the interval
        ([0.4, 0.5, 0.6], 0.45, False, "undetermined"),
        ([float("nan")], 0.4, True, "undetermined"),
        ([], 0.4, True, "undetermined"),
    )
    def test_verdict(self, values, threshold, at_least, verdict):
        made = claim.Claim("", "", tuple(values), threshold, at_least)
        self.assertEqual(made.verdict()["verdict"], verdict)

    def test_interval_is_students(self):
        values = np.random.default_rng(0).normal(size=8)
        low, high = stats.t.interval(
            0.95, 7, np.mean(values), stats.sem(values)
        )
        for threshold, verdict in (
            (low - 1e-6, "holds"),
            (low + 1e-6, "undetermined"),
            (high - 1e-6, "undetermined"),
            (high + 1e-6, "fails"),
        ):
            made = claim.Claim("", "", tuple(values), threshold)
            self.assertEqual(made.verdict()["verdict"], verdict)
        self.assertAlmostEqual(made.verdict()["sd"], np.std(values, ddof=1))

    def test_table_shows_numbers_and_verdicts(self):
        made = [
            claim.Claim("drops", "40-60 %", (0.5, 0.6), 0.2),
            claim.Claim("ratio", "", (0.25,), 0.5, False, percent=False),
        ]
        rows = claim.table([c.checked() for c in made])
        cells = [list(column.cells) for column in rows.columns]
        self.assertEqual(cells[2], ["55 % ± 7.1", "0.25"])
        self.assertEqual(cells[4], ["≥ 20 %", "≤ 0.5"])
        self.assertEqual(cells[5], ["undetermined", "holds"])


class TieTest(parameterized.TestCase):
    @parameterized.parameters(True, False)
    def test_exactly_on_the_threshold_holds(self, at_least):
        for values in ((0.0,), (0.0, 0.0, 0.0)):
            stated = claim.Claim("none", "0", values, 0.0, at_least)
            self.assertEqual(stated.verdict()["verdict"], "holds")


if __name__ == "__main__":
    absltest.main()

from absl.testing import absltest, parameterized

from reproduce.publishing import wording
from tests.reproduce.publishing.claim_test import NAN, made


class TableTest(parameterized.TestCase):
    def cells(self, *claims):
        rows = wording.table([stated.checked() for stated in claims])
        return list(zip(*(list(column.cells) for column in rows.columns)))

    def test_shows_all_numbers_and_the_verdict(self):
        ((verdict, text),) = self.cells(
            made([0.5, 0.6], 0.2, null=0.1, paper="40-60 %", source="paper")
        )
        self.assertEqual(verdict, "undetermined")
        self.assertEqual(
            text,
            "it is\nours 55 % (-8.53 % to 119 %, n = 2); null 10 % (nothing); "
            "threshold ≥ 20 % (paper); paper: 40-60 %",
        )

    def test_shows_plain_numbers_without_percent(self):
        ((verdict, text),) = self.cells(made([0.25], 2.0, False, percent=False))
        self.assertEqual(verdict, "one seed")
        self.assertEqual(
            text,
            "it is\nours 0.25 (n = 1); null 0 (nothing); threshold ≤ 2 "
            "(ours); paper: no number given",
        )

    def test_says_what_was_not_measured(self):
        ((_, text),) = self.cells(made([NAN], null=NAN))
        self.assertIn("ours not measured (n = 1); null not measured (", text)

    def test_tally_counts_each_verdict(self):
        claims = [made([0.5, 0.5]), made([0.3, 0.3]), made([0.5]), made([NAN])]
        checked = [stated.checked() for stated in claims]
        self.assertEqual(
            wording.tally([*checked, checked[0]]),
            "5 claims: 2 agrees, 1 differs, 1 undetermined, 1 one seed",
        )
        self.assertEqual(wording.tally([]), "0 claims: none")


if __name__ == "__main__":
    absltest.main()

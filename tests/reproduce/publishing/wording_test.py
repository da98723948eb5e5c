from absl.testing import absltest, parameterized

from reproduce.publishing import wording
from tests.reproduce.publishing.claim_test import NAN, made


class TableTest(parameterized.TestCase):
    def cells(self, *claims):
        rows = wording.table([stated.checked() for stated in claims])
        return list(zip(*(list(column.cells) for column in rows.columns)))

    def test_shows_all_numbers_and_the_verdict(self):
        ((verdict, text),) = self.cells(
            made([0.5, 0.6], 0.2, 0.1, paper="40-60 %", source="paper")
        )
        self.assertEqual(verdict, "undetermined")
        self.assertEqual(
            text,
            "it is\nours 55 % (-8.53 to 119); 50, 60; null 10 % (nothing); "
            "wanted ≥ 20 % (the paper's number); paper: 40-60 %",
        )

    def test_shows_plain_numbers_without_percent(self):
        ((verdict, text),) = self.cells(
            made([0.25], None, 0.0, at_most=2.0, percent=False)
        )
        self.assertEqual(verdict, "one seed")
        self.assertEqual(
            text,
            "it is\nours 0.25 (n = 1); null 0 (nothing); wanted ≤ 2 "
            "(the paper's statement, our threshold); paper: no number given",
        )

    def test_says_what_was_not_measured(self):
        ((verdict, text),) = self.cells(made([NAN], null=NAN))
        self.assertEqual(verdict, "not measured")
        self.assertIn("ours not measured; null not measured (", text)

    def test_a_range_has_two_ends(self):
        one = made([0.5, 0.6], 0.4, at_most=0.6).checked()
        self.assertEqual(wording.limits(one), "40 to 60 %")

    def test_tells_few_seeds_many_seeds_and_cases(self):
        for one, expected in (
            (made([0.5, 0.6]), "50, 60"),
            (made([0.5, 0.6] * 3), "n = 6"),
            (made([0.5, 0.0], cases=(2, 6)), "1 of 8"),
            (made([0.5]), ""),
        ):
            self.assertEqual(wording.seeds(one.checked()), expected)

    def test_the_verdict_tells_marks(self):
        one = made([0.5, 0.5], post_hoc=True).checked()
        self.assertEqual(wording.verdict(one), "agrees (constant, post hoc)")

    def test_tally_is_apart_by_whose_threshold_it_is(self):
        claims = [
            made([0.5, 0.51], source="paper"),
            made([0.3, 0.31]),
            made([0.5]),
            made([0.5, 0.51], source="own"),
            made([0.5, 0.5]),
            made([NAN]),
        ]
        checked = [stated.checked() for stated in claims]
        self.assertEqual(
            wording.tally(checked),
            "6 claims; the paper's number: 1 agrees; our threshold: 1 differs, "
            "1 without a verdict (one seed); our questions: 1 agrees; "
            "not counted: 2",
        )
        self.assertEqual(wording.tally([]), "0 claims")

    def test_the_conclusion_says_what_was_found_and_what_that_means(self):
        for values, meaning in (
            ([0.5, 0.51], "This agrees with"),
            ([0.1, 0.11], "This differs from"),
            ([0.5], "One seed gives no verdict: start it again"),
        ):
            one = made(values, 0.2, 0.1, paper="40 %").checked()
            told = wording.conclusion([one])
            self.assertStartsWith(told, f"Found: it is: {wording.value(one)};")
            self.assertIn("nothing: 10 %. Wanted: ≥ 20 % (paper: 40 %)", told)
            self.assertIn(meaning, told)


if __name__ == "__main__":
    absltest.main()

import math

from absl.testing import absltest, parameterized

from reproduce.pretrained import claims
from tests.reproduce.pretrained import records


class ClaimsTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("alone", "alone", "deepcut", {}, "agrees"),
        ("alone_fails", "alone", "deepcut", {"alone": 0.9}, "differs"),
        ("share", "share", "deepcut", {}, "agrees"),
        ("without", "without", "deepcut", {}, "agrees"),
        ("without_fails", "without", "deepcut", {"without": 0.9}, "differs"),
        ("without_242", "without_242", "deepcut", {}, "agrees"),
        ("thai", "thai_without", "deepcut", {"without": 0.97}, "agrees"),
        ("run_in", "alone_run_in", "deepcut", {"alone": 0.6}, "differs"),
        ("digits", "alone_digits", "deepcut", {"alone": 0.5}, "agrees"),
        ("digits_too", "alone_digits", "deepcut", {}, "differs"),
        ("units", "alone", "deepcut, units", {}, "agrees"),
        ("parameters", "parameters", "deepcut, units", {}, "agrees"),
        ("rows", "own_rows", "chars2vec, words", {}, "agrees"),
        ("numbers", "alone", "chars2vec, numbers", {}, "agrees"),
    )
    def test_verdict(self, id, subject, changes, verdict):
        found = records.claims_of(
            [records.record(seed, **changes) for seed in range(5)]
        )
        self.assertEqual(found[id, subject]["verdict"], verdict)

    def test_the_main_claim_has_the_untrained_network_as_its_null(self):
        some = [records.record(i, is_controlled=i < 2) for i in range(5)]
        found = records.claims_of(some)
        main = found["alone", "deepcut"]
        self.assertTrue(main["main"])
        null = main["null"], main["null_is"]
        self.assertEqual(null, (0.55, claims.CONTROL))
        self.assertEqual(main["n"], 5)

    def test_a_run_of_one_network_has_claims_on_it_alone(self):
        record = records.record(0)
        del record["deepcut"]
        self.assertEqual(
            {subject for _, subject in records.claims_of([record])},
            {"chars2vec, words", "chars2vec, numbers"},
        )

    def test_likeness_is_intersection_over_union_of_pairs_of_seeds(self):
        sets = [["a", "b"], ["b", "c"], ["d"], ["d"], ["e"]]
        self.assertEqual(claims.likeness(sets), [1 / 3, 1.0])
        self.assertEqual(claims.likeness([["a"]]), [])

    def test_in_rows(self):
        rows = {"letters": [3, 10], "digits": [1, 10]}
        self.assertEqual(claims.in_rows(rows, "letters"), 0.75)
        empty = {"letters": [0, 10], "digits": [0, 10]}
        self.assertTrue(math.isnan(claims.in_rows(empty, "letters")))

    @parameterized.parameters(
        (0, 0, ("1 after it", "character")),
        (9, 31, ("10 after it", "character")),
        (10, 39, ("1 before it", "type")),
        (19, 36, ("10 before it", "convolutions")),
        (20, 48, ("the character itself", "type")),
    )
    def test_what_a_weight_reads(self, at, feature, expected):
        place = (at * 49 + feature) * 100 + 57
        found = claims.what_is_read(f"hidden/kernel:{place}", 100)
        self.assertEqual(found, expected)
        self.assertIsNone(claims.what_is_read(f"begins/kernel:{at}", 100))

    def test_tables_have_a_row_for_each_kind_seed_and_task(self):
        some = [records.record(i, is_controlled=i < 1) for i in range(2)]
        found = {table.title: table for table in claims.tables(some)}
        self.assertLen(found, 8)
        weights = found["Weights that English words need"]
        self.assertEqual(
            weights.columns[-2:],
            ("control of this size alone", "control alone"),
        )
        self.assertEqual(weights.rows[0][-2:], ("0.550", "0.500"))
        self.assertLen(weights.columns, 8)
        self.assertEqual(
            found["Is the part sound?"].rows,
            [
                ("verdict", "Sound", "Sound"),
                ("the part alone", *["0.980 (0.900 to 1.000)"] * 2),
                (
                    "without the part",
                    "0.900 (0.800 to 0.950)",
                    "0.899 (0.799 to 0.949)",
                ),
            ],
        )
        best = found["The best 242 weights"]
        self.assertEqual(
            best.columns[2:4], ("best 242 alone", "without best 242")
        )
        for table in found.values():
            for row in table.rows:
                self.assertLen(row, len(table.columns))
        self.assertEqual(weights.rows[0][1], "0.990 (0.989 to 0.990)")
        self.assertEqual(found["Sizes"].rows[0], ("weights", "2, 2", "526,550"))
        self.assertEqual(
            found["What the kept weights of the hidden layer read"].rows,
            [
                ("1 after it", "character", "1, 1"),
                ("the character itself", "type", "1, 1"),
            ],
        )


if __name__ == "__main__":
    absltest.main()

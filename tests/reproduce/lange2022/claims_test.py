from absl.testing import absltest, parameterized

from reproduce.lange2022 import claims
from tests.reproduce.lange2022 import unit_records

UNTRAINED = "untrained stacks: agreement within downstream minus that across"


class ClaimsTest(parameterized.TestCase):
    def checked(self, records):
        found = [each.checked() for each in claims.claims(records)]
        return {each["statement"]: each for each in found}

    def test_all_agree_where_all_is_as_in_the_paper(self):
        found = self.checked(unit_records.as_in_the_paper())
        verdicts = {name: each["verdict"] for name, each in found.items()}
        self.assertEqual(set(verdicts.values()), {"agrees"}, verdicts)

    @parameterized.named_parameters(
        ("q", "q", -1.0, ("dropout raises Q, by", "L2 raises Q, by")),
        (
            "restarts", "q_restarts", -1.0,
            ("search with restarts: dropout raises Q, by",),
        ),
        ("clusters", "clusters", 3.0, ("layers with 2 to 6 clusters",)),
        (
            "agreement", "agreement", -1.0,
            ("agreement within upstream minus that across",
             "agreement within plain downstream minus that across",
             "training adds to agreement within upstream"),
        ),
        (
            "searches_that_start_at_one_cluster", "q", 0.5,
            ("the spectral start does not lower Q, in 90 % of the matrices or "
             "more (subsample)",),
        ),
    )  # fmt: skip
    def test_differ_where_it_is_not(self, key, factor, statements):
        records = unit_records.as_in_the_paper()
        for one in records["networks"]:
            for part in (one, *one["layers"]):
                part[key] = [factor * value for value in part.get(key, [])]
        found = self.checked(records)
        for statement in statements:
            self.assertEqual(found[statement]["verdict"], "differs")

    def test_are_undetermined_where_every_network_was_dropped(self):
        records = unit_records.as_in_the_paper()
        for one in records["networks"]:
            del one["layers"]
        found = self.checked(records)
        self.assertEqual(
            found.pop("networks under 80% accuracy, dropped")["verdict"],
            "differs",
        )
        # It is about networks that are not trained.
        self.assertEqual(found.pop(UNTRAINED)["verdict"], "agrees")
        self.assertEqual(
            {each["verdict"] for each in found.values()}, {"undetermined"}
        )

    def test_the_repeats_of_untrained_networks_are_their_stacks(self):
        records = unit_records.as_in_the_paper()
        claim = self.checked(records)[UNTRAINED]
        for value, expected in zip(claim["values"], (0.44, 0.46), strict=True):
            self.assertAlmostEqual(value, expected, places=2)
        for one in records["untrained"]:
            one["stack"] = 0
        claim = self.checked(records)[UNTRAINED]
        self.assertEqual(claim["verdict"], "one seed")

    def test_untrained_networks_are_the_null(self):
        found = self.checked(unit_records.as_in_the_paper())
        dropped = found["networks under 80% accuracy, dropped"]
        self.assertEqual(dropped["null"], 1.0)
        within = found["agreement within upstream minus that across"]
        self.assertAlmostEqual(within["null"], 0.1, places=2)
        added = found["training adds to agreement within upstream"]
        self.assertEqual(added["null"], 0.0)
        self.assertIn("0.40 for every seed", added["null_is"])

    def test_a_start_that_makes_no_difference_is_below_as_often_as_above(self):
        records = unit_records.as_in_the_paper()
        for one in records["networks"]:
            for layer, sign in zip(one["layers"], (1, -1), strict=True):
                layer["one_cluster"] = [(0, layer["q"][0] + 0.01 * sign)]
        found = self.checked(records)
        claim = found[
            "the spectral start does not lower Q, in 90 % of the matrices or "
            "more (subsample)"
        ]
        self.assertEqual((claim["mean"], claim["null"]), (0.5, 0.5))
        self.assertEqual(claim["verdict"], "differs")


if __name__ == "__main__":
    absltest.main()

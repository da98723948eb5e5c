from absl.testing import absltest, parameterized

from reproduce.lange2022 import claims
from tests.reproduce.checking import checked
from tests.reproduce.lange2022 import unit_records

# What untrained networks do as well.
AS_UNTRAINED = {
    "layers_with_2_to_6_clusters",
    "agreement_downstream",
    "agreement_plain_downstream",
    "agreement_normalised_downstream",
    "normalising",
}
UNTRAINED = "untrained_stacks_downstream"
RESTARTS = "search with restarts"


class ClaimsTest(parameterized.TestCase):
    def checked(self, records, subject=""):
        return checked(claims.claims(records), subject)

    @parameterized.parameters("", RESTARTS)
    def test_all_agree_where_all_is_as_in_the_paper(self, subject):
        found = self.checked(unit_records.as_in_the_paper(), subject)
        # None is dropped there, fewer than in the paper.
        found.pop("dropped_networks", None)
        for id, each in found.items():
            expected = "undetermined" if id in AS_UNTRAINED else "agrees"
            self.assertEqual(each["verdict"], expected, id)

    def test_the_main_claim_is_of_the_family_that_agrees_less(self):
        found = self.checked(unit_records.as_in_the_paper())
        main = found["agreement_within"]
        self.assertTrue(main["main"])
        less = min(
            found["agreement_upstream"]["mean"],
            found["agreement_downstream"]["mean"],
        )
        self.assertAlmostEqual(main["mean"], less)

    @parameterized.named_parameters(
        ("q", "q", -1.0, ("dropout_raises_q", "l2_raises_q")),
        ("restarts", "q_restarts", -1.0, ("dropout_raises_q",), RESTARTS),
        ("clusters", "clusters", 3.0, ("layers_with_2_to_6_clusters",)),
        (
            "agreement",
            "agreement",
            -1.0,
            (
                "agreement_upstream",
                "agreement_plain_downstream",
                "training_adds_upstream",
            ),
        ),
        (
            "searches_that_start_at_one_cluster",
            "q",
            0.5,
            ("spectral_start_rarely_lowers_q",),
        ),
    )
    def test_differ_where_it_is_not(self, key, factor, ids, subject=""):
        records = unit_records.as_in_the_paper()
        for one in records["networks"]:
            for part in (one, *one["layers"]):
                part[key] = [factor * value for value in part.get(key, [])]
        found = self.checked(records, subject)
        for id in ids:
            self.assertEqual(found[id]["verdict"], "differs")

    def test_are_not_measured_where_every_network_was_dropped(self):
        records = unit_records.as_in_the_paper()
        for one in records["networks"]:
            del one["layers"]
        found = self.checked(records)
        dropped = found.pop("dropped_networks")
        self.assertEqual(dropped["verdict"], "differs")
        # It is about networks that are not trained.
        self.assertEqual(found.pop(UNTRAINED)["verdict"], "agrees")
        self.assertEqual(
            {each["verdict"] for each in found.values()}, {"not measured"}
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
        dropped = found["dropped_networks"]
        self.assertEqual(dropped["null"], 1.0)
        within = found["agreement_upstream"]
        self.assertAlmostEqual(within["null"], 0.1, places=2)
        added = found["training_adds_upstream"]
        self.assertEqual(added["null"], 0.0)
        self.assertIn("0.40 for every seed", added["null_is"])

    def test_a_start_that_makes_no_difference_is_below_as_often_as_above(self):
        records = unit_records.as_in_the_paper()
        for one in records["networks"]:
            for layer, sign in zip(one["layers"], (1, -1), strict=True):
                layer["one_cluster"] = [(0, layer["q"][0] + 0.01 * sign)]
        found = self.checked(records)
        claim = found["spectral_start_rarely_lowers_q"]
        self.assertEqual((claim["mean"], claim["null"]), (0.5, 0.5))
        self.assertEqual(claim["verdict"], "differs")


if __name__ == "__main__":
    absltest.main()

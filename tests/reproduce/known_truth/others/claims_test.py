from absl.testing import absltest, parameterized

from reproduce.known_truth.others import claims
from tests.reproduce.checking import checked
from tests.reproduce.known_truth.others import published

_KEYS = ("precision", "recall")


class ClaimsTest(parameterized.TestCase):
    def judged(self, records, subject):
        return checked(claims.claims(records), subject)

    @parameterized.parameters(
        ("zero", 1.0, "agrees"),  # as ACDC
        ("zero", 0.99, "differs"),
        ("resample", 0.7, "agrees"),  # above HISP, the best
        ("resample", 0.64, "differs"),
    )
    def test_areas_are_held_against_the_best_published_one(
        self, ablation, auc, verdict
    ):
        records = [
            published.program(seed, auc, ablation=ablation) for seed in range(4)
        ]
        for record in records:
            record["found"]["edges"] = record["found"]["mask"]
        found = self.judged(records, "reverse")
        one = found[f"edges_edges_{ablation}"]
        self.assertEqual(one["verdict"], verdict)
        self.assertEqual(one["source"], "ours")
        best = max(claims.AREAS[ablation, "reverse", "edges"])
        self.assertAlmostEqual(one["at_least"], best, delta=1e-3)
        main = found[f"mask_edges_{ablation}"]["main"]
        self.assertEqual(main, ablation == "zero")

    def test_exact_recovery_needs_cases(self):
        few, many = (
            [published.program(seed, 1.0) for seed in range(count)]
            for count in (2, 10)
        )
        self.assertEqual(
            self.judged(few, "reverse")["mask_exact"]["verdict"], "undetermined"
        )
        self.assertEqual(
            self.judged(many, "reverse")["mask_exact"]["verdict"], "agrees"
        )
        for record in many:  # whoever keeps what is not zero is exact, too
            record["truth"] = {**record["truth"], "is_not_zero": True}
        self.assertEqual(
            self.judged(many, "reverse")["mask_exact"]["verdict"],
            "undetermined",
        )

    def test_with_decoys_precision_and_recall_are_wanted(self):
        records = [
            published.program(seed, 1.0, form="decoys") for seed in range(4)
        ]
        # Networks of the first seed had been looked at: they do not count.
        records[0]["found"]["mask"]["edges"]["precision"] = 0.2
        for record in records[2:]:
            record["found"]["mask"]["edges"]["precision"] = 0.4
        found = self.judged(records, "programs with decoys")
        self.assertEqual(found["mask_nodes_precision"]["verdict"], "agrees")
        self.assertAlmostEqual(found["mask_edges_precision"]["mean"], 0.6)
        self.assertNotEqual(found["mask_edges_precision"]["verdict"], "agrees")
        self.assertEqual(found["mask_edges_recall"]["verdict"], "agrees")
        # 5 of 100 edges are needed; 5, 12.5 and 12.5 are kept.
        null = {key: found[f"mask_edges_{key}"]["null"] for key in _KEYS}
        self.assertAlmostEqual(null["precision"], 0.05)
        self.assertAlmostEqual(null["recall"], 0.1)
        for one in found.values():
            self.assertNotIn("post hoc", one["marks"])
        for one in self.judged(records[:1], "programs with decoys").values():
            self.assertIn("post hoc", one["marks"])

    @parameterized.parameters(
        ("5-2", 0, 90, "agrees"),
        ("5-2", 13, 90, "undetermined"),
        ("5-2", 40, 90, "differs"),
        ("40-10", 0, 20, "agrees"),
    )
    def test_broken_networks_are_held_against_reported_seeds(
        self, kind, broken, count, verdict
    ):
        found = self.judged([published.toys(kind, broken, count)], kind)
        self.assertEqual(found["broken"]["verdict"], verdict)
        self.assertEqual(found["broken_first"]["verdict"], verdict)
        self.assertEqual(found["mmcs"]["verdict"], "agrees")

    def test_a_lower_cosine_than_apd_differs(self):
        record = published.toys("40-10", 0, 20, mmcs=0.98)
        found = self.judged([record], "40-10")
        self.assertEqual(found["mmcs"]["verdict"], "differs")

    @parameterized.parameters((0, 1, "undetermined"), (4, 6, "differs"))
    def test_what_features_share_is_to_be_undetermined(
        self, least, most, verdict
    ):
        networks = [
            {
                "pairs": 10,
                "determined": most if i == 0 else least,
                "features": 20,
                "determined_again": 20,
                "neurons": 4.0,
            }
            for i in range(10)
        ]
        record = {
            "ground": "superposition",
            "kind": "resid_mlp",
            "networks": networks,
        }
        found = self.judged([record], "resid_mlp")
        self.assertEqual(found["undetermined"]["verdict"], verdict)
        self.assertEqual(found["found_again"]["verdict"], "agrees")


if __name__ == "__main__":
    absltest.main()

import numpy as np
from absl.testing import absltest

from reproduce.known_truth import findings


def network(case, seed, mask=1.0, gradient=0.8, recall=1.0, shared=0.25):
    def scores(value, **more):
        return {
            "average_precision": value,
            "auroc": value,
            "chance": 0.2,
            **more,
        }

    record = {
        "case": case,
        "seed": seed,
        "scores": {
            "mask": scores(mask, precision=mask, recall=recall),
            "mask_paper": scores(0.5, precision=None, recall=0.3),
            "gradient": scores(gradient),
            "magnitude": scores(0.3),
        },
    }
    if case.startswith("shared"):
        record["sharing"] = {"mask": {"true": 0.25, "found": shared}}
    return record


class ClaimsTest(absltest.TestCase):
    def checked(self, case="pairs", **kwargs):
        records = [network(case, seed, **kwargs) for seed in range(3)]
        found = [each.checked() for each in findings.claims(records)]
        return {each["statement"].split(": ")[1]: each for each in found}

    def test_all_agree_where_the_truth_is_found(self):
        for case in ("simple", "pairs", "shared_25"):
            found = self.checked(case)
            verdicts = {each["verdict"] for each in found.values()}
            self.assertEqual(verdicts, {"agrees"})
            self.assertLen(found, 5 + case.startswith("shared"))

    def test_differ_where_it_is_not(self):
        found = self.checked(mask=0.6, recall=0.2, gradient=0.9)
        verdicts = {each["verdict"] for each in found.values()}
        self.assertEqual(verdicts, {"differs"})
        error = self.checked("shared_25", shared=0.5)
        self.assertEqual(
            error["error of the estimated sharing"]["verdict"], "differs"
        )

    def test_the_null_is_the_best_of_the_baselines(self):
        self.assertEqual(
            findings.best_baseline([network("pairs", 0)]), "gradient"
        )
        found = self.checked()["average precision over the best baseline's"]
        self.assertEqual(found["null_is"], "the best baseline, gradient")
        self.assertAlmostEqual(found["mean"], 0.2)

    def test_a_mask_without_a_weight_is_no_estimate(self):
        found = self.checked("shared_25", shared=None)
        self.assertEqual(
            found["error of the estimated sharing"]["verdict"], "undetermined"
        )


class DrawTest(absltest.TestCase):
    def test_draws_every_method_and_case(self):
        records = [network(c, s) for c in ("simple", "pairs") for s in (0, 1)]
        found = findings.draw(records)
        self.assertEqual([*found], ["figA_methods", "figB_own_threshold"])
        (drawn,) = found["figA_methods"].axes[0].images
        np.testing.assert_allclose(
            drawn.get_array()[:, 0], [1.0, 0.5, 0.8, 0.3]
        )


if __name__ == "__main__":
    absltest.main()

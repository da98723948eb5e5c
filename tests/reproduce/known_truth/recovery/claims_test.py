import numpy as np
from absl.testing import absltest, parameterized

from reproduce.known_truth.recovery import claims
from tests.reproduce import checking


def network(case, seed, mask=1.0, gradient=0.8, recall=1.0, shared=0.25):
    def scores(value, **more):
        return {"average_precision": value, "chance": 0.2, **more}

    record = {
        "case": case,
        "seed": seed,
        "found": {
            "scores": {
                "mask": scores(mask, precision=mask, recall=recall),
                "mask_paper": scores(0.5, precision=None, recall=0.3),
                "gradient": scores(gradient),
                "magnitude": scores(0.3),
            },
            "neurons": {
                "threshold": scores(mask),
                "bayesian": scores(mask),
                "gates": scores(mask, precision=mask, recall=recall),
                "unit_taylor": scores(gradient),
            },
            "clusters": {"covariance": mask, "normalized_covariance": mask},
        },
        "controls": {
            "seeds": {"jaccard": mask, "chance": 0.1},
            "twin": scores(0.25),
        },
    }
    if case.startswith("shared"):
        record["sharing"] = {"true": 0.25, "found": shared}
    return record


def control(case, seed, p=0.5, value=0.3):
    answer = {"value": value, "chance": 0.3, "p": p}
    methods = ("threshold", "bayesian", "covariance", "normalized_covariance")
    return {
        "case": case,
        "seed": seed,
        "answers": dict.fromkeys(methods, answer),
    }


class ClaimsTest(parameterized.TestCase):
    def of(self, case="pairs", **kwargs):
        records = [network(case, seed, **kwargs) for seed in range(3)]
        return checking.checked(claims.claims(records))

    def of_control(self, *args, seeds=80):
        """Returns claims from so many networks that a rate is certain."""
        records = [control(args[0], seed, *args[1:]) for seed in range(seeds)]
        return checking.checked(claims.claims(records))

    @parameterized.parameters("simple", "pairs", "shared_25")
    def test_all_agree_where_the_truth_is_found(self, case):
        found = self.of(case)
        verdicts = {each["verdict"] for each in found.values()}
        self.assertEqual(verdicts, {"agrees"})
        self.assertEqual("error_of_sharing" in found, case.startswith("shared"))

    def test_differ_where_it_is_not(self):
        found = self.of(mask=0.21, recall=0.2, gradient=0.9)
        verdicts = {each["verdict"] for each in found.values()}
        self.assertEqual(verdicts, {"differs"})
        error = self.of("shared_25", shared=0.5)
        self.assertEqual(error["error_of_sharing"]["verdict"], "differs")

    def test_the_null_is_the_best_of_the_baselines(self):
        self.assertEqual(
            claims.best_baseline([network("pairs", 0)]), "gradient"
        )
        found = self.of()["over_best_baseline"]
        self.assertEqual(found["null_is"], "the best baseline, gradient")
        self.assertAlmostEqual(found["mean"], 0.2)

    def test_a_mask_without_a_weight_is_no_estimate(self):
        found = self.of("shared_25", shared=None)
        self.assertEqual(found["error_of_sharing"]["verdict"], "not measured")

    def test_no_recall_is_asked_of_redundant_weights(self):
        self.assertNotIn("recall", self.of("trained_apart"))
        self.assertIn("recall", self.of("attention"))

    @parameterized.parameters(
        (0.5, "agrees"), (0.01, "differs"), (None, "agrees")
    )
    def test_of_rotated_units_nothing_is_known(self, p, verdict):
        found = self.of_control("rotated", p)
        self.assertContainsSubset(
            {"threshold_undetermined", "covariance_undetermined"}, found
        )
        self.assertEqual(
            {each["verdict"] for each in found.values()}, {verdict}
        )

    def test_ten_networks_are_too_few_for_a_rate_of_95_percent(self):
        found = self.of_control("rotated", 0.5, seeds=10)
        self.assertEqual(
            {each["verdict"] for each in found.values()}, {"undetermined"}
        )

    def test_the_case_with_quiet_decoys_is_a_repeat_beside_louder_ones(self):
        records = [
            network(case, seed)
            for case in ("silent", "silent_8")
            for seed in range(3)
        ]
        again = checking.checked(claims.claims(records), "silent")
        self.assertTrue(all("repeat" in c["marks"] for c in again.values()))

    def test_aligned_units_are_told_apart(self):
        found = self.of_control("aligned", 0.01, 0.1)
        self.assertEqual(
            {each["verdict"] for each in found.values()}, {"agrees"}
        )
        apart = [
            found[f"{method}_sharing_under_random"]
            for method in ("threshold", "bayesian")
        ]
        np.testing.assert_allclose([each["mean"] for each in apart], 0.2)


if __name__ == "__main__":
    absltest.main()

import dataclasses

import tensorflow as tf
from absl.testing import parameterized

from reproduce import planted
from reproduce.known_truth.recovery import stages
from tests.reproduce import run_test_case

TINY = stages.Config(
    seeds=(0,),
    cases=("shared_25",),
    methods=("mask", "magnitude"),
    controls=("seeds",),
    examples=200,
    mask_steps=10,
)
PICTURES = (
    "figA_methods",
    "figB_own_threshold",
    "figC_false_alarms",
    "figD_curves",
    "figF_networks",
)


class MainTest(parameterized.TestCase, run_test_case.RunTestCase):
    def test_records_figures_and_claims_of_a_small_run(self):
        _, results = self.run_tiny(planted, TINY, PICTURES)
        (shared,) = results["records"]
        self.assertEqual([*shared["found"]["scores"]], [*TINY.methods])
        for found in shared["found"]["scores"].values():
            self.assertBetween(found["auroc"], 0, 1)
        self.assertEqual([*shared["controls"]], ["seeds"])
        self.assertEqual(shared["sharing"]["true"], 0.25)
        ids = [(one["subject"], one["id"]) for one in results["claims"]]
        self.assertIn(("shared_25", "error_of_sharing"), ids)

    @parameterized.named_parameters(
        (
            "case",
            {"cases": ("hard",)},
            "--cases must be one value or more, one",
        ),
        ("method", {"methods": ("lasso",)}, "--methods must be one value"),
        ("examples", {"examples": 2}, "--examples must be at least 8"),
    )
    def test_refuses(self, changes, message):
        with self.assertRaisesRegex(ValueError, message):
            dataclasses.replace(TINY, **changes)


if __name__ == "__main__":
    tf.test.main()

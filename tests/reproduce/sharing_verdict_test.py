import dataclasses

import tensorflow as tf
from absl.testing import parameterized

from reproduce import sharing_verdict
from reproduce.known_truth.verdicts import stages
from tests.reproduce import run_test_case

TINY = stages.Config(
    seeds=(0,), sets=2, methods=("noisy_truth",), extractions=3
)


class MainTest(parameterized.TestCase, run_test_case.RunTestCase):
    def test_records_figures_and_claims_of_a_small_run(self):
        _, results = self.run_tiny(sharing_verdict, TINY, ["figA_verdicts"])
        (record,) = results["records"]
        self.assertLen(record["sets"], 16)
        for counts in record["sets"].values():
            self.assertEqual(sum(sum(c.values()) for c in counts.values()), 2)
        self.assertEqual(
            [*record["networks"]],
            [f"{shared}/noisy_truth" for shared in stages.NETWORKS],
        )

    @parameterized.named_parameters(
        ("method", {"methods": ("lasso",)}, "--methods must be one value"),
        ("sets", {"sets": 0}, "--sets must be at least 1"),
    )
    def test_refuses(self, changes, message):
        with self.assertRaisesRegex(ValueError, message):
            dataclasses.replace(TINY, **changes)


if __name__ == "__main__":
    tf.test.main()

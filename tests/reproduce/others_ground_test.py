import dataclasses

import tensorflow as tf
from absl.testing import parameterized

from reproduce import others_ground
from reproduce.known_truth.others import stages
from tests.reproduce import run_test_case

TINY = stages.Config(
    seeds=(0,),
    grounds=("superposition",),
    kinds=("5-2",),
    networks=2,
    training_steps=600,
    toy_batch_size=64,
    mask_steps=2,
)


class MainTest(parameterized.TestCase, run_test_case.RunTestCase):
    def test_records_figures_and_claims_of_a_small_run(self):
        _, results = self.run_tiny(others_ground, TINY, ["figC_superposition"])
        (record,) = results["records"]
        self.assertEqual(record["kind"], "5-2")
        self.assertLen(record["networks"], 2)
        self.assertEqual(
            {one["id"] for one in results["claims"]},
            {"mmcs", "broken", "broken_first", "precision", "recall"},
        )

    @parameterized.named_parameters(
        ("method", {"methods": ("lasso",)}, "--methods must be one value"),
        ("program", {"programs": ("quine",)}, "--programs must be one value"),
    )
    def test_refuses(self, changes, message):
        with self.assertRaisesRegex(ValueError, message):
            dataclasses.replace(TINY, **changes)


if __name__ == "__main__":
    tf.test.main()

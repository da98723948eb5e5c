import dataclasses

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from reproduce import double_add
from tests.reproduce import run_test_case

TINY = double_add.Config(
    digits=1,
    sizes=(16, 12),
    hidden_size=8,
    lstm_layers=1,
    batch_size=32,
    network_steps=20,
    mask_batch_size=32,
    mask_steps=20,
    mask_lr=0.2,
    beta=1e-2,
    log_steps=10,
)
FIGURES = {
    "fnn": ("fig02a_accuracy", "fig13a_sharing"),
    "lstm": (
        "fig02b_accuracy",
        "fig13b_sharing",
        "fig14_accuracy",
        "fig14_sharing",
    ),
}


class MainTest(parameterized.TestCase, run_test_case.RunTestCase):
    @parameterized.parameters("fnn", "lstm")
    def test_records_figures_and_claims_of_a_small_run(self, network):
        config = dataclasses.replace(TINY, network=network)
        _, results = self.run_tiny(double_add, config, FIGURES[network])
        shown = [r["presentation"] for r in results["records"]]
        self.assertEqual(shown, list(double_add.presentations(config)))
        for record in results["records"]:
            names = ["full", "pair1", "pair2", "not pair1", "not pair2"]
            self.assertEqual(list(record["accuracy"]), names)

    def test_the_masks_of_passes_keep_no_input_of_the_other_pair(self):
        # An unused input has no gradient but the penalty.
        config = dataclasses.replace(TINY, mask_steps=60, beta=1e-5)
        _, results = self.run_tiny(double_add, config, FIGURES["fnn"])
        (record,) = results["records"]
        for task in double_add.TASKS:
            self.assertEqual(record["sharing"][task][0]["share"], 0.0)
            self.assertGreater(record["kept"][task][0], 0)


class QuantitiesTest(tf.test.TestCase):
    def test_the_drop_is_relative_to_the_network(self):
        record = {
            "dense": {"pair1": 0.8, "pair2": 1.0},
            "accuracy": {
                "not pair1": {"pair1": 0.0, "pair2": 0.9},
                "not pair2": {"pair1": 0.4, "pair2": 0.0},
            },
        }
        drop = double_add.inverted_drop(record)
        self.assertAllClose(drop, np.mean([0.1, 0.5]))


if __name__ == "__main__":
    tf.test.main()

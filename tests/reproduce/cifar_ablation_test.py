import dataclasses
import functools
from unittest import mock

import numpy as np
import tensorflow as tf

from modularity_tf.masking import alpha_search
from reproduce import cifar_ablation
from tests.reproduce import run_test_case

TINY = cifar_ablation.EXPERIMENT.config(
    dataset="digits",
    networks=("cnn",),
    classes=("0",),
    batch_size=32,
    network_steps=40,
    mask_batch_size=32,
    mask_steps=20,
    mask_lr=0.2,
    log_steps=10,
)


class MainTest(run_test_case.RunTestCase):
    def test_records_figures_and_claims_of_a_small_run(self):
        quick = functools.partial(  # fewer trials
            alpha_search.search_alpha, factor=100.0, refinements=0
        )
        config = dataclasses.replace(TINY, find_beta=True, network_steps=100)
        with mock.patch.object(alpha_search, "search_alpha", quick):
            _, results = self.run_tiny(
                cifar_ablation,
                config,
                [
                    "fig06a_relative_drop",
                    "fig06b_other_classes",
                    "fig18_confusion_control_cnn",
                    "fig19_confusion_difference_cnn",
                    "lost_classes_cnn",
                    "alpha_search_cnn",
                ],
            )
        (first,) = results["records"]
        self.assertEqual(first["data"], "digits (8x8)")
        self.assertEqual(set(first["masks"]), {"control", "0"})
        for scores in first["masks"].values():
            confusion = np.array(scores["confusion"])
            self.assertAllClose(confusion.sum(axis=1), np.ones(10))
            self.assertAllClose(np.trace(confusion) / 10, scores["accuracy"])
            self.assertBetween(scores["keep_fraction"], 0.0, 1.0)
        # The output layer is fixed to the control's, which alone reports it.
        kept = {t: m["keep_fractions"] for t, m in first["masks"].items()}
        self.assertIn("classifier/kernel", kept["control"])
        self.assertNotIn("classifier/kernel", kept["0"])
        # beta is found by the paper's rule.
        search = first["alpha_search"]
        self.assertAlmostEqual(first["beta"], 32 * search["alpha"])
        reference = first["dense"]["validation_accuracy"]
        self.assertEqual(search["reference"], reference)
        for trial in search["trials"]:
            performs = trial["performance"] >= 0.95 * reference
            self.assertEqual(trial["alpha"] <= search["alpha"], performs)


if __name__ == "__main__":
    tf.test.main()

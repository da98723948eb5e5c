import dataclasses
import pathlib
import tempfile

import numpy as np
import tensorflow as tf

from modularity_tf import WeightMask
from reproduce import mask_sensitivity
from reproduce.publishing import experiment
from tests.reproduce import run_test_case

TINY = mask_sensitivity.EXPERIMENT.config(
    digits=1,
    batch_size=32,
    network_steps=2,
    mask_batch_size=32,
    mask_steps=2,
    mask_lr=3.0,
    beta=1e-2,
    betas=(1e-3, 1e-2),
    beta_networks=("12x10",),
    size_networks=("12x10", "16"),
    log_steps=2,
)
PICTURES = (
    "fig07_keep_probabilities",
    "fig08a_sensitivity_12x10",
    "fig09_sharing_by_size",
)


class MainTest(run_test_case.RunTestCase):
    def test_records_figures_and_claims_of_a_small_run(self):
        run, results = self.run_tiny(
            mask_sensitivity, TINY, PICTURES, run_eagerly=True
        )
        (record,) = results["records"]
        points = [(p["network"], p["beta"]) for p in record["points"]]
        self.assertEqual(
            points, [("12x10", 1e-3), ("12x10", 1e-2), ("16", 1e-2)]
        )
        self.assertNotIn("histograms", record["points"][0])
        histogram = record["shown_histograms"]["12x10, add"]
        self.assertEqual(sum(histogram["counts"]), 22 * 12 + 12 * 10 + 10 * 10)
        file = run / "16/seed0/mask_mul_beta0.01.npz"
        config = dataclasses.replace(
            TINY,
            mask_files=(str(file),),
            betas=(5e-3, 1e-2),
            beta_networks=("16",),
            size_networks=("16",),
        )
        pictures = (PICTURES[0], "fig08a_sensitivity_16", PICTURES[2])
        _, results = self.run_tiny(mask_sensitivity, config, pictures)
        (record,) = results["records"]
        self.assertEqual(list(record["shown_histograms"]), [str(file)])

    def test_refuses_a_mask_without_probabilities_before_the_work(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        WeightMask({"a/kernel": np.ones(3, bool)}).save(f"{folder}/m.npz")
        config = dataclasses.replace(
            TINY, mask_files=(f"{folder}/m.npz",), output_dir=f"{folder}/runs"
        )
        with self.assertRaisesRegex(ValueError, "m.npz does not tell"):
            experiment.carry_out(mask_sensitivity.EXPERIMENT, config)
        self.assertFalse(pathlib.Path(config.output_dir).exists())


if __name__ == "__main__":
    tf.test.main()

import dataclasses
import functools
from unittest import mock

import numpy as np
import tensorflow as tf

from modularity_tf import WeightMask
from modularity_tf.masking import alpha_search
from reproduce import add_mul
from tests.reproduce import run_test_case

TINY = add_mul.EXPERIMENT.config(
    digits=1,
    sizes=(32,),
    batch_size=64,
    network_steps=200,
    network_lr=1e-2,
    mask_batch_size=32,
    mask_steps=20,
    mask_lr=0.2,
    beta=1e-2,
    log_steps=20,
)
PICTURES = (
    "alpha_search_fig01",
    "fig01_sharing",
    "fig10_accuracy",
    "fig11_weights_kept",
    "fig12_performed_operation",
)


class MainTest(run_test_case.RunTestCase):
    def test_records_figures_and_claims_of_a_small_run(self):
        quick = functools.partial(  # fewer trials
            alpha_search.search_alpha, factor=100.0, refinements=0
        )
        config = dataclasses.replace(
            TINY, find_beta=True, held_out_fraction=0.2
        )
        with mock.patch.object(alpha_search, "search_alpha", quick):
            run, results = self.run_tiny(add_mul, config, PICTURES)
        (record,) = results["records"]
        masks = {
            task: WeightMask.load(run / f"fnn/seed0/mask_{task}.npz")
            for task in ("add", "mul")
        }
        add, mul = masks["add"], masks["mul"]
        total = record["sharing"]["add"][-1]
        self.assertAllClose(total["share"], add.sharing(mul))
        self.assertAllClose(total["jaccard"], add.iou(mul))
        self.assertEqual(
            record["kept"]["mul"],
            [int(v.sum()) for v in mul.values.values()],
        )
        self.assertEqual(set(record["held_out"]), {"add", "mul"})
        for rows in record["performed"].values():
            self.assertAllClose(np.sum(rows, axis=1), [1.0, 1.0])
        # The right answers are those that perform the operation asked for.
        for mask, rows in record["performed"].items():
            for i, task in enumerate(("add", "mul")):
                self.assertAllClose(rows[i][i], record["accuracy"][mask][task])
        # beta is found by the paper's rule, and all masks are trained with it.
        search = record["alpha_search"]
        self.assertAlmostEqual(record["beta"], 32 * search["alpha"])
        self.assertAllClose(
            search["reference"], np.mean([*record["dense"].values()])
        )
        self.assertAllClose(add.provenance["alpha"], search["alpha"])


if __name__ == "__main__":
    tf.test.main()

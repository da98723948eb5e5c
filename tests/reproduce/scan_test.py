import dataclasses
import functools
from unittest import mock

import numpy as np
import tensorflow as tf

from modularity_tf import WeightMask
from modularity_tf.masking import alpha_search
from reproduce import scan
from reproduce.csordas2021.sequences import scan_data
from tests.reproduce import run_test_case
from tests.reproduce.csordas2021 import tiny

TINY = scan.EXPERIMENT.config(
    networks=("lstm",),
    splits=("addprim_jump",),
    test_size=6,
    embedding_size=3,
    hidden_size=4,
    lstm_layers=1,
    batch_size=8,
    network_steps=1,
    mask_batch_size=8,
    mask_steps=1,
    mask_lr=3.0,
    beta=1e-2,
    num_samples=2,
    log_steps=1,
)
PICTURES = (
    "alpha_search_lstm",
    "fig04a_splits",
    "fig04b_removed_lstm",
    "fig16_alone",
    "figA_controls_lstm",
)


def short(split, name, seed=0):
    """Returns a split's commands of at most two actions: quick to run."""
    return scan_data.Split(
        *(
            [e for e in part if len(e.actions.split()) < 3][:30]
            for part in split(name, seed)
        )
    )


class MainTest(run_test_case.RunTestCase):
    def setUp(self):
        super().setUp()
        fake = functools.partial(short, scan_data.split)
        self.enterContext(mock.patch.object(scan_data, "split", fake))
        self.enterContext(
            mock.patch.object(alpha_search, "search_alpha", tiny.one_trial)
        )

    def test_records_figures_and_claims_of_a_small_run(self):
        config = dataclasses.replace(TINY, find_beta=True)
        # `stages_test` trains a mask in the compiled step.
        run, results = self.run_tiny(scan, config, PICTURES, run_eagerly=True)
        (record,) = results["records"]
        masks = {
            task: WeightMask.load(run / f"lstm/seed0/mask_{task}.npz")
            for task in ("simple", "simple_again", "addprim_jump")
        }
        one, again = masks["simple"], masks["simple_again"]
        self.assertNotEqual(one, again)
        found = record["masks"]["simple"]
        self.assertAllClose(found["jaccard"], one.iou(again))
        self.assertAllClose(found["keep_fraction"], one.keep_fraction)
        self.assertEqual([*found["test"]], ["simple", "addprim_jump"])
        self.assertEqual(
            [*record["masks"]["addprim_jump"]["test"]], ["addprim_jump"]
        )
        # The weights of each token that the split's mask has no more.
        path = "decoder/cell/output/kernel"
        full, own = (masks[t].values[path] for t in ("simple", "addprim_jump"))
        self.assertEqual(full.shape, (4, 7))
        expected = [
            np.mean(~mine[kept]) if kept.any() else 0
            for kept, mine in zip(full.T, own.T)
        ]
        self.assertAllClose(record["removed"]["addprim_jump"], expected)
        self.assertAlmostEqual(record["beta"], 2 * 1e-2)
        self.assertAllClose(one.provenance["alpha"] * 8, record["beta"])


if __name__ == "__main__":
    tf.test.main()

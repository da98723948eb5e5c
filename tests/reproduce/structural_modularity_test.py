import dataclasses
import json

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from reproduce import structural_modularity
from tests.reproduce import run_test_case

TINY = structural_modularity.Config(
    dataset="digits",
    links=(1, 36),
    units=6,
    bottleneck=2,
    batch_size=16,
    network_steps=4,
    bottleneck_steps=4,
    mask_steps=2,
    fit_pairs=100,
    test_pairs=100,
    log_steps=2,
)
PICTURES = (
    "fig02_specialization",
    "fig03_raw_metrics",
    "fig04_accuracy",
    "weighted_q",
)


class MainTest(parameterized.TestCase, run_test_case.RunTestCase):
    def test_records_figures_and_claims_of_a_small_run(self):
        run, results = self.run_tiny(structural_modularity, TINY, PICTURES)
        sparse, dense = results["records"]
        self.assertEqual([sparse["p"], dense["p"]], [1 / 36, 1.0])
        self.assertIn("controls", sparse)
        self.assertNotIn("controls", dense)
        for record in (sparse, dense):
            shares = np.array(record["plain"]["mask"])
            self.assertAllClose(shares.sum(axis=0), [1.0, 1.0])
            for measure in (
                record["plain"]["correlation"],
                record["plain"]["cka_distance"],
                record["bottleneck"]["bottleneck"],
            ):
                self.assertEqual(np.shape(measure), (2, 2))
        # Finished networks and masks are not lost; TensorBoard has its logs.
        for name in ("plain/network.keras", "plain/mask1.npz"):
            self.assertTrue((run / "demand2/links1/seed0" / name).exists())
        again = run / "demand2/links1/seed0/plain.json"
        again.unlink()
        config = dataclasses.replace(TINY, output_dir=str(run.parent))
        structural_modularity.main(config)
        self.assertEqual(json.loads(again.read_text()), sparse["plain"])
        logs = run / "logs/demand2/links1/seed0/plain/network"
        tags = {
            value.tag
            for file in logs.rglob("*tfevents*")
            for event in tf.compat.v1.train.summary_iterator(str(file))
            for value in event.summary.value
        }
        self.assertContainsSubset(
            {"links_alive", "links_rewired", "epoch_accuracy"}, tags
        )

    def test_settings_are_all_demands_links_and_seeds(self):
        config = dataclasses.replace(
            TINY, demands=(2, 8), links=(36, 1), seeds=(3, 4)
        )
        found = [tuple(s) for s in structural_modularity.settings(config)]
        self.assertLen(set(found), 8)
        self.assertEqual(found[0], (2, 1, 3))
        checked = structural_modularity.control_settings(config)
        self.assertEqual([tuple(s) for s in checked], [(2, 1, 3), (2, 1, 4)])
        turned = dataclasses.replace(config, demands=(8, 2))
        self.assertEqual(
            structural_modularity.control_settings(turned), checked
        )
        alone = dataclasses.replace(config, controls=False)
        self.assertEmpty(structural_modularity.control_settings(alone))

    @parameterized.named_parameters(
        ("dataset", {"dataset": "svhn"}, "--dataset must be mnist"),
        ("no_links", {"links": (0,)}, r"--links must be in \[1, 36\]"),
        ("too_many", {"links": (37,)}, r"--links must be in \[1, 36\]"),
        ("demand", {"demands": (3,)}, "--demands must be of"),
        ("demand_twice", {"demands": (2, 2)}, "--demands must differ"),
        ("links_twice", {"links": (1, 1)}, "--links must differ"),
        ("link_lrs", {"link_lrs": (0.1,)}, "--link_lrs must be two"),
        ("lr_end", {"lr_end": 0.0}, "--lr_end"),
        ("noise", {"link_noise": -1.0}, "--link_noise"),
        ("momentum", {"mask_momentum": 1.0}, "--mask_momentum"),
        ("share", {"mask_share": 0.0}, "--mask_share"),
        ("pairs", {"test_pairs": 10}, "--test_pairs"),
        ("steps", {"mask_steps": 3}, "--mask_steps=3 must be a multiple"),
    )
    def test_refuses(self, changes, message):
        with self.assertRaisesRegex(ValueError, message):
            dataclasses.replace(TINY, **changes)


if __name__ == "__main__":
    tf.test.main()

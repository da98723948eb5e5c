import dataclasses
import json
import math
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from reproduce import structural_modularity
from reproduce.bena2021 import claims, modular_rnn, stages
from reproduce.bena2021.subject import Config
from reproduce.publishing import archive, experiment
from tests.reproduce import run_test_case

TINY = Config(
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
    mask_shares=(0.5,),
    mask_open_links=True,
)
PICTURES = (
    "fig02_specialization",
    "fig03_raw_metrics",
    "fig04_accuracy",
    "weighted_q",
    "sender_receiver",
    "who_answers",
    "masks",
    "links",
)


class MainTest(parameterized.TestCase, run_test_case.RunTestCase):
    def test_records_figures_and_claims_of_a_small_run(self):
        # Twenty small models would be traced, for a few steps each.
        tf.config.run_functions_eagerly(True)
        self.addCleanup(tf.config.run_functions_eagerly, False)
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
            for network in ("plain", "bottleneck"):
                found = record[network]
                self.assertLen(found["message"], 2)
                self.assertAllClose(sum(found["answered"]), 1.0)
                self.assertLen(found["misled"], 2)
            shares = np.array(record["plain"]["open"]["mask"])
            self.assertAllClose(shares.sum(axis=0), [1.0, 1.0])
            self.assertEqual(record["plain"]["steps"], 4)
        for measure in claims.MEASURES:
            self.assertEqual(np.shape(sparse["untrained"][measure]), (2, 2))
        for found in sparse["controls"].values():
            self.assertContainsSubset({"accuracy", "rewired"}, found)
        self.assertEqual(sparse["controls"]["no_rewiring"]["rewired"], 0)
        self.assertEqual([r["share"] for r in sparse["shares"]], [0.5])
        # A hundred of these fit into an archive.
        self.assertLess(len(json.dumps(archive.rounded(dense))), 1300)
        # Networks and masks stay; what is measured anew is the same.
        folder = run / "demand2/links1/seed0"
        self.assertTrue((folder / "plain/mask1.parts/mask.npz").exists())
        again = folder / "plain.json"
        again.unlink()
        config = dataclasses.replace(TINY, output_dir=str(run.parent))
        with mock.patch.object(modular_rnn, "build") as build:
            experiment.carry_out(structural_modularity.EXPERIMENT, config)
        build.assert_not_called()
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

    def test_the_estimate_needs_no_more_pairs_than_there_are_steps(self):
        config = dataclasses.replace(
            TINY, network_steps=1, mask_steps=1, log_steps=1
        )
        phases = stages.phases(config)
        self.assertEqual(set(phases), {"networks", "masks"})
        phases["networks"].work(12)


class ConfigTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("arm", {"arm": "theirs"}, "--arm must be one of ours, text_target, "),
        (
            "control_links",
            {"control_links": (0,)},
            "--control_links must be .*at least 1",
        ),
        ("repeats", {"mask_repeats": 0}, "--mask_repeats must be at least 1"),
        ("shares", {"mask_shares": (0.0,)}, "--mask_shares must be .*above 0"),
        ("dataset", {"dataset": "svhn"}, "--dataset must be one of mnist, dig"),
        ("no_link", {"links": (0,)}, "--links must be .*at least 1, got '0'"),
        (
            "too_many",
            {"links": (1, 37)},
            r"--links .* --units\*\*2 = 36, got 37",
        ),
        ("no_links", {"links": ()}, "--links must be one value or more"),
        ("demand", {"demands": (3,)}, "--demands must be .*one of 2, 4, 8, 10"),
        ("demand_twice", {"demands": (2, 2)}, "--demands must be distinct"),
        ("links_twice", {"links": (1, 1)}, "--links must be distinct"),
        ("link_lrs", {"link_lrs": (0.1,)}, "--link_lrs must be two"),
        ("link_lr", {"link_lrs": (0.1, 0.0)}, "--link_lrs must be .*above 0"),
        ("lr_end", {"lr_end": 0.0}, "--lr_end must be above 0, at most 1"),
        ("lr_end_nan", {"lr_end": math.nan}, "--lr_end"),
        ("network_lr", {"network_lr": math.inf}, "--network_lr"),
        ("mask_lr", {"mask_lr": 0.0}, "--mask_lr must be above 0"),
        ("noise", {"link_noise": -1.0}, "--link_noise must be at least 0"),
        ("momentum", {"mask_momentum": 1.0}, "--mask_momentum .*less than 1"),
        ("share", {"mask_share": 0.0}, "--mask_share must be above 0"),
        ("fit_pairs", {"fit_pairs": 99}, "--fit_pairs must be at least 100"),
        ("test_pairs", {"test_pairs": 10}, "--test_pairs must be at least 100"),
        # One unit has no correlation, and p no range.
        ("units", {"units": 1, "links": (1,)}, "--units must be at least 2"),
        ("bottleneck", {"bottleneck": 0}, "--bottleneck must be at least 1"),
        ("batch", {"batch_size": 0}, "--batch_size must be at least 1"),
        ("log_steps", {"log_steps": 0}, "--log_steps must be at least 1"),
        ("no_steps", {"mask_steps": 0}, "--mask_steps must be at least 1"),
        ("steps", {"mask_steps": 3}, "--mask_steps must be a multiple"),
    )
    def test_refuses(self, changes, message):
        with self.assertRaisesRegex(ValueError, message):
            dataclasses.replace(TINY, **changes)


if __name__ == "__main__":
    tf.test.main()

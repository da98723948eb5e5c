import dataclasses
import functools
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf import WeightMask
from modularity_tf.masking import alpha_search
from reproduce import scan
from reproduce.csordas2021.sequences import scan as scan_stages
from reproduce.csordas2021.sequences import scan_data
from reproduce.running.run import Run
from tests.reproduce import run_test_case

TINY = scan.Config(
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


def one_trial(trial, reference, start):
    """Takes the place of the search, which a network of no use can't end."""
    performance, kept = trial(start)
    tried = {"alpha": start, "performance": performance, "keep_fraction": kept}
    return alpha_search.AlphaSearch(2 * start, reference, 0.95, (tried,))


class MainTest(run_test_case.RunTestCase):
    def setUp(self):
        super().setUp()
        # Eager: that is quicker for a few steps. `sequence_stages_test`
        # trains a mask in the compiled step.
        tf.config.run_functions_eagerly(True)
        self.addCleanup(tf.config.run_functions_eagerly, False)
        fake = functools.partial(short, scan_data.split)
        self.enterContext(mock.patch.object(scan_data, "split", fake))
        self.addCleanup(scan_stages.load.cache_clear)
        self.enterContext(
            mock.patch.object(alpha_search, "search_alpha", one_trial)
        )

    def test_records_figures_and_claims_of_a_small_run(self):
        config = dataclasses.replace(TINY, find_beta=True)
        run, results = self.run_tiny(scan, config, PICTURES)
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
        self.assertEqual(full.shape, (4, len(scan_stages.TOKENS)))
        expected = [
            np.mean(~mine[kept]) if kept.any() else 0
            for kept, mine in zip(full.T, own.T)
        ]
        self.assertAllClose(record["removed"]["addprim_jump"], expected)
        self.assertAlmostEqual(record["beta"], 2 * 1e-2)
        self.assertAllClose(one.provenance["alpha"] * 8, record["beta"])


class PlanTest(tf.test.TestCase):
    def test_every_split_has_two_masks_and_a_network_of_its_own(self):
        run = Run(scan.Config(seeds=(3,)), "test")
        scan_stages.plan(run)
        tasks = ["simple", "length", "addprim_jump", "addprim_turn_left"]
        names = ["network", "scores_dense"]
        for task in tasks:
            for name in (task, f"{task}_again"):
                names += [f"mask_{name}", f"scores_{name}"]
        for task in tasks[1:]:
            names += [f"alone_{task}", f"scores_alone_{task}"]
        self.assertCountEqual(
            run.stages,
            [
                f"{network}/seed3/{name}"
                for network in ("lstm", "transformer")
                for name in names
            ],
        )
        left = run.steps_left()
        self.assertEqual(left["lstm: network"], 4 * 25_000)
        self.assertEqual(left["transformer: masks"], 8 * 25_000)


class SettingsTest(tf.test.TestCase):
    def test_each_network_has_the_papers_penalty(self):
        config = scan.Config()
        lstm, transformer = (
            scan_stages.settings_of(config, name)
            for name in ("lstm", "transformer")
        )
        self.assertAlmostEqual(lstm.alpha, 3e-5 / 256)
        self.assertAlmostEqual(transformer.alpha, 1e-3 / 256)
        self.assertEqual(lstm.teacher_forcing, 0.5)
        self.assertEqual(transformer.teacher_forcing, 1.0)
        self.assertEqual(lstm.optimizer().global_clipnorm, 5.0)

    def test_networks_have_the_sizes_of_the_configuration(self):
        config = dataclasses.replace(TINY, model_size=8, heads=2, inner_size=6)
        lstm, transformer = (
            scan_stages.untrained(config, name, 0)
            for name in ("lstm", "transformer")
        )
        self.assertEqual(lstm.get_layer("encoder_lstm1").units, 4)
        self.assertEqual(transformer.get_layer("encoder3_inner").units, 6)
        self.assertEqual(transformer.output_shape[-1], 7)

    def test_the_longest_command_fits_the_positions(self):
        longest = max(len(e.actions.split()) for e in scan_data.every_example())
        self.assertEqual(longest + 1, scan_stages.POSITIONS)


class ConfigTest(parameterized.TestCase):
    @parameterized.parameters(
        ({"splits": ("jump",)}, "--splits must be .*one of length, .*'jump'"),
        ({"networks": ()}, "--networks must be one value or more"),
        ({"heads": 3}, "--heads=3 must divide --model_size=100"),
        ({"num_samples": 300}, "--mask_batch_size=256 is smaller than"),
        (
            {"find_beta": True, "transformer_beta": 0.0},
            "--find_beta starts at --transformer_beta",
        ),
        ({"teacher_forcing": 1.5}, "--teacher_forcing must be .* at most 1"),
    )
    def test_refuses(self, changes, message):
        with self.assertRaisesRegex(ValueError, message):
            scan.Config(**changes)


if __name__ == "__main__":
    tf.test.main()

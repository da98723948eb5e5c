import dataclasses
from unittest import mock

import tensorflow as tf
from absl.testing import parameterized

from modularity_tf import WeightMask
from modularity_tf.masking import alpha_search
from reproduce import mathematics
from reproduce.csordas2021.sequences import (
    mathematics as mathematics_stages,
)
from reproduce.csordas2021.sequences import mathematics_data
from reproduce.running.run import Run
from tests.reproduce import run_test_case

TINY = mathematics.Config(
    modules=("sort",),
    train_size=20,
    validation_size=4,
    batch_sizes=(4,),
    network_steps=(1,),
    warmup_steps=(3,),
    mask_batch_sizes=(4,),
    mask_steps=(1,),
    mask_lrs=(3.0,),
    betas=(1e-2,),
    num_samples=2,
    log_steps=1,
    model_size=4,
    inner_size=4,
    heads=1,
    layers=1,
)
PICTURES = (
    "alpha_search_sort",
    "fig05_hard",
    "fig17_examples",
    "figA_levels_sort",
)


def one_trial(trial, reference, start):
    """Takes the place of the search, which a network of no use can't end."""
    performance, kept = trial(start)
    tried = {"alpha": start, "performance": performance, "keep_fraction": kept}
    return alpha_search.AlphaSearch(2 * start, reference, 0.95, (tried,))


class MainTest(run_test_case.RunTestCase):
    def test_records_figures_and_claims_of_a_small_run(self):
        # Eager: that is quicker for a few steps. `sequence_stages_test`
        # trains a mask in the compiled step.
        tf.config.run_functions_eagerly(True)
        self.addCleanup(tf.config.run_functions_eagerly, False)
        config = dataclasses.replace(TINY, find_beta=True)
        with mock.patch.object(alpha_search, "search_alpha", one_trial):
            run, results = self.run_tiny(mathematics, config, PICTURES)
        (record,) = results["records"]
        everything, again, easy = (
            WeightMask.load(run / f"sort/seed0/mask_{task}.npz")
            for task in ("all", "all_again", "easy")
        )
        found = record["masks"]["all"]
        self.assertAllClose(found["jaccard"], everything.iou(again))
        self.assertEqual([*found["levels"]], ["easy", "medium", "hard"])
        self.assertAllClose(
            record["masks"]["easy"]["keep_fraction"], easy.keep_fraction
        )
        # Tied to the embedding, the output layer has no mask.
        paths = [p for p in easy.values if "embedding" in p or "output/k" in p]
        self.assertEqual(
            paths, [p for p in paths if p.endswith("attention_output/kernel")]
        )
        self.assertAlmostEqual(record["beta"], 2 * 1e-2)
        self.assertAllClose(4 * easy.provenance["alpha"], record["beta"])
        self.assertEqual(
            [e["level"] for e in record["examples"]],
            ["easy", "easy", "medium", "medium", "hard", "hard"],
        )
        for example in record["examples"]:
            self.assertIn(
                "Sort" if "Sort" in example["question"] else "Put",
                example["question"],
            )
            numbers = sorted(example["answer"].split(", "))
            for number in numbers:
                self.assertIn(number, example["question"])
            self.assertLessEqual(len(example["dense"]), 31)


class PlanTest(tf.test.TestCase):
    def test_every_module_has_the_steps_of_table_1(self):
        run = Run(mathematics.Config(seeds=(0, 1)), "test")
        mathematics_stages.plan(run)
        left = run.steps_left()
        steps = {
            "add_or_sub": (30_000, 30_000),
            "linear_1d": (200_000, 50_000),
            "differentiate": (40_000, 40_000),
            "sort": (30_000, 30_000),
            "collect": (200_000, 50_000),
        }
        for module, (network, mask) in steps.items():
            self.assertEqual(left[f"{module}: network"], 2 * network)
            self.assertEqual(left[f"{module}: masks"], 2 * 4 * mask)


class SettingsTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(
        ("add_or_sub", 256, 256, 2e-5, 0.03, 0),
        ("linear_1d", 512, 400, 1e-6, 0.02, 5000),
        ("differentiate", 128, 128, 1e-5, 0.03, 0),
        ("sort", 256, 256, 3e-6, 0.03, 0),
        ("collect", 128, 256, 1e-6, 0.02, 5000),
    )
    def test_are_those_of_table_1(self, module, size, masks, beta, lr, warmup):
        found = mathematics_stages.settings_of(mathematics.Config(), module)
        self.assertEqual(found.batch_size, size)
        self.assertEqual(found.mask_batch_size, masks)
        self.assertAlmostEqual(found.alpha, beta / masks)
        self.assertEqual(found.mask_lr, lr)
        self.assertEqual(found.num_samples, 8)
        optimizer = found.optimizer()
        config = optimizer.get_config()
        self.assertEqual((config["beta_1"], config["beta_2"]), (0.9, 0.995))
        self.assertEqual(config["epsilon"], 1e-9)
        rate = optimizer._learning_rate
        if warmup:
            rate = rate(warmup)
            self.assertEqual(
                config["learning_rate"]["config"]["decay_steps"], warmup
            )
        self.assertAllClose(rate, 1e-4)

    def test_one_value_is_for_all_modules(self):
        for module in ("sort", "collect"):
            found = mathematics_stages.settings_of(TINY, module)
            self.assertEqual((found.batch_size, found.beta), (4, 1e-2))


class LoadTest(tf.test.TestCase):
    def test_all_levels_are_together_in_train_alone(self):
        train, validation = mathematics_stages.data(TINY, "sort")
        sizes = {level: len(part) for level, part in train.items()}
        self.assertEqual(
            sizes, {"easy": 20, "medium": 20, "hard": 20, "all": 60}
        )
        self.assertEqual([*validation], ["easy", "medium", "hard"])

    def test_a_question_beyond_the_positions_is_refused(self):
        def long(rng, entropy):
            return mathematics_data.Problem("a" * 161 + str(rng.random()), "0")

        with (
            mock.patch.dict(mathematics_data._GENERATORS, {"sort": long}),
            mock.patch.object(mathematics_data, "MAX_QUESTION", 200),
            self.assertRaisesRegex(ValueError, "longer than the network's 161"),
        ):
            mathematics_stages.load.__wrapped__("sort", 2, 2, 0)


class ConfigTest(parameterized.TestCase):
    @parameterized.parameters(
        ({"modules": ("add",)}, "--modules must be .*add_or_sub.*got 'add'"),
        ({"betas": (1e-3, 1e-4)}, "--betas must have 1 value or 5, got 2"),
        ({"mask_batch_sizes": (4,)}, "=4 is smaller than --num_samples=8"),
        ({"heads": 3}, "--heads=3 must divide --model_size=256"),
        ({"betas": (0.0,), "find_beta": True}, "--find_beta starts at --betas"),
        ({"mask_lrs": (0.1, -1.0, 1.0, 1.0, 1.0)}, "--mask_lrs must be"),
    )
    def test_refuses(self, changes, message):
        with self.assertRaisesRegex(ValueError, message):
            mathematics.Config(**changes)


if __name__ == "__main__":
    tf.test.main()

from unittest import mock

import tensorflow as tf
from absl.testing import parameterized

from reproduce.csordas2021.sequences import mathematics, mathematics_data
from reproduce.running.run import Run


class PlanTest(tf.test.TestCase):
    def test_every_module_has_the_steps_of_table_1(self):
        run = Run(mathematics.Config(seeds=(0, 1)), "test")
        mathematics.plan(run)
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


class SubjectTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(
        ("add_or_sub", 256, 256, 2e-5, 0.03, 0),
        ("linear_1d", 512, 400, 1e-6, 0.02, 5000),
        ("differentiate", 128, 128, 1e-5, 0.03, 0),
        ("sort", 256, 256, 3e-6, 0.03, 0),
        ("collect", 128, 256, 1e-6, 0.02, 5000),
    )
    def test_are_those_of_table_1(self, module, size, masks, beta, lr, warmup):
        subject = mathematics.subject_of(mathematics.Config(), 0, module)
        found = subject.settings
        self.assertEqual(found.batch_size, size)
        self.assertEqual(found.mask_batch_size, masks)
        self.assertAlmostEqual(found.alpha, beta / masks)
        self.assertEqual(found.mask_lr, lr)
        self.assertEqual(found.num_samples, 8)
        optimizer = subject.optimizer()
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
            config = mathematics.Config(batch_sizes=(4,), betas=(1e-2,))
            found = mathematics.subject_of(config, 0, module).settings
            self.assertEqual((found.batch_size, found.beta), (4, 1e-2))


class LoadTest(tf.test.TestCase):
    def test_all_levels_are_together_in_train_alone(self):
        train, validation = mathematics.load("sort", 20, 4, 0)
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
            mathematics.load.__wrapped__("sort", 2, 2, 0)


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

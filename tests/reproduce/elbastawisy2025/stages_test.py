import dataclasses

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from reproduce.data import images
from reproduce.elbastawisy2025 import stages
from reproduce.running.run import Run

CONFIG = stages.Config(datasets=("digits",), seeds=(0, 1))


class PlanTest(parameterized.TestCase, tf.test.TestCase):
    def test_a_network_s_steps_are_counted_once_under_its_data_set(self):
        run = Run(CONFIG, "test")
        self.assertLen(stages.plan(run), 2)
        self.assertEqual(run.steps_left()["digits"], 2 * 10_000)
        for seed in (0, 1):
            folder = f"digits/seed{seed}"
            self.assertIn(f"{folder}/sweep", run.stages)
            for method in ("threshold", "bayesian", "relative"):
                for label in range(10):
                    name = f"{folder}/{method}_class{label}"
                    self.assertIn(name, run.stages)

    def test_plans_what_is_asked_for_alone(self):
        run = Run(
            dataclasses.replace(
                CONFIG, methods=("threshold",), experiments=("ablation",)
            ),
            "test",
        )
        stages.plan(run)
        kinds = {name.split("/")[-1].split("_")[0] for name in run.stages}
        self.assertEqual(
            kinds,
            {"network", "statistics", "scores", "calibration", "threshold"},
        )
        self.assertNotIn("digits/seed0/threshold_sharing", run.stages)

    @parameterized.named_parameters(
        ("more_than_there_are", {"score_images": 201}, "must be at most 200"),
        ("a_class_is_missing", {"score_images": 5}, "leaves 0 test images of"),
        (
            "a_class_can_t_be_halved",
            {"score_images": 30, "select_on": "test"},
            "--select_on=test needs 4 or more",
        ),
    )
    def test_refuses(self, changes, message):
        config = dataclasses.replace(CONFIG, **changes)
        with self.assertRaisesRegex(ValueError, message):
            stages.plan(Run(config, "test"))


class ScoreTest(tf.test.TestCase):
    def test_of_logits_that_are_right_but_for_one_class(self):
        data = images.load("digits")
        outputs = 9.0 * np.eye(10)[data.test.labels]
        threes = data.test.labels == 3
        outputs[threes] = 9.0 * np.eye(10)[5]
        found = stages.score(outputs, data)
        self.assertAllClose(found["accuracy"], 1 - threes.mean())
        expected = np.eye(10)
        expected[3] = expected[5]
        self.assertAllClose(found["confusion"], expected)
        self.assertEqual(found["counts"][3], threes.sum())


if __name__ == "__main__":
    tf.test.main()

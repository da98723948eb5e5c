import dataclasses

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from reproduce import neuron_subselection
from reproduce.data import images
from reproduce.elbastawisy2025 import stages
from reproduce.harness.run import Run

CONFIG = neuron_subselection.Config(datasets=("digits",), seeds=(0, 1))


class PlanTest(parameterized.TestCase, tf.test.TestCase):
    def test_a_network_s_steps_are_counted_once_under_its_data_set(self):
        run = Run(CONFIG, "test")
        records = stages.plan(run)
        self.assertEqual([r["seed"] for r in records], [0, 1])
        self.assertEqual(run.steps_left()["digits"], 2 * 10_000)
        methods = records[0]["methods"]
        self.assertLen(methods["threshold"]["ablation"], 10)
        self.assertIn("sweep", records[0])

    def test_plans_what_is_asked_for_alone(self):
        run = Run(
            dataclasses.replace(
                CONFIG, methods=("threshold",), experiments=("ablation",)
            ),
            "test",
        )
        (record, _) = stages.plan(run)
        self.assertNotIn("sweep", record)
        self.assertEqual(set(record["methods"]["threshold"]), {"ablation"})

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

import dataclasses
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from reproduce.csordas2021 import mask_training
from reproduce.running.run import Run
from tests.reproduce.csordas2021 import tiny


class ConfigTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("beta", {"beta": -1.0}, "--beta must be at least 0, finite, got -1.0"),
        ("batch", {"mask_batch_size": 3}, "smaller than --num_samples=4"),
        (
            "steps",
            {"mask_steps": 750},
            "--mask_steps must be a mult.*, got 750",
        ),
    )
    def test_refuses(self, changes, message):
        with self.assertRaisesRegex(ValueError, message):
            dataclasses.replace(mask_training.Config(), **changes)


class PlanTest(tf.test.TestCase):
    def test_stages_lie_in_the_subjects_folder_and_know_their_steps(self):
        run, subject = Run(mask_training.Config(), "test"), tiny.subject()
        network = mask_training.plan_network(run, subject)
        mask_training.plan_mask(run, subject, network, "a", "task")
        found = mask_training.plan_search(run, subject, network)
        self.assertEqual(found, (None, None))
        names = ["tiny/seed3/network", "tiny/seed3/mask_a"]
        self.assertEqual([*run.stages], names)
        self.assertEqual({s.seed for s in run.stages.values()}, {3})
        steps = {"tiny: network": 2, "tiny: masks": 1000}
        self.assertEqual(run.steps_left(), steps)

    def test_a_search_is_planned_if_the_configuration_asks_for_it(self):
        run = Run(mask_training.Config(find_beta=True), "test")
        subject = tiny.subject()
        network = mask_training.plan_network(run, subject)
        search, alpha = mask_training.plan_search(run, subject, network)
        mask = mask_training.plan_mask(run, subject, network, "a", "t", alpha)
        self.assertEqual(search.name, "tiny/seed3/alpha_search")
        self.assertIn(search.name, tiny.ancestors(mask))


class FindAlphaTest(tf.test.TestCase):
    def test_every_trial_is_a_substage_of_as_many_steps_as_a_mask(self):
        planned = []

        class Stage:
            def substage(self, name, function, alpha, steps):
                planned.append((name, steps))
                return function(self, alpha)

        mask = mock.Mock(keep_fraction=0.5)
        performances = iter((1.0, 1.0, 0.1, 0.1))
        subject = tiny.subject(performance=lambda model: next(performances))
        with mock.patch.object(mask_training, "train_mask", return_value=mask):
            found = mask_training.find_alpha(Stage(), subject, None)
        self.assertEqual(found["alpha"], 0.02 / 10)
        self.assertEqual(found["reference"], 1.0)
        self.assertLen(found["trials"], 3)
        self.assertEqual({steps for _, steps in planned}, {1000})
        self.assertLen({name for name, _ in planned}, 3)


class PredictTest(tf.test.TestCase):
    def test_is_the_argmax_in_whatever_batches(self):
        inputs = np.random.default_rng(0).normal(size=(11, 4, 5))
        found = mask_training.predict(lambda x: x, inputs, batch_size=3)
        self.assertAllEqual(found, inputs.astype("float32").argmax(-1))


if __name__ == "__main__":
    tf.test.main()

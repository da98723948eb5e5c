import dataclasses
import os
import tempfile
from unittest import mock

import tensorflow as tf

from reproduce.bena2021 import stages
from reproduce.data import images
from reproduce.harness.run import Run
from tests.reproduce.bena2021.tiny import CONFIG, SETTING


class StructureStagesTest(tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.data = images.load_once("digits")
        cls.task = stages.draw_task(CONFIG, 4, 0)

    def test_readouts_and_masks_are_fitted_on_training_images(self):
        self.assertIs(self.task.test.images, self.data.test.images)
        for part in self.task[:3]:
            self.assertIs(part.images, self.data.train.images)
        sizes = [len(part.rows) for part in self.task]
        self.assertEqual(sizes, [8 * 16, 2 * 16, 100, 150])
        self.assertNotAllEqual(self.task.masks.rows[:9], self.task.fit.rows[:9])

    def test_changes_of_the_optimizer_are_controls(self):
        def optimizer(kind):
            return stages.compiled(CONFIG, SETTING, kind).optimizer

        plain = optimizer(stages.PLAIN)
        self.assertTrue(plain.rewire)
        self.assertGreater(plain.noise, 0)
        fixed = optimizer(stages.CONTROLS["no_rewiring"])
        self.assertFalse(fixed.rewire)
        self.assertEqual(fixed.noise, plain.noise)
        still = optimizer(stages.CONTROLS["no_walk"])
        self.assertTrue(still.rewire)
        self.assertEqual(still.noise, 0)

    def test_an_epoch_is_a_whole_number_of_calls(self):
        for steps, expected in ((2, 1), (200, 25), (234, 26), (127, 1)):
            config = dataclasses.replace(
                CONFIG,
                log_steps=steps,
                network_steps=steps,
                bottleneck_steps=steps,
                mask_steps=steps,
            )
            network = stages.compiled(config, SETTING)
            self.assertEqual(network.steps_per_execution, expected)

    def test_links_wake_and_shrink_as_the_flags_say(self):
        config = dataclasses.replace(CONFIG, link_gentle_wake=True, link_l1=0.5)
        for settings, gentle, l1 in ((CONFIG, False, 0.0), (config, True, 0.5)):
            optimizer = stages.compiled(settings, SETTING).optimizer
            self.assertEqual(optimizer.gentle_wake, gentle)
            self.assertEqual(optimizer.l1, l1)


class PlanTest(tf.test.TestCase):
    def planned(self, **changes):
        run = Run(dataclasses.replace(CONFIG, **changes), "test")
        return run, stages.plan(run)

    def test_all_demands_links_and_seeds_are_planned(self):
        _, records = self.planned(demands=(8, 2), links=(36, 1), seeds=(3, 4))
        found = [(r["demand"], r["links"], r["seed"]) for r in records]
        self.assertLen(set(found), 8)
        self.assertEqual(found[0], (8, 1, 3))
        # Controls on the sparsest network of the least demand.
        checked = [f for f, r in zip(found, records) if "controls" in r]
        self.assertEqual(checked, [(2, 1, 3), (2, 1, 4)])
        _, records = self.planned(controls=False)
        self.assertNotIn("controls", records[0])

    def test_steps_are_those_of_networks_and_masks(self):
        run, _ = self.planned()
        # Plain and two controls, a bottleneck; two pairs of masks.
        self.assertEqual(
            run.steps_left(),
            {"networks": 3 * 4 + 8, "masks": 4 * 2, None: 0},
        )

    def test_planning_touches_no_disk_and_trains_nothing(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        with mock.patch.object(stages.modular_rnn, "build") as build:
            self.planned(output_dir=folder + "/runs")
        build.assert_not_called()
        self.assertEmpty(os.listdir(folder))


if __name__ == "__main__":
    tf.test.main()

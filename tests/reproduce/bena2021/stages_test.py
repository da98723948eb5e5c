import dataclasses
import os
import tempfile
from unittest import mock

import numpy as np
import tensorflow as tf

from reproduce.bena2021 import measures, modular_rnn, stages
from reproduce.running.run import Run
from tests.reproduce.bena2021.tiny import CONFIG, subject


class StopAtTest(tf.test.TestCase):
    def test_training_stops_on_images_that_it_does_not_train_on(self):
        task = subject(arm="early_stop").task
        images_of = [
            {x.tobytes() for x in part.images}
            for part in (task.train, task.stop)
        ]
        self.assertGreater(len(images_of[0]), 10 * len(images_of[1]))
        self.assertEmpty(images_of[0] & images_of[1])
        model, logits = mock.Mock(), np.zeros((len(task.stop.rows), 10))
        logits[np.arange(len(logits)), task.stop.targets] = 1.0
        for right, stops in ((len(logits), True), (len(logits) // 2, False)):
            logits[right:] = 0.0
            logits[right:, 0] = 1.0
            callback = stages.StopAt(0.9, task.stop)
            callback.set_model(model)
            with mock.patch.object(measures, "predict", return_value=logits):
                callback.on_epoch_end(0)
            self.assertEqual(model.stop_training, stops)


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
        for key in ("untrained", "shares"):
            self.assertEqual([key in r for r in records].count(True), 2)
            self.assertIn(key, records[found.index((2, 1, 3))])
        _, records = self.planned(controls=False)
        for key in ("controls", "untrained", "shares"):
            self.assertNotIn(key, records[0])

    def test_links_train_in_other_ways_where_it_is_asked(self):
        _, records = self.planned(links=(2, 8, 36), control_links=(1, 36))
        self.assertEqual(
            ["controls" in r for r in records], [True, False, True]
        )
        found = ["untrained" in r for r in records]
        self.assertEqual(found, [True, False, False])

    def test_steps_are_those_of_networks_and_masks(self):
        run, _ = self.planned()
        # Plain and four controls, a bottleneck; pairs of masks: plain,
        # untrained, two shares.
        self.assertEqual(
            run.steps_left(),
            {"networks": 5 * 4 + 8, "masks": 4 * 4, None: 0},
        )
        run, _ = self.planned(
            controls=False, mask_repeats=3, mask_open_links=True
        )
        self.assertEqual(run.steps_left()["masks"], 2 * 3 * 4)

    def test_planning_touches_no_disk_and_trains_nothing(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        with mock.patch.object(modular_rnn, "build") as build:
            self.planned(output_dir=folder + "/runs")
        build.assert_not_called()
        self.assertEmpty(os.listdir(folder))


if __name__ == "__main__":
    tf.test.main()

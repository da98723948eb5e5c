import dataclasses
import os
import tempfile
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

from reproduce.bena2021 import stages
from reproduce.data import images
from reproduce.running.run import Run
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
        self.assertIsNone(self.task.stop)
        sizes = [len(part.rows) for part in self.task[:4]]
        self.assertEqual(sizes, [8 * 16, 2 * 16, 100, 150])
        self.assertNotAllEqual(self.task.masks.rows[:9], self.task.fit.rows[:9])

    def test_changes_of_the_optimizer_are_controls(self):
        def optimizer(control):
            kind = stages.Kind(control=control)
            return stages.optimizer_of(CONFIG, 3, kind)

        plain = optimizer("")
        self.assertTrue(plain.rewire)
        self.assertFalse(plain.gentle_wake)
        self.assertGreater(plain.noise, 0)
        fixed = optimizer("no_rewiring")
        self.assertFalse(fixed.rewire)
        self.assertEqual(fixed.noise, plain.noise)
        still = optimizer("no_walk")
        self.assertTrue(still.rewire)
        self.assertEqual(still.noise, 0)
        gentle = optimizer("gentle_wake")
        self.assertTrue(gentle.gentle_wake)
        self.assertEqual(gentle.noise, plain.noise)
        earliest, p = optimizer("earliest"), 3 / 36
        rate = float(earliest.learning_rate)
        self.assertAllClose(earliest.noise, 1e-4 * (1 - p) * rate)
        self.assertEqual(earliest.l1, 1e-4)

    def test_table_1_trains_modules_with_adadelta_on_standardized_pixels(self):
        config = dataclasses.replace(CONFIG, arm="table1")
        modules = stages.optimizer_of(config, 3).optimizer
        self.assertIsInstance(modules, keras.optimizers.Adadelta)
        modules = modules.get_config()
        found = [modules[key] for key in ("learning_rate", "rho", "epsilon")]
        self.assertAllClose(found, [0.5, 0.9, 1e-6])
        rates = [
            float(stages.optimizer_of(config, links).learning_rate)
            for links in (1, 6, 36)
        ]
        self.assertAllClose(rates, [0.1, 0.1**1.5, 0.01])
        network = stages.untrained(config, SETTING)
        self.assertAllClose(network.get_layer("rescaling0").scale * 255, 3.2457)

    def test_gammas_are_decays_after_every_epoch(self):
        config = dataclasses.replace(CONFIG, arm="gammas")
        optimizer = stages.optimizer_of(config, 36)
        for each, start, decay in (
            (optimizer, 0.01, 0.95),
            (optimizer.optimizer, 3e-3, 0.9),
        ):
            rate = each.get_config()["learning_rate"]
            rate = keras.optimizers.schedules.deserialize(rate)
            found = [float(rate(step)) for step in (0, 1, 2, 5)]
            powers = [0, 0, 1, 2]  # an epoch has two steps
            self.assertAllClose(found, [start * decay**n for n in powers])

    def test_arms_change_how_the_network_is_built(self):
        def built(arm):
            config = dataclasses.replace(CONFIG, arm=arm)
            return stages.untrained(config, SETTING)

        self.assertLen(built("ours").trainable_variables, 12)
        frozen = built("frozen")
        self.assertLen(frozen.trainable_variables, 8)
        self.assertFalse(frozen.get_layer("readout0").trainable)
        into = [built(a).get_layer("modules") for a in ("ours", "state_input")]
        self.assertEqual([m.links_into for m in into], ["input", "state"])

    def test_training_stops_on_images_that_it_does_not_train_on(self):
        config = dataclasses.replace(CONFIG, arm="early_stop")
        task = stages.draw_task(config, 2, 0)
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
            with mock.patch.object(
                stages.measures, "predict", return_value=logits
            ):
                callback.on_epoch_end(0)
            self.assertEqual(model.stop_training, stops)

    def test_a_network_that_another_repeat_has_trained_starts_anew(self):
        def trained(seed):
            setting = SETTING._replace(seed=seed)
            network = stages.compiled(CONFIG, setting)
            network.fit(
                stages.parity_mnist.batches(self.task.train, 16),
                verbose=0,
                shuffle=False,
            )
            links = stages.measures.links_kept(network)
            return network, links, network.get_weights()

        network, links, weights = trained(1)
        again, *others = trained(2)
        self.assertIs(again, network)
        self.assertNotAllClose(others[1][0], weights[0])
        _, same, repeated = trained(1)
        self.assertEqual(same, links)
        for one, other in zip(weights, repeated, strict=True):
            self.assertAllClose(one, other, rtol=1e-4, atol=1e-6)

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

    def test_links_wake_and_shrink_as_arm_and_flag_say(self):
        config = dataclasses.replace(CONFIG, arm="gentle_wake", link_l1=0.5)
        for settings, gentle, l1 in ((CONFIG, False, 0.0), (config, True, 0.5)):
            optimizer = stages.optimizer_of(settings, 3)
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
        with mock.patch.object(stages.modular_rnn, "build") as build:
            self.planned(output_dir=folder + "/runs")
        build.assert_not_called()
        self.assertEmpty(os.listdir(folder))


if __name__ == "__main__":
    tf.test.main()

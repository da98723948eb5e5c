import dataclasses
import os
import tempfile
from unittest import mock

import numpy as np
import tensorflow as tf

from modularity_tf.structure import specialization
from reproduce import structural_modularity
from reproduce.bena2021 import stages
from reproduce.data import images
from reproduce.harness.run import Run

CONFIG = structural_modularity.Config(
    dataset="digits",
    links=(3,),
    units=6,
    bottleneck=2,
    batch_size=16,
    network_steps=4,
    bottleneck_steps=8,
    mask_steps=2,
    fit_pairs=100,
    test_pairs=150,
    log_steps=2,
)
SETTING = stages.Setting(2, 3, 0)


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

    def test_responses_are_those_of_the_layers(self):
        network = stages.untrained(CONFIG, SETTING, stages.BOTTLENECK)
        found = stages.responses(network, self.task.test)
        images_of = self.task.test.images[self.task.test.rows].astype("float32")
        expected = network([images_of[:, 0], images_of[:, 1]])
        self.assertAllClose(found["decision"], expected, atol=1e-5)
        for n in stages.MODULES:
            self.assertEqual(found[f"states{n}"].shape, (150, 6))
            kernel, bias = network.get_layer(f"bottleneck{n}").get_weights()
            self.assertAllClose(
                found[f"bottleneck{n}"],
                found[f"states{n}"] @ kernel + bias,
                atol=1e-5,
            )

    def test_accuracy_is_the_share_of_right_decisions(self):
        logits = np.eye(3)[[0, 1, 2, 2]]
        self.assertEqual(stages.accuracy(logits, [0, 1, 1, 2]), 0.75)

    def test_only_living_weights_between_hidden_units_and_readouts_compete(
        self,
    ):
        network = stages.untrained(CONFIG, SETTING)
        compete, module_of = stages.candidates(network)
        counts = {p: int(v.sum()) for p, v in compete.values.items()}
        for n in stages.MODULES:
            own = {
                f"modules/module{n}/recurrent_kernel": 36,
                f"modules/link_{1 - n}_{n}/connection_strength": 3,
                f"readout{n}/kernel": 60,
            }
            self.assertEqual({p: counts[p] for p in own}, own)
            self.assertEqual({module_of[path] for path in own}, {n})
        self.assertLen(counts, 6)
        self.assertEqual(stages.alive(network), 6)

    def test_structure_is_that_of_the_hidden_units_graph(self):
        network = stages.untrained(CONFIG, SETTING)
        found = stages.structure(network)
        analytic = specialization.structural_modularity(3 / 36)
        self.assertAllClose(found["q"], analytic, rtol=1e-6)
        self.assertNotAllClose(found["q"], found["q_weighted"])
        # A heavier link from 0 to 1 weighs on the weighted Q alone.
        link = network.get_layer("modules").link(0, 1).connection_strength
        link.assign(10 * link)
        heavier = stages.structure(network)
        self.assertEqual(heavier["q"], found["q"])
        self.assertLess(heavier["q_weighted"], found["q_weighted"])

    def test_the_graph_has_links_in_the_direction_they_go(self):
        network = stages.untrained(CONFIG, SETTING)
        modules = network.get_layer("modules")
        found = stages.adjacency(network)
        for m, n in ((0, 1), (1, 0)):
            rows, columns = (slice(6 * i, 6 * i + 6) for i in (m, n))
            sent = np.abs(modules.link(m, n).kernel)
            self.assertAllEqual(found[rows, columns], sent)
            own = np.abs(modules.cells[m].recurrent_kernel)
            self.assertAllEqual(found[rows, rows], own)

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

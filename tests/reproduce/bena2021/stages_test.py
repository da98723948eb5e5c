import numpy as np
import tensorflow as tf

from modularity_tf.structure import specialization
from reproduce import structural_modularity
from reproduce.bena2021 import stages
from reproduce.data import images

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
        cls.data = images.load("digits")
        cls.task = stages.draw_task(CONFIG, cls.data, 4, 0)

    def test_readouts_and_masks_are_fitted_on_training_images(self):
        self.assertIs(self.task.test.images, self.data.test.images)
        for part in self.task[:3]:
            self.assertIs(part.images, self.data.train.images)
        sizes = [len(part.rows) for part in self.task]
        self.assertEqual(sizes, [8 * 16, 2 * 16, 100, 150])
        self.assertNotAllEqual(self.task.masks.rows[:9], self.task.fit.rows[:9])

    def test_responses_are_those_of_the_layers(self):
        network = stages.untrained(CONFIG, self.data, SETTING, 2)
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
        network = stages.untrained(CONFIG, self.data, SETTING)
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
        network = stages.untrained(CONFIG, self.data, SETTING)
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
        network = stages.untrained(CONFIG, self.data, SETTING)
        modules = network.get_layer("modules")
        found = stages.adjacency(network)
        for m, n in ((0, 1), (1, 0)):
            rows, columns = (slice(6 * i, 6 * i + 6) for i in (m, n))
            sent = np.abs(modules.link(m, n).kernel)
            self.assertAllEqual(found[rows, columns], sent)
            own = np.abs(modules.cells[m].recurrent_kernel)
            self.assertAllEqual(found[rows, rows], own)

    def test_changes_of_the_optimizer_are_controls(self):
        def optimizer(**kwargs):
            network = stages.untrained(CONFIG, self.data, SETTING, **kwargs)
            return network.optimizer

        self.assertTrue(optimizer().rewire)
        self.assertGreater(optimizer().noise, 0)
        self.assertFalse(optimizer(rewire=False).rewire)
        self.assertEqual(optimizer(walk=False).noise, 0)


if __name__ == "__main__":
    tf.test.main()

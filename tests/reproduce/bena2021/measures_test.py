import numpy as np
import tensorflow as tf

from modularity_tf.structure import specialization
from reproduce.bena2021 import measures, stages
from tests.reproduce.bena2021.tiny import CONFIG, SETTING


class MeasuresTest(tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.task = stages.draw_task(CONFIG, 4, 0)

    def test_responses_are_those_of_the_layers(self):
        network = stages.untrained(CONFIG, SETTING, stages.BOTTLENECK)
        found = measures.responses(network, self.task.test)
        images_of = self.task.test.images[self.task.test.rows].astype("float32")
        expected = network([images_of[:, 0], images_of[:, 1]])
        self.assertAllClose(found["decision"], expected, atol=1e-5)
        for n in measures.MODULES:
            self.assertEqual(found[f"states{n}"].shape, (150, 6))
            kernel, bias = network.get_layer(f"bottleneck{n}").get_weights()
            self.assertAllClose(
                found[f"bottleneck{n}"],
                found[f"states{n}"] @ kernel + bias,
                atol=1e-5,
            )

    def test_accuracy_is_the_share_of_right_decisions(self):
        logits = np.eye(3)[[0, 1, 2, 2]]
        self.assertEqual(measures.accuracy(logits, [0, 1, 1, 2]), 0.75)

    def test_only_living_weights_between_hidden_units_and_readouts_compete(
        self,
    ):
        network = stages.untrained(CONFIG, SETTING)
        compete, module_of = measures.candidates(network)
        counts = {p: int(v.sum()) for p, v in compete.values.items()}
        for n in measures.MODULES:
            own = {
                f"modules/module{n}/recurrent_kernel": 36,
                f"modules/link_{1 - n}_{n}/connection_strength": 3,
                f"readout{n}/kernel": 60,
            }
            self.assertEqual({p: counts[p] for p in own}, own)
            self.assertEqual({module_of[path] for path in own}, {n})
        self.assertLen(counts, 6)
        self.assertEqual(measures.alive(network), 6)

    def test_states_that_do_not_vary_have_no_measure(self):
        states = {f"states{n}": np.ones((150, 6)) for n in measures.MODULES}
        found = measures.state_measures(states, self.task, seed=0)
        nothing = [[None, None], [None, None]]
        self.assertEqual(found["correlation"], nothing)
        self.assertEqual(found["cka_distance"], nothing)

    def test_structure_is_that_of_the_hidden_units_graph(self):
        network = stages.untrained(CONFIG, SETTING)
        found = measures.structure(network)
        analytic = specialization.structural_modularity(3 / 36)
        self.assertAllClose(found["q"], analytic, rtol=1e-6)
        self.assertNotAllClose(found["q"], found["q_weighted"])
        # A heavier link from 0 to 1 weighs on the weighted Q alone.
        link = network.get_layer("modules").link(0, 1).connection_strength
        link.assign(10 * link)
        heavier = measures.structure(network)
        self.assertEqual(heavier["q"], found["q"])
        self.assertLess(heavier["q_weighted"], found["q_weighted"])

    def test_the_graph_has_links_in_the_direction_they_go(self):
        network = stages.untrained(CONFIG, SETTING)
        modules = network.get_layer("modules")
        found = measures.adjacency(network)
        for m, n in ((0, 1), (1, 0)):
            rows, columns = (slice(6 * i, 6 * i + 6) for i in (m, n))
            sent = np.abs(modules.link(m, n).kernel)
            self.assertAllEqual(found[rows, columns], sent)
            own = np.abs(modules.cells[m].recurrent_kernel)
            self.assertAllEqual(found[rows, rows], own)


if __name__ == "__main__":
    tf.test.main()

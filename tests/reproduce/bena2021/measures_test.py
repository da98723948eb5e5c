import numpy as np
import tensorflow as tf

from modularity_tf.findings import weight_mask
from modularity_tf.structure import specialization
from reproduce.bena2021 import measures
from reproduce.bena2021.subject import BOTTLENECK, PLAIN
from tests.reproduce.bena2021.tiny import subject


def scale_links(network, factor):
    """Multiplies the strengths of all links."""
    for n in measures.MODULES:
        link = network.get_layer("modules").link(n, 1 - n)
        link.connection_strength.assign(factor * link.connection_strength)


class MeasuresTest(tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.task = subject(demand=4).task

    def test_responses_are_those_of_the_layers(self):
        network = subject().network(BOTTLENECK)
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
        network = subject().network()
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
        compete, _ = measures.candidates(network, links=False)
        self.assertLen(compete.values, 4)
        self.assertFalse([path for path in compete.values if "link" in path])

    def masks(self, network, shares):
        """Returns masks that keep so many readout weights of each module."""
        digits = []
        for counts in shares:
            values = {
                path: np.zeros_like(kept)
                for path, kept in measures.candidates(network)[0].values.items()
            }
            for n, count in enumerate(counts):
                values[f"readout{n}/kernel"].flat[:count] = True
            mask = weight_mask.WeightMask(values)
            digits.append({"mask": mask, "accuracy": 0.5 + 0.1 * len(digits)})
        return digits

    def test_shares_of_masks_are_means_over_repeats(self):
        network = subject().network()
        repeats = [((8, 2), (2, 8)), ((6, 4), (4, 6))]
        masks = [self.masks(network, shares) for shares in repeats]
        found = measures.mask_measures(network, masks[:1])
        self.assertAllClose(found["mask"], [[0.8, 0.2], [0.2, 0.8]])
        self.assertIsNone(found["mask_sd"])
        self.assertAllClose(found["mask_accuracy"], [0.5, 0.6])
        found = measures.mask_measures(network, masks)
        self.assertAllClose(found["mask"], [[0.7, 0.3], [0.3, 0.7]])
        self.assertAllClose(found["mask_sd"], [0.4 / np.sqrt(2)] * 2)

    def test_a_mask_of_one_module_is_not_one_of_random_halves(self):
        network = subject().network()
        masks = self.masks(network, ((60, 0), (0, 60)))
        limit = measures.permuted_masks(masks, seed=0)
        # Six of twelve units in either half: 0 on average, at most 1.
        self.assertGreater(limit, 0.1)
        self.assertLess(limit, 1.0)
        self.assertEqual(limit, measures.permuted_masks(masks, seed=0))
        same = self.masks(network, ((60, 60), (60, 60)))
        self.assertAllClose(measures.permuted_masks(same, seed=0), 0.0)

    def test_a_weight_counts_to_the_unit_that_it_feeds_or_is_read_from(self):
        network = subject().network()
        values = {
            path: np.zeros_like(kept)
            for path, kept in measures.candidates(network)[0].values.items()
        }
        values["modules/module0/recurrent_kernel"][:, 2] = True
        values["modules/link_1_0/connection_strength"][4, 3] = True
        values["readout1/kernel"][5] = True
        found = measures._unit_counts(weight_mask.WeightMask(values))
        expected = np.zeros(12)
        expected[[2, 3, 11]] = 6, 1, 10
        self.assertAllEqual(found, expected)

    def test_states_of_random_halves_are_less_specialized(self):
        rng = np.random.default_rng(0)
        codes = rng.normal(size=(10, 6))
        found = {
            f"states{n}": codes[self.task.test.labels(n)]
            for n in measures.MODULES
        }
        own = measures.state_measures(found, self.task, seed=0)["correlation"]
        own = np.mean(
            specialization.specialization(
                np.diagonal(own), np.diagonal(np.fliplr(own))
            )
        )
        limit = measures.permuted_states(found, self.task, seed=0)
        self.assertLess(limit, own)
        alike = {f"states{n}": np.ones((150, 6)) for n in measures.MODULES}
        self.assertIsNone(measures.permuted_states(alike, self.task, seed=0))

    def test_the_message_is_the_others_residue_on_held_out_pairs(self):
        rng = np.random.default_rng(0)
        fit, test = (
            {
                "states0": np.eye(4)[part.labels(1) % 4],
                "states1": rng.normal(size=(len(part.rows), 4)),
            }
            for part in (self.task.fit, self.task.test)
        )
        found = measures.message_accuracy(fit, test, self.task, 4)
        self.assertEqual(found[0], 1.0)
        self.assertLess(found[1], 0.6)

    def test_the_most_certain_module_answers(self):
        readouts = np.zeros((2, 150, 10))
        readouts[0, :, 4] = 2.0
        readouts[1, :, 7] = 1.0
        readouts[1, :30] *= 3
        readouts[1, 30:, 7] = -9.0
        self.assertAllClose(measures.answered(readouts), [0.8, 0.2])

    def test_a_misled_module_is_told_of_other_images(self):
        pairs = self.task.test
        order = np.roll(np.arange(150), 1)
        rows = np.stack([pairs.rows[:, 0], pairs.rows[order, 1]], axis=1)
        for kind in (PLAIN, BOTTLENECK):
            network = subject().network(kind)
            scale_links(network, 20)
            true, mixed = (
                measures.responses(network, pairs._replace(rows=part))
                for part in (pairs.rows, rows)
            )
            found = measures.misled_readouts(network, pairs, order, 0)
            self.assertAllClose(found[0], mixed["readout0"], atol=1e-5)
            # Module 1 sees its own image, and is told of what module 0 made.
            for part in (true, mixed):
                self.assertNotAllClose(found[1], part["readout1"], atol=1e-3)
            same = measures.misled_readouts(network, pairs, np.arange(150), 1)
            for n in measures.MODULES:
                self.assertAllClose(same[n], true[f"readout{n}"], atol=1e-5)
            # Without links out of it module 0 misleads nobody.
            out = network.get_layer("modules").link(0, 1)
            out.connection_strength.assign(0 * out.connection_strength)
            true = measures.responses(network, pairs)
            found = measures.misled_readouts(network, pairs, order, 0)
            self.assertAllClose(found[1], true["readout1"], atol=1e-5)

    def test_a_network_that_is_told_nothing_is_not_misled(self):
        network = subject().network()
        scale_links(network, 0)
        pairs = self.task.test
        logits = measures.predict(network, pairs)
        right = np.argmax(logits, axis=1) == pairs.targets
        for found in measures.accuracy_if_misled(network, pairs, seed=0):
            # Some pairs are left out, with digits that are not allowed.
            self.assertAlmostEqual(found, np.mean(right), delta=0.1)

    def test_readouts_are_fitted_several_times(self):
        rng = np.random.default_rng(0)
        fit, test = (
            {
                "bottleneck0": np.eye(10)[part.labels(0)],
                "bottleneck1": rng.normal(size=(len(part.rows), 5)),
            }
            for part in (self.task.fit, self.task.test)
        )
        found = measures.bottleneck_measures(fit, test, self.task)
        self.assertEqual(found["bottleneck"][0][0], 1.0)
        self.assertLess(found["bottleneck"][1][1], 0.6)
        certain, uncertain = found["bottleneck_sd"]
        self.assertLess(certain, uncertain)

    def test_what_becomes_of_links_is_read_from_the_optimizer(self):
        network = subject().compiled()
        network.optimizer.build(network.trainable_variables)
        optimizer = network.optimizer
        optimizer.iterations.assign(10)
        optimizer.rewired.assign(4)
        ages = [v for v in optimizer.variables if v.path.endswith("_age")]
        for age in ages:  # of six links, five are as old as training
            age.assign(np.full(age.shape, 10.0))
        on = np.argwhere(network.get_layer("modules").link(1, 0).kernel)[0]
        value = ages[1].numpy()
        value[*on] = 4.0
        ages[1].assign(value)
        self.assertAllClose(
            measures.links_kept(network),
            {"steps": 10, "rewired": 4, "original": 5 / 6, "age": 0.9},
        )

    def test_states_that_do_not_vary_have_no_measure(self):
        states = {f"states{n}": np.ones((150, 6)) for n in measures.MODULES}
        found = measures.state_measures(states, self.task, seed=0)
        nothing = [[None, None], [None, None]]
        self.assertEqual(found["correlation"], nothing)
        self.assertEqual(found["cka_distance"], nothing)

    def test_structure_is_that_of_the_hidden_units_graph(self):
        network = subject().network()
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
        network = subject().network()
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

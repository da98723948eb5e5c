import keras
import tensorflow as tf

from reproduce.bena2021 import measures
from reproduce.bena2021.subject import Kind, Mask
from tests.reproduce.bena2021.tiny import subject


class SubjectTest(tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.data = subject().data
        cls.task = subject(demand=4).task

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
            return subject().optimizer(Kind(control=control))

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
        modules = subject(arm="table1").optimizer().optimizer
        self.assertIsInstance(modules, keras.optimizers.Adadelta)
        modules = modules.get_config()
        found = [modules[key] for key in ("learning_rate", "rho", "epsilon")]
        self.assertAllClose(found, [0.5, 0.9, 1e-6])
        rates = [
            float(subject(links=n, arm="table1").optimizer().learning_rate)
            for n in (1, 6, 36)
        ]
        self.assertAllClose(rates, [0.1, 0.1**1.5, 0.01])
        network = subject(arm="table1").network()
        self.assertAllClose(network.get_layer("rescaling0").scale * 255, 3.2457)

    def test_gammas_are_decays_after_every_epoch(self):
        optimizer = subject(links=36, arm="gammas").optimizer()
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
        ours, frozen, state = (
            subject(arm=arm).network()
            for arm in ("ours", "frozen", "state_input")
        )
        self.assertLen(ours.trainable_variables, 12)
        self.assertLen(frozen.trainable_variables, 8)
        self.assertFalse(frozen.get_layer("readout0").trainable)
        into = [network.get_layer("modules") for network in (ours, state)]
        self.assertEqual([m.links_into for m in into], ["input", "state"])

    def test_a_network_trains_as_its_seed_says(self):
        def trained(seed):
            network = subject(seed=seed).compiled()
            network.run_eagerly = True  # two steps: tracing takes longer
            batches = subject().batches(self.task.train)
            network.fit(batches(0, 2), verbose=0, shuffle=False)
            return measures.links_kept(network), network.get_weights()

        (links, weights), (_, others), (same, again) = map(trained, (1, 2, 1))
        self.assertNotAllClose(others[0], weights[0])
        self.assertEqual(same, links)
        for one, other in zip(weights, again, strict=True):
            self.assertAllClose(one, other, rtol=1e-4, atol=1e-6)

    def test_scores_start_as_their_seed_says(self):
        network, which = subject().network(), Mask(0.1, False, 0, 0)
        first, second, again = (
            subject().scored(network, which, seed).get_weights()
            for seed in (1, 2, 1)
        )
        self.assertNotAllClose(first[0], second[0])
        self.assertAllClose(first[0], again[0])

    def test_an_epoch_is_a_whole_number_of_calls(self):
        for steps, expected in ((2, 1), (200, 25), (234, 26), (127, 1)):
            names = ("log", "network", "bottleneck", "mask")
            changes = {f"{name}_steps": steps for name in names}
            network = subject(**changes).compiled()
            self.assertEqual(network.steps_per_execution, expected)

    def test_links_wake_and_shrink_as_arm_and_flag_say(self):
        changed = {"arm": "gentle_wake", "link_l1": 0.5}
        for changes, gentle, l1 in (({}, False, 0.0), (changed, True, 0.5)):
            optimizer = subject(**changes).optimizer()
            self.assertEqual(optimizer.gentle_wake, gentle)
            self.assertEqual(optimizer.l1, l1)


if __name__ == "__main__":
    tf.test.main()

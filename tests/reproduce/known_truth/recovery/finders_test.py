import types

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.planted import (
    agreement,
    at_least,
    make_boolean,
    make_few_rows,
    parity,
    score,
)
from reproduce.known_truth.recovery import cases, finders

CONFIG = types.SimpleNamespace(examples=64, popup_epochs=1, mask_steps=40)
SMALL = make_boolean([(0, at_least(3, 2)), (1, parity(4))], unread=2)


class FindTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters("random", "magnitude", "gradient", "ablation")
    def test_scores_are_of_every_weight_and_have_no_threshold(self, method):
        scores, told = finders.find(CONFIG, SMALL, 0, method, seed=0)
        self.assertEqual([*scores], ["hidden/kernel", "output/kernel"])
        self.assertEqual(told, {})
        found = score(scores, SMALL)
        self.assertIsNone(found.recall)
        if method == "ablation":  # alone, it tells this truth
            self.assertEqual(found.average_precision, 1.0)

    def test_masks_have_scores_a_threshold_and_settings(self):
        settings = {"alpha": 1e-4, "initial_keep_probability": 0.97}
        mask, told = finders.find(CONFIG, SMALL, 0, "mask", 0, settings)
        for path, flags in mask.values.items():
            self.assertAllEqual(flags, mask.scores[path] >= settings["alpha"])
        for key, value in settings.items():
            self.assertAllClose(told[finders.SETTINGS[key]], value)

    def test_handed_over_whole_examples_are_held_out_by_find_weights(self):
        planted = make_few_rows(40, inputs=8)
        data, validation = finders.examples(CONFIG, planted, 0, 0, True)
        self.assertIsNone(validation)
        self.assertLen(data[1], 40)
        _, validation = finders.examples(CONFIG, planted, 0, 0, False)
        self.assertLen(validation[1], 20)
        mask, told = finders.find(
            CONFIG, planted, 0, "mask", 0, {"alpha": 1e-4}, whole=True
        )
        self.assertEqual([*mask.values], ["hidden/kernel", "output/kernel"])
        self.assertGreater(told["seconds"], 0)
        self.assertIn(told["warned"], (True, False))

    def test_edge_popup_keeps_as_many_as_are_needed(self):
        kept, _ = finders.find(CONFIG, SMALL, 0, "edge_popup", seed=0)
        needed = SMALL.weights(0, "needed")
        wanted, found = (
            sum(flags.sum() for flags in part.values())
            for part in (needed, kept.values)
        )
        self.assertEqual(found, wanted)
        for path, flags in kept.values.items():
            self.assertEqual(kept.scores[path].shape, flags.shape)

    def test_neurons_are_those_of_the_class_with_a_1_for_an_answer(self):
        found = finders.find_neurons(CONFIG, SMALL, 0, seed=0)
        self.assertEqual([*found], [*finders.NEURONS])
        (inputs, labels), _ = SMALL.split(0, 64, 0)
        kernel, thresholds, _, _ = SMALL.model.get_weights()
        active = np.maximum(inputs @ kernel + thresholds, 0)
        mean = active[labels[:, 0] == 1].mean(axis=0)
        for chosen in found.values():
            self.assertAllClose(chosen.scores["hidden"], mean, atol=1e-5)
            self.assertBetween(score(chosen, SMALL).auroc, 0, 1)

    @parameterized.parameters(*finders.UNITS)
    def test_units_are_scored(self, method):
        finding, _ = finders.find_units(CONFIG, SMALL, 0, method, seed=0)
        scores = finding.scores if method == "gates" else finding
        self.assertEqual([*scores], ["hidden"])
        found = score(finding, SMALL)
        self.assertEqual(found.recall is not None, method == "gates")
        kernel, bias, reads, _ = SMALL.model.get_weights()
        if method == "unit_magnitude":
            size = np.sqrt(np.square(kernel).sum(axis=0) + np.square(bias))
            self.assertAllClose(scores["hidden"], size, atol=1e-5)
        if method == "unit_taylor":
            (inputs, labels), _ = SMALL.split(0, 64, 0)
            active = np.maximum(inputs @ kernel + bias, 0)
            answers = SMALL.model(inputs).numpy()[:, :1]
            slopes = 1 / (1 + np.exp(-answers)) - labels[:, :1]
            expected = np.abs(active * slopes * reads[:, 0]).mean(axis=0)
            self.assertAllClose(scores["hidden"], expected, atol=1e-5)

    def test_clusters_are_those_of_the_network(self):
        found = []
        for seed in (0, 1):
            planted = cases.network("simple", seed)
            found_in = finders.find_clusters(CONFIG, planted, 0)
            (clusters,) = found_in.values()
            self.assertEqual([*clusters], [*finders.CLUSTERS])
            labels = clusters["normalized_input_sensitivity"]
            self.assertEqual(agreement(labels, planted, "hidden"), 1.0)
            found.append(labels)
        self.assertNotAllEqual(*found)

    def test_a_method_looks_where_it_can(self):
        for method in (*finders.METHODS, *finders.UNITS):
            self.assertTrue(finders.applies(SMALL, method))
        heads = cases.network("attention", 0)
        every = (*finders.METHODS, *finders.UNITS)
        looking = [m for m in every if finders.applies(heads, m)]
        for method in ("activation", "neurons", "clusters"):
            self.assertNotIn(method, looking)
        self.assertIn("ablation", looking)
        self.assertIn("gates", looking)
        rotated = cases.network("rotated", 0)
        for method in ("mask", "gates"):
            self.assertFalse(finders.applies(rotated, method))


if __name__ == "__main__":
    tf.test.main()

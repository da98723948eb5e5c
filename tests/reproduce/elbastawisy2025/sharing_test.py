import keras
import numpy as np
import tensorflow as tf
from scipy import stats

from modularity_tf.neurons import statistics
from reproduce.data import images
from reproduce.elbastawisy2025 import sharing, stages
from reproduce.running.run import Run


class MeanActivationsTest(tf.test.TestCase):
    def test_are_those_of_class_statistics(self):
        model = keras.Sequential(
            [
                keras.Input((3, 3, 1)),
                keras.layers.Conv2D(4, 2, activation="tanh", name="signed"),
                keras.layers.Flatten(),
                keras.layers.Dense(2, name="output"),
            ]
        )
        rows = np.random.default_rng(0).normal(size=(8, 3, 3, 1))
        split = images.Split(rows.astype("float32"), np.arange(8) % 2)
        found = sharing.of_groups(
            sharing.mean_activations(model, split), split.labels == 1
        )
        expected = statistics.class_statistics(model, [split], 2, outputs=True)
        self.assertAllClose(found.mean, expected.mean)
        self.assertAllClose(found.standard_error, expected.standard_error)
        self.assertGreater(np.min(found.mean["signed"]), 0.0)


class OfGroupsTest(tf.test.TestCase):
    def test_matches_numpy(self):
        rows = np.random.default_rng(0).normal(size=(9, 4))
        second = np.arange(9) % 3 == 0
        found = sharing.of_groups({"a": rows}, second)
        self.assertAllEqual(found.counts, [6, 3])
        self.assertAllClose(found.mean["a"][1], rows[second].mean(0))
        self.assertAllClose(
            found.standard_error["a"][0], stats.sem(rows[~second])
        )


class RatiosTest(tf.test.TestCase):
    def test_each_ratio_has_a_denominator_of_its_own(self):
        first = {"a": np.array([1, 1, 1, 0, 0], bool)}
        second = {"a": np.array([1, 0, 0, 0, 1], bool)}
        found = sharing.ratios(first, second)["a"]
        self.assertAllClose(found["of_layer"], 1 / 5)
        self.assertAllClose(found["share"], 1 / 3)
        self.assertAllClose(found["jaccard"], 1 / 4)
        self.assertAllClose(found["expected_share"], 2 / 5)
        self.assertAllClose(found["expected_of_layer"], 6 / 25)

    def test_a_share_of_no_neuron_is_none(self):
        nothing = {"a": np.zeros(5, bool)}
        found = sharing.ratios(nothing, nothing)["total"]
        self.assertIsNone(found["share"])
        self.assertIsNone(found["jaccard"])
        self.assertIsNone(found["expected_share"])
        self.assertEqual(found["of_layer"], 0.0)


class CompareTest(tf.test.TestCase):
    def test_p_counts_the_shuffled_overlaps_that_are_as_small(self):
        found = sharing.compare([0.2, 0.1, 0.2, 0.4, np.nan, 0.5])
        self.assertAllClose(found["p"], (1 + 2) / (1 + 4))
        self.assertAllClose(found["null_mean"], 0.3)
        self.assertAllClose(
            found["null_sd"], np.std([0.1, 0.2, 0.4, 0.5], ddof=1)
        )

    def test_what_no_neuron_tells_is_none(self):
        self.assertEqual(
            sharing.compare([np.nan, np.nan]),
            {"observed": None, "null_mean": None, "null_sd": 0.0, "p": None},
        )


class PermuteLabelsTest(tf.test.TestCase):
    def test_without_an_active_neuron_nothing_is_significant(self):
        config = stages.Config(
            datasets=("digits",), pairs=2, permutations=19, t_high=1e9
        )
        data = images.load("digits")
        network = stages.untrained(config, data, 0)
        stage = Run(config, "test").stage("s", sharing.permute_labels)
        found = sharing.permute_labels(stage, data, network, "bayesian")
        self.assertLen(found, 2)
        self.assertEqual([f["p"] for f in found], [None, None])


if __name__ == "__main__":
    tf.test.main()

import numpy as np
import tensorflow as tf
from scipy import stats

from reproduce import neuron_subselection
from reproduce.data import images
from reproduce.elbastawisy2025 import stages


class HalvesTest(tf.test.TestCase):
    def test_every_class_is_cut_in_two(self):
        labels = np.array([0] * 10 + [1] * 7, "int32")
        split = images.Split(np.zeros((17, 1, 1, 1), "uint8"), labels)
        groups = stages.halves(split, 2, seed=0)
        self.assertAllEqual(groups // 2, labels)
        self.assertAllEqual(np.bincount(groups), [5, 5, 4, 3])
        other = stages.halves(split, 2, seed=1)
        self.assertNotAllEqual(groups, other)


class OfGroupsTest(tf.test.TestCase):
    def test_matches_numpy(self):
        rows = np.random.default_rng(0).normal(size=(9, 4))
        second = np.arange(9) % 3 == 0
        found = stages.of_groups({"a": rows}, second)
        self.assertAllEqual(found.counts, [6, 3])
        self.assertAllClose(found.mean["a"][1], rows[second].mean(0))
        self.assertAllClose(
            found.standard_error["a"][0], stats.sem(rows[~second])
        )


class RatiosTest(tf.test.TestCase):
    def test_each_ratio_has_a_denominator_of_its_own(self):
        first = {"a": np.array([1, 1, 1, 0, 0], bool)}
        second = {"a": np.array([1, 0, 0, 0, 1], bool)}
        found = stages.ratios(first, second)["a"]
        self.assertAllClose(found["of_layer"], 1 / 5)
        self.assertAllClose(found["share"], 1 / 3)
        self.assertAllClose(found["jaccard"], 1 / 4)
        self.assertAllClose(found["expected_share"], 2 / 5)
        self.assertAllClose(found["expected_of_layer"], 6 / 25)


class PermutationTest(tf.test.TestCase):
    def test_without_an_active_neuron_nothing_is_significant(self):
        config = neuron_subselection.Config(
            datasets=("digits",), pairs=2, permutations=3, t_high=1e9
        )
        data = images.load("digits")
        network = neuron_subselection.untrained(config, data, 0)
        found = stages.permutation_test(
            config, data, network, "bayesian", data.test, seed=0
        )
        self.assertLen(found, 2)
        self.assertAllEqual([np.isnan(f["p"]) for f in found], [True, True])


if __name__ == "__main__":
    tf.test.main()

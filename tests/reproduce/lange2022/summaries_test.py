import copy

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from reproduce.lange2022 import summaries
from tests.reproduce.lange2022 import unit_records


class BlocksTest(tf.test.TestCase):
    def test_split_the_28_pairs(self):
        sizes = {k: len(v) for k, v in summaries.BLOCKS.items()}
        expected = {"upstream": 6, "downstream": 6, "across": 16}
        forms = {
            f"{form} {family}": size
            for form in ("plain", "normalized")
            for family, size in (
                ("upstream", 1), ("downstream", 1), ("across", 4)
            )
        }  # fmt: skip
        self.assertEqual(
            sizes,
            {**expected, **forms, "own normalized": 4, "other measure": 8},
        )
        (plain,) = summaries.BLOCKS["plain upstream"]
        names = {summaries.MEASURES[i] for i in summaries.PAIRS[plain]}
        self.assertEqual(names, {"covariance", "input_sensitivity"})
        blocks = [summaries.BLOCKS[k] for k in expected]
        self.assertCountEqual(np.concatenate(blocks), range(28))


class PercentTest(parameterized.TestCase):
    @parameterized.parameters(
        ("l2", 1e-5, 0), ("l2", 1e-1, 100), ("l2", 1e-3, 50),
        ("l1", 1e-5, 0), ("l1", 1e-2, 100), ("dropout", 0.35, 35),
    )  # fmt: skip
    def test_is_that_of_figure_3(self, kind, strength, expected):
        found = summaries.percent(kind, strength)
        self.assertAlmostEqual(found, expected, places=9)


class RiseTest(tf.test.TestCase):
    def test_compares_the_strongest_third_with_the_weakest(self):
        networks = unit_records.as_in_the_paper()["networks"]
        found = summaries.rise(networks, "dropout")
        self.assertAllClose(found[0], np.full(unit_records.MEASURES, 0.2))
        self.assertAllClose(found[1], np.full(unit_records.MEASURES, 0.1))

    def test_a_dropped_network_does_not_count(self):
        networks = unit_records.as_in_the_paper()["networks"]
        for one in networks:
            if one["strength"] == 0.5:
                del one["layers"]
        found = summaries.rise(networks, "dropout")
        self.assertAllClose(found[0], np.full(unit_records.MEASURES, 0.1))
        for one in networks:
            if one["strength"] == 0.3:
                del one["layers"]
        found = summaries.rise(networks, "dropout")
        self.assertAllEqual(
            np.isnan(found), np.ones((2, unit_records.MEASURES), bool)
        )

    def test_a_layer_without_clusters_does_not_count(self):
        networks = unit_records.as_in_the_paper()["networks"]
        expected = summaries.rise(networks, "dropout")
        dead = copy.deepcopy(networks[-1])
        dead["layers"][0]["q"] = [None] * unit_records.MEASURES
        found = summaries.rise([*networks, dead], "dropout")
        self.assertAllClose(found, expected)


class SearchesTest(tf.test.TestCase):
    def test_pairs_each_search_with_both_steps(self):
        spectral, alone = summaries.searches(
            [unit_records.record(0.2, 0.5, 0.5, 0.5)]
        )
        self.assertEqual(spectral.shape, (2 * unit_records.MEASURES, 3))
        self.assertAllClose(spectral[0], [0, 0.19, 0.2])
        self.assertAllClose(alone, [[2, 0.18, 0.2], [2, 0.08, 0.1]])


if __name__ == "__main__":
    tf.test.main()

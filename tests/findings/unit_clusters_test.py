import dataclasses
import pickle

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.findings.unit_clusters import LayerClusters, UnitClusters

TOLD = {"seed": 3}
HIDDEN = LayerClusters(
    "hidden",
    "covariance",
    np.arange(16.0).reshape(4, 4),
    [0, 1, -1, 1],
    0.25,
    TOLD,
)
CLUSTERS = UnitClusters([HIDDEN])


class UnitClustersTest(parameterized.TestCase, tf.test.TestCase):
    def test_reads_the_clusters_of_one_layer_as_they_were_written(self):
        config = {"layer": "hidden", "measure": "covariance"}
        config |= {"modularity": 0.25, "provenance": TOLD}
        arrays = {"similarity": HIDDEN.similarity, "clusters": HIDDEN.clusters}
        found = UnitClusters._unpacked(config, arrays)
        self.assertEqual([*found], ["hidden"])
        self.assertEqual(repr(found), repr(CLUSTERS))
        self.assertAllEqual(found["hidden"].similarity, HIDDEN.similarity)

    def test_a_layer_without_clusters_is_named(self):
        with self.assertRaisesRegex(KeyError, r"of 'out', but of \['hidden'\]"):
            CLUSTERS["out"]
        with self.assertRaisesRegex(ValueError, "Each layer can be there once"):
            UnitClusters([HIDDEN, HIDDEN])

    def test_equals_itself_where_no_unit_is_used(self):
        dead = dataclasses.replace(
            HIDDEN, clusters=[-1] * 4, modularity=float("nan")
        )
        again = pickle.loads(pickle.dumps(UnitClusters([dead])))
        self.assertEqual(UnitClusters([dead]), again)
        self.assertNotEqual(UnitClusters([dead]), CLUSTERS)
        self.assertIn("no cluster", again.summary())

    def test_labels_without_a_unit_are_no_clusters(self):
        gap = dataclasses.replace(HIDDEN, clusters=[0, 5, 0, -1])
        found = UnitClusters([gap])
        self.assertIn("2 clusters of 2, 1 units", found.summary())
        self.assertLen(found.table().rows, 3)

    @parameterized.parameters(([0.0, 0.9, 1.7, 2.0],), ([0, -2, 1, 1],))
    def test_refuses_labels(self, labels):
        with self.assertRaisesRegex(ValueError, "`clusters` must be ints"):
            dataclasses.replace(HIDDEN, clusters=labels)

    def test_clusters_can_not_be_written_to(self):
        for array in (HIDDEN.clusters, HIDDEN.similarity):
            with self.assertRaisesRegex(ValueError, "read-only"):
                array[0] = 1

    def test_the_members_of_a_cluster_are_neurons(self):
        self.assertEqual(HIDDEN.sizes, [1, 2])
        for label in (-1, 0, 1):
            members = HIDDEN.members(label).values["hidden"]
            self.assertAllEqual(members, HIDDEN.clusters == label)
        for label in (2, -2):
            with self.assertRaisesRegex(ValueError, r"in \[-1, 2\)"):
                HIDDEN.members(label)

    def test_the_effective_number_is_that_of_equal_clusters(self):
        for labels, expected in (([0, 0, 1, 1], 2), ([0, 0, 0], 1), ([-1], 0)):
            matrix = np.eye(len(labels))
            found = LayerClusters("a", "covariance", matrix, labels, 0.0)
            self.assertAllClose(found.num_clusters, expected)

    def test_a_name_will_do_that_no_other_layer_has(self):
        inner, same = (
            LayerClusters(path, "covariance", np.eye(2), [0, 1], 0.1)
            for path in ("inner/d", "other/d")
        )
        self.assertEqual(UnitClusters([inner])["d"], inner)
        with self.assertRaisesRegex(KeyError, "no clusters of 'd'"):
            UnitClusters([inner, same])["d"]

    def test_refuses_what_are_no_clusters(self):
        for bad in (3, "a"):
            with self.assertRaisesRegex(ValueError, "must be LayerClusters"):
                UnitClusters([bad])
        with self.assertRaisesRegex(ValueError, r"of shape \(units, units\)"):
            LayerClusters("a", "covariance", np.eye(3), [0, 1], 0.1)

    def test_says_one_no_and_several_clusters(self):
        for labels, told in (
            ([0, 0], "one cluster of 2 units"),
            ([-1, -1], "no cluster by covariance"),
            ([0, 1], "2 clusters of 1, 1 units"),
        ):
            one = LayerClusters("a", "covariance", np.eye(2), labels, 0.1)
            self.assertIn(told, str(UnitClusters([one])))
        self.assertEqual(str(UnitClusters([])), "No layer has clusters here.")

    def test_draws_a_panel_for_each_layer(self):
        other = LayerClusters("b", "covariance", np.eye(2), [0, 1], 0.1)
        axes = UnitClusters([HIDDEN, other]).plot().axes
        titles = [ax.get_title() for ax in axes]
        self.assertEqual(
            titles,
            ["hidden: covariance, Q = 0.250", "b: covariance, Q = 0.100"],
        )


if __name__ == "__main__":
    tf.test.main()

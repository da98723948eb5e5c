import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf import NeuronSelection, WeightMask, compare
from modularity_tf.findings.comparison import ALL
from modularity_tf.findings.unit_clusters import LayerClusters, UnitClusters
from tests import shipped_networks

FIRST = np.arange(12) < 6  # of the units of "a"


def model():
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(12, name="a"),
            keras.layers.Dense(8, name="b"),
            keras.layers.Dense(2, name="out"),
        ]
    )


def neurons(a, b=(True, True, *[False] * 6)):
    return NeuronSelection({"a": np.array(a), "b": np.array(b)})


def clusters(labels, layer="a"):
    labels = np.array(labels)
    return LayerClusters(layer, "covariance", np.eye(len(labels)), labels, 0.2)


def rows(comparison):
    return {row.layer: row for row in comparison.rows}


class CompareTest(parameterized.TestCase, tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.model = model()

    def compare(self, one, other, **kwargs):
        return compare({"one": one, "other": other}, self.model, **kwargs)

    def test_two_sets_are_compared_by_what_they_share(self):
        found = rows(self.compare(neurons(FIRST), neurons(FIRST)))
        self.assertEqual([*found], ["a", "b", ALL])
        row = found["a"]
        self.assertEqual(row.measure, "shared")
        self.assertEqual((row.units, row.marked), (12, (6, 6)))
        self.assertEqual(row.value, 1.0)
        self.assertAllClose(row.chance, 0.5, atol=0.02)
        # One of 924 sets of six units is the same.
        self.assertBetween(row.p, 0.001, 0.005)
        # Six units of a and two of b, by chance 1/2 and 1/4 of them.
        self.assertAllClose(found[ALL].chance, 3.5 / 8, atol=0.02)
        self.assertEqual(found[ALL].units, 20)

    def test_units_of_other_layers_are_compared_too(self):
        recurrent = keras.Sequential(
            [
                keras.Input((3, 2)),
                keras.layers.LSTM(6, name="lstm"),
                keras.layers.Dense(2, name="out"),
            ]
        )
        marked = NeuronSelection(
            {"lstm": np.arange(6) < 3, "out": np.array([True, False])}
        )
        clustered = clusters(np.arange(6) // 3, "lstm")
        found = rows(compare({"a": marked, "b": clustered}, recurrent))
        self.assertEqual([*found], ["lstm", ALL])
        self.assertEqual(found["lstm"].value, 1.0)

    def test_sets_that_avoid_each_other_are_below_chance(self):
        found = rows(self.compare(neurons(FIRST), neurons(~FIRST)))
        self.assertEqual((found["a"].value, found["a"].p), (0.0, 1.0))

    def test_a_set_and_clusters_by_the_largest_share_in_one(self):
        labels = np.where(FIRST, 0, 1)
        for pair in (
            (neurons(FIRST), clusters(labels)),
            (clusters(labels), neurons(FIRST)),
        ):
            found = rows(self.compare(*pair))
            self.assertEqual(found["a"].measure, "in one cluster")
            self.assertEqual(found["a"].value, 1.0)
            self.assertBetween(found["a"].chance, 0.55, 0.7)
            self.assertLess(found["a"].p, 0.02)
        spread = clusters(np.arange(12) % 2)
        found = rows(self.compare(neurons(FIRST), spread))
        self.assertEqual(found["a"].value, 0.5)
        self.assertGreater(found["a"].p, 0.5)

    def test_unused_units_count_nowhere(self):
        # All that is used is one cluster: that the set lies in it says nothing.
        labels = [-1] * 6 + [0] * 6
        marked = neurons(np.arange(12) >= 9)
        comparison = compare(
            {
                "set": marked,
                "all": neurons([True] * 12),
                "units": clusters(labels),
            },
            self.model,
        )
        for row in comparison.rows:
            if row.layer == "a":
                self.assertEqual(row.units, 6)
                self.assertEqual((row.value, row.chance), (1.0, 1.0))
                self.assertEqual(row.p, 1.0)
        # Without the clusters the user says which units count.
        found = rows(
            self.compare(marked, neurons(~FIRST), among=neurons(~FIRST))
        )
        self.assertEqual((found["a"].units, found["a"].p), (6, 1.0))

    def test_what_is_dead_is_no_evidence(self):
        rng, low = np.random.default_rng(0), []
        for seed in range(200):
            used = rng.permutation(12) < 8
            labels = np.where(used, rng.integers(3, size=12), -1)
            marked = used & (rng.random(12) < 0.5)
            found = rows(
                self.compare(
                    neurons(marked),
                    clusters(labels),
                    seed=seed,
                    permutations=39,
                )
            )
            low.append((found["a"].p or 1.0) <= 0.05)
        self.assertLess(np.mean(low), 0.1)

    def test_clusters_without_a_unit_in_common_have_no_agreement(self):
        one = clusters([0] * 6 + [-1] * 6)
        other = clusters([-1] * 6 + [0] * 6)
        (row,) = {
            (row.value, row.chance, row.p)
            for row in self.compare(one, other).rows
        }
        self.assertEqual(row, (None, None, None))

    def test_findings_of_other_weights_are_named(self):
        told = {"model_fingerprint": "another"}
        other = NeuronSelection(dict(neurons(FIRST).values), told)
        with self.assertWarnsRegex(UserWarning, "'other' was found in a netw"):
            self.compare(neurons(FIRST), other)

    def test_the_output_layer_is_left_out(self):
        both = NeuronSelection(
            {**neurons(FIRST).values, "out": np.array([True, False])}
        )
        self.assertNotIn("out", rows(self.compare(both, both)))

    def test_the_output_layer_is_left_out_of_clusters(self):
        both = UnitClusters([clusters(FIRST * 1), clusters([0, 1], "out")])
        self.assertEqual([*rows(self.compare(both, both))], ["a", ALL])

    def test_clusters_by_their_agreement(self):
        labels = np.where(FIRST, 0, 1)
        found = rows(
            self.compare(
                UnitClusters([clusters(labels)]),
                clusters(1 - labels),
                permutations=99,
            )
        )
        self.assertEqual(found["a"].measure, "agreement")
        self.assertEqual(found["a"].value, 1.0)
        self.assertLess(found["a"].chance, 0.7)
        self.assertEqual(found["a"].p, 0.01)

    def test_a_mask_marks_units_and_a_selection_those_in_it(self):
        kernel = np.zeros((4, 12), bool)
        kernel[:3, FIRST] = True
        mask = WeightMask({"a/kernel": kernel})
        off = neurons(~FIRST, [False] * 8).values
        on = NeuronSelection(neurons(FIRST).values, off=off)
        for at_least in (None, 0.75):
            found = rows(self.compare(mask, on, at_least=at_least))
            self.assertEqual([*found], ["a", ALL])
            self.assertEqual(found["a"].value, 1.0)
        found = rows(self.compare(mask, on, at_least=0.8))
        self.assertEqual(found["a"].marked, (0, 6))

    def test_an_empty_set_has_no_share(self):
        none = neurons([False] * 12, [False] * 8)
        comparison = self.compare(none, neurons(FIRST))
        for row in comparison.rows:
            self.assertEqual((row.value, row.p), (None, None))
        self.assertIn("none", comparison._repr_html_())
        self.assertLen(comparison.plot().axes, 1)

    def test_the_seed_decides_and_every_pair_has_its_rows(self):
        findings = {
            "x": neurons(FIRST),
            "y": neurons(np.arange(12) % 2 > 0),
            "z": clusters(np.arange(12) % 3),
        }
        one, same, other = (
            compare(findings, self.model, seed=s) for s in (1, 1, 2)
        )
        self.assertEqual(one, same)
        self.assertNotEqual(one, other)
        pairs = {(row.first, row.second) for row in one.rows}
        self.assertEqual(pairs, {("x", "y"), ("x", "z"), ("y", "z")})
        self.assertIn(
            "x, y: share of the first's units that the second marks, 62.5%",
            str(one),
        )
        self.assertEqual([*one.of("x", "z")], ["a", ALL])
        titles = [ax.get_title() for ax in one.plot().axes]
        self.assertIn("x, z: in one cluster", titles)

    @parameterized.named_parameters(
        ("one", {"one": neurons(FIRST)}, "dict of two or more"),
        (
            "kind",
            {"one": neurons(FIRST), "other": FIRST},
            "a ndarray for 'other'",
        ),
        (
            "no_layer_in_common",
            {"one": clusters([0] * 12), "other": clusters([0] * 8, "b")},
            "'one' and 'other' know no hidden layer in common",
        ),
        (
            "another_model",
            {"one": neurons(FIRST), "other": clusters([0] * 9)},
            "do not fit",
        ),
        ("among", {"one": 1, "other": 2}, "a int for 'one'"),
    )
    def test_refuses(self, findings, message):
        with self.assertRaisesRegex(ValueError, message):
            compare(findings, self.model)

    def test_units_of_recurrent_layers_are_marked_by_their_weights(self):
        words = shipped_networks.words_as_vectors()
        kept = np.zeros((6, 4, 6), bool)  # units, gates, units of before
        kept[:2] = True
        columns = np.moveaxis(kept, 0, -1).reshape(4, -1, 6)
        recurrent = np.moveaxis(columns, 0, 1).reshape(6, 24)
        mask = WeightMask(
            {
                "first/lstm_cell/kernel": np.zeros((5, 24), bool),
                "first/lstm_cell/recurrent_kernel": recurrent,
                "out/lstm_cell/kernel": np.ones((6, 16), bool),
                "out/lstm_cell/recurrent_kernel": np.ones((4, 16), bool),
            }
        )
        first = NeuronSelection({"first": np.arange(6) < 2})
        labels = np.array([0, 0, 1, 1, 1, 1])
        both = {
            "mask": mask,
            "neurons": first,
            "units": clusters(labels, "first"),
        }
        found = compare(both, words, permutations=9)
        row = found.of("mask", "neurons")["first"]
        self.assertEqual((row.value, row.marked), (1.0, (2, 2)))
        self.assertEqual(found.of("mask", "units")["first"].value, 1.0)
        self.assertNotIn("out", found.of("mask", "neurons"))
        self.assertEqual(mask.units(words), first)
        self.assertIn("out", mask.units(words, outputs=True).values)


if __name__ == "__main__":
    tf.test.main()

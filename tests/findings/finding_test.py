"""What all findings have in common, of whatever kind they are."""

import copy
import dataclasses
import json
import os
import pathlib
import pickle
import tempfile
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from matplotlib import figure

from modularity_tf import NeuronSelection, UnitClusters, WeightMask
from modularity_tf.findings import finding, loading
from modularity_tf.findings.comparison import Comparison, LayerComparison
from modularity_tf.findings.smaller_model import LayerSizes, SmallerModel
from modularity_tf.findings.unit_clusters import LayerClusters

TOLD = {"task": "no cats", "seed": 3}
ON = NeuronSelection({"hidden": np.array([1, 0, 0, 1], bool)}, TOLD)
FORCED = NeuronSelection(
    ON.values,
    TOLD,
    {"hidden": np.arange(4.0)},
    {"hidden": np.array([0, 1, 0, 0], bool)},
)
HIDDEN = LayerClusters(
    "hidden",
    "covariance",
    np.arange(16.0).reshape(4, 4),
    [0, 1, -1, 1],
    0.25,
    TOLD,
)
FINDINGS = {
    "weights": WeightMask({"hidden/kernel": np.eye(3, 4) > 0}, TOLD),
    "scored_weights": WeightMask(
        {"hidden/kernel": np.eye(3, 4) > 0},
        TOLD,
        {"hidden/kernel": np.arange(12, dtype="float32").reshape(3, 4)},
    ),
    "neurons": ON,
    "neurons_on_and_off": FORCED,
    "clusters": UnitClusters([HIDDEN]),
}


def model(units=4, name="hidden"):
    return keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(units, "relu", name=name),
            keras.layers.Dense(2, name="out"),
        ],
        name="net",
    )


def content(found):
    """Returns what a finding holds, as JSON values."""
    config, arrays = found._packed()
    return config, {key: value.tolist() for key, value in arrays.items()}


class TableTest(parameterized.TestCase):
    @parameterized.parameters(
        (WeightMask({"[red]": np.eye(2) > 0}),),
        (UnitClusters([dataclasses.replace(HIDDEN, layer="[red]")]),),
        (
            Comparison(
                (LayerComparison("[red]", *"ab", 2, (1, 1), "", 1, 1, 1),)
            ),
        ),
        (
            SmallerModel(
                keras.Model(), (LayerSizes("[red]", *[(1, 1)] * 3, {}),)
            ),
        ),
    )
    def test_names_in_brackets_are_no_markup(self, result):
        self.assertIn("[red]", result._repr_html_())


class FindingTest(parameterized.TestCase, tf.test.TestCase):
    def setUp(self):
        super().setUp()
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.file = pathlib.Path(folder) / "found.npz"

    @parameterized.parameters(*FINDINGS)
    def test_comes_back_from_its_file(self, name):
        found = FINDINGS[name]
        found.save(self.file)
        loaded = type(found).load(self.file, model())
        self.assertIs(type(loaded), type(found))
        self.assertEqual(content(loaded), content(found))
        self.assertEqual(loaded.provenance, TOLD)
        self.assertEqual(repr(loaded), repr(found))
        self.assertEqual(os.listdir(self.file.parent), ["found.npz"])

    @parameterized.parameters(*FINDINGS)
    def test_is_the_same_after_a_copy_and_can_not_be_written_to(self, name):
        found = FINDINGS[name]
        for same in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
            self.assertEqual(same, found)
            self.assertEqual(content(same), content(found))
        found.save(self.file)
        self.assertEqual(type(found).load(self.file), found)
        with self.assertRaises(AttributeError):
            found.provenance = {}

    def test_reads_what_release_0_1_wrote(self):
        on, off = (
            NeuronSelection(v, TOLD) for v in (FORCED.values, FORCED.off)
        )
        parts = {"on": on._packed(), "off": off._packed()}
        header = {k: config for k, (config, _) in parts.items()}
        header |= {"kind": "a neuron mask", "version": 1}
        header["format"] = "modularity_tf"
        bits = {k: arrays["bits"] for k, (_, arrays) in parts.items()}
        np.savez(self.file, header=np.array(json.dumps(header)), **bits)
        found = loading.load(self.file, model())
        self.assertEqual(found, on)
        self.assertAllEqual(found.off["hidden"], FORCED.off["hidden"])
        old = {"keep_probability": 0.9, "trials": [{"alpha": 1.0}]}
        WeightMask(FINDINGS["weights"].values, old).save(self.file)
        found = WeightMask.load(self.file)
        self.assertEqual([*found.path], [{"alpha": 1.0}])
        self.assertEqual(found.provenance["initial_keep_probability"], 0.9)

    def test_what_is_off_comes_back_from_a_config(self):
        same = NeuronSelection.from_config(FORCED.get_config())
        self.assertAllEqual(same.off["hidden"], FORCED.off["hidden"])
        self.assertIn("1 others are surely off", str(FORCED))
        self.assertIn("surely off", FORCED._repr_html_())

    @parameterized.parameters(*FINDINGS)
    def test_a_file_tells_its_kind(self, name):
        given = FINDINGS[name]
        given.save(self.file)
        found = loading.load(self.file)
        self.assertIs(type(found), type(given))
        self.assertEqual(content(found), content(given))
        loading.load(self.file, model())
        with self.assertRaises(ValueError):
            loading.load(self.file, model(name="other"))

    def test_a_file_of_no_finding_is_named(self):
        np.savez(self.file, x=np.zeros(3))
        message = f"{self.file} holds no Finding: it has no header"
        with self.assertRaisesRegex(ValueError, message):
            loading.load(self.file)
        with self.assertRaises(FileNotFoundError):
            loading.load(f"{self.file}.other")

    @parameterized.parameters(*FINDINGS)
    def test_a_file_of_another_kind_is_named(self, name):
        FINDINGS[name].save(self.file)
        for other in FINDINGS.values():
            if type(other) is not type(FINDINGS[name]):
                with self.assertRaisesRegex(
                    ValueError, f"holds no {type(other).__name__}: it holds"
                ):
                    type(other).load(self.file)

    @parameterized.parameters(*FINDINGS)
    def test_fits_the_model_it_is_of_and_no_other(self, name):
        FINDINGS[name].check_fits(model())
        for other in (model(units=5), model(name="first")):
            with self.assertRaises(ValueError):
                FINDINGS[name].check_fits(other)

    @parameterized.parameters(*FINDINGS)
    def test_is_shown_and_drawn(self, name):
        found = FINDINGS[name]
        html = found._repr_html_()
        self.assertStartsWith(html, "<pre ")
        self.assertIn("hidden", html)
        self.assertIsInstance(found.plot(), figure.Figure)
        self.assertStartsWith(repr(found), f"<{type(found).__name__}")
        self.assertIn("hidden", str(found))

    def test_a_notebook_shows_a_table_once(self):
        with (
            mock.patch("rich.console._is_jupyter", return_value=True),
            mock.patch("rich.jupyter.display") as display,
        ):
            html = FINDINGS["weights"]._repr_html_()
        self.assertIn("hidden", html)
        display.assert_not_called()

    def test_provenance_prints_long_lists_by_their_lengths(self):
        counts = [*range(500)]
        told = {"task": "cats", "deep": {"counts": counts, "few": [1, 2]}}
        found = NeuronSelection(ON.values, told).provenance
        self.assertEqual(
            repr(found),
            "{'task': 'cats', 'deep': {'counts': [500 items], 'few': [1, 2]}}",
        )
        self.assertEqual(repr(found["deep"])[:23], "{'counts': [500 items],")
        self.assertEqual(found, told)  # and nothing is lost
        self.assertEqual(copy.deepcopy(found), told)
        self.assertEqual(pickle.loads(pickle.dumps(found)), told)

    def test_provenance_must_be_json(self):
        for bad in ({"a": np.eye(2)}, [1]):
            with self.assertRaisesRegex(ValueError, "`provenance` must"):
                finding.as_provenance(bad)


class BridgesTest(tf.test.TestCase):
    """From one kind of finding to another."""

    def setUp(self):
        super().setUp()
        keras.utils.set_random_seed(0)
        self.model = model()

    def test_neurons_have_incoming_and_outgoing_weights(self):
        for incoming, outgoing in ((True, True), (True, False), (False, True)):
            found = WeightMask.of_neurons(
                ON, self.model, incoming=incoming, outgoing=outgoing
            )
            self.assertEqual([*found.values], ["hidden/kernel", "out/kernel"])
            chosen = ON.values["hidden"]
            self.assertAllEqual(
                found.values["hidden/kernel"],
                np.tile(chosen & incoming, (3, 1)),
            )
            self.assertAllEqual(
                found.values["out/kernel"],
                np.tile(chosen & outgoing, (2, 1)).T,
            )

    def test_without_their_outgoing_weights_neurons_are_not_heard(self):
        weights = WeightMask.of_neurons(ON, self.model, incoming=False)
        x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
        self.assertAllClose(
            weights.remove_from(self.model)(x), ON.remove_from(self.model)(x)
        )

    def test_a_mask_marks_the_units_whose_weights_it_keeps(self):
        kernel = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0]], bool)
        mask = WeightMask({"hidden/kernel": kernel, "out/bias": [True, False]})
        # 6 of 12 weights; 3, 2, 1 and 0 of 3 of each unit.
        for at_least, units in (
            (None, [1, 1, 0, 0]),
            (1 / 3, [1, 1, 1, 0]),
            (1.0, [1, 0, 0, 0]),
        ):
            found = mask.units(self.model, at_least=at_least)
            self.assertEqual([*found.values], ["hidden"])
            self.assertAllEqual(found.values["hidden"], np.array(units, bool))
        for bad in (0.0, 1.5):
            with self.assertRaisesRegex(ValueError, "`at_least` must be"):
                mask.units(self.model, at_least=bad)
        with self.assertRaisesRegex(ValueError, "no kernel of a hidden layer"):
            mask.select("out").units(self.model)

    def test_only_neurons_have_weights(self):
        for bad in (HIDDEN, {"hidden": ON.values["hidden"]}):
            with self.assertRaisesRegex(ValueError, "be a NeuronSelection"):
                WeightMask.of_neurons(bad, self.model)

    def test_the_output_layer_is_looked_at_if_asked_for(self):
        mask = WeightMask({"out/kernel": np.ones((4, 2), bool)})
        with self.assertRaisesRegex(ValueError, "no kernel of a hidden"):
            mask.units(self.model)
        found = mask.units(self.model, at_least=0.5, outputs=True)
        self.assertEqual([*found.values], ["out"])

    def test_a_bridge_leaves_the_search_behind(self):
        told = {"path": [{"alpha": 1.0}], "health": {}, "task": "no cats"}
        mask = WeightMask({"hidden/kernel": np.eye(3, 4) > 0}, told)
        units = mask.units(self.model)
        again = WeightMask.of_neurons(units, self.model)
        self.assertEmpty(again.path)
        self.assertEqual(again.provenance["task"], "no cats")
        mask.path[0]["alpha"] = 9.0
        self.assertEqual([*mask.path], [{"alpha": 1.0}])

    def test_sets_are_applied_and_removed(self):
        x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
        everything = WeightMask({"out/kernel": np.ones((4, 2), bool)})
        self.assertAllClose(everything.apply(self.model)(x), self.model(x))
        self.assertAllEqual(
            everything.remove_from(self.model)(x), np.zeros((5, 2))
        )
        for found in (ON, FORCED):
            made = found.force if found.off else found.apply
            hidden = keras.Model(
                (applied := made(self.model)).inputs,
                applied.get_layer("hidden").output,
            )(x)
            self.assertAllEqual(hidden[:, 1], np.zeros(5))
            self.assertAllClose(
                found.remove_from(self.model)(x), ON.remove_from(self.model)(x)
            )


if __name__ == "__main__":
    tf.test.main()

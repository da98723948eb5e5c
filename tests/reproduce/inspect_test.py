"""A user's model, asked at a tiny size."""

import dataclasses
import json
import pathlib
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

import modularity_tf as mtf
from modularity_tf.findings import loading
from reproduce import inspect
from reproduce.own_model.stages import Config
from reproduce.publishing import experiment, report
from tests.reproduce.own_model.brought import BroughtTestCase, blobs, network


class InspectTest(BroughtTestCase):
    def test_leaves_findings_tables_figures_and_a_page(self):
        run = experiment.carry_out(inspect.EXPERIMENT, self.config())
        inspect.write_report(run)
        model = network()
        masks = {
            name: loading.load(run.folder / f"seed0/weights/{name}.npz", model)
            for name in ("all", "without_1", "only_1")
        }
        self.assertIsInstance(masks["all"], mtf.WeightMask)
        self.assertEqual(masks["only_1"], masks["all"] - masks["without_1"])
        self.assertEqual(
            masks["all"].provenance["alpha"],
            masks["without_1"].provenance["alpha"],
        )
        neurons = loading.load(run.folder / "seed0/neurons/1.npz", model)
        self.assertIsInstance(neurons, mtf.NeuronSelection)
        self.assertEqual([*neurons.values], ["hidden"])  # not the outputs
        units = loading.load(run.folder / "seed0/units.npz")
        self.assertIsInstance(units, mtf.UnitClusters)
        results = json.loads((run.folder / "results.json").read_text())
        (record,) = results["records"]
        self.assertEqual([*record["weights"]], ["all", "1"])
        rows = record["weights"]["all"]["soundness"]["rows"]
        whole = next(r for r in rows if r["what"] == "the whole model")
        self.assertEqual(whole["value"], 1.0)
        self.assertEqual(whole["n"], record["examples"]["checked"])
        self.assertIn("the same part, untrained", {row["what"] for row in rows})
        page = (run.folder / "report.html").read_text()
        for text in ("Are the findings sound?", "neurons of class 1", "hidden"):
            self.assertIn(text, page)
        self.assertNotIn("undetermined if it does not", page)  # no claims
        for name in ("weights_by_layer.png", "units_hidden.pdf"):
            self.assertTrue((run.folder / name).exists())
        # The same command again computes nothing.
        with (
            mock.patch.object(mtf, "find_weights", self.fail),
            mock.patch.object(mtf.soundness, "check", self.fail),
        ):
            experiment.carry_out(inspect.EXPERIMENT, self.config())

    def test_goes_on_behind_the_last_finished_question(self):
        config = self.config(questions=("neurons", "units"))
        with (
            mock.patch.object(mtf, "find_units", side_effect=KeyboardInterrupt),
            self.assertRaises(KeyboardInterrupt),
        ):
            experiment.carry_out(inspect.EXPERIMENT, config)
        with mock.patch.object(mtf, "find_neurons", self.fail):
            run = experiment.carry_out(inspect.EXPERIMENT, config)
        self.assertTrue((run.folder / "results.json").exists())

    def test_asks_about_positions_and_names_what_it_can_not_ask(self):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((6, 3))
        x = keras.layers.Conv1D(4, 3, padding="same", name="hidden")(inputs)
        x = keras.layers.LayerNormalization(name="mixes")(x)
        end = keras.layers.Dense(3, "softmax", name="out")(x)
        model = keras.Model(inputs, end, name="steps")
        x = np.random.default_rng(0).normal(size=(40, 6, 3)).astype("float32")
        answers = np.argmax(model(x), axis=-1)
        model.save(self.model)  # not compiled
        np.savez(self.data, x=x, y=np.eye(3)[answers])
        config = self.config(
            questions=("neurons",),
            task_label=(int(answers[0, 0]),),
            loss=("categorical_crossentropy",),
        )
        run = experiment.carry_out(inspect.EXPERIMENT, config)
        results = json.loads((run.folder / "results.json").read_text())
        (own,) = results["records"][0]["neurons"].values()
        self.assertIsNone(own["soundness"])
        self.assertRegex(own["not_checked"], "'mixes'.* Use --incoming")
        config = dataclasses.replace(config, incoming=True)
        run = experiment.carry_out(inspect.EXPERIMENT, config)
        results = json.loads((run.folder / "results.json").read_text())
        (own,) = results["records"][0]["neurons"].values()
        rows = {row["what"]: row for row in own["soundness"]["rows"]}
        self.assertEqual(rows["the whole model"]["value"], 1.0)
        self.assertIn("elsewhere: the part alone", rows)

    def test_layers_of_any_kind_are_looked_at_by_name(self):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input((6, 3)),
                keras.layers.GRU(4, name="reads"),
                keras.layers.Dense(2, "softmax"),
            ]
        )
        model.compile(loss="sparse_categorical_crossentropy")
        model.save(self.model)
        x = np.random.default_rng(0).normal(size=(40, 6, 3)).astype("float32")
        np.savez(self.data, x=x, y=np.argmax(model(x), axis=-1))
        config = self.config(questions=("neurons", "units"), task_label=(1,))
        run = experiment.carry_out(inspect.EXPERIMENT, config)
        (record,) = json.loads((run.folder / "results.json").read_text())[
            "records"
        ]
        self.assertRegex(record["units"]["refused"], "name other .* --layers")
        config = dataclasses.replace(config, layers=("reads",))
        run = experiment.carry_out(inspect.EXPERIMENT, config)
        (record,) = json.loads((run.folder / "results.json").read_text())[
            "records"
        ]
        self.assertEqual([*record["neurons"]["1"]["layers"]], ["reads"])
        self.assertEqual([*record["units"]], ["reads"])
        least = 1 / (1 + config.random_parts)
        told = inspect.EXPERIMENT.tables([record])
        self.assertTrue(
            any(f"p is {least:.2g} at least" in table.note for table in told)
        )

    def test_a_run_is_named_by_what_the_files_hold(self):
        digest = self.config().digest()
        other = self.folder / "other.keras"
        other.write_bytes(pathlib.Path(self.model).read_bytes())
        config = dataclasses.replace(self.config(), model=str(other))
        self.assertEqual(config.digest(), digest)
        x, y = blobs(seed=1)
        np.savez(self.data, x=x, y=y)
        self.assertNotEqual(self.config().digest(), digest)


class CommandLineTest(BroughtTestCase):
    def test_mistakes_end_it_with_one_line(self):
        cases = {
            "--questions must be one value or more, one of weights, neurons, "
            "units, got 'layers'.": ["--questions=layers"],
            "--model is needed: the path of a file.": ["--model="],
            "--model=nowhere.keras: there is no such file.": [
                "--model=nowhere.keras"
            ],
        }
        with mock.patch.object(report, "import_packages"):
            for message, args in cases.items():
                flags = experiment.app.flags.FlagValues()
                experiment.configuration.define_flags(Config, flags)
                flags(["inspect", f"--data={self.data}", *args])
                with self.assertRaises(ValueError) as raised:
                    config = experiment.configuration.config_from_flags(
                        Config, flags
                    )
                    experiment.carry_out(inspect.EXPERIMENT, config)
                self.assertEqual(str(raised.exception), message)


if __name__ == "__main__":
    tf.test.main()

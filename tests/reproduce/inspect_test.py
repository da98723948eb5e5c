"""A user's model, asked at a tiny size."""

import dataclasses
import functools
import json
import pathlib
import tempfile
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

import modularity_tf as mtf
from modularity_tf import plots
from modularity_tf.parts import finding
from reproduce import inspect
from reproduce.harness import experiment, report
from reproduce.own_model import stages, subject

TINY = {"mask_steps": 20, "alpha": 1e-4, "random_parts": 2, "removals": 1}


def blobs(seed=0):
    """Returns points around three corners, and which."""
    rng = np.random.default_rng(seed)
    y = np.arange(60) % 3
    x = np.eye(3)[y] * 3 + rng.normal(size=(60, 3)) * 0.1
    return x.astype("float32"), y


def network(is_compiled=True):
    """Returns a network that knows the corner."""
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(6, activation="relu", name="hidden"),
            keras.layers.Dense(3, name="out"),
        ],
        name="corners",
    )
    up = np.hstack([np.eye(3), 0.1 * np.eye(3)])
    down = np.vstack([np.eye(3), 0.1 * np.eye(3)])
    model.set_weights([up, np.zeros(6), down, np.zeros(3)])
    if is_compiled:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, metrics=["accuracy"])
    return model


class InspectTestCase(parameterized.TestCase, tf.test.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(
            self.enterContext(tempfile.TemporaryDirectory())
        )
        self.model = str(self.folder / "trained.keras")
        self.data = str(self.folder / "data.npz")
        network().save(self.model)
        x, y = blobs()
        np.savez(self.data, x=x, y=y)

        # Files for print take longer than all the rest.
        small = functools.partial(plots.save, dpi=50)
        self.enterContext(mock.patch.object(plots, "save", small))

    def config(self, **changes):
        return inspect.Config(
            model=self.model,
            data=self.data,
            output_dir=str(self.folder / "runs"),
            **{**TINY, "task_label": (1,), **changes},
        )


class InspectTest(InspectTestCase):
    def test_leaves_findings_tables_figures_and_a_page(self):
        run = experiment.carry_out(inspect.EXPERIMENT, self.config())
        inspect.write_report(run)
        model = network()
        masks = {
            name: finding.load(run.folder / f"seed0/weights/{name}.npz", model)
            for name in ("all", "without_1", "only_1")
        }
        self.assertIsInstance(masks["all"], mtf.WeightMask)
        self.assertEqual(masks["only_1"], masks["all"] - masks["without_1"])
        self.assertEqual(
            masks["all"].provenance["alpha"],
            masks["without_1"].provenance["alpha"],
        )
        neurons = finding.load(run.folder / "seed0/neurons/1.npz", model)
        self.assertIsInstance(neurons, mtf.NeuronSelection)
        self.assertEqual([*neurons.values], ["hidden"])  # not the outputs
        units = run.folder / "seed0/units.parts/hidden.npz"
        self.assertIsInstance(finding.load(units), mtf.UnitClusters)
        results = json.loads((run.folder / "results.json").read_text())
        (record,) = results["records"]
        self.assertEqual([*record["weights"]], ["all", "1"])
        rows = record["weights"]["all"]["soundness"]["rows"]
        whole = next(r for r in rows if r["what"] == "the whole model")
        self.assertEqual(whole["value"], 1.0)
        self.assertEqual(whole["n"], record["examples"]["checked"])
        self.assertIn(
            "the part of the untrained twin", {row["what"] for row in rows}
        )
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

    def test_a_run_is_named_by_what_the_files_hold(self):
        digest = self.config().digest()
        other = self.folder / "other.keras"
        other.write_bytes(pathlib.Path(self.model).read_bytes())
        config = dataclasses.replace(self.config(), model=str(other))
        self.assertEqual(config.digest(), digest)
        x, y = blobs(seed=1)
        np.savez(self.data, x=x, y=y)
        self.assertNotEqual(self.config().digest(), digest)

    def test_the_estimate_times_steps_of_a_mask(self):
        phase = stages.phases(self.config())["mask"]
        self.assertEqual(phase.unit, 50)
        counter = mock.Mock()
        fit = mtf.MaskedModel.fit

        def counted(model, *args, **kwargs):
            fit(model, *args, **kwargs)
            counter(int(model.optimizer.iterations))

        with mock.patch.object(mtf.MaskedModel, "fit", counted):
            phase.work(2)
        counter.assert_called_once_with(100)

    def test_progress_counts_a_search_that_is_longer_than_planned(self):
        run = experiment.Run(self.config(), "inspect")
        stage = run.stage("mask", lambda stage: 1, steps=3)
        run.progress = mock.Mock()
        counter = stages._Progress(stage)
        for batch in (1, 3):  # Keras tells of every second one
            counter.on_train_batch_end(batch)
        counter.on_epoch_begin(1)
        counter.on_train_batch_end(1)
        self.assertEqual(stage.steps, 6)
        told = [call.args[0] for call in run.progress.advance.call_args_list]
        self.assertEqual(told, [2, 2, 2])
        more = [call.args[0] for call in run.progress.extend.call_args_list]
        self.assertEqual(more, [1, 2])


class SubjectTest(InspectTestCase):
    def test_findings_and_checks_have_examples_of_their_own(self):
        user = subject.Subject(network(), *blobs())
        found, checked = user.parts(0.3, seed=0)
        self.assertEmpty({*found} & {*checked})
        self.assertLen({*found} | {*checked}, 60)
        self.assertLen(checked, 18)
        for rows in (found, checked):
            self.assertEqual({*user.data(rows)[1]}, {0, 1, 2})
        self.assertEqual({*user.data(found, label=1)[1]}, {1})
        self.assertEqual({*user.data(found, without=1)[1]}, {0, 2})

    def test_several_inputs_are_read_in_order(self):
        x, y = blobs()
        np.savez(self.data, x1=x + 1, x0=x, y=y[:, None])
        (first, second), labels = subject._arrays(self.data)
        self.assertAllEqual(first, x)
        self.assertAllEqual(second, x + 1)
        self.assertAllEqual(labels, y)

    @parameterized.named_parameters(
        ("no_y", {"x": 1}, r"must hold the arrays x and y .*, it holds x\."),
        ("no_x", {"y": 1, "a": 1}, r".*, it holds y, a\."),
        ("a_gap", {"x0": 1, "x2": 1, "y": 1}, ".*, it holds x0, x2, y"),
    )
    def test_wrong_arrays_are_named(self, names, message):
        np.savez(self.data, **{name: np.zeros((4, 1)) for name in names})
        with self.assertRaisesRegex(
            ValueError, f"^--data={self.data} {message}"
        ):
            subject.load(self.model, self.data)

    def test_a_model_without_a_loss_is_refused(self):
        network(is_compiled=False).save(self.model)
        with self.assertRaisesRegex(ValueError, "has no loss: call `compile`"):
            subject.load(self.model, self.data)

    def test_a_damaged_model_and_data_are_named(self):
        model = self.folder / "bad.keras"
        model.write_text("no model")
        with self.assertRaisesRegex(
            ValueError, f"--model={model} can't be loa"
        ):
            subject.load(str(model), self.data)
        data = self.folder / "bad.npz"
        data.write_text("no data")
        with self.assertRaisesRegex(ValueError, f"--data={data} is no .npz"):
            subject.load(self.model, str(data))

    @parameterized.named_parameters(
        ("unknown", (7,), r"--task_label=7 is no class .* has 0, 1, 2\."),
        ("lonely", (2,), r"--task_label=2: its examples"),
    )
    def test_labels_are_checked(self, labels, message):
        x, y = blobs()
        y = np.where(np.arange(60) == 0, 2, np.minimum(y, 1))
        user = subject.Subject(None, x, y)
        with self.assertRaisesRegex(ValueError, message):
            subject.check_labels(user, labels, inspect.QUESTIONS)

    def test_neurons_need_class_numbers_and_weights_do_not(self):
        user = subject.Subject(None, *map(np.float32, blobs()))
        with self.assertRaisesRegex(ValueError, "=neurons needs class numbers"):
            subject.check_labels(user, (), ("neurons",))
        with self.assertRaisesRegex(
            ValueError, "--task_label needs class numb"
        ):
            subject.check_labels(user, (1,), ("weights",))
        self.assertEqual(subject.check_labels(user, (), ("weights",)), [])


class CommandLineTest(InspectTestCase):
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
                experiment.harness_config.define_flags(inspect.Config, flags)
                flags(["inspect", f"--data={self.data}", *args])
                with self.assertRaises(ValueError) as raised:
                    config = experiment.harness_config.config_from_flags(
                        inspect.Config, flags
                    )
                    experiment.carry_out(inspect.EXPERIMENT, config)
                self.assertEqual(str(raised.exception), message)


if __name__ == "__main__":
    tf.test.main()

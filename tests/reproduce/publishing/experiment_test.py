import dataclasses
import io
import json
import pathlib
import tempfile
from unittest import mock

import rich.console
import tensorflow as tf
from absl.testing import parameterized

from reproduce.publishing import experiment
from reproduce.running import progress
from tests.reproduce.running import toy


class CarryOutTest(parameterized.TestCase, tf.test.TestCase):
    def setUp(self):
        super().setUp()
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.folder = pathlib.Path(folder) / "runs"
        self.config = toy.Config(output_dir=str(self.folder))

    def carry_out(self, changed=None, **changes):
        """Returns what an experiment prints."""
        written = io.StringIO()
        console = rich.console.Console(file=written, width=500, markup=False)
        with mock.patch.object(
            progress.rich.console, "Console", lambda **kwargs: console
        ):
            experiment.carry_out(
                dataclasses.replace(toy.EXPERIMENT, **(changed or {})),
                dataclasses.replace(self.config, **changes),
            )
        return written.getvalue()

    def results(self):
        (run,) = self.folder.iterdir()
        path = run / "results.json"
        return json.loads(path.read_text())

    def test_records_claims_and_figures_are_those_of_the_plan(self):
        printed = self.carry_out(seeds=(2, 3))
        results = self.results()
        self.assertEqual(
            results["records"],
            [{"seed": 2, "x": {"x": 2.5}}, {"seed": 3, "x": {"x": 3.5}}],
        )
        self.assertEqual(results["claims"][0]["values"], [2.5, 3.5])
        self.assertLen([*self.folder.glob("*/fig01_nothing.png")], 1)
        self.assertStartsWith(printed, toy.EXPERIMENT.in_words())
        self.assertNotIn("--", printed.split("All numbers")[0])
        self.assertIn(f"Run folder: {self.folder}", printed)
        self.assertIn("work (seed 2): done in ", printed)
        (run,) = self.folder.iterdir()
        flags = (run / "run.flags").read_text().splitlines()
        self.assertIn("--seeds=2,3", flags)  # the dump is in a file
        found, picture = (
            line
            for line in printed.splitlines()
            if line.startswith(("Found: ", "Picture: "))
        )
        self.assertStartsWith(found, "Found: ")
        self.assertEqual(picture, f"Picture: {run / 'fig01_nothing.png'}")
        self.assertNotIn("Estimate", printed)

    def test_brackets_in_a_path_are_no_markup(self):
        self.folder = self.folder / "q[bold]x[/red]"
        printed = self.carry_out(output_dir=str(self.folder))
        self.assertIn(f"Run folder: {self.folder}", printed)
        self.assertEqual(self.results()["seeds"], [0])

    def test_a_run_goes_on_with_what_it_lacks(self):
        self.carry_out()
        printed = self.carry_out(seeds=(0, 1))
        self.assertNotIn("work (seed 0): done", printed)
        self.assertIn("work (seed 1): done", printed)

    def test_a_dry_run_estimates_and_makes_no_folder(self):
        printed = self.carry_out(dry_run=True, seeds=(0, 1, 2))
        self.assertRegex(printed, r"work .* 12 ")
        self.assertRegex(printed, r"About \d+ s on .* GiB of memory")
        self.assertFalse(self.folder.exists())

    def test_a_dry_run_counts_what_is_left(self):
        self.carry_out(seeds=(1,))
        printed = self.carry_out(dry_run=True, seeds=(0, 1, 2))
        self.assertRegex(printed, r"work .* 8 ")

    def test_a_long_run_begins_with_an_estimate(self):
        with mock.patch.object(experiment, "LONG_RUN_STEPS", 7):
            self.assertNotIn("Estimate", self.carry_out())
            self.assertIn("Estimate", self.carry_out(seeds=(0, 1, 2)))
            # What is done does not count.
            self.assertNotIn("Estimate", self.carry_out(seeds=(0, 1, 2)))

    def test_figures_need_neither_plan_nor_data(self):
        self.carry_out()
        (picture,) = self.folder.glob("*/fig01_nothing.png")
        picture.unlink()
        plan = mock.Mock()
        printed = self.carry_out({"plan": plan}, stage="figures")
        plan.assert_not_called()
        self.assertTrue(picture.exists())
        self.assertIn("drawn: fig01_nothing.png", printed)
        self.assertIn(
            "1 claims; our threshold: 1 without a verdict (one seed)", printed
        )
        self.assertIn("One seed gives no verdict", printed)

    def test_figures_without_a_run_make_no_folder(self):
        with self.assertRaisesRegex(ValueError, "run without --stage=figures"):
            self.carry_out(stage="figures")
        self.assertFalse(self.folder.exists())

    def test_what_the_plan_refuses_is_refused_before_any_work(self):
        with self.assertRaisesRegex(ValueError, "^the data do not fit"):
            self.carry_out(mode="refuse_plan")
        self.assertFalse(self.folder.exists())


class MainTest(parameterized.TestCase):
    """The binary as a user calls it; one process imports, and forks."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.folder = pathlib.Path(folder)
        (cls.folder / "file").write_text("no folder")
        runs = f"--output_dir={cls.folder}/runs_"
        cases = {
            "wrong_value": ["--size=10", runs + "wrong"],
            "no_number": ["--seeds=0,x"],
            "figures": ["--stage=figures", runs + "figures"],
            "refused": ["--mode=refuse", runs + "refused"],
            "traceback": ["--mode=refuse", runs + "traceback", "-v", "1"],
            "full_disk": ["--mode=full_disk", runs + "full"],
            "interrupted": ["--mode=interrupt", runs + "interrupted"],
            "file": [f"--output_dir={cls.folder}/file"],
            # Not even root may write there.
            "read_only": ["--output_dir=/sys/runs"],
            "argument": ["nonsense"],
            "unknown_flag": ["--sizes=3"],
            "no_file": ["--flagfile="],
            "help": ["--help"],
            "dry": ["--dry_run", runs + "dry"],
        }
        cls.ended = toy.run_binary(cases, cls.folder)

    @parameterized.parameters(
        ("wrong_value", "--size must be at least 1, at most 9, got 10."),
        ("no_number", "--seeds must be ints, got '0,x'."),
        (
            "unknown_flag",
            ".* 'sizes'. Did you mean: size .*--help lists flags.",
        ),
        ("no_file", "--flagfile= is no file."),
        ("figures", ".*/results.json is not there: run without .*"),
        ("refused", "seed0/work: this can't be."),
        ("full_disk", ".*No space left on device"),
        ("file", ".*(Not a directory|File exists).*/file/?.*"),
        ("read_only", ".*'/sys/runs.*"),
    )
    def test_a_users_mistake_is_one_line(self, case, message):
        status, _, err = self.ended[case]
        self.assertEqual(status, 1)
        self.assertRegex(err, f"^Error: {message}\n$")

    def test_the_traceback_is_there_for_those_who_ask(self):
        status, _, err = self.ended["traceback"]
        self.assertEqual(status, 1)
        self.assertIn("Traceback (most recent call last)", err)
        self.assertEndsWith(err, "Error: seed0/work: this can't be.\n")

    def test_an_interrupt_has_the_status_of_one(self):
        status, _, err = self.ended["interrupted"]
        self.assertEqual(status, 130)
        self.assertEqual(
            err, "Interrupted: the same command goes on from here.\n"
        )

    def test_arguments_that_are_no_flags_are_refused(self):
        status, out, err = self.ended["argument"]
        self.assertEqual(status, 1)
        self.assertIn("Unknown arguments: ['nonsense']", out + err)
        self.assertNotIn("Traceback", out + err)

    def test_help_shows_the_flags_of_the_binary(self):
        status, out, err = self.ended["help"]
        self.assertEqual((status, err), (0, ""))
        self.assertStartsWith(out, toy.EXPERIMENT.in_words())
        words = " ".join(out.split())
        self.assertIn("--size An int. Must be at least 1, at most 9.", words)
        self.assertIn("--seeds Seeds of all random numbers;", words)

    def test_a_dry_run_succeeds_and_leaves_nothing(self):
        status, out, err = self.ended["dry"]
        self.assertEqual((status, err), (0, ""))
        self.assertIn("Estimate", out)

    @parameterized.parameters("wrong", "figures", "dry")
    def test_what_did_no_work_made_no_folder(self, name):
        self.assertFalse((self.folder / f"runs_{name}").exists())


if __name__ == "__main__":
    tf.test.main()

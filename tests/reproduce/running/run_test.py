import dataclasses
import functools
import gc
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from matplotlib import figure
from tensorflow.python.summary import summary_iterator

from modularity_tf.findings import weight_mask
from reproduce.publishing import experiment
from reproduce.running import artefacts, provenance
from reproduce.running.run import Run
from tests.reproduce.running import toy


def mask():
    return weight_mask.WeightMask({"d/kernel": np.eye(3) > 0})


class RunTestCase(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.folder = pathlib.Path(folder) / "runs"
        self.config = toy.Config(output_dir=str(self.folder))

    def planned(self, **changes):
        return Run(dataclasses.replace(self.config, **changes), "name")


class StagesTest(RunTestCase, parameterized.TestCase):
    def result(self, function, *needs):
        """Returns the result of a stage in a run of its own."""
        with self.planned() as run:
            return run.carry_out(run.stage("part/thing", function, *needs))

    @parameterized.named_parameters(
        ("json", lambda: {"a": [1, 2.5, None]}, lambda x: x),
        ("mask", mask, lambda found: found.values["d/kernel"].tolist()),
        (
            "model",
            toy.network,
            lambda m: [w.tolist() for w in m.get_weights()],
        ),
        (
            "dict_of_several",
            lambda: {"mask": mask(), "accuracy": 0.5},
            lambda found: (
                found["mask"].values["d/kernel"].tolist(),
                found["accuracy"],
            ),
        ),
    )
    def test_a_stage_is_carried_out_once_and_read_back(self, make, content):
        make = mock.Mock(side_effect=make)

        def function(stage):
            return make()

        first, second = self.result(function), self.result(function)
        make.assert_called_once()
        self.assertIsNot(first, second)
        self.assertEqual(content(first), content(second))

    def test_what_is_made_from_more_is_made_again(self):
        def total(stage, parts):
            return sum(parts)

        def planned(run, count):
            parts = [
                run.stage(f"part{i}", lambda _, i: i, i) for i in range(count)
            ]
            first = run.stage("sum", total, parts)
            return run.stage("twice", lambda _, x: 2 * x, first)

        results = []
        for count in (2, 4, 4, 2):
            with self.planned() as run:
                results.append(run.carry_out(planned(run, count)))
            again = self.planned()
            planned(again, count)
            self.assertEmpty(again.unfinished())
        self.assertEqual(results, [2, 12, 12, 2])
        # An artefact from before artefacts told it counts.
        file = run.folder / "sum.json.sum"
        made = json.loads(file.read_text().split("\n")[1])
        del made["origin"]
        old = f"{file.read_text().split()[0]}\n{json.dumps(made)}"
        file.write_text(old)
        again = self.planned()
        planned(again, 4)
        self.assertEqual({*again.unfinished()}, {"twice"})

    def test_planning_touches_nothing(self):
        run, function = self.planned(), mock.Mock()
        stage = run.stage("thing", function, steps=3, phase="work")
        run.combine(function, stage)
        self.assertEqual(run.steps_left(), {"work": 3})
        function.assert_not_called()
        self.assertFalse(self.folder.exists())

    def test_a_stage_cut_short_leaves_nothing_that_counts(self):
        with (
            mock.patch.object(artefacts.os, "replace", side_effect=toy.Killed),
            self.assertRaises(toy.Killed),
        ):
            self.result(lambda stage: {"a": 1})
        self.assertEqual(self.result(lambda stage: {"a": 2}), {"a": 2})

    def test_a_damaged_artefact_is_named_where_it_is_needed(self):
        self.result(lambda stage: {"a": 1})
        (file,) = self.folder.glob("*/part/thing.json")
        file.write_text('{"a"')
        with self.assertRaisesRegex(ValueError, f"{file} is damaged, .*delete"):
            self.result(lambda stage: {"a": 2})
        file.unlink()
        self.assertEqual(self.result(lambda stage: {"a": 2}), {"a": 2})

    def test_the_artefact_of_another_stage_is_named(self):
        with self.planned() as run:
            for name in ("one", "two"):
                run.stage(name, lambda stage: {"a": stage.name})
            run.carry_out([])
        for suffix in (".json", ".json.sum"):
            shutil.copy(
                run.folder / f"two{suffix}", run.folder / f"one{suffix}"
            )
        with self.planned() as run:
            one = run.stage("one", lambda stage: {"a": stage.name})
            with self.assertRaisesRegex(ValueError, "one.json is damaged, or"):
                run.carry_out(one)

    def test_a_result_is_the_same_whether_made_or_read_back(self):
        def make(stage):
            return {1: (2, 3)}

        found = [self.result(make), self.result(make)]
        self.assertEqual(found, [{"1": [2, 3]}] * 2)

    def test_two_stages_of_one_name_are_refused(self):
        run = self.planned()
        one = run.stage("thing", toy.work, 1, seed=2)
        self.assertIs(run.stage("thing", toy.work, 1, seed=2), one)
        for function, number, seed in (
            (toy.plan, 1, 2),
            (toy.work, 3, 2),
            (toy.work, 1, 3),
        ):
            with self.assertRaisesRegex(ValueError, "have the name 'thing'"):
                run.stage("thing", function, number, seed=seed)

    def test_what_is_wanted_may_be_a_nest(self):
        with self.planned() as run:
            one = run.stage("one", toy.work, 1)
            two = run.combine(lambda found: found["x"] + 1, one)
            wanted = [{"seed": 0, "all": (one, [two])}, "as it is", None]
            self.assertEqual(
                run.carry_out(wanted),
                [{"seed": 0, "all": ({"x": 1}, [2])}, "as it is", None],
            )

    def test_all_that_is_planned_is_done_even_if_nobody_wants_it(self):
        with self.planned() as run:
            run.stage("one", toy.work, 1)
            run.carry_out([])
        self.assertTrue((run.folder / "one.json").exists())

    def test_finished_stages_are_not_read_unless_they_are_needed(self):
        self.result(lambda stage: [1])
        with self.planned() as run:
            run.stage("part/thing", toy.work, 1)
            with mock.patch.object(artefacts, "read") as read:
                run.carry_out([])
            read.assert_not_called()

    def test_results_are_dropped_when_nobody_needs_them(self):
        found = {}

        def make(stage):
            made = mask()
            found["made"] = weakref.ref(made)
            return made

        def first(stage, given):
            self.assertIs(given, found["made"]())  # not read back
            return 1

        def second(stage, shares):
            self.assertEqual(shares, [9])
            return 2

        def last(stage):
            gc.collect()
            self.assertIsNone(found["made"]())
            return 3

        with self.planned() as run:
            made = run.stage("made", make)
            run.stage("first", first, made)
            indirect = run.combine(lambda m: [m.values["d/kernel"].size], made)
            run.stage("second", second, indirect)
            run.stage("last", last)
            run.carry_out([])

    def test_a_result_is_kept_for_all_who_need_it(self):
        make = mock.Mock(side_effect=lambda stage: {"a": 1})
        with (
            self.planned() as run,
            mock.patch.object(artefacts, "read") as read,
        ):
            one = run.stage("one", make)
            for name in "abc":
                run.stage(name, lambda stage, found: found["a"], one)
            indirect = run.combine(lambda found: found["a"], one)
            run.stage("d", lambda stage, found: found, [indirect])
            run.carry_out([])
        make.assert_called_once()
        read.assert_not_called()

    def test_the_message_of_a_stage_that_refuses_begins_with_its_name(self):
        def refuse(stage):
            raise ValueError("the loss became NaN.")

        with self.assertRaisesRegex(ValueError, "^part/thing: the loss became"):
            self.result(refuse)

    def test_a_checkpoint_goes_with_the_artefact(self):
        run = self.planned()
        checkpoint = run.checkpoint("part/thing")

        def train(stage):
            checkpoint.parent.mkdir(parents=True)
            checkpoint.write_text("half")
            return 1

        with run:
            run.carry_out(run.stage("part/thing", train))
        self.assertFalse(checkpoint.exists())

    def test_steps_left_are_those_of_unfinished_stages_by_phase(self):
        def plan():
            run = self.planned()
            one = run.stage("one", toy.work, 1, steps=5, phase="a")
            run.stage("two", toy.work, 2, steps=7, phase="b")
            run.stage("three", toy.work, 3, steps=9, phase="b")
            return run, one

        run, one = plan()
        self.assertEqual(run.steps_left(), {"a": 5, "b": 16})
        with run:
            run.result(one)
        self.assertEqual(plan()[0].steps_left(), {"b": 16})

    def test_another_configuration_has_another_folder(self):
        self.assertNotEqual(self.planned().folder, self.planned(size=4).folder)
        self.assertEqual(
            self.planned().folder, self.planned(seeds=(1, 2)).folder
        )
        self.assertRegex(self.planned().folder.name, "^name-made_up-[0-9a-f]+$")


class ResultsTest(RunTestCase):
    def finish(self, xs=(0.5,), draw=toy.draw, **changes):
        run = self.planned(**changes)
        records = [{"x": {"x": x}} for x in xs]
        with run:
            run.finish(records, toy.claims, draw)
        return run.folder

    def read(self, path):
        return json.loads(path.read_text())

    def test_results_hold_cause_numbers_and_verdicts(self):
        drawn = []

        def draw(records):
            drawn.append(records)
            return {"fig01_nothing": figure.Figure((1, 1))}

        folder = self.finish(xs=(0.5, 0.5), draw=draw, seeds=(3, 4))
        results = self.read(folder / "results.json")
        self.assertEqual(
            set(results),
            {"config", "versions", "seeds", "made", "records", "claims"},
        )
        self.assertEqual(results["config"]["size"], 3)
        self.assertEqual(results["seeds"], [3, 4])
        self.assertEqual(results["versions"]["keras"], keras.__version__)
        self.assertEqual(results["claims"][0]["verdict"], "agrees")
        picture = folder / "fig01_nothing.png"
        self.assertTrue(picture.with_suffix(".pdf").exists())
        self.check_tensorboard(folder / "logs" / "figures", results)
        picture.unlink()
        self.planned(seeds=(3, 4)).draw(draw)  # from the file alone
        self.assertTrue(picture.exists())
        self.assertEqual(drawn[0], drawn[1])

    def check_tensorboard(self, folder, results):
        """Checks what its first page and its text tab show."""
        (file,) = folder.iterdir()
        found = {
            value.tag: value.tensor.string_val
            for event in summary_iterator.summary_iterator(str(file))
            for value in event.summary.value
        }
        width, height, png = found["Figures/fig01_nothing"][:3]
        self.assertEqual((width, height), (b"150", b"150"))
        self.assertStartsWith(png, b"\x89PNG")
        (claims,) = found["claims"]
        self.assertIn(
            f"| {results['claims'][0]['statement']} |", claims.decode()
        )
        self.assertIn("1 claims: 1 agrees", claims.decode())
        (settings,) = found["configuration"]
        self.assertIn("| size | 3 |", settings.decode())

    def test_results_tell_how_the_stages_were_made(self):
        with self.planned() as run:
            first = run.stage("first", lambda stage: time.sleep(0.1))
            run.carry_out(first)
        with self.planned() as run:
            first = run.stage("first", lambda stage: self.fail("made twice"))
            second = run.stage(
                "second", lambda stage, _: time.sleep(0.2), first
            )
            run.carry_out(second)
            self.assertGreaterEqual(run.seconds(first), 0.1)
            run.finish([{"x": {"x": 1}}], toy.claims, toy.draw)
        made = self.read(run.folder / "results.json")["made"]
        self.assertGreaterEqual(made["seconds"], 0.3)
        self.assertEqual(made["commits"], [provenance.commit()])
        self.assertEqual(made["machines"], [provenance.machine()])

    def test_results_do_not_invent_what_a_stage_does_not_tell(self):
        with self.planned() as run:
            run.carry_out(run.stage("first", lambda stage: 1))
            told = run.folder / "first.json.sum"
            told.write_text(told.read_text().split("\n")[0])
            run.finish([{"x": {"x": 1}}], toy.claims, toy.draw)
        self.assertIsNone(self.read(run.folder / "results.json")["made"])

    def test_the_time_of_a_stage_within_counts_when_read_back(self):
        def within(stage):
            time.sleep(0.2)

        def search(stage, ends):
            stage.substage("within", within)
            if not ends:
                raise toy.Killed

        with self.planned() as run, self.assertRaises(toy.Killed):
            run.carry_out(run.stage("part/search", search, False))
        with self.planned() as run:
            stage = run.stage("part/search", search, True)
            run.carry_out(stage)
            self.assertGreaterEqual(run.seconds(stage), 0.2)

    def test_a_subset_never_overwrites_the_results_of_the_whole(self):
        folder = self.finish(xs=(1, 2, 3), seeds=(0, 1, 2))
        whole = (folder / "results.json").read_bytes()
        self.finish(xs=(2,), seeds=(1,))
        self.assertEqual((folder / "results.json").read_bytes(), whole)
        (part,) = folder.glob("part-*")
        self.assertEqual(self.read(part / "results.json")["seeds"], [1])
        self.assertTrue((part / "fig01_nothing.png").exists())
        # Each part has a folder; the same part has the same.
        self.finish(xs=(2,), seeds=(1,))
        self.assertLen([*folder.glob("part-*")], 1)
        self.finish(xs=(2,), seeds=(2,), names=("a",))
        self.assertLen([*folder.glob("part-*")], 2)
        self.assertEqual((folder / "results.json").read_bytes(), whole)

    def test_a_superset_takes_the_place_of_what_it_covers(self):
        folder = self.finish(xs=(1,), seeds=(0,))
        self.finish(xs=(1, 2), seeds=(1, 0))
        self.assertEqual(self.read(folder / "results.json")["seeds"], [1, 0])
        self.assertEmpty([*folder.glob("part-*")])

    def test_figures_of_a_part_are_drawn_from_its_results(self):
        self.finish(xs=(1, 2), seeds=(0, 1))
        self.finish(xs=(2,), seeds=(1,))
        draw = mock.Mock(return_value={})
        self.planned(seeds=(1,)).draw(draw)
        draw.assert_called_once_with([{"x": {"x": 2}}])

    def test_figures_before_any_run_are_refused(self):
        with self.assertRaisesRegex(
            ValueError, "results.json is not there: run without --stage=fig"
        ):
            self.planned().draw(toy.draw)
        self.assertFalse(self.folder.exists())

    def test_results_of_something_else_are_named(self):
        path = self.finish() / "results.json"
        for text in ("{", "[]", '{"records": []}'):
            path.write_text(text)
            for use in (
                functools.partial(self.planned().draw, toy.draw),
                self.finish,
            ):
                with self.assertRaisesRegex(ValueError, f"{path} is damaged"):
                    use()

    def test_damaged_results_are_named_before_any_work(self):
        path = self.finish() / "results.json"
        path.write_text('{"config": [], "records": 1, "claims": 2}')
        with (
            self.assertRaisesRegex(ValueError, f"{path} is damaged"),
            self.planned(),
        ):
            self.fail("it began")

    def test_the_order_of_a_part_does_not_matter(self):
        self.finish(xs=(0, 1, 2), seeds=(0, 1, 2))
        folder = self.finish(xs=(1, 2), seeds=(1, 2))
        self.finish(xs=(2, 1), seeds=(2, 1))
        self.assertLen([*folder.glob("part-*")], 1)

    def test_results_cut_short_leave_those_before(self):
        path = self.finish() / "results.json"
        before = path.read_bytes()
        with (
            mock.patch.object(artefacts.os, "replace", side_effect=toy.Killed),
            self.assertRaises(toy.Killed),
        ):
            self.finish(xs=(0.7,))
        self.assertEqual(path.read_bytes(), before)


class LockTest(RunTestCase):
    def test_a_folder_has_one_run_at_a_time(self):
        with self.planned() as run:
            with (
                self.assertRaisesRegex(ValueError, f"process {os.getpid()} on"),
                self.planned(),
            ):
                self.fail("two runs in one folder")
            with self.planned(size=4) as other:  # another folder
                self.assertNotEqual(other.folder, run.folder)
        with self.planned():  # it is free again
            pass

    def test_it_is_free_after_an_error(self):
        with self.assertRaises(toy.Killed), self.planned():
            raise toy.Killed
        with self.planned():
            pass

    def test_another_process_is_named_and_its_death_frees_the_folder(self):
        command = [sys.executable, "-m", "tests.reproduce.running.toy"]
        holder = subprocess.Popen(
            [*command, "--mode=hang", f"--output_dir={self.folder}"],
            cwd=toy.ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        with holder:
            self.addCleanup(holder.kill)
            self.assertIn("hanging\n", iter(holder.stdout.readline, ""))
            with self.assertRaisesRegex(
                ValueError,
                rf"toy-made_up-\w+ is in use by process {holder.pid} on .* "
                r"since 20.* Wait for its end, or choose another --output_dir",
            ):
                experiment.carry_out(toy.EXPERIMENT, self.config)
            holder.send_signal(signal.SIGKILL)
            holder.wait()
        experiment.carry_out(toy.EXPERIMENT, self.config)
        self.assertLen([*self.folder.glob("*/results.json")], 1)


if __name__ == "__main__":
    tf.test.main()

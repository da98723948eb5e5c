import dataclasses
import gc
import json
import os
import pathlib
import shutil
import signal
import tempfile
import time
import weakref
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.findings import weight_mask
from reproduce.publishing import experiment
from reproduce.running import artifacts
from reproduce.running.run import Run
from tests import forked
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
        # An artifact from before artifacts told it counts.
        file = run.folder / "sum.json.sum"
        made = json.loads(file.read_text().split("\n")[1])
        del made["origin"]
        old = f"{file.read_text().split()[0]}\n{json.dumps(made)}"
        file.write_text(old)
        again = self.planned()
        planned(again, 4)
        self.assertEqual({*again.unfinished()}, {"twice"})

    def test_what_is_made_from_other_values_is_made_again(self):
        results = []
        for splits in (("a",), ("a", "b"), ("a", "b")):
            with self.planned() as run:
                scores = run.stage("scores", lambda _, x: [*x], splits)
                total = run.stage("total", lambda _, x: len(x), scores)
                results.append(run.carry_out(total))
                self.assertEmpty(run.unfinished())
        self.assertEqual(results, [1, 2, 2])

    def test_planning_touches_nothing(self):
        run, function = self.planned(), mock.Mock()
        stage = run.stage("thing", function, steps=3, phase="work")
        run.combine(function, stage)
        self.assertEqual(run.steps_left(), {"work": 3})
        function.assert_not_called()
        self.assertFalse(self.folder.exists())

    def test_a_stage_cut_short_leaves_nothing_that_counts(self):
        with (
            mock.patch.object(artifacts.os, "replace", side_effect=toy.Killed),
            self.assertRaises(toy.Killed),
        ):
            self.result(lambda stage: {"a": 1})
        self.assertEqual(self.result(lambda stage: {"a": 2}), {"a": 2})

    def test_a_damaged_artifact_is_named_where_it_is_needed(self):
        self.result(lambda stage: {"a": 1})
        (file,) = self.folder.glob("*/part/thing.json")
        file.write_text('{"a"')
        with self.assertRaisesRegex(ValueError, f"{file} is damaged, .*delete"):
            self.result(lambda stage: {"a": 2})
        file.unlink()
        self.assertEqual(self.result(lambda stage: {"a": 2}), {"a": 2})

    def test_the_artifact_of_another_stage_is_named(self):
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
            with mock.patch.object(artifacts, "read") as read:
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
            mock.patch.object(artifacts, "read") as read,
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

    def test_a_checkpoint_goes_with_the_artifact(self):
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
        holder = forked.Process(
            "tests.reproduce.running.toy:main",
            ["--mode=hang", f"--output_dir={self.folder}"],
        )
        try:
            holder.wait_until(lambda: "hanging\n" in holder.written()[0])
            with self.assertRaisesRegex(
                ValueError,
                rf"toy-made_up-\w+ is in use by process {holder.pid} on .* "
                r"since 20.* Wait for its end, or choose another --output_dir",
            ):
                experiment.carry_out(toy.EXPERIMENT, self.config)
        finally:
            os.kill(holder.pid, signal.SIGKILL)
            holder.wait()
        experiment.carry_out(toy.EXPERIMENT, self.config)
        self.assertLen([*self.folder.glob("*/results.json")], 1)


if __name__ == "__main__":
    tf.test.main()

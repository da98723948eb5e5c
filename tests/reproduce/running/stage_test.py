import json
import tempfile
from typing import NamedTuple
from unittest import mock

import tensorflow as tf

from reproduce.running import configuration, training
from reproduce.running.run import Run
from reproduce.running.stage import resolve
from tests.reproduce.running import toy


class Pair(NamedTuple):
    one: int
    other: int


class StageTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.run_ = self.enterContext(
            Run(toy.Config(output_dir=folder), "name")
        )

    def test_seeds_depend_on_the_repeat_and_the_purpose_alone(self):
        one, same, other = (
            self.run_.stage(name, toy.work, 1, seed=seed)
            for name, seed in (("a", 3), ("b", 3), ("c", 4))
        )
        self.assertEqual(one.derive_seed("x", 1), same.derive_seed("x", 1))
        self.assertNotEqual(one.derive_seed("x"), other.derive_seed("x"))
        self.assertNotEqual(one.derive_seed("x"), one.derive_seed("y"))
        self.assertEqual(
            one.derive_seed("x", 1), configuration.derive_seed(3, "x", 1)
        )

    def test_logs_lie_in_a_folder_of_the_stages_name(self):
        stage = self.run_.stage("part/thing", toy.work, 1)
        self.assertEqual(stage.log_dir, self.run_.folder / "logs/part/thing")

    def test_stages_in_nests_stand_for_their_results(self):
        one = self.run_.stage("one", lambda stage: [1])
        two = self.run_.combine(lambda found: {"two": found}, one)
        pair, given = Pair(1, 2), []

        def take(stage, *needs):
            given.extend(needs)
            return len(needs)

        needs = one, {"a": [two, 5], "b": {"c": (one, "x")}}, pair, None
        taken = self.run_.stage("taken", take, *needs)
        self.assertEqual(self.run_.carry_out([taken, one]), [4, [1]])
        two = {"two": [1]}
        self.assertEqual(
            given, [[1], {"a": [two, 5], "b": {"c": ([1], "x")}}, pair, None]
        )
        self.assertIsInstance(given[2], Pair)

    def test_resolve_leaves_what_is_given_as_it_is(self):
        one = self.run_.stage("one", toy.work, 1)
        needs = {"a": [one]}
        found = resolve(needs, lambda stage: stage.name)
        self.assertEqual(found, {"a": ["one"]})
        self.assertIs(needs["a"][0], one)

    def test_a_substage_lies_beside_its_stage_and_is_done_once(self):
        trial = mock.Mock(side_effect=lambda stage, x: {"x": x + stage.seed})

        def search(stage):
            found = [
                stage.substage(f"trial_{x}", trial, x)["x"] for x in (1, 2)
            ]
            again = stage.substage("trial_1", trial, 1)["x"]
            return {"found": found, "again": again}

        made = self.run_.stage("deep/search", search, seed=7)
        self.assertEqual(
            self.run_.carry_out(made), {"found": [8, 9], "again": 8}
        )
        self.assertEqual(trial.call_count, 2)
        file = self.run_.folder / "deep/trial_2.json"
        self.assertEqual(json.loads(file.read_text()), {"x": 9})

    def test_a_search_that_was_cut_short_keeps_its_trials(self):
        trial = mock.Mock(side_effect=lambda stage, x: x)

        def search(stage, killed):
            first = stage.substage("trial", trial, 1)
            if killed:
                raise toy.Killed
            return first

        with self.assertRaises(toy.Killed):
            self.run_.carry_out(self.run_.stage("search", search, True))
        again = Run(self.run_.config, "name")
        found = again.carry_out(again.stage("search", search, False))
        self.assertEqual((found, trial.call_count), (1, 1))

    def test_fit_trains_at_the_places_of_the_stage(self):
        stage = self.run_.stage("net", toy.work, 1)
        with mock.patch.object(training, "fit") as fit:
            found = stage.fit("model", "batches", 12, 3, verbose=1)
        self.assertIs(found, fit.return_value)
        fit.assert_called_once_with(stage, "model", "batches", 12, 3, verbose=1)
        self.assertEqual(
            stage.checkpoint, self.run_.folder / "net.checkpoint.npz"
        )
        self.assertEqual(stage.log_dir, self.run_.folder / "logs/net")


if __name__ == "__main__":
    tf.test.main()

import json
import pathlib
import tempfile
import time
from unittest import mock

import keras
import tensorflow as tf
from matplotlib import figure
from tensorflow.python.summary import summary_iterator

from reproduce.publishing import results
from reproduce.running import artifacts, provenance
from reproduce.running.run import Run
from tests.reproduce.running import toy


class ResultsTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.folder = pathlib.Path(folder) / "runs"

    def planned(self, **changes):
        config = toy.Config(output_dir=str(self.folder), **changes)
        return Run(config, "name")

    def show(self, draw=toy.draw, **changes):
        results.show(
            self.planned(**changes), draw, toy.EXPERIMENT.tables, toy.claims
        )

    def finish(self, xs=(0.5,), draw=toy.draw, **changes):
        run = self.planned(**changes)
        records = [{"x": {"x": x}} for x in xs]
        with run:
            results.write(run, records, toy.claims)
            results.show(run, draw, toy.EXPERIMENT.tables, toy.claims)
        return run.folder

    def read(self, path):
        return json.loads(path.read_text())

    def test_results_hold_cause_numbers_and_verdicts(self):
        drawn = []

        def draw(records):
            drawn.append(records)
            return {"fig01_nothing": figure.Figure((1, 1))}

        folder = self.finish(xs=(0.5, 0.5), draw=draw, seeds=(3, 4))
        found = self.read(folder / "results.json")
        self.assertEqual(
            set(found),
            {"config", "versions", "seeds", "made", "records", "claims"},
        )
        self.assertEqual(found["config"]["size"], 3)
        self.assertEqual(found["seeds"], [3, 4])
        self.assertEqual(found["versions"]["keras"], keras.__version__)
        self.assertEqual(found["claims"][0]["verdict"], "agrees")
        picture = folder / "fig01_nothing.png"
        self.assertTrue(picture.with_suffix(".pdf").exists())
        self.check_tensorboard(folder / "logs" / "figures", found)
        picture.unlink()
        self.show(draw, seeds=(3, 4))  # from the file alone
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
        self.assertIn("1 claims; not counted: 1", claims.decode())
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
            results.write(run, [{"x": {"x": 1}}], toy.claims)
        made = self.read(run.folder / "results.json")["made"]
        self.assertGreaterEqual(made["seconds"], 0.3)
        self.assertEqual(made["commits"], [provenance.commit()])
        self.assertEqual(made["machines"], [provenance.machine()])

    def test_results_do_not_invent_what_a_stage_does_not_tell(self):
        with self.planned() as run:
            run.carry_out(run.stage("first", lambda stage: 1))
            told = run.folder / "first.json.sum"
            told.write_text(told.read_text().split("\n")[0])
            results.write(run, [{"x": {"x": 1}}], toy.claims)
        self.assertIsNone(self.read(run.folder / "results.json")["made"])

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
        self.show(draw, seeds=(1,))
        draw.assert_called_once_with([{"x": {"x": 2}}])

    def test_an_older_run_is_judged_as_the_code_judges_by_now(self):
        path = self.finish(xs=(0.5, 0.6), seeds=(0, 1)) / "results.json"
        older = {**self.read(path), "claims": [{"verdict": "agrees"}]}
        path.write_text(json.dumps(older))
        run = self.planned(seeds=(0, 1))
        with mock.patch.object(run.console, "print") as printed:
            results.show(run, toy.draw, toy.EXPERIMENT.tables, toy.claims)
        told = [str(call.args[0]) for call in printed.call_args_list]
        self.assertIn("1 claims; our threshold: 1 undetermined", told)

    def test_figures_before_any_run_are_refused(self):
        with self.assertRaisesRegex(
            ValueError, "results.json is not there: run without --stage=fig"
        ):
            self.show()
        self.assertFalse(self.folder.exists())

    def test_figures_of_seeds_that_have_not_run_are_refused(self):
        self.finish(seeds=(0, 1))
        with self.assertRaisesRegex(ValueError, "has no --seeds=3,2: run"):
            self.show(seeds=(3, 1, 0, 2))
        self.show(seeds=(1, 0))

    def test_results_of_something_else_are_named(self):
        path = self.finish() / "results.json"
        for text in ("{", "[]", '{"records": []}'):
            path.write_text(text)
            for use in (
                self.show,
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
            mock.patch.object(artifacts.os, "replace", side_effect=toy.Killed),
            self.assertRaises(toy.Killed),
        ):
            self.finish(xs=(0.7,))
        self.assertEqual(path.read_bytes(), before)


if __name__ == "__main__":
    tf.test.main()

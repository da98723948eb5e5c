import dataclasses
import json
import pathlib
import tempfile
from unittest import mock

import tensorflow as tf

from reproduce.publishing import archive, claim, results
from reproduce.running import provenance
from reproduce.running.run import Run
from tests.reproduce.running import toy

TOY = {"toy": toy.EXPERIMENT}


class ArchiveTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.folder = pathlib.Path(folder)
        self.flags = self.folder / "flags"
        self.flags.mkdir()
        self.write_flags("toy_small", "--seeds=0,1")
        self.patch(archive, "FLAGS_FOLDER", self.flags)
        self.patch(provenance, "commit", lambda: "abc123")

    def patch(self, *args):
        self.enterContext(mock.patch.object(*args))

    def write_flags(self, name, text):
        (self.flags / f"{name}.flags").write_text(text)

    def run_toy(self, finish=True, **changes):
        """Returns the folder of a run; unfinished with one stage."""
        config = toy.Config(output_dir=str(self.folder), seeds=(0, 1, 2))
        run = Run(dataclasses.replace(config, **changes), "toy")
        records = toy.plan(run)
        with run:
            if finish:
                results.write(run, run.carry_out(records), toy.claims)
                results.show(run, toy.draw, toy.EXPERIMENT.tables, toy.claims)
            else:
                run.result(run.stages["seed0/work"])
        return run.folder

    def archive(self, folder):
        return archive.archive(folder, self.folder / "results", TOY)

    def refuses(self, folder, message):
        with self.assertRaisesRegex(ValueError, message):
            self.archive(folder)
        self.assertFalse((self.folder / "results").exists())

    def test_holds_cause_numbers_and_verdicts_named_by_the_flag_file(self):
        folder = self.run_toy()
        path = self.archive(folder)
        self.assertEqual(path.name, "toy_small.json")
        found = json.loads(path.read_text())
        results = json.loads((folder / "results.json").read_text())
        self.assertEqual(found["experiment"], "toy")
        self.assertEqual(found["flags"], "toy_small")
        for key in ("seeds", "made", "versions", "config", "claims", "records"):
            self.assertEqual(found[key], results[key])
        self.assertEqual(found["made"]["commits"], ["abc123"])
        drawn = sorted(path.stem for path in folder.glob("*.png"))
        self.assertEqual(found["figures"], drawn)

    def test_is_the_same_for_the_same_run(self):
        folder = self.run_toy()
        before = self.archive(folder).read_bytes()
        self.assertEqual(self.archive(folder).read_bytes(), before)

    def test_pictures_of_the_documents_are_drawn_from_the_archive(self):
        path, pictures = self.archive(self.run_toy()), self.folder / "toy_small"
        self.assertEqual(archive.draw(path, pictures, TOY), [])
        pictures.mkdir()
        (figure, *_) = json.loads(path.read_text())["figures"]
        picture = pictures / f"{figure}.png"
        picture.touch()
        self.assertEqual(archive.draw(path, pictures, TOY), [picture])
        self.assertGreater(picture.stat().st_size, 0)
        before = path.read_text()
        content = json.loads(before)
        content["figures"] = ["fig98"]  # which the code does not draw by now
        path.write_text(json.dumps(content))
        archive.draw(path, pictures, TOY)
        self.assertEqual(path.read_text(), before)
        (pictures / "fig99.png").touch()
        with self.assertRaisesRegex(ValueError, "fig99.png is no figure of"):
            archive.draw(path, pictures, TOY)

    def test_claims_are_refreshed_as_the_code_has_them(self):
        path = self.archive(self.run_toy())
        before = path.read_text()
        self.assertFalse(archive.refresh(path, TOY))
        none = lambda records: claim.Claims()  # noqa: E731
        other = dataclasses.replace(toy.EXPERIMENT, claims=none)
        self.assertTrue(archive.refresh(path, {"toy": other}))
        self.assertEmpty(json.loads(path.read_text())["claims"])
        self.assertTrue(archive.refresh(path, TOY))
        self.assertEqual(path.read_text(), before)

    def test_the_first_verdict_is_kept_when_the_rule_changes(self):
        folder = self.run_toy()
        path = self.archive(folder)

        def stricter(records):
            found = claim.Claims()
            for one in toy.claims(records):
                found.extend([dataclasses.replace(one, at_least=9.0)])
            return found

        def at_most(records):
            found = claim.Claims()
            for one in toy.claims(records):
                found.extend(
                    [dataclasses.replace(one, at_least=None, at_most=-9.0)]
                )
            return found

        first = {"id": "x", "subject": "", "verdict": "undetermined"}
        for claims in (stricter, at_most):
            other = dataclasses.replace(toy.EXPERIMENT, claims=claims)
            archive.refresh(path, {"toy": other})
            found = json.loads(path.read_text())
            self.assertEqual(found["claims"][0]["verdict"], "differs")
            self.assertEqual(found["earlier"], [first])
        self.archive(folder)  # the same records
        self.assertEqual(json.loads(path.read_text())["earlier"], [])
        archive.refresh(path, {"toy": other})
        archive.archive(folder, self.folder / "results", {"toy": other})
        self.assertEqual(json.loads(path.read_text())["earlier"], [first])

    def test_records_are_rounded(self):
        self.assertEqual(
            archive.rounded({"a": [1.23456, 123456.0, 7, None, "x", True]}),
            {"a": [1.235, 123500.0, 7, None, "x", True]},
        )

    def test_the_flag_file_is_the_one_that_asks_for_most(self):
        self.write_flags("toy_all", "--seeds=0,1,2")
        self.write_flags("toy_more", "--seeds=0,1,2,3")
        self.write_flags("toy_other", "--size=4")
        self.assertEqual(self.archive(self.run_toy()).stem, "toy_all")

    def test_a_part_of_a_larger_run_is_archived_from_its_own_results(self):
        whole = self.run_toy()
        self.run_toy(seeds=(0, 1))
        (part,) = whole.glob("part-*")
        path = self.archive(part)
        self.assertEqual(path.stem, "toy_small")
        self.assertEqual(json.loads(path.read_text())["seeds"], [0, 1])
        self.archive(whole)
        before = path.read_text()
        with self.assertRaisesRegex(ValueError, "holds more than .*[0, 1, 2]"):
            self.archive(part)
        self.assertEqual(path.read_text(), before)

    def test_refuses_a_run_that_no_flag_file_describes(self):
        folder = self.run_toy(size=5)
        self.refuses(folder, r"No flag file toy_\*.flags .*--size=5")

    def test_refuses_a_part_of_what_the_flag_file_asks_for(self):
        self.refuses(self.run_toy(seeds=(0,)), "No flag file")

    def test_refuses_what_is_no_experiment(self):
        folder = self.run_toy()
        other = folder.rename(folder.with_name("archive-1"))
        self.refuses(other, "no experiment 'archive'")

    def test_refuses_unfinished_runs(self):
        folder = self.run_toy(finish=False)
        self.refuses(folder, "results.json is not there: finish the run")
        folder = self.run_toy()
        (folder / "seed1" / "work.json").unlink()
        self.refuses(folder, "not finished: seed1/work and 0 other stages")

    def test_refuses_results_that_are_older_than_a_stage(self):
        folder = self.run_toy()
        told = folder / "seed1" / "work.json.sum"
        first, _ = told.read_text().split("\n")
        made = {"seconds": 9.0, "commit": "later", "machine": "m"}
        told.write_text(f"{first}\n{json.dumps(made)}")
        self.refuses(folder, "results.json is older than the stages")

    def test_refuses_what_was_made_with_code_that_no_commit_holds(self):
        for commit in ("abc123-dirty", ""):
            with mock.patch.object(provenance, "commit", lambda c=commit: c):
                folder = self.run_toy(output_dir=str(self.folder / commit))
            self.refuses(folder, "code that no commit holds")

    def test_refuses_results_that_do_not_tell_how_they_were_made(self):
        folder = self.run_toy()
        path = folder / "results.json"
        results = json.loads(path.read_text())
        path.write_text(json.dumps({**results, "made": None}))
        self.refuses(folder, "does not tell when and with what code")

    def test_refuses_a_damaged_file_a_renamed_folder_and_other_flags(self):
        folder = self.run_toy()
        path = folder / "results.json"
        text = path.read_text()
        path.write_text("{")
        self.refuses(folder, "results.json is damaged")
        path.write_text(text.replace('"size": 3', '"size": 4'))
        self.refuses(folder, "is not what its configuration names, toy-made_up")
        path.write_text(text.replace('"size": 3', '"length": 3'))
        self.refuses(folder, "toy has other flags by now: .*length")

    def test_refuses_more_than_fits_a_repository(self):
        folder = self.run_toy()
        with mock.patch.object(archive, "MAX_BYTES", 100):
            self.refuses(folder, "bytes, more than the 100 of an archive")


if __name__ == "__main__":
    tf.test.main()

"""The archives in results/ are whole, and the documents say what they say."""

import json
import pathlib
import shutil
import tempfile
from unittest import mock

from absl.testing import absltest, parameterized

from reproduce import archive as archive_binary
from reproduce import experiments
from reproduce.publishing import archive, evidence

FILES = sorted((archive_binary.ROOT / "results").glob("*.json"))


class DocumentsTest(absltest.TestCase):
    def test_say_what_the_archives_say(self):
        archives = evidence.read(archive_binary.ROOT / "results")
        for path in archive_binary.documents():
            text = path.read_text("utf-8")
            filled = archive_binary.filled(text, archives)
            self.assertEqual(
                text, filled, f"{path}: run python -m reproduce.archive"
            )

    def test_are_written_where_they_differ(self):
        root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        (root / "docs").mkdir()
        for name in ("README.md", "docs/arithmetic.md"):
            shutil.copy(archive_binary.ROOT / name, root / name)
        readme = root / "README.md"
        before = readme.read_text("utf-8")
        start = "<!-- results: papers docs/ -->\n"
        self.assertEqual(before.count(start), 1)
        readme.write_text(before.replace(start, f"{start}old"), "utf-8")
        with mock.patch.object(archive_binary, "ROOT", root):
            changed = archive_binary.write_documents(FILES[0].parent)
        self.assertEqual(changed, [readme])
        self.assertEqual(readme.read_text("utf-8"), before)


class ResultsTest(parameterized.TestCase):
    @parameterized.parameters(*(file.name for file in FILES))
    def test_an_archive_is_what_its_code_and_records_give(self, name):
        file = FILES[0].with_name(name)
        self.assertLess(file.stat().st_size, archive.MAX_BYTES)
        found = json.loads(file.read_text("utf-8"))
        experiment = experiments.ALL[found["experiment"]]
        config = archive.configured(experiment, found["config"])
        flag_file = archive.FLAGS_FOLDER / f"{file.stem}.flags"
        asked = archive.read_flags(experiment, flag_file)
        self.assertEqual(config.digest(), asked.digest())
        for commit in found["made"]["commits"]:
            self.assertRegex(commit, "^[0-9a-f]{7,}$")
        claims = experiment.claims(found["records"]).checked()
        self.assertEqual(json.loads(json.dumps(claims)), found["claims"])
        self.assertEqual([one["main"] for one in claims].count(True), 1)
        self.assertTrue(claims[0]["main"])

    @parameterized.parameters(
        *(
            path.name
            for path in archive_binary.IMAGES.iterdir()
            if path.is_dir()
        )
    )
    def test_the_pictures_of_an_archive_are_among_its_figures(self, name):
        file = FILES[0].with_name(f"{name}.json")
        figures = json.loads(file.read_text("utf-8"))["figures"]
        shown = [p.stem for p in (archive_binary.IMAGES / name).iterdir()]
        self.assertContainsSubset(shown, figures)


if __name__ == "__main__":
    absltest.main()

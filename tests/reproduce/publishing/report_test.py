import dataclasses
import datetime
import html.parser
import json
import pathlib
import re
import tempfile
from unittest import mock

from absl.testing import absltest
from matplotlib import figure

from reproduce.publishing import archive, claim, report, titles, wording
from reproduce.publishing.table import Table
from tests.reproduce.running import toy

ROWS = [Table("Numbers", ("a", "b"), [("1", "<2>")], "A note.")]
TOY = {"toy": dataclasses.replace(toy.EXPERIMENT, tables=lambda records: ROWS)}


def claims(low=0.3):
    found = claim.Claims("cnn")
    shared = {"null": 0.0, "null_is": "nothing"}
    found.add(
        "one", "main <one>", (low, low), at_least=0.2, main=True, **shared
    )
    found.add(
        "two", "below", (0.1, 0.1), at_least=0.2, source="paper", **shared
    )
    found.add(
        "three",
        "unsure",
        (0.1, 0.3),
        at_least=0.2,
        post_hoc=True,
        **shared,
    )
    return found.checked()


class Reader(html.parser.HTMLParser):
    """What a page has: text, and whatever it would fetch."""

    def __init__(self, page):
        super().__init__()
        self.text, self.fetched, self.tags, self.links = [], [], [], []
        self._skip = False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._skip = tag in ("script", "style")
        for name, value in attrs:
            is_inside = value and value.startswith(("data:", "#"))
            if name in ("src", "href", "srcset") and not is_inside:
                where = self.links if tag == "a" else self.fetched
                where.append(value)

    def handle_endtag(self, tag):
        self._skip = False

    def handle_data(self, data):
        if not self._skip:
            self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


class ReportTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(
            self.enterContext(tempfile.TemporaryDirectory())
        )
        flags = self.folder / "flags"
        flags.mkdir()
        self.enterContext(mock.patch.object(archive, "FLAGS_FOLDER", flags))
        (flags / "toy_small.flags").write_text("# Cost: little.\n--size=2\n")
        (flags / "toy_paper.flags").write_text("--size=9\n--steps=4\n")

    def archived(self, name="toy_small", **changes):
        """Writes an archive."""
        content = {
            "experiment": "toy",
            "flags": "toy_small",
            "seeds": [0, 1],
            "made": {
                "seconds": 90.0,
                "commits": ["abc"],
                "machines": ["M, 2 cores"],
            },
            "versions": {"keras": "3.15", "gpus": 2},
            "config": {**vars(toy.Config(size=2, seeds=(0, 1)))},
            "claims": claims(),
            "records": [],
            **changes,
        }
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(content))
        return path

    def page(self, *names, compare=False):
        runs = [report.load(name, self.folder, TOY) for name in names]
        return report.page(runs, compare)

    def test_a_page_holds_all_and_fetches_nothing(self):
        self.archived()
        page = self.page("toy_small")
        found = Reader(page)
        self.assertEqual(found.fetched, [])
        self.assertIn("img", found.tags)
        for text in (
            "python -m reproduce.toy "
            "--flagfile=reproduce/flags/toy_small.flags --seeds=0,1",
            "1.5 min of 2 cores",
            "M, 2 cores, 2 GPUs",
            "0, 1",
            "CNN with dropout: main <one>",
            "30 %",
            "≥ 20 %, paper",
            "nothing: 0 %",
            "no number given",
            "Cost: little.",
            "Main claim (1)",
            "post hoc",
            "Other claims (2)",
            "Numbers",
            "A note.",
            "Figure 1: nothing",
        ):
            self.assertIn(text, found.words)
        self.assertIn("30\N{NO-BREAK SPACE}%", page)  # no line breaks there
        self.assertNotIn("<2>", page)  # escaped

    def test_the_title_has_project_and_date(self):
        self.archived()
        today = f"{datetime.date.today():%-d %B %Y}"
        words = Reader(self.page("toy_small")).words
        self.assertIn("modularity_tf: what was found", words)
        self.assertIn(f"Report of {today}", words)

    def test_a_paper_has_a_sentence_what_we_found_and_its_page(self):
        self.archived()
        headline = ("toy_small", "verdicts.md", "All is one.")
        paper = toy.EXPERIMENT.paper
        with (
            mock.patch.dict(titles.HEADLINES, {paper: headline}),
            mock.patch.dict(titles.PAGES, {"toy": "figures.md"}),
        ):
            run = report.load("toy_small", self.folder, TOY)
            found = Reader(report.page([run], folder=report._ROOT / "docs"))
        self.assertIn(
            f"{paper} says: All is one. Ours: 30 % (30 to 30), wanted ≥ 20 %; "
            "nothing: 0 %. Verdict: agrees. Read more",
            found.words.replace("\N{NO-BREAK SPACE}", " "),
        )
        for link in found.links:  # all of them are there
            if not link.startswith("http"):
                path = report._ROOT / "docs" / link.partition("#")[0]
                self.assertTrue(path.is_file(), path)
        names = {pathlib.Path(link).stem for link in found.links}
        self.assertLessEqual({"verdicts", "figures"}, names)

    def test_a_page_of_many_runs_has_their_first_figures(self):
        def draw(records):
            return {f"fig0{i}_x": figure.Figure((1, 1)) for i in range(1, 9)}

        self.archived()
        drawing = {"toy": dataclasses.replace(TOY["toy"], draw=draw)}
        run = report.load("toy_small", self.folder, drawing)
        few, many = (
            Reader(report.page([run] * count)) for count in (1, report.FEW + 1)
        )
        self.assertEqual(few.tags.count("img"), 8)
        self.assertNotIn("more figures", few.words)
        self.assertEqual(many.tags.count("img"), report.MOST * (report.FEW + 1))
        self.assertIn(
            f"{8 - report.MOST} more figures: python -m reproduce.report "
            "toy_small",
            many.words,
        )

    def test_claims_are_filtered_by_their_verdicts(self):
        self.archived()
        page = self.page("toy_small")
        boxes = re.findall(r'<input type="checkbox" value="([^"]+)"', page)
        self.assertEqual(boxes, [*claim.VERDICTS])
        rows = re.findall(r'<tr data-verdict="([^"]+)"', page)
        self.assertCountEqual(rows, ["agrees", "differs", "undetermined"])

    def test_what_differs_is_said_in_sentences_and_settings(self):
        self.archived()
        words = Reader(self.page("toy_small")).words
        self.assertIn(
            "CNN with dropout: below: ours is 10 % (10 to 10), and wanted is "
            "≥ 20 % (the paper's limit); the whole interval lies beyond it. "
            "Null: nothing: 0 %.",
            words,
        )
        self.assertIn("the interval contains its end, or the null does", words)
        self.assertIn("size 9 2 An int.", words)  # paper, this run
        self.assertNotIn("steps 4", words)  # the same

    def test_the_table_of_claims_is_that_of_the_documents(self):
        self.archived()
        words = Reader(self.page("toy_small")).words
        for one in claims():
            cells = wording.cells(one)
            self.assertIn(
                f"{cells['ours']} {cells['limits']} {cells['null']}", words
            )

    def test_two_runs_stand_side_by_side(self):
        self.archived()
        self.archived("other", claims=claims(0.1)[:2])
        page = self.page("toy_small", "other", compare=True)
        found = Reader(page)
        self.assertEqual(found.fetched, [])
        self.assertIn("2 of 3 claims have another verdict", found.words)
        self.assertEqual(page.count('class="changed"'), 2)
        self.assertIn("not in this run", found.words)
        self.assertIn("agrees constant 30 % (30 to 30); 30, 30", found.words)
        self.assertEqual(found.tags.count("img"), 2)

    def test_settings_in_which_two_runs_differ_are_named(self):
        self.archived()
        config = vars(toy.Config(size=7, seeds=(0, 1)))
        self.archived("other", config={**config, "workers": 5})
        words = Reader(self.page("toy_small", "other", compare=True)).words
        self.assertIn("size 2 7 An int.", words)
        self.assertNotIn("workers", words)

    def test_pairs_of_other_experiments_are_refused(self):
        self.archived()
        run = report.load("toy_small", self.folder, TOY)
        with self.assertRaisesRegex(ValueError, "takes two runs, got 1"):
            report.page([run], compare=True)
        other = dataclasses.replace(
            run,
            experiment=dataclasses.replace(run.experiment, name="b"),
        )
        with self.assertRaisesRegex(
            ValueError, "one experiment, got toy and b"
        ):
            report.page([run, other], compare=True)

    def test_a_run_folder_is_read_and_its_command_has_its_flags(self):
        folder = self.folder / "toy-made_up-1"
        folder.mkdir()
        self.archived().rename(folder / "results.json")
        text = json.loads((folder / "results.json").read_text())
        del text["flags"], text["experiment"]
        text["config"]["size"] = 4  # no flag file has it
        (folder / "results.json").write_text(json.dumps(text))
        run = report.load(str(folder), self.folder, TOY)
        self.assertEqual(run.name, "toy-made_up-1")
        self.assertIsNone(run.flags)
        self.assertIn(
            "toy --seeds=0,1 --size=4", Reader(report.page([run])).words
        )

    def test_what_is_no_run_is_refused(self):
        self.archived()
        with self.assertRaisesRegex(
            ValueError, "'x' is neither a run .* which has: toy_small"
        ):
            report.load("x", self.folder, TOY)
        with self.assertRaisesRegex(ValueError, "finish the run first"):
            report.load(str(self.folder), self.folder, TOY)

    def test_missing_packages_are_named(self):
        with (
            mock.patch.dict("sys.modules", {"jinja2": None}),
            self.assertRaisesRegex(ValueError, r"modularity_tf\[report\]"),
        ):
            report.import_packages()

    def test_a_page_appears_whole_or_not_at_all(self):
        file = self.folder / "page.html"
        report.write("old", file)
        with (
            mock.patch.object(
                pathlib.Path, "replace", side_effect=KeyboardInterrupt
            ),
            self.assertRaises(KeyboardInterrupt),
        ):
            report.write("new", file)
        self.assertEqual(file.read_text(), "old")


if __name__ == "__main__":
    absltest.main()

"""The command line of reproduce.report, over archives that are there."""

import pathlib
import shutil
import tempfile
import types
from unittest import mock

from absl.testing import absltest

from reproduce import report as binary
from reproduce.publishing import report

ARCHIVE = "double_add_quick"  # a small one


class ReportTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(
            self.enterContext(tempfile.TemporaryDirectory())
        )
        shutil.copy(
            binary.commands.results_folder() / f"{ARCHIVE}.json", self.folder
        )
        self.output = self.folder / "page.html"
        self.flags = types.SimpleNamespace(
            output=str(self.output),
            results_dir=str(self.folder),
            compare=False,
        )
        self.enterContext(mock.patch.object(binary.flags, "FLAGS", self.flags))

    def run_binary(self, *arguments):
        """Returns what is printed, or why it ends."""
        with mock.patch.object(binary.sys, "stdout") as stdout:
            binary.main(["report", *arguments])
        return "".join(call.args[0] for call in stdout.write.call_args_list)

    def test_without_a_run_it_has_all_archives(self):
        printed = self.run_binary()
        self.assertStartsWith(printed, f"{self.output}: 1 runs, ")
        page = self.output.read_text()
        for text in (
            "Csordas et al., 2021",
            "--flagfile=reproduce/flags/double_add_quick.flags<",
            "one pair for each pass: little sharing in total",
            "Settings of this run that are not those of the paper",
            "Choices in which we differ",
        ):
            self.assertIn(text, page)

    def test_mistakes_end_it_with_one_line(self):
        with mock.patch.object(report, "page", self.fail):
            with self.assertRaisesRegex(SystemExit, "^Error: 'x' is neither"):
                self.run_binary("x")
            self.flags.output = str(self.folder / "no" / "page.html")
            with self.assertRaisesRegex(SystemExit, "there is no folder .*no$"):
                self.run_binary(ARCHIVE)
            (self.folder / f"{ARCHIVE}.json").unlink()
            with self.assertRaisesRegex(SystemExit, "has no archive"):
                self.run_binary()


if __name__ == "__main__":
    absltest.main()

import os
import pathlib
import tempfile
from unittest import mock

from absl.testing import absltest

from reproduce.publishing import commands


class CommandTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = self.enterContext(tempfile.TemporaryDirectory())
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)

    def test_in_a_clone_it_is_a_module_and_a_path(self):
        os.makedirs("reproduce/flags")
        self.assertEqual(
            commands.command("scan", "scan_demo.flags"),
            "python -m reproduce.scan "
            "--flagfile=reproduce/flags/scan_demo.flags",
        )

    def test_elsewhere_it_is_what_was_installed(self):
        for found, start in (
            ("/bin/modularity", "modularity"),
            (None, "python -m reproduce.command"),
        ):
            with mock.patch.object(
                commands.shutil, "which", return_value=found
            ):
                self.assertEqual(
                    commands.command("scan", "scan_demo.flags"),
                    f"{start} scan --flagfile=scan_demo.flags",
                )
                self.assertEqual(commands.command("scan"), f"{start} scan")


class ResultsFolderTest(absltest.TestCase):
    def test_it_is_that_of_the_clone(self):
        folder = commands.results_folder()
        self.assertTrue((folder / "double_add_quick.json").is_file())

    def test_without_a_clone_it_is_the_one_that_was_installed(self):
        root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        shared = root / "share" / "results"
        shared.mkdir(parents=True)
        (shared / "x.json").write_text("{}")
        file = commands.importlib.metadata.PackagePath("share/results/x.json")
        file.dist = mock.Mock(locate_file=lambda path: root / path)
        with (
            mock.patch.object(commands, "_ROOT", root),
            mock.patch.object(
                commands.importlib.metadata, "files", return_value=[file]
            ),
        ):
            self.assertEqual(commands.results_folder(), shared.resolve())


if __name__ == "__main__":
    absltest.main()

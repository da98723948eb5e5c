import pathlib
import shutil
import subprocess
import sys
import tempfile

from absl.testing import absltest

MIXED = """
import unittest

class MixedTest(unittest.TestCase):
    def test_a(self):
        print("a hint")
        self.fail("on purpose")
    def test_b(self):
        pass
"""
ENDS = "import os\ndef test_a(): os.kill(os.getpid(), 9)\n"
FINE = """
import pytest

def test_a(): pass
@pytest.mark.skip
def test_b(): pass
"""
MAIN = "from tests import run; run._SLOW_TO_IMPORT = (); sys.exit(run.main({}))"


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-c", "import sys; " + MAIN.format([*arguments])],
        cwd=pathlib.Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )


class RunTest(absltest.TestCase):
    def file(self, name, text):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        path = pathlib.Path(folder, name)
        path.write_text(text)
        return str(path)

    def test_each_file_runs_and_failures_are_told(self):
        paths = [
            self.file(name, text)
            for name, text in (
                ("mixed_test.py", MIXED),
                ("ends_test.py", ENDS),
                ("fine_test.py", FINE),
            )
        ]
        found = run(*paths)
        self.assertEqual(found.returncode, 1)
        for told in (
            "on purpose",
            "a hint",
            "2 passed, 1 skipped in ",
            f"{paths[0]} (status 1)",
            f"{paths[1]} (status -9)",
            f"{paths[2]}: 1 passed, 1 skipped in",
        ):
            self.assertIn(told, found.stdout)
        self.assertNotIn(f"{paths[2]} (status", found.stdout)

    def test_options_are_those_of_pytest(self):
        folder = pathlib.Path(self.file("fine_test.py", FINE)).parent
        (folder / "mixed_test.py").write_text(MIXED)
        (folder / "no_test_file.py").write_text(ENDS)
        found = run(str(folder), "-k", "test_b")
        self.assertEqual(found.returncode, 0)
        self.assertIn("1 passed, 1 skipped in ", found.stdout)
        self.assertEqual(run(str(folder), "-k", "other").returncode, 0)


if __name__ == "__main__":
    absltest.main()

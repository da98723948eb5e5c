"""The pages of the documentation, and how their blocks run."""

import os
import pathlib
import re
import sys
import tempfile

from absl.testing import parameterized

from docs import run_notebooks

ROOT = pathlib.Path(__file__).parents[1]
BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>[^>]*) -->\n+)?"
    r"```python\n(?P<source>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


def blocks(path):
    """Yields reason not to run it, source and first line of every block."""
    text = path.read_text("utf-8")
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("source"))
        yield found["reason"], found["source"], line


PAGES = {
    path.relative_to(ROOT).with_suffix("").as_posix(): path
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if any(True for _ in blocks(path))
}
NOTEBOOKS = {
    path.stem: path for path in (ROOT / "docs" / "notebooks").glob("*.md")
}


class InAnEmptyFolder(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.enterContext(tempfile.TemporaryDirectory()))

    def run_page(self, path):
        """Runs the blocks of a page.

        Returns:
            The names that they leave, and a list of what a notebook shows:
            the values of blocks that end in an expression.
        """
        names, shown = {}, []
        for reason, source, line in blocks(path):
            if reason is not None:
                continue
            value = run_notebooks.run_code(source, names, str(path), line)
            if value is not None:
                shown.append(value)
        return names, shown


def main(paths):
    """Runs pages in this folder, where they leave the files that they write."""
    for path in paths:
        InAnEmptyFolder().run_page(pathlib.Path(path))


if __name__ == "__main__":
    main(sys.argv[1:])

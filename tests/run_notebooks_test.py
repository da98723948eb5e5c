"""How notebooks are run, and what the site and Jupyter get of them."""

import base64
import json
import pathlib
import tempfile
from unittest import mock

from absl.testing import absltest

from docs import run_notebooks

TEXT = """---
jupyter: {}
---

# A title

Words.

```python
import pathlib

print("working\\rdone")
x = 2
x + 1
```

More words.

```python
class Picture:
    def _repr_png_(self):
        return b"png"

    def _repr_html_(self):
        return "<b>bold</b>"


pathlib.Path("left.txt").write_text("x")
Picture()
```

```python
y = x
```
"""


class RunTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.cells, self.names = run_notebooks.run(TEXT)

    def test_cells_hold_what_they_print_and_show(self):
        kinds = [cell.is_code for cell in self.cells]
        self.assertEqual(kinds, [False, True, False, True, True])
        first, second, third = (c for c in self.cells if c.is_code)
        self.assertEqual(first.printed, "done\n")  # of a bar, the last state
        self.assertEqual((first.value, first.shown), (3, {"text/plain": "3"}))
        png = base64.b64decode(second.shown["image/png"])
        self.assertEqual(png, b"png")
        self.assertEqual((third.value, third.shown), (None, {}))
        self.assertEqual(self.names["y"], 2)
        self.assertFalse(pathlib.Path("left.txt").exists())

    def test_a_page_has_outputs_pictures_and_a_link(self):
        page, pictures = run_notebooks.as_page(self.cells, "name")
        self.assertStartsWith(page, "# A title\n\n[Download name.ipynb]")
        self.assertNotIn("jupyter", page)
        for text in (
            "x + 1\n```\n\n```text\ndone\n```\n\n```text\n3\n```\n\nMore",
            "![What this cell draws](name_0.png)",
        ):
            self.assertIn(text, page)
        self.assertEqual(pictures, {"name_0.png": b"png"})
        self.assertEqual(page.count("bold"), 1)  # in the code alone

    def test_a_notebook_is_of_the_format_of_jupyter(self):
        made = json.loads(json.dumps(run_notebooks.as_notebook(self.cells)))
        self.assertEqual((made["nbformat"], made["nbformat_minor"]), (4, 5))
        ids = [cell["id"] for cell in made["cells"]]
        self.assertLen({*ids}, len(ids))
        stream, result = made["cells"][1]["outputs"]
        self.assertEqual(stream["text"], "done\n")
        self.assertEqual(result["data"], {"text/plain": "3"})
        self.assertEqual(result["execution_count"], 1)
        self.assertNotIn("outputs", made["cells"][0])

    def test_all_of_a_folder_are_written_and_what_was_there_goes(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        (folder / "name.md").write_text(TEXT)
        output = folder / "output"
        output.mkdir()
        (output / "old.png").write_bytes(b"old")
        with (
            mock.patch.object(run_notebooks, "FOLDER", folder),
            mock.patch("builtins.print") as told,
        ):
            run_notebooks.main(output)
        told.assert_called_with("name.md: 1 pictures")
        self.assertCountEqual(
            [path.name for path in output.iterdir()],
            ["name.ipynb", "name.md", "name_0.png"],
        )


if __name__ == "__main__":
    absltest.main()

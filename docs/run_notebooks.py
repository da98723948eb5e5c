"""Runs the notebooks, and writes them with what their cells show.

python -m docs.run_notebooks

Of each notebook NAME.md in docs/notebooks there are then, in a folder of its
own that git ignores, NAME.ipynb for Jupyter, and NAME.md with its pictures
NAME_N.png for the site.
"""

import argparse
import ast
import base64
import contextlib
import dataclasses
import io
import json
import os
import pathlib
import re
import tempfile
from collections.abc import Iterator
from typing import Any

FOLDER = pathlib.Path(__file__).parent / "notebooks"
OUTPUT = pathlib.Path(__file__).parents[1] / ".notebooks"
_CODE = re.compile(r"```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_HEADER = re.compile(r"---\n.*?\n---\n", re.DOTALL)
_KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


@dataclasses.dataclass
class Cell:
    """A cell of a notebook.

    Attributes:
        source: Str, Markdown or code.
        is_code: Bool.
        printed: Str, what it printed.
        shown: Dict from MIME type to str, what its last line is; pictures are
            in base64. Empty if the last line is no expression.
        value: The value of that line.
    """

    source: str
    is_code: bool = False
    printed: str = ""
    shown: dict[str, str] = dataclasses.field(default_factory=dict)
    value: Any = None


def cells_of(text: str) -> Iterator[Cell]:
    """Yields the cells of a notebook that is written in Markdown.

    Args:
        text: Str, with the header of jupytext.
    """
    text = _HEADER.sub("", text, count=1)
    for i, part in enumerate(_CODE.split(text)):
        if part.strip():
            yield Cell(part.strip("\n"), is_code=i % 2 == 1)


def run_code(source: str, names: dict[str, Any], file: str, line: int = 0):
    """Runs code, and returns the value of its last line.

    Args:
        source: Str.
        names: Dict of the names that the code knows, and leaves.
        file: Str, for messages.
        line: Int, the number of lines before it in the file.

    Returns:
        The value; `None` if the last line is no expression.
    """
    tree = ast.parse("\n" * line + source)
    is_shown = isinstance(tree.body[-1], ast.Expr)
    last = tree.body.pop() if is_shown else None
    exec(compile(tree, file, "exec"), names)
    if last is None:
        return None
    return eval(compile(ast.Expression(last.value), file, "eval"), names)


def run(text: str, file: str = "notebook") -> tuple[list[Cell], dict[str, Any]]:
    """Runs a notebook in an empty folder, which is deleted after it.

    Args:
        text: Str, as in `cells_of`.
        file: Str, for messages.

    Returns:
        The cells, and the names that they leave.
    """
    cells, names, start = [*cells_of(text)], {}, os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            for cell in cells:
                if not cell.is_code:
                    continue
                printed = io.StringIO()
                with contextlib.redirect_stdout(printed):
                    cell.value = run_code(cell.source, names, file)
                cell.printed = _as_seen(printed.getvalue())
                if cell.value is not None:
                    cell.shown = _shown(cell.value)
        finally:
            os.chdir(start)
    return cells, names


def as_notebook(cells: list[Cell]) -> dict[str, Any]:
    """Returns cells as the content of an .ipynb file (nbformat 4.5)."""
    found, count = [], 0
    for number, cell in enumerate(cells):
        made = {
            "cell_type": "code" if cell.is_code else "markdown",
            "id": f"cell-{number}",
            "metadata": {},
            "source": cell.source,
        }
        if cell.is_code:
            count += 1
            made["execution_count"] = count
            made["outputs"] = _outputs(cell, count)
        found.append(made)
    return {
        "cells": found,
        "metadata": {"kernelspec": _KERNEL},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def as_page(cells: list[Cell], name: str) -> tuple[str, dict[str, bytes]]:
    """Returns cells as a page in Markdown, and its pictures.

    Args:
        cells: The cells of a notebook that was run.
        name: Str, that of the notebook.

    Returns:
        The page, and a dict from the name of a file to the bytes of a PNG.
    """
    parts, pictures = [], {}
    for cell in cells:
        if not cell.is_code:
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        if cell.printed:
            parts.append(_as_text(cell.printed))
        if png := cell.shown.get("image/png"):
            file = f"{name}_{len(pictures)}.png"
            pictures[file] = base64.b64decode(png)
            parts.append(f"![What this cell draws]({file})")
        elif html := cell.shown.get("text/html"):
            parts.append(html)
        elif cell.shown:
            parts.append(_as_text(cell.shown["text/plain"]))
    first, *rest = parts
    title, _, below = first.partition("\n")
    link = f"[Download {name}.ipynb]({name}.ipynb), with its outputs."
    parts = [title, link, below.strip(), *rest]
    return "\n\n".join(parts) + "\n", pictures


def _as_text(text):
    return f"```text\n{text.rstrip()}\n```"


def _as_seen(text):
    """Returns what a screen shows of a text: a bar writes over itself."""
    lines = re.sub("\x08+", "\r", text).split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)


def _shown(value):
    """Returns what a notebook shows of a value, a dict by MIME type."""
    found = {"text/plain": repr(value)}
    if hasattr(value, "_repr_html_"):
        found["text/html"] = value._repr_html_()
    if hasattr(value, "_repr_png_"):
        found["image/png"] = base64.b64encode(value._repr_png_()).decode()
    return found


def _outputs(cell, count):
    """Returns the outputs of a cell as an .ipynb file has them."""
    found = []
    if cell.printed:
        stream = {"name": "stdout", "output_type": "stream"}
        found.append({**stream, "text": cell.printed})
    if cell.shown:
        found.append(
            {
                "data": cell.shown,
                "execution_count": count,
                "metadata": {},
                "output_type": "execute_result",
            }
        )
    return found


def main(output: pathlib.Path) -> None:
    """Runs all notebooks, and writes what they show into a folder."""
    output.mkdir(exist_ok=True)
    for old in output.iterdir():
        old.unlink()
    for path in sorted(FOLDER.glob("*.md")):
        cells, _ = run(path.read_text("utf-8"), str(path))
        page, pictures = as_page(cells, path.stem)
        notebook = json.dumps(as_notebook(cells), indent=1)
        (output / f"{path.stem}.ipynb").write_text(notebook, "utf-8")
        (output / path.name).write_text(page, "utf-8")
        for name, png in pictures.items():
            (output / name).write_bytes(png)
        print(f"{path.name}: {len(pictures)} pictures")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, default=OUTPUT)
    main(parser.parse_args().output)

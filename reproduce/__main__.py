"""Lists the experiments, how to start each, and what has been run.

python -m reproduce
python -m reproduce --output_dir=runs
"""

import ast
import json
import pathlib
import re

import rich.console
from absl import app, flags

from reproduce.publishing import claim, titles

_HERE = pathlib.Path(__file__).parent
RESULTS = _HERE.parent / "results"
_HOW = """
An experiment is small with --flagfile=reproduce/flags/NAME_demo.flags (a minute
or two), larger with NAME_quick.flags, and the paper's with NAME_paper.flags. A
claim is a statement of a paper, tested on our numbers. --help of an experiment
says what it does and lists its flags."""
# Figures of the papers that show no result.
DRAWINGS = {
    "Lange et al., 2022": {
        "1": "what a module is",
        "2": "the eight measures of similarity",
    },
    "Bena & Goodman, 2021": {"1": "the two architectures"},
}


def experiments():
    """Yields name, one-line description and figures of every binary.

    Figures are a dict from number to what it shows.
    """
    for name, title, found in _binaries():
        yield name, title, found["FIGURES"]


def papers():
    """Returns which binary draws which figure of which paper.

    Returns:
        Dict from paper to a list of number, what the figure shows, and the
        binary's name, `None` for drawings.
    """
    found = {
        paper: [
            (number, shows, None)
            for number, shows in DRAWINGS.get(paper, {}).items()
        ]
        for paper in titles.PAPERS
    }
    for name, _, constants in _binaries():
        if paper := constants.get("PAPER"):
            found[paper] += [
                (number, shows, name)
                for number, shows in constants["FIGURES"].items()
            ]
    return {
        paper: sorted(rows, key=lambda row: _order(row[0]))
        for paper, rows in found.items()
    }


def _order(number):
    appendix, digits, letter = re.fullmatch(
        "([A-Z]?)([0-9]+)([a-z]?)", number
    ).groups()
    return appendix, int(digits), letter


def _binaries():
    """Yields name, one-line description and constants of every binary."""
    for file in sorted(_HERE.glob("*.py")):
        tree, found = ast.parse(file.read_text("utf-8")), {}
        for node in tree.body:
            for target in getattr(node, "targets", ()):
                if ast.unparse(target) in ("FIGURES", "PAPER"):
                    found[target.id] = ast.literal_eval(node.value)
        if "FIGURES" in found:
            yield file.stem, ast.get_docstring(tree).splitlines()[0], found


def state(output_dir, name):
    """Returns what was run of an experiment, a line a run or archive."""
    lines = []
    for path in sorted(RESULTS.glob("*.json")):
        archive = json.loads(path.read_text("utf-8"))
        if archive["experiment"] == name:
            told = claim.tally(archive["claims"])
            lines.append(f"archived: {path.name}, {told}")
    for folder in sorted(pathlib.Path(output_dir).glob(f"{name}-*")):
        results = folder / "results.json"
        if not results.exists():
            lines.append(f"{folder}: unfinished")
            continue
        try:
            found = json.loads(results.read_text("utf-8"))
            told = claim.tally(found["claims"])
        except (OSError, ValueError, LookupError, TypeError) as error:
            lines.append(f"{results} can't be read: {error!r}")
            continue
        lines.append(f"{folder}: {told}")
    return lines or ["not run yet"]


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}.")
    console = rich.console.Console(soft_wrap=True, highlight=False)
    for name, title, figures in experiments():
        console.print(f"[bold]python -m reproduce.{name}[/bold]")
        console.print(f"    {title} Figures {', '.join(figures)}.")
        for line in state(flags.FLAGS.output_dir, name):
            console.print(f"    {line}", markup=False)
    console.print(_HOW, markup=False)


if __name__ == "__main__":
    flags.DEFINE_string(
        "output_dir",
        "runs",
        "Folder in which each run has a folder of its own.",
    )
    app.run(main)

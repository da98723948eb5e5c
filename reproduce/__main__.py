"""Lists the experiments, how to start each, and what has been run.

python -m reproduce
python -m reproduce --output_dir=runs
"""

import json
import pathlib

import rich.console
from absl import app, flags

from reproduce import experiments
from reproduce.publishing import wording

RESULTS = pathlib.Path(__file__).parents[1] / "results"
_HOW = """
An experiment is small with --flagfile=reproduce/flags/NAME_demo.flags (a minute
or two), larger with NAME_quick.flags, and the paper's with NAME_paper.flags. A
claim is a statement of a paper, tested on our numbers. --help of an experiment
says what it does and lists its flags."""


def state(output_dir, name):
    """Returns what was run of an experiment, a line for each run or archive."""
    lines = []
    for path in sorted(RESULTS.glob("*.json")):
        archive = json.loads(path.read_text("utf-8"))
        if archive["experiment"] == name:
            told = wording.tally(archive["claims"])
            lines.append(f"archived: {path.name}, {told}")
    for folder in sorted(pathlib.Path(output_dir).glob(f"{name}-*")):
        results = folder / "results.json"
        if not results.exists():
            lines.append(f"{folder}: unfinished")
            continue
        try:
            found = json.loads(results.read_text("utf-8"))
            told = wording.tally(found["claims"])
        except (OSError, ValueError, LookupError, TypeError) as error:
            lines.append(f"{results} can't be read: {error!r}")
            continue
        lines.append(f"{folder}: {told}")
    return lines or ["not run yet"]


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}.")
    console = rich.console.Console(soft_wrap=True, highlight=False)
    for name, experiment in experiments.ALL.items():
        console.print(f"[bold]python -m reproduce.{name}[/bold]")
        about = f"    {experiment.title} {experiment.paper}"
        if experiment.figures:
            about += f", figures {', '.join(experiment.figures)}"
        console.print(f"{about}.")
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

"""Lists the experiments, how to start each, and what has been run.

python -m reproduce
python -m reproduce --output_dir=runs
"""

import json
import pathlib
import sys

import rich.console
from absl import app, flags

from reproduce import experiments
from reproduce.publishing import commands, titles, wording
from reproduce.publishing.experiment import HELP

_TOOLS = {
    "report": "one page with what runs found, beside what the papers say",
    "archive": "results of runs into this repository and its documents",
}
_HOW = """
A demo takes a minute or a few and needs no download; _quick.flags in place of
_demo.flags is larger, _paper.flags the paper's. A claim is a statement of a
paper, tested on our numbers. --help after a name says what it does and lists
its flags."""


def state(output_dir, name):
    """Returns what was run of an experiment, a line for each run or archive."""
    lines = []
    for path in sorted(commands.results_folder().glob("*.json")):
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
    for paper in (titles.OWN_MODEL, *titles.PAPERS, titles.OWN):
        console.print(f"[bold]{paper}[/bold]")
        for name, experiment in experiments.ALL.items():
            if experiment.paper != paper:
                continue
            console.print(f"  [bold]{name}[/bold]: {experiment.title}")
            flag_file = f"{name}_demo.flags"
            if not (commands.FLAGS_FOLDER / flag_file).exists():
                flag_file = ""
            how = commands.command(name, flag_file)
            console.print(f"    {how}{'' if flag_file else ' --help'}")
            for line in state(flags.FLAGS.output_dir, name):
                console.print(f"    {line}", markup=False)
    console.print("[bold]Results[/bold]")
    for name, about in _TOOLS.items():
        if name == "report" or commands.in_clone():
            console.print(f"  [bold]{name}[/bold]: {about}")
            console.print(f"    {commands.command(name)}")
    console.print(f"  archived: {commands.results_folder()}", markup=False)
    console.print(_HOW, markup=False)


if __name__ == "__main__":
    flags.DEFINE_string(
        "output_dir",
        "runs",
        "Folder in which each run has a folder of its own.",
    )
    app.run(main, [each for each in sys.argv if each not in HELP])

"""Lists the experiments: python -m reproduce [--output_dir=runs]."""

import ast
import collections
import json
import pathlib

import rich.console
from absl import app, flags

_HERE = pathlib.Path(__file__).parent


def experiments():
    """Yields name, one-line description and figures of every binary."""
    for file in sorted(_HERE.glob("*.py")):
        tree = ast.parse(file.read_text("utf-8"))
        for node in tree.body:
            names = [ast.unparse(t) for t in getattr(node, "targets", ())]
            if names == ["FIGURES"]:
                title = ast.get_docstring(tree).splitlines()[0]
                yield file.stem, title, ast.literal_eval(node.value)


def state(output_dir, name):
    """Returns what the run folders hold of an experiment, a line each."""
    lines = []
    for folder in sorted(pathlib.Path(output_dir).glob(f"{name}-*")):
        results = folder / "results.json"
        if not results.exists():
            lines.append(f"{folder}: unfinished")
            continue
        try:
            verdicts = [
                claim["verdict"]
                for claim in json.loads(results.read_text("utf-8"))["claims"]
            ]
        except (OSError, ValueError, LookupError, TypeError) as error:
            lines.append(f"{results} can't be read: {error!r}")
            continue
        counts = collections.Counter(verdicts).items()
        found = ", ".join(f"{count} {verdict}" for verdict, count in counts)
        lines.append(f"{folder}: {len(verdicts)} claims: {found}")
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


if __name__ == "__main__":
    flags.DEFINE_string("output_dir", "runs", "Folder of the run folders.")
    app.run(main)

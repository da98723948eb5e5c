r"""Writes a report: one page with what runs found, beside the papers' claims.

Give run folders, or names of archives in results/; without any, the page has
all archives. It opens without a server or a network. Needs
`pip install '.[report]'`.

python -m reproduce.report runs/cifar_ablation-digits-0a1b2c3d
python -m reproduce.report --compare cifar_ablation_quick \
    cifar_ablation_mnist_quick --output=two.html
"""

import pathlib
import sys
from concurrent import futures

import rich.console
import rich.progress
from absl import app, flags

from reproduce import experiments
from reproduce.publishing import commands, report


def _watched(each):
    """Returns a function like `map` that shows how far it is."""

    def watched(function, runs):
        return rich.progress.track(  # to draw a hundred figures takes time
            each(function, runs),
            total=len(runs),
            description="Drawing the figures of each run",
            console=rich.console.Console(stderr=True),
        )

    return watched


def main(argv):
    values = flags.FLAGS
    try:
        report.import_packages()  # before the figures are drawn
        folder = pathlib.Path(values.results_dir)
        arguments = argv[1:]
        if not arguments and not values.compare:
            arguments = [path.stem for path in sorted(folder.glob("*.json"))]
            if not arguments:
                raise ValueError(f"--results_dir={folder} has no archive.")
        output = pathlib.Path(values.output)
        if not output.absolute().parent.is_dir():
            raise ValueError(
                f"--output={output}: there is no folder {output.parent}"
            )
        runs = [
            report.load(argument, folder, experiments.ALL)
            for argument in arguments
        ]
        with futures.ProcessPoolExecutor() as pool:
            page = report.page(
                runs,
                values.compare,
                _watched(pool.map),
                output.absolute().parent,
            )
        report.write(page, output)
    except (ValueError, OSError) as error:
        sys.exit("Error: " + " ".join(str(error).split()))
    size = output.stat().st_size / 2**20
    sys.stdout.write(f"{output}: {len(runs)} runs, {size:.1f} MiB\n")


if __name__ == "__main__":
    flags.DEFINE_string("output", "report.html", "File to write the page to.")
    flags.DEFINE_bool(
        "compare", False, "Whether to show two runs side by side."
    )
    flags.DEFINE_string(
        "results_dir",
        str(commands.results_folder()),
        "Folder of the archives.",
    )
    app.run(main)

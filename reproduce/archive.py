r"""Archives finished runs, and writes their numbers into the documents.

Each run folder becomes results/NAME.json, where NAME is that of its flag file.
(A part of a larger run is in the folder part-DIGEST of that run.) The claims
in results/ are computed anew from the records there, as the code defines them
by now, and the marked parts of README.md and docs/ are written from them. So
are the pictures of that archive in docs/images/NAME, each the figure of that
name; a new one begins as an empty file. `--draw` draws those of all archives.

python -m reproduce.archive runs/add_mul-7f940141
"""

import pathlib
import sys

from absl import app, flags

from reproduce import experiments
from reproduce.publishing import archive, evidence

ROOT = pathlib.Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"


def documents():
    """Returns the paths of README.md and of all pages in docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def filled(text, archives):
    """Returns a document with its marked parts as the archives have them."""
    return evidence.filled(text, archives, experiments.ALL)


def write_documents(results_folder):
    """Writes the marked parts of the documents anew from archives.

    Returns:
        List of the paths of the documents that changed.
    """
    archives, changed = evidence.read(results_folder), []
    for path in documents():
        old = path.read_text("utf-8")
        new = filled(old, archives)
        if new != old:
            path.write_text(new, "utf-8")
            changed.append(path)
    return changed


def main(argv):
    results_folder = pathlib.Path(flags.FLAGS.results_dir)
    try:
        drawn = set()
        for folder in argv[1:]:
            path = archive.archive(
                pathlib.Path(folder), results_folder, experiments.ALL
            )
            drawn.add(path)
            sys.stdout.write(f"{folder}: {path}\n")
        if flags.FLAGS.draw:
            drawn.update(results_folder.glob("*.json"))
        for path in sorted(drawn):
            for picture in archive.draw(
                path, IMAGES / path.stem, experiments.ALL
            ):
                sys.stdout.write(f"drawn: {picture}\n")
        changed = [
            path
            for path in sorted(results_folder.glob("*.json"))
            if archive.refresh(path, experiments.ALL)
        ]
        for path in changed + write_documents(results_folder):
            sys.stdout.write(f"written anew: {path}\n")
    except (ValueError, OSError) as error:
        sys.exit("Error: " + " ".join(str(error).split()))


if __name__ == "__main__":
    flags.DEFINE_string(
        "results_dir", str(ROOT / "results"), "Folder of the archives."
    )
    flags.DEFINE_bool("draw", False, "Draw the pictures of all archives anew.")
    app.run(main)

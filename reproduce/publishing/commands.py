"""Commands as a reader can give them, in a clone or after an installation."""

import importlib.metadata
import pathlib
import shutil

FLAGS_FOLDER = pathlib.Path(__file__).parents[1] / "flags"
_ROOT = pathlib.Path(__file__).parents[2]
_PACKAGE = "modularity_tf"


def in_clone() -> bool:
    """Returns whether the working folder is a clone of the repository."""
    return pathlib.Path("reproduce", "flags").is_dir()


def command(name: str, flag_file: str = "") -> str:
    """Returns the command that starts a binary from the working folder.

    Args:
        name: That of the binary.
        flag_file: Name of a flag file that comes with the code.
    """
    if in_clone():
        start, folder = f"python -m reproduce.{name}", "reproduce/flags/"
    else:
        is_there = shutil.which("modularity")
        start = "modularity" if is_there else "python -m reproduce.command"
        start, folder = f"{start} {name}", ""
    return start + (f" --flagfile={folder}{flag_file}" if flag_file else "")


def results_folder() -> pathlib.Path:
    """Returns the folder of the archived results.

    That of the clone which this code is in, else the one that was installed.
    """
    folder = _ROOT / "results"
    if folder.is_dir():
        return folder
    try:
        files = importlib.metadata.files(_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.parent.name == "results" and file.suffix == ".json":
            return pathlib.Path(str(file.locate())).resolve().parent
    return folder

"""The command `modularity`: python -m reproduce, and the experiments by name.

modularity
modularity cifar_ablation --flagfile=cifar_ablation_demo.flags
"""

import pathlib
import runpy
import sys

_HERE = pathlib.Path(__file__).parent
_FLAGFILE = "--flagfile="


def main():
    """Runs the experiment that the first argument names, or lists them all.

    A flag file that is not there is looked for among those of the package, so
    that they are found without a clone.
    """
    name = "__main__"
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        name = sys.argv.pop(1)
        if not (_HERE / f"{name}.py").is_file():
            sys.exit(f"Error: `modularity` lists no experiment {name!r}.")
    sys.argv[1:] = [_found(argument) for argument in sys.argv[1:]]
    runpy.run_module(f"reproduce.{name}", run_name="__main__", alter_sys=True)


def _found(argument):
    """Returns an argument; that of a flag file leads into the package."""
    path = pathlib.Path(argument.removeprefix(_FLAGFILE))
    own = _HERE / "flags" / path.name
    is_own = path.parent.as_posix() in (".", "reproduce/flags")
    if not argument.startswith(_FLAGFILE) or path.exists() or not is_own:
        return argument
    return f"{_FLAGFILE}{own}"


if __name__ == "__main__":
    main()

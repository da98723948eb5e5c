"""The command `modularity`: what python -m reproduce lists, by name.

modularity
modularity cifar_ablation --flagfile=cifar_ablation_demo.flags
"""

import difflib
import pathlib
import runpy
import sys

_HERE = pathlib.Path(__file__).parent
_FLAGFILE = "--flagfile="
_HELP = ("-h", "-help", "--help", "--helpshort", "help")
_NO_NAMES = ("__init__", "__main__", "command", "experiments")


def names() -> list[str]:
    """Returns what `modularity` can be followed by."""
    found = sorted(path.stem for path in _HERE.glob("*.py"))
    return [name for name in found if name not in _NO_NAMES]


def main() -> None:
    """Runs the binary that the first argument names, or lists them all.

    A flag file that is not there is looked for among those of the package, so
    that they are found without a clone.
    """
    name = "__main__"
    arguments = sys.argv[1:]
    if arguments and arguments[0] in _HELP:
        del sys.argv[1:]
    elif arguments and not arguments[0].startswith("-"):
        name = sys.argv.pop(1)
        known = names()
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.5)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            sys.exit(
                f"Error: `modularity` has no {name!r}.{hint} It has: "
                f"{', '.join(known)}."
            )
    sys.argv[1:] = [*map(_found, sys.argv[1:], ["", *sys.argv[1:]])]
    if "" not in sys.path:  # as with `python -m`: a user's own modules
        sys.path.insert(0, "")
    runpy.run_module(f"reproduce.{name}", run_name="__main__", alter_sys=True)


def _found(argument, before):
    """Returns an argument; that of a flag file leads into the package."""
    path = pathlib.Path(argument.removeprefix(_FLAGFILE))
    own = _HERE / "flags" / path.name
    is_own = path.parent.as_posix() in (".", "reproduce/flags")
    starts = _FLAGFILE if argument.startswith(_FLAGFILE) else ""
    is_flagfile = starts or before == _FLAGFILE.removesuffix("=")
    if not is_flagfile or path.exists() or not is_own:
        return argument
    return f"{starts}{own}"


if __name__ == "__main__":
    main()

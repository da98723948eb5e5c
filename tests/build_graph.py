"""Says what Bazel would refuse in BUILD files, without Bazel."""

import functools
import graphlib

EDGES = ("srcs", "data", "main", "deps", "actual", "tests")


def problems(builds, root):
    """Returns what is wrong, a line each.

    Args:
        builds: Dict from the path of each BUILD below `root` to its text.
        root: Path of the repository. Labels may name files in it.
    """
    targets, found = {}, []
    for path, text in builds.items():
        package = path.rpartition("/")[0]
        for target in _targets(text):
            label = f"//{package}:{target['name']}"
            if label in targets:
                found.append(f"{label} is there twice.")
            targets[label] = target
    graph = {}
    for label, target in targets.items():
        graph[label] = list(_needed(label, target))
        for other in graph[label]:
            reason = _refusal(label, other, targets, root)
            found.extend([f"{label} needs {other}: {reason}."] * bool(reason))
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        found.append(f"A circle: {' -> '.join(error.args[1])}.")
    return found


def _targets(text):
    """Returns the attributes of every target of a BUILD."""
    targets = []

    def rule(kind, **attributes):
        targets.append({"kind": kind, **attributes})

    def exports_files(names, visibility):
        for name in names:
            rule("file", name=name, visibility=visibility)

    class Names(dict):
        def __missing__(self, kind):
            return functools.partial(rule, kind)

    known = Names(
        load=lambda *names: None,
        package=lambda **attributes: None,
        glob=lambda *patterns, **attributes: [],
        exports_files=exports_files,
    )
    exec(text, {}, known)
    return targets


def _needed(label, target):
    """Yields the full labels of what a target needs in this repository."""
    package = label.partition(":")[0]
    for attribute in EDGES:
        values = target.get(attribute, [])
        for value in [values] if isinstance(values, str) else values:
            if value.startswith("//"):
                last = value.rpartition("/")[2]
                yield value if ":" in value else f"{value}:{last}"
            elif not value.startswith("@"):
                yield f"{package}:{value.removeprefix(':')}"


def _refusal(label, other, targets, root):
    """Returns why a target may not need another one, or ''."""
    user, owner = (name.partition(":")[0] for name in (label, other))
    if other not in targets:
        file = root / owner.strip("/") / other.partition(":")[2]
        if user != owner or not file.is_file():
            return "there is no such target"
        return ""
    target = targets[other]
    admitted = {"//visibility:public", "//:__subpackages__", f"{user}:__pkg__"}
    if user != owner and not admitted & {*target.get("visibility", [])}:
        return "it is private"
    in_tests = (
        targets[label]["kind"] == "py_test" or "testonly" in targets[label]
    )
    if "testonly" in target and not in_tests:
        return "it is for tests only"
    return ""

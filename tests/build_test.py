"""Checks that the BUILD files follow the imports, and that modules have tests.

Every folder with Python files has a BUILD, written by hand: one target for the
folder (`modularity_tf` has one more, for what all others import). This test
says which dependencies it lacks, and which it has too many.
"""

import ast
import functools
import graphlib
import pathlib
import re
import sys

from absl.testing import parameterized

ROOT = pathlib.Path(__file__).parents[1]
TOPS = ("benchmarks", "modularity_tf", "reproduce", "tests")
PYPI = {
    "absl": "absl_py",
    "markdown_it": "markdown_it_py",
    "PIL": "pillow",
    "sklearn": "scikit_learn",
}
# Extras that Bazel does not install: what needs them says so where it runs.
DATA = ("docs",)  # its modules are files of //:files
EXTRAS = ("tracr",)
# What a package, or a name, needs at run time beside its own requirements.
COMPANIONS = {"keras": "tensorflow", "tensorflow_probability": "tf_keras"}
WRITES_EVENTS = ("tf.summary", "keras.callbacks.TensorBoard")


def targets(text, folder):
    """Returns the targets of a BUILD by name; a glob is the files it finds.

    Args:
        text: Str, what the BUILD says.
        folder: Path of its folder.
    """
    found = {}

    def rule(**attributes):
        found[attributes["name"]] = attributes

    def glob(include, exclude=(), **_):
        files = {f for pattern in include for f in folder.glob(pattern)}
        files -= {f for pattern in exclude for f in folder.glob(pattern)}
        return sorted(f.relative_to(folder).as_posix() for f in files)

    class Names(dict):
        def __missing__(self, kind):
            return rule

    nothing = {"load": lambda *_: None, "exports_files": lambda *_, **__: None}
    exec(text, {}, Names(glob=glob, package=lambda **_: None, **nothing))
    return found


@functools.cache
def libraries():
    """Returns the targets that hold Python files of our packages, by label."""
    found = {}
    for top in TOPS:
        for file in sorted((ROOT / top).rglob("BUILD")):
            package = file.parent.relative_to(ROOT).as_posix()
            for name, target in targets(file.read_text(), file.parent).items():
                if "srcs" in target:
                    found[f"//{package}:{name}"] = target
    return found


@functools.cache
def owners():
    """Returns the labels of the targets that hold each file, by its path."""
    found = {}
    for label, target in libraries().items():
        package = label[2:].partition(":")[0]
        for name in target["srcs"]:
            if not name.startswith("//"):  # a file of another package
                found.setdefault(f"{package}/{name}", []).append(label)
    return found


def imported(tree):
    """Yields the dotted names that a source imports at run time."""
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If)
        and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute):
            yield from ["tensorboard"] * (ast.unparse(node) in WRITES_EVENTS)


@functools.cache
def needed(file):
    """Returns the labels of what a file, given by its label, imports."""
    labels, path = set(), ROOT / file[2:].replace(":", "/")
    for name in imported(ast.parse(path.read_text("utf-8"))):
        top = name.partition(".")[0]
        known = (*TOPS, *EXTRAS, *DATA, *sys.stdlib_module_names)
        if top not in known:
            both = (top, COMPANIONS.get(top, top))
            labels.update(f"@pypi//{PYPI.get(each, each)}" for each in both)
        while name and top in TOPS:
            stem = name.replace(".", "/")
            files = {f"{stem}.py", f"{stem}/__init__.py"} & owners().keys()
            labels.update(label for file in files for label in owners()[file])
            name = "" if files else name.rpartition(".")[0]
    return labels


def full(label, package):
    """Returns a label with its package and name."""
    if not label.startswith(("//", "@")):
        return f"//{package}:{label.removeprefix(':')}"
    if label.startswith("//") and ":" not in label:
        return f"{label}:{label.rpartition('/')[2]}"
    return label


def dependencies(label):
    package = label[2:].partition(":")[0]
    return {full(each, package) for each in libraries()[label].get("deps", ())}


def place(module):
    """Returns the path at which the test of a module belongs."""
    folders = module.parts[module.parts[0] == "modularity_tf" : -1]
    return pathlib.Path("tests", *folders, f"{module.stem.strip('_')}_test.py")


def versions(path):
    """Returns the version that a file of requirements asks for, by package."""
    lines = re.findall(r"^\w.*", path.read_text("utf-8"), re.MULTILINE)
    pairs = (re.fullmatch(r"([\w.-]+)[~=]=([\w.]+)", line) for line in lines)
    return {
        re.sub("[-_.]+", "_", pair[1]).lower(): pair[2].split(".")
        for pair in pairs
    }


class BuildTest(parameterized.TestCase):
    def test_every_file_is_in_one_target(self):
        files = [f for top in TOPS for f in (ROOT / top).rglob("*.py")]
        held = {path: len(labels) for path, labels in owners().items()}
        for file in files:
            path = file.relative_to(ROOT).as_posix()
            self.assertEqual(held.get(path, 0), 1, path)

    def test_dependencies_are_what_the_sources_import(self):
        lines = []
        for label, target in libraries().items():
            package = label[2:].partition(":")[0]
            paths = (full(n, package) for n in target["srcs"])
            found = {each for path in paths for each in needed(path)} - {label}
            listed = dependencies(label)
            lines += [f"{label} lacks {each}" for each in found - listed]
            lines += [f"{label} has {each}" for each in listed - found]
        self.assertFalse(lines, "\n".join(sorted(lines)))

    def test_no_two_packages_need_each_other(self):
        graph = {
            label: dependencies(label) & libraries().keys()
            for label in libraries()
        }
        graphlib.TopologicalSorter(graph).prepare()  # or says the circle

    def test_every_imported_package_is_a_requirement(self):
        required = versions(ROOT / "requirements.txt").keys()
        # The extra `cluster` brings Ray; tests alone need the others.
        required |= {*versions(ROOT / "requirements-dev.txt"), "markdown_it_py"}
        used = {each for label in libraries() for each in dependencies(label)}
        packages = {e.removeprefix("@pypi//") for e in used if e[0] == "@"}
        self.assertEmpty(packages - required)

    @parameterized.parameters("requirements.txt", "requirements-dev.txt")
    def test_the_lock_has_every_requirement(self, file):
        # `~=2.1.3` is what starts with 2.1 and is not below 2.1.3.
        locked = versions(ROOT / "requirements_lock.txt")
        for name, least in versions(ROOT / file).items():
            version = locked.get(name, [])
            self.assertEqual(version[: len(least) - 1], least[:-1], name)
            numbers = [[*map(int, v)] for v in (version, least)]
            self.assertGreaterEqual(*numbers, name)

    def test_every_module_has_a_test(self):
        modules = [
            file.relative_to(ROOT)
            for package in ("modularity_tf", "reproduce")
            for file in (ROOT / package).rglob("*.py")
            if file.name != "__init__.py"
        ]
        tests = sorted(map(place, modules))
        self.assertEmpty([str(t) for t in tests if not (ROOT / t).exists()])

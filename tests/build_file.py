"""The text of every BUILD, rendered from the sources' imports.

- A package is a folder with Python files, below a top folder that has an
  `__init__.py`. (`docs` has none: its script is text of a page, run by hand.)
- `x.py` is the target `x`, and `__init__.py` is the one named after its folder.
  A file with a `__main__` guard is a binary, and importers need `x_lib`.
- `from package import name` needs `package/name.py` if there is such a module,
  else `package/__init__.py`. A module does not need the `__init__.py` of its
  own package: that one imports the modules, and Bazel allows no circle.
- A test also needs the modules that it names in a string, to start them.
  `f"package.{name}"` may be any module of the package.
- A module that asks for a `__file__` reads files of its own package; a test
  that does may read every file of the repository.
- A target is private unless another package imports it. The library's faces,
  which have an `__all__`, are public.
- A test is `medium` if it imports `modularity_tf` or `reproduce`, else `small`.
"""

import ast
import json
import re
import sys

LAUNCHER = "//tests:conftest.py"  # starts pytest on one test file
LIBRARY, EXPERIMENTS = "modularity_tf", "reproduce"
PYPI = {
    "absl": "absl_py",
    "markdown_it": "markdown_it_py",
    "PIL": "pillow",
    "sklearn": "scikit_learn",
}
# What a package, or a name, needs at run time beside its own requirements.
COMPANIONS = {"keras": "tensorflow", "tensorflow_probability": "tf_keras"}
LOADS_TENSORBOARD = ("tf.summary", "keras.callbacks.TensorBoard")
HEADER = "# Written by `python -m tests.build_test --write`.\n"
DEFINITIONS = "@rules_python//python:defs.bzl"
PRIVATE = 'package(default_visibility = ["//visibility:private"])\n'
PACKAGE_FILES = """\
filegroup(
    name = "all_files",
    srcs = glob(
        ["**"],
        exclude = ["**/__pycache__/**"],
    ),
    visibility = ["//:__pkg__"],
)
"""
LAUNCHER_FILE = """\
exports_files(
    ["conftest.py"],
    visibility = ["//:__subpackages__"],
)
"""
TOP_FILES = """\
filegroup(
    name = "all_files",
    srcs = glob(
        [
            "*",
            "docs/**",
            "results/**",
        ],
        allow_empty = True,
    ) + [
%s    ],
    visibility = ["//:__subpackages__"],
)
"""


def top_folders(root):
    """Returns the folders of the repository that hold its Python packages."""
    return sorted(file.parent for file in root.glob("*/__init__.py"))


def render(root):
    """Returns the text of each BUILD that the sources need, by its path."""
    files = sorted(f for top in top_folders(root) for f in top.rglob("*.py"))
    trees = {
        file.relative_to(root).as_posix(): ast.parse(file.read_text("utf-8"))
        for file in files
    }
    needs = {path: _dependencies(path, trees) for path in trees}
    shared = {
        label
        for path, labels in needs.items()
        for label in labels
        if not label.startswith(f"//{_package(path)}:")
    }
    packages = sorted({_package(path) for path in trees})
    builds = {"BUILD": _top(packages, trees)}
    for package in packages:
        rules = [
            _rules(path, trees, needs[path], shared)
            for path in trees
            if _package(path) == package
        ]
        if any(_is_test(path) for path in trees if _package(path) == package):
            group = {"name": "all_tests", "visibility": ["//:__pkg__"]}
            rules.append(_rule("test_suite", **group))
        text = "\n".join([PRIVATE, PACKAGE_FILES, *rules])
        kinds = sorted({*re.findall(r"^py_\w+", text, re.MULTILINE)})
        names = ", ".join(map(json.dumps, [DEFINITIONS, *kinds]))
        builds[f"{package}/BUILD"] = f"{HEADER}\nload({names})\n\n{text}"
    return builds


def _top(packages, trees):
    """Returns the text of the BUILD at the top: all that is run by hand."""
    files = [f"        {json.dumps(f'//{p}:all_files')},\n" for p in packages]
    tested = {_package(path) for path in trees if _is_test(path)}
    binaries = [
        path.rpartition("/")[2].removesuffix(".py")
        for path in trees
        if _package(path) == EXPERIMENTS and _is_binary(trees[path])
    ]
    aliases = [
        _rule(
            "alias",
            name=EXPERIMENTS if binary == "__main__" else binary,
            actual=f"//{EXPERIMENTS}:{binary}",
        )
        for binary in binaries
    ]
    suites = [f"//{package}:all_tests" for package in tested]
    suite = _rule("test_suite", name="tests", tests=suites)
    filegroup = TOP_FILES % "".join(files)
    return "\n".join([HEADER, PRIVATE, filegroup, *aliases, suite])


def _rules(path, trees, needs, shared):
    """Returns the target of a test, or the library (and binary) of a module."""
    package, _, file = path.rpartition("/")
    if f"//{package}:{file}" == LAUNCHER:
        return LAUNCHER_FILE
    deps = {_shortened(label, package) for label in needs}
    reads_files = any(
        getattr(node, "id", getattr(node, "attr", "")) == "__file__"
        for node in ast.walk(trees[path])
    )
    name = file.removesuffix(".py")
    if _is_test(path):
        ours = (f"//{LIBRARY}", f"//{EXPERIMENTS}")
        return _rule(
            "py_test",
            name=name,
            size="medium" if any(d.startswith(ours) for d in deps) else "small",
            srcs=[LAUNCHER, file],
            args=[path],
            data=["//:all_files"] if reads_files else [],
            # Or Bazel adds an `__init__.py` to every folder of what it reads.
            legacy_create_init=0 if reads_files else None,
            main=LAUNCHER,
            deps=deps | {"@pypi//pytest"},
        )
    label = _label(path, trees)
    if package.startswith(LIBRARY) and _is_face(path, trees[path]):
        visibility = ["//visibility:public"]
    else:
        visibility = ["//:__subpackages__"] if label in shared else []
    text = _rule(
        "py_library",
        name=label.partition(":")[2],
        testonly=path.startswith("tests/"),
        srcs=[file],
        data=[":all_files"] if reads_files else [],
        visibility=visibility,
        deps=deps,
    )
    if not _is_binary(trees[path]):
        return text
    binary = _rule(
        "py_binary",
        name=name,
        testonly=path.startswith("tests/"),
        srcs=[file],
        visibility=["//:__pkg__"] if package == EXPERIMENTS else [],
        deps=[f":{name}_lib"],
    )
    return f"{text}\n{binary}"


def _package(path):
    return path.rpartition("/")[0]


def _is_test(path):
    return path.endswith("_test.py")


def _is_binary(tree):
    tests = [ast.unparse(n.test) for n in tree.body if hasattr(n, "test")]
    return "__name__ == '__main__'" in tests


def _is_face(path, tree):
    targets = [t for n in tree.body for t in getattr(n, "targets", ())]
    names = [ast.unparse(target) for target in targets]
    return path.endswith("/__init__.py") and "__all__" in names


def _label(path, trees):
    """Returns the target that importers of a file need."""
    package, _, file = path.rpartition("/")
    name = file.removesuffix(".py")
    if name == "__init__":
        name = package.rpartition("/")[2]
    return f"//{package}:{name}" + "_lib" * _is_binary(trees[path])


def _shortened(label, package):
    """Returns a label as it is written in the BUILD of a package."""
    label = re.sub(f"^//{package}:", ":", label)
    return re.sub(r"^(//(?:.*/)?([^/]*)):\2$", r"\1", label)


def _dependencies(path, trees):
    """Returns the labels of what a file needs."""
    tops = {path.partition("/")[0] for path in trees}
    labels = set()
    for name in _used_names(trees[path]):
        top = name.partition(".")[0]
        if top not in (*tops, *sys.stdlib_module_names):
            needed = (top, COMPANIONS.get(top, top))
            labels.update(f"@pypi//{PYPI.get(n, n)}" for n in needed)
        while name and top in tops:
            stem = name.replace(".", "/")
            files = {f"{stem}.py", f"{stem}/__init__.py"} & trees.keys()
            labels.update(_label(file, trees) for file in files)
            name = "" if files else name.rpartition(".")[0]
    if _is_test(path):
        nodes = ast.walk(trees[path])
        values = {n.value for n in nodes if isinstance(n, ast.Constant)}
        for other in trees:
            module = other.removesuffix(".py").replace("/", ".")
            if {module, module[: module.rindex(".") + 1]} & values:
                labels.add(_label(other, trees))
    return labels


def _used_names(tree):
    """Yields the dotted names that a source needs at run time."""
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
            used = ast.unparse(node) in LOADS_TENSORBOARD
            yield from ["tensorboard"] * used


def sort_key(value):
    """Returns what buildifier sorts by: local names first, then labels."""
    kind = re.match(r":|//|@|", value).group()
    return ("", ":", "//", "@").index(kind), re.split("[:.]", value)


def _rule(kind, **attributes):
    """Returns the text of one target, laid out as buildifier wants it."""
    lines = [f"{kind}("]
    for key, value in attributes.items():
        if not value and type(value) is not int:
            continue
        if isinstance(value, int):
            text = repr(value)
        elif isinstance(value, str) or len(value) == 1:
            text = json.dumps(value if isinstance(value, str) else list(value))
        else:
            ordered = sorted(value, key=sort_key)
            items = (f"        {json.dumps(item)},\n" for item in ordered)
            text = "[\n" + "".join(items) + "    ]"
        lines.append(f"    {key} = {text},")
    return "\n".join([*lines, ")\n"])

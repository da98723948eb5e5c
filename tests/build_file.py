"""The text of BUILD, rendered from the sources' imports.

- A target is named after its file: `//:modularity_tf/masks`. A file with a
  `__main__` guard is a binary of that name, and importers need `NAME_lib`.
- `from package import name` needs `package/name.py` if there is such a module,
  else `package/__init__.py`. A module does not need the `__init__.py` of its
  own package: that one imports the modules, and Bazel allows no circle.
- A test is `medium` if it imports `modularity_tf` or `reproduce`, else `small`.
"""

import ast
import json
import sys

PACKAGES = ("benchmarks", "modularity_tf", "reproduce", "tests")
LAUNCHER = "tests/conftest.py"  # starts pytest on one test file
PYPI = {"absl": "absl_py", "PIL": "pillow", "sklearn": "scikit_learn"}
# What a package, or a name, needs at run time beside its own requirements.
COMPANIONS = {"keras": "tensorflow", "tensorflow_probability": "tf_keras"}
LOADS_TENSORBOARD = ("tf.summary", "keras.callbacks.TensorBoard")
PREAMBLE = """\
# Written by `python -m tests.build_test --write`: one target a file.

load("@rules_python//python:defs.bzl", "py_binary", "py_library", "py_test")

package(default_visibility = ["//visibility:private"])
"""


def render(root):
    """Returns the BUILD that the sources under a folder need."""
    files = sorted(f for p in PACKAGES for f in (root / p).rglob("*.py"))
    trees = {
        file.relative_to(root).as_posix(): ast.parse(file.read_text("utf-8"))
        for file in files
    }
    rules = [_rules(path, trees) for path in trees if path != LAUNCHER]
    return "\n".join([PREAMBLE, *rules])


def _rules(path, trees):
    """Returns the target of a test, or the library (and binary) of a module."""
    name, library = path.removesuffix(".py"), _library(path, trees)
    deps = _dependencies(path, trees)
    if path.endswith("_test.py"):
        ours = (":modularity_tf/", ":reproduce/")
        reads_all = path == "tests/build_test.py"
        return _rule(
            "py_test",
            name=name,
            size="medium" if any(d.startswith(ours) for d in deps) else "small",
            srcs=[LAUNCHER, path],
            args=[path],
            data=["BUILD", "requirements.txt", *trees] if reads_all else [],
            main=LAUNCHER,
            deps=deps | {"@pypi//pytest"},
        )
    public = path.startswith("modularity_tf/")
    text = _rule(
        "py_library",
        name=library,
        testonly=path.startswith("tests/"),
        srcs=[path],
        visibility=["//visibility:public"] if public else [],
        deps=deps,
    )
    if library == name:
        return text
    binary = {"name": name, "srcs": [path], "main": path}
    return f"{text}\n{_rule('py_binary', **binary, deps=[f':{library}'])}"


def _library(path, trees):
    """Returns the name of the target that importers of a file need."""
    tests = [
        ast.unparse(n.test) for n in trees[path].body if hasattr(n, "test")
    ]
    is_binary = "__name__ == '__main__'" in tests
    return path.removesuffix(".py") + ("_lib" if is_binary else "")


def _dependencies(path, trees):
    """Returns the labels of what a file imports."""
    labels = set()
    for name in _used_names(trees[path]):
        top = name.partition(".")[0]
        if top not in (*PACKAGES, *sys.stdlib_module_names):
            needed = (top, COMPANIONS.get(top, top))
            labels.update(f"@pypi//{PYPI.get(n, n)}" for n in needed)
        while name and top in PACKAGES:
            stem = name.replace(".", "/")
            files = {f"{stem}.py", f"{stem}/__init__.py"} & trees.keys()
            labels.update(f":{_library(file, trees)}" for file in files)
            name = "" if files else name.rpartition(".")[0]
    return labels


def _used_names(tree):
    """Yields the dotted names that a source needs at run time."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute):
            used = ast.unparse(node) in LOADS_TENSORBOARD
            yield from ["tensorboard"] * used


def _rule(kind, **attributes):
    """Returns the text of one target, laid out as buildifier wants it."""
    lines = [f"{kind}("]
    for key, value in attributes.items():
        if not value:
            continue
        if value is True:
            text = "True"
        elif isinstance(value, str) or len(value) == 1:
            text = json.dumps(value if isinstance(value, str) else list(value))
        else:
            items = (f"        {json.dumps(item)},\n" for item in sorted(value))
            text = "[\n" + "".join(items) + "    ]"
        lines.append(f"    {key} = {text},")
    return "\n".join([*lines, ")\n"])

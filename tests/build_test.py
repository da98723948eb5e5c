"""Checks that the BUILD files and the tests' layout follow the sources.

`python -m tests.build_test --write` rewrites every BUILD.
"""

import difflib
import functools
import pathlib
import re
import sys
import tempfile

from absl.testing import parameterized

from tests import build_file, build_graph

ROOT = pathlib.Path(__file__).parents[1]
BUILDIFIER_SORTS = ["x.py", ":b", "//a", "//a:z", "//a/b", "@pypi//c"]


def written(root):
    """Returns the text of every BUILD that there is, by its path."""
    files = [root / "BUILD"] * (root / "BUILD").exists()
    for top in build_file.top_folders(root):
        files.extend(top.rglob("BUILD"))
    return {f.relative_to(root).as_posix(): f.read_text("utf-8") for f in files}


def write(root):
    """Writes the BUILD files that the sources need, and removes the others."""
    needed = build_file.render(root)
    for path in written(root).keys() - needed.keys():
        (root / path).unlink()
    for path, text in needed.items():
        (root / path).write_text(text, "utf-8")


def differences(root):
    """Returns the lines that a BUILD lacks (`+`) or has too many (`-`)."""
    found, needed = written(root), build_file.render(root)
    return "\n".join(
        line
        for path in sorted({*found, *needed})
        for line in difflib.unified_diff(
            found.get(path, "").splitlines(),
            needed.get(path, "").splitlines(),
            path,
            f"{path}, from the imports",
            lineterm="",
        )
    )


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


@functools.cache
def needed():
    return build_file.render(ROOT)


class BuildTest(parameterized.TestCase):
    def test_build_says_what_the_sources_import(self):
        hint = "Run `python -m tests.build_test --write`:\n"
        difference = differences(ROOT)
        self.assertFalse(difference, hint + difference)

    def test_bazel_can_load_every_target(self):
        found = build_graph.problems(needed(), ROOT)
        self.assertFalse(found, "\n".join(found))

    def test_only_the_faces_of_the_library_are_public(self):
        public = [
            path
            for path, text in needed().items()
            for _ in range(text.count('"//visibility:public"'))
        ]
        faces = [
            "modularity_tf/BUILD",
            "modularity_tf/layers/BUILD",
            "modularity_tf/soundness/BUILD",
        ]
        self.assertEqual(public, faces)

    def test_every_imported_package_is_a_requirement(self):
        required = versions(ROOT / "requirements.txt").keys()
        # The extra `cluster` brings Ray; tests alone need the others.
        required |= {*versions(ROOT / "requirements-dev.txt"), "markdown_it_py"}
        text = "".join(needed().values())
        imported = re.findall(r"@pypi//(\w+)", text)
        self.assertEmpty(set(imported) - required)

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


class MadeUpTreeTest(parameterized.TestCase):
    SOURCES = {
        "modularity_tf/__init__.py": "from modularity_tf.a.x import X\n"
        "__all__ = ['X']",
        "modularity_tf/a/__init__.py": "",
        "modularity_tf/a/x.py": "import os\nimport scipy.stats",
        "modularity_tf/b/__init__.py": "from modularity_tf.a.x import X",
        "modularity_tf/b/y.py": "import os, rich\n"
        "from modularity_tf import a\n"
        "from modularity_tf.b import z\n"
        "from modularity_tf.a import x\n"
        "def late():\n    import sklearn.svm, numpy",
        "modularity_tf/b/z.py": "",
        "reproduce/__init__.py": "",
        "reproduce/__main__.py": "print(__file__)\n"
        "if __name__ == '__main__':\n    pass",
        "reproduce/run.py": "if __name__ == '__main__':\n    pass",
        "tests/__init__.py": "",
        "tests/conftest.py": "",
        "tests/helper.py": "from modularity_tf.a import x",
        "tests/a/x_test.py": "from modularity_tf.a import x\n"
        "from tests import helper",
        "tests/b_test.py": "import ast",
        "docs/page.py": "import modularity_tf",
    }

    def setUp(self):
        super().setUp()
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.root = pathlib.Path(folder)
        for path, source in self.SOURCES.items():
            self.write(path, source)
        write(self.root)

    def write(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def target(self, label):
        """Returns the rendered text of one target."""
        package, _, name = label.rpartition(":")
        path = f"{package}/BUILD".removeprefix("/")
        rules = build_file.render(self.root)[path].split("\n\n")
        return next(rule for rule in rules if f' name = "{name}",' in rule)

    def test_every_folder_of_a_package_has_a_build(self):
        folders = ["modularity_tf", "modularity_tf/a", "modularity_tf/b"]
        folders += ["reproduce", "tests", "tests/a"]
        paths = ["BUILD", *(f"{folder}/BUILD" for folder in folders)]
        self.assertCountEqual(build_file.render(self.root), paths)
        self.assertEqual(
            build_graph.problems(written(self.root), self.root), []
        )

    def test_a_late_import_counts_and_labels_are_sorted(self):
        expected = """\
py_library(
    name = "y",
    srcs = ["y.py"],
    deps = [
        ":z",
        "//modularity_tf/a",
        "//modularity_tf/a:x",
        "@pypi//numpy",
        "@pypi//rich",
        "@pypi//scikit_learn",
    ],
)"""
        self.assertEqual(self.target("modularity_tf/b:y"), expected)

    @parameterized.named_parameters(
        ("module", "from modularity_tf.a import x", "//modularity_tf/a:x"),
        ("name", "from modularity_tf.a.x import X", "//modularity_tf/a:x"),
        ("package", "import modularity_tf.a", "//modularity_tf/a"),
        ("export", "from modularity_tf import X", "//modularity_tf"),
        ("neighbour", "from modularity_tf.b import y", ":y"),
        ("binary", "from reproduce import run", "//reproduce:run_lib"),
        ("summary", "tf.summary.scalar('a', 0)", "@pypi//tensorboard"),
        ("companion", "import tensorflow_probability", "@pypi//tf_keras"),
    )
    def test_depends_on_the_target_that_holds_a(self, source, label):
        self.write("modularity_tf/b/z.py", source)
        labels = re.findall(r'"([:@/]+.*)"', self.target("modularity_tf/b:z"))
        self.assertEqual({*labels} - {"@pypi//tensorflow_probability"}, {label})

    def test_does_not_depend_on_what_types_alone_need(self):
        self.write(
            "modularity_tf/b/z.py",
            "import numpy\n"
            "if TYPE_CHECKING:\n    from modularity_tf.a import x",
        )
        target = self.target("modularity_tf/b:z")
        self.assertEqual(re.findall('"[:@/]+.*"', target), ['"@pypi//numpy"'])

    @parameterized.named_parameters(
        ("a_name", "'reproduce.run'", ["run_lib"]),
        (
            "any_name",
            "f'reproduce.{x}'",
            ["__main___lib", "reproduce", "run_lib"],
        ),
    )
    def test_a_test_depends_on_what_it_starts_by(self, source, names):
        self.write("tests/b_test.py", source)
        found = re.findall(r'"//reproduce:?(.*)"', self.target("tests:b_test"))
        self.assertCountEqual([name or "reproduce" for name in found], names)

    @parameterized.named_parameters(
        ("its_own_package", "modularity_tf/b:z", None),
        ("packages_that_import_it", "modularity_tf/a:x", "//:__subpackages__"),
        (
            "anyone_if_a_face",
            "modularity_tf:modularity_tf",
            "//visibility:public",
        ),
        ("the_top_if_run_by_hand", "reproduce:run", "//:__pkg__"),
    )
    def test_a_target_is_visible_to(self, label, visibility):
        found = re.search(r'visibility = \["(.*)"\]', self.target(label))
        self.assertEqual(found and found[1], visibility)

    def test_a_guard_makes_a_binary_beside_a_library(self):
        self.assertStartsWith(self.target("reproduce:run_lib"), "py_library(")
        binary = self.target("reproduce:run")
        self.assertStartsWith(binary, "py_binary(")
        self.assertIn('deps = [":run_lib"]', binary)
        self.assertIn('actual = "//reproduce:run"', self.target(":run"))
        main = self.target(":reproduce")
        self.assertIn('actual = "//reproduce:__main__"', main)

    def test_what_asks_for_its_path_may_read_files(self):
        main = self.target("reproduce:__main___lib")
        self.assertIn('data = [":all_files"]', main)
        self.assertNotIn("data", self.target("tests:b_test"))
        self.write("tests/b_test.py", "import a\na.__file__")
        test = self.target("tests:b_test")
        self.assertIn('data = ["//:all_files"]', test)
        self.assertIn("legacy_create_init = 0", test)
        self.assertIn('"//tests/a:all_files"', self.target(":all_files"))

    def test_every_test_is_in_the_suite(self):
        suite = self.target(":tests")
        tests = re.findall(r'"(//.*)"', suite)
        self.assertEqual(tests, ["//tests:all_tests", "//tests/a:all_tests"])
        for label in ("tests:all_tests", "tests/a:all_tests"):
            self.assertNotIn("tests = ", self.target(label))

    def test_a_test_of_the_library_is_medium(self):
        self.assertIn('size = "medium"', self.target("tests/a:x_test"))
        self.assertIn('size = "small"', self.target("tests:b_test"))

    @parameterized.named_parameters(
        ("missing", "", '+        "@pypi//numpy",'),
        (
            "superfluous",
            r'\g<0>        "@pypi//pandas",\n',
            '-        "@pypi//pandas",',
        ),
    )
    def test_reports_a_dependency_that_is(self, replacement, report):
        self.assertEqual(differences(self.root), "")
        path = "modularity_tf/b/BUILD"
        text = (self.root / path).read_text()
        self.write(path, re.sub(' *"@pypi//numpy",\n', replacement, text))
        reported = re.findall(r"^[+-] .*", differences(self.root), re.MULTILINE)
        self.assertEqual(reported, [report])

    def test_a_build_without_sources_is_reported_and_removed(self):
        (self.root / "tests/a/x_test.py").unlink()
        self.assertIn("-py_test(", differences(self.root))
        write(self.root)
        self.assertFalse((self.root / "tests/a/BUILD").exists())
        self.assertEqual(differences(self.root), "")

    def test_sorts_labels_as_buildifier_does(self):
        ordered = sorted(reversed(BUILDIFIER_SORTS), key=build_file.sort_key)
        self.assertEqual(ordered, BUILDIFIER_SORTS)


class GraphTest(parameterized.TestCase):
    FINE = {
        "a/BUILD": "py_library(name='x', visibility=['//:__subpackages__'])\n"
        "py_library(name='hidden')\n"
        "py_library(name='helper', testonly=True, visibility=['//b:__pkg__'])\n"
        "exports_files(['f.py'], visibility=['//visibility:public'])\n",
        "b/BUILD": "load('@rules_python//python:defs.bzl', 'py_library')\n"
        "py_library(name='b', deps=['//a:x', '@pypi//numpy'])\n"
        "filegroup(name='files', srcs=glob(['**']))\n"
        "py_test(name='t', srcs=['//a:f.py'], deps=['//a:helper', ':b'])\n",
    }

    @parameterized.named_parameters(
        ("fine", "", None),
        (
            "no_target",
            "deps=['//a:z']",
            "//b:new needs //a:z: there is no such",
        ),
        ("no_package", "deps=['//a']", "//b:new needs //a:a: there is no such"),
        (
            "no_file",
            "srcs=['z.py']",
            "//b:new needs //b:z.py: there is no such",
        ),
        (
            "private",
            "deps=['//a:hidden']",
            "//b:new needs //a:hidden: it is pr",
        ),
        (
            "tests",
            "deps=['//a:helper']",
            "//b:new needs //a:helper: it is for t",
        ),
        ("itself", "deps=[':new']", "A circle: //b:new -> //b:new."),
    )
    def test_reports(self, attributes, start):
        new = f"py_library(name='new', {attributes})"
        builds = {**self.FINE, "b/BUILD": self.FINE["b/BUILD"] + new}
        found = build_graph.problems(builds, ROOT)
        self.assertLen(found, 1 if start else 0)
        self.assertStartsWith("".join(found), start or "")

    def test_reports_a_name_that_is_there_twice(self):
        builds = {"a/BUILD": self.FINE["a/BUILD"] * 2}
        self.assertLen(build_graph.problems(builds, ROOT), 4)

    def test_reports_a_circle_over_packages(self):
        seen = self.FINE["b/BUILD"].replace(
            "name='b'", "name='b', visibility=['//visibility:public']"
        )
        builds = {"a/BUILD": self.FINE["a/BUILD"], "b/BUILD": seen}
        self.assertEqual(build_graph.problems(builds, ROOT), [])
        builds["a/BUILD"] = builds["a/BUILD"].replace(
            "name='x'", "name='x', deps=['//b']"
        )
        (found,) = build_graph.problems(builds, ROOT)
        self.assertStartsWith(found, "A circle: ")


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("Usage: python -m tests.build_test --write")
    write(ROOT)

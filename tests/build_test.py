"""Checks that BUILD and the layout of the tests follow the sources.

`python -m tests.build_test --write` rewrites BUILD.
"""

import difflib
import pathlib
import re
import sys
import tempfile

from absl.testing import parameterized

from tests import build_file

ROOT = pathlib.Path(__file__).parents[1]


def differences(root):
    """Returns the lines that BUILD lacks (`+`) or has too many (`-`)."""
    written = (root / "BUILD").read_text("utf-8").splitlines()
    needed = build_file.render(root).splitlines()
    return "\n".join(difflib.unified_diff(written, needed, "BUILD", "imports"))


def place(module):
    """Returns the path at which the test of a module belongs."""
    folders = module.parts[module.parts[0] == "modularity_tf" : -1]
    return pathlib.Path("tests", *folders, f"{module.stem.strip('_')}_test.py")


class BuildTest(parameterized.TestCase):
    def test_build_says_what_the_sources_import(self):
        hint = "Run `python -m tests.build_test --write`:\n"
        difference = differences(ROOT)
        self.assertFalse(difference, hint + difference)

    def test_every_imported_package_is_a_requirement(self):
        text = (ROOT / "requirements.txt").read_text("utf-8").replace("-", "_")
        required = re.findall(r"^\w+", text, re.MULTILINE)
        imported = re.findall(r"@pypi//(\w+)", build_file.render(ROOT))
        self.assertEmpty(set(imported) - {*required, "pytest"})

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
        "modularity_tf/__init__.py": "from modularity_tf.a import A",
        "modularity_tf/a.py": "import os\nimport scipy.stats",
        "modularity_tf/b.py": "import os, rich\n"
        "from modularity_tf import a\n"
        "def late():\n    import sklearn.svm, numpy",
        "reproduce/run.py": "if __name__ == '__main__':\n    pass",
        "tests/a_test.py": "from modularity_tf import a",
        "tests/b_test.py": "import ast",
    }

    def setUp(self):
        super().setUp()
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.root = pathlib.Path(folder)
        for path, source in self.SOURCES.items():
            (self.root / path).parent.mkdir(exist_ok=True)
            (self.root / path).write_text(source)
        (self.root / "BUILD").write_text(build_file.render(self.root))

    def target(self, name):
        """Returns the rendered text of one target."""
        rules = build_file.render(self.root).split("\n\n")
        return next(rule for rule in rules if f' name = "{name}",' in rule)

    def test_a_late_import_counts_and_labels_are_sorted(self):
        expected = """\
py_library(
    name = "modularity_tf/b",
    srcs = ["modularity_tf/b.py"],
    visibility = ["//visibility:public"],
    deps = [
        ":modularity_tf/a",
        "@pypi//numpy",
        "@pypi//rich",
        "@pypi//scikit_learn",
    ],
)"""
        self.assertEqual(self.target("modularity_tf/b"), expected)

    @parameterized.named_parameters(
        ("module", "from modularity_tf import a", ":modularity_tf/a"),
        ("name", "from modularity_tf.a import A", ":modularity_tf/a"),
        ("package", "import modularity_tf", ":modularity_tf/__init__"),
        ("export", "from modularity_tf import A", ":modularity_tf/__init__"),
        ("binary", "from reproduce import run", ":reproduce/run_lib"),
        ("summary", "tf.summary.scalar('a', 0)", "@pypi//tensorboard"),
        ("companion", "import tensorflow_probability", "@pypi//tf_keras"),
    )
    def test_depends_on_the_target_that_holds_a(self, source, label):
        (self.root / "modularity_tf/b.py").write_text(source)
        labels = re.findall(r'"([:@].*)"', self.target("modularity_tf/b"))
        self.assertEqual({*labels} - {"@pypi//tensorflow_probability"}, {label})

    def test_a_guard_makes_a_binary_beside_a_private_library(self):
        self.assertNotIn("visibility", self.target("reproduce/run_lib"))
        self.assertStartsWith(self.target("reproduce/run"), "py_binary(")
        self.assertIn(
            'deps = [":reproduce/run_lib"]', self.target("reproduce/run")
        )

    def test_a_test_of_the_library_is_medium(self):
        self.assertIn('size = "medium"', self.target("tests/a_test"))
        self.assertIn('size = "small"', self.target("tests/b_test"))

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
        text = (self.root / "BUILD").read_text()
        text = re.sub(' *"@pypi//numpy",\n', replacement, text)
        (self.root / "BUILD").write_text(text)
        reported = re.findall(r"^[+-] .*", differences(self.root), re.MULTILINE)
        self.assertEqual(reported, [report])


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("Usage: python -m tests.build_test --write")
    (ROOT / "BUILD").write_text(build_file.render(ROOT), "utf-8")

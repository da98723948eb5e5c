"""What README.md, docs/ and the docstrings show runs as it is written."""

import ast
import doctest
import functools
import importlib
import json
import os
import pathlib
import pkgutil
import re
import tempfile

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from matplotlib import figure
from sklearn import datasets

import modularity_tf as mtf
from modularity_tf import layers, soundness
from reproduce import experiments
from reproduce.publishing import archive

ROOT = pathlib.Path(__file__).parents[1]
BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>[^>]*) -->\n+)?"
    r"```python\n(?P<source>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
PART_OF = re.compile(r"part of (\S+\.py)")
SMALLEST_REASON = 3  # words


def blocks(path):
    """Yields reason not to run it, source and first line of every block."""
    text = path.read_text("utf-8")
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("source"))
        yield found["reason"], found["source"], line


PAGES = {
    path.relative_to(ROOT).with_suffix("").as_posix(): path
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if any(True for _ in blocks(path))
}
NOTEBOOKS = {
    path.stem: path for path in (ROOT / "docs" / "notebooks").glob("*.md")
}
# The names that the reference lists, by how a user writes them.
LAYERS = [f"modularity_tf.layers.{name}" for name in layers.__all__]
NAMES = {
    f"{module.__name__}.{name}": value
    for module in (mtf, soundness, layers)
    for name, value in vars(module).items()
    if name[0] != "_"
    and getattr(value, "__module__", "").startswith("modularity_tf")
}

EXAMPLES = {
    test.name: test
    for module in pkgutil.walk_packages(mtf.__path__, "modularity_tf.")
    for test in doctest.DocTestFinder().find(
        importlib.import_module(module.name)
    )
    if test.examples
}


def is_expression(statement):
    return isinstance(statement, ast.Expr)


@functools.cache
def digits():
    """Returns a trained model and its data, as the examples have them."""
    keras.utils.set_random_seed(0)
    images, labels = datasets.load_digits(return_X_y=True)
    images = images.astype("float32") / 16
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(32, activation="relu", name="hidden"),
            keras.layers.Dense(10, activation="softmax", name="output"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    model.compile("adam", loss, metrics=["accuracy"])
    model.fit(images, labels, epochs=5, verbose=0)
    return {"model": model, "images": images, "labels": labels}


class InAnEmptyFolder(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.enterContext(tempfile.TemporaryDirectory()))

    def run_page(self, path):
        """Runs the blocks of a page.

        Returns:
            The names that they leave, and a list of what a notebook shows:
            the values of blocks that end in an expression.
        """
        names, shown = {}, []
        for reason, source, line in blocks(path):
            if reason is not None:
                continue
            tree = ast.parse("\n" * line + source)  # lines as on the page
            last = tree.body.pop() if is_expression(tree.body[-1]) else None
            exec(compile(tree, path, "exec"), names)
            if last is not None:
                code = compile(ast.Expression(last.value), path, "eval")
                shown.append(eval(code, names))
        return names, shown


class PagesTest(InAnEmptyFolder):
    @parameterized.parameters(
        *sorted(
            set(PAGES)
            - {"README"}
            - {f"docs/notebooks/{name}" for name in NOTEBOOKS}
        )
    )
    def test_the_blocks_of_a_page_run_one_after_the_other(self, name):
        self.run_page(PAGES[name])

    def test_the_example_finds_the_weights_of_one_class(self):
        names, _ = self.run_page(PAGES["README"])
        rest, test = names["rest_test"], names["blind"].evaluate
        x, y = names["x_test"], names["y_test"]
        self.assertGreater(test(x[rest], y[rest])[1], 0.9)
        self.assertLess(test(x[~rest], y[~rest])[1], 0.5)
        self.assertBetween(names["only_3"].keep_fraction, 0.001, 0.2)
        noise = names["noise"].keep_fraction  # of what is found only once
        self.assertLess(noise, names["only_3"].keep_fraction)
        pictures = ("weights.png", "clusters.png", "same.png")
        for file in ("only_3.npz", *pictures):
            self.assertTrue(pathlib.Path(file).exists())

    @parameterized.parameters(*PAGES)
    def test_a_block_that_is_not_run_says_why(self, name):
        for reason, source, line in blocks(PAGES[name]):
            with self.subTest(line=line):
                if reason is None:
                    continue
                self.assertGreaterEqual(len(reason.split()), SMALLEST_REASON)
                if script := PART_OF.search(reason):
                    path = PAGES[name].parent / script[1]
                    self.assertIn(source, path.read_text("utf-8"))

    def test_every_picture_has_its_command_in_the_gallery(self):
        docs = ROOT / "docs"
        gallery = (docs / "gallery.md").read_text("utf-8")
        for path in sorted(docs.rglob("images/**/*.png")):
            self.assertIn(f"]({path.relative_to(docs).as_posix()})", gallery)
        # Picture, caption, command, in this order: none belongs to another.
        parts = re.sub(r"^!.*|^```sh\n[^`]*\n```", _kind, gallery, flags=re.M)
        kinds = [line for line in parts.splitlines() if line in _KINDS]
        self.assertEqual(kinds, [*_KINDS] * (len(kinds) // 2))

    def test_a_command_of_the_gallery_runs_the_seeds_that_are_drawn(self):
        gallery = (ROOT / "docs" / "gallery.md").read_text("utf-8")
        for command in re.findall(
            r"^python [^`]*--flagfile[^`]*", gallery, re.M
        ):
            flag_file = re.search(r"--flagfile=(\S+)", command)[1]
            self.assertTrue((ROOT / flag_file).exists(), flag_file)
            drawn = ROOT / "results" / f"{pathlib.Path(flag_file).stem}.json"
            if not drawn.exists():
                continue
            found = json.loads(drawn.read_text("utf-8"))
            experiment = experiments.ALL[found["experiment"]]
            seeds = archive.read_flags(experiment, ROOT / flag_file).seeds
            if given := re.search(r"--seeds=(\S+)", command):
                seeds = [int(seed) for seed in given[1].split(",")]
            self.assertEqual([*seeds], found["seeds"], command)


_KINDS = ("picture", "command")


def _kind(match):
    return _KINDS[match[0].startswith("`")]


class NotebooksTest(InAnEmptyFolder):
    """What the notebooks say in words is what their cells show."""

    def run_notebook(self, name):
        """Runs a notebook, which must show figures, and returns its names."""
        names, shown = self.run_page(NOTEBOOKS[name])
        figures = [x for x in shown if isinstance(x, figure.Figure)]
        self.assertNotEmpty(figures)
        for each in figures:  # drawn as a notebook draws it
            self.assertStartsWith(each._repr_png_(), b"\x89PNG")
        return names

    def test_there_is_a_test_for_each_notebook(self):
        self.assertSameElements(
            [f"test_{name}" for name in NOTEBOOKS],
            [name.split("_says_")[0] for name in dir(self) if "_says_" in name],
        )

    @parameterized.parameters(*NOTEBOOKS)
    def test_jupytext_knows_the_kernel_and_the_reader_the_command(self, name):
        text = NOTEBOOKS[name].read_text("utf-8")
        self.assertStartsWith(text, "---\njupyter:\n  jupytext:\n")
        header = text.split("---\n")[1]
        self.assertIn("\n  kernelspec:\n", header)
        self.assertIn("language: python\n", header)
        told = " ".join(text.split())
        self.assertIn(f"`jupytext --to ipynb docs/notebooks/{name}.md`", told)
        self.assertIn(f"`{name}.ipynb`", told)

    def test_own_model_says_that_the_mask_is_enough_and_not_an_accident(self):
        names = self.run_notebook("own_model")
        found = names["sound"].faithfulness
        self.assertGreater(found.alone.value, 0.75)
        self.assertLess(found.random.value, 0.45)
        self.assertLess(found.untrained.value, 0.3)
        without = names["sound"].completeness.without.value
        self.assertLess(without, found.whole.value - 0.1)
        self.assertGreater(without, 0.15)  # not guessing
        first, *_, last = names["sound"].minimality.values()
        self.assertGreater(first.value, 0.6)
        self.assertLess(last.value, 0.3)
        self.assertLess(names["of_blank"], 0.01)
        self.assertGreater(names["both"].share, 0.7)
        self.assertLess(names["both"].expected_share, 0.4)
        self.assertTrue(names["same"])

    def test_class_ablation_says_that_a_part_of_the_fall_is_silence(self):
        names = self.run_notebook("class_ablation")
        own, others = names["own"], names["others"]
        self.assertLess(names["without"][own].max(), -0.5)
        self.assertLess(abs(names["without"][others].mean()), 0.05)
        silenced, gone, at_random = (
            -names[name][own].mean()
            for name in ("without", "without_shut", "at_random")
        )
        self.assertGreater(silenced, gone + 0.1)
        self.assertGreater(gone, at_random + 0.2)

    def test_neurons_and_clusters_says_who_sees_the_division(self):
        names = self.run_notebook("neurons_and_clusters")
        q = {k: found.modularity for k, found in names["clusters"].items()}
        self.assertLess(q["free"], 1.6 * q["untrained"])
        self.assertGreater(q["priced"], 1.6 * q["untrained"])
        self.assertLen(names["sides"], len(names["clusters"]["priced"].sizes))
        falls = np.array([names["falls"](part) for part in names["sides"]])
        falls = falls[np.argsort(falls[:, 1])]  # the left cluster is first
        self.assertGreater(np.diag(falls).min(), 0.6)
        self.assertLess(np.diag(falls[::-1]).max(), 0.15)
        both = names["both"]
        self.assertGreater(both.share, both.expected_share)
        self.assertLess(both.p_value(), 0.05)
        for row in names["same"].rows:
            if row.measure == "in one cluster":
                self.assertLess(row.value, row.chance + 0.2)
        active, left = names["left_3"], names["left_cluster"]
        for part, side in ((active & left, 0), (active - left, 1)):
            fall = names["falls"](part)
            self.assertGreater(fall[side], fall[1 - side] + 0.2)

    def test_known_truth_says_that_the_mask_finds_what_others_miss(self):
        names = self.run_notebook("known_truth")
        self.assertEqual(names["planted"].accuracy(0, names["needed"]), 1.0)
        secret, found = names["secret"], names["found"]
        self.assertGreater(secret.sharing(found["learned mask"]), 0.9)
        self.assertGreater(found["learned mask"].sharing(secret), 0.85)
        for name in ("single ablation", "|weight|", "random scores"):
            self.assertLess(secret.sharing(found[name]), 0.8)
        self.assertLess(secret.sharing(found["|weight|"]), 0.4)
        self.assertLess(secret.sharing(names["nothing"]), 0.3)
        self.assertLess(names["scored"]["average_precision"], 0.3)

    def test_sparse_training_says_that_connections_find_the_digit(self):
        names = self.run_notebook("sparse_training")
        window, chance = names["window"], names["chance"]
        self.assertEqual(chance, 0.25)
        start, fixed, moving = (
            strength[window].sum() / strength.sum()
            for strength in names["maps"].values()
        )
        self.assertAlmostEqual(start, chance, delta=0.05)
        self.assertBetween(fixed, 0.4, 0.75)
        self.assertGreater(moving, 0.9)
        self.assertEqual(
            np.count_nonzero(names["kernel"](names["moving"])), 400
        )
        share, of = names["share"], names["kernel"](names["moving"])
        self.assertBetween(share(of), share(names["start"]) + 0.1, 0.75)
        self.assertGreater(share(names["strong"]), 0.85)
        accuracy = names["accuracy"]
        for model in (names["fixed"], names["moving"]):
            self.assertLess(accuracy(model, window), 0.25)
            self.assertAlmostEqual(
                accuracy(model, ~window), accuracy(model), delta=0.05
            )


class DocstringsTest(InAnEmptyFolder):
    @parameterized.parameters(*EXAMPLES)
    def test_the_examples_of_a_docstring_run(self, name):
        names = {"keras": keras, "np": np, "mtf": mtf, **digits()}
        EXAMPLES[name].globs = names
        told = []
        doctest.DocTestRunner().run(EXAMPLES[name], out=told.append)
        self.assertEmpty("".join(told))

    @parameterized.parameters(*NAMES)
    def test_every_public_name_has_an_example(self, name):
        self.assertIn(">>> ", NAMES[name].__doc__)

    @parameterized.parameters(*NAMES)
    def test_help_says_values_and_not_where_they_stand(self, name):
        self.assertNotRegex(NAMES[name].__doc__, r"`[a-z_.]*\b[A-Z_]{4,}`")
        self.assertNotRegex(NAMES[name].__doc__, r"[Aa]s in `(?!keras\.)")


if __name__ == "__main__":
    tf.test.main()

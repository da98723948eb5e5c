"""What README.md, docs/ and the docstrings show runs as it is written."""

import doctest
import functools
import importlib
import inspect
import os
import pathlib
import pkgutil
import re
import tempfile
import typing

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from sklearn import datasets

import modularity_tf as mtf
from modularity_tf import layers, soundness

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
    path.stem: path
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if any(True for _ in blocks(path))
}
# The names that the reference lists, by how a user writes them.
LAYERS = [f"modularity_tf.layers.{name}" for name in layers.__all__]
NAMES = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module in (mtf, soundness, layers)
    for name in module.__all__
    if name != "soundness"
}

EXAMPLES = {
    test.name: test
    for module in pkgutil.walk_packages(mtf.__path__, "modularity_tf.")
    for test in doctest.DocTestFinder().find(
        importlib.import_module(module.name)
    )
    if test.examples
}


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


class PagesTest(InAnEmptyFolder):
    def run_page(self, name):
        """Runs the blocks of a page and returns the names they leave."""
        names = {}
        for reason, source, line in blocks(PAGES[name]):
            if reason is None:  # lines are numbered as on the page
                code = compile("\n" * line + source, PAGES[name], "exec")
                exec(code, names)
        return names

    @parameterized.parameters(*sorted(set(PAGES) - {"README"}))
    def test_the_blocks_of_a_page_run_one_after_the_other(self, name):
        self.run_page(name)

    def test_the_example_finds_the_weights_of_one_class(self):
        names = self.run_page("README")
        rest, test = names["rest"], names["blind"].evaluate
        images, labels = names["images"], names["labels"]
        self.assertGreater(test(images[rest], labels[rest])[1], 0.9)
        self.assertLess(test(images[~rest], labels[~rest])[1], 0.5)
        self.assertBetween(names["only_3"].keep_fraction, 0.001, 0.2)
        for file in ("only_3.npz", "clusters.png", "same.png"):
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
        for flags in re.findall(r"--flagfile=(\S+)", gallery):
            self.assertTrue((ROOT / flags).exists(), flags)


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

    @parameterized.parameters(*sorted(set(NAMES) - set(LAYERS)))
    def test_every_argument_of_a_public_name_has_a_type(self, name):
        for found in typing.get_overloads(NAMES[name]) or [NAMES[name]]:
            if isinstance(found, type):
                found = found.__init__
            _, *arguments = inspect.signature(found).parameters.values()
            for each in arguments:
                self.assertIsNot(each.annotation, each.empty, each.name)


if __name__ == "__main__":
    tf.test.main()

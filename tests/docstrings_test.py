"""What the docstrings show runs as it is written, and help tells enough."""

import doctest
import functools
import importlib
import pkgutil

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from sklearn import datasets

import modularity_tf as mtf
from modularity_tf import layers, planted, soundness
from tests.pages import InAnEmptyFolder

# The names that the reference lists, by how a user writes them.
LAYERS = [f"modularity_tf.layers.{name}" for name in layers.__all__]
NAMES = {
    f"{module.__name__}.{name}": value
    for module in (mtf, planted, soundness, layers)
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

"""The examples of README.md run as they are pasted."""

import os
import pathlib
import re
import tempfile

import tensorflow as tf

README = pathlib.Path(__file__).parents[1] / "README.md"


class ReadmeTest(tf.test.TestCase):
    def test_the_example_finds_the_weights_of_one_class(self):
        text = README.read_text("utf-8")
        (source,) = re.findall("```python\n(.*?)```", text, re.DOTALL)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.enterContext(tempfile.TemporaryDirectory()))
        names = {}
        exec(source, names)
        rest, test = names["rest"], names["blind"].evaluate
        images, labels = names["images"], names["labels"]
        self.assertGreater(test(images[rest], labels[rest])[1], 0.9)
        self.assertLess(test(images[~rest], labels[~rest])[1], 0.5)
        self.assertBetween(names["only_3"].keep_fraction, 0.001, 0.2)
        for file in ("only_3.npz", "clusters.png", "same.png"):
            self.assertTrue(pathlib.Path(file).exists())


if __name__ == "__main__":
    tf.test.main()

"""What README.md shows runs as it is written, and is what comes out."""

import contextlib
import io
import re

import keras
import tensorflow as tf

from tests.pages import PAGES, InAnEmptyFolder

OUTPUT = re.compile(r"^```text\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"\d[\d.,]*\d|\d")


class ReadmeTest(InAnEmptyFolder):
    def test_the_readme_finds_the_weights_of_one_class(self):
        keras.utils.clear_session()  # the model's name says how many there are
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            names, _ = self.run_page(PAGES["README"])
        shown = OUTPUT.findall(PAGES["README"].read_text("utf-8"))
        self.assertEqual(
            NUMBER.sub("#", printed.getvalue()), NUMBER.sub("#", "".join(shown))
        )
        three, others = (
            [int(share) for share in re.findall(r"(\d+)%", line)]
            for line in printed.getvalue().splitlines()[3:5]
        )
        masks = [names["only_3"], names["digits"] - names["again"]]
        only_3, noise = (mask.keep_fraction for mask in masks)
        self.assertGreater(only_3, 4 * noise)
        self.assertLess(three[0], 30)  # % of the 3s, without its weights
        self.assertGreater(three[1], 80)
        # Without as many others: one draw, by which 3s lose 2 % or, with the
        # numerics of another processor, 27 %.
        self.assertGreater(others[0], three[0] + 40)
        before, after = names["small"].parameters
        self.assertLess(after, 0.6 * before)
        with_all = names["model"].evaluate(names["x_test"], names["y_test"])[1]
        small = names["small"].model.evaluate(names["x_test"], names["y_test"])
        self.assertGreater(small[1], 0.9 * with_all)


if __name__ == "__main__":
    tf.test.main()

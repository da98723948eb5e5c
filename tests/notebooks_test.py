"""What the notebooks say in words is what their cells show."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from matplotlib import figure

from docs import run_notebooks
from tests.pages import NOTEBOOKS


class NotebooksTest(parameterized.TestCase):
    def run_notebook(self, name):
        """Runs a notebook, which must show figures, and returns its names."""
        text = NOTEBOOKS[name].read_text("utf-8")
        cells, names = run_notebooks.run(text, str(NOTEBOOKS[name]))
        figures = [x for x in cells if isinstance(x.value, figure.Figure)]
        self.assertNotEmpty(figures)
        page, pictures = run_notebooks.as_page(cells, name)
        self.assertLen(pictures, len(figures))
        for file, png in pictures.items():  # drawn as a notebook draws it
            self.assertStartsWith(png, b"\x89PNG")
            self.assertIn(f"]({file})", page)
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
        self.assertLess(names["scored"].average_precision, 0.3)

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


if __name__ == "__main__":
    tf.test.main()

import pathlib

from absl.testing import absltest

from reproduce import experiments
from reproduce.publishing import evidence, titles

FOLDER = pathlib.Path(experiments.__file__).parent
CSORDAS = "Csordas et al., 2021"


class ExperimentsTest(absltest.TestCase):
    def test_each_is_that_of_the_binary_of_its_name(self):
        binaries = {
            file.stem
            for file in FOLDER.glob("*.py")
            if "EXPERIMENT = " in file.read_text("utf-8")
        }
        self.assertEqual({*experiments.ALL}, binaries)

    def test_each_says_what_it_asks_and_whose_question_that_is(self):
        known = {*titles.PAPERS, titles.OWN, titles.OWN_MODEL}
        for one in experiments.ALL.values():
            self.assertRegex(one.title, r"[?.]$", one.name)
            self.assertIn(one.paper, known, one.name)
        self.assertEqual(titles.PAGES.keys(), experiments.ALL.keys())

    def test_every_figure_of_a_paper_is_drawn_once_and_listed_in_order(self):
        found = {
            paper: evidence.figures_of(paper, experiments.ALL)
            for paper in titles.PAPERS
        }
        numbers = {p: [row[0] for row in rows] for p, rows in found.items()}
        self.assertEqual(
            numbers["Lange et al., 2022"],
            ["1", "2", "3", "4", "S1", "S2", "S3", "S4", "S5"],
        )
        whole = [n.rstrip("ab") for n in numbers[CSORDAS]]
        self.assertEqual(
            [*dict.fromkeys(whole)], [*map(str, range(1, 22)), "B1"]
        )
        self.assertEqual(
            found["Bena & Goodman, 2021"][0],
            ("1", "the two architectures", None),
        )
        self.assertIn("structural_modularity", found["Bena & Goodman, 2021"][1])


if __name__ == "__main__":
    absltest.main()

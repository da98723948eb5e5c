from absl.testing import absltest

from reproduce.known_truth.others import figures
from tests.reproduce.known_truth.others import published

RECORDS = [
    published.program(0, 1.0),
    published.program(0, 0.7, ablation="resample"),
    published.program(0, 1.0, form="decoys"),
    published.toys("5-2", 1, 8),
]


class DrawTest(absltest.TestCase):
    def test_draws_what_there_are_records_for(self):
        self.assertEqual(
            [*figures.draw(RECORDS)],
            ["figA_published", "figB_decoys", "figC_superposition"],
        )
        self.assertEqual([*figures.draw(RECORDS[3:])], ["figC_superposition"])

    def test_a_dot_is_a_network(self):
        fig = figures.draw(RECORDS)["figC_superposition"]
        dots = fig.axes[0].lines[0].get_ydata()
        self.assertEqual(sorted(dots), [0.2, *[0.99] * 7])


class TablesTest(absltest.TestCase):
    def test_published_areas_stand_beside_ours(self):
        areas, sizes = figures.tables(RECORDS)
        row = areas.rows[0]
        self.assertEqual(row[:3], ("reverse", "zero", "edges"))
        self.assertEqual(row[3:5], ("1.000", ""))
        self.assertEqual(row[-3:], ("1.000", "0.656", "0.692"))
        self.assertEqual(sizes.rows[0][3], "5 of 100")


if __name__ == "__main__":
    absltest.main()

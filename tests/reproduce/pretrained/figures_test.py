from absl.testing import absltest

from reproduce.pretrained import figures
from tests.reproduce.pretrained import records


class FiguresTest(absltest.TestCase):
    def test_draws_both_networks_from_records_alone(self):
        found = figures.draw([records.record(0), records.record(1)])
        self.assertEqual([*found], ["figA_weights", "figB_units", "figC_rows"])
        (ax,) = found["figA_weights"].axes
        title = found["figA_weights"].get_suptitle()
        self.assertIn("2 of 526,550 weights", title)
        labels = [label.get_text() for label in ax.get_xticklabels()]
        self.assertEqual(labels[0], "English words")
        heights = [bar.get_height() for bar in ax.containers[1]]
        self.assertAlmostEqual(heights[0], 0.9795)

    def test_draws_one_network(self):
        record = records.record(0)
        del record["deepcut"]
        self.assertEqual([*figures.draw([record])], ["figC_rows"])


if __name__ == "__main__":
    absltest.main()

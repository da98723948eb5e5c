import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from reproduce.lange2022 import figure_style, figures, summaries
from tests.reproduce.lange2022 import unit_records


class DrawTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("whole", ()),
        ("one_dropped", [("l2", 1e-3)]),
        ("all_dropped", unit_records.SETTINGS),
    )
    def test_draws_what_is_left_when_networks_are(self, dropped):
        found = figures.draw(unit_records.drawable(dropped))
        self.assertLen(found, 7)
        for fig in found.values():
            fig.canvas.draw()

    def test_figure_3_shows_mean_standard_error_and_the_untrained(self):
        fig = figures.draw(unit_records.drawable())["fig03_modularity"]
        panel = unit_records.panels(fig)[figure_style.symbol("covariance")]
        by_kind = dict(zip(summaries.KINDS, panel.containers, strict=True))
        line, _, (bars,) = by_kind["dropout"]
        self.assertSequenceAlmostEqual(line.get_xdata(), [10, 30, 50])
        # 0.1, 0.2, 0.3 in the first layer and half in the second, twice each.
        self.assertSequenceAlmostEqual(line.get_ydata(), [0.075, 0.15, 0.225])
        low, high = bars.get_segments()[0][:, 1]
        error = np.std([0.1, 0.05] * 2, ddof=1) / 2
        self.assertAlmostEqual(high - low, 2 * error)
        (band,) = panel.patches
        before = [0.08, 0.1, 0.12, 0.04, 0.05, 0.06]
        self.assertAlmostEqual(band.get_height(), 6 * np.std(before))

    def test_clusters_are_told_apart_by_white_lines(self):
        fig = figures.draw(unit_records.drawable())["fig03_modularity"]
        (example, *_) = [ax for ax in fig.axes if ax.images]
        lines = [line.get_xydata()[0] for line in example.lines]
        self.assertLen(lines, 2)
        self.assertEqual(lines[0][1], 2.5)
        self.assertEqual(example.lines[0].get_color(), "white")


if __name__ == "__main__":
    tf.test.main()

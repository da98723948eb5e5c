import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from matplotlib import colors

from reproduce.lange2022 import figure_style, figures, summaries
from tests.reproduce.lange2022 import unit_records


def records(dropped=()):
    found = unit_records.as_in_the_paper()
    names = ("accuracy", "loss", "l2_norm", "l1_norm", "sparsity")
    for one in (*found["networks"], *found["untrained"]):
        one |= dict.fromkeys(names, 0.5)
    for one in found["networks"]:
        if (one["kind"], one["strength"]) in dropped:
            del one["layers"]
    example = {"matrix": np.eye(5).tolist(), "sizes": [3, 2], "q": 0.1}
    return {
        **found,
        "data": "MNIST",
        "settings": unit_records.SETTINGS,
        "examples": [{"strength": s, **example} for s in (0.1, 0.5)],
    }


def panels(fig):
    return {ax.get_title(): ax for ax in fig.axes if ax.get_title()}


class DrawTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("whole", ()),
        ("one_dropped", [("l2", 1e-3)]),
        ("all_dropped", unit_records.SETTINGS),
    )
    def test_draws_what_is_left_when_networks_are(self, dropped):
        found = figures.draw(records(dropped))
        self.assertLen(found, 7)
        for fig in found.values():
            fig.canvas.draw()

    def test_figure_3_shows_mean_standard_error_and_the_untrained(self):
        fig = figures.draw(records())["fig03_modularity"]
        panel = panels(fig)[figure_style.symbol("covariance")]
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

    def test_clusters_are_told_apart_by_red_lines(self):
        fig = figures.draw(records())["fig03_modularity"]
        (example, *_) = [ax for ax in fig.axes if ax.images]
        lines = [line.get_xydata()[0] for line in example.lines]
        self.assertLen(lines, 2)
        self.assertEqual(lines[0][1], 2.5)
        self.assertEqual(example.lines[0].get_color(), "red")

    def test_figure_4b_is_the_difference_to_the_untrained(self):
        fig = figures.draw(records())["fig04_agreement"]
        found = {
            title: ax.images[0].get_array() for title, ax in panels(fig).items()
        }
        after, change = found.values()
        self.assertAlmostEqual(after[0, 2], 0.8)
        self.assertAlmostEqual(change[0, 2], 0.4)
        self.assertAlmostEqual(change[0, 7], 0.1)
        self.assertAlmostEqual(change[3, 3], 0.0)


class ColorsTest(parameterized.TestCase):
    def test_a_hue_a_measure_and_pale_where_normalised(self):
        pairs = [
            (color, figure_style.COLORS[f"normalized_{measure}"])
            for measure, color in figure_style.COLORS.items()
            if not measure.startswith("normalized")
        ]
        self.assertLen(pairs, 4)
        for dark, pale in pairs:
            a, b = (colors.rgb_to_hsv(colors.to_rgb(c)) for c in (dark, pale))
            self.assertLess(abs(a[0] - b[0]), 0.05)
            self.assertGreater(b[2], a[2])


if __name__ == "__main__":
    tf.test.main()

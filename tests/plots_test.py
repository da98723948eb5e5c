import io
import itertools
import os
import tempfile
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from matplotlib import colors, figure, image, pyplot

from modularity_tf import plots

CLASSES = ["cat", "dog", "frog"]


def pixels(fig, dpi=300):
    """Returns what the figure looks like, without `plots`."""
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=dpi)
    buffer.seek(0)
    return image.imread(buffer)


def panels(fig):
    """Returns the axes with a matrix: no color bar, no empty place."""
    return [ax for ax in fig.axes if ax.get_title()]


def below(fig):
    """Returns what stands below a figure, beside its key."""
    if fig.legends:
        return " ".join(fig.legends[0].get_title().get_text().split())
    return " ".join(fig.get_supxlabel().split())


def key(fig):
    """Returns the entries of the key below a figure."""
    return [text.get_text() for text in fig.legends[0].get_texts()]


def texts(ax):
    """Returns the annotations by (row, column)."""
    found = {}
    for text in ax.texts:
        column, row = text.get_position()
        found[row, column] = text.get_text()
    return found


class ConfusionMatricesTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(1, 2, 3, 5)
    def test_each_matrix_has_a_panel_of_its_own(self, count):
        rng = np.random.default_rng(0)
        matrices = {f"no {i}": rng.uniform(size=(3, 3)) for i in range(count)}
        fig = plots.confusion_matrices(matrices, CLASSES, title="all")
        self.assertEqual(fig.get_suptitle(), "all")
        titles = [ax.get_title() for ax in panels(fig)]
        self.assertEqual(titles, list(matrices))
        for ax, matrix in zip(panels(fig), matrices.values(), strict=True):
            (drawn,) = ax.images
            self.assertAllClose(drawn.get_array(), 100 * matrix)
        self.assertLen(fig.axes, count + 1)  # and the color bar
        self.assertLessEqual(fig.get_figwidth(), plots.WIDTH)

    def test_many_panels_of_many_classes_stand_in_two_columns(self):
        names = [*"abcdefghij"]
        fig = plots.confusion_matrices(
            {name: np.eye(10) for name in names}, names
        )
        places = [ax.get_subplotspec() for ax in panels(fig)]
        self.assertEqual({place.colspan.start for place in places}, {0, 1})
        self.assertLen(places, 10)

    def test_ticks_are_the_names_of_the_classes(self):
        plots.confusion_matrices({"a": np.eye(3)}, range(3))  # no words
        fig = plots.confusion_matrices({"a": np.eye(3)}, CLASSES)
        (ax,) = panels(fig)
        for axis in (ax.xaxis, ax.yaxis):
            self.assertAllEqual(axis.get_ticklocs(), [0, 1, 2])
            labels = [label.get_text() for label in axis.get_ticklabels()]
            self.assertEqual(labels, CLASSES)
        self.assertEqual(ax.get_ylabel(), "true class")
        self.assertEqual(ax.get_xlabel(), "predicted class")

    def test_rows_and_columns_may_be_something_else(self):
        names = ("weights of", "neurons of")
        fig = plots.confusion_matrices(
            {"a": np.eye(3)}, CLASSES, axis_names=names
        )
        (ax,) = panels(fig)
        self.assertEqual((ax.get_ylabel(), ax.get_xlabel()), names)

    @parameterized.parameters(
        (1, "One repeat (n = 1); "), (3, "Each number is the mean of n = 3 ")
    )
    def test_a_line_below_tells_of_how_many_repeats(self, repeats, start):
        matrices = {"a": np.eye(3)}
        fig = plots.confusion_matrices(matrices, CLASSES, repeats=repeats)
        self.assertStartsWith(fig.get_supxlabel(), start)

    def test_shares_are_drawn_from_0_to_100_per_cent(self):
        matrices = {"a": np.full((3, 3), 0.2), "b": np.full((3, 3), 0.3)}
        fig = plots.confusion_matrices(matrices, CLASSES)
        for ax in panels(fig):
            self.assertEqual(ax.images[0].get_clim(), (0, 100))

    @parameterized.parameters((0.12, -0.3), (0.3, -0.12), (-0.3, -0.12))
    def test_colors_of_differences_are_symmetric_around_0(self, one, other):
        matrices = {"a": np.full((3, 3), one), "b": np.full((3, 3), other)}
        fig = plots.confusion_matrices(matrices, CLASSES, difference=True)
        for ax in panels(fig):
            self.assertAllClose(ax.images[0].get_clim(), (-30, 30))

    def test_no_difference_has_the_color_of_0(self):
        matrices = {"a": np.zeros((3, 3))}
        fig = plots.confusion_matrices(matrices, CLASSES, difference=True)
        (ax,) = panels(fig)
        low, high = ax.images[0].get_clim()
        self.assertGreater(high, 0)
        self.assertEqual(low, -high)

    def test_differences_are_written_with_their_sign_and_zeros_not(self):
        matrix = np.array([[-0.07, 0.12, -0.004], [0, 1, 0.004], [0, 0, -1]])
        fig = plots.confusion_matrices({"a": matrix}, CLASSES, difference=True)
        self.assertEqual(
            texts(panels(fig)[0]),
            {(0, 0): "-7", (0, 1): "+12", (1, 1): "+100", (2, 2): "-100"},
        )

    def test_shares_are_written_in_per_cent(self):
        matrix = np.array([[0.95, 0.046, 0.004], [0, 1, 0], [0.5, 0.3, 0.2]])
        fig = plots.confusion_matrices({"a": matrix}, CLASSES)
        self.assertEqual(
            texts(panels(fig)[0]),
            {
                **{(0, 0): "95", (0, 1): "5", (1, 1): "100"},
                **{(2, 0): "50", (2, 1): "30", (2, 2): "20"},
            },
        )

    @parameterized.parameters(True, False)
    def test_numbers_stand_out_from_their_cells(self, difference):
        matrix = np.array([[1, 0.5], [0.1, -1 if difference else 1]])
        fig = plots.confusion_matrices({"a": matrix}, "xy", "", difference)
        (ax,) = panels(fig)
        (drawn,) = ax.images
        for text in ax.texts:
            column, row = text.get_position()
            red, green, blue, _ = drawn.to_rgba(100 * matrix)[row, column]
            dark = 0.3 * red + 0.6 * green + 0.1 * blue < 0.5
            self.assertEqual(text.get_color(), "white" if dark else "black")


class GroupedBarsTest(tf.test.TestCase):
    def bars(self, groups, labels):
        fig = plots.grouped_bars(groups, labels, "drop [%]", title="title")
        (ax,) = fig.axes
        found = {bars.get_label(): bars for bars in ax.containers}
        return ax, {name: found[name] for name in groups}

    def test_bars_are_means_and_error_bars_95_percent_intervals(self):
        rng = np.random.default_rng(0)
        groups = {
            "one": rng.normal(size=(6, 3)),
            "two": rng.normal(size=(7, 3)),
        }
        ax, drawn = self.bars(groups, CLASSES)
        self.assertIn("n = 6 or 7 repeats", below(ax.figure))
        t = {"one": 2.570582, "two": 2.446912}  # of 5 and 6 degrees
        self.assertIn(
            "95 % interval", ax.figure.legends[0].get_title().get_text()
        )
        for name, values in groups.items():
            mean = np.array([sum(column) / len(column) for column in values.T])
            variance = ((values - mean) ** 2).sum(axis=0) / (len(values) - 1)
            heights = [bar.get_height() for bar in drawn[name]]
            self.assertAllClose(heights, mean)
            (lines,) = drawn[name].errorbar.lines[2]
            for i, segment in enumerate(lines.get_segments()):
                center = drawn[name][i].get_center()[0]
                margin = t[name] * np.sqrt(variance[i] / len(values))
                ends = mean[i] - margin, mean[i] + margin
                expected = [[center, end] for end in ends]
                self.assertAllClose(segment, expected)
            self.assertLen(lines.get_segments(), 3)

    def test_few_repeats_are_dots(self):
        values = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 5.0]])
        ax, drawn = self.bars({"one": values}, ["x", "y"])
        self.assertIsNone(drawn["one"].errorbar)
        self.assertIn("dots are the repeats", below(ax.figure))
        dots = [line for line in ax.lines if line.get_marker() == "o"]
        heights = [line.get_ydata() for line in dots]
        self.assertAllClose(np.sort(heights, axis=0), values)
        self.assertAllClose(dots[0].get_xdata(), [0, 1])

    def test_a_ceiling_is_a_dashed_line_across_each_bar(self):
        fig = plots.grouped_bars(
            {"a": [[1, 2], [3, 4]]},
            ["x", "y"],
            "shared [%]",
            chance={"a": [[1, 1], [1, 1]]},
            ceiling={"a": [[5, 6], [7, 8]]},
        )
        *_, lines = fig.axes[0].collections
        heights = [segment[0][1] for segment in lines.get_segments()]
        self.assertAllClose(heights, [6, 7])
        self.assertIsNotNone(lines.get_linestyle()[0][1])  # dashes
        labels = fig.axes[0].get_legend_handles_labels()[1]
        self.assertEqual(labels[:2], ["random", "same task,\nanother seed"])

    def test_chance_is_a_line_across_each_bar(self):
        fig = plots.grouped_bars(
            {"a": [[1, 2], [3, 4]], "b": [[5, 6]]},
            ["x", "y"],
            "shared [%]",
            chance={"a": [[1, 1], [2, 3]], "b": [[4, 5]]},
        )
        (ax,) = fig.axes
        first, second = (
            lines
            for lines in ax.collections
            if lines.get_linewidth()[0] == 2  # others are thinner
        )
        for lines, levels in ((first, [1.5, 2.0]), (second, [4, 5])):
            heights = [segment[0][1] for segment in lines.get_segments()]
            self.assertAllClose(heights, levels)
        self.assertEqual(key(fig).count("random"), 1)

    def test_one_repeat_has_no_error_bar(self):
        _, drawn = self.bars({"one": [[1.0, 2.0, 3.0]]}, CLASSES)
        self.assertAllEqual([b.get_height() for b in drawn["one"]], [1, 2, 3])
        self.assertIsNone(drawn["one"].errorbar)

    def test_the_bars_of_a_label_lie_side_by_side_around_it(self):
        groups = {name: np.ones((1, 3)) for name in "abcd"}
        ax, drawn = self.bars(groups, CLASSES)
        labels = [label.get_text() for label in ax.get_xticklabels()]
        self.assertEqual(labels, CLASSES)
        for i, tick in enumerate(ax.get_xticks()):
            bars = [drawn[name][i] for name in groups]
            left = np.array([bar.get_x() for bar in bars])
            right = left + [bar.get_width() for bar in bars]
            self.assertAllClose(left[1:], right[:-1])
            self.assertAllClose((left[0] + right[-1]) / 2, tick)
            self.assertLess(right[-1] - left[0], 1)

    def test_names_what_is_drawn(self):
        ax, _ = self.bars(
            {"one": np.ones((1, 3)), "two": np.ones((1, 3))}, CLASSES
        )
        self.assertEqual(key(ax.figure), ["one", "two"])
        self.assertEqual(ax.get_ylabel(), "drop [%]")
        self.assertEqual(ax.figure.get_suptitle(), "title")

    def test_intervals_stay_within_the_bounds(self):
        values = np.array([[1.0], [1], [1], [1], [1], [0.4]])
        for bounds, is_beyond in (((-np.inf, np.inf), True), ((0, 1), False)):
            fig = plots.grouped_bars({"a": values}, "x", "y", bounds=bounds)
            (bars,) = fig.axes[0].containers[1:]
            (lines,) = bars.errorbar.lines[2]
            (_, (_, top)) = lines.get_segments()[0]
            self.assertEqual(top > 1, is_beyond)

    def test_a_single_repeat_may_have_intervals_over_examples(self):
        ends = {"a": [[0.0, 20], [15, 60]]}
        fig = plots.grouped_bars({"a": [[10.0, 50]]}, "xy", "y", ends=ends)
        (bars,) = fig.axes[0].containers[1:]
        (lines,) = bars.errorbar.lines[2]
        found = [segment[:, 1] for segment in lines.get_segments()]
        self.assertAllClose(found, np.transpose(ends["a"]))
        self.assertIn("over examples", below(fig))

    def test_what_is_not_seen_is_written(self):
        groups = {"a": [[0.0, 100, np.nan]], "b": [[np.nan, 0.02, 3]]}
        fig = plots.grouped_bars(groups, CLASSES, "y")
        (ax,) = fig.axes
        found = {
            (round(text.get_position()[0], 6), text.get_text())
            for text in ax.texts
        }
        dash = "\N{EN DASH}"
        expected = {(-0.2, "0"), (1.8, dash), (0.2, dash), (1.2, "0.02")}
        self.assertEqual(found, expected)
        self.assertIn(f"{dash}: not measured", below(fig))

    def test_what_a_paper_says_is_a_band_behind_the_bars(self):
        fig = plots.grouped_bars(
            {"a": [[1.0, 2.0]]},
            ["x", "y"],
            "y",
            paper=[("paper: 2 to 4", 2, 4, ["y"]), ("paper: 3", 3, 3, [])],
        )
        (ax,) = fig.axes
        band, *lines = ax.collections
        box = band.get_paths()[0].get_extents()
        self.assertAllClose(box.extents, [0.5, 2, 1.5, 4])
        self.assertLen(lines, 2)  # a number is about all labels
        self.assertEqual(key(fig)[:2], ["paper: 2 to 4", "paper: 3"])

    def test_many_labels_have_rows_and_no_figure_is_too_wide(self):
        labels = [f"layer {i}" for i in range(50)]
        fig = plots.grouped_bars({"a": np.ones((1, 50))}, labels, "y")
        self.assertLessEqual(fig.get_figwidth(), plots.WIDTH)
        shown = [t.get_text() for ax in fig.axes for t in ax.get_xticklabels()]
        self.assertEqual(shown, labels)
        self.assertGreater(len(fig.axes), 1)


# Machado et al., 2009, table 1, severity 1: what people see of linear RGB who
# do not see green, or red.
BLIND = {
    "nothing": np.eye(3),
    "green": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "red": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
}


def as_lab(rgb, blind):
    """Returns sRGB colors as CIELAB (D65)."""
    rgb = np.asarray(rgb)
    dark = rgb <= 0.04045
    linear = np.where(dark, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ BLIND[blind].T, 0, 1)
    to_xyz = [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
    xyz = linear @ np.transpose(to_xyz) / (0.95047, 1, 1.08883)
    small = xyz <= 216 / 24389
    x, y, z = np.where(small, (24389 / 27 * xyz + 16) / 116, np.cbrt(xyz)).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def difference(one, other):
    """Returns the CIEDE2000 difference of two CIELAB colors.

    By Sharma, Wu and Dalal, 2005, equations 2 to 22.
    """
    (l1, a1, b1), (l2, a2, b2) = one, other
    mean = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = 0.5 * (1 - np.sqrt(mean**7 / (mean**7 + 25.0**7)))
    c1, c2 = np.hypot((1 + g) * a1, b1), np.hypot((1 + g) * a2, b2)
    h1, h2 = (
        np.degrees(np.arctan2(b, (1 + g) * a)) % 360
        for a, b in ((a1, b1), (a2, b2))
    )
    turn = (h2 - h1 + 180) % 360 - 180
    hue = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    h = (h1 + turn / 2) % 360
    light, c = (l1 + l2) / 2, (c1 + c2) / 2
    t = (
        1
        - 0.17 * np.cos(np.radians(h - 30))
        + 0.24 * np.cos(np.radians(2 * h))
        + 0.32 * np.cos(np.radians(3 * h + 6))
        - 0.20 * np.cos(np.radians(4 * h - 63))
    )
    spin = 60 * np.exp(-(((h - 275) / 25) ** 2))
    r = -2 * np.sqrt(c**7 / (c**7 + 25.0**7)) * np.sin(np.radians(spin))
    square = (light - 50) ** 2
    dl = (l2 - l1) / (1 + 0.015 * square / np.sqrt(20 + square))
    dc, dh = (c2 - c1) / (1 + 0.045 * c), hue / (1 + 0.015 * c * t)
    return float(np.sqrt(dl**2 + dc**2 + dh**2 + r * dc * dh))


class PaletteTest(parameterized.TestCase, tf.test.TestCase):
    def test_the_difference_is_that_of_the_published_pairs(self):
        for one, other, expected in (
            ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
            ((50, 2.5, 0), (73, 25, -18), 27.1492),
            (
                (60.2574, -34.0099, 36.2677),
                (60.4626, -34.1751, 39.4387),
                1.2644,
            ),
        ):
            self.assertAllClose(difference(one, other), expected, atol=1e-4)

    @parameterized.parameters(*BLIND)
    def test_each_two_colors_differ_for_the_color_blind_too(self, blind):
        seen = as_lab([colors.to_rgb(c) for c in plots.PALETTE], blind)
        for one, other in itertools.combinations(seen, 2):
            self.assertGreater(difference(one, other), 20)

    def test_every_entry_has_a_color_of_its_own(self):
        count = len(plots.PALETTE)
        self.assertLen({plots.color(i) for i in range(count)}, count)
        self.assertEqual(plots.color(count), plots.color(0))

    def test_things_of_one_color_differ_otherwise(self):
        for style, keys in (
            (plots.bar_style, ("color", "hatch")),
            (plots.line_style, ("color", "marker", "linestyle")),
        ):
            found = {tuple(style(i)[key] for key in keys) for i in range(16)}
            self.assertLen(found, 16)

    def test_bars_and_lines_have_its_colors(self):
        fig = plots.grouped_bars({"a": [[1]], "b": [[2]]}, "x", "y")
        faces = [bars[0].get_facecolor() for bars in fig.axes[0].containers]
        self.assertAllClose(
            faces, [colors.to_rgba(c) for c in plots.PALETTE[:2]]
        )


class KeepProbabilitiesTest(tf.test.TestCase):
    def test_densities_leave_out_tiny_values_on_the_left_alone(self):
        histogram = {"counts": [8, 0, 1, 3], "tiny": 6}
        fig = plots.keep_probabilities({"a mask": histogram}, "title")
        linear, log = fig.axes
        for ax, counts in ((linear, [2, 0, 1, 3]), (log, [8, 0, 1, 3])):
            values, edges, _ = ax.patches[0].get_data()
            self.assertAllClose(values, 4 * np.array(counts) / sum(counts))
            self.assertAllClose(np.sum(values * np.diff(edges)), 1.0)
        self.assertEqual(
            (linear.get_yscale(), log.get_yscale()), ("linear", "log")
        )


class SensitivityTest(tf.test.TestCase):
    def test_shows_means_colors_and_the_choice(self):
        points = [
            {"beta": 1e-4, "accuracy": [1.0, 0.8], "sharing": [0.5]},
            {"beta": 1e-3, "accuracy": [0.6], "sharing": [0.1]},
        ]
        fig = plots.sensitivity(points, 1e-3)
        ax = fig.axes[0]
        dots = ax.collections[-1]
        self.assertAllClose(dots.get_offsets(), [[1e-4, 90], [1e-3, 60]])
        self.assertAllClose(dots.get_array(), [50, 10])
        star = next(x for x in ax.lines if x.get_marker() == "*")
        self.assertAllClose(np.ravel(star.get_xydata()), [1e-3, 60])


class ReliabilityTest(tf.test.TestCase):
    def test_empty_bins_are_left_out(self):
        bins = {"count": [0, 3], "confidence": [np.nan, 0.7]}
        fig = plots.reliability({"before": {**bins, "accuracy": [np.nan, 0.6]}})
        line = fig.axes[0].lines[1]
        self.assertAllClose(line.get_xydata(), [[0.7, 0.6]])


class ClusteredSimilarityTest(parameterized.TestCase, tf.test.TestCase):
    def test_units_are_sorted_by_cluster_the_unused_last(self):
        similarity = np.arange(36.0).reshape(6, 6)
        clusters = [1, -1, 0, 1, 0, 0]
        fig = plots.clustered_similarity(similarity, clusters, "title")
        ax, bar = fig.axes
        order = [2, 4, 5, 0, 3, 1]
        drawn = np.ma.filled(ax.images[0].get_array(), np.nan)
        expected = similarity[np.ix_(order, order)]
        np.fill_diagonal(expected, np.nan)
        np.testing.assert_array_equal(drawn, expected)
        self.assertEqual(ax.get_title(), "title")
        self.assertEqual(bar.get_ylabel(), "similarity")

    def test_white_lines_lie_between_clusters(self):
        clusters = [1, -1, 0, 1, 0, 0]
        ax = plots.clustered_similarity(np.ones((6, 6)), clusters).axes[0]
        lines = {tuple(np.ravel(line.get_xydata())) for line in ax.lines}
        edges = [2.5, 4.5]
        expected = {(0, e, 1, e) for e in edges} | {(e, 0, e, 1) for e in edges}
        self.assertEqual(lines, expected)
        self.assertEqual({line.get_color() for line in ax.lines}, {"white"})

    @parameterized.parameters([[0, 0, 0]], [[-1, -1, -1]])
    def test_a_single_group_has_no_line(self, clusters):
        ax = plots.clustered_similarity(np.ones((3, 3)), clusters).axes[0]
        self.assertEmpty(ax.lines)

    def test_draws_on_given_axes_alone(self):
        fig = figure.Figure()
        left, right = fig.subplots(1, 2)
        similarity = np.ones((3, 3))
        found = plots.clustered_similarity(similarity, [0, 0, 1], ax=right)
        self.assertIs(found, fig)
        self.assertLen(fig.axes, 2)
        self.assertEmpty(left.images)
        self.assertLen(right.images, 1)


class SaveTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.file = os.path.join(folder, "figure.png")
        self.fig = plots.grouped_bars({"a": [[1.0, 2.0]]}, "xy", "y")

    def test_writes_the_figure_as_png_and_pdf_and_no_other_file(self):
        plots.save(self.fig, self.file)
        with open(self.file, "rb") as f:
            self.assertEqual(f.read(8), b"\x89PNG\r\n\x1a\n")
        self.assertAllEqual(image.imread(self.file), pixels(self.fig))
        folder = os.path.dirname(self.file)
        self.assertCountEqual(os.listdir(folder), ["figure.png", "figure.pdf"])
        with open(os.path.join(folder, "figure.pdf"), "rb") as f:
            first = f.read()
        self.assertStartsWith(first, b"%PDF-")
        plots.save(self.fig, self.file)
        with open(os.path.join(folder, "figure.pdf"), "rb") as f:
            self.assertEqual(f.read(), first)  # no date in it

    def test_a_file_may_be_smaller_and_without_a_pdf(self):
        plots.save(self.fig, self.file, dpi=50, pdf=False)
        self.assertAllEqual(image.imread(self.file), pixels(self.fig, 50))
        self.assertEqual(os.listdir(os.path.dirname(self.file)), ["figure.png"])

    def test_a_killed_save_leaves_the_earlier_figure(self):
        plots.save(self.fig, self.file)
        before = pixels(self.fig)

        other = plots.grouped_bars({"a": [[5.0, 2.0]]}, "xy", "y")
        with (
            mock.patch.object(os, "replace", side_effect=KeyboardInterrupt),
            self.assertRaises(KeyboardInterrupt),
        ):
            plots.save(other, self.file)
        self.assertAllEqual(image.imread(self.file), before)

    def test_a_notebook_shows_a_figure_without_pyplot(self):
        shown = plots.new_figure(2.0, 1.0)._repr_png_()
        size = plots.DPI // 3  # of a screen: 100 dots an inch
        self.assertEqual(
            image.imread(io.BytesIO(shown)).shape[:2], (size, 2 * size)
        )

    def test_leaves_pyplot_alone(self):
        plots.save(self.fig, self.file)
        plots.confusion_matrices({"a": np.eye(3)}, CLASSES)
        self.assertEqual(pyplot.get_fignums(), [])


class AlphaSearchTest(parameterized.TestCase):
    def test_shows_every_trial_the_limit_and_the_choice(self):
        trials = [
            {"alpha": 1e-6, "performance": 0.9, "keep_fraction": 0.5},
            {"alpha": 1e-5, "performance": 0.6, "keep_fraction": 0.1},
        ]
        search = {
            "alpha": 1e-6,
            "reference": 0.9,
            "fraction": 0.9,
            "trials": trials,
        }
        (ax,) = plots.alpha_search([search], "title").axes
        lines = {line.get_label(): line for line in ax.get_lines()}
        self.assertEqual(below(ax.figure), "n = 1")
        np.testing.assert_allclose(
            lines["performance"].get_xydata(), [(1e-6, 90), (1e-5, 60)]
        )
        np.testing.assert_allclose(lines["weights kept"].get_ydata(), [50, 10])
        limit = lines["90% of the network"].get_ydata()
        np.testing.assert_allclose(limit, 81)
        np.testing.assert_allclose(lines["chosen"].get_xdata(), 1e-6)
        self.assertEqual(ax.get_xscale(), "log")


class SharesByLayerTest(tf.test.TestCase):
    def test_a_bar_is_the_share_of_a_layer_with_its_counts(self):
        fig = plots.shares_by_layer({"a": (1, 4), "b": (0, 0)}, "[%]", "set")
        (ax,) = fig.axes
        self.assertAllClose([bar.get_width() for bar in ax.patches], [25, 0])
        self.assertIn("1 of 4", [text.get_text() for text in ax.texts])
        first, second = (bar.get_y() for bar in ax.patches)
        heights = ax.transData.transform([(0, first), (0, second)])[:, 1]
        self.assertGreater(heights[0], heights[1])  # from top to bottom


class HeatMapsTest(tf.test.TestCase):
    def test_a_number_in_every_field_that_was_measured(self):
        values = np.array([[0.5, np.nan], [1.0, 0.25]])
        fig = plots.heat_maps(
            {"first": values, "second": 1 - values}, ["a", "b"], ["x", "y"]
        )
        first, second = panels(fig)
        self.assertEqual(
            texts(first), {(0, 0): "0.50", (1, 0): "1.00", (1, 1): "0.25"}
        )
        self.assertAllClose(
            second.images[0].get_array().filled(np.nan), 1 - values
        )
        names = [each.get_text() for each in first.get_yticklabels()]
        self.assertEqual(names, ["a", "b"])


class PrecisionAndRecallTest(tf.test.TestCase):
    def test_a_method_has_one_color_in_all_panels(self):
        curve = np.array([0.5, 1.0]), np.array([[1.0, 0.5], [1.0, 0.0]])
        fig = plots.precision_and_recall(
            {"one": {"a": curve, "b": curve}, "two": {"b": curve}}
        )
        one, two = panels(fig)
        self.assertAllEqual(two.lines[0].get_ydata(), [1.0, 0.25])
        dots = [line.get_ydata() for line in two.lines[1:]]
        self.assertAllClose(dots, curve[1])  # few repeats: each of them
        first, second = one.lines[0], one.lines[3]
        self.assertEqual(second.get_color(), two.lines[0].get_color())
        self.assertNotEqual(first.get_color(), second.get_color())
        self.assertNotEqual(first.get_marker(), second.get_marker())
        self.assertEqual(key(fig), ["a", "b"])


class FatesOfWeightsTest(tf.test.TestCase):
    def test_a_line_for_every_weight_that_counts(self):
        layers = [[[1, 2, 0], [3, 4, 4]], [[1], [0], [2]]]
        (ax,) = panels(plots.fates_of_weights({"network": layers}))
        drawn = [len(each.get_segments()) for each in ax.collections]
        self.assertEqual(drawn, [1, 1, 1, 2, 1, 1, 0, 0])
        self.assertEqual(
            [len(line.get_xdata()) for line in ax.lines], [2, 3, 1]
        )
        (segment,) = ax.collections[1].get_segments()  # missed: 0 to 1
        self.assertAllClose(segment, [[0.25, 0], [0.5, 1]])


class ValuesBesideChanceTest(tf.test.TestCase):
    def test_every_pair_has_a_panel_and_a_star_says_what_is_rare(self):
        rows = [
            {"layer": "a", "value": 0.5, "chance": 0.25, "p": 0.01},
            {"layer": "b", "value": 0.2, "chance": 0.25, "p": 0.7},
            {"layer": "c", "value": None, "chance": None, "p": None},
        ]
        rows[2] |= {"repeats": [None, None, None]}
        rows[0] |= {"repeats": [0.4, 0.5, 0.6]}
        fig = plots.values_beside_chance({f"pair {i}": rows for i in range(4)})
        self.assertIn("n = 3 repeats", fig.get_supxlabel())
        self.assertLen(fig.axes, 4)
        for ax in fig.axes:
            heights = [bar.get_height() for bar in ax.patches]
            self.assertAllClose(heights[:2], [50, 20])
            self.assertTrue(np.isnan(heights[2]))
            (star,) = ax.texts
            self.assertEqual(star.get_position()[0], 0)
            (dots,) = ax.lines
            self.assertAllClose(dots.get_ydata(), [40, 50, 60])
            (lines,) = ax.collections
            levels = [y for (_, y), _ in lines.get_segments()[:2]]
            self.assertAllClose(levels, [25, 25])

    def test_grows_with_the_layers(self):
        row = {"value": 0.5, "chance": 0.25, "p": 0.5}
        many = [{"layer": f"layer_{i}", **row} for i in range(60)]
        fig = plots.values_beside_chance({"a, b": many, "a, c": many})
        names = fig.axes[0].get_xticklabels()
        room = fig.get_figwidth() / len(names)  # for a line of text, in inches
        self.assertGreater(72 * room, names[0].get_fontsize())


if __name__ == "__main__":
    tf.test.main()

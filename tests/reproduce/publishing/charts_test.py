import numpy as np
from absl.testing import absltest, parameterized

from modularity_tf import plots
from reproduce.publishing import charts, claim

CLAIMS = [
    claim.Claim("cnn: low", (0.2, 0.3, 0.4), 0.7, False, 0.25, "random"),
    claim.Claim("a ratio", (1.5,), 1, True, 1.0, "as many", percent=False),
    claim.Claim("unknown", (float("nan"),), 1, True, 1.0, "as many"),
]


def of_kind(chart, kind):
    return [trace for trace in chart["data"] if trace["type"] == kind]


class OfFigureTest(parameterized.TestCase):
    def test_a_confusion_matrix_keeps_its_numbers_and_names(self):
        matrices = {"a": [[0.5, 0.25], [0, np.nan]], "b": [[1, 0], [0, 1]]}
        fig = plots.confusion_matrices(matrices, ["cat", "dog"], "title")
        chart = charts.of_figure(fig)
        first, second = of_kind(chart, "heatmap")
        self.assertEqual(first["z"], [[50, 25], [0, None]])
        self.assertEqual(
            first["text"],
            [["cat → cat", "cat → dog"], ["dog → cat", "dog → dog"]],
        )
        self.assertEqual((first["zmin"], first["zmax"]), (0, 100))
        self.assertEqual(second["xaxis"], "x2")
        layout = chart["layout"]
        self.assertEqual(layout["xaxis"]["ticktext"], ["cat", "dog"])
        low, high = layout["yaxis"]["range"]
        self.assertGreater(low, high)  # the first row is above
        # Side by side, as the panels are.
        self.assertLess(
            layout["xaxis"]["domain"][1], layout["xaxis2"]["domain"][0]
        )
        titles = [each["text"] for each in layout["annotations"]]
        self.assertEqual(titles, ["a", "b"])

    def test_bars_keep_error_bars_and_chance(self):
        fig = plots.grouped_bars(
            {"one": [[1, 2], [3, 4]], "two": [[5, 6], [5, 6]]},
            ["x", "y"],
            "[%]",
            chance={"one": [[0.5, 1.5]]},
        )
        chart = charts.of_figure(fig)
        first, second = of_kind(chart, "bar")
        self.assertEqual((first["name"], second["name"]), ("one", "two"))
        self.assertEqual(first["y"], [2, 3])
        np.testing.assert_allclose(
            first["error_y"]["array"], [12.706] * 2, 1e-3
        )
        np.testing.assert_allclose(second["error_y"]["array"], [0, 0])
        (chance,) = of_kind(chart, "scatter")
        self.assertEqual(chance["y"], [0.5, 0.5, None, 1.5, 1.5, None])

    def test_curves_keep_their_names_and_lines_across_the_panel(self):
        fig = plots.new_figure(4, 3)
        ax = fig.subplots()
        ax.set_xscale("log")
        ax.errorbar([1, 10], [2, 3], [0.5, np.nan], label=r"$S^{\text{cov}}$")
        ax.plot([1, 10], [4, 5], "s--", label="other")
        ax.fill_between([1, 10], [1, 2], [3, 4], alpha=0.5)
        ax.axhline(2.5, linestyle=":")
        chart = charts.of_figure(fig)
        named = {t["name"]: t for t in chart["data"] if "name" in t}
        curve = named["S<sup>cov</sup>"]
        self.assertEqual(curve["error_y"]["array"], [0.5, None])
        self.assertEqual(named["other"]["line"]["dash"], "dash")
        self.assertEqual(named["other"]["marker"]["symbol"], "square")
        (band,) = (t for t in chart["data"] if t.get("fill"))
        self.assertEqual(max(band["y"]), 4)
        self.assertEqual(chart["layout"]["xaxis"]["type"], "log")
        (shape,) = chart["layout"]["shapes"]
        self.assertEqual((shape["y0"], shape["y1"]), (2.5, 2.5))
        self.assertEqual(shape["xref"], "x domain")

    def test_an_entry_stands_in_the_legend_once(self):
        curve = np.array([0.5, 1.0]), np.array([[1.0, 0.5], [1.0, 0.0]])
        fig = plots.precision_and_recall(
            {"one": {"a": curve, "b": curve}, "two": {"b": curve}}
        )
        traces = charts.of_figure(fig)["data"]
        shown = [(t["name"], t["showlegend"]) for t in traces if "name" in t]
        self.assertEqual(shown, [("a", True), ("b", True), ("b", False)])

    def test_subfigures_lie_where_they_are_drawn(self):
        fig = plots.new_figure(4, 4)
        for part in fig.subfigures(2, 1):
            part.subplots().plot([0, 1], [0, 1])
        layout = charts.of_figure(fig)["layout"]
        self.assertGreater(
            layout["yaxis"]["domain"][0], layout["yaxis2"]["domain"][1]
        )

    def test_points_and_steps_are_read(self):
        point = {"beta": 1e-3, "accuracy": [1.0, 0.8], "sharing": [0.5]}
        chart = charts.of_figure(plots.sensitivity([point], 1e-3))
        dots = [t for t in chart["data"] if t.get("mode") == "markers"]
        self.assertIn([90], [t["y"] for t in dots])
        counts = {"counts": [8, 0, 1, 3], "tiny": 6}
        chart = charts.of_figure(plots.keep_probabilities({"m": counts}))
        steps = [t for t in chart["data"] if t["line"].get("shape") == "hv"]
        self.assertEqual([t["name"] for t in steps], ["m", "m"])

    def test_a_drawing_of_a_network_is_no_chart(self):
        fig = plots.fates_of_weights({"network": [[[1, 2]], [[1], [0]]]})
        self.assertIsNone(charts.of_figure(fig))
        fig = plots.new_figure(2, 2)
        fig.subplots().vlines(range(501), 0, 1)
        self.assertIsNone(charts.of_figure(fig))


class OfClaimsTest(absltest.TestCase):
    def test_percentages_and_other_numbers_have_charts_of_their_own(self):
        percent, other = charts.of_claims([c.checked() for c in CLAIMS])
        null, threshold, dots = percent["data"]
        self.assertEqual((null["x"], threshold["x"]), ([25], [70]))
        np.testing.assert_allclose(dots["x"], [30])
        self.assertEqual(dots["name"], "agrees")
        margin = 4.3027 * 10 / np.sqrt(3)
        np.testing.assert_allclose(dots["error_x"]["array"], [margin], 1e-4)
        self.assertEqual(
            percent["layout"]["yaxis"]["ticktext"], ["CNN with dropout: low"]
        )
        dots = other["data"][-1]
        self.assertEqual((dots["x"], dots["name"]), ([1.5], "one seed"))
        self.assertEqual(dots["error_x"]["array"], [None])

    def test_a_claim_that_was_not_measured_has_no_dot(self):
        self.assertEqual(charts.of_claims([CLAIMS[2].checked()]), [])


if __name__ == "__main__":
    absltest.main()

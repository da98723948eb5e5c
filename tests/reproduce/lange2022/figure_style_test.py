from absl.testing import absltest, parameterized

from reproduce.lange2022 import figure_style


class ColorsTest(parameterized.TestCase):
    def test_a_measure_has_one_color_and_empty_markers_where_normalized(self):
        styles = {m: figure_style.point_style(m) for m in figure_style.COLORS}
        self.assertLen(set(figure_style.COLORS.values()), 4)
        self.assertLen({style["marker"] for style in styles.values()}, 4)
        for measure, style in styles.items():
            is_normalized = measure.startswith("normalized_")
            self.assertEqual(style["markerfacecolor"] == "white", is_normalized)
            same = styles[measure.removeprefix("normalized_")]
            for name in ("color", "marker"):
                self.assertEqual(style[name], same[name])


class SymbolTest(parameterized.TestCase):
    def test_each_measure_has_one_of_its_own_with_a_hat_if_normalized(self):
        found = {m: figure_style.symbol(m) for m in figure_style.COLORS}
        self.assertLen(set(found.values()), 8)
        for measure, text in found.items():
            is_normalized = measure.startswith("normalized_")
            self.assertEqual("hat" in text, is_normalized)


if __name__ == "__main__":
    absltest.main()

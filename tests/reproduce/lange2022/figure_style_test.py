from absl.testing import absltest, parameterized
from matplotlib import colors

from reproduce.lange2022 import figure_style


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


class SymbolTest(parameterized.TestCase):
    def test_each_measure_has_one_of_its_own_with_a_hat_if_normalised(self):
        found = {m: figure_style.symbol(m) for m in figure_style.COLORS}
        self.assertLen(set(found.values()), 8)
        for measure, text in found.items():
            is_normalised = measure.startswith("normalized_")
            self.assertEqual("hat" in text, is_normalised)


if __name__ == "__main__":
    absltest.main()

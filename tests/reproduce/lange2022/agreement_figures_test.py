import tensorflow as tf

from reproduce.lange2022 import agreement_figures
from tests.reproduce.lange2022 import unit_records


class AgreementFiguresTest(tf.test.TestCase):
    def test_figure_4b_is_the_difference_to_the_untrained(self):
        fig = agreement_figures.draw_agreement(unit_records.drawable())
        found = {
            title: ax.images[0].get_array()
            for title, ax in unit_records.panels(fig).items()
        }
        after, change = found.values()
        self.assertAlmostEqual(after[0, 2], 0.8)
        self.assertAlmostEqual(change[0, 2], 0.4)
        self.assertAlmostEqual(change[0, 7], 0.1)
        self.assertAlmostEqual(change[3, 3], 0.0)

    def test_agreement_by_strength_has_a_panel_a_setting_that_is_left(self):
        every = unit_records.drawable()
        dropped = unit_records.drawable([("l2", 1e-3)])
        images = [
            sum(
                len(ax.images)
                for ax in agreement_figures.draw_agreement_by_strength(
                    found
                ).axes
            )
            for found in (every, dropped)
        ]
        self.assertGreater(images[0], images[1])


if __name__ == "__main__":
    tf.test.main()

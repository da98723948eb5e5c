import tensorflow as tf

from reproduce.bena2021 import figures
from tests.reproduce.bena2021.structure_records import controls, sweep


class FiguresTest(tf.test.TestCase):
    def test_draws_every_figure_with_one_repeat_or_several(self):
        names = {"fig02_specialization", "fig03_raw_metrics"}
        names |= {"fig04_accuracy", "weighted_q"}
        one = sweep()
        self.assertEqual(set(figures.draw(one)), names)
        every = one + sweep(seed=1) + sweep(demand=4) + sweep(demand=4, seed=1)
        drawn = figures.draw(every)
        self.assertEqual(set(drawn), names | {"demand"})
        left, right = drawn["fig02_specialization"].axes[:2]
        (x, y), (q, _) = (ax.lines[0].get_data() for ax in (left, right))
        self.assertAllClose(x, [1e-4, 1e-3, 0.1, 1.0])
        self.assertAllClose(q, (1 - x) / (2 * (1 + x)))
        self.assertAllClose(y, [0.9, 0.4, 0.1, 0.0], atol=1e-12)
        self.assertEqual(left.get_xscale(), "log")

    def test_the_mean_does_not_hide_a_module_that_only_sends(self):
        records = sweep()
        for made in records:
            made["plain"]["mask"] = [[0.9, 0.1], [0.5, 0.5]]
        drawn = figures.draw(records)["fig02_specialization"]
        mean, more, less = (ax.get_ydata() for ax in drawn.axes[2].lines)
        self.assertAllClose(mean, [0.4] * 4)
        self.assertAllClose(more, [0.8] * 4)
        self.assertAllClose(less, [0.0] * 4)

    def test_untrained_networks_are_drawn_where_there_are_controls(self):
        records = sweep()
        records[-1]["controls"] = controls(0.9, 0.5, 0.9, 0.3)
        drawn = figures.draw(records)["fig02_specialization"]
        for axes in drawn.axes[::2]:
            x, y = axes.lines[-1].get_data()
            self.assertAllClose((x[0], y[0]), (1e-4, 0.3))


if __name__ == "__main__":
    tf.test.main()

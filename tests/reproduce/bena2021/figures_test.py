import tensorflow as tf

from reproduce.bena2021 import figures
from tests.reproduce.bena2021.structure_records import controls, sweep


class FiguresTest(tf.test.TestCase):
    def test_draws_every_figure_with_one_repeat_or_several(self):
        names = {"fig02_specialization", "fig03_raw_metrics"}
        names |= {"fig04_accuracy", "weighted_q", "masks"}
        names |= {"sender_receiver", "who_answers"}
        one = sweep()
        self.assertEqual(set(figures.draw(one)), names)
        every = one + sweep(seed=1) + sweep(demand=4) + sweep(demand=4, seed=1)
        drawn = figures.draw(every)
        self.assertEqual(set(drawn), names | {"demand", "demand_bits"})
        for name, fig in drawn.items():
            below, *key = _texts_below(fig)
            panels = [ax.get_ylabel() + ax.get_title() for ax in fig.axes]
            for network in ("(a)", "(b)"):
                if f"{network}:" in below:
                    self.assertIn(network, " ".join(panels + key), name)
        left, right, part = drawn["fig02_specialization"].axes[:3]
        (x, y), (q, _) = (ax.lines[0].get_data() for ax in (left, right))
        self.assertAllClose(x, [1e-4, 1e-3, 0.1, 1.0])
        self.assertAllClose(q, (1 - x) / (2 * (1 + x)))
        self.assertAllClose(y, [0.9, 0.4, 0.1, 0.0], atol=1e-12)
        self.assertEqual(left.get_xscale(), "log")
        self.assertAllClose(
            part.lines[0].get_ydata(), [1.0, 4 / 9, 1 / 9, 0.0], atol=1e-12
        )

    def test_the_mean_does_not_hide_a_module_that_only_sends(self):
        records = sweep()
        for made in records:
            made["plain"]["mask"] = [[0.9, 0.1], [0.5, 0.5]]
        drawn = figures.draw(records)["fig02_specialization"]
        mean, less, more = (ax.get_ydata() for ax in drawn.axes[3].lines)
        self.assertAllClose(mean, [0.4] * 4)
        self.assertAllClose(less, [0.8] * 4)
        self.assertAllClose(more, [0.0] * 4)

    def test_the_less_specialized_module_may_be_the_one_that_answers(self):
        records = sweep()
        for made in records:
            made["plain"]["mask"] = [[0.9, 0.1], [0.5, 0.5]]
        records[0]["plain"]["answered"] = [1.0, 0.0]  # at p = 1
        records[0]["plain"]["message"] = [0.9, 0.6]
        drawn = figures.draw(records)
        _, less, more = drawn["fig02_specialization"].axes[3].lines
        self.assertAllClose(less.get_ydata(), [0.8] * 3 + [0.0])
        self.assertAllClose(more.get_ydata(), [0.0] * 3 + [0.8])
        told = drawn["sender_receiver"].axes[1]  # masks
        self.assertAllClose(told.lines[1].get_ydata(), [0.8] * 3 + [0.0])
        shares = drawn["who_answers"].axes[2].lines[0].get_ydata()
        self.assertAllClose(shares, [10.0] * 3 + [100.0])
        whole, less, more, chance = drawn["who_answers"].axes[4].lines
        self.assertAllClose(whole.get_ydata(), [95.0] * 4)
        self.assertAllClose(less.get_ydata(), [93.0] * 3 + [55.0])
        self.assertAllClose(more.get_ydata(), [55.0] * 3 + [93.0])
        self.assertAllClose(chance.get_ydata(), [31.25] * 2)

    def test_ceilings_are_drawn(self):
        axes = figures.draw(sweep())["fig02_specialization"].axes
        # Q close to 1/2 is as far from its neighbors as any other.
        scale = axes[1].transData.transform
        places = [scale((q, 0))[0] for q in (0.4, 0.49, 0.499)]
        self.assertAlmostEqual(
            places[1] - places[0], places[2] - places[1], places=3
        )
        for ax, expected in ((axes[0], (0.767, 0.583)), (axes[6], (0.778,))):
            found = [line.get_ydata()[0] for line in ax.lines[3:]]
            self.assertAllClose(found, expected, atol=1e-3)
        raw = figures.draw(sweep())["fig03_raw_metrics"].axes[0]
        found = [line.get_ydata()[0] for line in raw.lines[2:]]
        self.assertAllClose(found, [0.125, 0.25])

    def test_controls_are_drawn_where_there_are(self):
        records = sweep()
        records[-1].update(controls(0.9, 0.5, 0.9, 0.3))
        drawn = figures.draw(records)
        for ax in drawn["fig02_specialization"].axes[::3]:
            x, y = ax.lines[3].get_data()
            self.assertAllClose((x[0], y[0]), (1e-4, 0.3))
        # Deep-R, no walk, gentle wake, the earliest code; then fixed links.
        gains = [line.get_ydata()[0] for line in drawn["links"].axes[2].lines]
        self.assertAllClose(gains, [5.0, 0.0, 2.0, 3.0, 0.0], atol=1e-9)
        links = drawn["links"]
        links.draw_without_rendering()
        for ax in links.axes:  # no label is cut
            label = ax.xaxis.label.get_window_extent()
            self.assertBetween(label.x1, label.x0, links.bbox.x1)
        q, own = drawn["masks"].axes[2].lines[0].get_data()
        self.assertAllClose(q, [0.05, 0.2])
        self.assertAllClose(own, [0.65, 0.65])

    def test_a_title_tells_the_arm_and_a_line_the_number_of_repeats(self):
        for records, arm, repeats in (
            (sweep(arm="table1"), "digits, Table 1:", "(n = 1)."),
            (sweep() + sweep(seed=1), "digits:", "n = 2 repeats; the dots"),
        ):
            drawn = figures.draw(records)["fig02_specialization"]
            self.assertStartsWith(drawn.get_suptitle(), arm)
            below = drawn.legends[0].get_title().get_text()
            self.assertIn(repeats, below)
            self.assertIn("(b): that with one", " ".join(below.split()))


def _texts_below(fig):
    """Returns what a figure explains, and the words of its key."""
    if not fig.legends:
        return [fig.get_supxlabel()]
    (key,) = fig.legends
    return [each.get_text() for each in (key.get_title(), *key.get_texts())]


if __name__ == "__main__":
    tf.test.main()

from absl.testing import absltest

from reproduce.known_truth.verdicts import figures, sets
from tests.reproduce.known_truth.verdicts.judged import record


class DrawTest(absltest.TestCase):
    def test_the_figure_has_a_panel_a_source(self):
        one = record(0, **{"shared true": {"1.0": 20}})
        one["networks"] = {
            "0/mask": {"verdict": "separate", "true": ["separate"]},
            "50/gradient": {"verdict": "shared", "true": ["shared"]},
        }
        drawn = figures.draw([one])["figA_verdicts"]
        titles = [ax.get_title() for ax in drawn.axes]
        expected = [f"sets, {errors}" for errors in sets.ERRORS]
        self.assertEqual(titles, [*expected, "networks", "masks"])


if __name__ == "__main__":
    absltest.main()

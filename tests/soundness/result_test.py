import dataclasses
import io
import math

import rich.console
from absl.testing import absltest

from modularity_tf.soundness import result

ROW = {
    "quantity": "faithfulness",
    "what": "the part alone",
    "value": 0.875,
    "low": 0.8,
    "high": 0.9,
    "over": "examples",
    "n": 40,
    "p": None,
}
CURVE = {
    "share": 0.02,
    "parts": 4,
    **{
        key: (0.25, 0.2, 0.3)
        for key in ("alone", "rest", "random_alone", "random_rest")
    },
}
SHARING = {
    "other": "cats",
    "overlap": 0.5,
    "floor": 0.125,
    "ceiling": math.nan,
    "index": math.nan,
    "low": math.nan,
    "high": math.nan,
    "p": 0.01,
    "extractions": (1, 4),
    "verdict": "undetermined",
    "reason": "too few",
    "needed": 0.5,
}
FOUND = result.Soundness((ROW,), (CURVE,), (SHARING,), {"name": "accuracy"})


class SoundnessTest(absltest.TestCase):
    def test_shows_every_number_with_its_interval(self):
        file = io.StringIO()
        rich.console.Console(file=file, width=100).print(FOUND.table())
        text = " ".join(file.getvalue().split())
        for told in (
            "87.5% │ 80.0% to 90.0% │ 40 examples",
            "highest 2.0%, alone │ 25.0% │ 20.0% to 30.0% │ random 25.0%",
            "sharing with cats: undetermined",
            "1 and 4 extractions │ 0.01",
            "ceiling │ none",
        ):
            self.assertIn(told, text)
        self.assertIn("faithfulness", FOUND._repr_html_())

    def test_says_how_many_examples_are_distinct(self):
        for distinct, is_told in ((40, False), (30, True)):
            settings = {"examples": 40, "distinct_examples": distinct}
            found = dataclasses.replace(
                FOUND, settings={**FOUND.settings, **settings}
            )
            told = f"{distinct} distinct of 40 examples" in found._repr_html_()
            self.assertEqual(told, is_told)

    def test_its_dict_has_no_nan(self):
        found = FOUND.as_dict()
        self.assertIsNone(found["sharing"][0]["ceiling"])
        self.assertEqual(found["sharing"][0]["extractions"], [1, 4])
        self.assertEqual(found["rows"][0], ROW)

    def test_says_the_verdicts(self):
        self.assertEqual(FOUND.verdicts, {"cats": "undetermined"})
        self.assertEqual(
            repr(FOUND),
            "<Soundness by accuracy: the part alone 87.5%; cats: undetermined>",
        )
        self.assertEqual(FOUND.value("the part alone"), 0.875)

    def test_draws_a_panel_for_what_there_is(self):
        self.assertLen(FOUND.plot().axes, 3)
        few = result.Soundness((ROW,), (), (), {"name": "accuracy"})
        titles = [ax.get_title() for ax in few.plot().axes]
        self.assertEqual(titles, ["performance"])


if __name__ == "__main__":
    absltest.main()

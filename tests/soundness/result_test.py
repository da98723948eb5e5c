import dataclasses
import io
import math
import tempfile

import rich.console
from absl.testing import absltest, parameterized

from modularity_tf.soundness import result
from modularity_tf.soundness.sharing_of_sets import Sharing


def estimate(value, over="examples", p=None):
    """Returns an `Estimate` of 20 cases, with an interval of 10 points."""
    return result.Estimate(value, value - 0.05, value + 0.05, over, 20, p)


def random(value, as_well=0):
    return estimate(value, "random parts", (1 + as_well) / 21)


POINT = result.CurvePoint(0.02, 4, *map(estimate, (0.25, 0.5, 0.75, 0.5)))
SHARING = Sharing(
    overlap=0.5,
    floor=0.125,
    ceiling=math.nan,
    index=math.nan,
    low=math.nan,
    high=math.nan,
    p=0.01,
    extractions=(1, 4),
    verdict="undetermined",
    reason="there are few",
    needed=0.5,
)
FOUND = result.Soundness(
    result.Faithfulness(estimate(0.9), estimate(0.75), random(0.125)),
    result.Completeness(estimate(0.25), random(0.5)),
    {1: estimate(0.5, "removals, all"), 3: estimate(0.125, "removals")},
    (POINT,),
    {"cats": SHARING},
    {"name": "accuracy", "examples": 40, "distinct_examples": 40},
)


class SoundnessTest(parameterized.TestCase):
    def test_shows_every_number_with_its_interval(self):
        file = io.StringIO()
        rich.console.Console(file=file, width=100).print(FOUND.table())
        text = " ".join(file.getvalue().split())
        for told in (
            "the part alone │ 75.0% │ 70.0% to 80.0% │ 20 examples",
            "redundant: 3 members at once │ 12.5% │ 7.5% to 17.5% │ 20 rem",
            "highest 2.0%, alone │ 25.0% │ 20.0% to 30.0% │ random 50.0%",
            "sharing with cats: undetermined",
            "1 and 4 extractions │ 0.01",
            "ceiling │ none",
        ):
            self.assertIn(told, text)
        self.assertIn("faithfulness", FOUND._repr_html_())
        self.assertNotIn("distinct", text)

    def test_says_how_many_examples_are_distinct(self):
        settings = {**FOUND.settings, "distinct_examples": 30}
        found = dataclasses.replace(FOUND, settings=settings)
        self.assertIn("30 distinct of 40 examples", found._repr_html_())

    @parameterized.parameters(
        (0, 0, "Sound: alone"),
        (0, 9, "Enough alone, but not shown to be needed: alone"),
        (1, 0, "Needed, but not shown to be enough alone: alone"),
        (9, 9, "Not shown to be more than random parts: alone"),
    )
    def test_says_no_more_than_the_numbers(self, alone, without, told):
        faithfulness = dataclasses.replace(
            FOUND.faithfulness, random=random(0.125, alone)
        )
        completeness = dataclasses.replace(
            FOUND.completeness, random=random(0.5, without)
        )
        found = dataclasses.replace(
            FOUND, faithfulness=faithfulness, completeness=completeness
        )
        text = str(found)
        self.assertStartsWith(text, told)
        sentence, p, *_ = text.split(". ")
        self.assertEqual(f"{sentence}.", found.verdict)
        self.assertEqual(found.as_dict()["verdict"], found.verdict)
        better, worse = 20 - alone, 20 - without
        self.assertIn(f"better than {better} of 20 random parts;", sentence)
        self.assertIn(f"than without {worse} of 20 random parts", sentence)
        self.assertEndsWith(p, "with 20 of them it is 0.048 at least")
        self.assertIn("50.0% of its members (45.0% to 55.0%)", text)
        self.assertIn("cats: undetermined (there are few): the", text)

    def test_intervals_that_overlap_tell_nothing(self):
        faithfulness = dataclasses.replace(
            FOUND.faithfulness, random=random(0.7)
        )
        found = dataclasses.replace(FOUND, faithfulness=faithfulness)
        self.assertIn("not shown to be enough alone", found.summary())

    def test_its_dict_is_what_records_hold(self):
        found = FOUND.as_dict()
        self.assertEqual(
            [(row["quantity"], row["what"]) for row in found["rows"]],
            [
                ("faithfulness", "the whole model"),
                ("faithfulness", "the part alone"),
                ("faithfulness", "random parts alone"),
                ("completeness", "without the part"),
                ("completeness", "without random parts"),
                ("minimality", "redundant: one member"),
                ("minimality", "redundant: 3 members at once"),
            ],
        )
        keys = ["quantity", "what", "value", "low", "high", "over", "n", "p"]
        self.assertEqual([*found["rows"][0]], keys)
        self.assertEqual(
            found["curve"],
            [
                {
                    "share": 0.02,
                    "parts": 4,
                    "alone": [0.25, 0.2, 0.3],
                    "random_alone": [0.5, 0.45, 0.55],
                    "rest": [0.75, 0.7, 0.8],
                    "random_rest": [0.5, 0.45, 0.55],
                }
            ],
        )
        (shared,) = found["sharing"]
        names = [field.name for field in dataclasses.fields(Sharing)]
        self.assertEqual([*shared], ["other", *names])
        self.assertIsNone(shared["ceiling"])
        self.assertEqual(shared["extractions"], [1, 4])

    def test_is_the_same_from_a_file(self):
        shared = dataclasses.replace(SHARING, ceiling=1, index=0, low=0, high=1)
        untrained = dataclasses.replace(
            FOUND.faithfulness, untrained=estimate(0.5)
        )
        found = dataclasses.replace(
            FOUND, faithfulness=untrained, sharing={"cats": shared, 3: shared}
        )
        folder = self.enterContext(tempfile.TemporaryDirectory())
        file = f"{folder}/sound.npz"
        found.save(file)
        self.assertEqual(result.Soundness.load(file), found)
        FOUND.save(file)  # with NaN, which is not equal to itself
        self.assertEqual(repr(result.Soundness.load(file)), repr(FOUND))

    def test_draws_a_panel_for_what_there_is(self):
        self.assertLen(FOUND.plot().axes, 4)
        few = dataclasses.replace(FOUND, curve=(), sharing={})
        titles = [ax.get_title() for ax in few.plot().axes]
        self.assertEqual(
            titles, ["performance", "removals that change nothing"]
        )


if __name__ == "__main__":
    absltest.main()

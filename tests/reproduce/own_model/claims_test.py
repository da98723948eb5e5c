import copy

import numpy as np
from absl.testing import absltest

from reproduce.own_model import claims


def soundness(whole, without):
    """Returns what `soundness.check` says, the rows that are shown."""
    names = {
        "the whole model": whole,
        "without the part": without,
        "without random parts": whole - 0.05,
    }
    rows = [
        {
            "what": what,
            "value": value,
            "low": value - 0.1,
            "high": value,
            "p": p,
        }
        for (what, value), p in zip(names.items(), (None, 0.02, None))
    ]
    told = {
        "verdict": "Sound: alone",
        "settings": {"name": "accuracy", "random_parts": 2},
    }
    return {"rows": rows, **told}


def record(seed=0):
    """Returns what is found of the classes 1 and 2; of 2 there is nothing."""
    own = {
        "layers": {"hidden": [3, 12], "out": [0, 4]},
        "warnings": ["too few steps"],
        "soundness": soundness(0.9, 0.3),
    }
    nothing = {"layers": {"hidden": [0, 12], "out": [0, 4]}, "soundness": None}
    return {
        "seed": seed,
        "model": "corners",
        "weights": {"1": own, "2": nothing},
        "units": {
            "hidden": {
                "measure": "covariance",
                "q": 0.25,
                "clusters": [0, 0, 1, -1],
                "similarity": None,
            }
        },
        "untrained_units": {},
    }


class FindingsTest(absltest.TestCase):
    def test_tables_have_a_row_a_finding_and_a_layer(self):
        verdicts, sound, sizes, units = claims.tables([record()])
        self.assertEqual(
            verdicts.rows, [("weights of class 1 alone", "Sound: alone")]
        )
        first, second = sound.rows
        self.assertEqual(first[0], "weights of class 1 alone")
        self.assertEqual(first[1], "90.0 % (80 to 90)")
        self.assertIn("30.0 % (20 to 30), p = 0.02", first)
        self.assertIn("not measured", first)
        self.assertEqual(second[:2], ("weights of class 2 alone", "no member"))
        self.assertEqual(
            sizes.rows[0][1:], ("3", "16", "18.8 %", "too few steps")
        )
        self.assertEqual(sizes.rows[1][1:], ("0", "16", "0.0 %", "none"))
        self.assertEqual(
            units.rows, [("hidden", "2 + 1", "1", "0.250", "not measured")]
        )

    def test_several_seeds_are_told_apart(self):
        _, sound, _, units = claims.tables([record(), record(seed=1)])
        self.assertLen(sound.rows, 4)
        self.assertEqual(sound.rows[2][0], "weights of class 1 alone, seed 1")
        self.assertEqual(units.rows[1][0], "hidden, seed 1")

    def test_a_question_without_an_answer_has_its_reason(self):
        one = copy.deepcopy(record())
        one["not_asked"] = [["weights of a class alone", "two classes"]]
        one["weights"]["2"] = {"refused": "no mask keeps 95 %"}
        one["weights"]["1"] |= {"soundness": None, "not_checked": "it can't"}
        one["units"] = one["untrained_units"] = {"refused": "no layer"}
        sound, sizes, unanswered = claims.tables([one])
        self.assertEqual(sound.rows[0][1], "not checked")
        self.assertLen(sizes.rows, 1)
        self.assertEqual(
            unanswered.rows,
            [
                ("weights of a class alone", "not asked", "two classes"),
                ("weights of class 1 alone", "not checked", "it can't"),
                ("weights of class 2 alone", "no answer", "no mask keeps 95 %"),
                ("units that act alike", "no answer", "no layer"),
            ],
        )
        self.assertEqual([*claims.draw([one])], ["weights_by_layer"])
        one["weights"] = {"all": {"refused": "no mask"}}
        self.assertEmpty(claims.draw([one]))

    def test_what_others_can_not_be_checked_on_has_its_reason(self):
        one = copy.deepcopy(record())
        one["weights"]["1"]["soundness"]["not_elsewhere"] = (
            "it explains nothing"
        )
        *_, unanswered = claims.tables([one])
        title = "weights of class 1 alone, other classes"
        self.assertEqual(
            unanswered.rows, [(title, "not checked", "it explains nothing")]
        )

    def test_the_rule_of_neurons_stands_under_their_sizes(self):
        one = copy.deepcopy(record())
        one["neurons"] = {"1": one["weights"]["1"] | {"against": "rest"}}
        titles = {table.title: table for table in claims.tables([one])}
        note = titles["How large are the findings?"].note
        self.assertIn("more active for it than for others", note)

    def test_what_was_not_asked_for_is_neither_a_table_nor_a_figure(self):
        one = {"seed": 0, "model": "corners"}
        self.assertEmpty(claims.tables([one]))
        self.assertEmpty(claims.draw([one]))
        self.assertEmpty([*claims.claims([one])])

    def test_a_class_without_a_part_is_in_no_figure_of_its_removal(self):
        one = record()
        drawn = claims.draw([one])
        self.assertEqual([*drawn], ["weights_by_layer", "weights_completeness"])
        (ax,) = drawn["weights_completeness"].axes
        heights = [round(bar.get_height(), 6) for bar in ax.patches]
        self.assertEqual(heights, [90, 30, 85])
        lines = [bars.errorbar.lines[2][0] for bars in ax.containers[1::2]]
        (low, high) = lines[0].get_segments()[0][:, 1]
        np.testing.assert_allclose((low, high), (80, 90))
        rows = one["weights"]["1"]["soundness"]["rows"]
        rows.append({**rows[1], "what": "elsewhere: without the part"})
        (ax,) = claims.draw([one])["weights_completeness"].axes
        heights = [round(bar.get_height(), 6) for bar in ax.patches]
        self.assertEqual(heights, [90, 30, 85, 30])  # beside the others
        empty = copy.deepcopy(record())
        empty["weights"]["1"]["soundness"] = None
        self.assertNotIn("weights_completeness", claims.draw([empty]))


if __name__ == "__main__":
    absltest.main()

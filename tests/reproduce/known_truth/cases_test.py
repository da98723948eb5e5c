import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from reproduce.known_truth import cases
from reproduce.known_truth.boolean_networks import build


def perfect(planted, output=0):
    """Returns scores, and a set, that tell the truth."""
    needed = planted.weights(output, "needed", "copy")
    return {p: flags.astype("float64") for p, flags in needed.items()}, needed


class ScoreTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(*cases.CASES)
    def test_the_truth_has_full_marks(self, name):
        planted = build(cases.CASES[name], seed=1)
        self.assertLen(planted.kinds, len(cases.CASES[name].outputs))
        found = cases.score(planted, *perfect(planted))
        self.assertEqual((found["auroc"], found["average_precision"]), (1, 1))
        self.assertEqual((found["precision"], found["recall"]), (1, 1))
        self.assertEqual({*found["false_positives"].values()}, {0.0})
        self.assertBetween(found["chance"], 0.02, 0.7)

    def test_the_opposite_has_none_and_random_scores_are_chance(self):
        planted = build(cases.CASES["simple"], seed=1)
        scores, kept = perfect(planted)
        found = cases.score(
            planted,
            {path: -value for path, value in scores.items()},
            {path: ~flags for path, flags in kept.items()},
        )
        self.assertEqual((found["auroc"], found["recall"]), (0, 0))
        self.assertEqual(found["false_positives"]["unread"], 1.0)
        rng = np.random.default_rng(0)
        areas = [
            cases.score(
                planted, {p: rng.random(v.shape) for p, v in scores.items()}
            )["auroc"]
            for _ in range(20)
        ]
        self.assertAllClose(np.mean(areas), 0.5, atol=0.05)

    def test_an_empty_set_has_no_precision(self):
        planted = build(cases.CASES["simple"], seed=1)
        scores, kept = perfect(planted)
        none = {path: np.zeros_like(flags) for path, flags in kept.items()}
        found = cases.score(planted, scores, none)
        self.assertIsNone(found["precision"])
        self.assertEqual(found["recall"], 0)

    def test_of_copies_either_will_do_unit_by_unit(self):
        planted = build(cases.CASES["copies"], seed=2)
        scores, _ = perfect(planted)
        kernel, thresholds, _, _ = planted.model.get_weights()
        (units,) = np.nonzero(scores["hidden/kernel"].any(axis=0))
        levels = np.round(-thresholds[units] / kernel[:, units].max(axis=0))
        # The first copy of every other unit, the second of the rest.
        for level in range(4):
            pair = units[levels == level]
            self.assertLen(pair, 2)
            gone = pair[level % 2]
            scores["hidden/kernel"][:, gone] = 0
            scores["output/kernel"][gone] = 0
        kept = {path: value > 0 for path, value in scores.items()}
        found = cases.score(planted, scores, kept)
        self.assertEqual((found["average_precision"], found["recall"]), (1, 1))

    def test_sharing_is_what_the_case_says(self):
        for name, share in (("0", 0.0), ("25", 0.25), ("100", 1.0)):
            planted = build(cases.CASES[f"shared_{name}"], seed=0)
            first, second = (
                planted.weights(i, "needed")["hidden/kernel"].any(axis=0)
                for i in (0, 1)
            )
            self.assertEqual(np.sum(first & second) / first.sum(), share)


if __name__ == "__main__":
    tf.test.main()

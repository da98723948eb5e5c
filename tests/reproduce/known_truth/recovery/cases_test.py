import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from reproduce.known_truth.networks.boolean import build
from reproduce.known_truth.recovery import cases


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

    def test_the_curve_is_the_best_precision_at_each_recall(self):
        planted = build(cases.CASES["simple"], seed=1)
        scores, kept = perfect(planted)
        self.assertEqual(cases.score(planted, scores)["curve"], [1.0] * 20)
        # One of the needed weights behind all others.
        place = np.argwhere(kept["hidden/kernel"])[0]
        scores["hidden/kernel"][tuple(place)] = -1
        found = cases.score(planted, scores)
        self.assertEqual(found["curve"][:-1], [1.0] * 19)
        self.assertAllClose(found["curve"][-1], found["chance"], atol=1e-3)

    def test_units_are_scored_as_weights_are(self):
        planted = build(cases.CASES["copies"], seed=1)
        (own,) = planted.units[0].values()
        scores = {"hidden": own + 0.0}
        found = cases.score_units(planted, scores, {"hidden": own})
        self.assertEqual((found["average_precision"], found["recall"]), (1, 1))
        found = cases.score_units(
            planted, {"hidden": 0.0 - own}, {"hidden": ~own}
        )
        self.assertEqual((found["auroc"], found["precision"]), (0, 0))

    def test_clusters_agree_with_modules_whatever_decoys_do(self):
        planted = build(cases.CASES["simple"], seed=1)
        modules = planted.modules["hidden"]
        self.assertEqual(np.sum(modules < 0), 5)
        clusters = np.where(modules < 0, np.arange(20), modules + 7)
        self.assertEqual(cases.agreement(planted, "hidden", clusters), 1.0)
        one = np.zeros(20, int)
        self.assertAllClose(cases.agreement(planted, "hidden", one), 0.0)
        alone = build(cases.CASES["shared_100"], seed=1)
        found = cases.agreement(alone, "hidden", alone.modules["hidden"])
        self.assertTrue(np.isnan(found))

    def test_every_case_has_a_title_and_the_last_network_is_kept(self):
        self.assertEqual([*cases.TITLES], [*cases.ALL])
        one = cases.network("simple", 1)
        self.assertIs(cases.network("simple", 1), one)
        self.assertIsNot(cases.network("simple", 2), one)


if __name__ == "__main__":
    tf.test.main()

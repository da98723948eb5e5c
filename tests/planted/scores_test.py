import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf import NeuronSelection, WeightMask
from modularity_tf.planted import (
    agreement,
    at_least,
    make_boolean,
    make_parities,
    parity,
    score,
)

NETWORKS = {
    "parities": make_parities(2, bits=4, unread=3, silent=2, pairs=1, seed=1),
    "copies": make_parities(2, bits=4, copies=True, unread=4, seed=2),
    "shared": make_boolean(
        [(0, parity(4)), (0, at_least(4, 2))], unread=9, seed=1
    ),
}


def perfect(planted):
    """Returns a mask that tells the truth, with scores that do."""
    needed = planted.weights(0, "needed", "copy")
    scores = {path: flags.astype("float64") for path, flags in needed.items()}
    return WeightMask(needed, {}, scores)


def as_mask(scores):
    """Returns the mask of the scores above 0."""
    values = {path: value > 0 for path, value in scores.items()}
    return WeightMask(values, {}, scores)


class ScoreTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(*NETWORKS)
    def test_the_truth_has_full_marks(self, name):
        planted = NETWORKS[name]
        found = score(perfect(planted), planted)
        self.assertEqual((found.auroc, found.average_precision), (1, 1))
        self.assertEqual((found.precision, found.recall), (1, 1))
        self.assertEqual({*found.false_positives.values()}, {0.0})
        self.assertBetween(found.chance, 0.02, 0.7)
        self.assertIn(
            "100.0% of what the task needs and nothing else", str(found)
        )

    def test_the_opposite_has_none_and_random_scores_are_chance(self):
        planted = NETWORKS["parities"]
        truth = perfect(planted)
        opposite = {path: -value for path, value in truth.scores.items()}
        found = score(WeightMask((~truth).values, {}, opposite), planted)
        self.assertEqual((found.auroc, found.recall), (0, 0))
        for kind in ("other", "unread", "silent", "pair", "absent"):
            self.assertEqual(found.false_positives[kind], 1.0)
        rng = np.random.default_rng(0)
        areas = [
            score(
                {p: rng.random(v.shape) for p, v in truth.scores.items()},
                planted,
            ).auroc
            for _ in range(40)
        ]
        # 95 and 20 scores: sd .07 each. One seed in 1e6 is off by five.
        self.assertAllClose(np.mean(areas), 0.5, atol=5 * 0.07 / 40**0.5)

    def test_a_ranking_keeps_nothing_and_a_set_ranks_nothing(self):
        planted = NETWORKS["parities"]
        truth = perfect(planted)
        ranking = score(truth.scores, planted)
        self.assertEqual(ranking.average_precision, 1)
        self.assertIsNone(ranking.recall)
        self.assertIsNone(ranking.false_positives)
        alone = score(WeightMask(truth.values), planted)
        self.assertEqual((alone.precision, alone.recall), (1, 1))
        self.assertIsNone(alone.average_precision)

    def test_an_empty_set_has_no_precision(self):
        planted = NETWORKS["parities"]
        found = score(perfect(planted) - perfect(planted), planted)
        self.assertIsNone(found.precision)
        self.assertEqual(found.recall, 0)
        self.assertIn("0.0% of what the task needs.", str(found))

    def test_one_more_weight_and_one_less(self):
        planted = NETWORKS["parities"]
        needed = planted.weights(0, "needed")
        values = {path: flags.copy() for path, flags in needed.items()}
        for kind, kept in (("needed", False), ("unread", True)):
            flags = planted.weights(0, kind)["hidden/kernel"]
            values["hidden/kernel"][tuple(np.argwhere(flags)[0])] = kept
        found = score(WeightMask(values), planted)
        self.assertAllClose((found.precision, found.recall), (19 / 20,) * 2)
        size = planted.weights(0, "unread")["hidden/kernel"].sum()
        self.assertAllClose(found.false_positives["unread"], 1 / size)

    def test_of_copies_either_will_do_unit_by_unit(self):
        planted = NETWORKS["copies"]
        scores = {p: v.copy() for p, v in perfect(planted).scores.items()}
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
        found = score(as_mask(scores), planted)
        self.assertEqual((found.average_precision, found.recall), (1, 1))
        # The same of a set without scores.
        found = score(WeightMask(as_mask(scores).values), planted)
        self.assertEqual((found.precision, found.recall), (1, 1))

    def test_of_copies_the_kept_one_counts_though_the_other_ranks_higher(self):
        planted = NETWORKS["copies"]
        scores = {p: v.copy() for p, v in perfect(planted).scores.items()}
        kept = {path: flags.copy() for path, flags in scores.items()}
        for first, second in planted.alternatives[0]:
            for path in scores:
                kept[path][first[path]] = 0
                scores[path][second[path]] = 0.9
        mask = WeightMask({p: v > 0 for p, v in kept.items()}, {}, scores)
        found = score(mask, planted)
        self.assertEqual((found.precision, found.recall), (1, 1))
        self.assertEqual(found.average_precision, 1)

    def test_the_curve_is_the_best_precision_at_each_recall(self):
        planted = NETWORKS["parities"]
        truth = perfect(planted)
        self.assertEqual(score(truth, planted).curve, (1.0,) * 20)
        # One of the needed weights behind all others.
        scores = {path: v.copy() for path, v in truth.scores.items()}
        place = np.argwhere(truth.values["hidden/kernel"])[0]
        scores["hidden/kernel"][tuple(place)] = -1
        found = score(scores, planted)
        self.assertEqual(found.curve[:-1], (1.0,) * 19)
        self.assertAllClose(found.curve[-1], found.chance, atol=1e-3)

    def test_units_are_scored_as_weights_are(self):
        planted = NETWORKS["parities"]
        own = planted.units[0]["hidden"]
        chosen = NeuronSelection({"hidden": own}, {}, {"hidden": own + 0.0})
        found = score(chosen, planted)
        self.assertEqual((found.average_precision, found.recall), (1, 1))
        self.assertIsNone(found.false_positives)
        found = score(
            NeuronSelection({"hidden": ~own}, {}, {"hidden": 0.0 - own}),
            planted,
        )
        self.assertEqual((found.auroc, found.precision), (0, 0))
        self.assertEqual(score({"hidden": own + 0.0}, planted).auroc, 1)
        self.assertEqual(score(planted.needed[0].units, planted).recall, 1)

    def test_where_all_units_are_needed_no_order_is_wrong(self):
        planted = make_parities(1, bits=3)
        found = score({"hidden": np.arange(3.0)}, planted)
        self.assertIsNone(found.auroc)
        self.assertEqual(found.average_precision, 1)

    def test_what_is_not_looked_at_does_not_count(self):
        planted = NETWORKS["parities"]
        more = {**planted.needed[0].weights.values, "else": np.ones(3, bool)}
        self.assertEqual(score(WeightMask(more), planted).precision, 1)

    @parameterized.named_parameters(
        ("nothing", {}, 0, "`finding` must be a WeightMask, a Neur"),
        ("text", "all", 0, "`finding` must be a WeightMask, a Neur"),
        ("task", {"hidden": np.zeros(5)}, 2, "`task` must be an int in"),
        ("lacks", {"output/kernel": np.zeros((9, 2))}, 0, "lacks 'hidden/ke"),
        ("nan", {"hidden": np.full(5, np.nan)}, 0, "must have finite scores"),
        (
            "shape",
            {"hidden/kernel": np.zeros(3), "output/kernel": np.zeros(2)},
            0,
            r"must have shape \(8, 15\) at 'hidden/kernel', got \(3,\)",
        ),
    )
    def test_refuses(self, finding, task, message):
        with self.assertRaisesRegex(ValueError, message):
            score(finding, NETWORKS["parities"], task=task)

    def test_refuses_a_finding_of_another_network(self):
        other = make_parities(
            2, bits=4, unread=3, silent=2, pairs=1, seed=2
        ).needed[0]
        for finding in (other.weights, other.units):
            with self.assertRaisesRegex(ValueError, "with other weights than"):
                score(finding, NETWORKS["parities"])

    def test_refuses_scores_of_a_mask_that_are_no_numbers(self):
        truth = perfect(NETWORKS["parities"])
        scores = {p: np.full(v.shape, np.inf) for p, v in truth.scores.items()}
        with self.assertRaisesRegex(ValueError, "must have finite scores"):
            score(WeightMask(truth.values, {}, scores), NETWORKS["parities"])

    def test_refuses_arguments_in_the_other_order(self):
        planted = NETWORKS["parities"]
        with self.assertRaisesRegex(ValueError, "`planted` must be a Planted"):
            score(planted, perfect(planted))


class AgreementTest(tf.test.TestCase):
    def test_clusters_agree_with_modules_whatever_decoys_do(self):
        planted = NETWORKS["parities"]
        modules = planted.modules["hidden"]
        self.assertEqual(np.sum(modules < 0), 7)
        clusters = np.where(modules < 0, np.arange(15), modules + 7)
        self.assertEqual(agreement(clusters, planted, "hidden"), 1.0)
        one = np.zeros(15, int)
        self.assertAllClose(agreement(one, planted, "hidden"), 0.0)
        alone = make_boolean([(0, parity(3)), (0, (1, 0, 1, 0))])
        found = agreement(alone.modules["hidden"], alone, "hidden")
        self.assertTrue(np.isnan(found))

    def test_refuses_a_layer_without_modules(self):
        with self.assertRaisesRegex(ValueError, "no known modules, got 'out"):
            agreement([0], NETWORKS["parities"], "output")

    def test_refuses_other_clusters(self):
        for clusters in ([0], np.zeros(16, int), None):
            with self.assertRaisesRegex(ValueError, r"of shape \(15,\), for"):
                agreement(clusters, NETWORKS["parities"], "hidden")


if __name__ == "__main__":
    tf.test.main()

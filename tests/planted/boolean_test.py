"""The truth about planted networks, by going through all inputs."""

import functools

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.planted.boolean import (
    at_least,
    between,
    make_boolean,
    make_few_rows,
    make_parities,
    make_rare_rule,
    parity,
)


def compiled(*outputs, **decoys):
    """Returns a function from the seed to a network."""
    return functools.partial(make_boolean, outputs, **decoys)


PLANS = {
    "brittle_and_robust": compiled(
        (0, parity(4)), (1, at_least(5, 3)), unread=2, silent=2
    ),
    "shared_in_part": compiled((0, parity(4)), (0, between(4, 2, 2)), unread=1),
    "shared_whole": compiled(
        (0, parity(3)), (0, tuple(1 - x for x in parity(3)))
    ),
    "pairs": compiled((0, parity(3)), (1, parity(4)), pairs=2, decoy_scale=0.5),
    "rare_rule": make_rare_rule,
    "few_rows": make_few_rows,
}


def answers(planted, weights):
    """Returns what a network with such kernels says, bool."""
    _, thresholds, _, starts = planted.model.get_weights()
    hidden = planted.inputs @ weights["hidden/kernel"] + thresholds
    return np.maximum(hidden, 0) @ weights["output/kernel"] + starts > 0


def kernels(planted):
    first, _, second, _ = planted.model.get_weights()
    return {"hidden/kernel": first, "output/kernel": second}


def only(planted, kept):
    """Returns the kernels with some weights alone."""
    return {p: np.where(kept[p], w, 0) for p, w in kernels(planted).items()}


class BuildTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(*PLANS)
    def test_the_network_is_right_on_all_inputs(self, name):
        planted = PLANS[name](seed=3)
        logits = planted.model(planted.inputs).numpy()
        self.assertAllEqual(logits > 0, planted.labels > 0.5)
        self.assertAllClose(np.min(abs(logits)), 4.0, atol=1e-3)
        self.assertBetween(planted.labels.mean(), 0.05, 0.95)

    @parameterized.parameters(*PLANS)
    def test_what_an_output_needs_is_sufficient_and_all_of_it_necessary(
        self, name
    ):
        planted = PLANS[name](seed=1)
        for i in range(len(planted.kinds)):
            needed = planted.weights(i, "needed")
            right = planted.labels[:, i] > 0.5
            alone = only(planted, needed)
            self.assertAllEqual(answers(planted, alone)[:, i], right)
            for path, flags in needed.items():
                for place in zip(*np.nonzero(flags), strict=True):
                    less = {p: w.copy() for p, w in alone.items()}
                    less[path][place] = 0
                    self.assertTrue(
                        np.any(answers(planted, less)[:, i] != right)
                    )

    @parameterized.parameters(*PLANS)
    def test_what_it_does_not_need_can_go_kind_by_kind(self, name):
        planted = PLANS[name](seed=2)
        for i in range(len(planted.kinds)):
            right = planted.labels[:, i] > 0.5
            for kind in ("other", "unread", "silent", "pair"):
                gone = planted.weights(i, kind)
                kept = {path: ~flags for path, flags in gone.items()}
                found = answers(planted, only(planted, kept))[:, i]
                self.assertAllEqual(found, right)

    def test_one_of_a_pair_alone_is_missed(self):
        planted = PLANS["pairs"](seed=0)
        pairs = planted.weights(0, "pair")["output/kernel"][:, 0]
        weights = kernels(planted)
        positive = weights["output/kernel"][:, 0] > 0
        weights["output/kernel"][pairs & positive, 0] = 0
        wrong = answers(planted, weights)[:, 0] != (planted.labels[:, 0] > 0.5)
        self.assertGreater(wrong.mean(), 0)

    def test_either_copy_will_do_and_one_must_stay(self):
        planted = make_boolean([(0, parity(3))], copies=True, seed=0)
        copies = planted.weights(0, "copy")
        self.assertFalse(
            any(v.any() for v in planted.weights(0, "needed").values())
        )
        right = planted.labels[:, 0] > 0.5
        # Units with one threshold, relative to their scale, are copies.
        kernel, thresholds, _, _ = planted.model.get_weights()
        steps = np.round(-thresholds / kernel.max(axis=0)).astype(int)
        for which in (0, 1):
            units = [np.flatnonzero(steps == j)[which] for j in range(3)]
            kept = {path: flags.copy() for path, flags in copies.items()}
            gone = ~np.isin(np.arange(len(steps)), units)
            kept["hidden/kernel"][:, gone] = False
            kept["output/kernel"][gone] = False
            # An answer without one copy is half as sure.
            weights = only(planted, kept)
            self.assertAllEqual(answers_at(planted, weights, -2.0)[:, 0], right)

    def test_the_share_of_two_outputs_is_that_of_the_plan(self):
        planted = PLANS["shared_in_part"](seed=0)
        first, second = (
            planted.weights(i, "needed")["hidden/kernel"].any(axis=0)
            for i in (0, 1)
        )
        # Parity of four bits reads four units, the window two of them.
        self.assertEqual((first.sum(), second.sum()), (4, 2))
        self.assertEqual(np.sum(first & second), 2)

    def test_the_seed_decides_what_hides_it(self):
        one, same, other = (PLANS["pairs"](seed=s) for s in (1, 1, 2))
        for a, b in zip(
            one.model.get_weights(), same.model.get_weights(), strict=True
        ):
            self.assertAllEqual(a, b)
        self.assertNotAllEqual(
            one.model.get_weights()[0], other.model.get_weights()[0]
        )

    def test_a_seed_of_none_is_random(self):
        for make in (make_rare_rule, make_few_rows, PLANS["pairs"]):
            one, other = (make(seed=None).model.get_weights() for _ in "ab")
            self.assertNotAllEqual(one[0], other[0])

    @parameterized.named_parameters(
        ("bits", ((0, parity(3)), (0, parity(4))), "as many bits, got 3 and 4"),
        ("values", ((0, (0, 2)),), "a function of values 0 and 1, got"),
        ("none", (), "`outputs` must be one pair or more"),
        ("constant", ((0, (1, 1, 1)),), "A function is constant"),
        ("too_many", ((0, parity(9)), (1, parity(9))), "18 bits are too many"),
        ("nothing", None, "`outputs` must be a list of pairs, got None"),
        ("numbers", [1, 2], "`outputs` must be pairs of a module, an int"),
        ("one_pair", (0, parity(3)), "`outputs` must be pairs of a module, an"),
        ("number", [(0, 3)], "`outputs` must be pairs of a module, an int"),
        ("place", [([0], parity(3))], "`outputs` must be pairs of a module"),
        ("three", [(0, parity(3), 1)], "`outputs` must be pairs of a module"),
    )
    def test_refuses(self, outputs, message):
        with self.assertRaisesRegex(ValueError, message):
            make_boolean(outputs)

    @parameterized.parameters(
        (lambda: parity(2.5), "`bits` must be a positive int, got 2.5"),
        (lambda: parity(-1), "`bits` must be a positive int, got -1"),
        (lambda: at_least(3, None), "`least` must be an int, got None"),
        (lambda: between("3", 1, 2), "`bits` must be a positive int"),
    )
    def test_refuses_what_is_no_count(self, call, message):
        with self.assertRaisesRegex(ValueError, message):
            call()

    @parameterized.parameters(
        {"decoy_scale": 1e5, "pairs": 4, "silent": 2}, {"logit": 1e39}
    )
    def test_refuses_a_network_that_does_not_answer_right(self, **settings):
        with self.assertRaisesRegex(ValueError, "Choose a smaller `decoy_sca"):
            make_parities(2, bits=4, **settings)


def answers_at(planted, weights, threshold):
    """As `answers`, of what lies above another threshold."""
    _, thresholds, _, starts = planted.model.get_weights()
    hidden = planted.inputs @ weights["hidden/kernel"] + thresholds
    logits = np.maximum(hidden, 0) @ weights["output/kernel"] + starts
    return logits > threshold


if __name__ == "__main__":
    tf.test.main()

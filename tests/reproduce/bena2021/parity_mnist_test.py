import itertools

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from scipy import linalg

from modularity_tf.structure import specialization
from reproduce.bena2021 import parity_mnist
from reproduce.data import images

_EVERY_PAIR = np.array([*itertools.product(range(10), repeat=2)])
_ALLOWED = _EVERY_PAIR[parity_mnist.is_allowed(_EVERY_PAIR)]


def _split(count=40):
    pixels = np.arange(count * 4) % 256
    return images.Split(
        pixels.astype("uint8").reshape(count, 2, 2, 1),
        (np.arange(count) % 10).astype("int32"),
    )


class ParityMnistTest(tf.test.TestCase, parameterized.TestCase):
    def test_the_target_has_the_parity_of_the_first_digit(self):
        targets = parity_mnist.target(_ALLOWED)
        self.assertAllEqual(targets % 2, _ALLOWED[:, 0] % 2)
        self.assertEqual(np.mean(targets % 2 == _ALLOWED[:, 1] % 2), 0.5)
        targets = parity_mnist.target(_ALLOWED, as_in_text=True)
        self.assertAllEqual(targets % 2, _ALLOWED[:, 1] % 2)
        pairs = parity_mnist.draw(_split(), 50, seed=0, as_in_text=True)
        self.assertAllEqual(pairs.targets % 2, pairs.digits[:, 1] % 2)

    def test_the_target_is_equation_1(self):
        for first, second in _EVERY_PAIR:
            parity = (first + second) % 2
            expected = parity * first + (1 - parity) * second
            self.assertEqual(parity_mnist.target([first, second]), expected)

    def test_equal_digits_and_successors_are_excluded(self):
        for first in range(10):
            allowed = parity_mnist.is_allowed([(first, d) for d in range(10)])
            excluded = np.flatnonzero(~allowed)
            self.assertCountEqual(excluded, [first, (first + 1) % 10])

    @parameterized.parameters(*parity_mnist.MODULI)
    def test_each_digit_is_the_target_of_half_the_pairs(self, modulus):
        targets = parity_mnist.target(_ALLOWED, modulus)
        self.assertEqual(np.mean(targets == _ALLOWED[:, 0]), 0.5)

    @parameterized.product(modulus=parity_mnist.MODULI, side=(0, 1))
    def test_the_decision_needs_the_residue_of_either_digit(
        self, modulus, side
    ):
        first = parity_mnist.target(_ALLOWED, modulus) == _ALLOWED[:, 0]
        decisions = {tuple(d): f for d, f in zip(_ALLOWED, first, strict=True)}
        told_apart = set()
        for one, other in itertools.product(decisions, repeat=2):
            same_partner = one[1 - side] == other[1 - side]
            if same_partner and decisions[one] != decisions[other]:
                told_apart.add((one[side] % modulus, other[side] % modulus))
        residues = itertools.permutations(range(modulus), 2)
        self.assertEqual(told_apart, set(residues))

    def test_ceilings_are_those_of_an_enumeration(self):
        allowed = _ALLOWED.tolist()
        for modulus in parity_mnist.MODULI:
            found = parity_mnist.ceilings(modulus)
            alone = told = residue = 0
            for a in range(10):
                others = [b for first, b in allowed if first == a]
                alone += 1  # any of the eight is as likely
                left = [b % modulus for b in others]
                told += len(set(left))  # one guess for each message
                residue += max(left.count(r) for r in left)
            self.assertAllClose(found["other_alone"], alone / 80)
            self.assertAllClose(found["other_told"], told / 80)
            self.assertAllClose(found["residue"], residue / 80)
            answers = parity_mnist.target(_ALLOWED, modulus)
            same = [
                x == y
                for known in _ALLOWED.T
                for a, x in zip(known, answers, strict=True)
                for b, y in zip(known, answers, strict=True)
                if a == b
            ]
            self.assertAllClose(found["misled"], np.mean(same))
        # Pairs of inputs of the same other digit, with codes 0 or 1 alike.
        same = [a == c for a, b in allowed for c, d in allowed if b == d]
        self.assertAllClose(
            found["correlation"], (1 - np.mean(same)) / (1 + np.mean(same))
        )

    def test_ceilings_of_the_papers_task(self):
        found = parity_mnist.ceilings()
        names = ("other_alone", "other_told", "residue")
        self.assertAllClose([found[n] for n in names], [1 / 8, 1 / 4, 1 / 2])
        names = ("alone", "told", "correlation")
        self.assertAllClose(
            [found[n] for n in names], [0.767, 0.583, 0.778], atol=1e-3
        )

    def test_uncorrelated_codes_reach_the_ceiling_of_correlations(self):
        pairs = np.repeat(_ALLOWED, 40, axis=0)
        # Rows of a Hadamard matrix without the first: no two correlate.
        codes = linalg.hadamard(16)[1:11].astype("float64")
        own, other = (
            specialization.mean_correlation(codes[pairs[:, 0]], pairs[:, k])
            for k in (0, 1)
        )
        self.assertAllClose(
            specialization.specialization(own, other),
            parity_mnist.ceilings()["correlation"],
            atol=0.01,
        )

    def test_pairs_are_allowed_and_carry_their_digits(self):
        split = _split()
        pairs = parity_mnist.draw(split, 500, seed=3, modulus=4)
        self.assertLen(pairs.rows, 500)
        self.assertTrue(parity_mnist.is_allowed(pairs.digits).all())
        self.assertAllEqual(pairs.digits, split.labels[pairs.rows])
        self.assertAllEqual(pairs.targets, parity_mnist.target(pairs.digits, 4))
        self.assertAllEqual(pairs.labels(), pairs.targets)
        for digit in (0, 1):
            self.assertAllEqual(pairs.labels(digit), pairs.digits[:, digit])

    def test_every_allowed_pair_of_digits_is_as_likely(self):
        n, false_fail_rate = 40_000, 1e-9  # Hoeffding, over the 80 pairs
        digits = parity_mnist.draw(_split(), n, seed=0).digits
        counts = np.bincount(digits @ (10, 1), minlength=100)
        shares = counts[_ALLOWED @ (10, 1)] / n
        bound = np.sqrt(np.log(2 * 80 / false_fail_rate) / (2 * n))
        self.assertLess(np.abs(shares - 1 / 80).max(), bound)

    def test_the_seed_decides(self):
        one, same = (parity_mnist.draw(_split(), 50, 7) for _ in range(2))
        self.assertAllEqual(one.rows, same.rows)
        other = parity_mnist.draw(_split(), 50, 8)
        self.assertNotAllEqual(one.rows, other.rows)

    def test_batches_hold_the_pairs_in_order(self):
        split = _split()
        pairs = parity_mnist.draw(split, 10, seed=1)
        inputs, labels = zip(*parity_mnist.batches(pairs, 4, subtask=1))
        for n in (0, 1):
            shown = [both[n] for both in inputs]
            self.assertEqual([len(x) for x in shown], [4, 4, 2])
            self.assertAllEqual(
                np.concatenate(shown), split.images[pairs.rows[:, n]]
            )
        self.assertAllEqual(np.concatenate(labels), pairs.digits[:, 1])

    def test_batches_start_and_stop_anywhere(self):
        pairs = parity_mnist.draw(_split(), 10, seed=1)
        (third,) = parity_mnist.batches(pairs, 4, None, 2, 3)
        self.assertAllEqual(third[1], pairs.targets[8:])
        self.assertEmpty([*parity_mnist.batches(pairs, 4, None, 1, 1)])

    @parameterized.named_parameters(
        ("count", lambda s: parity_mnist.draw(s, 0, 0), "`count`"),
        ("seed", lambda s: parity_mnist.draw(s, 1, -1), "`seed`"),
        ("modulus", lambda s: parity_mnist.draw(s, 1, 0, 3), "`modulus`"),
        (
            "digits",
            lambda s: parity_mnist.draw(s.only([3]), 1, 0),
            "`split` .* allowed",
        ),
        (
            "subtask",
            lambda s: parity_mnist.draw(s, 1, 0).labels(2),
            "`subtask`",
        ),
        (
            "batch_size",
            lambda s: parity_mnist.batches(parity_mnist.draw(s, 1, 0), 0),
            "`batch_size`",
        ),
        (
            "start",
            lambda s: parity_mnist.batches(
                parity_mnist.draw(s, 1, 0), 1, start=-1
            ),
            "`start`",
        ),
        (
            "stop",
            lambda s: parity_mnist.batches(
                parity_mnist.draw(s, 1, 0), 1, stop=2
            ),
            "`stop`",
        ),
    )
    def test_refuses(self, call, message):
        with self.assertRaisesRegex(ValueError, message):
            call(_split())


if __name__ == "__main__":
    tf.test.main()

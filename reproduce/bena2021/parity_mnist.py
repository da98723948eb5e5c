"""Pairs of digits whose parities decide which of the two is the answer."""

import itertools
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from modularity_tf import checks

MODULI = (2, 4, 8, 10)
_EXCLUDED = (0, 1)  # values of (D1 - D0) mod 10


class Pairs(NamedTuple):
    """Pairs of images out of one split.

    Attributes:
        images: uint8 array of shape `(images, height, width, 1)`, 0 to 255.
        rows: int32 array of shape `(pairs, 2)`: which two images.
        digits: int32 array of shape `(pairs, 2)`: D0 and D1.
        targets: int32 array of shape `(pairs,)`: the digit to return.
    """

    images: np.ndarray
    rows: np.ndarray
    digits: np.ndarray
    targets: np.ndarray

    def labels(self, subtask=None):
        """Returns the digit to return in the whole task or in a sub-task.

        Args:
            subtask: 0 or 1 for the digit D0 or D1 (equation 2), or `None` for
                the whole task.

        Returns:
            int32 array of shape `(pairs,)`.

        Raises:
            ValueError: If `subtask` is none of the three.
        """
        if subtask not in (None, 0, 1):
            raise ValueError(
                f"`subtask` must be 0, 1 or None, got {subtask!r}."
            )
        return self.targets if subtask is None else self.digits[:, subtask]


def target(digits, modulus=2, as_in_text=False):
    """Returns the digit to return: D0 if (D0 + D1) mod m >= m / 2, else D1.

    With m = 2 this is equation 1 of the paper: P = (D0 + D1) mod 2 and the
    target is P D0 + (1 - P) D1. The text of section 2.1 says the opposite,
    digit 0 if the parities agree; the equation is followed, as in the authors'
    code. The target then always has the parity of D0, and by the text that of
    D1: the two modules' tasks are not the same.

    A larger m asks for more communication: any two digits that differ mod m
    call for different decisions beside some digit of the other side, so
    whoever decides must be told the other digit's residue mod m, one of m
    messages: log2(m) bits, 1 in the paper. For each m in `MODULI`, either
    digit is the target of half the allowed pairs of digits.

    Args:
        digits: Int array of shape `(..., 2)`, 0 to 9: D0 and D1.
        modulus: One of `MODULI`, m.
        as_in_text: Bool. Whether the other digit is the target.

    Returns:
        int32 array of shape `(...)`.

    Raises:
        ValueError: If `modulus` is not one of `MODULI`.

    References:
        - [Bena & Goodman, 2021](https://arxiv.org/abs/2106.02626), equation
          1. Differs from the paper: m may exceed 2, as its discussion asks.
    """
    if modulus not in MODULI:
        raise ValueError(f"`modulus` must be in {MODULI}, got {modulus!r}.")
    digits = np.asarray(digits, "int32")
    first = digits.sum(axis=-1) % modulus >= modulus / 2
    return np.where(first != as_in_text, digits[..., 0], digits[..., 1])


def ceilings(modulus=2, accuracy=0.95):
    """Returns what the measures of a perfectly specialized module come to.

    A module that knows its own digit alone can still tell something of the
    other's, because pairs are excluded: it is one of eight. Told the residue
    mod m that the task needs, it can tell more. So (own - other) / (own +
    other) can't come near 1. Enumerates the allowed pairs of digits, which
    are equally likely.

    Args:
        modulus: One of `MODULI`, m.
        accuracy: Float, how well the module tells its own digit.

    Returns:
        Dict: "alone" and "told", the bottleneck measure's specialization of a
        module that knows its own digit, without and with the other's residue;
        "correlation", that of states that are one code for each digit, no
        two of them correlated (codes that anti-correlate could exceed it);
        "other_alone" and "other_told", how often these two modules tell the
        other's digit, "residue", how often the first tells its residue, and
        "misled", how often a module that answers all is right if it is told
        the other digit of another pair (both modules' mean).
    """
    pairs = np.array([*itertools.product(range(10), repeat=2)])
    pairs = pairs[is_allowed(pairs)]
    own, other = pairs.T
    residue = other % modulus
    alone = _best_guess(own, other)
    told = _best_guess(own * modulus + residue, other)
    # Of two inputs with the same other digit, how often the own one is alike.
    shared = (own[:, None] == own) & (other[:, None] == other)
    alike = float(shared.sum() / (other[:, None] == other).sum())
    chance = {"alone": alone, "told": told}
    return {
        **{k: (accuracy - v) / (accuracy + v) for k, v in chance.items()},
        "correlation": (1 - alike) / (1 + alike),
        "other_alone": alone,
        "other_told": told,
        "residue": _best_guess(own, residue),
        "misled": float(
            np.mean([_alike(d, target(pairs, modulus)) for d in (own, other)])
        ),
    }


def _alike(known, wanted):
    """Returns how often two draws have the same value, given what is known."""
    counts = _counts(known, wanted)
    shares = counts / counts.sum(axis=1, keepdims=True)
    return float((shares**2).sum(axis=1).mean())


def _best_guess(known, wanted):
    """Returns how often the likeliest value, given what is known, is right."""
    return float(_counts(known, wanted).max(axis=1).sum() / len(known))


def _counts(known, wanted):
    """Returns how often each value goes with each that is known."""
    counts = np.zeros((known.max() + 1, wanted.max() + 1), "int64")
    np.add.at(counts, (known, wanted), 1)
    return counts


def is_allowed(digits):
    """Returns whether (D1 - D0) mod 10 is neither 0 nor 1.

    Equal digits leave the target ambiguous; the other exclusion makes up for
    the parities that would agree less often.

    Args:
        digits: Int array of shape `(..., 2)`, 0 to 9: D0 and D1.

    Returns:
        Boolean array of shape `(...)`.

    References:
        - [Bena & Goodman, 2021](https://arxiv.org/abs/2106.02626), section
          2.1
    """
    digits = np.asarray(digits)
    return ~np.isin((digits[..., 1] - digits[..., 0]) % 10, _EXCLUDED)


def draw(split, count, seed, modulus=2, as_in_text=False):
    """Draws pairs of images, independently and with replacement.

    Args:
        split: `images.Split` of digits 0 to 9. Pairs out of two parts of one
            data set share no image.
        count: Positive int, number of pairs.
        seed: Int >= 0. Another seed gives other pairs.
        modulus: As in `target`.
        as_in_text: As in `target`.

    Returns:
        `Pairs`. All are allowed and in random order.

    Raises:
        ValueError: If an argument is out of range, or no two images of
            `split` make an allowed pair.
    """
    checks.integer("count", count, least=1)
    checks.integer("seed", seed)
    present = np.unique(split.labels)
    if not is_allowed(np.stack(np.meshgrid(present, present), -1)).any():
        raise ValueError(
            "`split` must have digits that make an allowed pair, got only "
            f"{present.tolist()}."
        )
    rng = np.random.default_rng(seed)
    rows = np.empty((0, 2), "int32")
    while len(rows) < count:
        drawn = rng.integers(len(split.labels), size=(count, 2), dtype="int32")
        rows = np.concatenate([rows, drawn[is_allowed(split.labels[drawn])]])
    rows = rows[:count]
    digits = split.labels[rows]
    targets = target(digits, modulus, as_in_text)
    return Pairs(split.images, rows, digits, targets)


def batches(pairs, batch_size, subtask=None, start=0, stop=None):
    """Returns the batches `start` to `stop` of pairs, in their random order.

    Args:
        pairs: `Pairs`.
        batch_size: Positive int; the last batch may have fewer pairs.
        subtask: As in `Pairs.labels`.
        start: Int >= 0, the first batch.
        stop: Int >= `start`, one past the last batch, or `None` for the end.

    Returns:
        `tf.data.Dataset` of `((images0, images1), labels)`: float32 of shape
        `(batch, height, width, 1)`, 0 to 255, and int32 of shape `(batch,)`.

    Raises:
        ValueError: If an argument is out of range.
    """
    checks.integer("batch_size", batch_size, least=1)
    checks.integer("start", start)
    total = -(-len(pairs.rows) // batch_size)
    stop = total if stop is None else stop
    checks.integer("stop", stop, least=start, below=total + 1)
    with tf.device("CPU:0"):  # tf.data gathers there
        pixels = tf.constant(pairs.images)
        rows = tf.constant(pairs.rows)
        labels = tf.constant(pairs.labels(subtask))

    def batch(step):
        chosen = slice(step * batch_size, (step + 1) * batch_size)
        inputs = tf.cast(tf.gather(pixels, rows[chosen]), tf.float32)
        return (inputs[:, 0], inputs[:, 1]), labels[chosen]

    steps = tf.data.Dataset.range(start, stop)
    return steps.map(batch, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

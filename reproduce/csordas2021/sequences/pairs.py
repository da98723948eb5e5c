"""Pairs of token sequences: arrays, and random batches to train with.

An end token closes every sequence, and a decoder starts from the same token.
Sequences of a batch are padded to its longest.

References:
    - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), C.6
"""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

END = 0  # the last token of a sequence, and what a decoder starts from
PAD = -1  # after the end
OWN = -2  # in place of a previous token: what the decoder said itself


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Tokens and their numbers; 0 is the end token.

    Attributes:
        tokens: Tuple of distinct strs; the first has number 1.
    """

    tokens: tuple

    def __len__(self):
        return len(self.tokens) + 1

    def encode(self, tokens):
        """Returns the numbers of an iterable of tokens, the end token last.

        Raises:
            ValueError: If one is not in the vocabulary.
        """
        try:
            return [*map(self._numbers.__getitem__, tokens), END]
        except KeyError as error:
            raise ValueError(
                f"{error} is not one of the tokens {', '.join(self.tokens)}."
            ) from None

    @functools.cached_property
    def _numbers(self):
        return {token: i + 1 for i, token in enumerate(self.tokens)}

    def decode(self, numbers):
        """Returns the tokens before the first end token, a list."""
        found = []
        for number in numbers:
            if number in (END, PAD):
                break
            found.append(self.tokens[number - 1])
        return found


@dataclasses.dataclass(frozen=True)
class Sequences:
    """Sequences to read and those to answer, padded.

    Attributes:
        source: Int8 array of shape `(examples, longest source)`.
        target: Int8 array of shape `(examples, longest target)`.
    """

    source: np.ndarray
    target: np.ndarray

    def __len__(self):
        return len(self.target)

    def first(self, count):
        """Returns the first examples."""
        return Sequences(self.source[:count], self.target[:count])

    def by_length(self):
        """Returns the examples in the order of their lengths."""
        lengths = [
            (part != PAD).sum(axis=1) for part in (self.source, self.target)
        ]
        order = np.lexsort(lengths)
        return Sequences(self.source[order], self.target[order])


def joined(parts):
    """Returns the examples of several `Sequences`, one after the other."""
    columns = []
    for name in ("source", "target"):
        arrays = [getattr(part, name) for part in parts]
        longest = max(array.shape[1] for array in arrays)
        columns.append(
            np.concatenate(
                [
                    np.pad(
                        array,
                        ((0, 0), (0, longest - array.shape[1])),
                        constant_values=PAD,
                    )
                    for array in arrays
                ]
            )
        )
    return Sequences(*columns)


def encode(pairs, source, target, positions=None):
    """Returns pairs of token sequences as arrays.

    Args:
        pairs: List of pairs of iterables of tokens; one at least.
        source: `Vocabulary` of the first of each pair.
        target: `Vocabulary` of the second.
        positions: Int, the longest sequence that a network can take, end
            token included; `None` for any.

    Returns:
        `Sequences`.

    Raises:
        ValueError: If a sequence is longer, or has an unknown token.
    """
    parts = []
    for vocabulary, sequences in zip((source, target), zip(*pairs)):
        if len(vocabulary) > 127:
            raise ValueError(
                f"A vocabulary has 126 tokens at most, got {len(vocabulary)}."
            )
        numbers = [vocabulary.encode(tokens) for tokens in sequences]
        lengths = [len(one) for one in numbers]
        longest = max(lengths)
        if positions is not None and longest > positions:
            worst = list(sequences[lengths.index(longest)])
            raise ValueError(
                f"A sequence of {longest} tokens with its end is longer than "
                f"the network's {positions} positions: {worst[0]} "
                f"{worst[1]} ..."
            )
        padded = np.full((len(numbers), longest), PAD, "int8")
        for row, one in zip(padded, numbers):
            row[: len(one)] = one
        parts.append(padded)
    return Sequences(*parts)


def inputs(source, target, is_forced=True):
    """Returns what the networks take, and what they are to answer.

    Args:
        source: Int array or tensor `(batch, source length)`.
        target: Int array or tensor `(batch, target length)`.
        is_forced: Bool or scalar tensor. Whether the decoder sees the right
            tokens before each one (teacher forcing), or `OWN`.

    Returns:
        Dict of int32 tensors "source" and "previous", and the labels.
    """
    source, target = (tf.cast(part, tf.int32) for part in (source, target))
    start = tf.fill((tf.shape(target)[0], 1), END)
    seen = tf.where(is_forced, target[:, :-1], OWN)
    previous = tf.concat([start, seen], axis=1)
    return {"source": source, "previous": previous}, target


def batches(
    sequences, batch_size, seed, start=0, stop=None, teacher_forcing=1.0
):
    """Returns the batches `start` to `stop` of an endless random stream.

    Batch `s` is a pure function of `(seed, s)`. Its rows are drawn with
    replacement and lie in random order, so that every part of a batch, and
    with it every mask sample, sees all lengths. It is as long as its longest
    sequence.

    Args:
        sequences: `Sequences`.
        batch_size: Positive int.
        seed: Int in [0, 2**31).
        start: Int >= 0, the first batch.
        stop: Int >= `start`, one past the last batch, or `None` for no end.
        teacher_forcing: Float in [0, 1], the share of batches whose decoder
            sees the right tokens, not its own.

    Returns:
        `tf.data.Dataset` of what `inputs` returns.
    """
    with tf.device("CPU:0"):  # tf.data gathers there
        parts = [tf.constant(p) for p in (sequences.source, sequences.target)]

    def batch(step):
        key = tf.constant(seed, tf.int64)
        rows = tf.random.stateless_uniform(
            (batch_size,), (key, 2 * step), 0, len(sequences), tf.int32
        )
        coin = tf.random.stateless_uniform((), (key, 2 * step + 1))
        trimmed = (_trimmed(tf.gather(part, rows)) for part in parts)
        return inputs(*trimmed, coin < teacher_forcing)

    steps = tf.data.Dataset.counter(start)
    if stop is not None:
        steps = steps.take(stop - start)
    return steps.map(batch, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def in_order(sequences, batch_size):
    """Yields `inputs` of all examples once, in order, with teacher forcing."""
    for first in range(0, len(sequences), batch_size):
        rows = slice(first, first + batch_size)
        yield inputs(
            *(
                _trimmed(tf.constant(part[rows]))
                for part in (sequences.source, sequences.target)
            )
        )


def _trimmed(tokens):
    """Returns a batch without the columns that are padding in every row."""
    used = tf.reduce_any(tokens != PAD, axis=0)
    return tokens[:, : tf.reduce_sum(tf.cast(used, tf.int32))]

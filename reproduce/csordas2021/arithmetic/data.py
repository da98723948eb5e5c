"""Arithmetic on decimal digits: one network, several functions.

`AddMul` adds or multiplies two numbers modulo 10 ** digits on shared inputs
and outputs; `DoubleAdd` adds two pairs of numbers on separate ones. Both yield
what a Keras model takes: one-hot inputs, and as labels one digit for each
output, -1 where no answer is asked.

References:
    - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), sections 3.1
      and 3.2, C.3 and C.4
"""

import dataclasses

import numpy as np
import tensorflow as tf

FULL = "full"  # the mask of all tasks: the control

NOT_ASKED = -1
FNN_PRESENTATIONS, LSTM_PRESENTATIONS = ("passes",), ("together", "in_turn")
PRESENTATIONS = FNN_PRESENTATIONS + LSTM_PRESENTATIONS


def operand_pairs(digits, held_out_fraction=0.0, seed=0):
    """Returns all pairs of operands, in two parts.

    The paper draws training and test examples from the same pairs; holding
    some out shows whether a network generalizes.

    Args:
        digits: Positive int, decimal digits of a number.
        held_out_fraction: Float in [0, 1), rounded to whole pairs.
        seed: Int. Which pairs are held out.

    Returns:
        Int arrays of shape `(pairs, 2)`, to train on and held out; 10 ** (2
        * digits) together.

    Raises:
        ValueError: If an argument is out of its range.
    """
    if not isinstance(digits, int) or not 1 <= digits <= 3:
        raise ValueError(f"`digits` must be 1, 2 or 3, got {digits!r}.")
    if not 0 <= held_out_fraction < 1:
        raise ValueError(
            f"`held_out_fraction` must be in [0, 1), got {held_out_fraction!r}."
        )
    numbers = np.arange(10**digits, dtype="int32")
    pairs = np.stack(np.meshgrid(numbers, numbers, indexing="ij"), axis=-1)
    pairs = pairs.reshape(-1, 2)
    order = np.random.default_rng(seed).permutation(len(pairs))
    held_out = order[: round(held_out_fraction * len(pairs))]
    return np.delete(pairs, held_out, axis=0), pairs[np.sort(held_out)]


def to_digits(numbers, digits):
    """Returns the decimal digits, most significant first.

    Args:
        numbers: Int array or tensor of any shape, in [0, 10 ** digits).
        digits: Positive int.

    Returns:
        Int32 tensor of shape `(*numbers.shape, digits)`.
    """
    powers = tf.constant([10**i for i in reversed(range(digits))], tf.int32)
    return tf.cast(numbers, tf.int32)[..., None] // powers % 10


@dataclasses.dataclass(frozen=True)
class AddMul:
    """Adds or multiplies two numbers; a one-hot input says which.

    Inputs of shape `(batch, 20 * digits + 2)`, labels `(batch, digits)`.

    Attributes:
        digits: Positive int.
        pairs: Int array of shape `(pairs, 2)`, the operands to draw from.
    """

    digits: int
    pairs: np.ndarray

    tasks = ("add", "mul")

    def examples(self, pairs, asked):
        """Returns inputs and labels.

        Args:
            pairs: Int array or tensor of shape `(batch, 2)`.
            asked: Int or ints of shape `(batch,)`, indices into `tasks`.
        """
        asked = tf.broadcast_to(tf.cast(asked, tf.int32), tf.shape(pairs)[:1])
        inputs = tf.concat(
            [_one_hot(pairs, self.digits), tf.one_hot(asked, 2)], axis=-1
        )
        sums, products = self.results(pairs)
        answer = tf.where(asked == 0, sums, products)
        return inputs, to_digits(answer, self.digits)

    def results(self, pairs):
        """Returns sums and products modulo 10 ** digits."""
        a, b = tf.unstack(tf.cast(pairs, tf.int32), axis=-1)
        base = 10**self.digits
        return (a + b) % base, (a * b) % base

    def draw(self, size, seed, task=None):
        """Returns `size` random examples of one task, of both by default."""
        pairs = _draw(self.pairs, size, seed)
        asked = _uniform(size, seed + 1, 2)
        if task is not None:
            asked = self.tasks.index(task)
        return self.examples(pairs, asked)

    def every(self, task, pairs=None):
        """Returns the example of every pair, inputs and labels as arrays."""
        pairs = self.pairs if pairs is None else pairs
        inputs, labels = self.examples(pairs, self.tasks.index(task))
        return inputs.numpy(), labels.numpy()


@dataclasses.dataclass(frozen=True)
class DoubleAdd:
    """Adds two pairs of numbers on separate inputs and outputs.

    Labels have the shape `(batch, 2 * digits)`. The inputs depend on the
    presentation, with 40 * digits features:

    - "passes", for feedforward networks: `(batch, features)`, one pair in each
      row, the other is zero and not asked for. Each tuple makes two rows, so
      that a batch of the full task has twice as many.
    - "together", for recurrent ones: `(batch, 1, features)`, both pairs.
    - "in_turn": `(batch, 2, features)`, first pair 1 alone, then pair 2.

    A batch for one task asks for that pair alone, and the other is zero, so
    that its input weights are of no use. Scoring shows both pairs.

    Attributes:
        digits: Positive int.
        pairs: Int array of shape `(pairs, 2)`, the operands to draw from.
        presentation: One of `PRESENTATIONS`.
    """

    digits: int
    pairs: np.ndarray
    presentation: str

    tasks = ("pair1", "pair2")

    def __post_init__(self):
        if self.presentation not in PRESENTATIONS:
            raise ValueError(
                f"`presentation` must be one of {PRESENTATIONS}, got "
                f"{self.presentation!r}."
            )

    def examples(self, first, second, tasks=tasks, others_zero=False):
        """Returns inputs and labels.

        Args:
            first: Int array or tensor of shape `(batch, 2)`, the first pair.
            second: The same for the second pair.
            tasks: Which answers are asked for.
            others_zero: Bool. Show no pair that is not asked for.
        """
        asked = [task in tasks for task in self.tasks]
        codes, answers = [], []
        for pair, ask in zip((first, second), asked, strict=True):
            shown = float(ask or not others_zero)
            codes.append(shown * _one_hot(pair, self.digits))
            total = tf.reduce_sum(tf.cast(pair, tf.int32), axis=-1)
            answers.append(to_digits(total % 10**self.digits, self.digits))
        zero, none = (
            tf.zeros_like(codes[0]),
            tf.fill(tf.shape(answers[0]), NOT_ASKED),
        )
        alone = (  # one pair, the other zero and not asked for
            (
                tf.concat([codes[0], zero], -1),
                tf.concat([answers[0], none], -1),
            ),
            (
                tf.concat([zero, codes[1]], -1),
                tf.concat([none, answers[1]], -1),
            ),
        )
        if self.presentation == "passes":
            chosen = [rows for rows, ask in zip(alone, asked) if ask]
            # The rows of a tuple side by side: any part of a batch has both.
            return tuple(
                tf.reshape(tf.stack(part, axis=1), (-1, part[0].shape[1]))
                for part in zip(*chosen)
            )
        labels = tf.concat(
            [
                answer if ask else none
                for answer, ask in zip(answers, asked, strict=True)
            ],
            axis=-1,
        )
        if self.presentation == "in_turn":
            return tf.stack([alone[0][0], alone[1][0]], axis=1), labels
        return tf.concat(codes, axis=-1)[:, None], labels

    def draw(self, size, seed, task=None):
        """Returns examples of `size` random tuples, both sums by default."""
        first = _draw(self.pairs, size, seed)
        second = _draw(self.pairs, size, seed + 1)
        tasks = (task,) if task else self.tasks
        return self.examples(first, second, tasks, others_zero=True)

    def every(self, task, pairs=None):
        """Returns an example of every pair, inputs and labels as arrays.

        The pair stands at the task's place, another one at the other.
        """
        pairs = self.pairs if pairs is None else pairs
        other = np.random.default_rng(0).permutation(pairs)
        tuples = (pairs, other) if task == "pair1" else (other, pairs)
        inputs, labels = self.examples(*tuples, (task,))
        return inputs.numpy(), labels.numpy()


def batches(problem, batch_size, seed, start=0, stop=None, task=None):
    """Returns the batches `start` to `stop` of an endless random stream.

    Batch `s` is a pure function of `(seed, s)`, so that a run that is resumed
    at step 500 gets with `start=500` what it would have got anyway.

    Args:
        problem: `AddMul` or `DoubleAdd`.
        batch_size: Positive int; tuples for `DoubleAdd`.
        seed: Int in [0, 2**31).
        start: Int >= 0, the first batch.
        stop: Int >= `start`, one past the last batch, or `None` for no end.
        task: Str or `None`. The one task to ask for.

    Returns:
        `tf.data.Dataset` of `(inputs, labels)`.

    Raises:
        ValueError: If there is no such task.
    """
    if task is not None and task not in problem.tasks:
        raise ValueError(f"`task` must be of {problem.tasks}, got {task!r}.")
    steps = tf.data.Dataset.counter(start)
    if stop is not None:
        steps = steps.take(stop - start)
    return steps.map(
        lambda step: problem.draw(
            batch_size, tf.stack([tf.constant(seed, tf.int64), 2 * step]), task
        ),
        tf.data.AUTOTUNE,
    ).prefetch(tf.data.AUTOTUNE)


def _uniform(size, seed, limit):
    return tf.random.stateless_uniform((size,), seed, 0, limit, tf.int32)


def _draw(pairs, size, seed):
    return tf.gather(tf.constant(pairs), _uniform(size, seed, len(pairs)))


def _one_hot(numbers, digits):
    """Returns 10 numbers a digit: `(batch, numbers)` to `(batch, features)`."""
    code = tf.one_hot(to_digits(numbers, digits), 10)
    return tf.reshape(code, (-1, numbers.shape[1] * digits * 10))

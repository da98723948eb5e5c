import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from reproduce.csordas2021.arithmetic import data

NOT_ASKED = data.NOT_ASKED


def decode(one_hot, digits):
    """Returns the numbers that rows of one-hot digits stand for."""
    code = np.asarray(one_hot).reshape(len(one_hot), -1, digits, 10)
    assert set(np.unique(code.sum(-1))) <= {0.0, 1.0}
    return code.argmax(-1) @ 10 ** np.arange(digits)[::-1]


def value(digits):
    digits = np.asarray(digits)
    return digits @ 10 ** np.arange(digits.shape[1])[::-1]


class OperandPairsTest(parameterized.TestCase, tf.test.TestCase):
    def test_every_pair_is_there_once(self):
        train, held_out = data.operand_pairs(1)
        self.assertLen(np.unique(train, axis=0), 100)
        self.assertEmpty(held_out)

    def test_held_out_pairs_are_no_training_pairs(self):
        train, held_out = data.operand_pairs(2, 0.3, seed=1)
        self.assertLen(held_out, 3000)
        both = np.concatenate([train, held_out])
        self.assertLen(np.unique(both, axis=0), 10_000)
        _, others = data.operand_pairs(2, 0.3, seed=2)
        self.assertNotAllEqual(held_out, others)

    @parameterized.parameters((0, 0.0, "digits"), (2, 1.0, "held_out"))
    def test_refuses(self, digits, fraction, message):
        with self.assertRaisesRegex(ValueError, message):
            data.operand_pairs(digits, fraction)


class AddMulTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(1, 2)
    def test_every_example_matches_numpy(self, digits):
        problem = data.AddMul(digits, data.operand_pairs(digits)[0])
        base = 10**digits
        for i, (task, operation) in enumerate(
            (("add", np.add), ("mul", np.multiply))
        ):
            inputs, labels = problem.every(task)
            self.assertEqual(inputs.shape, (base**2, 20 * digits + 2))
            numbers = decode(inputs[:, :-2], digits)
            self.assertAllEqual(numbers, problem.pairs)
            self.assertAllEqual(inputs[:, -2:].argmax(-1), np.full(base**2, i))
            expected = operation(numbers[:, 0], numbers[:, 1]) % base
            self.assertAllEqual(value(labels), expected)

    def test_a_batch_is_a_function_of_seed_and_step(self):
        problem = data.AddMul(2, data.operand_pairs(2)[0])
        whole = list(data.batches(problem, 5, 3, 0, 4))
        late = list(data.batches(problem, 5, 3, 2, 4))
        for one, other in zip(whole[2:], late, strict=True):
            self.assertAllEqual(one[0], other[0])
            self.assertAllEqual(one[1], other[1])
        self.assertNotAllEqual(whole[0][0], whole[1][0])
        (other,) = data.batches(problem, 5, 4, 0, 1)
        self.assertNotAllEqual(whole[0][0], other[0])

    def test_draws_are_uniform_over_pairs_and_operations(self):
        pairs = data.operand_pairs(1)[0]
        problem = data.AddMul(1, pairs)
        ((inputs, _),) = data.batches(problem, 40_000, 0, 0, 1)
        numbers = decode(inputs[:, :-2], 1)
        counts = np.bincount(
            20 * numbers[:, 0]
            + 2 * numbers[:, 1]
            + np.argmax(inputs[:, -2:], -1),
            minlength=200,
        )
        # 200 cells of 200: 7 standard deviations, below 1e-9 over all.
        self.assertAllInRange(counts, 100, 300)

    def test_a_batch_of_one_task_asks_for_nothing_else(self):
        problem = data.AddMul(2, data.operand_pairs(2)[0])
        for i, task in enumerate(problem.tasks):
            ((inputs, _),) = data.batches(problem, 50, 0, 0, 1, task)
            self.assertAllEqual(np.argmax(inputs[:, -2:], -1), np.full(50, i))
        with self.assertRaisesRegex(ValueError, "'div'"):
            data.batches(problem, 50, 0, task="div")

    def test_held_out_pairs_are_not_drawn(self):
        train, held_out = data.operand_pairs(1, 0.5)
        problem = data.AddMul(1, train)
        ((inputs, _),) = data.batches(problem, 2000, 0, 0, 1)
        drawn = {tuple(pair) for pair in decode(inputs[:, :-2], 1)}
        self.assertEmpty(drawn & {tuple(pair) for pair in held_out})


class DoubleAddTest(parameterized.TestCase, tf.test.TestCase):
    def problem(self, presentation, digits=2):
        pairs = data.operand_pairs(digits)[0]
        return data.DoubleAdd(digits, pairs, presentation)

    def test_together_shows_both_pairs_and_asks_for_both_sums(self):
        problem = self.problem("together")
        ((inputs, labels),) = data.batches(problem, 30, 0, 0, 1)
        self.assertEqual(inputs.shape, (30, 1, 80))
        self.assertEqual(labels.shape, (30, 4))
        numbers = decode(inputs[:, 0], 2)
        self.assertAllEqual(value(labels[:, :2]), numbers[:, :2].sum(1) % 100)
        self.assertAllEqual(value(labels[:, 2:]), numbers[:, 2:].sum(1) % 100)

    def test_in_turn_shows_the_pairs_one_after_the_other(self):
        ((together, labels),) = data.batches(
            self.problem("together"), 30, 0, 0, 1
        )
        ((inputs, same),) = data.batches(self.problem("in_turn"), 30, 0, 0, 1)
        self.assertEqual(inputs.shape, (30, 2, 80))
        self.assertAllEqual(inputs[:, 0, :40], together[:, 0, :40])
        self.assertAllEqual(inputs[:, 1, 40:], together[:, 0, 40:])
        self.assertAllEqual(inputs[:, 0, 40:], np.zeros((30, 40)))
        self.assertAllEqual(inputs[:, 1, :40], np.zeros((30, 40)))
        self.assertAllEqual(labels, same)

    def test_passes_make_two_rows_that_ask_for_one_pair_each(self):
        ((together, labels),) = data.batches(
            self.problem("together"), 30, 0, 0, 1
        )
        ((inputs, asked),) = data.batches(self.problem("passes"), 30, 0, 0, 1)
        self.assertEqual(inputs.shape, (60, 80))
        first, second = inputs[::2], inputs[1::2]
        self.assertAllEqual(first[:, :40], together[:, 0, :40])
        self.assertAllEqual(second[:, 40:], together[:, 0, 40:])
        self.assertEqual(np.sum(first[:, 40:]) + np.sum(second[:, :40]), 0)
        self.assertAllEqual(asked[::2, :2], labels[:, :2])
        self.assertAllEqual(asked[1::2, 2:], labels[:, 2:])
        nothing = np.full((30, 2), NOT_ASKED)
        self.assertAllEqual(asked[::2, 2:], nothing)
        self.assertAllEqual(asked[1::2, :2], nothing)

    @parameterized.parameters(*data.PRESENTATIONS)
    def test_one_task_asks_for_its_pair_alone(self, presentation):
        problem = self.problem(presentation, digits=1)
        for i, task in enumerate(problem.tasks):
            for inputs, labels in (
                problem.every(task),
                *data.batches(problem, 9, 0, 0, 1, task),
            ):
                own = np.asarray(inputs).reshape(len(inputs), -1, 2, 20)
                numbers = decode(own.sum(1)[:, i], 1)
                self.assertAllEqual(labels[:, i], numbers.sum(1) % 10)
                self.assertAllEqual(
                    labels[:, 1 - i], np.full(len(labels), NOT_ASKED)
                )

    @parameterized.parameters(*data.PRESENTATIONS)
    def test_masks_train_on_one_pair_and_are_scored_on_both(self, presentation):
        problem = self.problem(presentation, digits=1)
        for i, task in enumerate(problem.tasks):
            ((drawn, _),) = data.batches(problem, 9, 0, 0, 1, task)
            scored, _ = problem.every(task)
            for inputs, shown in ((drawn, 0), (scored, 1)):
                both = np.asarray(inputs).reshape(len(inputs), -1, 2, 20)
                other = both.sum(1)[:, 1 - i].sum(-1)
                shown = 0 if presentation == "passes" else 2 * shown
                self.assertAllEqual(other, np.full(len(other), shown))

    def test_scoring_covers_every_pair(self):
        for presentation in data.PRESENTATIONS:
            problem = self.problem(presentation, digits=1)
            for i, task in enumerate(problem.tasks):
                inputs, _ = problem.every(task)
                own = inputs.reshape(len(inputs), -1, 2, 20).sum(1)[:, i]
                self.assertAllEqual(decode(own, 1), problem.pairs)

    def test_refuses_an_unknown_presentation(self):
        with self.assertRaisesRegex(ValueError, "'twice'"):
            self.problem("twice")


if __name__ == "__main__":
    tf.test.main()

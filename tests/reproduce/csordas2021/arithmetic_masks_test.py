import numpy as np
import tensorflow as tf

from reproduce.csordas2021 import arithmetic_data, arithmetic_masks


class AllDigitsRightTest(tf.test.TestCase):
    def test_every_digit_that_is_asked_for_counts(self):
        labels = [[1, 2], [1, 2], [1, -1], [-1, 2]]
        answers = [[1, 2], [1, 3], [1, 9], [1, 3]]
        right = arithmetic_masks.all_digits_right(
            labels, tf.one_hot(answers, 10)
        )
        self.assertAllEqual(right, [1, 0, 1, 0])


class LossTest(tf.test.TestCase):
    def test_digits_that_are_not_asked_for_do_not_count(self):
        rng = np.random.default_rng(0)
        logits = rng.normal(size=(3, 2, 10)).astype("float32")
        labels = np.array([[1, -1], [4, -1], [7, -1]])
        loss = arithmetic_masks.loss()["loss"](labels, logits)
        log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        expected = -np.mean([log[i, 0, labels[i, 0]] for i in range(3)])
        self.assertAllClose(loss, expected, rtol=1e-5)


class AccuracyTest(tf.test.TestCase):
    def test_scores_the_pairs_that_are_given(self):
        problem = arithmetic_data.AddMul(1, arithmetic_data.operand_pairs(1)[0])

        def model(inputs):  # adds without a carry: right below 10, and mod 10
            total = np.argmax(inputs[:, :10], -1) + np.argmax(
                inputs[:, 10:20], -1
            )
            return tf.one_hot(np.where(total < 10, total, 0), 10)[:, None]

        right = np.mean([a + b <= 10 for a, b in problem.pairs])
        found = arithmetic_masks.accuracy(model, problem, "add")
        self.assertAllClose(found, right)
        few = np.array([[1, 2], [9, 9]], "int32")
        found = arithmetic_masks.accuracy(model, problem, "add", few)
        self.assertAllClose(found, 0.5)


class EdgesLessMiddleTest(tf.test.TestCase):
    def test_compares_first_and_last_layer_with_the_others(self):
        def record(*shares):
            entries = [{"share": share} for share in (*shares, 9.0)]
            layers = ["lstm1", "lstm1 recurrent", "lstm2", "output"]
            return {"layers": layers, "sharing": {"a": entries}}

        found = arithmetic_masks.edges_less_middle(
            [record(0.5, 0.1, 0.3, 0.7), record(0.1, 0.2, 0.2, 0.1)], ["a"]
        )
        self.assertAllClose(found, [0.4, -0.1])


class LayerNameTest(tf.test.TestCase):
    def test_tells_recurrent_kernels_apart(self):
        name = arithmetic_masks.layer_name
        self.assertEqual(name("hidden1/kernel"), "hidden1")
        self.assertEqual(
            name("lstm1/lstm_cell/recurrent_kernel"), "lstm1 recurrent"
        )
        self.assertEqual(name("lstm1/lstm_cell/kernel"), "lstm1")


if __name__ == "__main__":
    tf.test.main()

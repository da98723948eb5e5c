import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from reproduce.csordas2021.sequences import networks, pairs, scores
from reproduce.csordas2021.sequences.pairs import END, OWN, PAD


class SequenceLossTest(tf.test.TestCase):
    def test_is_summed_over_tokens_without_padding(self):
        rng = np.random.default_rng(0)
        logits = rng.normal(size=(2, 3, 4)).astype("float32")
        labels = np.array([[2, END, PAD], [1, 3, END]])
        log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        expected = [
            -sum(log[i, t, y] for t, y in enumerate(row) if y != PAD)
            for i, row in enumerate(labels)
        ]
        found = scores.sequence_loss(labels, logits)
        self.assertAllClose(found, expected, rtol=1e-5)


class WholeSequenceRightTest(tf.test.TestCase):
    def test_every_token_counts_but_padding(self):
        labels = [[1, END, PAD], [1, END, PAD], [1, 2, END], [1, 2, END]]
        said = [[1, END, 3], [1, 2, 3], [1, 2, END], [2, 2, END]]
        found = scores.whole_sequence_right(labels, tf.one_hot(said, 4))
        self.assertAllEqual(found, [1, 0, 1, 0])


class DecodeTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters("lstm", "transformer")
    def test_accuracy_is_that_of_greedy_decoding(self, kind):
        if kind == "lstm":
            network = networks.lstm(5, 4, 4, 8, 1, seed=1)
        else:
            network = networks.transformer(5, 4, 12, 8, 8, 2, 1, seed=1)
        weights = network.get_weights()
        network.set_weights([2 * w for w in weights])  # not all answers alike
        rng = np.random.default_rng(0)
        source = rng.integers(1, 5, (30, 6)).astype("int32")
        source[::2, 4:] = END, PAD
        steps = 7
        answers = scores.decode(network, source, steps, batch_size=20)
        self.assertEqual(answers.shape, (30, steps))
        # Each token is the likeliest one after those before it.
        inputs, _ = pairs.inputs(source, answers)
        said = np.argmax(network(inputs), axis=-1)
        ended = np.cumsum(answers == END, axis=1) - (answers == END) > 0
        self.assertAllEqual(answers, np.where(ended, PAD, said))
        self.assertTrue(np.any(ended))
        self.assertGreater(len(np.unique(answers, axis=0)), 3)
        # Two thirds of the targets are what the network says, the others not.
        target = answers.copy()
        target[::3, 0] = (target[::3, 0] + 1) % 4
        data = pairs.Sequences(source.astype("int8"), target.astype("int8"))
        found = scores.accuracy(network, data, batch_size=11)
        self.assertAlmostEqual(found, 2 / 3, places=5)
        if kind == "lstm":
            own = np.full((30, steps), OWN)
            own[:, 0] = END
            said = np.argmax(network({"source": source, "previous": own}), -1)
            kept = answers != PAD
            self.assertAllEqual(said[kept], answers[kept])

    def test_an_answer_may_be_as_long_as_the_positions(self):
        network = networks.transformer(5, 4, 3, 4, 4, 1, 1)
        answers = scores.decode(network, [[1, END]], steps=3)
        self.assertEqual(answers.shape, (1, 3))
        with self.assertRaisesRegex(Exception, "longer than the network's 3"):
            scores.decode(network, [[1, END]], steps=4)


if __name__ == "__main__":
    tf.test.main()

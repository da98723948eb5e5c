import json

import numpy as np
import tensorflow as tf

from reproduce.pretrained import chars2vec
from tests.reproduce.pretrained import tiny, write_outputs


def lstm(x, kernel, recurrent, bias):
    """Computes a Keras LSTM layer in NumPy, all steps."""
    h = c = np.zeros((len(x), recurrent.shape[0]))
    steps = []
    for step in range(x.shape[1]):
        gates = x[:, step] @ kernel + h @ recurrent + bias
        i, f, new, o = np.split(gates, 4, axis=1)
        i, f, o = (1 / (1 + np.exp(-g)) for g in (i, f, o))
        c = f * c + i * np.tanh(new)
        h = o * np.tanh(c)
        steps.append(h)
    return np.stack(steps, axis=1)


class Chars2VecTest(tf.test.TestCase):
    def test_computes_what_its_numpy_twin_does(self):
        weights = tiny.chars2vec_weights()
        words = chars2vec.encode(["to", "be", "1603"])
        expected = lstm(lstm(words, *weights["lstm_1"]), *weights["lstm_2"])
        found = chars2vec.build(weights)(words)
        self.assertAllClose(found, expected[:, -1], atol=1e-5)

    def test_a_word_ends_at_the_last_step(self):
        found = chars2vec.encode(["a\u00e9b", "x" * 20])
        self.assertEqual(found.shape, (2, 12, 59))
        a, b = (chars2vec.CHARACTERS.index(c) for c in "ab")
        self.assertEqual(np.argwhere(found[0]).tolist(), [[9, a], [11, b]])
        self.assertAllEqual(found[1].sum(axis=1), np.ones(12))

    def test_the_alphabet_is_that_of_the_package(self):
        self.assertLen(chars2vec.CHARACTERS, 59)
        self.assertEqual(chars2vec.CHARACTERS[15:25], "0123456789")
        self.assertEqual(chars2vec.CHARACTERS[31:35], "@_ab")

    def test_the_outputs_are_those_of_the_package(self):
        if not chars2vec.PACKAGE.path.is_file():
            self.skipTest(f"{chars2vec.PACKAGE.file} was not fetched")
        told = json.loads(write_outputs.FILE.read_text("utf-8"))["chars2vec"]
        found = chars2vec.load()(chars2vec.encode([*told]))
        self.assertAllClose(found[:, :10], [*told.values()], atol=1e-5)


if __name__ == "__main__":
    tf.test.main()

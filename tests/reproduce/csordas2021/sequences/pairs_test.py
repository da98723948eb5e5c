import collections

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from reproduce.csordas2021.sequences import pairs as sequences
from reproduce.csordas2021.sequences.pairs import END, OWN, PAD

WORDS = sequences.Vocabulary(("a", "b", "c"))


def ramp(count=200, longest=40):
    """Returns sequences of all lengths, which a row's first token tells."""
    source = np.full((count, longest), PAD, "int8")
    for i, row in enumerate(source):
        row[: i % longest] = 1
        row[i % longest] = END
    return sequences.Sequences(source, source[:, : longest // 2])


class VocabularyTest(tf.test.TestCase):
    def test_words_become_numbers_and_come_back(self):
        self.assertLen(WORDS, 4)
        self.assertEqual(WORDS.encode("cab"), [3, 1, 2, END])
        self.assertEqual(WORDS.decode([3, 1, END, 2, PAD]), ["c", "a"])
        self.assertEqual(WORDS.decode([2, PAD]), ["b"])

    def test_refuses_unknown_words(self):
        with self.assertRaisesRegex(ValueError, "'x' is not one of .* a, b, c"):
            WORDS.encode("ax")


class EncodeTest(tf.test.TestCase):
    def test_sequences_end_and_are_padded(self):
        found = sequences.encode([("ab", "c"), ("a", "abc")], WORDS, WORDS)
        self.assertAllEqual(found.source, [[1, 2, END], [1, END, PAD]])
        self.assertAllEqual(found.target, [[3, END, PAD, PAD], [1, 2, 3, END]])
        self.assertLen(found, 2)
        self.assertAllEqual(found.first(1).source, [[1, 2, END]])

    def test_joined_sequences_are_padded_to_the_longest(self):
        parts = [
            sequences.encode(pairs, WORDS, WORDS)
            for pairs in ([("a", "bc")], [("abc", "b")])
        ]
        found = sequences.joined(parts)
        self.assertAllEqual(found.source, [[1, END, PAD, PAD], [1, 2, 3, END]])
        self.assertAllEqual(found.target, [[2, 3, END], [2, END, PAD]])

    def test_refuses_sequences_beyond_the_positions(self):
        pairs = [("a", "a"), ("a", "cbab")]
        sequences.encode(pairs, WORDS, WORDS, positions=5)
        with self.assertRaisesRegex(
            ValueError,
            "of 5 tokens with its end is longer than the network's 4 "
            r"positions: c b \.\.\.",
        ):
            sequences.encode(pairs, WORDS, WORDS, positions=4)

    def test_refuses_more_tokens_than_are_stored(self):
        many = sequences.Vocabulary(tuple(map(str, range(127))))
        with self.assertRaisesRegex(ValueError, "126 tokens at most"):
            sequences.encode([("a", ["1"])], WORDS, many)


class InputsTest(tf.test.TestCase):
    def test_the_decoder_sees_the_tokens_before_or_its_own(self):
        source, target = [[1, END]], np.array([[3, 2, END, PAD]], "int8")
        inputs, labels = sequences.inputs(source, target)
        self.assertAllEqual(inputs["previous"], [[END, 3, 2, END]])
        self.assertAllEqual(labels, target)
        inputs, _ = sequences.inputs(source, target, is_forced=False)
        self.assertAllEqual(inputs["previous"], [[END, OWN, OWN, OWN]])
        self.assertAllEqual(inputs["source"], source)


class BatchesTest(parameterized.TestCase, tf.test.TestCase):
    def test_a_resumed_stream_goes_on_where_it_was(self):
        every = [*sequences.batches(ramp(), 8, 3, 0, 6, 0.5)]
        later = [*sequences.batches(ramp(), 8, 3, 4, 6, 0.5)]
        self.assertLen(later, 2)
        tf.nest.map_structure(self.assertAllEqual, every[4:], later)
        other = [*sequences.batches(ramp(), 8, 4, 4, 6, 0.5)]
        self.assertNotAllEqual(
            *(np.sum(one[0][1] != PAD, axis=1) for one in (other, later))
        )

    def test_every_part_of_a_batch_sees_all_lengths(self):
        data = ramp().by_length()
        ((inputs, _),) = sequences.batches(data, 256, 0, 0, 1)
        lengths = np.sum(inputs["source"] != PAD, axis=1)
        for part in np.split(lengths, 4):
            # 64 of 40 lengths: a quarter of them is missed by all with a
            # chance below 0.75 ** 64 = 1e-8.
            quarters = collections.Counter((part - 1) // 10)
            self.assertLen(quarters, 4)

    def test_a_batch_is_as_long_as_its_longest_sequence(self):
        for inputs, labels in sequences.batches(ramp(), 2, 0, 0, 20):
            for tokens in (inputs["source"], labels):
                is_used = np.any(tokens != PAD, axis=0)
                self.assertTrue(np.all(is_used))
            self.assertEqual(inputs["previous"].shape, labels.shape)

    @parameterized.parameters(0.0, 0.5, 1.0)
    def test_whole_batches_see_the_right_tokens_that_often(self, share):
        n, false_fail_rate = 400, 1e-9
        forced = 0
        data = sequences.encode([("abc", "abc")], WORDS, WORDS)
        for inputs, _ in sequences.batches(data, 2, 1, 0, n, share):
            own = np.sum(inputs["previous"] == OWN)
            self.assertIn(own, (0, 6))
            forced += own == 0
        bound = np.sqrt(np.log(2 / false_fail_rate) / (2 * n))
        self.assertAllClose(forced / n, share, atol=bound * share * 2)


class InOrderTest(tf.test.TestCase):
    def test_shows_every_example_once(self):
        shown = [*sequences.in_order(ramp(50), 20)]
        self.assertEqual([len(labels) for _, labels in shown], [20, 20, 10])
        lengths = np.concatenate(
            [np.sum(inputs["source"] != PAD, axis=1) for inputs, _ in shown]
        )
        self.assertAllEqual(lengths, np.arange(50) % 40 + 1)

    def test_similar_lengths_lie_side_by_side(self):
        found = ramp(50).by_length()
        lengths = np.sum(found.target != PAD, axis=1)
        self.assertAllEqual(lengths, np.sort(lengths))
        self.assertAllEqual(
            np.sort(np.sum(found.source != PAD, axis=1)),
            np.sort(np.arange(50) % 40 + 1),
        )


if __name__ == "__main__":
    tf.test.main()

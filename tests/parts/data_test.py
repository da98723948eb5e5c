import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.parts import data as data_of_users

ROWS = np.arange(12.0).reshape(4, 3)
LABELS = np.array([0, 1, 0, 1])


class TwoBatches(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return ROWS[2 * index :][:2], LABELS[2 * index :][:2]


class BatchesTest(parameterized.TestCase, tf.test.TestCase):
    def batches(self, data, **kwargs):
        return list(data_of_users.batches("data", data, **kwargs))

    @parameterized.named_parameters(
        ("arrays", [(ROWS, np.ones(4))]),
        ("a_list_of_labels", [[ROWS, [0, 1, 0, 1]]]),
        ("weights_too", [(ROWS, np.ones(4), np.ones(4))]),
        ("two_inputs", [((ROWS, ROWS[:, :2]), np.ones(4))]),
        ("named_inputs", [({"a": ROWS, "b": ROWS}, np.ones(4))]),
        ("sparse_inputs", [(tf.sparse.eye(4), np.ones(4))]),
        ("a_dataset", tf.data.Dataset.from_tensors((ROWS, np.ones(4)))),
    )
    def test_batches_are_inputs_with_labels(self, data):
        ((inputs, labels),) = self.batches(data)
        self.assertLen(labels, 4)
        self.assertIsNotNone(inputs)

    def test_weights_come_along_if_asked_for(self):
        weights = np.arange(4.0)
        for data in (
            (ROWS, LABELS, weights),
            [(ROWS, LABELS, weights)],
            [(ROWS, LABELS, None), (ROWS, LABELS)],
        ):
            self.assertEqual({len(b) for b in self.batches(data)}, {2})
        for data in ((ROWS, LABELS, weights), [(ROWS, LABELS, weights)]):
            ((*_, found),) = self.batches(data, with_weights=True)
            self.assertAllEqual(found, weights)
        for data in ((ROWS, LABELS, None), [(ROWS, LABELS, None)]):
            ((*pair,),) = self.batches(data, with_weights=True)
            self.assertLen(pair, 2)

    @parameterized.named_parameters(
        ("arrays", (ROWS, LABELS)),
        ("lists", (ROWS.tolist(), LABELS.tolist())),
        ("tensors", (tf.constant(ROWS), tf.constant(LABELS))),
        ("with_weights", (ROWS, LABELS, np.ones(4))),
        ("two_batches", ((ROWS[:3], LABELS[:3]), (ROWS[3:], LABELS[3:]))),
        ("keras_batches", TwoBatches()),
    )
    def test_all_rows_come_in_order(self, data):
        inputs, labels = zip(*self.batches(data, batch_size=3), strict=True)
        self.assertLen(inputs, 2)
        self.assertAllEqual(np.concatenate(inputs), ROWS)
        self.assertAllEqual(np.concatenate(labels), LABELS)

    def test_several_inputs_are_a_list_or_dict_of_arrays(self):
        first, last = self.batches(([ROWS, ROWS[:, :1]], LABELS), batch_size=3)
        self.assertAllEqual(first[0][1], ROWS[:3, :1])
        self.assertAllEqual(last[0][0], ROWS[3:])
        ((inputs, _),) = self.batches(({"a": ROWS, "b": LABELS}, LABELS))
        self.assertAllEqual(inputs["b"], LABELS)

    @parameterized.named_parameters(
        ("no_iterable", 3, "iterable of such batches, got 3"),
        ("inputs_alone", ROWS, r"a ndarray of shape \(3,\) in it"),
        ("a_list_of_two", [ROWS, LABELS], r"ndarray of shape \(4, 3\) in it"),
        ("no_labels", [(ROWS,)], "a tuple in it"),
        ("too_few_labels", [(ROWS, np.ones(3))], r"as many .* got \[4, 3\]"),
        ("too_few_in_all", (ROWS, np.ones(3)), r"as many .* got \[4, 3\]"),
        ("no_rows", (ROWS[:0], LABELS[:0]), r"one or more, got \[0, 0\]"),
        ("a_scalar", [(ROWS, 3.0)], r"got \[4, 0\]"),
        ("nothing", [], "no batch.* only once"),
    )
    def test_refuses(self, data, message):
        with self.assertRaisesRegex(ValueError, f"`data` .*{message}"):
            self.batches(data)

    def test_refuses_a_dataset_without_an_end(self):
        data = tf.data.Dataset.from_tensors((ROWS, LABELS)).repeat()
        with self.assertRaisesRegex(ValueError, "`data` is a dataset without"):
            self.batches(data)

    def test_refuses_a_generator_that_is_gone(self):
        data = iter([(ROWS, np.ones(4))])
        self.assertLen(self.batches(data), 1)
        with self.assertRaisesRegex(ValueError, "`data` .* only once"):
            self.batches(data)


class TrainingBatchesTest(tf.test.TestCase):
    def training(self, data, batch_size=128, smallest=1, seed=0):
        return data_of_users.training_batches(data, batch_size, smallest, seed)

    def test_batches_keep_their_weights_and_lose_what_is_too_small(self):
        weights = np.ones(4)
        batches = [
            (ROWS[:3], LABELS[:3], weights[:3]),
            (ROWS[:1], LABELS[:1], weights[:1]),
        ]
        with self.training(batches, smallest=2) as endless:
            for _ in range(2):
                rows = [len(part) for part in next(endless)]
                self.assertEqual(rows, [3, 3, 3])
        dataset = tf.data.Dataset.from_tensor_slices((ROWS, LABELS)).batch(3)
        with self.training(dataset, smallest=2) as endless:
            self.assertEqual([len(x) for x, _ in endless.take(2)], [3, 3])
        for data in (batches[1:], dataset.skip(1)):
            with (
                self.assertRaisesRegex(ValueError, "no batch of 2 rows"),
                self.training(data, smallest=2) as endless,
            ):
                next(iter(endless))


if __name__ == "__main__":
    tf.test.main()

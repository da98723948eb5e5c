import importlib
import itertools
import warnings

import keras
import numpy as np
import scipy.sparse
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.masking import find_weights, masked_model, weight_scores
from modularity_tf.network import batches, evaluation
from modularity_tf.neurons import statistics
from modularity_tf.units import similarity

ROWS = np.arange(12.0).reshape(4, 3)
LABELS = np.array([0, 1, 0, 1])


def training(data, batch_size=128, smallest=1, seed=0):
    return batches.training_batches(data, batch_size, smallest, seed)


class TwoBatches(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return ROWS[2 * index :][:2], LABELS[2 * index :][:2]


class BatchesTest(parameterized.TestCase, tf.test.TestCase):
    def batches(self, data, **kwargs):
        return list(batches.read("data", data, **kwargs))

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


class Halves(keras.utils.PyDataset):
    """Shows another half of its rows in each epoch, and notes what it does."""

    def __init__(self):
        super().__init__()
        self.half, self.seen = 0, []

    def __len__(self):
        return 2

    def __getitem__(self, index):
        self.seen.append(2 * self.half + index)
        return ROWS[self.seen[-1]][None], LABELS[self.seen[-1]][None]

    def on_epoch_begin(self):
        self.seen.append("begin")

    def on_epoch_end(self):
        self.half = 1 - self.half
        self.seen.append("end")


class WithoutEnd(keras.utils.PyDataset):
    @property
    def num_batches(self):
        return None

    def __getitem__(self, index):
        return ROWS + index, LABELS


class PyDatasetTest(parameterized.TestCase, tf.test.TestCase):
    def test_each_pass_is_an_epoch(self):
        data = Halves()
        for _ in range(2):
            self.assertLen([*batches.read("data", data)], 2)
        first, second = ["begin", 0, 1, "end"], ["begin", 2, 3, "end"]
        self.assertEqual(data.seen, first + second)

    def test_a_pass_that_is_left_early_ends(self):
        data = Halves()
        next(batches.read("data", data))
        self.assertEqual(data.seen, ["begin", 0, "end"])

    def test_trains_on_all_rows_and_ends_with_the_training(self):
        data = Halves()
        with training(data) as stream:
            rows = [next(stream)[0].numpy()[0, 0] for _ in range(5)]
        self.assertCountEqual(rows[:2], ROWS[:2, 0])
        self.assertCountEqual(rows[2:4], ROWS[2:, 0])
        self.assertEqual([data.seen.count(k) for k in ("begin", "end")], [3, 3])
        self.assertEmpty([*stream])

    def test_without_an_end_it_is_for_training_alone(self):
        class Unknown(WithoutEnd):
            num_batches = keras.utils.PyDataset.num_batches

        for data in (WithoutEnd(), Unknown()):
            with self.assertRaisesRegex(ValueError, "`data` is a dataset with"):
                next(batches.read("data", data))
            with training(data) as stream:
                found = [next(stream)[0].numpy()[0, 0] for _ in range(3)]
            self.assertEqual(found, [0, 1, 2])
            found = batches.read("data", data, must_end=False)
            self.assertLen([*itertools.islice(found, 3)], 3)

    def test_its_own_error_leaves_a_training(self):
        class Broken(TwoBatches):
            def __getitem__(self, index):
                if self.count > 5:
                    raise KeyError("no such file")
                self.count += 1
                return super().__getitem__(index)

        data = Broken()
        data.count = 0
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        with (
            self.assertRaisesRegex(KeyError, "no such file"),
            training(data) as stream,
        ):
            model.fit(stream, steps_per_epoch=9, shuffle=False, verbose=0)


A, B, C = ROWS[:, :2], ROWS, ROWS[:, :1]


class ArraysOrBatchesTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(
        ("one_array_of_labels", ((A, B), C), True),
        ("and_weights", ((A, B), C, np.ones(4)), True),
        ("named_labels", ((A, B), {"p": C, "q": C}), True),
        ("several_labels", ((A, B), (C, C)), True),
        ("several_weights", ((A, B), (C, C), (LABELS, LABELS)), True),
        ("lists", ([A, B], [C, C]), True),
        ("dicts", ({"a": A, "b": B}, {"p": C, "q": C}), True),
        ("numbers", (ROWS.tolist(), LABELS.tolist()), True),
        ("a_list", [(A, C), (A, C)], False),
        ("other_rows", ((A[:3], C[:3]), (A[3:], C[3:])), False),
        ("alike", ((A[:2], C[:2]), (A[2:], C[2:])), False),
        ("many", ((A, B), (C, C), (A, B), (C, C)), False),
        ("of_numbers", ((A.tolist(), [0] * 4), (A.tolist(), [1] * 4)), False),
        ("named_inputs", (({"a": A}, C), ({"a": A}, C)), False),
        ("one_batch", ((A, C),), False),
    )
    def test_shapes_tell(self, data, expected):
        self.assertEqual(batches.is_arrays(data), expected)

    @parameterized.named_parameters(
        ("one_input", 1, ((A, B), (A, B)), False),
        ("one_input_any_labels", 1, ((A, B), (B, A)), False),
        ("one_input_lists", 1, ([A, C], [A, C]), False),
        ("two_inputs", 2, ((A, C), (A, C)), True),
        ("two_inputs_other_rows", 2, ((A, B), (C[:3], C[:3])), True),
        ("batches_of_two", 2, (((A, B), C), ((A, B), C)), False),
        ("batches_of_dicts", 2, (({"a": A, "b": B}, C),) * 2, False),
    )
    def test_the_model_tells_before_that(self, count, data, expected):
        inputs = [keras.Input((2,)) for _ in range(count)]
        model = keras.Model(inputs, keras.layers.Add()([*inputs, *inputs]))
        self.assertEqual(batches.is_arrays(data, model), expected)
        if len(data[0][0]) == len(data[1][0]):
            found = [*batches.read("data", data, model=model)]
            self.assertLen(found, 1 if expected else 2)

    def test_checked_arrays_are_arrays_without_the_model(self):
        data = batches.checked_arrays("data", ((A, C), (A, C)))
        self.assertTrue(batches.is_arrays(data))


class FakeFrame:  # of pandas, which is no requirement
    iloc, shape = None, (4, 3)

    def to_numpy(self):
        return ROWS.astype(object)


class FakeSeries(FakeFrame):
    shape = (4,)

    def to_numpy(self):
        return LABELS


class FakeTorch:
    shape, cpu = ROWS.shape, lambda self: ROWS

    def detach(self):
        return self


class KindsOfArraysTest(parameterized.TestCase, tf.test.TestCase):
    """What `fit` takes as an array."""

    def checked(self, inputs, labels=LABELS):
        return batches.checked_arrays("data", (inputs, labels))[0]

    @parameterized.named_parameters(
        ("float64", ROWS, "float32"),
        ("float16", ROWS.astype("float16"), "float32"),
        ("bfloat16", tf.constant(ROWS, tf.bfloat16), "float32"),
        ("int64", ROWS.astype("int64"), "int64"),
        ("uint8", ROWS.astype("uint8"), "uint8"),
        ("bool", ROWS > 0, "bool"),
        ("numbers", ROWS.tolist(), "float32"),
        ("numbers_of_numpy", [[*row] for row in ROWS], "float32"),
        ("tensor", tf.constant(ROWS), "float32"),
        ("variable", tf.Variable(ROWS), "float32"),
        ("pandas", FakeFrame(), "float32"),
        ("torch", FakeTorch(), "float32"),
    )
    def test_numbers(self, inputs, dtype):
        found = self.checked(inputs)
        self.assertEqual((type(found), found.dtype), (np.ndarray, dtype))
        expected = ROWS > 0 if dtype == "bool" else ROWS
        self.assertAllEqual(found, expected.astype(dtype))

    def test_a_series_is_a_column(self):
        found = batches.checked_arrays("data", (ROWS, FakeSeries()))
        self.assertAllEqual(found[1], LABELS[:, None])

    def test_pandas(self):
        try:
            pandas = importlib.import_module("pandas")  # no requirement
        except ImportError:
            self.skipTest("pandas is not installed")
        frame = pandas.DataFrame(ROWS, columns=[*"abc"])
        self.assertAllEqual(self.checked(frame), ROWS)
        frame["a"] = frame["a"].astype("Int64")
        self.assertAllEqual(self.checked(frame), ROWS)
        found = self.checked(pandas.Series([*"abcd"]))
        self.assertAllEqual(found, [[b"a"], [b"b"], [b"c"], [b"d"]])

    @parameterized.parameters("U", "S", "O", np.ndarray.tolist, tf.constant)
    def test_text_is_a_tensor(self, kind):
        words = np.array([["ab", "c"], ["d", "e"], ["f", "g"], ["h", "i"]])
        given = kind(words) if callable(kind) else words.astype(kind)
        found = self.checked(given.tolist() if kind == "O" else given)
        self.assertEqual(found.dtype, tf.string)
        self.assertAllEqual(found, words.astype("S"))
        part = batches.take(found, np.array([2, 0]))
        self.assertAllEqual(part, words[[2, 0]].astype("S"))
        ((batch, _),) = batches.read("data", [(given, LABELS)])
        self.assertEqual(batch.dtype, tf.string)

    @parameterized.named_parameters(
        ("scipy", scipy.sparse.csc_matrix(ROWS)),
        ("scipy_array", scipy.sparse.coo_array(ROWS)),
        ("tensorflow", tf.sparse.from_dense(ROWS)),
        ("out_of_order", tf.SparseTensor([[3, 1], [0, 2]], [1.0, 2.0], (4, 3))),
        ("of_rank_3", tf.sparse.from_dense(ROWS.reshape(4, 1, 3))),
    )
    def test_sparse(self, inputs):
        if scipy.sparse.issparse(inputs):
            dense = inputs.toarray()
        else:
            dense = tf.sparse.to_dense(tf.sparse.reorder(inputs)).numpy()
        found = self.checked(inputs)
        self.assertEqual(found.dtype, tf.float32)
        for rows in (slice(1, 9), np.array([2, 0, 2]), np.array([], int)):
            part = batches.take(found, rows)
            self.assertAllEqual(tf.sparse.to_dense(part), dense[rows])
        first, second = batches.read("data", (inputs, LABELS), 3)
        both = [tf.sparse.to_dense(x) for x, _ in (first, second)]
        self.assertAllEqual(np.concatenate(both), dense)
        ((batch, _),) = batches.read("data", [(inputs, LABELS)])
        self.assertAllEqual(tf.sparse.to_dense(batch), dense)
        with training((found, LABELS), 4) as dataset:
            ((x, y),) = dataset.take(1)
        self.assertAllEqual(tf.sparse.to_dense(x).shape, dense.shape)
        order = np.argsort(y, kind="stable")
        self.assertAllEqual(np.asarray(y)[order], [0, 0, 1, 1])
        total = tf.sparse.reduce_sum(x)
        self.assertAllClose(total, dense.sum())

    def test_ragged(self):
        rows = [[1.0], [2.0, 3.0], [], [4.0]]
        found = self.checked(tf.ragged.constant(rows, dtype=tf.float64))
        self.assertEqual(found.dtype, tf.float32)
        for chosen in (slice(1, 9), np.array([3, 1])):
            part = batches.take(found, chosen)
            expected = [rows[i] for i in np.arange(4)[chosen]]
            self.assertEqual(part.to_list(), expected)
        with training((found, np.arange(4)), 4) as dataset:
            ((x, order),) = dataset.take(1)
        self.assertEqual(x.to_list(), [rows[i] for i in order])

    @parameterized.named_parameters(
        ("unequal_lists", [[1, 2], [3], [4], [5]], "of different lengths: pad"),
        ("objects", np.array([{}] * 4), "array of Python objects"),
        ("dates", np.zeros(4, "datetime64[s]"), r"an array of datetime64\[s\]"),
    )
    def test_refuses(self, inputs, message):
        with self.assertRaisesRegex(ValueError, f"`data` .*{message}") as told:
            self.checked(inputs)
        self.assertNotIn("\n", str(told.exception))


class SampleWeightsTest(parameterized.TestCase, tf.test.TestCase):
    def weights(self, labels, weights):
        for data in ((ROWS, labels, weights), [(ROWS, labels, weights)]):
            ((*_, found),) = batches.read("data", data, with_weights=True)
            yield found

    def test_may_be_a_dict_or_a_list(self):
        labels, weights = {"p": C, "q": C}, {"p": LABELS, "q": 2 * LABELS}
        for found in self.weights(labels, weights):
            self.assertAllEqual(found["q"], 2 * LABELS)
        for found in self.weights([C, C], [LABELS, 2 * LABELS]):
            self.assertAllEqual(found[1], 2 * LABELS)

    def test_one_array_is_for_all_outputs(self):
        for found in self.weights({"p": C, "q": C}, LABELS):
            self.assertEqual({*found}, {"p", "q"})
            self.assertAllEqual(found["p"], LABELS)

    @parameterized.named_parameters(
        ("another_name", {"p": LABELS}, "one for each array of labels"),
        ("too_few", LABELS[:3], r"as many sample weights .* got \[3, 4\]"),
    )
    def test_refuses(self, weights, message):
        for is_batch in (False, True):
            data = (ROWS, {"p": C, "q": C}, weights)
            with self.assertRaisesRegex(ValueError, f"`data` .*{message}"):
                [*batches.read("data", [data] if is_batch else data)]


class ChecksTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(
        ("unbatched", lambda x, y: (x, y[0]), "not batched: call `.batch"),
        ("labels_alone", lambda x, y: x, "no tuple in it"),
        ("one_part", lambda x, y: (x,), "a tuple in it"),
    )
    def test_refuses_a_dataset_before_its_first_batch(self, change, message):
        data = tf.data.Dataset.from_tensors((ROWS, LABELS)).map(change)
        for check in (
            batches.check_batches,
            lambda name, data: next(batches.read(name, data)),
        ):
            with self.assertRaisesRegex(ValueError, f"`mine` .*{message}"):
                check("mine", data)

    @parameterized.parameters(None, 3, "data.npz")
    def test_refuses_what_is_no_data_by_its_value(self, data):
        with self.assertRaisesRegex(ValueError, f"`mine` .* got {data!r}"):
            batches.check_batches("mine", data)

    def test_weights_may_be_none_in_a_dataset(self):
        data = tf.data.Dataset.from_tensors((ROWS, LABELS))
        data = data.map(lambda x, y: (x, y, None))
        batches.check_batches("data", data)
        ((*pair,),) = batches.read("data", data, with_weights=True)
        self.assertLen(pair, 2)

    def test_refuses_four_items(self):
        four = (ROWS, LABELS, LABELS, LABELS)
        for data in (four, [four]):
            with self.assertRaisesRegex(ValueError, "`data` must be a tuple"):
                [*batches.read("data", data)]

    def test_what_can_be_gone_through_once_is_told(self):
        batch = (ROWS, LABELS)
        for data in (iter([batch]), (batch for _ in range(3)), map(str, [])):
            with self.assertRaisesRegex(ValueError, "`mine` .* only once"):
                batches.check_repeats("mine", data)
        for data in ([batch], Halves(), tf.data.Dataset.from_tensors(batch)):
            batches.check_repeats("mine", data)


class SparseInputsTest(parameterized.TestCase, tf.test.TestCase):
    """What is measured with sparse inputs is what it is with dense ones."""

    def test_measures_are_the_same(self):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(30, 3)) * (rng.random((30, 3)) < 0.5)
        y = np.arange(30) % 2
        weights = [rng.normal(size=shape) for shape in [(3, 4), (4, 2)]]
        found = []
        for is_sparse in (False, True):
            inputs = keras.Input((3,), sparse=is_sparse)
            hidden = keras.layers.Dense(4, "relu", False, name="h")(inputs)
            outputs = keras.layers.Dense(2, use_bias=False, name="o")(hidden)
            model = keras.Model(inputs, outputs)
            model.set_weights(weights)
            loss = keras.losses.SparseCategoricalCrossentropy(True)
            data = (scipy.sparse.csr_matrix(x) if is_sparse else x), y
            measures = {
                "statistics": statistics.class_statistics(model, data, 2).mean,
                "similarities": similarity.unit_similarities(
                    model, data, loss=loss, measures=["covariance"]
                )["h"],
                **{
                    method: weight_scores.weight_scores(
                        model, data, loss=loss, method=method
                    )
                    for method in ("gradient", "activation", "ablation")
                },
            }
            tasks = evaluation.OnExamples(
                model,
                evaluation.examples_of(data, 20, 0, model),
                {"loss": loss, "metrics": ["accuracy"]},
                {"h/kernel": np.zeros((3, 4), bool)},
            )
            measures["evaluation"] = tasks.values(
                {"h/kernel": np.eye(3, 4) > 0}
            )
            found.append(measures)
        dense, sparse = found
        for name, values in dense.items():
            self.assertAllClose(sparse[name], values, msg=name)


class FindWeightsTest(parameterized.TestCase, tf.test.TestCase):
    """Masks are trained and judged on any kind of data."""

    def find(self, model, data, *validation):
        found = find_weights.find_weights(
            model,
            data,
            *validation,
            loss="mse",
            alpha=0.0,
            initial_keep_probability=0.9,
            num_samples=2,
            steps=2,
            batch_size=4,
            verbose=0,
        )
        return found.path[0]["keep_fraction"]

    @parameterized.named_parameters(("sparse", True), ("text", False))
    def test_trains_on(self, is_sparse):
        rows = np.tile(np.eye(3, dtype="float32"), (6, 1))
        if is_sparse:
            inputs = keras.Input((3,), sparse=True)
            hidden = inputs
            data = [scipy.sparse.csr_matrix(rows), tf.sparse.from_dense(rows)]
        else:
            inputs = keras.Input((1,), dtype="string")
            hidden = keras.layers.StringLookup(vocabulary=[*"ab"])(inputs)
            hidden = keras.layers.Embedding(3, 2)(hidden)
            hidden = keras.layers.Flatten()(hidden)
            words = np.array([*"abc"])[rows.argmax(1)][:, None]
            data = [words, words.astype("S")]
        model = keras.Model(inputs, keras.layers.Dense(1)(hidden))
        first, second = data
        given = tf.constant(words) if not is_sparse else second
        labels = np.asarray(model(given))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of so few steps
            self.assertGreater(self.find(model, (first, labels)), 0.0)
            batches = [(second, labels)]
            self.assertGreater(self.find(model, batches, batches), 0.0)

    def test_a_masked_model_warns_of_a_poor_mask_of_sparse_inputs(self):
        inputs = keras.Input((3,), sparse=True)
        model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
        rows = tf.sparse.from_dense(np.tile(np.eye(3, dtype="float32"), (4, 1)))
        labels = np.asarray(model(rows))
        masked = masked_model.MaskedModel(model, alpha=1.0, num_samples=2)
        masked.compile(keras.optimizers.Adam(9.0), "mse")
        with self.assertWarnsRegex(UserWarning, "mask .* is far worse than"):
            masked.fit(rows, labels, verbose=0)

    def test_refuses_what_it_can_go_through_only_once(self):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        batches = [(ROWS, LABELS)]
        for data, name in (
            ((iter(batches), batches), "data"),
            ((batches, iter(batches)), "validation_data"),
        ):
            with self.assertRaisesRegex(ValueError, f"`{name}` .* a list"):
                self.find(model, *data)
        with self.assertRaisesRegex(ValueError, "`validation_data` .* an end"):
            self.find(model, batches, WithoutEnd())


class TrainingBatchesTest(tf.test.TestCase):
    def test_batches_keep_their_weights_and_lose_what_is_too_small(self):
        weights = np.ones(4)
        batches = [
            (ROWS[:3], LABELS[:3], weights[:3]),
            (ROWS[:1], LABELS[:1], weights[:1]),
        ]
        with training(batches, smallest=2) as endless:
            for _ in range(2):
                rows = [len(part) for part in next(endless)]
                self.assertEqual(rows, [3, 3, 3])
        dataset = tf.data.Dataset.from_tensor_slices((ROWS, LABELS)).batch(3)
        with training(dataset, smallest=2) as endless:
            self.assertEqual([len(x) for x, _ in endless.take(2)], [3, 3])
        for data in (batches[1:], dataset.skip(1)):
            with (
                self.assertRaisesRegex(ValueError, "no batch of 2 rows"),
                training(data, smallest=2) as endless,
            ):
                next(iter(endless))


if __name__ == "__main__":
    tf.test.main()

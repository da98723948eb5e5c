import os
import pathlib
import pickle
import tempfile
import unittest
import warnings
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from reproduce.data import images

# Before any test moves the Keras home.
CACHE = images._cache()
HAS_MNIST = (CACHE / "mnist.npz").is_file()
CIFAR10_FOLDER = "cifar-10-batches-py-target/cifar-10-batches-py"
HAS_CIFAR10 = (CACHE / CIFAR10_FOLDER / "test_batch").is_file()
NO_NETWORK = Exception("URL fetch failure on https://host:\nNone -- offline")


def counting(n, channels=1):
    """A split whose image i has value i % 256 and whose label is i."""
    labels = np.arange(n, dtype="int32")
    pixels = (labels % 256).astype("uint8").reshape(n, 1, 1, 1)
    return images.Split(np.tile(pixels, (1, 2, 3, channels)), labels)


def order(split, **kwargs):
    """The labels of a finite stream, one row for each batch."""
    stream = images.batches(split, **kwargs)
    return np.stack([labels for _, labels in stream.as_numpy_iterator()])


class SplitTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        labels = np.array([2, 0, 1, 2, 0], "int32")
        self.split = images.Split(counting(5).images, labels)

    def test_only_keeps_the_named_labels_in_order(self):
        part = self.split.only((0, 2))
        self.assertEqual(part.labels.tolist(), [2, 0, 2, 0])
        self.assertEqual(part.images[:, 0, 0, 0].tolist(), [0, 1, 3, 4])
        self.assertEqual(part.labels.dtype, "int32")

    @parameterized.parameters([[]], [[7]], [[0, 7]])
    def test_only_refuses_no_label_and_a_label_that_does_not_occur(self, bad):
        with self.assertRaisesRegex(ValueError, "`labels`.*0, 1, 2.*got"):
            self.split.only(bad)


class BatchesTest(parameterized.TestCase):
    def test_yields_raw_pixels_with_their_labels(self):
        stream = images.batches(counting(50, channels=3), 8, seed=0)
        pixels, labels = next(stream.as_numpy_iterator())
        self.assertEqual(pixels.shape, (8, 2, 3, 3))
        self.assertEqual(pixels.dtype, "float32")
        self.assertEqual(labels.dtype, "int32")
        np.testing.assert_array_equal(pixels[:, 1, 2, 2], labels)
        self.assertEqual(stream.element_spec[0].shape, (8, 2, 3, 3))

    def test_is_endless_unless_told_to_stop(self):
        endless = images.batches(counting(5), 8, seed=0)
        self.assertEqual(endless.cardinality(), tf.data.INFINITE_CARDINALITY)
        ended = images.batches(counting(5), 8, seed=0, start=3, stop=7)
        self.assertEqual(ended.cardinality(), 4)

    @parameterized.parameters((10, 4), (7, 7), (3, 20), (1, 5))
    def test_every_epoch_shows_every_image_once(self, rows, batch_size):
        epochs = 6
        steps = -(-epochs * rows // batch_size)
        stream = order(
            counting(rows), batch_size=batch_size, seed=1, stop=steps
        )
        stream = stream.ravel()[: epochs * rows].reshape(epochs, rows)
        np.testing.assert_array_equal(
            np.sort(stream), np.tile(np.arange(rows), (epochs, 1))
        )

    def test_a_resumed_stream_goes_on_as_the_undisturbed_one(self):
        kwargs = {"batch_size": 7, "seed": 5, "stop": 30}
        whole = order(counting(20), **kwargs)
        for start in (1, 3, 17):
            resumed = order(counting(20), start=start, **kwargs)
            np.testing.assert_array_equal(resumed, whole[start:])

    def test_does_not_depend_on_the_global_seeds(self):
        orders = []
        for seed in (0, 1):
            tf.random.set_seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            orders.append(order(counting(20), batch_size=20, seed=5, stop=2))
        np.testing.assert_array_equal(*orders)

    def test_seeds_and_epochs_give_different_orders(self):
        # Of 20! orders; 256 seeds apart share the low byte of the seed.
        orders = [
            order(counting(20), batch_size=20, seed=seed, stop=10)
            for seed in (0, 1, 256, 2**31 - 1)
        ]
        self.assertLen(np.unique(np.concatenate(orders), axis=0), 40)

    def test_orders_are_uncorrelated_in_the_size_of_cifar10(self):
        n = 45_000
        one, two = order(counting(n), batch_size=n, seed=0, stop=2)
        pairs = {
            "epochs": (one, two),
            "neighbors": (one[1:], one[:-1]),
            "unshuffled": (one, np.arange(n)),
        }
        for name, pair in pairs.items():
            correlation = np.corrcoef(*pair)[0, 1]
            # Random orders: 6 standard deviations, one seed in 1e8.
            self.assertLess(abs(correlation), 6 / np.sqrt(n), name)

    @parameterized.named_parameters(
        ("batch_size", {"batch_size": 0}, "`batch_size`.*got 0"),
        ("half_a_batch", {"batch_size": 2.5}, "`batch_size`.*got 2.5"),
        ("negative_seed", {"seed": -1}, "`seed`.*got -1"),
        ("large_seed", {"seed": 2**31}, "`seed`.*got 2147483648"),
        ("no_seed", {"seed": None}, "`seed`.*got None"),
        ("start", {"start": -1}, "`start`.*got -1"),
        ("stop", {"start": 5, "stop": 4}, "`stop`.*at least 5.*got 4"),
    )
    def test_refuses_bad_arguments(self, changed, message):
        arguments = {"batch_size": 2, "seed": 0, **changed}
        with self.assertRaisesRegex(ValueError, message):
            images.batches(counting(5), **arguments)

    def test_refuses_an_empty_split(self):
        with self.assertRaisesRegex(ValueError, "`split`"):
            images.batches(counting(0), 2, seed=0)


class DigitsTest(parameterized.TestCase):
    def test_has_the_documented_parts(self):
        data = images.load("digits")
        self.assertEqual((data.name, data.title), ("digits", "digits (8x8)"))
        self.assertEqual(data.class_names, tuple("0123456789"))
        for part, n in [("train", 1097), ("validation", 200), ("test", 500)]:
            split = getattr(data, part)
            self.assertEqual(split.images.shape, (n, 8, 8, 1))
            self.assertEqual(split.images.dtype, "uint8")
            self.assertEqual(split.labels.shape, (n,))
            self.assertEqual(split.labels.dtype, "int32")
            self.assertEqual(split.images.min(), 0)
            self.assertEqual(split.images.max(), 255)

    def test_each_class_has_its_share_in_each_part(self):
        data = images.load("digits")
        parts = (data.train, data.validation, data.test)
        counts = np.array([np.bincount(part.labels) for part in parts])
        share = counts.sum(axis=1, keepdims=True) / 1797
        np.testing.assert_allclose(counts, counts.sum(axis=0) * share, atol=1.5)

    def test_the_parts_make_up_the_source(self):
        from sklearn import datasets

        source = datasets.load_digits()
        pixels = np.rint(source.data * 255 / 16)
        expected = np.column_stack([pixels, source.target])
        data = images.load("digits")
        rows = np.concatenate(
            [
                np.column_stack([part.images.reshape(-1, 64), part.labels])
                for part in (data.train, data.validation, data.test)
            ]
        )
        np.testing.assert_array_equal(
            np.unique(rows, axis=0), np.unique(expected, axis=0)
        )
        self.assertLen(rows, len(expected))

    def test_is_fixed_whatever_the_global_seed(self):
        one = images.load("digits")
        np.random.seed(1)  # noqa: NPY002
        two = images.load("digits")
        np.testing.assert_array_equal(one.test.images, two.test.images)
        self.assertEqual(one.sha256, two.sha256)
        # The split must not move with a new scikit-learn either.
        self.assertEqual(
            one.validation.labels[:10].tolist(), [6, 2, 5, 5, 7, 9, 4, 4, 0, 8]
        )

    def test_load_refuses_another_name(self):
        with self.assertRaisesRegex(
            ValueError, "`name`.*cifar10.*mnist.*digits.*got 'imagenet'"
        ):
            images.load("imagenet")


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def python_2_pickle(content):
    """Pickles a CIFAR-10 file as Python 2 and an old numpy wrote it."""
    shape = b"I%d\nI%d\n" % content[b"data"].shape
    pixels = repr(content[b"data"].tobytes())[1:].encode()
    labels = b"".join(b"I%d\na" % label for label in content[b"labels"])
    note = repr(content[b"batch_label"])[1:].encode()
    return (
        b"(dS'data'\ncnumpy.core.multiarray\n_reconstruct\n"
        b"(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(" + shape + b"tcnumpy\ndtype\n"
        b"(S'u1'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI0\ntbI00\nS"
        + pixels
        + b"\ntbsS'labels'\n(l"
        + labels
        + b"sS'batch_label'\nS"
        + note
        + b"\ns."
    )


class CacheTest(parameterized.TestCase):
    """Loads from a Keras cache that begins empty, and never downloads."""

    def setUp(self):
        super().setUp()
        home = self.enter_context(tempfile.TemporaryDirectory())
        self.cache = pathlib.Path(home, "datasets")
        self.folder = self.cache / CIFAR10_FOLDER
        self.enter_context(mock.patch.dict(os.environ, KERAS_HOME=home))
        self.get_file = mock.Mock(side_effect=NO_NETWORK)
        for module in ("cifar10", "mnist"):
            name = f"keras.src.datasets.{module}.get_file"
            self.enter_context(mock.patch(name, self.get_file))

    def write_cifar10(self, note="training batch 1 of 5", encode=pickle.dumps):
        """Writes 5 files of 4 images and one of 3; returns their contents."""
        self.enter_context(mock.patch.object(images, "_VALIDATION_IMAGES", 6))
        self.folder.mkdir(parents=True)
        rng = np.random.default_rng(0)
        contents = []
        for i in range(6):
            n = 4 if i < 5 else 3
            content = {
                b"data": rng.integers(0, 256, (n, 3072), dtype="uint8"),
                b"labels": rng.integers(0, 10, n).tolist(),
                b"batch_label": note.encode(),
            }
            name = f"data_batch_{i + 1}" if i < 5 else "test_batch"
            (self.folder / name).write_bytes(encode(content))
            contents.append(content)
        return contents

    @parameterized.named_parameters(
        ("python_2", python_2_pickle),
        ("python_3", lambda content: pickle.dumps(content, protocol=4)),
    )
    def test_reads_the_extracted_folder_of_cifar10(self, encode):
        contents = self.write_cifar10(encode=encode)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of numpy's old module names
            data = images.load("cifar10")
        pixels = np.concatenate([x[b"data"] for x in contents])
        labels = np.concatenate([x[b"labels"] for x in contents])
        rows = {"train": slice(14), "validation": slice(14, 20)}
        rows["test"] = slice(20, 23)
        for part, which in rows.items():
            split = getattr(data, part)
            self.assertEqual(split.images.dtype, "uint8")
            self.assertEqual(split.images.shape[1:], (32, 32, 3))
            self.assertEqual(split.labels.dtype, "int32")
            planes = [
                split.images[..., channel].reshape(-1, 1024)
                for channel in range(3)  # red, green, blue
            ]
            np.testing.assert_array_equal(np.hstack(planes), pixels[which])
            np.testing.assert_array_equal(split.labels, labels[which])
        self.assertEqual(data.class_names[3], "cat")
        self.get_file.assert_not_called()

    @parameterized.parameters(
        ("training batch 1 of 5", "CIFAR-10"),
        ("data_batch_1. Decoded from JPEG copies.", "CIFAR-10 (JPEG)"),
    )
    def test_the_title_tells_jpeg_copies_from_cifar10(self, note, title):
        self.write_cifar10(note)
        self.assertEqual(images.load("cifar10").title, title)

    def test_the_hash_covers_images_and_labels_of_both_sets(self):
        contents = self.write_cifar10()
        hashes = {images.load("cifar10").sha256}
        for name, changed in [("data_batch_1", 0), ("test_batch", 5)]:
            for key, largest in [(b"data", 255), (b"labels", 9)]:
                content = dict(contents[changed])
                content[key] = largest - np.array(content[key])
                path = self.folder / name
                path.write_bytes(pickle.dumps(content))
                hashes.add(images.load("cifar10").sha256)
            path.write_bytes(pickle.dumps(contents[changed]))
        self.assertLen(hashes, 5)

    def test_downloads_cifar10_when_a_file_of_the_folder_is_missing(self):
        self.write_cifar10()
        (self.folder / "data_batch_3").unlink()
        with self.assertRaises(ValueError):
            images.load("cifar10")
        self.get_file.assert_called_once()

    def test_takes_what_keras_has_downloaded_for_cifar10(self):
        train = np.zeros((5_007, 32, 32, 3), "uint8"), np.ones((5_007, 1), int)
        test = np.zeros((9, 32, 32, 3), "uint8"), np.ones((9, 1), int)
        name = "keras.datasets.cifar10.load_data"
        with mock.patch(name, return_value=(train, test)):
            data = images.load("cifar10")
        self.assertEqual(data.title, "CIFAR-10")
        self.assertEqual(data.train.labels.tolist(), [1] * 7)
        self.assertLen(data.validation.labels, 5_000)
        self.assertEqual(data.test.images.shape, (9, 32, 32, 3))

    def test_takes_the_last_5000_images_of_mnist_for_validation(self):
        labels = np.arange(60_000) % 10
        train = np.zeros((60_000, 28, 28), "uint8"), labels
        train[0][55_000:] = 1
        test = np.full((10_000, 28, 28), 2, "uint8"), labels[:10_000]
        name = "keras.datasets.mnist.load_data"
        with mock.patch(name, return_value=(train, test)):
            data = images.load("mnist")
        self.assertEqual((data.name, data.title), ("mnist", "MNIST"))
        for i, (part, n) in enumerate(
            [("train", 55_000), ("validation", 5_000), ("test", 10_000)]
        ):
            split = getattr(data, part)
            self.assertEqual(split.images.shape, (n, 28, 28, 1))
            self.assertTrue(np.all(split.images == i))
            np.testing.assert_array_equal(split.labels, labels[:n])

    def test_unpickling_runs_no_code(self):
        target = self.cache / "made_by_the_pickle"
        self.write_cifar10()
        trap = pickle.dumps({b"data": Trap(str(target))})
        (self.folder / "data_batch_2").write_bytes(trap)
        with self.assertRaisesRegex(
            ValueError, "data_batch_2 is not.*refused to load .*mkdir"
        ):
            images.load("cifar10")
        self.assertFalse(target.exists())

    @parameterized.named_parameters(
        ("empty", lambda content: b""),
        ("no_pickle", lambda content: b"<html>\n"),
        ("cut_off", lambda content: pickle.dumps(content)[:-99]),
        ("no_labels", lambda content: pickle.dumps(content | {b"labels": []})),
        (
            "short_images",
            lambda content: pickle.dumps(
                content | {b"data": content[b"data"][:, :3000]}
            ),
        ),
        (
            "real_numbers",
            lambda content: pickle.dumps(
                content | {b"data": content[b"data"] / 255}
            ),
        ),
    )
    def test_refuses_a_damaged_cifar10_file_by_its_name(self, damaged):
        content = self.write_cifar10()[3]
        (self.folder / "data_batch_4").write_bytes(damaged(content))
        with self.assertRaisesRegex(
            ValueError, "data_batch_4 is not a CIFAR-10 file"
        ) as caught:
            images.load("cifar10")
        self.assertNotIn("\n", str(caught.exception))
        self.get_file.assert_not_called()

    def test_refuses_a_damaged_mnist_file_and_leaves_it_alone(self):
        self.cache.mkdir(parents=True)
        path = self.cache / "mnist.npz"
        path.write_bytes(b"half a file")
        with self.assertRaisesRegex(
            ValueError, f"{path} is damaged.*--dataset=digits"
        ):
            images.load("mnist")
        self.assertEqual(path.read_bytes(), b"half a file")
        self.get_file.assert_not_called()

    @parameterized.parameters(
        ("cifar10", CIFAR10_FOLDER), ("mnist", "mnist.npz")
    )
    def test_offline_says_in_one_line_what_is_missing_and_where(
        self, name, path
    ):
        with self.assertRaises(ValueError) as caught:
            images.load(name)
        message = str(caught.exception)
        for part in (str(self.cache / path), "--dataset=digits", "URL fetch"):
            self.assertIn(part, message)
        self.assertNotIn("\n", message)
        self.assertFalse(self.cache.exists())

    def test_the_digits_need_no_cache(self):
        images.load("digits")
        self.get_file.assert_not_called()


class RealDataTest(parameterized.TestCase):
    @unittest.skipUnless(HAS_MNIST, "MNIST is not in the Keras cache")
    def test_mnist(self):
        data = images.load("mnist")
        self.assertEqual(data.train.images.shape, (55_000, 28, 28, 1))
        self.assertEqual(data.validation.images.shape, (5_000, 28, 28, 1))
        self.assertEqual(data.test.images.shape, (10_000, 28, 28, 1))
        self.assertEqual(data.train.labels[:5].tolist(), [5, 0, 4, 1, 9])
        self.assertEqual(data.test.labels[:5].tolist(), [7, 2, 1, 0, 4])

    @unittest.skipUnless(HAS_CIFAR10, "CIFAR-10 is not in the Keras cache")
    def test_cifar10(self):
        data = images.load("cifar10")
        self.assertIn(data.title, ["CIFAR-10", "CIFAR-10 (JPEG)"])
        self.assertEqual(data.train.images.shape, (45_000, 32, 32, 3))
        self.assertEqual(data.validation.images.shape, (5_000, 32, 32, 3))
        self.assertEqual(data.test.images.shape, (10_000, 32, 32, 3))
        parts = [data.train.labels, data.validation.labels]
        counts = np.bincount(np.concatenate(parts))
        self.assertEqual(counts.tolist(), [5_000] * 10)
        self.assertEqual(np.bincount(data.test.labels).tolist(), [1_000] * 10)

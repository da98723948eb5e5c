"""The image data sets: CIFAR-10, MNIST and scikit-learn's small digits.

CIFAR-10 and MNIST come through `keras.datasets` and lie in the Keras cache
(`$KERAS_HOME`, else `~/.keras`). The digits come with scikit-learn, so they
need no download.
"""

import dataclasses
import functools
import hashlib
import os
import pathlib
import pickle
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from modularity_tf import checks

_CIFAR10_FILES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
_CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
_DIGITS = tuple("0123456789")
_MNIST_SHA256 = (
    "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
)
_VALIDATION_IMAGES = 5_000
_DIGITS_VALIDATION_IMAGES, _DIGITS_TEST_IMAGES = 200, 500

# All that a pickled numpy array names. Python 2 wrote the published files, so
# they have numpy's old module names.
_RECONSTRUCT = np.zeros(1).__reduce__()[0]
_ALLOWED_GLOBALS = {
    ("numpy", "dtype"): np.dtype,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
}

# `tf.random.experimental.index_shuffle` stops after 4 rounds of its cipher. The
# orders of two epochs of 45,000 images then correlate, up to 0.5.
_SHUFFLE_ROUNDS = 16


class Split(NamedTuple):
    """Images and their labels.

    Attributes:
        images: uint8 array of shape `(n, height, width, channels)`, 0 to 255.
        labels: int32 array of shape `(n,)`.
    """

    images: np.ndarray
    labels: np.ndarray

    def only(self, labels):
        """Returns the rows whose label is in `labels`, in their order.

        Args:
            labels: Non-empty sequence of ints, each of which occurs.

        Returns:
            `Split`. The labels keep their values.

        Raises:
            ValueError: If `labels` is empty or one of them does not occur.
        """
        labels = list(labels)
        present = np.unique(self.labels).tolist()
        if not labels or not set(labels) <= set(present):
            raise ValueError(
                f"`labels` must be some of {present}, got {labels!r}."
            )
        return self._rows(np.isin(self.labels, labels))

    def _rows(self, rows):
        return Split(self.images[rows], self.labels[rows])


@dataclasses.dataclass(frozen=True)
class ImageData:
    """A data set in three parts that share no image.

    Attributes:
        name: The name that `load` takes.
        title: The name for tables and figures. It tells re-encoded copies from
            the published images.
        sha256: Hash of all images (uint8) and labels (int32), training set
            before test set, as they were before the split.
        class_names: The name of each label.
        train: `Split` to fit on.
        validation: `Split` for choices and scores. Never part of the test set.
        test: `Split` to report on.
    """

    name: str
    title: str
    sha256: str
    class_names: tuple[str, ...]
    train: Split
    validation: Split
    test: Split


def load(name):
    """Returns a data set, split in a fixed way.

    | name    | images       | train  | validation | test   |
    |---------|--------------|--------|------------|--------|
    | cifar10 | (32, 32, 3)  | 45,000 | 5,000      | 10,000 |
    | mnist   | (28, 28, 1)  | 55,000 | 5,000      | 10,000 |
    | digits  | (8, 8, 1)    | 1,097  | 200        | 500    |

    The validation images of `cifar10` and `mnist` are the last of the training
    set. The digits have no published split: every class has its share in each
    part, and the pixels 0 to 16 are scaled to 0 to 255.

    Args:
        name: "cifar10", "mnist" or "digits".

    Returns:
        `ImageData`.

    Raises:
        ValueError: If `name` is none of the three; if the data is neither in
            the Keras cache nor can be downloaded, or a file in the cache is
            damaged. The message is one line.

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), C.7.
          Differs from the authors' code: it draws every training image into
          the validation set with a chance of 20 %.
    """
    loaders = {"cifar10": _cifar10, "mnist": _mnist, "digits": _digits}
    if name not in loaders:
        raise ValueError(f"`name` must be one of {[*loaders]}, got {name!r}.")
    return loaders[name]()


@functools.lru_cache(maxsize=2)
def load_once(name):
    """Returns what `load` returns, read once a process."""
    return load(name)


def batches(split, batch_size, seed, start=0, stop=None):
    """Returns the batches `start` to `stop` of an endless shuffled stream.

    Batch `s` holds the images `s * batch_size` to `(s + 1) * batch_size` of
    the stream. It is a pure function of `(seed, s)`: a run that is resumed at
    step 500 asks for `start=500` and gets what it would have got anyway. The
    stream shows every image once an epoch, each epoch in another order; a
    batch may begin in one epoch and end in the next, so all are full.

    Args:
        split: `Split` with at least one image.
        batch_size: Positive int.
        seed: Int in [0, 2**31). Another seed gives other orders.
        start: Int >= 0, the first batch.
        stop: Int >= `start`, one past the last batch, or `None` for no end.

    Returns:
        `tf.data.Dataset` of `(images, labels)`: float32 of shape
        `(batch_size, height, width, channels)`, 0 to 255, and int32 of shape
        `(batch_size,)`.

    Raises:
        ValueError: If `split` is empty or another argument is out of range.
    """
    rows = len(split.labels)
    if not rows:
        raise ValueError("`split` must have at least one image, got none.")
    checks.integer("batch_size", batch_size, least=1)
    checks.integer("seed", seed, below=2**31)
    checks.integer("start", start)
    if stop is not None:
        checks.integer("stop", stop, least=start)
    with tf.device("CPU:0"):  # tf.data gathers there
        images = tf.constant(split.images)
        labels = tf.constant(split.labels)
    epochs_in_a_batch = batch_size // rows + 2  # at most

    def batch(step):
        place = step * batch_size + tf.range(batch_size, dtype=tf.int64)
        epoch, index = place // rows, place % rows
        # The cipher looks at the low bits of its key only, so seeds 0 and 256
        # would give the same orders: mix seed and epoch first.
        keys = [
            tf.random.stateless_uniform(
                (3,), (seed, epoch[0] + i), None, None, tf.int32, alg="philox"
            )
            for i in range(epochs_in_a_batch)
        ]
        chosen = tf.raw_ops.RandomIndexShuffle(
            index=index,
            seed=tf.gather(keys, epoch - epoch[0]),
            max_index=tf.constant(rows - 1, tf.int64),
            rounds=_SHUFFLE_ROUNDS,
        )
        return (
            tf.cast(tf.gather(images, chosen), tf.float32),
            tf.gather(labels, chosen),
        )

    steps = tf.data.Dataset.counter(start)
    if stop is not None:
        steps = steps.take(stop - start)
    return steps.map(batch, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _cifar10():
    # Keras insists on the 170 MB archive, even where it has been extracted.
    folder = _cache() / "cifar-10-batches-py-target" / "cifar-10-batches-py"
    if all((folder / name).is_file() for name in _CIFAR10_FILES):
        files = [_read_cifar10(folder / name) for name in _CIFAR10_FILES]
        images, labels, notes = zip(*files)
        train = np.concatenate(images[:-1]), np.concatenate(labels[:-1])
        test = images[-1], labels[-1]
        is_jpeg = b"JPEG" in b" ".join(notes)
    else:
        load_data = keras.datasets.cifar10.load_data
        train, test = _download("CIFAR-10", load_data, folder)
        is_jpeg = False
    title = "CIFAR-10 (JPEG)" if is_jpeg else "CIFAR-10"
    return _published("cifar10", title, _CIFAR10_CLASSES, train, test)


def _mnist():
    path = _cache() / "mnist.npz"
    # Given a wrong file, Keras would delete it and try a download.
    if path.is_file() and _sha256(path.read_bytes()) != _MNIST_SHA256:
        raise ValueError(
            f"{path} is damaged (its SHA-256 is not that of MNIST): delete it "
            "to download it again, or use --dataset=digits."
        )
    train, test = _download("MNIST", keras.datasets.mnist.load_data, path)
    return _published("mnist", "MNIST", _DIGITS, train, test)


def _digits():
    from sklearn import datasets, model_selection

    pixels, labels = datasets.load_digits(return_X_y=True)
    images = np.rint(pixels * (255 / 16)).reshape(-1, 8, 8, 1)
    every = _split(images, labels)
    rest, test = model_selection.train_test_split(
        np.arange(len(labels)),
        test_size=_DIGITS_TEST_IMAGES,
        random_state=0,
        stratify=labels,
    )
    train, validation = model_selection.train_test_split(
        rest,
        test_size=_DIGITS_VALIDATION_IMAGES,
        random_state=0,
        stratify=labels[rest],
    )
    return ImageData(
        name="digits",
        title="digits (8x8)",
        sha256=_sha256(*every),
        class_names=_DIGITS,
        train=every._rows(train),
        validation=every._rows(validation),
        test=every._rows(test),
    )


def _published(name, title, class_names, train, test):
    """Splits the validation images off the published training set."""
    train, test = _split(*train), _split(*test)
    return ImageData(
        name=name,
        title=title,
        sha256=_sha256(*train, *test),
        class_names=class_names,
        train=train._rows(slice(None, -_VALIDATION_IMAGES)),
        validation=train._rows(slice(-_VALIDATION_IMAGES, None)),
        test=test,
    )


def _split(images, labels):
    if images.ndim == 3:  # MNIST has no channel axis
        images = images[..., np.newaxis]
    return Split(
        np.ascontiguousarray(images, "uint8"),
        np.ascontiguousarray(labels, "int32").reshape(-1),
    )


def _cache():
    """Returns the folder in which Keras keeps its data sets."""
    home = os.environ.get("KERAS_HOME", "~/.keras")
    return pathlib.Path(home).expanduser().absolute() / "datasets"


def _sha256(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _download(title, load_data, path):
    """Calls a loader of Keras, which downloads what its cache lacks."""
    try:
        return load_data()
    except Exception as error:  # Keras raises a bare `Exception` when offline
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{title} is not in the Keras cache and cannot be downloaded "
            f"({reason}): put it at {path}, or use --dataset=digits, which "
            "needs no download."
        ) from error


class _ArrayUnpickler(pickle.Unpickler):
    """Reads numbers, bytes, lists, dicts and numpy arrays, and nothing else."""

    def find_class(self, module, name):
        if (module, name) not in _ALLOWED_GLOBALS:
            raise pickle.UnpicklingError(f"refused to load {module}.{name}")
        return _ALLOWED_GLOBALS[module, name]


def _read_cifar10(path):
    """Returns the images, the labels and the note of one CIFAR-10 file."""
    try:
        with open(path, "rb") as file:
            content = _ArrayUnpickler(file, encoding="bytes").load()
        planes = content[b"data"].reshape(-1, 3, 32, 32)  # red, green, blue
        labels = np.array(content[b"labels"])
        if planes.dtype != "uint8" or labels.shape != planes.shape[:1]:
            raise ValueError("its images and labels do not fit together")
        return planes.transpose(0, 2, 3, 1), labels, content[b"batch_label"]
    except Exception as error:  # a damaged pickle can raise anything
        raise ValueError(
            f"{path} is not a CIFAR-10 file ({error!r}): delete its folder to "
            "download it again, or use --dataset=digits."
        ) from error

"""Images shifted and mirrored at random, as residual networks are trained."""

import tensorflow as tf

from reproduce.data import images
from reproduce.running import configuration


def batches(split, batch_size, seed, start=0, stop=None, flip=True):
    """Returns the batches of `images.batches`, each image shifted at random.

    Black pixels are added on all sides, an eighth of the height of them (4 for
    CIFAR-10), and a piece of the old size is cut out; every other image is
    mirrored. Batch `s` is a function of `(seed, s)` alone, as it is there.

    Args:
        split: As in `images.batches`.
        batch_size: As in `images.batches`.
        seed: As in `images.batches`.
        start: As in `images.batches`.
        stop: As in `images.batches`.
        flip: Bool. Whether to mirror: not digits.

    Returns:
        `tf.data.Dataset`, as `images.batches` returns it.

    Raises:
        ValueError: As `images.batches` does.

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), C.7.3
    """
    plain = images.batches(split, batch_size, seed, start, stop)
    seed = configuration.derive_seed(seed, "augmentation")

    def augment(batch, step):
        pixels, labels = batch
        return shifted(pixels, (seed, step), flip), labels

    steps = tf.data.Dataset.counter(start)
    return (
        tf.data.Dataset.zip(plain, steps)
        .map(augment, tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )


def shifted(pixels, seed, flip=True):
    """Returns a batch of images, each shifted and perhaps mirrored.

    Args:
        pixels: Tensor of shape `(batch, height, width, channels)`.
        seed: Two ints. The same give the same shifts.
        flip: Bool. Whether to mirror.

    Returns:
        Tensor of the shape of `pixels`, black where nothing was.
    """
    count, height, width, _ = pixels.shape
    margin = height // 8
    draws = tf.random.stateless_uniform((3, count, 1), seed, alg="philox")
    offsets = tf.cast(draws[:2] * (2 * margin + 1), tf.int32)
    rows, columns = tf.range(height) + offsets[0], tf.range(width) + offsets[1]
    if flip:
        columns = tf.where(draws[2] < 0.5, columns[:, ::-1], columns)
    sides = [margin, margin]
    padded = tf.pad(pixels, [[0, 0], sides, sides, [0, 0]])
    found = tf.gather(padded, rows, axis=1, batch_dims=1)
    return tf.gather(found, columns, axis=2, batch_dims=1)

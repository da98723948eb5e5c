"""Permuted MNIST: the same images, their pixels in another order a task."""

import numpy as np

from reproduce.data import images


def permutation(task, pixels, seed):
    """Returns the order of the pixels in a task.

    Args:
        task: Int >= 0. Task 0 is the identity.
        pixels: Positive int.
        seed: Int >= 0. Another seed gives other orders.

    Returns:
        Int array of shape `(pixels,)`.

    Raises:
        ValueError: If `task` or `seed` is negative.
    """
    if task < 0 or seed < 0:
        raise ValueError(
            f"`task` and `seed` must be at least 0, got {task} and {seed}."
        )
    if task == 0:
        return np.arange(pixels)
    return np.random.default_rng((seed, task)).permutation(pixels)


def permuted(split, order):
    """Returns the images of a split as rows of pixels in another order.

    Args:
        split: `images.Split` with images of shape `(n, height, width, 1)`.
        order: Int array of shape `(height * width,)`.

    Returns:
        `images.Split` with images of shape `(n, height * width)`.
    """
    rows = split.images.reshape(len(split.images), -1)
    return images.Split(np.ascontiguousarray(rows[:, order]), split.labels)

"""Convolutions compiled by hand: each channel detects a known pattern.

A filter of 3 x 3 weights, 1 where its pattern has a pixel and -1 elsewhere,
is above its threshold where just this pattern is shown. The largest value over
the picture says whether the pattern is somewhere, and an answer is 1 if one of
two patterns is. So a task needs every weight of two filters: without a 1 its
pattern is missed, and without a -1 the filter takes patterns for its own that
have one pixel more.

In the examples each task has its own place in a quarter of the picture. Half of
these places show a pattern of the task, the others a pattern with one pixel
too many, and other pixels are drawn at random.
"""

import keras
import numpy as np

from modularity_tf import checks
from modularity_tf.planted.kernels import (
    Kernel,
    add_decoys,
    kinds_of,
    scales,
    units_needed,
)
from modularity_tf.planted.planted_network import Planted

LOGIT = 8.0
_TASKS, _PATTERNS = 2, 2  # patterns of each task
_SIDE, _SIZE = 8, 3  # of pictures, of filters
_PIXELS = 4  # of a pattern
_NOISE = 0.1  # chance of a pixel elsewhere


def make_detectors(
    *,
    unread: int = 3,
    silent: int = 3,
    pairs: int = 2,
    examples: int = 2048,
    seed: int | None = 0,
) -> Planted:
    """Returns a convolutional network whose channels detect patterns.

    There are two tasks: is one of two patterns in the picture? The inputs are
    pictures `(examples, 8, 8, 1)` of pixels that are 0 or 1. Channels are
    units: a task needs two.

    >>> planted = mtf.planted.make_detectors(examples=64)
    >>> planted.needed[0].units
    <NeuronSelection of 14 neurons in 1 tensors, 14.3% kept>
    >>> planted.needed[0].weights.values["detect/kernel"].sum()  # two filters
    np.int64(18)

    Args:
        unread: Number of channels that nothing reads.
        silent: Number of channels that are read and never fire.
        pairs: Number of pairs of like channels that are read with opposite
            weights.
        examples: Number of pictures.
        seed: Int, not negative, of patterns, pictures, orders, scales and
            decoys; `None` is random.

    Raises:
        ValueError: If an argument is out of its range.
    """
    unread = checks.integer("unread", unread)
    silent = checks.integer("silent", silent)
    pairs = checks.integer("pairs", pairs)
    examples = checks.integer("examples", examples, least=1)
    rng = np.random.default_rng(checks.seed(seed))
    patterns = _patterns(rng)
    own = _TASKS * _PATTERNS
    count = own + unread + silent + 2 * pairs
    filters = Kernel((_SIZE, _SIZE, 1, count), _TASKS)
    reads, bias = Kernel((count, _TASKS), _TASKS), np.zeros(count)
    for channel in range(own):
        task = channel // _PATTERNS
        signs = np.where(patterns[channel], 1.0, -1.0)[..., None]
        filters.put((..., channel), signs, "needed", [task])
        bias[channel] = 1.0 - _PIXELS
        reads.put((channel, task), LOGIT, "needed", [task])

    add_decoys(
        filters,
        reads,
        bias,
        own,
        rng,
        unread=unread,
        silent=silent,
        pairs=pairs,
        most=lambda values: np.maximum(values, 0).sum(),
        logit=LOGIT,
    )
    order, factors = rng.permutation(count), scales(rng, count)
    filters.change(-1, order, factors)
    reads.change(-2, order, 1 / factors)
    model = keras.Sequential(
        [
            keras.Input((_SIDE, _SIDE, 1)),
            keras.layers.Conv2D(count, _SIZE, activation="relu", name="detect"),
            keras.layers.GlobalMaxPooling2D(name="anywhere"),
            keras.layers.Dense(_TASKS, name="output"),
        ],
        name="planted_detectors",
    )
    model.set_weights(
        [
            filters.values,
            (bias * factors)[order],
            reads.values,
            np.full(_TASKS, -LOGIT / 2),
        ]
    )
    pictures = _pictures(rng, patterns, examples)
    kinds = kinds_of({"detect/kernel": filters, "output/kernel": reads})
    return Planted(
        model,
        pictures[..., None].astype("float32"),
        _answers(pictures, patterns),
        kinds,
        units=[{"detect": units_needed(x["detect/kernel"])} for x in kinds],
    )


def _patterns(rng):
    """Returns patterns that differ in two pixels or more, a bool array."""
    found = []
    while len(found) < _TASKS * _PATTERNS:
        drawn = rng.permutation(_SIZE**2).reshape(_SIZE, _SIZE) < _PIXELS
        if all(np.sum(drawn != other) > 2 for other in found):
            found.append(drawn)
    return np.array(found)


def _pictures(rng, patterns, examples):
    """Returns pictures, a bool array `(examples, side, side)`."""
    pictures = rng.random((examples, _SIDE, _SIDE)) < _NOISE
    half = _SIDE // 2
    for picture in pictures:
        quarters = rng.permutation(4)[:_TASKS]
        for task, quarter in enumerate(quarters):
            which = task * _PATTERNS + rng.integers(_PATTERNS)
            shown = patterns[which].copy()
            if rng.random() < 0.5:  # one pixel too many
                shown[tuple(rng.permutation(np.argwhere(~shown))[0])] = True
            corner = half * np.array(divmod(int(quarter), 2))
            row, column = corner + rng.integers(0, 2, 2)
            picture[row : row + _SIZE, column : column + _SIZE] = shown
    return pictures


def _answers(pictures, patterns):
    """Returns whether a pattern of each task is there, `(examples, tasks)`."""
    windows = np.lib.stride_tricks.sliding_window_view(
        pictures, (_SIZE, _SIZE), axis=(1, 2)
    )
    found = [(windows == p).all(axis=(3, 4)).any(axis=(1, 2)) for p in patterns]
    by_task = np.reshape(found, (_TASKS, _PATTERNS, -1)).any(axis=1)
    return by_task.T.astype("float32")

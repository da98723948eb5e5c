"""Labels of every step of a sequence, from detectors compiled by hand.

A token is followed by another one. A detector is a unit of a causal convolution
over two steps: it fires where the token before is one of some, and the token
here is one of some. A step is positive where one of two detectors fires. With
small sets of tokens few steps are positive.
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
TOKENS, STEPS = 6, 12
# How many tokens there are in the sets of the two detectors, before and here.
# The sets before have no token in common: 2 * 9 / 36 is a half, 4 / 36 is 11 %.
_SIZES, _RARE_SIZES = (3, 3), (1, 2)


def make_sequence_labels(
    *,
    rare: bool = False,
    unread: int = 3,
    silent: int = 3,
    pairs: int = 2,
    examples: int = 1024,
    seed: int | None = 0,
) -> Planted:
    """Returns a network that labels every step of a sequence but the first.

    The inputs `(examples, 12)` are numbers of six tokens, the labels
    `(examples, 11, 1)` are bits, half of them positive or 11 %.

    >>> planted = mtf.planted.make_sequence_labels(rare=True)
    >>> round(float(planted.labels.mean()), 2)
    0.11
    >>> planted.needed[0].units
    <NeuronSelection of 12 neurons in 1 tensors, 16.7% kept>

    Args:
        rare: Whether 11 % of the steps are positive; else half are.
        unread: Number of units that nothing reads.
        silent: Number of units that are read and never fire.
        pairs: Number of pairs of like units that are read with opposite
            weights.
        examples: Number of sequences.
        seed: Int, not negative, of sets of tokens, sequences, orders, scales
            and decoys; `None` is random.

    Raises:
        ValueError: If an argument is out of its range.
    """
    unread = checks.integer("unread", unread)
    silent = checks.integer("silent", silent)
    pairs = checks.integer("pairs", pairs)
    examples = checks.integer("examples", examples, least=1)
    rng = np.random.default_rng(checks.seed(seed))
    before, here = _RARE_SIZES if rare else _SIZES
    first = rng.permutation(TOKENS)
    sets = [
        (first[i * before : (i + 1) * before], rng.permutation(TOKENS)[:here])
        for i in range(2)
    ]
    count = 2 + unread + silent + 2 * pairs
    window = Kernel((2, TOKENS, count), 1)
    reads, starts = Kernel((count, 1), 1), np.zeros(count)
    for unit, places in enumerate(sets):
        for step, tokens in enumerate(places):
            window.put((step, tokens, unit), 1.0, "needed")
        reads.put((unit, 0), LOGIT, "needed")
        starts[unit] = -1.0

    add_decoys(
        window,
        reads,
        starts,
        len(sets),
        rng,
        unread=unread,
        silent=silent,
        pairs=pairs,
        most=lambda values: np.maximum(values, 0).max(axis=1).sum(),
        logit=LOGIT,
    )
    order, factors = rng.permutation(count), scales(rng, count)
    window.change(-1, order, factors)
    reads.change(-2, order, 1 / factors)
    mixed, sizes = rng.permutation(TOKENS), scales(rng, TOKENS)
    window.change(-2, mixed, 1 / sizes)
    inputs = keras.Input((STEPS,), dtype="int32")
    x = keras.layers.Embedding(TOKENS, TOKENS, name="embed")(inputs)
    x = keras.layers.Conv1D(count, 2, activation="relu", name="window")(x)
    outputs = keras.layers.Dense(1, name="label")(x)
    model = keras.Model(inputs, outputs, name="planted_labels")
    model.set_weights(
        [
            np.diag(sizes)[:, mixed],
            window.values,
            (starts * factors)[order],
            reads.values,
            np.full(1, -LOGIT / 2),
        ]
    )
    tokens = rng.integers(0, TOKENS, (examples, STEPS))
    labels = np.any(
        [
            np.isin(tokens[:, :-1], one) & np.isin(tokens[:, 1:], other)
            for one, other in sets
        ],
        axis=0,
    )
    kinds = kinds_of({"window/kernel": window, "label/kernel": reads})
    return Planted(
        model,
        tokens.astype("int32"),
        labels[..., None].astype("float32"),
        kinds,
        units=[{"window": units_needed(x["window/kernel"])} for x in kinds],
    )

"""A trunk with LayerNormalization and two heads, compiled by hand.

Hidden units count the bits of three modules as those of `make_boolean` do, and
a head compares the parities of two modules: which is odd, where one of them is?
Behind the trunk lies a LayerNormalization. It takes the mean of all units away
and divides by their standard deviation, so each of its outputs depends on all
units, decoys included. But the weights of a head add up to zero, so that it
does not matter which mean was taken away, and no standard deviation changes a
sign.
"""

import itertools

import keras
import numpy as np

from modularity_tf import checks
from modularity_tf.planted.kernels import Kernel, kinds_of, scales, units_needed
from modularity_tf.planted.planted_network import Planted

LOGIT = 8.0
_BITS, _MODULES = 3, 3
_HEADS = ((0, 1), (0, 2))  # the modules that each compares
# With these a module's sum is 0, 1, .25 and 1 where 0 to 3 bits are set. With
# .25 and not 0, a sum that is 0 for lack of a weight is no tie.
_SUMS = (1.0, -1.75, 1.5)


def make_two_heads(
    *, unread: int = 4, pairs: int = 3, seed: int | None = 0
) -> Planted:
    """Returns a trunk with LayerNormalization that two heads read.

    A task is to say which of two parities of three bits is odd, in examples in
    which one of them is. One of the parities is the same in both tasks. The
    inputs `(512, 9)` are all there are.

    >>> planted = mtf.planted.make_two_heads()
    >>> first, second = (needed.units for needed in planted.needed)
    >>> first.overlap(second).share
    0.5

    Args:
        unread: Number of units that no head reads.
        pairs: Number of pairs of like units that both heads read with
            opposite weights.
        seed: Int, not negative, of orders, scales and decoys; `None` is random.

    Raises:
        ValueError: If an argument is out of its range.
    """
    unread = checks.integer("unread", unread)
    pairs = checks.integer("pairs", pairs)
    rng = np.random.default_rng(checks.seed(seed))
    bits, tasks = _BITS * _MODULES, len(_HEADS)
    size = bits + unread + 2 * pairs
    trunk = Kernel((bits, size), tasks)
    heads = [Kernel((size, 1), tasks) for _ in range(tasks)]
    starts, unit = np.zeros(size), 0
    for module in range(_MODULES):
        users = [task for task in range(tasks) if module in _HEADS[task]]
        own = slice(module * _BITS, (module + 1) * _BITS)
        for j, c in enumerate(_SUMS):
            trunk.put((own, unit), 1.0, "needed", users)
            for task in users:
                sign = 1 if module == _HEADS[task][0] else -1
                heads[task].put((unit, 0), sign * LOGIT * c, "needed", [task])
            starts[unit], unit = -j, unit + 1
    for _ in range(unread):
        trunk.put((slice(None), unit), rng.normal(size=bits), "unread")
        unit += 1
    for _ in range(pairs):
        values, outgoing = rng.normal(size=bits), rng.normal(size=tasks)
        for sign in (1, -1):
            trunk.put((slice(None), unit), values, "pair")
            for task in range(tasks):
                read = sign * LOGIT * outgoing[task]
                heads[task].put((unit, 0), read, "pair", [task])
            unit += 1
    # A scale of a unit would change what is normalized: a gain does not.
    gains, order = scales(rng, size), rng.permutation(size)
    trunk.change(-1, order, np.ones(size))
    bit_order = rng.permutation(bits)
    trunk.change(-2, bit_order, np.ones(bits))
    kernels = {"trunk/kernel": trunk}
    for task, head in enumerate(heads):
        head.change(-2, order, 1 / gains)
        kernels[f"head{task}/kernel"] = head
    model = _network(bits, size)
    weights = {w.path: w for w in model.weights}
    for path, kernel in kernels.items():
        weights[path].assign(kernel.values)
    weights["trunk/bias"].assign(starts[order])
    weights["norm/gamma"].assign(gains[order])
    examples = np.array([*itertools.product((0, 1), repeat=bits)])
    by_module = examples[:, np.argsort(bit_order)].reshape(-1, _MODULES, _BITS)
    odd = by_module.sum(axis=2) % 2
    kinds = kinds_of(kernels)
    return Planted(
        model,
        examples.astype("float32"),
        np.stack([odd[:, first] for first, _ in _HEADS], 1).astype("float32"),
        kinds,
        rows=[
            np.flatnonzero(odd[:, first] != odd[:, second])
            for first, second in _HEADS
        ],
        units=[{"trunk": units_needed(own["trunk/kernel"])} for own in kinds],
    )


def _network(bits, size):
    """Returns the model, with so many units in the trunk."""
    inputs = keras.Input((bits,))
    x = keras.layers.Dense(size, "relu", name="trunk")(inputs)
    x = keras.layers.LayerNormalization(name="norm")(x)
    heads = [
        keras.layers.Dense(1, use_bias=False, name=f"head{task}")(x)
        for task in range(len(_HEADS))
    ]
    outputs = keras.layers.Concatenate(name="answers")(heads)
    return keras.Model(inputs, outputs, name="planted_heads")

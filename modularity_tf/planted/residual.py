"""Residual blocks compiled by hand: who writes what into the stream is known.

Bits stand in a residual stream. A block adds what its hidden units write:

    x + write(relu(read(x)))

The first block writes the parity of three bits for each task. The second reads
it, with two more bits, and writes the parity of all five, which is the answer.
So a task needs units of both blocks, and five of the bits. Units of the first
block write into the places of the answers, too, and units of the second or of
the third take that back: pairs that cancel across blocks. The third block has
nothing but decoys.
"""

import typing

import keras
import numpy as np

from modularity_tf import checks
from modularity_tf.planted.boolean import coefficients, parity
from modularity_tf.planted.kernels import Kernel, kinds_of, scales, units_needed
from modularity_tf.planted.planted_network import Planted

LOGIT = 8.0
_TASKS, _BLOCKS = 2, 3
_BITS = 5  # of each task
_FIRST = 3  # of these, in the first block
_JUNK = _NOTHING = 2  # dimensions that are not read, and not written


class _Unit(typing.NamedTuple):
    """What a unit reads and writes, weights by dimension of the stream."""

    kind: str
    reads: dict[int, float]
    threshold: float
    writes: dict[int, float]
    tasks: list[int] | None


def make_residual(
    *, unread: int = 2, silent: int = 2, pairs: int = 3, seed: int | None = 0
) -> Planted:
    """Returns a network of three residual blocks, two tasks of five bits.

    The inputs `(1024, 10)` are all there are.

    >>> planted = mtf.planted.make_residual()
    >>> {k: int(v.sum()) for k, v in planted.needed[0].units.values.items()}
    {'read0': 3, 'read1': 3, 'read2': 0}

    Args:
        unread: Number of units in each block that write what nothing reads.
        silent: Number of units in each block that read what nothing writes.
        pairs: Number of pairs of units, in different blocks, that cancel.
        seed: Int, not negative, of orders, scales and decoys; `None` is random.

    Raises:
        ValueError: If an argument is out of its range.
    """
    unread = checks.integer("unread", unread)
    silent = checks.integer("silent", silent)
    pairs = checks.integer("pairs", pairs)
    rng = np.random.default_rng(checks.seed(seed))
    bits = _TASKS * _BITS
    # The stream: bits, parities of three, parities of five, junk, nothing.
    partly, whole = bits, bits + _TASKS
    junk = whole + _TASKS
    nothing, width = junk + _JUNK, junk + _JUNK + _NOTHING
    units: list[list[_Unit]] = [[] for _ in range(_BLOCKS)]

    def unit(block, kind, reads, threshold, writes, tasks=None):
        units[block].append(_Unit(kind, reads, threshold, writes, tasks))

    for task in range(_TASKS):
        own = [*range(task * _BITS, (task + 1) * _BITS)]
        later = [partly + task, *own[_FIRST:]]
        for block, sources, target in (
            (0, own[:_FIRST], partly + task),
            (1, later, whole + task),
        ):
            for j, c in enumerate(coefficients(parity(len(sources)))):
                reads = dict.fromkeys(sources, 1.0)
                unit(block, "needed", reads, j, {target: c}, [task])

    def of_bits():
        return dict(enumerate(rng.normal(size=bits)))

    def drawn(places):
        return {place: rng.normal() for place in places}

    answers = range(whole, junk)
    for block in range(_BLOCKS):
        for _ in range(unread):
            writes = drawn(range(junk, nothing))
            unit(block, "unread", of_bits(), 0, writes)
        for _ in range(silent):
            reads = drawn(range(nothing, width))
            unit(block, "silent", reads, 0, drawn(answers))
    for i in range(pairs):
        reads, writes = of_bits(), drawn(answers)
        back = {place: -value for place, value in writes.items()}
        first, second = ((0, 1), (0, 2), (1, 2))[i % 3]
        unit(first, "pair", reads, 0, writes)
        unit(second, "pair", reads, 0, back)

    units = [each for each in units if each]  # without decoys two blocks do
    embed = Kernel((bits, width), _TASKS)
    for bit in range(bits):
        embed.put((bit, bit), 1.0, "needed", [bit // _BITS])
    output = Kernel((width, _TASKS), _TASKS)
    for task in range(_TASKS):
        output.put((whole + task, task), LOGIT, "needed", [task])
    kernels, thresholds = {"embed/kernel": embed}, []
    order, factors = rng.permutation(width), scales(rng, width)
    embed.change(-1, order, factors)
    for block, of_block in enumerate(units):
        count = len(of_block)
        read = Kernel((width, count), _TASKS)
        write = Kernel((count, width), _TASKS)
        starts = 0.0 - np.array([each.threshold for each in of_block])
        for i, each in enumerate(of_block):
            for place, value in each.reads.items():
                read.put((place, i), value, each.kind, each.tasks)
            for place, value in each.writes.items():
                write.put((i, place), value, each.kind, each.tasks)
        mixed, sizes = rng.permutation(count), scales(rng, count)
        read.change(-1, mixed, sizes)
        read.change(-2, order, 1 / factors)
        write.change(-2, mixed, 1 / sizes)
        write.change(-1, order, factors)
        thresholds.append((starts * sizes)[mixed])
        kernels |= {f"read{block}/kernel": read, f"write{block}/kernel": write}
    output.change(-2, order, 1 / factors)
    kernels["output/kernel"] = output

    model = _network(bits, width, [len(of_block) for of_block in units])
    weights = {w.path: w for w in model.weights}
    for path, kernel in kernels.items():
        weights[path].assign(kernel.values)
    for block, start in enumerate(thresholds):
        weights[f"read{block}/bias"].assign(start)
    weights["output/bias"].assign(np.full(_TASKS, -LOGIT / 2))
    numbers = np.arange(2**bits)
    inputs = (numbers[:, None] >> np.arange(bits)) & 1
    labels = inputs.reshape(-1, _TASKS, _BITS).sum(axis=2) % 2
    kinds = kinds_of(kernels)
    return Planted(
        model,
        inputs.astype("float32"),
        labels.astype("float32"),
        kinds,
        units=[
            {
                f"read{block}": units_needed(own[f"read{block}/kernel"])
                for block in range(len(units))
            }
            for own in kinds
        ],
    )


def _network(bits, width, sizes):
    """Returns the model, with so many hidden units in each block."""
    inputs = keras.Input((bits,))
    x = keras.layers.Dense(width, use_bias=False, name="embed")(inputs)
    for i, size in enumerate(sizes):
        hidden = keras.layers.Dense(size, "relu", name=f"read{i}")(x)
        added = keras.layers.Dense(width, use_bias=False, name=f"write{i}")(
            hidden
        )
        x = keras.layers.Add(name=f"block{i}")([x, added])
    outputs = keras.layers.Dense(_TASKS, name="output")(x)
    return keras.Model(inputs, outputs, name="planted_residual")

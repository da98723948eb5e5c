"""Decoys for compiled programs, so that "not zero" is not "needed".

A program gets, in every layer, what looks like a part of it and is none: a
head and neurons that write what nothing reads, a head that reads what nothing
writes, neurons that never fire, and in the last layer two heads, and in every
MLP two neurons, that cancel each other. The residual stream is permuted, and
scaled by powers of two, which rounds nothing.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from reproduce.known_truth.others import circuits
from reproduce.known_truth.others.programs import Program

_JUNK, _NOTHING = 3, 3  # numbers of the stream: written only, and read only
_LARGEST = 2.0  # of a decoy's weights: what cancels must cancel in float32


def with_decoys(
    program: Program, truth: circuits.Truth, seed: int
) -> tuple[Program, circuits.Truth, dict[str, np.ndarray]]:
    """Returns a program with decoys, which answers the same.

    Args:
        program: `Program`.
        truth: What it needs.
        seed: Int, not negative: of decoys, order and scales.

    Returns:
        `Program`; the `Truth` about it, by which decoys are not needed, and
        the program's own parts as before; and a dict from the name of a kernel
        to a bool array, the weights that are no decoys.
    """
    rng = np.random.default_rng(seed)
    width = program.width + _JUNK + _NOTHING
    junk = np.arange(program.width, program.width + _JUNK)
    nothing = np.arange(program.width + _JUNK, width)
    seen = [
        i
        for i in range(program.width)
        if program.embeddings["embed"][:, i].any()
    ]
    sizes = [np.abs(v[v != 0]) for v in program.kernels.values()]
    sizes = np.minimum(np.concatenate(sizes), _LARGEST)

    def drawn(shape, rows=None, columns=None):
        """Returns weights of the program's sizes in some rows and columns."""
        values = rng.choice(sizes, shape) * rng.choice([-1, 1], shape)
        for axis, kept in ((0, rows), (1, columns)):
            if kept is not None:
                other = np.setdiff1d(np.arange(shape[axis]), kept)
                values[(other, slice(None))[:: 1 - 2 * axis]] = 0
        return values

    def widened(path, values):
        added = ((0, 0), (0, width - program.width))
        return np.pad(values, added if path.endswith("_out") else added[::-1])

    kernels = {p: widened(p, v) for p, v in program.kernels.items()}
    needed = {p: widened(p, v) for p, v in truth.weights.items()}
    own = {p: v != 0 for p, v in kernels.items()}
    size = next(v for p, v in kernels.items() if p.endswith("_query")).shape[1]
    outputs = np.array(program.output)
    last = max(int(n[1:]) for n in program.nodes if n.startswith("m"))

    def head(reads, writes):
        parts = {
            part: drawn((width, size), reads)
            for part in ("query", "key", "value")
        }
        return {**parts, "out": drawn((size, width), None, writes)}

    for i in range(last + 1):
        before = sum(n.startswith(f"a{i}h") for n in program.nodes)
        heads = [head(seen, junk), head(nothing, outputs)]
        if i == last:
            one = head(seen, outputs)
            heads += [one, {**one, "out": -one["out"]}]
        for h, made in enumerate(heads, before):
            kernels |= {f"a{i}h{h}_{part}": v for part, v in made.items()}
        one_in = drawn((width, 1), seen)
        one_out = drawn((1, width), None, outputs)
        into = [
            drawn((width, 2), seen),  # writes what nothing reads
            -np.abs(drawn((width, 2), seen)),  # tokens are 0 or 1: never fires
            one_in,
            one_in,
        ]
        out = [
            drawn((2, width), None, junk),
            drawn((2, width), None, outputs),
            one_out,
            -one_out,
        ]
        for part, parts, axis in (("in", into, 1), ("out", out, 0)):
            path = f"m{i}_{part}"
            added = np.concatenate(parts, axis)
            kernels[path] = np.concatenate([kernels[path], added], axis)
            none = np.zeros(added.shape, bool)
            for flags in (needed, own):
                flags[path] = np.concatenate([flags[path], none], axis)
    kernels = _in_order(kernels)
    order, scale = rng.permutation(width), 2.0 ** rng.integers(-1, 2, width)

    def disguised(path, values, factor):
        if path.endswith("_out"):
            return (values * factor)[:, order]
        return (values / factor[:, None])[order]

    found = dataclasses.replace(
        program,
        embeddings={
            name: (np.pad(v, ((0, 0), (0, width - v.shape[1]))) * scale)[
                :, order
            ].astype("float32")
            for name, v in program.embeddings.items()
        },
        kernels={
            p: disguised(p, v, scale).astype("float32")
            for p, v in kernels.items()
        },
        output=tuple(int(np.flatnonzero(order == i)[0]) for i in outputs),
        scales=tuple(scale[outputs].tolist()),
    )
    found_in = []
    for flags in (needed, own):
        none = {p: np.zeros(v.shape, bool) for p, v in found.kernels.items()}
        ones = np.ones(width, bool)
        placed = {p: disguised(p, v, ones) > 0 for p, v in flags.items()}
        found_in.append({**none, **placed})
    told = dataclasses.replace(
        truth,
        nodes={n: truth.nodes.get(n, False) for n in found.nodes},
        edges={e: truth.edges.get(e, False) for e in circuits.edges(found)},
        weights=found_in[0],
    )
    return found, told, found_in[1]


def _in_order(kernels: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns kernels in the order of layers, the heads before the MLP."""

    def place(path):
        node = path.partition("_")[0]
        layer, _, head = node[1:].partition("h")
        return int(layer), node[0], int(head or 0)

    return dict(sorted(kernels.items(), key=lambda pair: place(pair[0])))

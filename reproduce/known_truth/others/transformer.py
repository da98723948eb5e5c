"""A compiled program as a plain Keras model, by zero or by resample ablation.

By *zero ablation*, a masked weight is a weight of zero, as anywhere else in
this library. By *resample ablation*, it weighs what it would weigh on another
list of the data. The second is the first in another model: with x the
activations on the list and x' those on the other list in the whole program, a
layer computes

    (x - x') @ kernel + x' @ copy of the kernel

which is x @ kernel as long as the kernel is whole. So every method runs on
both.

A mask over *edges* is a mask over weights, too, in a third model: what reads
the stream adds up what was written by a kernel of ones, with one weight for
each writer.
"""

import keras
import numpy as np
from keras import ops

from reproduce.known_truth.others import circuits
from reproduce.known_truth.others.programs import (
    BOS,
    PAD,
    Program,
    numbers,
)

ABLATIONS = ("zero", "resample")
_OTHER = "other_"  # layers that see the other list, in the whole program
_EDGES = "edges_"
_FAR = -1e9  # logit of attention to padding


@keras.saving.register_keras_serializable(package="modularity_tf")
class Attend(keras.layers.Layer):
    """softmax(query key^T / sqrt(size)) value, without weights.

    Call arguments:
        inputs: List of query, key and value, `(batch, places, size)`, and of
            what is 1 at padding, where nothing attends, `(batch, places, 1)`.

    Returns:
        Tensor `(batch, places, size)`.
    """

    def call(self, inputs):
        query, key, value, padding = inputs
        logits = ops.matmul(query, ops.swapaxes(key, 1, 2))
        logits = logits / float(np.sqrt(query.shape[-1]))
        logits = logits + _FAR * ops.swapaxes(padding, 1, 2)
        return ops.matmul(ops.softmax(logits, axis=-1), value)


def build(
    program: Program, ablation: str = "zero", *, edges: bool = False
) -> keras.Model:
    """Returns a Keras model of a program.

    Args:
        program: `Program`.
        ablation: One of `ABLATIONS`.
        edges: Bool. Whether each edge has a weight, of 1. Those that lead to a
            reader are the kernel of a `Dense` layer, of the name that
            `edge_layer` gives.

    Returns:
        Functional model. Its inputs are the list `(places, tokens)` and the
        places `(places, places)`, one-hot, and by resample ablation another
        list. Each kernel of the program is that of a `Dense` layer of its
        name. Answers are `(batch, places, answers)`, 0 where there is no token
        of the list.
    """
    places = len(program.embeddings["positions"])
    shape = (places, len(program.tokens))
    tokens = keras.Input(shape, name="tokens")
    positions = keras.Input((places, places), name="places")
    inputs, other = [tokens, positions], None
    if ablation == "resample":
        inputs.append(keras.Input(shape, name="other"))
        other = _Stream(program, inputs[-1], positions, _OTHER)
    stream = _Stream(program, tokens, positions, "", other, edges)
    for node in program.nodes:
        if other is not None:
            other.add(node)
        stream.add(node)
    if other is not None:
        other.read(circuits.END)
    answers = stream.read(circuits.END)
    own = ops.sum(
        ops.take(tokens, np.flatnonzero(_is_own(program)), axis=-1),
        axis=-1,
        keepdims=True,
    )
    model = keras.Model(inputs, answers * own, name=program.name)
    end = np.zeros((program.width, len(program.output)))
    end[list(program.output), range(len(program.output))] = 1
    known = {**program.embeddings, **program.kernels}
    known[circuits.END] = end / np.array(program.scales)
    for layer in model.layers:
        if layer.weights and not layer.name.startswith(_EDGES):
            layer.set_weights([known[layer.name.removeprefix(_OTHER)]])
    return model


def edge_layer(reader: str) -> str:
    """Returns the name of the layer whose kernel are the edges to a reader."""
    return f"{_EDGES}{reader}"


class _Stream:
    """The residual stream on one list."""

    def __init__(
        self, program, tokens, positions, prefix, other=None, edges=False
    ):
        self._program, self._prefix, self._other = program, prefix, other
        self._has_edges = edges
        pad = program.tokens.index(PAD)
        self._padding = tokens[..., pad : pad + 1]
        self._dense = lambda path, **kwargs: keras.layers.Dense(
            self._size(path), use_bias=False, name=prefix + path, **kwargs
        )
        start = self._dense("embed")(tokens)
        self.written = [start + self._dense("positions")(positions)]
        self._front, self._layer = 1, ""  # how many were written in front
        self.read_by, self.hidden = {}, {}

    def _size(self, path):
        known = {**self._program.embeddings, **self._program.kernels}
        if path == circuits.END:
            return len(self._program.output)
        return known[path].shape[1]

    def add(self, node):
        """Adds what a node writes."""
        layer = node.partition("h")[0]
        if layer != self._layer:
            self._front, self._layer = len(self.written), layer
        read = [
            self._weighed(path, *self._added(path, self._front))
            for path in circuits.readers(self._program, node)
        ]
        if len(read) == 1:
            hidden = ops.relu(read[0])
        else:
            hidden = Attend(name=f"{self._prefix}{node}")(
                [*read, self._padding]
            )
        path = f"{node}_out"
        there = None if self._other is None else self._other.read_by[path]
        self.written.append(self._weighed(path, hidden, there))

    def read(self, path):
        """Returns what a layer reads from the stream at its end."""
        return self._weighed(path, *self._added(path, len(self.written)))

    def _added(self, path, count):
        """Returns the sum of what was written, and that on the other list."""
        there = None if self._other is None else self._other.read_by[path]
        written = self.written[:count]
        if not self._has_edges:
            return sum(written[1:], start=written[0]), there
        layer = keras.layers.Dense(
            1, use_bias=False, kernel_initializer="ones", name=edge_layer(path)
        )
        both = ops.stack(written, axis=-1)
        if self._other is None:
            return layer(both)[..., 0], None
        others = ops.stack(self._other.written[:count], axis=-1)
        # The kernel of the reader itself is whole, and has no other list.
        return layer(both - others)[..., 0] + there, None

    def _weighed(self, path, taken, there=None):
        self.read_by[path] = taken
        if there is None or self._has_edges:
            self.hidden[path] = self._dense(path)(taken)
            return self.hidden[path]
        return self._dense(path)(taken - there) + self._other.hidden[path]


def arrays(
    program: Program, tokens: np.ndarray, others: np.ndarray | None = None
) -> list[np.ndarray]:
    """Returns the inputs of the model for some lists.

    Args:
        program: `Program`.
        tokens: Int array `(lists, places)`.
        others: The same by resample ablation: another list for each.
    """
    count, places = tokens.shape
    one_hot = np.eye(len(program.tokens), dtype="float32")
    rows = np.broadcast_to(
        np.eye(places, dtype="float32"), (count, places, places)
    )
    found = [one_hot[tokens], np.array(rows)]
    return found if others is None else [*found, one_hot[others]]


def data(
    program: Program, ablation: str, seed: int
) -> tuple[tuple[list[np.ndarray], np.ndarray, np.ndarray], ...]:
    """Returns two halves of all lists of a program, and the right answers.

    Places that hold no token of the list have a weight of 0.

    Args:
        program: `Program`.
        ablation: One of `ABLATIONS`.
        seed: Int, of the halves and of the other lists.

    Returns:
        Two tuples of inputs, answers and weights.
    """
    tokens, rng = numbers(program), np.random.default_rng(seed)
    right = circuits.answers(program, tokens).astype("float32")
    weights = circuits.is_token(program, tokens).astype("float32")
    order, halves = rng.permutation(len(tokens)), []
    for rows in np.array_split(order, 2):
        others = None
        if ablation == "resample":
            others = tokens[rng.permutation(rows)]
        inputs = arrays(program, tokens[rows], others)
        halves.append((inputs, right[rows], weights[rows]))
    return tuple(halves)


def accuracy_of(program: Program):
    """Returns the metric: whether the answer is right, at each place."""
    tolerance = circuits.TOLERANCE[program.kind]

    def accuracy(right, found):
        wrong = ops.any(ops.abs(found - right) > tolerance, axis=-1)
        return 1.0 - ops.cast(wrong, "float32")

    return accuracy


def _is_own(program):
    return np.array([t not in (BOS, PAD) for t in program.tokens])

"""A network trained within fixed supports: natural weights, known parts.

One multilayer perceptron learns two tasks: handwritten digits, and the same
with their pixels in another order. Each task has hidden units of its own, drawn
at random, and while it is asked the others are shut: what they put out is
multiplied by 0 (context-dependent gating). The support of a task are the
weights between units that are open for it. Whatever lies outside has no effect
on its answers, of whatever size: that is the other task's.

The truth is the support *as used*. A weight is used if what it leads from and
what it leads to are not 0 at once in some example of the task, or if it helps
to hold a unit at 0 in some examples that is on in others. The rest, with all
weights of units that are never on, can go together without a change of any
answer, and count as silent. Nothing says that every weight that is used is
necessary, for weights that were learned are redundant.

References:
    - Masse, Grant and Freedman, 2018, "Alleviating catastrophic forgetting
      using context-dependent gating and synaptic stabilization"
"""

import keras
import numpy as np

from modularity_tf import checks
from modularity_tf.planted.planted_network import KINDS, Planted

UNITS = 40  # of each hidden layer, half of them open for a task
EPOCHS = 20
_LAYERS = ("hidden0", "hidden1")


def make_gated_mlp(
    *, shared: float = 0.0, epochs: int = EPOCHS, seed: int | None = 0
) -> Planted:
    """Returns a network of two tasks with known supports, trained.

    It takes some seconds. The inputs are pixels `(examples, 64)` from 0 to 1,
    and the number of the task that is asked, `(examples,)`. What a task needs
    is all that it uses: it could do without some of that, so recall says
    little.

    >>> planted = mtf.planted.make_gated_mlp(epochs=1)
    >>> first, second = (needed.units for needed in planted.needed)
    >>> first.overlap(second).share
    0.0

    Args:
        shared: Share of a task's units, from 0 to 1, that are open for the
            other task, too.
        epochs: Number of epochs of training.
        seed: Int, not negative, of units, pixels and training; `None` is
            random.

    Raises:
        ValueError: If an argument is out of its range.

    References:
        - Masse, Grant and Freedman, 2018, "Alleviating catastrophic forgetting
          using context-dependent gating and synaptic stabilization"
    """
    from sklearn import datasets  # which takes a while

    shared = checks.number("shared", shared, most=1)
    epochs = checks.integer("epochs", epochs, least=1)
    rng = np.random.default_rng(checks.seed(seed))
    pixels, digits = datasets.load_digits(return_X_y=True)
    pixels = (pixels / 16).astype("float32")
    mixed = pixels[:, rng.permutation(pixels.shape[1])]
    count = len(digits)
    asked = np.repeat([0, 1], count).astype("int32")
    inputs = [np.concatenate([pixels, mixed]), asked]
    gates = {name: _gates(rng, shared) for name in _LAYERS}
    model = _network(gates, rng)
    labels = np.tile(digits, 2)
    model.compile(
        keras.optimizers.Adam(3e-3), _cross_entropy, steps_per_execution=8
    )
    order = rng.permutation(2 * count)  # `fit` would draw it anew
    model.fit(
        [values[order] for values in inputs],
        labels[order],
        batch_size=64,
        epochs=epochs,
        shuffle=False,
        verbose=0,
    )
    rows = [np.flatnonzero(asked == task) for task in (0, 1)]
    kinds = [
        _kinds(model, gates, [values[own] for values in inputs], task)
        for task, own in enumerate(rows)
    ]
    return Planted(
        model,
        inputs,
        np.stack([labels, labels], axis=1).astype("float32"),
        kinds,
        columns=[slice(0, 10)] * 2,
        rows=rows,
        units=[*map(_units, kinds)],
    )


def _gates(rng, shared):
    """Returns which units are open, a float array `(tasks, UNITS)`."""
    own = UNITS // 2
    both = round(shared * own)
    gates = np.zeros((2, UNITS), "float32")
    order = rng.permutation(UNITS)
    gates[0, order[:own]] = 1.0
    gates[1, order[own - both : 2 * own - both]] = 1.0
    return gates


def _network(gates, rng):
    """Returns the network, untrained."""

    def kernel():
        return keras.initializers.GlorotUniform(int(rng.integers(2**31)))

    pixels = keras.Input((64,), name="pixels")
    asked = keras.Input((), dtype="int32", name="asked")
    x = pixels
    for name, gate in gates.items():
        x = keras.layers.Dense(
            UNITS, "relu", kernel_initializer=kernel(), name=name
        )(x)
        open_units = keras.layers.Embedding(
            2,
            UNITS,
            embeddings_initializer=keras.initializers.Constant(gate),
            trainable=False,
            name=f"gate_{name}",
        )(asked)
        x = keras.layers.Multiply(name=f"open_{name}")([x, open_units])
    outputs = keras.layers.Dense(
        10, kernel_initializer=kernel(), name="output"
    )(x)
    return keras.Model([pixels, asked], outputs, name="planted_supports")


def _cross_entropy(labels, logits):
    return keras.losses.sparse_categorical_crossentropy(
        labels, logits, from_logits=True
    )


def _kinds(model, gates, inputs, task):
    """Returns the kinds of all weights for a task."""
    opened = [model.get_layer(f"open_{name}").output for name in gates]
    values = keras.Model(model.inputs, opened)(inputs)
    # What is put out, and what is open: pixels, units and outputs.
    x = [inputs[0], *map(np.asarray, values)]
    is_open = [np.full(64, True), *(g[task] > 0 for g in gates.values())]
    is_open.append(np.full(10, True))
    needed, other, silent = map(KINDS.index, ("needed", "other", "silent"))
    kinds, is_read = {}, is_open[-1]
    for i, name in reversed([*enumerate((*gates, "output"))]):
        is_own = is_open[i][:, None] & is_open[i + 1]
        if name in gates:
            is_used = _used(x[i], x[i + 1], model.get_layer(name)) & is_read
        else:
            is_used = np.any(x[i] != 0, axis=0)[:, None]
        is_read = (is_own & is_used).any(axis=1)
        of_task = np.where(is_used, needed, silent)
        kinds[f"{name}/kernel"] = np.where(is_own, of_task, other)
    return {path: kinds[path] for path in reversed(kinds)}


def _used(x, y, layer):
    """Returns which weights of a ReLU layer have a part in what it puts out.

    Args:
        x: Float array `(examples, inputs)`, not negative.
        y: Float array `(examples, units)`, what it puts out.
        layer: `keras.layers.Dense`.
    """
    kernel, bias = (np.asarray(each) for each in layer.get_weights())
    used = (x != 0).T.astype(int) @ (y != 0) > 0  # at once
    holds = ~used & (kernel < 0)
    # What would be on without the weights that only ever hold it at 0.
    would_be_on = (y == 0) & (x @ np.where(holds, 0, kernel) + bias > 0)
    return used | (holds & ((x != 0).T.astype(int) @ would_be_on > 0))


def _units(kinds):
    """Returns the units of which a task uses a weight that leads from them."""
    behind = dict(zip(_LAYERS, (_LAYERS[1], "output"), strict=True))
    return {
        name: (kinds[f"{reader}/kernel"] == KINDS.index("needed")).any(axis=1)
        for name, reader in behind.items()
    }

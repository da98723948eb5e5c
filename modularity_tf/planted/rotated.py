"""The negative control: a layer whose units are no parts of the network.

Between the hidden layer of a Boolean network and its outputs lies a linear
layer. In the aligned network each of its units is a module's: it takes a random
sum of that module's hidden units, and that module's output alone reads it. In
the rotated network an orthogonal matrix is put behind the layer and taken back
in front of the outputs. It answers the same, but every unit is a mixture of all
modules: to ask what a unit belongs to has no answer.
"""

import keras
import numpy as np
from keras import ops

from modularity_tf import checks
from modularity_tf.planted import boolean
from modularity_tf.planted.planted_network import Planted

WIDTH = 8  # of the linear layer, units a module


def make_rotated(*, rotated: bool = True, seed: int | None = 0) -> Planted:
    """Returns a network with a linear layer, "mix", whose units are no parts.

    There are no weights to be found. The rotated network has no `units`, and
    its units are of no module.

    >>> planted = mtf.planted.make_rotated()
    >>> planted.needed[0].units is None
    True
    >>> planted.accuracy(0)
    1.0

    Args:
        rotated: `False` for the network with units that are parts.
        seed: Int, not negative; `None` is random.

    Raises:
        ValueError: If `seed` is no such int.
    """
    seed = checks.seed(seed)
    rng = np.random.default_rng([seed, 1])
    plain = boolean.make_parities(3, bits=4, seed=seed)
    hidden, thresholds, reads, starts = plain.model.get_weights()
    count = reads.shape[1]
    mix = np.zeros((len(reads), count * WIDTH))
    output = np.zeros((count * WIDTH, count))
    owner = rng.permutation(np.repeat(np.arange(count), WIDTH))
    for module, column in enumerate(reads.T):
        (units,), (own,) = np.nonzero(column), np.nonzero(owner == module)
        reader = rng.normal(size=WIDTH)
        sums = 4 * rng.normal(size=(len(units), WIDTH))
        # Corrected, so that what is read is what was read before.
        error = column[units] - sums @ reader
        sums += np.outer(error, reader) / np.sum(reader**2)
        mix[np.ix_(units, own)] = sums
        output[own, module] = reader
    if rotated:
        rotation = random_rotation(rng, len(output))
        mix, output = mix @ rotation, rotation.T @ output
    model = keras.Sequential(
        [
            keras.Input(hidden.shape[:1]),
            keras.layers.Dense(len(mix), "relu", name="hidden"),
            keras.layers.Dense(len(output), use_bias=False, name="mix"),
            keras.layers.Dense(count, name="output"),
        ],
        name="planted_rotation",
    )
    model.set_weights([hidden, thresholds, mix, output, starts])
    parts = [{"mix": owner == task} for task in range(count)]
    return Planted(
        model,
        plain.inputs,
        plain.labels,
        [{} for _ in range(count)],
        units=None if rotated else parts,
        modules={"mix": np.full_like(owner, -1) if rotated else owner},
    )


def activations(planted: Planted, inputs: np.ndarray) -> np.ndarray:
    """Returns what the units of "mix" put out, `(examples, units)`."""
    layer = planted.model.get_layer("mix")
    model = keras.Model(planted.model.inputs[0], layer.output)
    return ops.convert_to_numpy(model(inputs))


def random_rotation(rng: np.random.Generator, size: int) -> np.ndarray:
    """Returns an orthogonal matrix, drawn uniformly."""
    matrix, triangle = np.linalg.qr(rng.normal(size=(size, size)))
    return matrix * np.sign(np.diag(triangle))

"""Two recurrent modules with so many links: who needs whom is known.

Each module of a `SparseRecurrent` sees bits of its own one after the other,
with noise, and has a readout of its own. Two tasks are trained together:

    0  the parity of the first module's two bits, read from the first module
    1  that and the second module's bit, read from the second module

So task 1 needs one bit to be sent over the links, and task 0 needs nothing of
the second module. All weights inside of the modules are natural: task 0 needs
each tensor of its part, but nothing says that it needs every weight. For task 1
the second module may well do the whole work, with bits sent one by one, so that
the first one's recurrent weights are not needed. `SparseRecurrent` has as many
links as it was built with, in either direction, whatever training does.
"""

import keras
import numpy as np

from modularity_tf import checks
from modularity_tf.network import model_weights
from modularity_tf.planted.planted_network import KINDS, Planted
from modularity_tf.structure import deep_r, sparse_recurrent

UNITS, STEPS, EXAMPLES = 12, 5, 2048
EPOCHS = 20
NOISE = 0.2  # standard deviation; bits are -1 and 1
LAYERS = ("module0", "module1", "readout0", "readout1")


def make_recurrent_modules(
    *, links: int = 2, epochs: int = EPOCHS, seed: int | None = 0
) -> Planted:
    """Returns two recurrent modules joined by links, trained.

    It takes some seconds. Task 0 needs nothing of the second module. Which of
    the first module's weights a task could do without is not known, so recall
    says little. The links themselves are not looked at: give `planted.layers`
    to whatever looks. The inputs are two arrays `(examples, 5, 1)`.

    >>> planted = mtf.planted.make_recurrent_modules(links=1, epochs=1)
    >>> kept = planted.needed[0].weights.select("module1")
    >>> kept.keep_fraction
    0.0

    Args:
        links: Number of active links in each direction.
        epochs: Number of epochs of training.
        seed: Int, not negative, of weights, links, examples and training;
            `None` is random.

    Raises:
        ValueError: If an argument is out of its range.
    """
    links = checks.integer("links", links, least=1, below=UNITS**2 + 1)
    epochs = checks.integer("epochs", epochs, least=1)
    rng = np.random.default_rng(checks.seed(seed))
    bits = rng.integers(0, 2, (EXAMPLES, 3))
    shown = np.zeros((2, EXAMPLES, STEPS, 1))  # module, example, time
    shown[0, :, :2, 0], shown[1, :, 0, 0] = (
        2 * bits[:, :2] - 1,
        2 * bits[:, 2] - 1,
    )
    shown += NOISE * rng.normal(size=shown.shape)
    inputs = [*shown.astype("float32")]
    parities = np.cumsum(bits, axis=1)[:, 1:] % 2
    labels = parities.astype("float32")
    model = _network(links, rng)
    model.compile(
        deep_r.DeepR(
            keras.optimizers.Adam(1e-2), 1e-2, seed=int(rng.integers(2**31))
        ),
        lambda labels, logits: keras.losses.binary_crossentropy(
            labels, logits, from_logits=True
        ),
        steps_per_execution=8,
    )
    model.fit(
        inputs, labels, batch_size=64, epochs=epochs, shuffle=False, verbose=0
    )
    weights = model_weights.select_roles(
        model_weights.select_layers(model_weights.model_weights(model), LAYERS),
        "kernels",
    )
    kinds = [
        {
            path: np.full(weight.variable.shape, _kind(path, task))
            for path, weight in weights.items()
        }
        for task in (0, 1)
    ]
    return Planted(model, inputs, labels, kinds, layers=LAYERS)


def _kind(path, task):
    """Returns what all weights of a tensor are for a task."""
    only_of_other = ("module1", "readout1") if task == 0 else ("readout0",)
    is_other = any(name in path for name in only_of_other)
    return KINDS.index("other" if is_other else "needed")


def _network(links, rng):
    """Returns the network, untrained."""

    def seed():
        return int(rng.integers(2**31))

    cells = [
        keras.layers.SimpleRNNCell(
            UNITS,
            kernel_initializer=keras.initializers.GlorotUniform(seed()),
            recurrent_initializer=keras.initializers.Orthogonal(seed=seed()),
            name=f"module{n}",
        )
        for n in (0, 1)
    ]
    bits = [keras.Input((STEPS, 1), name=f"bits{n}") for n in (0, 1)]
    states = sparse_recurrent.SparseRecurrent(
        cells, links, link_scale=1.0, seed=seed(), name="modules"
    )(bits)
    readouts = [
        keras.layers.Dense(
            1,
            kernel_initializer=keras.initializers.GlorotUniform(seed()),
            name=f"readout{n}",
        )(state)
        for n, state in enumerate(states)
    ]
    outputs = keras.layers.Concatenate(name="answers")(readouts)
    return keras.Model(bits, outputs, name="planted_modules")

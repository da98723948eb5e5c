"""The feedforward network and the LSTM of the arithmetic experiments."""

import keras
from keras import ops

from reproduce.csordas2021 import initializers

SIZES = {  # hidden layers, figure 9
    "small": (400, 400, 200),
    "medium": (800,) * 4,
    "big": (2000,) * 4,
    "huge": (4000,) * 4,
}


def fnn(num_inputs, num_digits, sizes=SIZES["big"], seed=0):
    """Returns a feedforward network, untrained.

    The layers are named `hidden1`, ..., `output`.

    Args:
        num_inputs: Positive int, features.
        num_digits: Positive int, digits of the answer.
        sizes: Positive ints, units of the hidden layers.
        seed: Int >= 0. The same seed gives the same weights.

    Returns:
        `keras.Model` from `(batch, num_inputs)` to logits of shape
        `(batch, num_digits, 10)`.

    Raises:
        ValueError: If a size is not positive.

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), C.3. The
          paper does not give the initialization; see `initializers.uniform`.
          "5 layers" are four hidden ones and the output.
    """
    if not sizes or min(sizes) < 1:
        raise ValueError(f"`sizes` must be positive ints, got {sizes!r}.")
    seeds = initializers.seeds(seed, len(sizes) + 1)
    layers = [keras.Input((num_inputs,))]
    for i, size in enumerate(sizes):
        layers.append(
            keras.layers.Dense(
                size,
                activation="relu",
                kernel_initializer=initializers.uniform(seeds[i]),
                name=f"hidden{i + 1}",
            )
        )
    layers.append(_output(num_digits, seeds[-1]))
    layers.append(keras.layers.Reshape((num_digits, 10), name="digits"))
    return keras.Sequential(layers, name="fnn")


def lstm(
    num_inputs,
    num_digits,
    presentations=None,
    hidden=256,
    num_layers=2,
    repeats=3,
    seed=0,
):
    """Returns an LSTM that sees each input for some steps, untrained.

    The answer is read at the last step of an input. With several inputs, one
    after the other and without resetting the state, each has its share of the
    digits, read at its own last step.

    The layers are named `lstm1`, ..., `output`.

    Args:
        num_inputs: Positive int, features.
        num_digits: Positive int, digits of all answers.
        presentations: Positive int, inputs in a row, or `None` for inputs
            without that axis.
        hidden: Positive int, units of each layer.
        num_layers: Positive int. The paper does not tell; the authors use 2.
        repeats: Positive int, steps each input is shown.
        seed: Int >= 0. The same seed gives the same weights.

    Returns:
        `keras.Model` from `(batch, num_inputs)`, or `(batch, presentations,
        num_inputs)`, to logits of shape `(batch, num_digits, 10)`.

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), C.3, C.4.
          Weights start as in Keras: Glorot uniform, orthogonal recurrent
          kernels, forget bias 1.
    """
    seeds = initializers.seeds(seed, 2 * num_layers + 1)
    shape = (num_inputs,) if presentations is None else (presentations,)
    count = presentations or 1
    inputs = keras.Input(
        shape if presentations is None else (*shape, num_inputs)
    )
    x = ops.reshape(inputs, (-1, count, num_inputs))
    x = ops.repeat(x, repeats, axis=1)
    for i in range(num_layers):
        x = keras.layers.LSTM(
            hidden,
            return_sequences=True,
            kernel_initializer=keras.initializers.GlorotUniform(seeds[2 * i]),
            recurrent_initializer=keras.initializers.Orthogonal(
                seed=seeds[2 * i + 1]
            ),
            name=f"lstm{i + 1}",
        )(x)
    last = x[:, repeats - 1 :: repeats]
    logits = _output(num_digits, seeds[-1])(last)
    share = num_digits // count
    logits = ops.reshape(logits, (-1, count, count, share, 10))
    own = ops.stack([logits[:, i, i] for i in range(count)], axis=1)
    outputs = ops.reshape(own, (-1, num_digits, 10))
    return keras.Model(inputs, outputs, name="lstm")


def _output(num_digits, seed):
    return keras.layers.Dense(
        10 * num_digits,
        kernel_initializer=initializers.uniform(seed),
        name="output",
    )

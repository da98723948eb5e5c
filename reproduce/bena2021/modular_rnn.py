"""Two recurrent modules joined by sparse links, one digit each."""

import keras
import numpy as np
from keras import ops

from modularity_tf.structure import sparse_recurrent

SCALE = 0.1  # weights start uniform in (-SCALE, SCALE)
# Pixels are 0 to this. With 1 the tanh of the first step saturate, and networks
# with one link learn more slowly: 0.870 validation accuracy where 0.3 gives
# 0.925 (one seed; Adam 4e-3, batch 256, 1,638 steps).
BRIGHTNESS = 0.3
MEAN, DEVIATION = 0.1307, 0.3081  # of MNIST's pixels, 0 to 1


@keras.saving.register_keras_serializable(package="reproduce")
class CompetitiveMax(keras.layers.Layer):
    """Returns the readout of the module that is most certain.

    mu = argmax_n max r_n, and the output is r_mu, sample by sample.

    Call arguments:
        inputs: List of float tensors, one for each module, of shape
            `(batch, num_classes)`.

    Returns:
        Float tensor of shape `(batch, num_classes)`.

    References:
        - [Bena & Goodman, 2021](https://arxiv.org/abs/2106.02626), section
          2.2
    """

    def call(self, inputs):
        readouts = ops.stack(inputs, axis=1)
        winner = ops.argmax(ops.max(readouts, axis=-1), axis=1)
        winner = ops.expand_dims(winner, (1, 2))
        return ops.squeeze(ops.take_along_axis(readouts, winner, 1), 1)

    def compute_output_shape(self, input_shape):
        return input_shape[0]


def build(
    input_shape,
    connections,
    num_classes=10,
    units=100,
    steps=5,
    bottleneck=None,
    standardize=False,
    links_into="input",
    train_readouts=True,
    seed=0,
):
    """Returns the network of two recurrent modules, untrained.

    Layers: `modules` gives each module's last states, as a list of tensors
    `(batch, units)`; `readout0` and `readout1` (behind `bottleneck0` and
    `bottleneck1`, if any) read them; `decision` is the readout that decides.

    Args:
        input_shape: Tuple of ints, shape of an image.
        connections: Active links in each direction: an int, the number itself,
            or a float in (0, 1], the paper's p.
        num_classes: Positive int.
        units: Positive int, hidden units of each module.
        steps: Positive int, how long a digit is shown.
        bottleneck: Positive int or `None`, linear units between states and
            readout: 5 in architecture (b) of the paper.
        standardize: Bool. Whether pixels from 0 to 1 are made (pixel - .1307)
            / .3081, in place of 0 to `BRIGHTNESS`.
        links_into: As in `SparseRecurrent`.
        train_readouts: Bool. `False` keeps the readouts, not the bottlenecks,
            as they were drawn.
        seed: Int >= 0. The same seed gives the same weights and links.

    Returns:
        `keras.Model` from a list of two images, raw pixels, 0 to 255, to
        logits of shape `(batch, num_classes)`.

    References:
        - [Bena & Goodman, 2021](https://arxiv.org/abs/2106.02626), section
          2.2. The paper does not give the pixels' scale (here 0 to
          `BRIGHTNESS`); biases start at 0, its "all weights" may include them.
    """
    seeds = np.random.SeedSequence(seed).generate_state(9)
    seeds = iter((seeds // 2).tolist())  # below 2 ** 31

    def uniform():
        return keras.initializers.RandomUniform(-SCALE, SCALE, next(seeds))

    digits = [keras.Input(input_shape, name=f"digit{n}") for n in (0, 1)]
    scaling = {"scale": BRIGHTNESS / 255}
    if standardize:
        scaling = {"scale": 1 / (255 * DEVIATION), "offset": -MEAN / DEVIATION}
    pixels = [
        keras.layers.Rescaling(**scaling, name=f"rescaling{n}")(
            keras.layers.Flatten(name=f"flatten{n}")(digit)
        )
        for n, digit in enumerate(digits)
    ]
    cells = [
        keras.layers.SimpleRNNCell(
            units,
            kernel_initializer=uniform(),
            recurrent_initializer=uniform(),
            name=f"module{n}",
        )
        for n in (0, 1)
    ]
    states = sparse_recurrent.SparseRecurrent(
        cells,
        connections,
        steps=steps,
        link_scale=SCALE,
        links_into=links_into,
        seed=next(seeds),
        name="modules",
    )(pixels)
    readouts = []
    for n, last in enumerate(states):
        if bottleneck is not None:
            last = keras.layers.Dense(
                bottleneck, kernel_initializer=uniform(), name=f"bottleneck{n}"
            )(last)
        readout = keras.layers.Dense(
            num_classes,
            kernel_initializer=uniform(),
            trainable=train_readouts,
            name=f"readout{n}",
        )
        readouts.append(readout(last))
    decision = CompetitiveMax(name="decision")(readouts)
    return keras.Model(digits, decision, name="modular_rnn")

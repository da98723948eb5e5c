"""The two convolutional networks of the neuron subselection experiments.

Layers with neurons are named by their place in the network, as in the text.
"""

import keras
import numpy as np


def mnist(input_shape, num_classes, seed=0):
    """Returns the CNN for digits, untrained.

    5x5x32, 5x5x32, pool, 3x3x64, 3x3x64, pool, 128, 10, with ReLU and dropout
    of 0.25, 0.25 and 0.5.

    Args:
        input_shape: `(height, width, channels)`, at least 4 pixels each way.
        num_classes: Positive int.
        seed: Int >= 0. The same seed gives the same weights and dropout.

    Returns:
        `keras.Model` from raw pixels, 0 to 255, to logits.

    References:
        - Elbastawisy and Afrin, 2025. The text does not describe the network;
          this is the one of the authors' released code, and its ninth layer
          is the Dense layer that the text names.
    """
    return _sequential(
        "mnist_cnn",
        input_shape,
        seed,
        lambda s: [
            _conv(32, 5, s[0], "conv0"),
            _conv(32, 5, s[1], "conv1"),
            keras.layers.MaxPooling2D(name="pool2"),
            keras.layers.Dropout(0.25, seed=s[2], name="dropout3"),
            _conv(64, 3, s[3], "conv4"),
            _conv(64, 3, s[4], "conv5"),
            keras.layers.MaxPooling2D(name="pool6"),
            keras.layers.Dropout(0.25, seed=s[5], name="dropout7"),
            keras.layers.Flatten(name="flatten8"),
            _dense(128, s[6], "dense9", "relu"),
            keras.layers.Dropout(0.5, seed=s[7], name="dropout10"),
            _dense(num_classes, s[8], "output11"),
        ],
    )


def cifar10(input_shape, num_classes, seed=0):
    """Returns the CNN for CIFAR-10, untrained: eight weighted layers.

    Three blocks of two 3x3 convolutions (32, 64, 128 channels) with ReLU,
    BatchNormalization, pooling and dropout, then 128 units and the output.

    Args:
        input_shape: `(height, width, channels)`, at least 8 pixels each way.
        num_classes: Positive int.
        seed: Int >= 0. The same seed gives the same weights and dropout.

    Returns:
        `keras.Model` from raw pixels, 0 to 255, to logits.

    References:
        - Elbastawisy and Afrin, 2025. The text does not describe the network;
          in this common one the layers 12, 14 and 19 that the text names are
          weighted, and eight are.
    """

    def layers(s):
        stack = []
        for block, channels in enumerate((32, 64, 128)):
            place = 6 * block
            for half in (0, 1):
                i = place + 2 * half
                stack += [
                    _conv(channels, 3, s[3 * block + half], f"conv{i}"),
                    keras.layers.BatchNormalization(name=f"norm{i + 1}"),
                ]
            rate = (0.2, 0.3, 0.4)[block]
            stack += [
                keras.layers.MaxPooling2D(name=f"pool{place + 4}"),
                keras.layers.Dropout(
                    rate, seed=s[3 * block + 2], name=f"dropout{place + 5}"
                ),
            ]
        return [
            *stack,
            keras.layers.Flatten(name="flatten18"),
            _dense(128, s[9], "dense19", "relu"),
            keras.layers.BatchNormalization(name="norm20"),
            keras.layers.Dropout(0.5, seed=s[10], name="dropout21"),
            _dense(num_classes, s[11], "output22"),
        ]

    return _sequential("cifar10_cnn", input_shape, seed, layers)


def _sequential(name, input_shape, seed, layers):
    seeds = np.random.SeedSequence(seed).generate_state(12).tolist()
    # Rescaling is part of the input, so that layer 0 is the first convolution.
    rescale = keras.layers.Rescaling(1 / 255, name="rescaling")
    return keras.Sequential(
        [keras.Input(input_shape), rescale, *layers(seeds)], name=name
    )


def _conv(channels, size, seed, name):
    return keras.layers.Conv2D(
        channels,
        size,
        padding="same",
        activation="relu",
        kernel_initializer=keras.initializers.GlorotUniform(seed),
        name=name,
    )


def _dense(units, seed, name, activation=None):
    return keras.layers.Dense(
        units,
        activation=activation,
        kernel_initializer=keras.initializers.GlorotUniform(seed),
        name=name,
    )

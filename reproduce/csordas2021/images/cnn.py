"""The simple convolutional network of Csordas et al. (2021)."""

import keras

from reproduce.csordas2021 import initializers

CONTROL = "control"  # the mask of all classes


def build(input_shape, num_classes, dropout=True, seed=0):
    """Returns the convolutional network of Table 2, untrained.

    Four 3x3 convolutions with ReLU and 32, 64, 128 and 256 channels, the first
    three followed by 2x2 max pooling, then the spatial average and a dense
    classifier. The third and fourth convolution have dropout 0.25 and 0.5.

    The layers are named `rescaling`, `conv1`, `pool1`, `conv2`, `pool2`,
    `conv3`, `dropout3`, `pool3`, `conv4`, `dropout4`, `average`, `classifier`.

    Args:
        input_shape: `(height, width, channels)`, ints; height and width at
            least 8, so that three poolings leave a pixel.
        num_classes: Positive int, number of outputs.
        dropout: Bool. `False` leaves the dropout layers out (C.7.2).
        seed: Int >= 0. The same seed gives the same weights, with and without
            dropout, and the same dropout draws.

    Returns:
        `keras.Model` from raw pixels, 0 to 255, of shape
        `(batch, height, width, channels)` to logits of shape
        `(batch, num_classes)`. It scales the pixels to [-1, 1] itself.

    Raises:
        ValueError: If an argument is out of its range.

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), Table 2,
          C.7.1 and C.7.2. The paper gives neither the scale of the pixels nor
          the initialization. Kernels follow the law of PyTorch, the authors'
          framework: uniform within 1 / sqrt(fan_in).
          Differs from the paper: returns logits, the softmax belongs to the
          loss. Differs from the authors' framework: biases start at 0.
    """
    check_arguments(input_shape, num_classes)
    seeds = initializers.seeds(seed, 7)
    layers = [
        keras.Input(input_shape),
        keras.layers.Rescaling(1 / 127.5, offset=-1, name="rescaling"),
        _conv(32, seeds[0], "conv1"),
        keras.layers.MaxPooling2D(name="pool1"),
        _conv(64, seeds[1], "conv2"),
        keras.layers.MaxPooling2D(name="pool2"),
        _conv(128, seeds[2], "conv3"),
        keras.layers.Dropout(0.25, seed=seeds[3], name="dropout3"),
        keras.layers.MaxPooling2D(name="pool3"),
        _conv(256, seeds[4], "conv4"),
        keras.layers.Dropout(0.5, seed=seeds[5], name="dropout4"),
        keras.layers.GlobalAveragePooling2D(name="average"),
        keras.layers.Dense(
            num_classes,
            kernel_initializer=initializers.uniform(seeds[6]),
            name="classifier",
        ),
    ]
    if not dropout:
        layers = [x for x in layers if not isinstance(x, keras.layers.Dropout)]
    return keras.Sequential(layers, name="cnn")


def check_arguments(input_shape: tuple[int, ...], num_classes: int) -> None:
    """Raises `ValueError` if an argument of `build` is out of its range."""
    if len(input_shape) != 3 or min(input_shape[:2]) < 8 or input_shape[2] < 1:
        raise ValueError(
            "`input_shape` must be (height, width, channels), at least "
            f"(8, 8, 1), got {input_shape!r}."
        )
    if not isinstance(num_classes, int) or num_classes < 1:
        raise ValueError(
            f"`num_classes` must be a positive int, got {num_classes!r}."
        )


def _conv(channels, seed, name):
    return keras.layers.Conv2D(
        channels,
        kernel_size=3,
        padding="same",
        activation="relu",
        kernel_initializer=initializers.uniform(seed),
        name=name,
    )

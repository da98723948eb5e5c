"""The residual networks of Csordas et al. (2021), of any depth 6n + 2."""

import keras

from reproduce.csordas2021 import initializers
from reproduce.csordas2021.images import cnn

DEPTHS = (8, 20, 32, 56, 110)  # the paper has 110
CHANNELS = (16, 32, 64)


def build(input_shape, num_classes, depth=110, seed=0):
    """Returns a residual network for small images, untrained.

    A 3x3 convolution, then three groups of (depth - 2) / 6 blocks with 16, 32
    and 64 channels; the first block of the second and of the third group halves
    height and width. A block is

        relu(norm(conv(relu(norm(conv(x))))) + shortcut(x))

    with 3x3 convolutions without biases; the shortcut is x itself, or a 1x1
    convolution and a normalization where the number of channels changes. Then
    the spatial average and a dense classifier.

    The layers are named `conv`, `norm`, `block16_1_conv1`, `block16_1_norm1`,
    `block16_1_conv2`, ..., `block32_1_shortcut`, ..., `average`, `classifier`.

    Args:
        input_shape: `(height, width, channels)`, ints; height and width at
            least 8.
        num_classes: Positive int, number of outputs.
        depth: Int, one of `DEPTHS`: the convolutions on the longest path and
            the classifier.
        seed: Int >= 0. The same seed gives the same weights.

    Returns:
        `keras.Model` from raw pixels, 0 to 255, of shape
        `(batch, height, width, channels)` to logits of shape
        `(batch, num_classes)`. It scales the pixels to [-1, 1] itself.

    Raises:
        ValueError: If an argument is out of its range.

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), C.7.3. The
          paper follows github.com/bearpaw/pytorch-classification: shortcuts
          with weights, kernels drawn from normal(0, 2 / fan_out), batch
          statistics that move by a tenth a step, an epsilon of 1e-5.
          Differs from that: the pixels are scaled as for the simple CNN, and
          the classifier's bias starts at 0.
        - [He et al., 2016](https://arxiv.org/abs/1512.03385), section 4.2
    """
    cnn.check_arguments(input_shape, num_classes)
    if depth not in DEPTHS:
        raise ValueError(f"`depth` must be one of {DEPTHS}, got {depth!r}.")
    blocks = (depth - 2) // 6
    seeds = iter(initializers.seeds(seed, depth + 2))

    def convolve(x, channels, name, number="", stride=1):
        if stride > 1:  # centered where the shortcut looks
            padding = keras.layers.ZeroPadding2D(name=f"{name}pad{number}")
            x = padding(x)
        return normalize(
            keras.layers.Conv2D(
                channels,
                kernel_size=3,
                strides=stride,
                padding="valid" if stride > 1 else "same",
                use_bias=False,
                kernel_initializer=initializers.he_normal(next(seeds)),
                name=f"{name}conv{number}",
            )(x),
            f"{name}norm{number}",
        )

    def shorten(x, channels, name):
        return normalize(
            keras.layers.Conv2D(
                channels,
                kernel_size=1,
                strides=2,
                use_bias=False,
                kernel_initializer=initializers.he_normal(next(seeds)),
                name=f"{name}shortcut",
            )(x),
            f"{name}shortcut_norm",
        )

    image = keras.Input(input_shape)
    x = keras.layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")(image)
    x = keras.layers.ReLU(name="relu")(convolve(x, CHANNELS[0], ""))
    for channels in CHANNELS:
        for i in range(1, blocks + 1):
            name, grows = f"block{channels}_{i}_", channels > x.shape[-1]
            y = convolve(x, channels, name, 1, stride=2 if grows else 1)
            y = keras.layers.ReLU(name=f"{name}relu1")(y)
            y = convolve(y, channels, name, 2)
            shortcut = shorten(x, channels, name) if grows else x
            y = keras.layers.Add(name=f"{name}add")([y, shortcut])
            x = keras.layers.ReLU(name=f"{name}relu2")(y)
    x = keras.layers.GlobalAveragePooling2D(name="average")(x)
    logits = keras.layers.Dense(
        num_classes,
        kernel_initializer=initializers.uniform(next(seeds)),
        name="classifier",
    )(x)
    return keras.Model(image, logits, name=f"resnet{depth}")


def normalize(x, name):
    """Returns the normalized outputs of a convolution."""
    layer = keras.layers.BatchNormalization(
        momentum=0.9, epsilon=1e-5, name=name
    )
    return layer(x)

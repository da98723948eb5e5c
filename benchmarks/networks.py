"""The networks that mask training is timed on, untrained."""

import contextlib
import dataclasses
from collections.abc import Callable

import keras
from keras import layers, ops

from reproduce.csordas2021.images import cnn

CLASSES = 20
INPUTS = 42  # of the paper's arithmetic networks
VOCABULARY = 64


@dataclasses.dataclass(frozen=True)
class Network:
    """What to build and what to mask."""

    build: Callable[[], keras.Model]  # logits on its last output axis
    roles: str = "kernels"  # `MaskedModel`'s argument


def fnn(widths):
    """Returns a feedforward network with hidden layers of some widths."""
    model = keras.Sequential([keras.Input((INPUTS,))])
    for i, width in enumerate(widths):
        model.add(layers.Dense(width, "relu", name=f"hidden{i + 1}"))
    model.add(layers.Dense(CLASSES, name="classifier"))
    return model


def lstm():
    """Returns two LSTM layers of 256 cells over 3 time steps."""
    return keras.Sequential(
        [
            keras.Input((3, INPUTS)),
            layers.LSTM(256, return_sequences=True, name="lstm1"),
            layers.LSTM(256, name="lstm2"),
            layers.Dense(CLASSES, name="classifier"),
        ]
    )


def transformer(depth=3, length=32, width=128, heads=4, feedforward=256):
    """Returns an encoder-decoder Transformer, normalized after each block."""

    def embed(name):
        tokens = keras.Input((length,), dtype="int32", name=name)
        positions = ops.cumsum(ops.ones_like(tokens), axis=1) - 1
        embed_token = layers.Embedding(VOCABULARY, width, name=f"{name}_token")
        embed_place = layers.Embedding(length, width, name=f"{name}_position")
        return tokens, embed_token(tokens) + embed_place(positions)

    def attend(x, memory, name, **kwargs):
        attention = layers.MultiHeadAttention(heads, width // heads, name=name)
        return normalize(x, attention(x, memory, **kwargs), name)

    def feed(x, name):
        hidden = layers.Dense(feedforward, "relu", name=f"{name}_hidden")(x)
        return normalize(x, layers.Dense(width, name=name)(hidden), name)

    def normalize(x, update, name):
        return layers.LayerNormalization(name=f"{name}_norm")(x + update)

    source, memory = embed("source")
    for i in range(depth):
        memory = attend(memory, memory, f"encoder{i + 1}_self")
        memory = feed(memory, f"encoder{i + 1}_feed")
    target, x = embed("target")
    for i in range(depth):
        x = attend(x, x, f"decoder{i + 1}_self", use_causal_mask=True)
        x = attend(x, memory, f"decoder{i + 1}_cross")
        x = feed(x, f"decoder{i + 1}_feed")
    logits = layers.Dense(VOCABULARY, name="classifier")(x)
    return keras.Model({"source": source, "target": target}, logits)


def resnet20(blocks=3):
    """Returns the ResNet of depth 20 for 32x32 images.

    References:
        - [He et al., 2016](https://arxiv.org/abs/1512.03385), section 4.2,
          shortcuts without weights (option A)
    """

    def convolve(x, channels, stride, name):
        kwargs = {"use_bias": False, "name": name}
        x = layers.Conv2D(channels, 3, stride, "same", **kwargs)(x)
        return layers.BatchNormalization(name=f"{name}_norm")(x)

    image = keras.Input((32, 32, 3))
    x = layers.ReLU(name="relu")(convolve(image, 16, 1, "conv"))
    for channels in (16, 32, 64):
        for i in range(blocks):
            grows = channels > x.shape[-1]
            shortcut, name = x, f"conv{channels}_{i + 1}"
            if grows:
                widths = [(0, 0)] * 3 + [(channels // 4, channels // 4)]
                shortcut = ops.pad(x[:, ::2, ::2], widths)
            x = convolve(x, channels, 2 if grows else 1, f"{name}a")
            x = layers.ReLU(name=f"{name}a_relu")(x)
            x = convolve(x, channels, 1, f"{name}b")
            x = layers.ReLU(name=f"{name}_relu")(x + shortcut)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    return keras.Model(image, layers.Dense(10, name="classifier")(x))


def gpt2_small(length=64):
    """Returns GPT-2 small (124 M weights), classifying by the last token."""
    import keras_hub  # it takes seconds, and is in requirements-dev.txt alone

    backbone = keras_hub.models.GPT2Backbone(
        vocabulary_size=50_257,
        num_layers=12,
        num_heads=12,
        hidden_dim=768,
        intermediate_dim=3072,
        max_sequence_length=length,
    )
    # With a length, so that `random_batches` knows what to draw.
    tokens, padding = (
        keras.Input((length,), dtype="int32", name=name)
        for name in ("token_ids", "padding_mask")
    )
    states = backbone({"token_ids": tokens, "padding_mask": padding})
    logits = layers.Dense(CLASSES, name="classifier")(states[:, -1])
    return keras.Model({"token_ids": tokens, "padding_mask": padding}, logits)


def application(build):
    """Builds a network of `keras.applications`, for small images."""
    for size in (32, 71, 75, 224, 331):
        with contextlib.suppress(ValueError):
            return build(
                weights=None,
                input_shape=(size, size, 3),
                classes=10,
                classifier_activation=None,
            )
    raise ValueError(f"{build.__name__} can't be built.")


NETWORKS = {
    "fnn_400": Network(lambda: fnn((400, 400, 200))),
    "fnn_800": Network(lambda: fnn((800,) * 4)),
    "fnn_2000": Network(lambda: fnn((2000,) * 4)),
    "cnn": Network(lambda: cnn.build((32, 32, 3), 10), roles="all"),
    "lstm": Network(lstm),
    "transformer": Network(transformer, roles="transformer"),
    "resnet20": Network(resnet20),
}
# Those that no table has unless it is asked for.
LARGE = {"gpt2_small": Network(gpt2_small)}


def find(name):
    """Returns the `Network` of a name here or in `keras.applications`.

    Raises:
        ValueError: If there is none.
    """
    known = {**NETWORKS, **LARGE}
    if name in known:
        return known[name]
    build = getattr(keras.applications, name, None)
    if not callable(build):
        raise ValueError(
            f"No network {name!r}: there are {', '.join(known)} and those "
            "of keras.applications."
        )
    return Network(lambda: application(build))

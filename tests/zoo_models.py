"""The models of the zoo: each with inputs, targets and what has no answer.

The neurons of layers that return the outputs (`is_output`) are in no selection
that is applied or removed.
"""

import dataclasses
import functools
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import keras
import keras_hub
import numpy as np
import tensorflow as tf
from keras import layers, ops

from modularity_tf import layers as mtf_layers
from tests import shipped_networks

ROWS = 8
COPIES = (  # operations that return a changed copy of the model
    "apply",
    "remove_from",
    "keep_neurons",
    "force_neurons",
    "remove_neurons",
    "shrink",
    "save_copy",
    "untrained_twin",
    "export",
)
UNITS = (  # operations that read activations, or need neurons from such
    "find_neurons",
    "find_units",
)


@dataclasses.dataclass(frozen=True)
class Entry:
    """A model of the zoo.

    Attributes:
        name: Str.
        build: Function that returns the model, built and not compiled.
        inputs: Function from a NumPy generator to inputs of `ROWS` rows;
            `None`: normal floats, and ints from 1 to 4, in the shapes of the
            model's inputs.
        loss: What `compile` takes. "mse" has the model's own outputs for
            targets, any other loss the largest one's index.
        metrics: Tuple, what `compile` takes.
        refused: Dict from operation to regular expression: what must be
            refused, with which reason.
        either: The same for what may be refused, and is right otherwise.
        mixed: Dict from layer path to regular expression: neurons that can't
            be removed, since a layer behind them mixes them.
        may_be_mixed: The same for those that may be refused.
        activated: Dict from the path of a linear layer to that of the layer
            that activates it.
        tolerance: Float, the rounding of the model's outputs.
        noise: Float, how far the performance of a model that draws in every
            call may be from what is measured again.
        thorough: Bool. Whether `find_weights` runs in a graph, as users run
            it, and the tests run all operations, also those that are others
            in disguise: one entry of a kind.
        quick: Bool. Whether the tests leave most operations to
            `python -m tests.zoo`, since they run them on models alike.
        skipped: Operations that do not run.
        can_run: Bool. Whether this machine can call the model.
    """

    name: str
    build: Callable[[], keras.Model]
    inputs: Callable[[np.random.Generator], Any] | None = None
    loss: str = "mse"
    metrics: tuple = ()
    refused: Mapping[str, str] = dataclasses.field(default_factory=dict)
    either: Mapping[str, str] = dataclasses.field(default_factory=dict)
    mixed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    may_be_mixed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    activated: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tolerance: float = 1e-5
    noise: float = 0.0
    thorough: bool = False
    quick: bool = False
    skipped: tuple = ()
    can_run: bool = True


def is_output(path):
    """Returns whether a layer returns outputs of its model, by its name."""
    name = path.rpartition("/")[2]
    return name.startswith("out") or name == "logits"


def all_of(operations, reason):
    """Returns a dict that gives operations the same reason."""
    return dict.fromkeys(operations, reason)


def chain(*stack, shape=(4,), dtype="float32"):
    return keras.Sequential([keras.Input(shape, dtype=dtype), *stack])


def hidden(units=4, activation="tanh", **kwargs):
    return layers.Dense(units, activation, name="hidden", **kwargs)


def out(units=2, activation=None, **kwargs):
    return layers.Dense(units, activation, name="out", **kwargs)


def conv(kind, *args, name="conv", activation="relu", **kwargs):
    return kind(*args, activation=activation, name=name, **kwargs)


# Stock layers that have weights or state, between neurons before and behind.


def branches(*stacks, shape):
    """Returns a model of stacks of layers side by side."""
    inputs = keras.Input(shape)
    ends = []
    for stack in stacks:
        x = inputs
        for layer in stack:
            x = layer(x)
        ends.append(x)
    return keras.Model(inputs, out()(layers.Concatenate()(ends)))


def einsum_dense():
    einsum = layers.EinsumDense(
        "abc,cd->abd", (3, 3), bias_axes="d", activation="relu"
    )
    return chain(hidden(), einsum, layers.Flatten(), out(), shape=(3, 4))


def reversible_embedding():
    tokens = keras.Input((3,), dtype="int32")
    embed = layers.ReversibleEmbedding(5, 3, name="embed")
    back = layers.Dense(3, "tanh", name="back")(hidden()(embed(tokens)))
    return keras.Model(tokens, embed(back, reverse=True))


def convolutions_1d():
    kind = layers.Conv1D
    return branches(
        [
            conv(kind, 3, 2, dilation_rate=2, padding="causal"),
            layers.MaxPooling1D(),
            layers.Conv1DTranspose(2, 2, strides=2, activation="relu"),
            layers.Flatten(),
        ],
        [
            conv(kind, 3, 2, name="before_depthwise", activation="elu"),
            layers.DepthwiseConv1D(2, depth_multiplier=2, activation="relu"),
            layers.GlobalMaxPooling1D(),
        ],
        [
            conv(kind, 3, 2, name="before_separable"),
            layers.SeparableConv1D(4, 2, depth_multiplier=2),
            layers.Flatten(),
        ],
        shape=(5, 2),
    )


def convolutions_2d():
    kind = layers.Conv2D
    return branches(
        [
            conv(kind, 3, 2),
            layers.UpSampling2D(),
            layers.Conv2DTranspose(2, 3, strides=2, padding="same"),
            layers.GlobalAveragePooling2D(),
        ],
        [
            conv(kind, 3, 2, name="before_depthwise"),
            layers.DepthwiseConv2D(2, depth_multiplier=2),
            layers.GlobalMaxPooling2D(),
        ],
        [
            conv(kind, 3, 2, name="before_separable"),
            layers.SeparableConv2D(4, 2, activation="relu"),
            layers.Flatten(),
        ],
        shape=(4, 4, 2),
    )


def convolutions_3d():
    return branches(
        [
            conv(layers.Conv3D, 3, 2),
            layers.AveragePooling3D(2),
            layers.Flatten(),
        ],
        [
            conv(layers.Conv3D, 3, 2, name="before_transpose"),
            layers.Conv3DTranspose(2, 2),
            layers.GlobalAveragePooling3D(),
        ],
        shape=(3, 3, 3, 1),
    )


def conv_batch_norm():
    return chain(
        layers.Conv2D(4, 2, use_bias=False, name="conv"),
        layers.BatchNormalization(),
        layers.ReLU(name="relu"),
        layers.AveragePooling2D(2),
        layers.Flatten(),
        out(),
        shape=(5, 5, 2),
    )


MIXERS = {
    "layer_norm": layers.LayerNormalization,
    "group_norm": functools.partial(layers.GroupNormalization, 2),
    "rms_norm": layers.RMSNormalization,
    "unit_norm": layers.UnitNormalization,
    "softmax": layers.Softmax,
}


def mixers():
    return branches(
        *(
            [layers.Dense(4, "tanh", name=f"to_{name}"), kind(name=name)]
            for name, kind in MIXERS.items()
        ),
        shape=(4,),
    )


def recurrent():
    inputs = keras.Input((2, 2))
    x = hidden()(inputs)  # which both read
    simple = layers.SimpleRNN(3, "relu")(x)
    stacked = layers.RNN([layers.LSTMCell(2), layers.GRUCell(2)])(x)
    return keras.Model(inputs, out()(layers.Concatenate()([simple, stacked])))


def conv_lstms():
    signal, film = keras.Input((2, 3, 2)), keras.Input((2, 3, 3, 1))
    one = layers.ConvLSTM1D(2, 2)(hidden(3)(signal))
    other = layers.ConvLSTM2D(2, 2)(layers.Dense(3, name="second")(film))
    both = [layers.Flatten()(one), layers.Flatten()(other)]
    return keras.Model([signal, film], out()(layers.Concatenate()(both)))


def self_attention():
    inputs = keras.Input((3, 4))
    x = hidden()(inputs)
    heads = layers.MultiHeadAttention(2, 3)(x, x)
    grouped = layers.GroupQueryAttention(3, 2, 1)(x, x)
    both = layers.Flatten()(layers.Concatenate()([heads, grouped]))
    return keras.Model(inputs, out()(both))


def attention_without_kernels():
    inputs = keras.Input((3, 4))
    x = hidden()(inputs)
    x = layers.Attention(use_scale=True, name="attend")([x, x])
    y = layers.Dense(4, "tanh", name="second")(inputs)
    y = layers.AdditiveAttention(name="add")([y, y])
    both = layers.Flatten()(layers.Concatenate()([x, y]))
    return keras.Model(inputs, out()(both))


LAYERS = (
    Entry(
        "dense",
        lambda: chain(
            hidden(activation="relu", use_bias=False, kernel_regularizer="l2"),
            out(),
        ),
        refused={"force_neurons": "hidden.* no bias"},
        thorough=True,
    ),
    Entry("einsum_dense", einsum_dense, quick=True),
    Entry(
        "embedding",
        lambda: chain(
            layers.Embedding(5, 3),
            layers.Flatten(),
            hidden(),
            out(),
            shape=(4,),
            dtype="int32",
        ),
        quick=True,
    ),
    Entry(
        "reversible_embedding",
        reversible_embedding,
        mixed={"back": "embed"},  # whose table the first layer reads, too
        quick=True,
    ),
    Entry(
        "conv2d",
        lambda: chain(
            conv(layers.Conv2D, 4, 3, strides=2, padding="same"),
            layers.SpatialDropout2D(0.5),
            layers.ZeroPadding2D(1),
            conv(layers.Conv2D, 3, 2, name="second", activation="elu"),
            layers.Cropping2D(1),
            layers.Flatten(),
            hidden(),
            out(),
            shape=(7, 7, 2),
        ),
        thorough=True,
    ),
    Entry("convolutions_1d", convolutions_1d, quick=True),
    Entry("convolutions_2d", convolutions_2d, quick=True),
    Entry(
        "grouped_convolution",
        lambda: chain(
            conv(layers.Conv2D, 4, 2),
            conv(layers.Conv2D, 4, 2, groups=2, name="grouped"),
            layers.GlobalAveragePooling2D(),
            out(),
            shape=(3, 3, 2),
        ),
        skipped=("find_weights",),  # no gradient on TensorFlow's CPU
        quick=True,
    ),
    Entry("convolutions_3d", convolutions_3d, quick=True),
    Entry(
        "batch_norm",
        conv_batch_norm,
        refused={"force_neurons": "conv.* no bias"},
        activated={"conv": "relu"},
        quick=True,
    ),
    Entry(
        "mixers",
        mixers,
        mixed={f"to_{name}": name for name in MIXERS},
        quick=True,
    ),
    Entry(
        "spectral_norm",
        lambda: chain(
            layers.SpectralNormalization(
                hidden(activation="relu"), name="spectral"
            ),
            out(),
        ),
    ),
    Entry(
        "prelu",
        lambda: chain(
            layers.Dense(4, name="hidden"), layers.PReLU(name="prelu"), out()
        ),
        activated={"hidden": "prelu"},
        quick=True,
    ),
    Entry(
        "lstm",
        lambda: chain(
            hidden(),
            layers.LSTM(3, return_sequences=True),
            layers.LSTM(2, go_backwards=True, unroll=True),
            out(),
            shape=(2, 2),
        ),
        quick=True,
    ),
    Entry(
        "gru",
        lambda: chain(hidden(), layers.GRU(3), out(), shape=(2, 2)),
        thorough=True,
    ),
    Entry("recurrent", recurrent, quick=True),
    Entry("conv_lstm", conv_lstms, quick=True),
    Entry(
        "bidirectional",
        lambda: chain(
            hidden(),
            layers.Bidirectional(layers.SimpleRNN(2)),
            layers.Dense(3, "tanh", name="second"),
            out(),
            shape=(2, 2),
        ),
        quick=True,
    ),
    Entry(
        "time_distributed",
        lambda: chain(
            layers.TimeDistributed(hidden(), name="each"),
            layers.TimeDistributed(layers.Dense(3, "relu", name="other")),
            layers.Flatten(),
            out(),
            shape=(2, 2),
        ),
        quick=True,
    ),
    Entry("self_attention", self_attention, quick=True),
    Entry(
        "attention",
        attention_without_kernels,
        mixed={"hidden": "attend", "second": "add"},
        quick=True,
    ),
)


# Preprocessing inside of the model.


def normalization():
    adapted = layers.Normalization(name="scaled")
    adapted.adapt(np.random.default_rng(0).normal(3.0, 2.0, (50, 4)))
    return chain(adapted, hidden(), out())


def string_lookup():
    known = layers.StringLookup(output_mode="multi_hot")
    known.adapt(["red", "green", "blue", "red"])
    return chain(known, hidden(), out(), dtype="string")


def encodings():
    size = keras.Input((1,), name="size")
    count = keras.Input((3,), dtype="int64", name="count")
    word = keras.Input((2,), dtype="string", name="word")
    bins = layers.Discretization(num_bins=4, output_mode="multi_hot")
    bins.adapt(np.random.default_rng(0).normal(size=(50, 1)))
    known = layers.IntegerLookup(output_mode="count")
    known.adapt(np.array([1, 2, 2, 3]))
    hashed = layers.Embedding(6, 2)(layers.Hashing(6)(word))
    parts = [
        bins(size),
        known(count),
        layers.CategoryEncoding(5, "multi_hot")(count),
        layers.Flatten()(hashed),
    ]
    return keras.Model(
        [size, count, word], out()(hidden()(layers.Concatenate()(parts)))
    )


def draw_for_encodings(rng):
    return [
        rng.normal(size=(ROWS, 1)).astype("float32"),
        rng.integers(1, 5, (ROWS, 3)),
        rng.choice(["red", "green", "blue"], (ROWS, 2)),
    ]


def text_vectorization():
    split = layers.TextVectorization(output_sequence_length=3)
    split.adapt(["red green", "blue", "red"])
    read = layers.Embedding(split.vocabulary_size(), 3, mask_zero=True)
    return chain(
        split, read, hidden(), layers.GRU(2), out(), shape=(), dtype="string"
    )


def feature_space():
    kinds = keras.utils.FeatureSpace
    space = kinds(
        {"size": kinds.float_normalized(), "kind": kinds.string_categorical()},
        output_mode="concat",
    )
    rows = {
        "size": np.random.default_rng(0).normal(2.0, 3.0, 9).astype("float32"),
        "kind": np.array([*"abcabcabc"]),
    }
    space.adapt(tf.data.Dataset.from_tensor_slices(rows))
    features = space.get_encoded_features()
    return keras.Model(space.get_inputs(), out()(hidden()(features)))


PREPROCESSING = (
    Entry("normalization", normalization),
    Entry(
        "string_lookup",
        string_lookup,
        lambda rng: rng.choice(["red", "green", "blue"], (ROWS, 4)),
        thorough=True,
    ),
    Entry("encodings", encodings, draw_for_encodings, quick=True),
    Entry(
        "text_vectorization",
        text_vectorization,
        lambda rng: np.array(
            ["red", "green blue red", "green", "blue red"] * 2
        ),
        quick=True,
    ),
    Entry(
        "feature_space",
        feature_space,
        lambda rng: {
            "size": rng.normal(size=(ROWS, 1)).astype("float32"),
            "kind": rng.choice([*"abc"], (ROWS, 1)),
        },
    ),
    Entry(
        "image_preprocessing",
        lambda: chain(
            layers.Rescaling(1 / 255, -0.5),
            layers.Resizing(4, 4),
            layers.RandomFlip(),
            layers.RandomRotation(0.1),
            layers.RandomZoom(0.1),
            layers.RandomContrast(0.1),
            layers.CenterCrop(3, 3),
            conv(layers.Conv2D, 3, 2),
            layers.Flatten(),
            out(),
            shape=(6, 6, 1),
        ),
        lambda rng: rng.integers(0, 256, (ROWS, 6, 6, 1)).astype("uint8"),
        skipped=("export",),  # Keras serves augmented images
        quick=True,
    ),
    Entry(
        "noise",
        lambda: chain(
            hidden(),
            layers.Dropout(0.5),
            layers.GaussianNoise(1.0),
            layers.GaussianDropout(0.5),
            layers.AlphaDropout(0.5),
            layers.ActivityRegularization(0.1),
            out(),
        ),
    ),
    Entry(
        "lambda",
        lambda: chain(
            hidden(), layers.Lambda(lambda x: 2.0 * x, name="twice"), out()
        ),
        may_be_mixed={"hidden": "twice"},
    ),
    Entry(
        "masking",
        lambda: chain(
            layers.Masking(), hidden(), layers.SimpleRNN(2), out(), shape=(2, 2)
        ),
        lambda rng: (
            rng.normal(size=(ROWS, 2, 2))
            * (np.arange(2) <= np.arange(ROWS)[:, None] % 2)[..., None]
        ).astype("float32"),
        quick=True,
    ),
)


# Networks as people draw them.


def two_inputs_and_outputs():
    a, b = keras.Input((4,), name="a"), keras.Input((3,), name="b")
    left = layers.Dense(3, "tanh", name="left")(a)
    right = layers.Dense(4, "relu", name="right")(b)
    both = layers.Concatenate()([left, right])
    outputs = [
        layers.Dense(2, name="out_both")(both),
        layers.Dense(1, name="out_right")(right),
    ]
    return keras.Model([a, b], outputs)


def inputs_and_outputs_by_name():
    image = keras.Input((4, 4, 1), name="image")
    tokens = keras.Input((3,), dtype="int32", name="tokens")
    seen = layers.Flatten()(conv(layers.Conv2D, 3, 2)(image))
    read = layers.Flatten()(layers.Embedding(5, 2)(tokens))
    both = hidden()(layers.Concatenate()([seen, read]))
    outputs = {
        "kind": layers.Dense(3, name="out_kind")(both),
        "size": layers.Dense(1, name="out_size")(both),
    }
    return keras.Model({"image": image, "tokens": tokens}, outputs)


def nested():
    inner = keras.Sequential(
        [
            keras.Input((5, 5, 1)),
            layers.Normalization(mean=0.5, variance=2.0),
            conv(layers.Conv2D, 3, 2),
            layers.GlobalAveragePooling2D(),
        ],
        name="inner",
    )
    inputs = keras.Input((5, 5, 1))
    return keras.Model(inputs, out()(hidden()(inner(inputs))))


def nested_twice():
    inner = chain(layers.Dense(3, "tanh", name="d"), shape=(4,))
    inner.name = "inner"
    inputs = keras.Input((4,))
    middle = keras.Model(
        inputs, layers.Dense(3, "relu", name="d")(inner(inputs)), name="middle"
    )
    inputs = keras.Input((4,))
    return keras.Model(inputs, out()(middle(inputs)))


def siamese():
    tower = chain(
        layers.Dense(4, "tanh", name="first"),
        layers.Dense(3, "relu", name="second"),
    )
    tower.name = "tower"
    a, b = keras.Input((4,)), keras.Input((4,))
    left, right = tower(a), tower(b)
    apart = layers.Subtract()([left, right])
    together = layers.Multiply()([left, right])
    return keras.Model([a, b], out()(layers.Concatenate()([apart, together])))


def shared_reader():
    a, b = keras.Input((4,)), keras.Input((4,))
    shared = layers.Dense(3, "tanh", name="shared")
    left = shared(layers.Dense(4, "tanh", name="left")(a))
    right = shared(layers.Dense(4, "tanh", name="right")(b))
    return keras.Model([a, b], out()(layers.Concatenate()([left, right])))


def residual():
    inputs = keras.Input((5, 5, 2))
    x = conv(layers.Conv2D, 3, 3, padding="same")(inputs)
    y = layers.Conv2D(3, 3, padding="same", name="inside")(x)
    y = layers.BatchNormalization()(y)
    x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, out()(x))


def squeeze_and_excitation():
    inputs = keras.Input((4, 4, 2))
    x = conv(layers.Conv2D, 4, 2)(inputs)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(3, 1, activation="relu", name="squeeze")(gate)
    gate = layers.Conv2D(4, 1, activation="sigmoid", name="excite")(gate)
    x = layers.Multiply()([x, gate])
    return keras.Model(inputs, out()(layers.Flatten()(x)))


def densely_connected():
    inputs = keras.Input((4, 4, 2))
    x = conv(layers.Conv2D, 3, 2)(inputs)
    for i in range(2):
        y = layers.ReLU()(layers.BatchNormalization()(x))
        y = layers.Conv2D(3, 3, padding="same", name=f"grow_{i}")(y)
        x = layers.Concatenate()([x, y])
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, out()(x))


def inverted_bottleneck():
    inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(4, 1, use_bias=False, name="expand")(inputs)
    x = layers.ReLU(6.0, name="relu6")(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.Conv2D(3, 1, use_bias=False, name="project")(x)
    x = layers.Add()([inputs, layers.BatchNormalization()(x)])
    return keras.Model(inputs, out()(layers.GlobalAveragePooling2D()(x)))


def transformer(norm_first):
    tokens = keras.Input((3,), dtype="int32")
    x = layers.Embedding(6, 4)(tokens)
    y = layers.LayerNormalization(name="norm_1")(x) if norm_first else x
    x = layers.Add()([x, layers.MultiHeadAttention(2, 2)(y, y)])
    if not norm_first:
        x = layers.LayerNormalization(name="norm_1")(x)
    y = layers.LayerNormalization(name="norm_2")(x) if norm_first else x
    y = layers.Dense(5, "gelu", name="expand")(y)
    x = layers.Add()([x, layers.Dense(4, name="contract")(y)])
    if not norm_first:
        x = layers.LayerNormalization(name="norm_2")(x)
    return keras.Model(tokens, out()(layers.Flatten()(x)))


def text_lstm():
    return chain(
        layers.Embedding(5, 3, mask_zero=True),
        hidden(),
        layers.LSTM(3),
        out(3, "softmax"),
        shape=(None,),
        dtype="int32",
    )


def sequence_labels():
    return chain(
        layers.Embedding(5, 3, mask_zero=True),
        layers.Bidirectional(layers.SimpleRNN(2, return_sequences=True)),
        hidden(),
        out(3, "softmax"),
        shape=(3,),
        dtype="int32",
    )


def padded_tokens(rng):
    is_token = np.arange(3) <= np.arange(ROWS)[:, None] % 3
    return (rng.integers(1, 5, (ROWS, 3)) * is_token).astype("int32")


def autoencoder():
    return chain(
        conv(layers.Conv2D, 3, 3, padding="same", name="encode"),
        layers.MaxPooling2D(),
        conv(layers.Conv2D, 3, 3, padding="same", name="code"),
        layers.UpSampling2D(),
        layers.Conv2DTranspose(1, 3, padding="same", name="image"),
        shape=(4, 4, 1),
    )


def cut(application, last, **kwargs):
    """Returns the first blocks of a `keras.applications` model with a head."""
    whole = application(
        input_shape=(32, 32, 3), weights=None, include_top=False, **kwargs
    )
    x = layers.GlobalAveragePooling2D()(whole.get_layer(last).output)
    return keras.Model(whole.input, out(3)(x))


def gpt2():
    backbone = keras_hub.models.GPT2Backbone(
        vocabulary_size=6,
        num_layers=1,
        num_heads=2,
        hidden_dim=4,
        intermediate_dim=5,
        dropout=0.0,
        max_sequence_length=4,
    )
    return keras.Model(backbone.input, out()(backbone.output[:, -1]))


def bert():
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=6,
        num_layers=1,
        num_heads=2,
        hidden_dim=4,
        intermediate_dim=5,
        dropout=0.0,
        max_sequence_length=4,
    )
    return keras_hub.models.BertTextClassifier(backbone, num_classes=2)


def hub_tokens(*names):
    def draw(rng):
        data = {name: np.ones((ROWS, 4), "int32") for name in names}
        data["token_ids"] = rng.integers(1, 6, (ROWS, 4)).astype("int32")
        if "segment_ids" in data:
            data["segment_ids"] = rng.integers(0, 2, (ROWS, 4)).astype("int32")
        return data

    return draw


def vit():
    backbone = keras_hub.models.ViTBackbone(
        image_shape=(4, 4, 3),
        patch_size=2,
        num_layers=1,
        num_heads=2,
        hidden_dim=4,
        mlp_dim=5,
        dropout_rate=0.0,
        name="vit",
    )
    inputs = keras.Input((4, 4, 3))
    return keras.Model(inputs, out()(backbone(inputs)[:, 0]))


NETWORKS = (
    Entry(
        "classifier",
        lambda: chain(
            layers.Dense(5, "relu", name="first"), hidden(), out(3, "softmax")
        ),
        loss="sparse_categorical_crossentropy",
        metrics=("accuracy",),
    ),
    Entry("two_inputs_and_outputs", two_inputs_and_outputs),
    Entry("inputs_and_outputs_by_name", inputs_and_outputs_by_name, quick=True),
    Entry("nested", nested),
    Entry("nested_twice", nested_twice, quick=True),
    Entry("siamese", siamese, quick=True),
    Entry(
        "shared_reader",
        shared_reader,
        # A row of its kernel weighs a unit of each.
        mixed={"left": "shared", "right": "shared"},
        quick=True,
    ),
    Entry("residual", residual),
    Entry("squeeze_and_excitation", squeeze_and_excitation, quick=True),
    Entry("densely_connected", densely_connected, quick=True),
    Entry(
        "inverted_bottleneck",
        inverted_bottleneck,
        refused={"force_neurons": "expand.* no bias"},
        activated={"expand": "relu6"},
        quick=True,
    ),
    Entry(
        "transformer",
        lambda: transformer(norm_first=False),
        mixed={"contract": "norm_2"},
        quick=True,
    ),
    Entry(
        "pre_norm_transformer", lambda: transformer(norm_first=True), quick=True
    ),
    Entry("text_lstm", text_lstm, padded_tokens, quick=True),
    Entry(
        "sequence_labels",
        sequence_labels,
        padded_tokens,
        loss="sparse_categorical_crossentropy",
        metrics=("accuracy",),
        quick=True,
    ),
    Entry("autoencoder", autoencoder, quick=True),
    Entry(
        "mobilenet_v2",
        lambda: cut(keras.applications.MobileNetV2, "block_2_add", alpha=0.35),
        refused={"force_neurons": "Conv1.* no bias"},
        activated={
            "Conv1": "Conv1_relu",
            "block_1_expand": "block_1_expand_relu",
            "block_2_expand": "block_2_expand_relu",
        },
        quick=True,
    ),
    Entry(
        "efficientnet_b0",
        lambda: cut(keras.applications.EfficientNetB0, "block1a_project_bn"),
        refused={"force_neurons": "stem_conv.* no bias"},
        activated={"stem_conv": "stem_activation"},
        quick=True,
    ),
    Entry(
        "keras_hub_gpt2",
        gpt2,
        hub_tokens("padding_mask"),
        mixed={"transformer_layer_0/feedforward_output_dense": "layer_norm"},
        quick=True,
    ),
    Entry(
        "keras_hub_bert",
        bert,
        hub_tokens("segment_ids", "padding_mask"),
        mixed={
            "bert_backbone/transformer_layer_0/feedforward_output_dense": "norm"
        },
        quick=True,
    ),
    Entry(
        "keras_hub_vit",
        vit,
        # From its own configuration Keras does not make it.
        refused={"shrink": "vit/vit_patching_and_embedding"},
        mixed={
            "vit/vit_patching_and_embedding/patch_embedding": "ln_1",
            "vit/vit_encoder/transformer_block_1/mlp/dense_1": "encoder/ln",
        },
        quick=True,
    ),
)


# As networks that ship inside packages are built.

SHIPPED = (
    Entry("character_windows", shipped_networks.character_windows, quick=True),
    Entry(
        "splice_sites",
        shipped_networks.splice_sites,
        activated={"conv00": "relu01", "conv10": "relu11"},
        quick=True,
    ),
    Entry(
        "words_as_vectors",
        shipped_networks.words_as_vectors,
        refused=all_of(UNITS, r"no hidden Conv or Dense .* 'first' \(LSTM\)"),
        quick=True,
    ),
    Entry(
        "faces",
        shipped_networks.faces,
        activated={"conv1": "prelu1", "conv2": "prelu2", "dense": "prelu3"},
        quick=True,
    ),
    Entry(
        "emotions",
        shipped_networks.emotions,
        refused={"force_neurons": "conv.* no bias"},
        activated={"conv": "relu_first"},
        quick=True,
    ),
    Entry("edges", shipped_networks.edges, quick=True),
)


# Number formats.


def under(policy, head="float32"):
    """Returns a CNN whose layers have a dtype policy."""
    return chain(
        layers.Conv2D(4, 2, dtype=policy, name="conv"),
        layers.BatchNormalization(dtype=policy),
        layers.ReLU(dtype=policy, name="relu"),
        layers.Flatten(dtype=policy),
        hidden(dtype=policy),
        out(dtype=head),
        shape=(4, 4, 2),
        dtype="float64" if policy == "float64" else "float32",
    )


def low_rank():
    model = chain(hidden(), out())
    model.layers[0].enable_lora(2)
    return model


def quantized(mode):
    model = chain(
        layers.Dense(4, "relu", name="first"), hidden(), out(), shape=(4,)
    )
    with warnings.catch_warnings():  # of the Input, which is not quantized
        warnings.simplefilter("ignore")
        model.quantize(mode)
    return model


def channels_first():
    return chain(
        layers.Conv2D(
            3, 2, activation="relu", data_format="channels_first", name="conv"
        ),
        layers.Flatten(),
        hidden(),
        out(),
        shape=(2, 4, 4),
    )


FORMATS = (
    *(
        Entry(
            policy,
            functools.partial(under, policy, head),
            activated={"conv": "relu"},
            tolerance=tolerance,
            quick=policy != "mixed_float16",
        )
        for policy, head, tolerance in (
            ("mixed_float16", "float32", 3e-3),
            ("mixed_bfloat16", "float32", 3e-2),
            ("float16", "float16", 3e-3),
            ("float64", "float64", 1e-6),
        )
    ),
    Entry("lora", low_rank, thorough=True),
    *(
        Entry(
            f"quantized_{mode}",
            functools.partial(quantized, mode),
            refused=all_of(
                ("find_weights", "gates", "untrained_twin"),
                f"first.*(int|{mode}|quant)",
            ),
            either=all_of(
                (
                    "keep_neurons",
                    "force_neurons",
                    "remove_neurons",
                    "shrink",
                    "weights_of_neurons",
                    "units_of_weights",  # no kernel can be masked
                    "compare",
                ),
                "(first|hidden).*(int|quant)|has no kernel",
            ),
        )
        for mode in ("int8", "int4")
    ),
    Entry(
        "channels_first",
        channels_first,
        refused=all_of(UNITS, "conv.*channels"),
        can_run=False,  # TensorFlow's CPU has no such convolution
    ),
)


# Models that one has to look at twice.


@keras.saving.register_keras_serializable(package="zoo")
class Sample(layers.Layer):
    """Draws from a normal distribution in every call."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(1)

    def call(self, inputs):
        mean, spread = inputs
        noise = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
        return mean + 0.1 * ops.exp(0.5 * spread) * noise


@keras.saving.register_keras_serializable(package="zoo")
class AlwaysDropout(layers.Dropout):
    """Dropout that stays on, as in Monte Carlo dropout."""

    def call(self, inputs, training=False):
        return super().call(inputs, training=True)


@keras.saving.register_keras_serializable(package="zoo")
class Configured(keras.Model):
    """A subclassed model with `get_config` and `build`."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.hidden = hidden(units)
        self.head = out()

    def build(self, input_shape):
        self.hidden.build(input_shape)
        self.head.build((None, self.units))

    def call(self, inputs):
        return self.head(self.hidden(inputs))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class Unconfigured(keras.Model):
    """A subclassed model without `get_config`."""

    def __init__(self, units):
        super().__init__(name="mine")
        self.parts = [hidden(units), out()]

    def call(self, inputs):
        for part in self.parts:
            inputs = part(inputs)
        return inputs


@keras.saving.register_keras_serializable(package="zoo")
class TripledFunctional(keras.Model):
    """A functional model with a `call` of its own."""

    def call(self, inputs, training=None, mask=None):
        return 3.0 * super().call(inputs, training=training, mask=mask)


@keras.saving.register_keras_serializable(package="zoo")
class TripledSequential(keras.Sequential):
    """A Sequential model with a `call` of its own."""

    def call(self, inputs, training=None, mask=None):
        return 3.0 * super().call(inputs, training=training, mask=mask)


@keras.saving.register_keras_serializable(package="zoo")
class Temperature(layers.Layer):
    """Divides by an attribute that a user sets."""

    temperature = 1.0

    def call(self, inputs):
        return inputs / self.temperature


@keras.saving.register_keras_serializable(package="zoo")
class Cached(layers.Layer):
    """A Dense layer that keeps the transpose of its kernel."""

    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], 4), name="kernel")
        self.transposed = ops.transpose(self.kernel)

    def call(self, inputs):
        return ops.tanh(ops.matmul(inputs, ops.transpose(self.transposed)))


def called(model):
    """Returns a subclassed model after its first call."""
    model(np.ones((1, 4), "float32"))
    return model


def variational():
    inputs = keras.Input((4,))
    x = hidden()(inputs)
    mean = layers.Dense(3, name="mean")(x)
    spread = layers.Dense(3, name="spread")(x)
    code = Sample(name="sample")([mean, spread])
    x = layers.Dense(4, "tanh", name="decode")(code)
    return keras.Model(inputs, out()(x))


def tripled_functional():
    inputs = keras.Input((4,))
    return TripledFunctional(inputs, out()(hidden()(inputs)), name="tripled")


def with_temperature():
    model = chain(hidden(), Temperature(name="cooler"), out())
    model.get_layer("cooler").temperature = 4.0
    return model


def saved_model():
    folder = os.path.join(tempfile.gettempdir(), f"zoo_{os.getpid()}")
    chain(layers.Dense(3, "tanh")).export(folder, verbose=False)
    inputs = keras.Input((4,))
    taken = layers.TFSMLayer(folder, call_endpoint="serve", name="taken")
    return keras.Model(inputs, out()(hidden()(taken(inputs))))


def stateful():
    return keras.Sequential(
        [
            keras.Input(batch_shape=(ROWS, 2, 2)),
            hidden(),
            layers.GRU(3, stateful=True, name="state"),
            out(),
        ]
    )


AWKWARD = (
    Entry(
        "variational",
        variational,
        may_be_mixed={"mean": "sample", "spread": "sample"},
        noise=0.3,
        thorough=True,
    ),
    Entry(
        "monte_carlo_dropout",
        lambda: chain(hidden(8), AlwaysDropout(0.1, seed=1), out()),
        refused={"shrink": "always_dropout.* draw numbers in every call"},
        noise=0.3,
    ),
    Entry(
        "subclassed",
        lambda: called(Configured(4)),
        refused={"shrink": "Configured 'configured.*can't be shrunk"},
    ),
    Entry(
        "subclassed_without_config",
        lambda: called(Unconfigured(4)),
        refused={
            **all_of(COPIES, "'mine'.*get_config"),
            "shrink": "Unconfigured 'mine' can't be shrunk",
        },
    ),
    Entry(
        "functional_with_own_call",
        tripled_functional,
        either=all_of(COPIES, "'tripled'"),
    ),
    Entry(
        "sequential_with_own_call",
        lambda: TripledSequential(
            [keras.Input((4,)), hidden(), out()], name="tripled"
        ),
        either=all_of(COPIES, "'tripled'"),
    ),
    Entry(
        "attribute_set_later",
        with_temperature,
        either=all_of(COPIES, "cooler"),
        skipped=("save_copy",),  # Keras does not save it: it is in no config
        may_be_mixed={"hidden": "cooler"},
    ),
    Entry(
        "cached_kernel",
        lambda: chain(Cached(name="cached"), hidden(), out()),
        refused=all_of((*COPIES, "find_weights"), "cached"),
        thorough=True,
    ),
    Entry(
        "saved_model_layer",
        saved_model,
        refused={"find_weights": "taken"},
        either=all_of(COPIES, "taken"),
        thorough=True,
    ),
    Entry(
        "stateful_rnn",
        stateful,
        skipped=("export",),  # its own states go on from call to call
        refused={
            **all_of(
                ("find_weights", "gates", "untrained_twin"),
                "'state'.*stateful",
            ),
            "find_neurons": "state",  # which takes `ROWS` rows at a time
        },
    ),
    Entry(
        "masked_dense",
        lambda: chain(
            hidden(), mtf_layers.MaskedDense(3, seed=0, name="masked"), out()
        ),
        refused=all_of(
            ("find_weights", "gates", "untrained_twin"), "'masked'.* mask"
        ),
    ),
    Entry(
        "sparse_dense",
        lambda: chain(
            hidden(),
            mtf_layers.SparseDense(3, 0.8, seed=0, name="sparse"),
            out(),
        ),
        refused=all_of(
            ("find_weights", "untrained_twin"), "sparse/connection_strength"
        ),
    ),
)

ALL = (*LAYERS, *PREPROCESSING, *NETWORKS, *SHIPPED, *FORMATS, *AWKWARD)

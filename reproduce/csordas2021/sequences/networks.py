"""Encoder-decoder networks: the LSTM and the Transformers of appendix C.6.

They take a dict of int tensors, `source` of shape `(batch, source length)` and
`previous` of shape `(batch, target length)`, the tokens before each one that is
asked for, and return logits of shape `(batch, target length, tokens)`. Negative
numbers are no tokens: see `pairs`.

References:
    - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), C.6
"""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from reproduce.csordas2021 import initializers
from reproduce.csordas2021.sequences import pairs


def lstm(
    source_size,
    target_size,
    embedding=16,
    hidden=200,
    num_layers=2,
    dropout=0.5,
    seed=0,
):
    """Returns an LSTM that reads, and one that answers; untrained.

    The decoder begins with the encoder's last states. Where `previous` is
    `pairs.OWN`, it takes what it found most likely itself a step before:
    with the right tokens throughout (teacher forcing) or `OWN` throughout
    (greedy decoding) it is the same network.

    Args:
        source_size: Positive int, tokens of the vocabulary to read.
        target_size: Positive int, tokens of the vocabulary to answer in.
        embedding: Positive int, width of the embeddings.
        hidden: Positive int, units of each layer.
        num_layers: Positive int, layers of either LSTM.
        dropout: Float in [0, 1), on embeddings and between layers.
        seed: Int >= 0. The same seed gives the same weights.

    Returns:
        `keras.Model`.

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), C.6.1.
          Differs from the authors' code: weights start as in Keras, Glorot
          uniform and orthogonal recurrent kernels; the encoder's last state
          is the one after the end token; dropout never acts in decoding.
    """
    seeds = iter(initializers.seeds(seed, 2 + 3 * num_layers))
    source, previous = _inputs()
    x = keras.layers.Embedding(
        source_size,
        embedding,
        embeddings_initializer=_normal(next(seeds)),
        name="encoder_embedding",
    )(ops.maximum(source, 0))
    x = keras.layers.Dropout(dropout, seed=next(seeds))(x)
    states = []
    for i in range(num_layers):
        if i:
            x = keras.layers.Dropout(dropout, seed=next(seeds))(x)
        x, *last = keras.layers.LSTM(
            hidden,
            return_sequences=True,
            return_state=True,
            kernel_initializer=keras.initializers.GlorotUniform(next(seeds)),
            recurrent_initializer=keras.initializers.Orthogonal(
                seed=next(seeds)
            ),
            name=f"encoder_lstm{i + 1}",
        )(x, mask=ops.not_equal(source, pairs.PAD))
        states += last
    logits = Decoder(
        target_size,
        embedding,
        hidden,
        num_layers,
        dropout,
        seed=next(seeds),
        name="decoder",
    )(previous, states)
    return keras.Model(_named(source, previous), logits, name="lstm")


def transformer(
    source_size,
    target_size,
    positions,
    width=100,
    inner=200,
    heads=4,
    num_layers=3,
    dropout=0.1,
    tied=False,
    seed=0,
):
    """Returns a Transformer that reads and one that answers; untrained.

    Layers normalize after adding; attention has no biases, and embeddings are
    not scaled. `previous` holds tokens or padding, never `pairs.OWN`.

    Args:
        source_size: Positive int, tokens of the vocabulary to read.
        target_size: Positive int, tokens of the vocabulary to answer in.
        positions: Positive int, the longest sequence, end token included.
        width: Positive int, width of the layers.
        inner: Positive int, units between two layers of width `width`.
        heads: Positive int, attention heads; divides `width`.
        num_layers: Positive int, layers of either half.
        dropout: Float in [0, 1), throughout.
        tied: Bool. Whether both halves and the output layer share their
            embedding; both vocabularies are then one.
        seed: Int >= 0. The same seed gives the same weights.

    Returns:
        `keras.Model`.

    Raises:
        ValueError: If `heads` does not divide `width`, or the vocabularies of
            a tied network differ.

    References:
        - [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762)
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), C.6. As in
          the authors' code, a tied network divides its logits by
          sqrt(`width`). Embeddings start as N(0, 1), kernels by Glorot.
    """
    if width % heads:
        raise ValueError(f"`heads` must divide `width`={width}, got {heads!r}.")
    if tied and source_size != target_size:
        raise ValueError(
            "A tied network has one vocabulary, got "
            f"`source_size`={source_size} and `target_size`={target_size}."
        )
    make = _Layers(width, inner, heads, dropout, positions, seed)
    source, previous = _inputs()
    reads = make.embedding(
        source_size, tied, "embedding" if tied else "encoder_embedding"
    )
    writes = (
        reads
        if tied
        else make.embedding(target_size, tied, "decoder_embedding")
    )
    x = make.with_positions(reads(ops.maximum(source, 0)), "encoder")
    seen = ops.expand_dims(ops.not_equal(source, pairs.PAD), 1)
    for i in range(num_layers):
        name = f"encoder{i + 1}"
        x = make.attention(x, x, f"{name}_self", attention_mask=seen)
        x = make.feedforward(x, name)
    y = make.with_positions(writes(ops.maximum(previous, 0)), "decoder")
    for i in range(num_layers):
        name = f"decoder{i + 1}"
        y = make.attention(y, y, f"{name}_self", use_causal_mask=True)
        y = make.attention(y, x, f"{name}_source", attention_mask=seen)
        y = make.feedforward(y, name)
    if tied:
        logits = writes(y, reverse=True) / math.sqrt(width)
    else:
        logits = make.dense(target_size, "output")(y)
    return keras.Model(_named(source, previous), logits, name="transformer")


@keras.saving.register_keras_serializable(package="reproduce")
class Decoder(keras.layers.Layer):
    """LSTM layers that say a token in each step; arguments as of `lstm`.

    Call arguments:
        previous: Int tensor of shape `(batch, steps)`.
        states: List of float tensors `(batch, hidden)`, two for each layer.

    Returns:
        Logits of shape `(batch, steps, size)`.
    """

    def __init__(
        self, size, embedding, hidden, num_layers, dropout, seed, **kwargs
    ):
        super().__init__(**kwargs)
        self._config = {
            "size": size,
            "embedding": embedding,
            "hidden": hidden,
            "num_layers": num_layers,
            "dropout": dropout,
            "seed": seed,
        }
        *seeds, noise = initializers.seeds(seed, 2 * num_layers + 3)
        self.cell = DecoderCell(
            size, embedding, hidden, num_layers, seeds, name="cell"
        )
        self.steps = keras.layers.RNN(
            self.cell, return_sequences=True, name="steps"
        )
        self.dropout = keras.layers.Dropout(dropout, seed=noise)
        self.noise_size = embedding + (num_layers - 1) * hidden

    def build(self, previous_shape, states_shape=None):
        self.steps.build((*previous_shape, 1))

    def call(self, previous, states, training=False):
        x = ops.expand_dims(ops.cast(previous, self.compute_dtype), -1)
        if training and self.dropout.rate:
            # Drawn here: a loop can't keep the state of a generator.
            ones = ops.ones((*ops.shape(previous), self.noise_size), x.dtype)
            x = ops.concatenate([x, self.dropout(ones, training=True)], -1)
        said = ops.zeros_like(x[:, 0, :1])
        return self.steps(x, initial_state=[*states, said])

    def compute_output_shape(self, previous_shape, states_shape=None):
        return (*previous_shape, self._config["size"])

    def get_config(self):
        return {**super().get_config(), **self._config}


class DecoderCell(keras.layers.Layer):
    """One step of a `Decoder`: embedding, LSTM cells, output layer.

    Its inputs are the previous token, and in training the dropout masks. The
    last of its states is the token that it said.
    """

    def __init__(self, size, embedding, hidden, num_layers, seeds, **kwargs):
        super().__init__(**kwargs)
        seeds = iter(seeds)
        self.embedding = keras.layers.Embedding(
            size,
            embedding,
            embeddings_initializer=_normal(next(seeds)),
            name="embedding",
        )
        self.cells = [
            keras.layers.LSTMCell(
                hidden,
                kernel_initializer=keras.initializers.GlorotUniform(
                    next(seeds)
                ),
                recurrent_initializer=keras.initializers.Orthogonal(
                    seed=next(seeds)
                ),
                name=f"lstm{i + 1}",
            )
            for i in range(num_layers)
        ]
        self.output_layer = keras.layers.Dense(
            size,
            kernel_initializer=keras.initializers.GlorotUniform(next(seeds)),
            name="output",
        )
        self.widths = [embedding] + [hidden] * (num_layers - 1)
        self.state_size = [hidden] * (2 * num_layers) + [1]
        self.output_size = size

    def build(self, input_shape):
        self.embedding.build(())
        for cell, width in zip(self.cells, self.widths):
            cell.build((None, width))
        self.output_layer.build((None, self.state_size[0]))

    def call(self, inputs, states, training=False):
        *states, said = states
        given = inputs[:, :1]
        token = ops.where(given == pairs.OWN, said, given)
        token = ops.cast(ops.maximum(token[:, 0], 0), "int32")
        x, place, after = self.embedding(token), 1, []
        for i, (cell, width) in enumerate(zip(self.cells, self.widths)):
            if inputs.shape[-1] > 1:
                x = x * inputs[:, place : place + width]
                place += width
            x, new = cell(x, states[2 * i : 2 * i + 2])
            after += new
        logits = self.output_layer(x)
        said = ops.cast(ops.argmax(logits, -1), said.dtype)
        return logits, [*after, ops.expand_dims(said, -1)]


@keras.saving.register_keras_serializable(package="reproduce")
class Positions(keras.layers.Layer):
    """Adds sines and cosines of the position to `(batch, steps, width)`.

    Args:
        positions: Positive int, the longest sequence.

    Raises:
        ValueError: If a sequence is longer (`tf.errors.InvalidArgumentError`
            where its length is unknown until the compiled step runs).

    References:
        - [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762), 3.5
    """

    def __init__(self, positions, **kwargs):
        super().__init__(**kwargs)
        self.positions = positions

    def build(self, input_shape):
        width = input_shape[-1]
        rate = 10_000.0 ** (-(np.arange(width) // 2 * 2) / width)
        angle = np.arange(self.positions)[:, None] * rate
        is_sine = np.arange(width) % 2 == 0
        self._table = np.where(is_sine, np.sin(angle), np.cos(angle))

    def call(self, inputs):
        length = ops.shape(inputs)[1]
        message = (
            f"The sequence is longer than the network's {self.positions} "
            "positions"
        )
        if isinstance(length, int) and length > self.positions:
            raise ValueError(f"{message}: it has {length} tokens.")
        if tf.is_tensor(length):
            check = tf.debugging.assert_less_equal(
                length, self.positions, message
            )
            with tf.control_dependencies([check]):
                inputs = tf.identity(inputs)
        table = ops.convert_to_tensor(self._table, inputs.dtype)
        return inputs + table[:length]

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "positions": self.positions}


class _Layers:
    """Makes the layers of a Transformer, each with a seed of its own."""

    def __init__(self, width, inner, heads, dropout, positions, seed):
        self._width, self._inner, self._heads = width, inner, heads
        self._dropout, self._positions = dropout, positions
        self._seeds = iter(initializers.seeds(seed, 200))

    def embedding(self, size, tied, name):
        kind = keras.layers.Embedding
        kwargs = {"embeddings_initializer": _normal(next(self._seeds))}
        if tied:
            kind = keras.layers.ReversibleEmbedding
            kwargs["tie_weights"] = True
        return kind(size, self._width, name=name, **kwargs)

    def dense(self, units, name, activation=None):
        glorot = keras.initializers.GlorotUniform(next(self._seeds))
        return keras.layers.Dense(
            units, activation, kernel_initializer=glorot, name=name
        )

    def with_positions(self, x, name):
        added = Positions(self._positions, name=f"{name}_positions")(x)
        return self._dropped(added)

    def attention(self, x, read, name, **kwargs):
        attention = keras.layers.MultiHeadAttention(
            self._heads,
            self._width // self._heads,
            dropout=self._dropout,
            use_bias=False,
            kernel_initializer=keras.initializers.GlorotUniform(
                next(self._seeds)
            ),
            seed=next(self._seeds),
            name=name,
        )
        return self._added(x, attention(x, read, **kwargs), name)

    def feedforward(self, x, name):
        inner = self.dense(self._inner, f"{name}_inner", "relu")(x)
        outer = self.dense(self._width, f"{name}_outer")
        return self._added(x, outer(self._dropped(inner)), name)

    def _added(self, x, y, name):
        return keras.layers.LayerNormalization(
            epsilon=1e-5, name=f"{name}_norm"
        )(x + self._dropped(y))

    def _dropped(self, x):
        return keras.layers.Dropout(self._dropout, seed=next(self._seeds))(x)


def _inputs():
    return [
        keras.Input((None,), dtype="int32", name=name)
        for name in ("source", "previous")
    ]


def _named(source, previous):
    return {"source": source, "previous": previous}


def _normal(seed):
    return keras.initializers.RandomNormal(stddev=1.0, seed=seed)

"""Loss and accuracy of networks that answer with sequences; decoding."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from reproduce.csordas2021.sequences import pairs
from reproduce.csordas2021.sequences.pairs import END, PAD


@keras.saving.register_keras_serializable(package="reproduce")
def sequence_loss(labels, logits):
    """Returns the cross-entropy of each sequence, summed over its tokens.

    The end token counts, padding does not. Averaged over the batch, as Keras
    does with it, this is the authors' loss; the penalty of masks is relative
    to it.

    Args:
        labels: Int tensor of shape `(batch, steps)`, `PAD` after the end.
        logits: Float tensor of shape `(batch, steps, tokens)`.

    Returns:
        Float tensor of shape `(batch,)`.
    """
    labels = ops.cast(labels, "int32")
    each = ops.sparse_categorical_crossentropy(
        ops.maximum(labels, 0), logits, from_logits=True
    )
    return ops.sum(ops.where(labels == PAD, 0, each), axis=-1)


@keras.saving.register_keras_serializable(package="reproduce")
def whole_sequence_right(labels, logits):
    """Returns whether every token of a sequence is right, 0 or 1.

    With teacher forcing this is what greedy decoding would score: as long as
    all tokens so far are right, it has seen what the teacher shows.

    Args:
        labels: As in `sequence_loss`.
        logits: As in `sequence_loss`.

    Returns:
        Float tensor of shape `(batch,)`.
    """
    labels = ops.cast(labels, "int32")
    right = ops.equal(ops.cast(ops.argmax(logits, -1), "int32"), labels)
    right = ops.logical_or(right, labels == PAD)
    return ops.cast(ops.all(right, axis=-1), "float32")


def accuracy(network, data, batch_size=500):
    """Returns the share of sequences that greedy decoding gets right.

    All of a sequence, its end included. See `whole_sequence_right` for why
    one call of the network a batch tells; batches hold similar lengths.

    Args:
        network: Keras model as in `networks`.
        data: `Sequences`.
        batch_size: Positive int.
    """
    # Eager calls: a compiled function would be traced for every mask anew.
    right = [
        whole_sequence_right(labels, network(inputs))
        for inputs, labels in pairs.in_order(data.by_length(), batch_size)
    ]
    return float(np.mean(np.concatenate(right)))


def decode(network, source, steps, batch_size=500):
    """Returns what a network answers: greedy decoding, compiled, in batches.

    Args:
        network: Keras model as in `networks`.
        source: Int array of shape `(examples, source length)`.
        steps: Positive int, the most tokens of an answer, end token included.
        batch_size: Positive int.

    Returns:
        Int array of shape `(examples, steps)`, `PAD` after the end token.
    """

    @tf.function(
        input_signature=[tf.TensorSpec((None, None), tf.int32)],
        autograph=False,
    )
    def answers(source):
        rows = tf.shape(source)[0]

        def say(step, previous, is_open):
            # No token comes after the last one: the network is not shown it.
            seen = previous[:, :steps]
            logits = network({"source": source, "previous": seen})
            tokens = tf.argmax(logits[:, step], -1, tf.int32)
            tokens = tf.where(is_open, tokens, PAD)
            place = tf.one_hot(
                step + 1,
                steps + 1,
                dtype=tf.bool,
                on_value=True,
                off_value=False,
            )
            previous = tf.where(place, tokens[:, None], previous)
            return step + 1, previous, is_open & (tokens != END)

        start = tf.fill((rows, steps + 1), PAD)
        start = tf.concat([tf.fill((rows, 1), END), start[:, 1:]], axis=1)
        _, found, _ = tf.while_loop(
            lambda step, _, is_open: (step < steps) & tf.reduce_any(is_open),
            say,
            (0, start, tf.fill((rows,), True)),
        )
        return found[:, 1:]

    source = tf.constant(source, tf.int32)
    return np.concatenate(
        [
            answers(source[first : first + batch_size]).numpy()
            for first in range(0, len(source), batch_size)
        ]
    )

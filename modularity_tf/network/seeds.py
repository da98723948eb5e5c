"""The random number generators inside of a model."""

import contextlib
from collections.abc import Iterator

import keras
import numpy as np

from modularity_tf.network import keras_private


@contextlib.contextmanager
def generators_of(model: keras.Model, seed: int) -> Iterator[None]:
    """Seeds the generators inside of a model for a while.

    What layers draw in inference, by dropout that is left on say, is then the
    same for the same seed. At the end the model's generators, Keras's own for
    unseeded draws, and the metrics inside of the model are as they were.

    Args:
        model: Built `keras.Model`.
        seed: Int, not negative.
    """
    states = [each.state for each in keras_private.seed_generators(model)]
    metrics = [
        variable
        for layer in keras_private.all_layers(model)
        for variable in layer.metrics_variables
    ]
    before = [(v, v.numpy()) for v in (*states, *metrics)]
    drawn = np.random.default_rng(seed).integers(2**31, size=len(states) + 1)
    for state, number in zip(states, drawn[1:], strict=True):
        state.assign([number, 0])
    try:
        with keras_private.global_seed_generator(int(drawn[0])):
            yield
    finally:
        for variable, value in before:
            variable.assign(value)

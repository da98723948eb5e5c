"""Deep-R: sparse connections that train and rewire. Pure functions.

A connection has a constant sign s and a strength phi. While it is active its
weight is s * phi, with phi > 0; while it is dormant phi is 0. The number of
active connections never changes: one that would cross zero goes dormant, and a
random dormant one wakes.

References:
    - [Bena & Goodman, 2021](https://arxiv.org/abs/2106.02626), section 2.4
    - [Bellec et al., 2018](https://arxiv.org/abs/1711.05136), Deep Rewiring
"""

import math
import numbers
from typing import NamedTuple

import tensorflow as tf

# Of integers drawn without a range, that is: these are the same on every
# device, with and without XLA. "auto_select" and floats are not.
ALGORITHM = "philox"


class Connections(NamedTuple):
    """Connections and the state of their Adam optimizer, of one shape.

    Attributes:
        strength: Float tensor phi, 0 where dormant.
        momentum: Float tensor, Adam's first moment.
        velocity: Float tensor, Adam's second moment.
        age: Float tensor, steps since the connection woke.
    """

    strength: tf.Tensor
    momentum: tf.Tensor
    velocity: tf.Tensor
    age: tf.Tensor


def check_connections(connections):
    """Raises `ValueError` if that is no number of connections, or fraction."""
    if not _is_allowed(connections):
        raise ValueError(
            "`connections` must be a positive int, the number itself, or a "
            f"float in (0, 1], a fraction, got {connections!r}."
        )


def check_count(connections, size):
    """Returns how many connections are active, as an int.

    Args:
        connections: Int in [1, size], the number itself, or float in (0, 1],
            a fraction of `size`, rounded to the next int.
        size: Positive int, how many connections there could be.

    Raises:
        ValueError: If that is no number or less than one connection.
    """
    count = connections if _is_allowed(connections) else 0
    if not isinstance(count, numbers.Integral):
        count = round(float(connections) * size)
    if not 1 <= count <= size:
        raise ValueError(
            f"`connections` must be an int in [1, {size}] or a fraction in "
            f"[{1 / size:.3g}, 1.0], got {connections!r}."
        )
    return int(count)


def choose(candidates, count, at_most, seed):
    """Draws entries without replacement, each candidate as likely as another.

    Args:
        candidates: Boolean tensor, where entries may be drawn.
        count: Int tensor or int in [0, `at_most`], how many are drawn; at
            most as many as there are candidates.
        at_most: Int, a bound on `count` known before the graph is built.
        seed: Integer tensor of shape `(2,)`.

    Returns:
        Boolean tensor like `candidates`, `True` at exactly `count` entries.
    """
    bits = _random_bits(candidates.shape, seed)
    keys = tf.cast(
        tf.bitwise.right_shift(bits, tf.constant(1, bits.dtype)), tf.int32
    )
    keys = tf.reshape(tf.where(candidates, keys, -1), [-1])
    # The indices settle ties, which a threshold on the keys would not.
    order = tf.math.top_k(keys, at_most).indices[:, tf.newaxis]
    drawn = tf.cast(tf.range(at_most) < count, tf.int32)
    drawn = tf.scatter_nd(order, drawn, keys.shape)
    return tf.reshape(drawn > 0, candidates.shape)


def initial_connections(shape, count, seed):
    """Draws which connections are active at the start.

    Args:
        shape: Tuple of positive ints.
        count: Positive int, how many.
        seed: Int. The same seed draws the same connections.

    Returns:
        Boolean tensor of that shape, `True` at exactly `count` entries.
    """
    seed = tf.constant([seed, 0], tf.int64)
    return choose(tf.ones(shape, tf.bool), count, count, seed)


def step(
    connections,
    gradient,
    count,
    seed,
    learning_rate,
    noise=0.0,
    wake_strength=1e-3,
    rewire=True,
    beta_1=0.9,
    beta_2=0.999,
    epsilon=1e-8,
):
    """Does one step of Deep-R: Adam, random walk, deaths and wakings.

    Active connections only move, by

        phi - learning_rate * m_hat / (sqrt(v_hat) + epsilon) + noise * N(0, 1)

    Those that are no longer positive go dormant. As many dormant ones, those
    that just died included, wake at `wake_strength` with fresh moments.

    Args:
        connections: `Connections` of float32 tensors.
        gradient: Float tensor, the loss's gradient at the strengths.
        count: Int, how many connections are active, before and after.
        seed: Integer tensor of shape `(2,)`.
        learning_rate: Float.
        noise: Float, at least 0: the random walk's standard deviation.
        wake_strength: Positive float.
        rewire: Bool. `False` wakes those that just died and no others, so
            that the connections stay where they are.
        beta_1: Float in [0, 1), decay of the first moment.
        beta_2: Float in [0, 1), decay of the second moment.
        epsilon: Positive float.

    Returns:
        `Connections`, and an int32 scalar: how many woke in another place than
        where one died.

    References:
        - [Bena & Goodman, 2021](https://arxiv.org/abs/2106.02626), section
          2.4. Differs from the paper: a connection wakes at a value above 0,
          a dormant one has phi = 0, and moments are reset at death; the text
          leaves these open.
        - [Bellec et al., 2018](https://arxiv.org/abs/1711.05136),
          algorithm 1, without its L1 term
    """
    active = connections.strength > 0
    age = connections.age + 1.0
    momentum = beta_1 * connections.momentum + (1 - beta_1) * gradient
    velocity = beta_2 * connections.velocity + (1 - beta_2) * gradient**2
    mean = momentum / (1 - beta_1**age)
    variance = velocity / (1 - beta_2**age)
    moved = connections.strength - learning_rate * mean / (
        tf.sqrt(variance) + epsilon
    )
    seeds = tf.random.experimental.stateless_split(seed, 2, alg=ALGORITHM)
    if noise:
        moved += noise * _random_normal(moved.shape, seeds[0])
    alive = active & (moved > 0)
    died = active & ~alive
    # The deaths, and what another optimizer may have lost before.
    missing = count - tf.reduce_sum(tf.cast(alive, tf.int32))
    # With every connection active there is no other place to wake.
    fixed = not rewire or count == moved.shape.num_elements()
    woken = (
        died
        if fixed
        else choose(~alive, tf.maximum(missing, 0), count, seeds[1])
    )
    stepped = Connections(
        strength=tf.where(alive, moved, tf.where(woken, wake_strength, 0.0)),
        momentum=tf.where(alive, momentum, 0.0),
        velocity=tf.where(alive, velocity, 0.0),
        age=tf.where(alive, age, 0.0),
    )
    return stepped, tf.reduce_sum(tf.cast(woken & ~died, tf.int32))


def _is_allowed(connections):
    is_real = isinstance(connections, numbers.Real)
    if not is_real or isinstance(connections, bool) or not connections > 0:
        return False
    return isinstance(connections, numbers.Integral) or connections <= 1


def _random_bits(shape, seed):
    """Returns uint32 random numbers, all bits of them random."""
    return tf.random.stateless_uniform(
        shape, seed, None, None, tf.uint32, alg=ALGORITHM
    )


def _random_normal(shape, seed):
    """Returns standard normal numbers, made of bits (Box and Muller, 1958).

    TensorFlow makes floats of the same bits in another way under XLA.
    """
    bits = _random_bits((2, *shape), seed)
    bits = tf.bitwise.right_shift(bits, tf.constant(9, bits.dtype))
    uniform = (tf.cast(tf.cast(bits, tf.int32), tf.float32) + 0.5) * 2.0**-23
    radius = tf.sqrt(-2.0 * tf.math.log(uniform[0]))
    return radius * tf.cos(2 * math.pi * uniform[1])

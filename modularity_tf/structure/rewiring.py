"""Deep-R: sparse connections that train and rewire. Pure functions.

A connection has a constant sign s and a strength phi. While it is active its
weight is s * phi, with phi > 0; while it is dormant phi is 0. The number of
active connections never changes: one that would cross zero goes dormant, and a
dormant one wakes, a random one or the one that the gradient wants most.

References:
    - [Bena & Goodman, 2021](https://arxiv.org/abs/2106.02626), section 2.4
    - [Bellec et al., 2018](https://arxiv.org/abs/1711.05136), Deep Rewiring
    - [Evci et al., 2020](https://arxiv.org/abs/1911.11134), RigL: growth by
      gradient
"""

import math
import numbers
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

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


def check_connections(connections: Any) -> None:
    """Raises `ValueError` if that is no number of connections, or fraction."""
    if not _is_allowed(connections):
        raise ValueError(
            "`connections` must be a positive int, the number itself, or a "
            f"float in (0, 1], a fraction, got {connections!r}."
        )


def check_count(connections: float, size: int) -> int:
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


def choose(
    candidates: tf.Tensor, keys: tf.Tensor, count: tf.Tensor | int, at_most: int
) -> tf.Tensor:
    """Takes the entries with the largest keys.

    Args:
        candidates: Boolean tensor, where entries may be taken.
        keys: Float tensor of that shape. The first of equal ones is taken.
        count: Int tensor or int in [0, `at_most`], how many are taken; at
            most as many as there are candidates.
        at_most: Int, a bound on `count` known before the graph is built.

    Returns:
        Boolean tensor like `candidates`, `True` at exactly `count` entries.
    """
    keys = tf.reshape(tf.where(candidates, keys, -math.inf), [-1])
    # The indices settle ties, which a threshold on the keys would not.
    order = tf.math.top_k(keys, at_most).indices[:, tf.newaxis]
    taken = tf.cast(tf.range(at_most) < count, tf.int32)
    taken = tf.scatter_nd(order, taken, keys.shape)
    return tf.reshape(taken > 0, candidates.shape)


def initial_connections(
    shape: Sequence[int], count: int, seed: int
) -> tf.Tensor:
    """Draws which connections are active at the start.

    Args:
        shape: Tuple of positive ints.
        count: Positive int, how many.
        seed: Int. The same seed draws the same connections.

    Returns:
        Boolean tensor of that shape, `True` at exactly `count` entries.
    """
    keys = _random_keys(shape, tf.constant([seed, 0], tf.int64))
    return choose(tf.ones(shape, tf.bool), keys, count, count)


def step(
    connections: Connections,
    gradient: tf.Tensor,
    count: int,
    seed: tf.Tensor,
    learning_rate: tf.Tensor | float,
    *,
    iterations: tf.Tensor | int = 0,
    noise: float = 0.0,
    temperature: float = 0.0,
    l1: float = 0.0,
    wake_strength: float = 0.001,
    gentle_wake: bool = False,
    grow: Literal["random", "gradient"] = "random",
    rewire: bool = True,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-08,
) -> tuple[Connections, tf.Tensor]:
    """Does one step of Deep-R: Adam, random walk, deaths and wakings.

    Active connections only move, with learning rate r, by

        phi - r' * m_hat / (sqrt(v_hat) + epsilon) - r * l1
            + sqrt(noise^2 + 2 * r * temperature) * N(0, 1)

    where r' = r, or min(r, n * wake_strength) in step n of a connection that
    woke gently: Adam's first step is r' whatever the gradient. Those that are
    no longer positive go dormant. As many dormant ones, those that just died
    included, wake at `wake_strength` with fresh moments.

    Args:
        connections: `Connections` of float32 or float64 tensors.
        gradient: Float tensor, the loss's gradient at the strengths.
        count: Int, how many connections are active, before and after.
        seed: Integer tensor of shape `(2,)`.
        learning_rate: Float.
        iterations: Int, the steps before this one. A younger connection has
            woken, one of that age is active since the start.
        noise: Float, at least 0: part of the random walk that does not depend
            on the learning rate, a standard deviation.
        temperature: Float, at least 0, of the random walk, T.
        l1: Float, at least 0: how strongly active connections are pulled to 0,
            alpha.
        wake_strength: Positive float.
        gentle_wake: Bool.
        grow: "random", each dormant connection as likely as another, or
            "gradient", those with the least gradient: as their signs are,
            the loss falls most along them. The gradient must then be that of
            dormant connections too.
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
          algorithm 1, with Adam in place of the plain gradient
        - [Evci et al., 2020](https://arxiv.org/abs/1911.11134), section 3.
          Differs from the paper: signs are constant, and connections grow
          when others die, not every so many steps.
    """
    active = connections.strength > 0
    age = connections.age + 1.0
    momentum = beta_1 * connections.momentum + (1 - beta_1) * gradient
    velocity = beta_2 * connections.velocity + (1 - beta_2) * gradient**2
    mean = momentum / (1 - beta_1**age)
    variance = velocity / (1 - beta_2**age)
    rate = learning_rate
    if gentle_wake:
        has_woken = age <= tf.cast(iterations, age.dtype)
        rate = tf.where(has_woken, tf.minimum(rate, age * wake_strength), rate)
    moved = connections.strength - rate * mean / (tf.sqrt(variance) + epsilon)
    if l1:
        moved -= learning_rate * l1
    seeds = tf.random.experimental.stateless_split(seed, 2, alg=ALGORITHM)
    if noise or temperature:
        deviation = tf.sqrt(noise**2 + 2 * learning_rate * temperature)
        normal = _random_normal(moved.shape, seeds[0])
        moved += deviation * tf.cast(normal, moved.dtype)
    alive = active & (moved > 0)
    died = active & ~alive
    # The deaths, and what another optimizer may have lost before.
    missing = count - tf.reduce_sum(tf.cast(alive, tf.int32))
    # With every connection active there is no other place to wake.
    if not rewire or count == moved.shape.num_elements():
        woken = died
    else:

        def wake():
            random = grow == "random"
            keys = _random_keys(died.shape, seeds[1]) if random else -gradient
            return choose(~alive, keys, missing, count)

        # Sorting takes as long as all the rest, and is seldom needed.
        woken = tf.cond(missing > 0, wake, lambda: tf.zeros_like(died))
    woken_strength = wake_strength * tf.cast(woken, moved.dtype)
    stepped = Connections(
        strength=tf.where(alive, moved, woken_strength),
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


def _random_keys(shape, seed):
    """Returns random float32 integers below 2^24: XLA sorts no others fast."""
    bits = _random_bits(shape, seed)
    bits = tf.bitwise.right_shift(bits, tf.constant(8, bits.dtype))
    return tf.cast(tf.cast(bits, tf.int32), tf.float32)


def _random_normal(shape, seed):
    """Returns standard normal numbers, made of bits (Box and Muller, 1958).

    TensorFlow makes floats of the same bits in another way under XLA.
    """
    bits = _random_bits((2, *shape), seed)
    bits = tf.bitwise.right_shift(bits, tf.constant(9, bits.dtype))
    uniform = (tf.cast(tf.cast(bits, tf.int32), tf.float32) + 0.5) * 2.0**-23
    radius = tf.sqrt(-2.0 * tf.math.log(uniform[0]))
    return radius * tf.cos(2 * math.pi * uniform[1])

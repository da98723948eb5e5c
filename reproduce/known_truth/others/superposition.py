"""Toy models of superposition: more features than neurons, trained here.

A network has n features and m < n neurons. In `autoencoder` it puts out

    relu(W^T I W x + b)

with W of shape (m, n) used twice, and I the identity, which is there or not.
Of n features x, each is 0 but for one time in twenty. In `residual` two layers
with m neurons between them learn relu(x), feature by feature: what a residual
MLP adds to the stream. Many networks are trained side by side, in one stack.

References:
    - [Elhage et al., 2022](https://arxiv.org/abs/2209.10652), toy models
    - [Braun et al., 2025](https://arxiv.org/abs/2501.14926), APD
    - [Bushnaq et al., 2025](https://arxiv.org/abs/2506.20790), SPD
"""

import dataclasses
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf
from keras import ops

ACTIVE = 0.05  # the probability of a feature
_LEARNING_RATE = 5e-3
_WEIGHT_DECAY = 1e-2


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of network.

    Attributes:
        features: Int.
        neurons: Int.
        form: "autoencoder" or "residual".
        identity: Bool. Whether an autoencoder has the identity inside.
        networks: Int, how many others have published numbers of.
    """

    features: int
    neurons: int
    form: str = "autoencoder"
    identity: bool = False
    networks: int = 10

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Returns the shape of each weight that has a mask, by its name."""
        size = self.features, self.neurons
        if self.form == "residual":
            return {"into": size, "out": size[::-1]}
        inner = {"inner": (self.neurons,) * 2} if self.identity else {}
        return {"columns": size, **inner}

    def initial(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Returns weights to begin training with; those of one network."""
        limit = np.sqrt(6 / (self.features + self.neurons))
        found = {
            name: rng.uniform(-limit, limit, shape)
            for name, shape in self.shapes().items()
        }
        if self.identity:
            found["inner"] = np.eye(self.neurons)
        size = self.neurons if self.form == "residual" else self.features
        return {**found, "bias": np.zeros(size)}

    def targets(self, features):
        """Returns what a network has to put out, of features `(batch, n)`."""
        return ops.relu(features) if self.form == "residual" else features

    def outputs(self, weights: Mapping, features, own=None):
        """Returns what networks put out.

        Args:
            weights: Dict from the names of weights to tensors whose first axis
                is the network.
            features: Tensor `(batch, features)`.
            own: Tensor `(networks,)` of ints, the one output of each network
                that is asked for; `None` for all.

        Returns:
            Tensor `(networks, batch, features)`, or `(networks, batch)`.
        """
        if self.form == "residual":
            hidden = ops.relu(
                ops.matmul(features, weights["into"]) + weights["bias"][:, None]
            )
            back, bias = ops.swapaxes(weights["out"], 1, 2), None
        else:
            hidden = ops.matmul(features, weights["columns"])
            if self.identity:
                hidden = ops.matmul(hidden, weights["inner"])
            back, bias = weights["columns"], weights["bias"]
        if own is None:
            found = ops.matmul(hidden, ops.swapaxes(back, 1, 2))
            return found if bias is None else ops.relu(found + bias[:, None])
        back = ops.take_along_axis(back, own[:, None, None], axis=1)
        found = ops.matmul(hidden, ops.swapaxes(back, 1, 2))[..., 0]
        if bias is None:
            return found
        return ops.relu(found + ops.take_along_axis(bias, own[:, None], 1))


KINDS = {
    "5-2": Kind(5, 2, networks=90),
    "5-2-ID": Kind(5, 2, identity=True, networks=90),
    "40-10": Kind(40, 10, networks=20),
    "40-10-ID": Kind(40, 10, identity=True, networks=20),
    "resid_mlp": Kind(20, 10, form="residual", networks=10),
}


def drawn(kind: Kind, count: int, draws: tf.random.Generator) -> tf.Tensor:
    """Returns examples of features.

    Args:
        kind: `Kind`.
        count: Int.
        draws: `tf.random.Generator`.

    Returns:
        Tensor `(count, features)`: from 0 to 1, of `residual` networks from
        -1 to 1.
    """
    shape = (count, kind.features)
    least = -1.0 if kind.form == "residual" else 0.0
    active = tf.cast(draws.uniform(shape) < ACTIVE, "float32")
    return draws.uniform(shape, least, 1.0) * active


def trained(
    kind: Kind, *, networks: int, steps: int, batch_size: int, seed: int
) -> dict[str, np.ndarray]:
    """Trains networks side by side, from weights of their own.

    Args:
        kind: `Kind`.
        networks: Int.
        steps: Int.
        batch_size: Int.
        seed: Int, not negative.

    Returns:
        Dict from name to float32 array; the first axis is the network.
    """
    rngs = [np.random.default_rng([seed, i]) for i in range(networks)]
    starts = [kind.initial(rng) for rng in rngs]
    weights = {
        name: keras.Variable(
            np.stack([start[name] for start in starts]).astype("float32"),
            trainable=name != "inner",
        )
        for name in starts[0]
    }
    learned = [v for v in weights.values() if v.trainable]
    rate = keras.optimizers.schedules.CosineDecay(_LEARNING_RATE, steps)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=_WEIGHT_DECAY)
    optimizer.build(learned)
    draws = tf.random.Generator.from_seed(seed)

    def step():
        features = drawn(kind, batch_size, draws)
        with tf.GradientTape() as tape:
            values = {k: ops.convert_to_tensor(v) for k, v in weights.items()}
            found = kind.outputs(values, features)
            errors = tf.square(found - kind.targets(features))
            loss = tf.reduce_sum(tf.reduce_mean(errors, (1, 2)))
        slopes = tape.gradient(loss, [v.value for v in learned])
        optimizer.apply(slopes, learned)

    @tf.function(autograph=False)
    def train():
        tf.while_loop(
            lambda i: i < steps,
            lambda i: (step(), i + 1)[1:],
            (tf.constant(0),),
        )

    train()
    return {k: ops.convert_to_numpy(v.value) for k, v in weights.items()}

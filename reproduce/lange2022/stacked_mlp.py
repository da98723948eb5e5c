"""Many small feedforward networks side by side in one model.

Small networks leave a processor idle: trained one after the other they take
three to five times as long. Here they lie along an axis of their own and see
the same batches, and each learns what it would have learned alone.
"""

import math

import keras
import numpy as np
from keras import ops

_serializable = keras.saving.register_keras_serializable(package="reproduce")


@_serializable
class StackedL1L2(keras.regularizers.Regularizer):
    """Penalty of a weight of shape `(in, networks, out)`, strengths apart.

        sum_m l2[m] * sum(w[:, m]^2) + l1[m] * sum(|w[:, m]|)

    Args:
        l1: Floats >= 0, one for each network.
        l2: Floats >= 0, one for each network.
    """

    def __init__(self, l1, l2):
        self.l1, self.l2 = list(l1), list(l2)

    def __call__(self, weight):
        squares = ops.sum(ops.square(weight), axis=(0, 2))
        sizes = ops.sum(ops.abs(weight), axis=(0, 2))
        l1, l2 = (ops.convert_to_tensor(x) for x in (self.l1, self.l2))
        return ops.sum(l2 * squares + l1 * sizes)

    def get_config(self):
        return {"l1": self.l1, "l2": self.l2}


@_serializable
class StackedDense(keras.layers.Layer):
    """One Dense layer a network: `y[b, m] = x[b, m] @ kernel[:, m] + bias[m]`.

    The kernel has shape `(in, networks, units)`, so that inputs which all
    networks share need one product with `(in, networks * units)`.

    Args:
        networks: Positive int.
        units: Positive int, outputs of each network.
        kernel_regularizer: Keras regularizer or `None`.
        seed: Int. The same seed gives the same weights.

    Call arguments:
        inputs: Float tensor of shape `(batch, in)`, the same for all networks,
            or `(batch, networks, in)`.

    Returns:
        Float tensor of shape `(batch, networks, units)`.
    """

    def __init__(
        self, networks, units, kernel_regularizer=None, seed=0, **kwargs
    ):
        super().__init__(**kwargs)
        self.networks, self.units, self.seed = networks, units, seed
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape):
        fan_in = input_shape[-1]
        limit = 1 / math.sqrt(fan_in)  # of PyTorch's Linear, bias included
        seeds = np.random.SeedSequence(self.seed).generate_state(2) // 2
        for name, shape, seed, regularizer in (
            (
                "kernel",
                (fan_in, self.networks, self.units),
                seeds[0],
                self.kernel_regularizer,
            ),
            ("bias", (self.networks, self.units), seeds[1], None),
        ):
            initializer = keras.initializers.RandomUniform(
                -limit, limit, int(seed)
            )
            weight = self.add_weight(
                shape, initializer, name=name, regularizer=regularizer
            )
            setattr(self, name, weight)

    def call(self, inputs):
        equation = "bi,imo->bmo" if len(inputs.shape) == 2 else "bmi,imo->bmo"
        return ops.einsum(equation, inputs, self.kernel) + self.bias

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.networks, self.units)

    def get_config(self):
        regularizer = keras.regularizers.serialize(self.kernel_regularizer)
        return {
            **super().get_config(),
            "networks": self.networks,
            "units": self.units,
            "kernel_regularizer": regularizer,
            "seed": self.seed,
        }


@_serializable
class StackedDropout(keras.layers.Layer):
    """Dropout with a rate for each network, on `(batch, networks, units)`.

    Args:
        rates: Floats in [0, 1), one for each network.
        seed: Int.
    """

    def __init__(self, rates, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.rates, self.seed = list(rates), seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=False):
        if not training or not any(self.rates):
            return inputs
        rates = ops.convert_to_tensor(self.rates, inputs.dtype)[:, None]
        uniform = keras.random.uniform(
            ops.shape(inputs), dtype=inputs.dtype, seed=self.seed_generator
        )
        kept = ops.cast(uniform >= rates, inputs.dtype)
        return inputs * kept / (1 - rates)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = {"rates": self.rates, "seed": self.seed}
        return {**super().get_config(), **config}


@_serializable
class StackedCrossentropy(keras.losses.Loss):
    """Cross-entropy from logits, summed over the networks.

    A mean over the networks, which Keras takes by default, would weaken each
    one's own loss against its penalty.
    """

    def __init__(self, name="stacked_crossentropy", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        """Returns shape `(batch,)` for labels and `(batch, networks, o)`."""
        labels = ops.repeat(
            ops.reshape(y_true, (-1, 1)), y_pred.shape[1], axis=1
        )
        return ops.sum(
            ops.sparse_categorical_crossentropy(
                labels, y_pred, from_logits=True
            ),
            axis=1,
        )


@_serializable
class StackedAccuracy(keras.metrics.Metric):
    """Accuracy of each network; as a Keras metric their mean.

    Args:
        networks: Positive int.
    """

    def __init__(self, networks, name="accuracy", **kwargs):
        super().__init__(name=name, **kwargs)
        self.networks = networks
        self.right = self.add_variable((networks,), "zeros", name="right")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, y_true, y_pred, sample_weight=None):
        labels = ops.cast(ops.reshape(y_true, (-1, 1)), "int32")
        right = ops.equal(
            ops.cast(ops.argmax(y_pred, axis=-1), "int32"), labels
        )
        self.right.assign_add(ops.sum(ops.cast(right, self.dtype), axis=0))
        self.count.assign_add(ops.cast(ops.shape(y_pred)[0], self.dtype))

    def per_network(self):
        """Returns the accuracies, a tensor of shape `(networks,)`."""
        return self.right / ops.maximum(self.count, 1)

    def result(self):
        return ops.mean(self.per_network())

    def get_config(self):
        return {**super().get_config(), "networks": self.networks}


def build(input_shape, sizes, num_classes, l1, l2, dropout, seed=0):
    """Returns networks of section 4.1 that differ in their regularization.

    Each is `Linear, ReLU, dropout, ..., Linear` with its own weights; the
    penalty is on the weight matrices, not on the biases.

    Args:
        input_shape: Ints, shape of an image.
        sizes: Positive ints, units of the hidden layers; (64, 64) in the paper.
        num_classes: Positive int.
        l1: Floats >= 0, one for each network.
        l2: Floats >= 0, one for each network.
        dropout: Floats in [0, 1), one for each network.
        seed: Int >= 0. The same seed gives the same weights and dropout masks.

    Returns:
        `keras.Sequential` from raw pixels, 0 to 255, of shape
        `(batch, *input_shape)` to logits `(batch, networks, num_classes)`.

    Raises:
        ValueError: If the strengths differ in number or are out of range.

    References:
        - [Lange et al., 2022](https://arxiv.org/abs/2203.11815), section 4.1.
          Weights and biases start uniform in +-1 / sqrt(fan_in), the law of
          PyTorch's Linear, the framework of the authors; the text gives none.
    """
    strengths = {"l1": l1, "l2": l2, "dropout": dropout}
    counts = {name: len(values) for name, values in strengths.items()}
    if len(set(counts.values())) != 1 or not len(l1):
        raise ValueError(
            f"`l1`, `l2` and `dropout` must be equally many, got {counts}."
        )
    for name, values in strengths.items():
        top = 1 if name == "dropout" else math.inf
        if not 0 <= min(values) <= max(values) < top:
            limits = "in [0, 1)" if name == "dropout" else "finite, at least 0"
            raise ValueError(f"`{name}` must be {limits}, got {values}.")
    networks = len(l1)
    seeds = np.random.SeedSequence(seed).generate_state(2 * len(sizes) + 1)
    seeds = (seeds // 2).tolist()  # below 2 ** 31
    layers = [
        keras.Input(input_shape),
        keras.layers.Flatten(name="flatten"),
        keras.layers.Rescaling(1 / 255, name="rescaling"),
    ]
    for i, width in enumerate((*sizes, num_classes)):
        last = i == len(sizes)
        layers.append(
            StackedDense(
                networks,
                width,
                StackedL1L2(l1, l2),
                seeds[2 * i],
                name="output" if last else f"hidden{i + 1}",
            )
        )
        if not last:
            layers.append(keras.layers.ReLU(name=f"relu{i + 1}"))
            layers.append(
                StackedDropout(
                    dropout, seeds[2 * i + 1], name=f"dropout{i + 1}"
                )
            )
    return keras.Sequential(layers, name="stacked_mlp")


def weights(model):
    """Returns the weights of each network, as NumPy arrays.

    Args:
        model: What `build` returns.

    Returns:
        List with a pair `(kernels, biases)` a network: the kernels of shape
        `(in, out)` and the biases `(out,)`, in the order of the layers.
    """
    layers = [
        layer.get_weights()
        for layer in model.layers
        if isinstance(layer, StackedDense)
    ]
    return [
        (
            [kernel[:, m] for kernel, _ in layers],
            [bias[m] for _, bias in layers],
        )
        for m in range(layers[0][0].shape[1])
    ]

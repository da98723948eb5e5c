"""SparseDense: a Dense layer with a given number of connections."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from modularity_tf import checks
from modularity_tf.structure import rewiring


@keras.saving.register_keras_serializable(package="modularity_tf")
class KeepConnections(keras.constraints.Constraint):
    """Keeps a connection active that an optimizer moved below zero.

    Negative strengths become `keras.config.epsilon()`. Dormant ones, exactly
    0, have no gradient and stay; `DeepR` leaves no strength negative.
    """

    def __call__(self, w):
        """Returns the strengths that are kept."""
        return ops.where(w < 0, keras.config.epsilon(), w)


@keras.saving.register_keras_serializable(package="modularity_tf")
class SparseDense(keras.layers.Layer):
    """Dense layer of which a given number of connections is active.

    Computes `activation(inputs @ kernel + bias)` with the kernel

        kernel_ij = sign_ij * max(connection_strength_ij, 0)

    Signs are constant, and so is the number of active connections. `DeepR`
    rewires them; under an optimizer that leaves weights without a gradient
    alone (all of Keras but Muon and Ftrl, and without `use_ema`) they stay
    where they are: one that would cross zero is kept just above it.

    >>> from modularity_tf import layers
    >>> layer = layers.SparseDense(32, connections=100, seed=0)
    >>> layer(images).shape
    TensorShape([1797, 32])
    >>> int(np.count_nonzero(layer.kernel))
    100

    Args:
        units: Positive int, size of the last output axis.
        connections: How many are active: an int, the number itself, or a
            float in (0, 1], a fraction of `input_dim * units`. So 1 is one
            connection and 1.0 is all of them.
        activation: What `keras.activations.get` takes.
        use_bias: Bool. Whether the layer has a bias.
        kernel_initializer: Where active weights, and all signs, start.
        bias_initializer: Where biases start.
        dormant_gradients: Bool. Whether dormant connections receive gradients
            too, as if they were active, for `DeepR(grow="gradient")`. Under
            another optimizer they would wake: leave it `False` there.
        seed: Int in [0, 2**31) or `None`. The same seed draws the same
            connections.

    Call arguments:
        inputs: Float tensor of shape `(batch, ..., input_dim)`.

    Returns:
        Float tensor of shape `(batch, ..., units)`.

    Raises:
        ValueError: If an argument is out of its range.

    References:
        - [Bena & Goodman, 2021](https://arxiv.org/abs/2106.02626), section
          2.4
    """

    def __init__(
        self,
        units: int,
        connections: float,
        *,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        dormant_gradients: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.units = checks.integer("units", units, least=1)
        rewiring.check_connections(connections)
        self.connections = connections
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.dormant_gradients = dormant_gradients
        self.seed = checks.seed(seed)

    def build(self, input_shape):
        if input_shape[-1] is None:
            raise ValueError(
                "The last axis of the inputs must be known, got the shape "
                f"{input_shape}."
            )
        shape = (input_shape[-1], self.units)
        self.input_spec = keras.InputSpec(min_ndim=2, axes={-1: shape[0]})
        count = rewiring.check_count(self.connections, shape[0] * self.units)
        # Not less: half precision would lose the small steps of training.
        dtype = keras.backend.result_type(self.variable_dtype, "float32")
        self.connection_strength = self.add_weight(
            shape=shape,
            dtype=dtype,
            initializer=self._draw_strength(count),
            constraint=KeepConnections(),
            autocast=False,
            name="connection_strength",
        )
        self.connection_strength.active_connections = count  # for DeepR
        self.connection_strength.dormant_gradients = self.dormant_gradients
        self.sign = self.add_weight(
            shape=shape,
            dtype=dtype,
            initializer=self._draw_sign,
            trainable=False,
            autocast=False,
            name="sign",
        )
        if self.use_bias:
            self.bias = self.add_weight(
                shape=(self.units,),
                initializer=self.bias_initializer,
                name="bias",
            )

    @property
    def kernel(self) -> tf.Tensor:
        """Float tensor of shape `(input_dim, units)`: 0 where dormant."""
        strength = ops.relu(self.connection_strength)
        if self.dormant_gradients:  # the same values, another slope
            raw = ops.convert_to_tensor(self.connection_strength)
            strength = raw + ops.stop_gradient(strength - raw)
        return ops.cast(self.sign * strength, self.compute_dtype)

    def call(self, inputs):
        outputs = ops.matmul(inputs, self.kernel)
        if self.use_bias:
            outputs = ops.add(outputs, self.bias)
        return self.activation(outputs)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        config = {
            "units": self.units,
            "connections": self.connections,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
            "bias_initializer": keras.initializers.serialize(
                self.bias_initializer
            ),
            "dormant_gradients": self.dormant_gradients,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}

    def _draw_strength(self, count):
        def draw(shape, dtype):
            weights = ops.abs(self.kernel_initializer(shape, dtype))
            # A strength of exactly 0 would be dormant.
            weights = ops.maximum(weights, keras.config.epsilon())
            active = rewiring.initial_connections(shape, count, self.seed)
            return weights * ops.cast(active, dtype)

        return draw

    def _draw_sign(self, shape, dtype):
        is_negative = self.kernel_initializer(shape, dtype) < 0
        return ops.cast(ops.where(is_negative, -1, 1), dtype)

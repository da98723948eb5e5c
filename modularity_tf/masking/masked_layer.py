"""What MaskedDense and MaskedConv2D share: masks on a Keras layer's weights."""

import zlib
from typing import Any, Self

import keras
import tensorflow as tf
from keras import ops

from modularity_tf import checks
from modularity_tf.masking import mask_sampling
from modularity_tf.network import keras_private, model_weights


class MaskedLayer(keras.layers.Layer):
    """Mixin that gates the kernel, and the bias if asked, of a Keras layer.

    The layer's own `call` runs with the masked weights in place of its own,
    so whatever it can do (strides, data formats, activations) stays as it is.
    See `MaskedDense` for the arguments.
    """

    def __init__(
        self,
        *args: Any,
        num_samples: int = 1,
        alpha: float = 0.0,
        initial_keep_probability: float = 0.9,
        mask_bias: bool = False,
        temperature: float = 1.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        mask_sampling.check_arguments(num_samples, alpha, temperature)
        self._initial_logit = mask_sampling.logit(initial_keep_probability)
        seed = None if seed is None else checks.seed(seed)
        super().__init__(*args, **kwargs)
        if not isinstance(mask_bias, bool):
            raise ValueError(f"`mask_bias` must be a bool, got {mask_bias!r}.")
        if mask_bias and not self.use_bias:
            raise ValueError("`mask_bias=True` needs `use_bias=True`.")
        self.num_samples = int(num_samples)
        self.alpha = float(alpha)
        self.initial_keep_probability = float(initial_keep_probability)
        self.mask_bias = mask_bias
        self.temperature = float(temperature)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        super().build(input_shape)
        # Two layers with one seed differ all the same: see `MaskedDense`.
        kernel = keras_private.kernel(self)
        identity = f"{model_weights.given_name(self)} {kernel.shape}"
        self._seed_offset = zlib.crc32(identity.encode())
        self.mask_logits = self._add_logits(kernel, "mask_logits")
        if self.mask_bias:
            self.bias_mask_logits = self._add_logits(
                self.bias, "bias_mask_logits"
            )

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        num_samples = self.num_samples if training else 1
        parts = mask_sampling.split_batch(inputs, num_samples)
        kernels = self._gate(
            keras_private.kernel(self), self.mask_logits, training
        )
        biases = [self.bias] * num_samples
        if self.mask_bias:
            biases = self._gate(self.bias, self.bias_mask_logits, training)
        outputs = []
        for part, kernel, bias in zip(parts, kernels, biases, strict=True):
            mapping = [(keras_private.kernel(self), kernel)]
            if self.use_bias:
                mapping.append((self.bias, ops.convert_to_tensor(bias)))
            with keras.StatelessScope(state_mapping=mapping):
                outputs.append(super().call(part))
        return ops.concatenate(outputs, axis=0)

    def enable_lora(self, *args: Any, **kwargs: Any) -> None:
        raise ValueError(
            f"{self.name!r} can't have LoRA weights: its mask would not hold "
            "for them."
        )

    # Keras's Dense and Conv2D save their kernel and bias only.

    def save_own_variables(self, store: Any) -> None:
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store: Any) -> None:
        keras.layers.Layer.load_own_variables(self, store)

    def get_config(self) -> dict[str, Any]:
        config = {
            "num_samples": self.num_samples,
            "alpha": self.alpha,
            "initial_keep_probability": self.initial_keep_probability,
            "mask_bias": self.mask_bias,
            "temperature": self.temperature,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return super().from_config(mask_sampling.todays_config(config))

    def _add_logits(self, weight, name):
        return self.add_weight(
            shape=weight.shape,
            dtype="float32",
            initializer=keras.initializers.Constant(self._initial_logit),
            regularizer=lambda logits: mask_sampling.penalty(
                logits, self.alpha
            ),
            autocast=False,
            name=name,
        )

    def _gate(self, weight, logits, training):
        """Returns the masked weight, one for each mask sample."""
        if not training:
            return [ops.where(mask_sampling.threshold(logits.value), weight, 0)]
        seed = tf.random.experimental.stateless_fold_in(
            tf.cast(self.seed_generator.next(), tf.int64), self._seed_offset
        )
        return mask_sampling.sample_weights(
            ops.convert_to_tensor(weight),
            logits.value,
            seed,
            self.num_samples,
            self.temperature,
        )

"""MaskedDense: a Dense layer with a learned binary mask."""

from typing import Any

import keras

from modularity_tf.masking import masked_layer


@keras.saving.register_keras_serializable(package="modularity_tf")
class MaskedDense(masked_layer.MaskedLayer, keras.layers.Dense):
    """Dense layer whose kernel is gated by a learned binary mask.

    Computes `activation(inputs @ (kernel * mask) + bias)`. In training the
    mask is a fresh straight-through sample; in inference it is 1 where
    `mask_logits > 0`. Weights and mask train together: for a trained model
    whose weights stay, see `MaskedModel`.

    >>> from modularity_tf import layers
    >>> layer = layers.MaskedDense(3, seed=0)
    >>> layer(images, training=True).shape
    TensorShape([1797, 3])

    Args:
        units: Positive int, size of the last output axis.
        num_samples: Positive int. The batch is cut into so many parts, each
            with a mask sample of its own; a batch can't be smaller.
        alpha: Float, at least 0. Adds alpha * sum(mask logits) to the loss.
        initial_keep_probability: Float in (0, 1), chance that an entry is kept
            before training.
        mask_bias: Bool. Whether the bias has a mask as well.
        temperature: Positive float tau. It scales gradients only.
        seed: Int or `None`. The same seed draws the same masks, in layers of
            the same kernel shape and the same `name` (a name that Keras makes
            up does not count): such layers of one model need two seeds.
        **kwargs: Of `keras.layers.Dense`.

    Call arguments:
        inputs: Float tensor of shape `(batch, ..., input_dim)`.
        training: Bool. Sample the mask (`True`) or threshold it (`False`).

    Returns:
        Float tensor of shape `(batch, ..., units)`.

    Raises:
        ValueError: If an argument is out of its range.

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), section 2
          and 3.3
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)

"""MaskedConv2D: a Conv2D layer with a learned binary mask."""

from typing import Any

import keras

from modularity_tf.masking import masked_layer


@keras.saving.register_keras_serializable(package="modularity_tf")
class MaskedConv2D(masked_layer.MaskedLayer, keras.layers.Conv2D):
    """Conv2D layer whose kernel is gated by a learned binary mask.

    Computes `activation(conv(inputs, kernel * mask) + bias)`; the mask has an
    entry for each entry of the kernel, shape `(height, width, input_channels,
    filters)`. In training the mask is a fresh straight-through sample; in
    inference it is 1 where `mask_logits > 0`. Weights and mask train together:
    for a trained model whose weights stay, see `MaskedModel`.

    >>> from modularity_tf import layers
    >>> layer = layers.MaskedConv2D(4, 3, seed=0)
    >>> layer(images.reshape(-1, 8, 8, 1), training=True).shape
    TensorShape([1797, 6, 6, 4])

    Args:
        filters: Positive int, number of output channels.
        kernel_size: Int or two ints, height and width of the kernel.
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
        **kwargs: Of `keras.layers.Conv2D`.

    Call arguments:
        inputs: Float tensor of shape `(batch, height, width, channels)`.
        training: Bool. Sample the mask (`True`) or threshold it (`False`).

    Returns:
        Float tensor of shape `(batch, new_height, new_width, filters)`.

    Raises:
        ValueError: If an argument is out of its range.

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), section 2
    """

    def __init__(
        self, filters: int, kernel_size: int | tuple[int, int], **kwargs: Any
    ) -> None:
        super().__init__(filters, kernel_size, **kwargs)

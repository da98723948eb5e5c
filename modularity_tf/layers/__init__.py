"""Keras layers whose structure is part of what is learned."""

from modularity_tf.layers.masked_conv2d import MaskedConv2D
from modularity_tf.layers.masked_dense import MaskedDense

__all__ = ["MaskedConv2D", "MaskedDense"]

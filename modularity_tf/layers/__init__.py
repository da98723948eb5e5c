"""Keras layers whose structure is part of what is learned."""

from modularity_tf.masking.masked_conv2d import MaskedConv2D
from modularity_tf.masking.masked_dense import MaskedDense
from modularity_tf.structure.sparse_dense import SparseDense
from modularity_tf.structure.sparse_recurrent import SparseRecurrent

__all__ = ["MaskedConv2D", "MaskedDense", "SparseDense", "SparseRecurrent"]

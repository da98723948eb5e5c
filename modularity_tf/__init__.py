"""Which part of a trained network does what: masks, neurons, clusters."""

from modularity_tf.masked_model import MaskedModel
from modularity_tf.weight_mask import WeightMask

__all__ = ["MaskedModel", "WeightMask"]

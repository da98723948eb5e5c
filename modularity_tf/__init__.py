"""Which part of a trained network does what: masks, neurons, clusters."""

from modularity_tf.deep_r import DeepR
from modularity_tf.masked_model import MaskedModel
from modularity_tf.scored_model import ScoredModel
from modularity_tf.weight_mask import WeightMask

__all__ = ["DeepR", "MaskedModel", "ScoredModel", "WeightMask"]

"""Which part of a trained network does what: masks, neurons, clusters."""

import keras

if keras.config.backend() != "tensorflow":
    raise ImportError(
        "modularity_tf needs Keras's TensorFlow backend, but Keras uses "
        f"{keras.config.backend()!r}: set the environment variable "
        "KERAS_BACKEND=tensorflow before Keras is first imported."
    )

from modularity_tf.masking.masked_model import MaskedModel
from modularity_tf.masking.scored_model import ScoredModel
from modularity_tf.masking.weight_mask import WeightMask
from modularity_tf.structure.deep_r import DeepR

__all__ = ["DeepR", "MaskedModel", "ScoredModel", "WeightMask"]

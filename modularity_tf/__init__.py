"""Which part of a trained Keras model does what?

    find_weights(model, data)         -> WeightMask, weights that a task needs
    find_neurons(model, data, label)  -> NeuronSelection, neurons of a class
    find_units(model, data)           -> UnitClusters, similar units by layer
    compare({name: finding}, model)   -> Comparison: do they mark the same?
    soundness.check(finding, model, data) -> Soundness: is it what it seems?

Findings are values with save, load, plot, check_fits and provenance. Sets of
weights or neurons also have | & - ~, overlap, shuffled, apply and remove_from.
Below these functions, for experts, are MaskedModel and ScoredModel (masks in
training), the optimizer DeepR with layers.SparseDense and
layers.SparseRecurrent (connections that move in training), layers.MaskedDense
and layers.MaskedConv2D, and the packages masking, neurons, units and structure.
"""

import keras

if keras.config.backend() != "tensorflow":
    raise ImportError(
        "modularity_tf needs Keras's TensorFlow backend, but Keras uses "
        f"{keras.config.backend()!r}: set the environment variable "
        "KERAS_BACKEND=tensorflow before Keras is first imported."
    )

from modularity_tf import soundness
from modularity_tf.comparing import compare
from modularity_tf.findings.comparison import Comparison
from modularity_tf.findings.neuron_selection import NeuronSelection
from modularity_tf.findings.unit_clusters import UnitClusters
from modularity_tf.findings.weight_mask import WeightMask
from modularity_tf.masking.find_weights import find_weights
from modularity_tf.masking.masked_model import MaskedModel
from modularity_tf.masking.scored_model import ScoredModel
from modularity_tf.neurons.find_neurons import find_neurons
from modularity_tf.structure.deep_r import DeepR
from modularity_tf.units.find_units import find_units

__all__ = [
    "Comparison",
    "DeepR",
    "MaskedModel",
    "NeuronSelection",
    "ScoredModel",
    "UnitClusters",
    "WeightMask",
    "compare",
    "find_neurons",
    "find_units",
    "find_weights",
    "soundness",
]

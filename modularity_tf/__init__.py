"""Which part of a trained Keras model does what?

    find_weights(model, data)         -> WeightMask: weights that a task needs
    find_neurons(model, data, label)  -> NeuronSelection: neurons of a class
    find_units(model, data)           -> UnitClusters: units that act alike
    compare({name: finding}, model)   -> Comparison: do they mark the same?
    soundness.check(finding, model, data) -> Soundness: is it what it seems?
    planted.make_parities(...)        -> Planted: a model whose answer is known

`data` are arrays (x, y) or batches, as `fit` takes them. All that is returned
is a value: print it, or use its summary, table, plot, save and load. Findings
also have provenance and check_fits. Sets of weights or neurons have | & - ~,
overlap, shuffled, apply, remove_from, and shrink, which returns a SmallerModel.

Below these functions: weight_scores (rankings of weights without training) and
mask_of_scores (the mask of the highest, an answer in one pass over the data);
MaskedModel and ScoredModel (masks in training); the optimizer DeepR with
layers.SparseDense and layers.SparseRecurrent (connections that move in
training); layers.MaskedDense and layers.MaskedConv2D; the callback
UnitModularity; and the packages masking, neurons, units, structure, network
and findings. NoMaskError tells that no mask keeps what was asked for.
"""

import keras

if keras.config.backend() != "tensorflow":
    raise ImportError(
        "modularity_tf needs Keras's TensorFlow backend, but Keras uses "
        f"{keras.config.backend()!r}: set the environment variable "
        "KERAS_BACKEND=tensorflow before Keras is first imported."
    )

# `as` exports a name. With `__all__`, `help` would show all of them in full.
from modularity_tf import layers as layers
from modularity_tf import planted as planted
from modularity_tf import soundness as soundness
from modularity_tf.comparing import compare as compare
from modularity_tf.findings.comparison import Comparison as Comparison
from modularity_tf.findings.mask_path import MaskPath as MaskPath
from modularity_tf.findings.neuron_selection import (
    NeuronSelection as NeuronSelection,
)
from modularity_tf.findings.smaller_model import SmallerModel as SmallerModel
from modularity_tf.findings.unit_clusters import UnitClusters as UnitClusters
from modularity_tf.findings.weight_mask import WeightMask as WeightMask
from modularity_tf.masking.alpha_search import NoMaskError as NoMaskError
from modularity_tf.masking.find_weights import find_weights as find_weights
from modularity_tf.masking.masked_model import MaskedModel as MaskedModel
from modularity_tf.masking.scored_model import ScoredModel as ScoredModel
from modularity_tf.masking.weight_scores import mask_of_scores as mask_of_scores
from modularity_tf.masking.weight_scores import weight_scores as weight_scores
from modularity_tf.neurons.find_neurons import find_neurons as find_neurons
from modularity_tf.structure.deep_r import DeepR as DeepR
from modularity_tf.units.find_units import find_units as find_units
from modularity_tf.units.unit_modularity import UnitModularity as UnitModularity

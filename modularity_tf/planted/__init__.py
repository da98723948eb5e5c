"""Networks with a known answer, to try a method on.

Each `make_*` function returns a `Planted`: a Keras model, examples of its
tasks, and which weights and units each task needs. `score` says how well a
finding tells that. With scikit-learn's `make_classification` it shares the
idea, and the seeds.
"""

from modularity_tf.planted.attention import make_induction
from modularity_tf.planted.boolean import (
    at_least,
    between,
    make_boolean,
    make_few_rows,
    make_parities,
    make_rare_rule,
    parity,
)
from modularity_tf.planted.convolution import make_detectors
from modularity_tf.planted.gated import make_gated_mlp
from modularity_tf.planted.labelled_sequences import make_sequence_labels
from modularity_tf.planted.planted_network import KINDS, Needed, Planted
from modularity_tf.planted.recurrent import make_recurrent_modules
from modularity_tf.planted.residual import make_residual
from modularity_tf.planted.rotated import make_rotated
from modularity_tf.planted.scores import Score, agreement, score
from modularity_tf.planted.stacked_grus import make_two_grus
from modularity_tf.planted.two_heads import make_two_heads

__all__ = [
    "KINDS",
    "Needed",
    "Planted",
    "Score",
    "agreement",
    "at_least",
    "between",
    "make_boolean",
    "make_detectors",
    "make_few_rows",
    "make_gated_mlp",
    "make_induction",
    "make_parities",
    "make_rare_rule",
    "make_recurrent_modules",
    "make_residual",
    "make_rotated",
    "make_sequence_labels",
    "make_two_grus",
    "make_two_heads",
    "parity",
    "score",
]

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
from modularity_tf.planted.gated import make_gated_mlp
from modularity_tf.planted.planted_network import KINDS, Needed, Planted
from modularity_tf.planted.recurrent import make_recurrent_modules
from modularity_tf.planted.rotated import make_rotated
from modularity_tf.planted.scores import Score, agreement, score

__all__ = [
    "KINDS",
    "Needed",
    "Planted",
    "Score",
    "agreement",
    "at_least",
    "between",
    "make_boolean",
    "make_few_rows",
    "make_gated_mlp",
    "make_induction",
    "make_parities",
    "make_rare_rule",
    "make_recurrent_modules",
    "make_rotated",
    "parity",
    "score",
]

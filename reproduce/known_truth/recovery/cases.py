"""What is planted: cases from easy to hard."""

import functools
import math

from modularity_tf import planted
from modularity_tf.planted import Planted, at_least, between, parity


def _boolean(*outputs, **decoys):
    return functools.partial(planted.make_boolean, outputs, **decoys)


_parities = functools.partial(functools.partial, planted.make_parities)
CASES = {
    "simple": _parities(unread=5),
    "robust": _boolean(
        (0, at_least(5, 3)), (1, between(5, 2, 3)), (2, parity(5)), unread=5
    ),
    "silent": _parities(unread=5, silent=5, decoy_scale=2.0),
    "silent_8": _parities(unread=5, silent=5, decoy_scale=8.0),
    "silent_32": _parities(unread=5, silent=5, decoy_scale=32.0),
    "pairs": _parities(unread=5, pairs=4),
    "copies": _parities(2, bits=4, copies=True, unread=4),
    # Two outputs; the second reads this share of the first one's units.
    "shared_0": _boolean((0, parity(8)), (1, between(8, 3, 5)), unread=5),
    "shared_25": _boolean((0, parity(8)), (0, between(8, 3, 5)), unread=5),
    "shared_50": _boolean(
        (0, parity(8)), (0, (0, 0, 1, 1, 0, 0, 1, 1, 0)), unread=5
    ),
    "shared_100": _boolean(
        (0, parity(8)), (0, tuple(1 - x for x in parity(8))), unread=5
    ),
}

LOUDER = ("silent_8", "silent_32")  # the case `silent` with larger decoys

# Networks of other kinds: functions of the seed.
OTHERS = {
    "attention": planted.make_induction,
    "attention_pairs": functools.partial(planted.make_induction, pairs=2),
    "trained_apart": planted.make_gated_mlp,
    "trained_shared": functools.partial(planted.make_gated_mlp, shared=0.5),
    "recurrent": planted.make_recurrent_modules,
}
# Further kinds, at the default settings of find_weights and with nothing held
# out for it. With wrong labels a network is as sure as these let it be, but for
# the last one.
_noisy = functools.partial(_parities, bits=4, unread=5, silent=5, pairs=2)


def _with_noise(share, seed, *, sure=False):
    logit = {} if sure else {"logit": 2 * math.log((1 - share) / share)}
    return _noisy(**logit)(seed=seed).with_label_noise(share, seed=seed)


MORE = {
    "detectors": planted.make_detectors,
    "residual": planted.make_residual,
    "two_grus": planted.make_two_grus,
    "two_heads": planted.make_two_heads,
    "labels": planted.make_sequence_labels,
    "labels_rare": functools.partial(planted.make_sequence_labels, rare=True),
    "rare_rule": planted.make_rare_rule,
    "noise_30": functools.partial(_with_noise, 0.3),
    "noise_45": functools.partial(_with_noise, 0.45),
    "noise_30_sure": functools.partial(_with_noise, 0.3, sure=True),
    "rows_225": functools.partial(planted.make_few_rows, 225),
    "rows_600": functools.partial(planted.make_few_rows, 600),
    "rows_3000": functools.partial(planted.make_few_rows, 3000),
}
CONTROLS = {
    "aligned": functools.partial(planted.make_rotated, rotated=False),
    "rotated": planted.make_rotated,
}
ALL = (*CASES, *OTHERS, *MORE, *CONTROLS)
TITLES = {
    "simple": "three parities",
    "robust": "majority and window",
    "silent": "decoys that never fire",
    "silent_8": "decoys, 8 times as large",
    "silent_32": "decoys, 32 times as large",
    "pairs": "canceling pairs",
    "copies": "two copies",
    "shared_0": "nothing shared",
    "shared_25": "a quarter shared",
    "shared_50": "half shared",
    "shared_100": "all shared",
    "attention": "attention heads",
    "attention_pairs": "canceling heads",
    "trained_apart": "trained supports",
    "trained_shared": "trained, half shared",
    "recurrent": "recurrent modules",
    "detectors": "convolution detectors",
    "residual": "residual blocks, pairs across",
    "two_grus": "two GRUs",
    "two_heads": "LayerNorm, two heads",
    "labels": "labels of steps",
    "labels_rare": "labels, 11 % positive",
    "rare_rule": "rule for 1 of 128",
    "noise_30": "30 % wrong labels",
    "noise_45": "45 % wrong labels",
    "noise_30_sure": "30 % wrong, network too sure",
    "rows_225": "60 inputs, 225 rows",
    "rows_600": "60 inputs, 600 rows",
    "rows_3000": "60 inputs, 3,000 rows",
    "aligned": "units that are parts",
    "rotated": "rotated units",
}


def build(case: str, seed: int) -> Planted:
    """Returns the network of a case, another one for each seed.

    Args:
        case: One of `ALL`.
        seed: Int, not negative.
    """
    return {**CASES, **OTHERS, **MORE, **CONTROLS}[case](seed=seed)


@functools.lru_cache(maxsize=1)
def network(case: str, seed: int) -> Planted:
    """Returns what `build` does; the last one is kept, as training it takes."""
    return build(case, seed)


def measures_sharing(case: str) -> bool:
    """Returns whether what two tasks share is asked for in a case."""
    return case.startswith(("shared", "trained"))

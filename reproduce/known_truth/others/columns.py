"""Are masks of features the columns that they should be?

Of an autoencoder of superposed features the truth of feature j is column j of
W, which no other feature has. It is judged for features that the network
represents: it explains at least half of their loss.

A mask is *right* about a feature if more than half of what it keeps is the
column, and it keeps more than half of the column, both in squares: the squared
cosine of what is kept of W and the column alone is above 1/2. A network is
*broken* if for one of its features the mask is not right. This definition is
older than the run whose numbers it gives.

In a residual network no neuron belongs to a feature. What two features' masks
have in common of the neurons is compared with random sets of these sizes: the
answer is *undetermined* if the two-sided p is above 5 %.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import stats

from modularity_tf.findings import overlap
from reproduce.known_truth.others import stacked_masks, superposition

REPRESENTED = 0.5  # of a feature's loss, explained by the network
RIGHT = 0.5  # squared cosine
RIGHT_AT_FIRST = 0.9  # cosine, of a definition before this one
SURE = 0.05  # p of an answer that is not "undetermined"


def judge(
    kind: superposition.Kind,
    weights: Mapping[str, np.ndarray],
    found: stacked_masks.Found,
    seed: int,
) -> list[dict[str, Any]]:
    """Returns how right the masks of each network are.

    Args:
        kind: `superposition.Kind` of an autoencoder.
        weights: Dict from name to array; the first axis is the network.
        found: `Found`, the masks of all features.
        seed: Int, of random masks, as large.

    Returns:
        List with a dict for each network that represents a feature. `features`
        counts those that it represents. Over these are means of `precision`
        and `recall`, which count weights of W, `cosine`, of what is kept with
        the column, `mmcs`, of column j of what is kept alone, as others have
        it, and the same of random masks under `random`; `lowest` is the lowest
        cosine. Then there is `broken`.
    """
    columns = weights["columns"][found.network]
    own = found.feature[:, None] == np.arange(kind.features)
    masks = {"": found.kept["columns"]}
    rng = np.random.default_rng(seed)
    flat = masks[""].reshape(len(own), -1)
    masks["random"] = rng.permuted(flat, axis=1).reshape(masks[""].shape)
    scores = {name: _scores(columns, own, kept) for name, kept in masks.items()}
    is_represented = found.explained >= REPRESENTED
    networks = []
    for network in np.unique(found.network):
        rows = (found.network == network) & is_represented
        if not rows.any():
            continue

        def means(name, rows=rows):
            return {k: float(v[rows].mean()) for k, v in scores[name].items()}

        lowest = float(scores[""]["cosine"][rows].min())
        networks.append(
            {
                "features": int(rows.sum()),
                **means(""),
                "lowest": lowest,
                "broken": bool(lowest**2 <= RIGHT),
                "random": {
                    **means("random"),
                    "broken": bool(
                        scores["random"]["cosine"][rows].min() ** 2 <= RIGHT
                    ),
                },
            }
        )
    return networks


def _scores(columns, own, kept):
    """Returns scores of each copy: of the column, and of what is kept."""
    own = np.broadcast_to(own[:, :, None], kept.shape)
    left = columns * kept
    alone = left * own
    product = np.sum(left * columns * own, axis=(1, 2))

    def cosine(other):
        sizes = [np.sum(v**2, axis=(1, 2)) for v in (other, columns * own)]
        return product / np.maximum(np.sqrt(sizes[0] * sizes[1]), 1e-12)

    hits = np.sum(kept & own, axis=(1, 2))
    return {
        "precision": hits / np.maximum(kept.sum(axis=(1, 2)), 1),
        "recall": hits / own.sum(axis=(1, 2)),
        "cosine": cosine(left),
        "mmcs": cosine(alone),
    }


def answers(
    kind: superposition.Kind,
    found: stacked_masks.Found,
    again: stacked_masks.Found,
) -> list[dict[str, Any]]:
    """Returns how often masks are sure of what features share.

    Args:
        kind: `superposition.Kind` of a residual network.
        found: `Found`, the masks of all features.
        again: `Found` from other examples.

    Returns:
        List with a dict for each network: `pairs` of features, and of how many
        the answer is `determined`; `features`, and of how many features the
        answer about their masks and those found again is `determined_again`;
        and `neurons`, the mean number in a mask.
    """
    used, other = (_neurons(each) for each in (found, again))
    networks = []
    for network in np.unique(found.network):
        rows = np.flatnonzero(found.network == network)
        pairs = rows[: len(rows) // 2 * 2].reshape(-1, 2)
        networks.append(
            {
                "pairs": len(pairs),
                "determined": sum(
                    p_value(used[i], used[j]) <= SURE for i, j in pairs
                ),
                "features": len(rows),
                "determined_again": sum(
                    p_value(used[i], other[i]) <= SURE for i in rows
                ),
                "neurons": float(used[rows].sum(axis=1).mean()),
            }
        )
    return networks


def p_value(first: np.ndarray, second: np.ndarray) -> float:
    """Returns how surely two sets share more, or less, than random ones.

    Args:
        first: Bool array.
        second: Bool array of the same shape.

    Returns:
        Float from 0 to 1, two-sided; 1 for a set that is empty or everything.
    """
    sizes = {0, first.size}
    if {int(first.sum()), int(second.sum())} & sizes:
        return 1.0
    shared = overlap.between({"": first}, {"": second})
    apart = overlap.between({"": first}, {"": ~second})
    return min(1.0, 2 * min(shared.p_value(), apart.p_value()))


def undetermined_by_chance(size: int, units: int) -> float:
    """Returns the share of pairs of random sets with nothing to be sure of.

    Args:
        size: Int, units in each set.
        units: Int, those that there are.

    Returns:
        Float from 0 to 1: of how many pairs `p_value` is above 5 %.
    """
    first = np.arange(units) < size
    shared = np.arange(max(0, 2 * size - units), size + 1)
    unsure = [p_value(first, np.roll(first, size - k)) > SURE for k in shared]
    chance = stats.hypergeom(units, size, size).pmf(shared)
    return float(chance[unsure].sum())


def _neurons(found):
    """Returns the neurons of each copy that its feature goes through."""
    rows = np.arange(len(found.feature))
    into = found.kept["into"][rows, found.feature]
    return into & found.kept["out"][rows, :, found.feature]

"""What claims and figures of unit_clustering are computed from.

`records` is the dict that `reproduce.unit_clustering` leaves in results.json.
"""

import collections

import numpy as np

from modularity_tf.units import similarity
from reproduce.lange2022 import analysis
from reproduce.publishing.records import mean

KINDS = ("l2", "l1", "dropout")
MEASURES = similarity.MEASURES
UPSTREAM = tuple(
    i for i, m in enumerate(MEASURES) if "covariance" in m or "input" in m
)
DOWNSTREAM = tuple(i for i in range(len(MEASURES)) if i not in UPSTREAM)
BOTH = UPSTREAM + DOWNSTREAM
PAIRS = analysis.PAIRS


def _blocks():
    """Returns the parts of figure 4: name -> indices of `PAIRS`.

    Upstream, downstream and across: all pairs, those of two measures as they
    are ("plain upstream") and those of two normalized ones. Within the
    families: a measure and its normalized form, or another one.
    """
    blocks = collections.defaultdict(list)
    for k, (a, b) in enumerate(PAIRS):
        family = "upstream" if a in UPSTREAM else "downstream"
        if (a in UPSTREAM) != (b in UPSTREAM):
            family = "across"
        forms = {MEASURES[i].startswith("normalized") for i in (a, b)}
        blocks[family].append(k)
        if len(forms) == 1:
            form = "normalized" if forms.pop() else "plain"
            blocks[f"{form} {family}"].append(k)
        if family != "across":
            same = MEASURES[b] == f"normalized_{MEASURES[a]}"
            blocks["own normalized" if same else "other measure"].append(k)
    return dict(blocks)


BLOCKS = _blocks()


def clustered(networks, **having):
    """Returns the records that were analyzed and have those values."""
    return [
        r
        for r in networks
        if "layers" in r and all(r[key] == v for key, v in having.items())
    ]


def values(networks, key):
    """Returns a key of all layers, an array `(networks, layers, ...)`.

    An unclustered layer (all units dead) has NaN.
    """
    rows = [[layer[key] for layer in r["layers"]] for r in networks]
    return np.array(rows, "float64")


def percent(kind, strength):
    """Returns the strength on figure 3's axis, 0 to 100.

    Dropout is linear; L2 runs from 1e-5 to 1e-1 and L1 from 1e-5 to 1e-2,
    logarithmic.
    """
    if kind == "dropout":
        return 100 * strength
    decades = {"l2": 4, "l1": 3}[kind]
    return 100 * (np.log10(strength) + 5) / decades


def thirds(networks, kind, key):
    """Returns a key in the weakest and the strongest third of the strengths.

    Each strength that was analyzed counts once; means over the networks.

    Returns:
        Two arrays `(layers, measures)`, NaN below two strengths.
    """
    strengths = sorted({r["strength"] for r in clustered(networks, kind=kind)})
    size = max(1, round(len(strengths) / 3))
    if len(strengths) < 2:
        return np.full((2, 2, len(MEASURES)), np.nan)
    return [
        mean(
            [
                mean(values(clustered(networks, kind=kind, strength=s), key), 0)
                for s in part
            ],
            axis=0,
        )
        for part in (strengths[:size], strengths[-size:])
    ]


def rise(networks, kind, key="q"):
    """Returns by how much a key rises with a regularization.

    Mean of the strongest third of the strengths that were analyzed minus that
    of the weakest third, an array `(layers, measures)`.
    """
    weak, strong = thirds(networks, kind, key)
    return strong - weak


def agreements(networks):
    """Returns the agreement of the pairs, means over layers.

    Returns:
        Array `(networks, pairs)`.
    """
    rows = [r["agreement"] for r in clustered(networks)]
    return np.array(rows, "float64")


def block_agreement(networks, block):
    """Returns the mean agreement in a block of figure 4, over the layers."""
    if not clustered(networks):
        return np.nan
    return float(mean(agreements(networks)[:, BLOCKS[block]]))


def searches(networks):
    """Returns Q of both steps beside that of one step alone (figure S2).

    Returns:
        Two arrays `(n, 3)` of the measure, Q of one step alone and Q of both:
        without the Monte Carlo search (all matrices), and without the
        spectral step (the subsample).
    """
    layers = [layer for r in clustered(networks) for layer in r["layers"]]
    spectral = [
        (m, layer["q_spectral"][m], layer["q"][m])
        for layer in layers
        for m in range(len(MEASURES))
    ]
    alone = [
        (m, q, layer["q"][m])
        for layer in layers
        for m, q in layer.get("one_cluster", ())
    ]
    return [
        np.array(found, "float64").reshape(-1, 3) for found in (spectral, alone)
    ]


def null_excess(networks):
    """Returns agreement across the families minus that by chance, the mean."""
    excess = [
        observed - mean
        for r in clustered(networks)
        for layer in r["layers"]
        for pair, observed, mean in layer.get("null", ())
        if pair in BLOCKS["across"]
    ]
    return float(np.mean(excess)) if excess else np.nan

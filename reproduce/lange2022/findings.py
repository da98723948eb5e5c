"""What unit clustering shows: claims, and the numbers behind the figures.

`records` is the dict that `reproduce.unit_clustering` leaves in results.json.
"""

import numpy as np

from modularity_tf.units import similarity
from reproduce.harness import claim
from reproduce.lange2022 import stages

KINDS = ("l2", "l1", "dropout")
MEASURES = similarity.MEASURES
UPSTREAM = tuple(
    i for i, m in enumerate(MEASURES) if "covariance" in m or "input" in m
)
DOWNSTREAM = tuple(i for i in range(len(MEASURES)) if i not in UPSTREAM)
BOTH = UPSTREAM + DOWNSTREAM
PAIRS = stages.PAIRS


def _blocks():
    """Returns the parts of figure 4: name -> indices of `PAIRS`."""
    blocks = {name: [] for name in ("upstream", "downstream", "across")}
    blocks |= {"normalised": [], "other measure": []}  # within the families
    for k, (a, b) in enumerate(PAIRS):
        if (a in UPSTREAM) != (b in UPSTREAM):
            blocks["across"].append(k)
            continue
        blocks["upstream" if a in UPSTREAM else "downstream"].append(k)
        same = MEASURES[b] == f"normalized_{MEASURES[a]}"
        blocks["normalised" if same else "other measure"].append(k)
    return blocks


BLOCKS = _blocks()


def clustered(networks, **having):
    """Returns the records that were analysed and have those values."""
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


def mean(found, axis=None):
    """Returns the mean of what is not NaN; NaN where nothing is left."""
    found = np.asarray(found, "float64")
    known = ~np.isnan(found)
    with np.errstate(invalid="ignore"):
        return np.where(known, found, 0).sum(axis) / known.sum(axis)


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

    Each strength that was analysed counts once; means over the networks.

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
    """Returns by how much a key rises with a regularisation.

    Mean of the strongest third of the strengths that were analysed minus that
    of the weakest third, an array `(layers, measures)`.
    """
    weak, strong = thirds(networks, kind, key)
    return strong - weak


def block_agreement(networks, block):
    """Returns the mean agreement in a block of figure 4, over the layers."""
    if not clustered(networks):
        return np.nan
    agreement = values(clustered(networks), "agreement")
    return float(mean(agreement[..., BLOCKS[block]]))


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
        for m, q in layer["one_cluster"]
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
        for pair, observed, mean in layer["null"]
        if pair in BLOCKS["across"]
    ]
    return float(np.mean(excess)) if excess else np.nan


def claims(records):
    """Returns the paper's claims with thresholds fixed before any run.

    Each has one value a seed. Q is a mean over both layers and all eight
    measures, where nothing else is said.
    """
    networks = records["networks"]
    by_seed = [
        [r for r in networks if r["seed"] == seed]
        for seed in sorted({r["seed"] for r in networks})
    ]
    found = []

    def add(
        statement, paper, quantity, threshold, at_least=True, percent=False
    ):
        own = tuple(float(quantity(each)) for each in by_seed)
        found.append(
            claim.Claim(statement, paper, own, threshold, at_least, percent)
        )

    add(
        f"networks under {records['min_accuracy']:.0%} accuracy, dropped",
        "21 of 270",
        lambda n: 1 - len(clustered(n)) / len(n),
        0.15,
        at_least=False,
        percent=True,
    )
    _modularity_claims(add, records)
    _agreement_claims(add, records)
    _search_claims(add)
    return found


def _modularity_claims(add, records):
    untrained = values(records["untrained"], "q")
    centre, spread = mean(untrained, 0), np.nanstd(untrained, axis=0)

    def mean_rise(kind, layer=slice(None)):
        return lambda n: mean(rise(n, kind)[layer])

    def over_untrained(networks):
        strong = thirds(networks, "dropout", "q")[1]
        return mean(((strong - centre) / spread)[:, UPSTREAM])

    add("dropout raises Q, by", "greatest", mean_rise("dropout"), 0.02)
    add(
        "dropout, upstream: Q over the untrained, in their sd",
        "beyond 3",
        over_untrained,
        3.0,
    )
    for other in ("l2", "l1"):
        add(
            f"dropout raises Q more than {other.upper()}, by",
            "greatest",
            lambda n, other=other: (
                mean_rise("dropout")(n) - mean_rise(other)(n)
            ),
            0.0,
        )
    add(
        "dropout raises Q more in the first layer, by",
        "stronger",
        lambda n: mean_rise("dropout", 0)(n) - mean_rise("dropout", 1)(n),
        0.0,
    )
    add("L2 raises Q, by", "increases", mean_rise("l2"), 0.0)
    add(
        "L1 raises Q less than L2, by",
        "weak",
        lambda n: mean_rise("l2")(n) - mean_rise("l1")(n),
        0.0,
    )
    add(
        "dropout hardly changes the number of clusters: size of the change",
        "minor",
        lambda n: abs(mean(rise(n, "dropout", "clusters"))),
        1.0,
        at_least=False,
    )
    add(
        "layers with 2 to 6 clusters",
        "2-6",
        lambda n: _share(values(clustered(n), "clusters")),
        0.9,
        percent=True,
    )


def _share(clusters):
    # Two clusters of unlike size count as less than two by equation 8.
    return mean((clusters.round() >= 2) & (clusters.round() <= 6))


def _agreement_claims(add, records):
    before = {
        block: block_agreement(records["untrained"], block) for block in BLOCKS
    }

    def change(block):
        return lambda n: block_agreement(n, block) - before[block]

    for family in ("upstream", "downstream"):
        add(
            f"agreement within {family} minus that across",
            "high",
            lambda n, family=family: (
                block_agreement(n, family) - block_agreement(n, "across")
            ),
            0.1,
        )
    add(
        "agreement across, over permuted labels (subsample)",
        "little",
        null_excess,
        0.1,
        at_least=False,
    )
    add(
        "training adds to it within upstream",
        "emerges",
        change("upstream"),
        0.1,
    )
    add(
        "training hardly changes it within downstream: size of the change",
        "unaffected",
        lambda n: abs(change("downstream")(n)),
        0.1,
        at_least=False,
    )
    add(
        "untrained: within downstream minus across",
        "present",
        lambda n: before["downstream"] - before["across"],
        0.1,
    )
    add(
        "training adds to it across, slightly",
        "slightly",
        change("across"),
        0.0,
    )
    add(
        "normalising matters less than the measure: agreement S, S^ minus "
        "others of the family",
        "little",
        lambda n: (
            block_agreement(n, "normalised")
            - block_agreement(n, "other measure")
        ),
        0.0,
    )


def _search_claims(add):
    def gains(networks, which):
        found = searches(networks)[which]
        return found[:, 2] - found[:, 1]

    add(
        "the Monte Carlo search raises Q by over 1e-4: share of matrices",
        "all on or above",
        lambda n: mean(gains(n, 0) > 1e-4),
        0.5,
        percent=True,
    )
    add(
        "the spectral start does not lower Q: share of matrices (subsample)",
        "all on or above",
        lambda n: mean(gains(n, 1) > -1e-4),
        0.9,
        percent=True,
    )
    add(
        "the spectral start raises Q, by (subsample)",
        "helps",
        lambda n: mean(gains(n, 1)),
        0.0,
    )

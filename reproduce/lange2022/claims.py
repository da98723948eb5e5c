"""What unit clustering shows: the paper's claims, checked.

`records` is the dict that `reproduce.unit_clustering` leaves in results.json.
A claim has one value for each seed; what is said of untrained networks has one
for each stack of them.
"""

import dataclasses

import numpy as np

from modularity_tf import stats
from reproduce.lange2022.summaries import (
    BLOCKS,
    UPSTREAM,
    block_agreement,
    clustered,
    null_excess,
    rise,
    searches,
    thirds,
    values,
)
from reproduce.publishing import claim
from reproduce.publishing.records import grouped, mean

_NO_EFFECT = {"null": 0.0, "null_is": "no effect", "percent": False}
_DROPPED = stats.rate_interval(21, 270)  # section 4.1
_UNTRAINED = "untrained networks, the same for every seed"


def claims(records):
    """Returns the paper's claims with thresholds fixed before any run.

    Q is a mean over both layers and all eight measures, where nothing else is
    said.
    """
    networks, untrained = records["networks"], records["untrained"]
    seeds = [*grouped(networks, "seed").values()]
    found = claim.Claims()
    least = records["min_accuracy"]
    found.add(
        "dropped_networks",
        f"networks under {least:.0%} accuracy, dropped",
        [1 - len(clustered(n)) / len(n) for n in seeds],
        at_least=_DROPPED[0],
        at_most=_DROPPED[1],
        bounds=claim.SHARE,
        source="paper",
        paper="21 of 270 (4.9 to 11.7 %)",
        null=np.mean([r["accuracy"] < least for r in untrained]),
        null_is=_UNTRAINED,
    )
    found.extend(_claims_on_modularity(seeds, untrained))
    found.extend(_claims_on_clusters(seeds, untrained))
    found.extend(_claims_on_agreement(seeds, untrained))
    found.extend(_claims_on_training(seeds, untrained))
    found.extend(_claims_on_the_search(seeds))
    return found


def _claims_on_modularity(seeds, untrained):
    """Returns claims of section 4.2: what regularization does to Q."""
    found = claim.Claims()
    found.extend(_claims_on_regularization(seeds, "q"))
    better = claim.Claims("search with restarts")
    better.extend(
        dataclasses.replace(one, repeat=True)
        for one in _claims_on_regularization(seeds, "q_restarts")
    )
    found.extend(better)
    before = values(untrained, "q")
    center, spread = mean(before, 0), np.nanstd(before, axis=0)

    def over_untrained(networks):
        """Returns Q less that of the untrained, in their sd."""
        return (thirds(networks, "dropout", "q")[1] - center) / spread

    found.add(
        "dropout_q_over_untrained",
        "dropout, upstream: Q over the untrained, in their sd",
        [mean(over_untrained(n)[:, UPSTREAM]) for n in seeds],
        at_least=3.0,
        paper="figure 3 shades 3 sd",
        null=0.0,
        null_is=_UNTRAINED,
        percent=False,
    )
    return found


def _claims_on_regularization(seeds, key):
    """Returns claims on Q in strong against weak regularization.

    Args:
        seeds: List of the networks of each seed.
        key: "q", or "q_restarts" of the better search.
    """

    def rises(kind, layer=slice(None)):
        return np.array([mean(rise(n, kind, key)[layer]) for n in seeds])

    found = claim.Claims()
    found.add(
        "dropout_raises_q",
        "dropout raises Q, by",
        rises("dropout"),
        at_least=0.02,
        paper="increases",
        **_NO_EFFECT,
    )
    for other in ("l2", "l1"):
        found.add(
            f"dropout_over_{other}",
            f"dropout raises Q more than {other.upper()}, by",
            rises("dropout") - rises(other),
            at_least=0.0,
            paper="greatest effect",
            **_NO_EFFECT,
        )
    found.add(
        "dropout_in_first_layer",
        "dropout raises Q more in the first layer, by",
        rises("dropout", 0) - rises("dropout", 1),
        at_least=0.0,
        paper="stronger",
        **_NO_EFFECT,
    )
    found.add(
        "l2_raises_q",
        "L2 raises Q, by",
        rises("l2"),
        at_least=0.0,
        paper="increases",
        **_NO_EFFECT,
    )
    found.add(
        "l2_over_l1",
        "L1 raises Q less than L2, by",
        rises("l2") - rises("l1"),
        at_least=0.0,
        paper="weak effect",
        **_NO_EFFECT,
    )
    return found


def _claims_on_clusters(seeds, untrained):
    """Returns claims on the number of clusters, figure S4."""
    found = claim.Claims()
    found.add(
        "clusters_under_dropout",
        "dropout hardly changes the number of clusters: size of the change",
        [abs(mean(rise(n, "dropout", "clusters"))) for n in seeds],
        at_most=1.0,
        paper="minor changes",
        null=1.0,
        null_is="a cluster more or less",
        percent=False,
    )
    found.add(
        "layers_with_2_to_6_clusters",
        "layers with 2 to 6 clusters",
        [_share_of_2_to_6(clustered(n)) for n in seeds],
        at_least=0.9,
        bounds=claim.SHARE,
        paper="on the order of 2-6",
        null=_share_of_2_to_6(untrained),
        null_is=_UNTRAINED,
    )
    return found


def _share_of_2_to_6(networks):
    # Two clusters of unlike size count as less than two by equation 8.
    clusters = values(networks, "clusters").round()
    return mean((clusters >= 2) & (clusters <= 6))


def _agreements(repeats):
    """Returns the blocks of figure 4: name -> array, in each repeat."""
    return {
        block: np.array([block_agreement(n, block) for n in repeats])
        for block in BLOCKS
    }


def _less_agreeing(after, before):
    """Returns agreement over that across, of the family with less of it.

    In each repeat, and that of the same family in untrained networks.
    """
    trained, untrained = (
        np.array([b["upstream"], b["downstream"]]) - b["across"]
        for b in (after, before)
    )
    least = trained.argmin(axis=0)
    return trained.min(axis=0), untrained[least, 0]


def _claims_on_agreement(seeds, untrained):
    """Returns claims on figure 4a: which clusters agree."""
    found = claim.Claims()
    after, before = _agreements(seeds), _agreements([untrained])
    within, untrained_within = _less_agreeing(after, before)
    found.add(
        "agreement_within",
        "agreement within a family of measures minus that across, the family "
        "that agrees less",
        within,
        main=True,
        at_least=0.1,
        paper="striking difference",
        null=untrained_within,
        null_is="untrained networks, that family",
        percent=False,
    )
    forms = {"": "", "plain ": "plain_", "normalized ": "normalised_"}
    for form, in_ids in forms.items():  # ids are those of older archives
        across = form + "across"
        for name in ("upstream", "downstream"):
            family = form + name
            found.add(
                f"agreement_{in_ids}{name}",
                f"agreement within {family} minus that across",
                after[family] - after[across],
                at_least=0.1,
                paper="striking difference",
                null=before[family] - before[across],
                null_is=_UNTRAINED,
                percent=False,
            )
    found.add(
        "agreement_across_over_permuted",
        "agreement across, over permuted labels (subsample)",
        [null_excess(n) for n in seeds],
        at_most=0.1,
        source="own",
        null=0.1,
        null_is="a tenth more",
        percent=False,
    )
    found.add(
        "normalising",
        "normalizing matters less than the measure: agreement S, S^ minus "
        "others of the family",
        after["own normalized"] - after["other measure"],
        at_least=0.0,
        paper="matters little",
        null=before["own normalized"] - before["other measure"],
        null_is=_UNTRAINED,
        percent=False,
    )
    return found


def _claims_on_training(seeds, untrained):
    """Returns claims on figure 4b: what training adds to the agreement.

    Every seed is compared with the same untrained networks, so the spread of
    a change is that of the trained networks alone.
    """
    found = claim.Claims()
    after, before = _agreements(seeds), _agreements([untrained])

    change = {block: after[block] - before[block] for block in BLOCKS}

    def no_change(block):
        was = f"untrained networks: {before[block][0]:.2f} for every seed"
        return {"null": 0.0, "null_is": was, "percent": False}

    found.add(
        "training_adds_upstream",
        "training adds to agreement within upstream",
        change["upstream"],
        at_least=0.1,
        paper="emerges",
        **no_change("upstream"),
    )
    found.add(
        "training_changes_downstream",
        "training hardly changes agreement within downstream: size of the "
        "change",
        abs(change["downstream"]),
        at_most=0.1,
        paper="much unaffected",
        null=change["upstream"],
        null_is="the change within upstream",
        percent=False,
    )
    found.add(
        "training_adds_across",
        "training adds to agreement across, slightly",
        change["across"],
        at_least=0.0,
        paper="attenuated slightly",
        **no_change("across"),
    )
    stacks = _agreements([*grouped(untrained, "stack").values()])
    found.add(
        "untrained_stacks_downstream",
        "untrained ensembles: agreement within downstream minus that across",
        stacks["downstream"] - stacks["across"],
        at_least=0.1,
        paper="present",
        **_NO_EFFECT,
    )
    return found


def _claims_on_the_search(seeds):
    """Returns claims on figure S2, right: what the spectral start is good for.

    None on the left: the Monte Carlo search keeps the best it has seen, its
    start included, so it can't be below the spectral start.
    """
    found = claim.Claims()
    points = [searches(networks)[1] for networks in seeds]
    gains = [each[:, 2] - each[:, 1] for each in points]
    found.add(
        "spectral_start_rarely_lowers_q",
        "the spectral start does not lower Q, in 90 % of the matrices or more "
        "(subsample)",
        [mean(gain > -1e-4) for gain in gains],
        at_least=0.9,
        bounds=claim.SHARE,
        paper="all on or above",
        null=[mean(gain < 1e-4) for gain in gains],
        null_is="the two starts exchanged",
    )
    found.add(
        "spectral_start_raises_q",
        "the spectral start raises Q, by (subsample)",
        [mean(gain) for gain in gains],
        at_least=0.0,
        paper="improves the search",
        **_NO_EFFECT,
    )
    return found

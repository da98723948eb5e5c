"""What neuron subselection shows: claims, and the numbers of the figures.

Everything here is computed from the records of
`reproduce.neuron_subselection`, one for each data set and seed.
"""

import numpy as np

from reproduce.publishing import claim
from reproduce.publishing.records import grouped

METHODS = {
    "threshold": "thresholding",
    "bayesian": "masking",
    "relative": "relative masking",
}
CALIBRATION = ("before", "after")
RANDOM = "random neurons, as many"
QUESTIONS = {"specialize": "different classes", "reuse": "halves of a class"}


def layers(record, method):
    """Returns the layers of which a record tells what classes share."""
    return list(record["methods"][method]["sharing"]["specialize"]["every"])


def ratio(record, method, question, key, layer="total", as_in_text=False):
    """Returns the mean of a ratio over the pairs; NaN where nothing is active.

    Pairs without an active neuron in the layer do not count.
    """
    pairs = "as_in_text" if as_in_text else "every"
    found = record["methods"][method]["sharing"][question][pairs][layer][key]
    return np.nan if found is None else found


def drop_of_class(record, method, key="ablated"):
    """Returns own and mean other loss of accuracy, one for each class ablated.

    Array of shape `(classes, 2)`, in parts of the network's accuracy points.
    """
    before = np.diagonal(record["network"]["confusion"])
    rows = []
    for label, found in enumerate(record["methods"][method]["ablation"]):
        lost = before - found["right"][key]
        rows.append((lost[label], np.delete(lost, label).mean()))
    return np.array(rows)


def subnetwork_accuracy(record, method):
    """Returns accuracy on the own and the other classes, one for each class."""
    rows = []
    for label, found in enumerate(record["methods"][method]["ablation"]):
        right = np.array(found["right"]["subnetwork"])
        rows.append((right[label], np.delete(right, label).mean()))
    return np.array(rows)


def calibration_errors(record, method):
    """Returns the calibration error before and after, one for each subnetwork.

    Array of shape `(classes, 2)`.
    """
    return np.array(
        [
            [found["calibration"][f"error_{when}"] for when in CALIBRATION]
            for found in record["methods"][method]["ablation"]
        ]
    )


def significant(record, method):
    """Returns the share of pairs of classes with p <= 5 %.

    Such a pair shares less than two sub-tasks without a difference would. A
    pair without an active neuron is not significant.
    """
    tests = record["methods"][method]["permutations"]
    p = np.array([test["p"] for test in tests], "float64")
    return float(np.mean(p <= 0.05))


def claims(records):
    """Returns the paper's claims with thresholds fixed before any run.

    The text divides what is shared by all neurons of a layer, which no share
    can exceed that is active: below 20 % and 30 % may say little. So it is
    divided by the active neurons, too, and stands beside what random sets of
    the same sizes share.
    """
    found = claim.Claims()
    for title, repeats in grouped(records, "data").items():
        methods = repeats[0]["methods"]
        if "sharing" in methods.get("threshold", {}):
            found.extend(_claims_of_thresholding(title, repeats))
        for method in ("bayesian", "relative"):
            prefix = f"{title}, {METHODS[method]}"
            if "sharing" in methods.get(method, {}):
                found.extend(_claims_of_masking(prefix, repeats, method))
            if "ablation" in methods.get(method, {}):
                found.extend(_claims_of_ablation(prefix, repeats, method))
    return found


def _share_and_chance(repeats, method, question, layer="total", key="share"):
    """Returns |A & B| / |A| in each record, and that of random sets.

    Or another ratio, by its key.
    """
    return (
        np.array([ratio(r, method, question, name, layer) for r in repeats])
        for name in (key, f"expected_{key}")
    )


def _add_excess(found, statement, repeats, method, **kwargs):
    """Adds what classes share over random sets: in all, and by layer."""
    for layer in layers(repeats[0], method):
        share, chance = _share_and_chance(repeats, method, "specialize", layer)
        where = "in all" if layer == "total" else layer
        found.add(
            f"sharing_over_random_{layer}",
            f"{statement}, {where}: |A & B| / |A| of classes over random",
            share - chance,
            null=0.0,
            null_is=RANDOM,
            **kwargs,
        )


def _claims_of_thresholding(title, repeats):
    found = claim.Claims(f"{title}, thresholding")
    share, chance = _share_and_chance(repeats, "threshold", "reuse")
    found.add(
        "reuse",
        "reuses: |A & B| / |A| of halves of a class",
        share,
        at_least=0.8,
        bounds=claim.SHARE,
        paper="high",
        null=chance,
        null_is=RANDOM,
    )
    _add_excess(
        found,
        "specializes little",
        repeats,
        "threshold",
        at_least=0.0,
        bounds=claim.DIFFERENCE,
        paper="little",
    )
    return found


def _add_of_layer(found, question, statement, repeats, method, **kwargs):
    """Adds the paper's ratio in the layer where it is largest."""
    names = [name for name in layers(repeats[0], method) if name != "total"]
    share, chance = np.max(
        [
            [*_share_and_chance(repeats, method, question, name, "of_layer")]
            for name in names
        ],
        axis=0,
    )
    found.add(
        f"{question}_of_layer",
        f"{statement}: |A & B|, of all neurons of a layer, the largest",
        share,
        bounds=claim.SHARE,
        null=chance,
        null_is=RANDOM,
        **kwargs,
    )


def _claims_of_masking(title, repeats, method):
    found = claim.Claims(title)
    _add_excess(
        found,
        "specializes",
        repeats,
        method,
        at_most=0.0,
        bounds=claim.DIFFERENCE,
    )
    found.add(
        "significant_pairs",
        "specializes: all of the drawn pairs of classes share less "
        "than shuffled labels do (pairs with p <= 5 %)",
        [significant(r, method) for r in repeats],
        cases=tuple(len(r["methods"][method]["permutations"]) for r in repeats),
        at_least=1.0,
        source="own",
        null=0.05,
        null_is="classes without a difference",
    )
    _add_of_layer(
        found,
        "specialize",
        "specializes, two classes",
        repeats,
        method,
        at_most=0.2,
        source="paper",
        paper="< 20 % of each layer",
    )
    is_cifar10 = title.startswith("CIFAR-10")
    _add_of_layer(
        found,
        "reuse",
        "reuses little, halves of a class",
        repeats,
        method,
        main=True,
        at_most=0.3,
        source="ours" if is_cifar10 else "paper",
        paper="hardly more than two classes"
        if is_cifar10
        else "< 30 % of a layer",
    )
    share, chance = _share_and_chance(repeats, method, "reuse")
    found.add(
        "reuse",
        "reuses little: |A & B| / |A| of halves of a class",
        share,
        at_most=0.5,
        bounds=claim.SHARE,
        null=chance,
        null_is=RANDOM,
    )
    return found


def _claims_of_ablation(title, repeats, method):
    found = claim.Claims(title)
    (own, others), (random_own, random_others) = (
        np.array(
            [drop_of_class(r, method, key).mean(axis=0) for r in repeats]
        ).T
        for key in ("ablated", "random")
    )
    found.add(
        "ablation_loss",
        "ablating a class's neurons hits that class: loss of points",
        own,
        at_least=0.2,
        bounds=claim.DIFFERENCE,
        paper="significant",
        null=random_own,
        null_is=RANDOM,
    )
    found.add(
        "ablation_over_others",
        "ablating a class's neurons hits it more than the others, by",
        own - others,
        at_least=0.1,
        bounds=claim.DIFFERENCE,
        paper="less pronounced"
        if title.startswith("CIFAR-10")
        else "others mostly stable",
        null=random_own - random_others,
        null_is=RANDOM,
    )
    found.add(
        "ablation_over_random",
        "ablating a class's neurons hits it more than random ones do, by",
        own - random_own,
        at_least=0.0,
        bounds=claim.DIFFERENCE,
        source="own",
        repeat=True,  # the loss less its null
        null=0.0,
        null_is=RANDOM,
    )
    errors = [calibration_errors(r, method) for r in repeats]
    found.add(
        "temperature_gain",
        "a temperature lowers the subnetworks' calibration error by",
        [(e[:, 0] - e[:, 1]).mean() for e in errors],
        at_least=0.0,
        bounds=claim.DIFFERENCE,
        paper="mitigates",
        null=0.0,
        null_is="T = 1",
    )
    return found

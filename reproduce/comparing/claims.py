"""Do the kinds of findings agree? Claims and figures of compare_methods."""

import numpy as np

from modularity_tf import plots
from modularity_tf.findings import comparison
from reproduce.comparing import stages
from reproduce.publishing import claim, titles
from reproduce.publishing.records import grouped, mean

PAIRS = {
    ("weights", "bayesian"): "the weights that a class alone needs end in the "
    "neurons that the Bayesian rule calls on",
    ("weights", "threshold"): "the weights that a class alone needs end in the "
    "neurons above the 70th percentile",
    ("weights", "units"): "the weights that a class alone needs end in one "
    "cluster",
    ("bayesian", "units"): "the neurons that the Bayesian rule calls on lie in "
    "one cluster",
    ("threshold", "units"): "the neurons above the 70th percentile lie in one "
    "cluster",
}
# Where gates were learned, too.
GATE_PAIRS = {
    ("weights", "gates"): "the weights that a class alone needs end in the "
    "units that it alone needs",
    ("gates", "bayesian"): "the units that a class alone needs are those that "
    "the Bayesian rule calls on",
    ("gates", "threshold"): "the units that a class alone needs are those "
    "above the 70th percentile",
    ("gates", "units"): "the units that a class alone needs lie in one cluster",
}


def pairs(record):
    """Returns the pairs of findings that a record has, and what they say."""
    has_gates = stages.GATES in methods(record)
    return {**PAIRS, **(GATE_PAIRS if has_gates else {})}


def methods(record):
    """Returns the ways to select neurons of a record."""
    return [*record["comparison"]["shares"]]


def means(record, first, second, layer=comparison.ALL):
    """Returns value and chance of a pair in a layer, means over the classes."""
    rows = [
        row
        for row in record["comparison"]["rows"]
        if (row["first"], row["second"], row["layer"]) == (first, second, layer)
    ]
    return tuple(
        float(mean([row[key] for row in rows])) for key in ("value", "chance")
    )


def layers(record):
    """Returns the layers that are compared, all together the last."""
    return list(
        dict.fromkeys(row["layer"] for row in record["comparison"]["rows"])
    )


def claims(records):
    """Returns statements of ours, with thresholds fixed before any run.

    Each is about all hidden layers together: by how much a share lies over
    that of marks that are permuted among the units of each layer.
    """
    found = claim.Claims()
    for title, repeats in grouped(records, "data").items():
        own = claim.Claims(title)
        own.add(
            "control_keeps_accuracy",
            "the control mask keeps the network's accuracy",
            [
                r["control"]["accuracy"] / r["dense"]["accuracy"]
                for r in repeats
            ],
            at_least=0.95,
            bounds=claim.RATIO,
            source="own",
            null=[1 / len(r["class_names"]) for r in repeats],
            null_is="guessing",
        )
        for (first, second), statement in pairs(repeats[0]).items():
            over = np.subtract(
                *np.array([means(r, first, second) for r in repeats]).T
            )
            own.add(
                f"{first}_and_{second}",
                f"{statement}, over chance",
                over,
                main=first == "weights" and second != stages.GATES,
                at_least=0.0,
                bounds=claim.DIFFERENCE,
                source="own",
                null=0.0,
                null_is="permuted marks",
            )
        for method in methods(repeats[0]):
            own_share, others = np.array(
                [
                    stages.own_and_others(r["comparison"]["shares"][method])
                    for r in repeats
                ]
            ).T
            own.add(
                f"own_neurons_{method}",
                f"they end in the class's own neurons ({method}) more than in "
                "those of other classes, by",
                own_share - others,
                at_least=0.0,
                bounds=claim.DIFFERENCE,
                source="own",
                null=0.0,
                null_is="neurons of any class",
            )
        found.extend(own)
    return found


def draw(records):
    """Returns the figures, drawn from the records alone."""
    figures = {}
    for title, repeats in grouped(records, "data").items():
        figures["figA_by_layer"] = plots.values_beside_chance(
            {
                _caption(first, second): [
                    _mean_row(repeats, first, second, layer)
                    for layer in layers(repeats[0])
                ]
                for first, second in pairs(repeats[0])
            },
            "of the first's units [%]",
            f"{title}: units of one finding that another marks, or that lie "
            "in one cluster",
        )
        names = repeats[0]["class_names"]
        figures["figB_by_class"] = plots.confusion_matrices(
            {
                titles.title_of(method): mean(
                    [r["comparison"]["shares"][method] for r in repeats], 0
                )
                for method in methods(repeats[0])
            },
            names,
            f"{title}: units of a class's own weights that are its neurons",
            unit="% of the units",
            axis_names=("weights of class", "neurons of class"),
            repeats=len(repeats),
        )
    return figures


def _caption(first, second):
    first, second = map(titles.title_of, (first, second))
    return f"{first},\n{second}"


def _mean_row(repeats, first, second, layer):
    found = np.array([means(r, first, second, layer) for r in repeats])
    value, chance = mean(found, 0)
    return {
        "layer": layer,
        "value": value,
        "chance": chance,
        "p": None,
        "repeats": [float(each) for each in found[:, 0]],
    }

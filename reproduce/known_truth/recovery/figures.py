"""Figures of planted, drawn from the records alone."""

import numpy as np

from modularity_tf import plots
from reproduce.known_truth.recovery import cases
from reproduce.publishing.records import grouped, mean

METHODS = {
    "mask": "learned mask",
    "mask_paper": "learned mask, as in the paper",
    "edge_popup": "edge-popup",
    "ablation": "single ablation",
    "gradient": "|weight x gradient| (SNIP)",
    "integrated_gradients": "integrated gradients",
    "activation": "|weight| x activation",
    "magnitude": "|weight|",
    "random": "random scores",
}
NEURONS = {
    "threshold": "neurons: thresholding",
    "bayesian": "neurons: Bayesian rule",
}
UNITS = {
    "gates": "neurons: learned gates",
    "unit_taylor": "neurons: |activation x gradient|",
    "unit_magnitude": "neurons: size of weights",
    "unit_random": "neurons: random scores",
}
CLUSTERS = {
    "covariance": "clusters by covariance",
    "normalized_covariance": "clusters by correlation",
}
KINDS = {
    "other": "another task's",
    "unread": "read by nothing",
    "silent": "never fires",
    "pair": "canceled by another",
    "absent": "zero",
}


def scores(records, method, key, group="scores"):
    """Returns a method's score in each record; NaN where it is unknown."""
    found = [r["found"].get(group, {}).get(method, {}) for r in records]
    return np.array([each.get(key) for each in found], "float64")


def draw(records):
    """Returns the figures that there are records for."""
    networks = grouped([r for r in records if "found" in r], "case")
    controls = grouped([r for r in records if "answers" in r], "case")
    figures = {}
    if networks:
        figures |= _of_methods(networks)
    if any(r["found"].get("clusters") for rs in networks.values() for r in rs):
        figures["figE_clusters"] = _clusters(networks)
    if any("drawing" in rs[0]["found"] for rs in networks.values()):
        figures["figF_networks"] = _drawings(networks)
    if controls:
        figures["figG_rotated"] = _controls(controls)
    return figures


def _of_methods(networks):
    """Returns the figures of methods that score weights or units."""
    titles = [cases.TITLES[case] for case in networks]
    first = next(iter(networks.values()))[0]["found"]["scores"]
    names = {m: name for m, name in METHODS.items() if m in first}
    for records in networks.values():  # what looks at some networks alone
        more = records[0]["found"]["scores"]
        names |= {m: n for m, n in METHODS.items() if m in more}
    all_units, rows = {**NEURONS, **UNITS}, dict(names)
    of_units = {m for each in networks.values() for m in _of_units(each)}
    if of_units:
        shown = {*NEURONS, *of_units}
        rows |= {m: name for m, name in all_units.items() if m in shown}

    def table(key, methods):
        return np.array(
            [
                [
                    mean(
                        scores(
                            records,
                            method,
                            key,
                            "neurons" if method in all_units else "scores",
                        )
                    )
                    for records in networks.values()
                ]
                for method in methods
            ]
        )

    figures = {
        "figA_methods": plots.heat_maps(
            {"": table("average_precision", rows)},
            [*rows.values()],
            titles,
            "Who ranks the needed parts first?",
            "average precision",
        )
    }
    own = {
        method: name
        for method, name in rows.items()
        if np.isfinite(table("recall", [method])).any()
    }
    if own:
        figures["figB_own_threshold"] = plots.heat_maps(
            {key: table(key, own) for key in ("precision", "recall")},
            [*own.values()],
            titles,
            "What a method keeps at its own threshold",
            "mean over networks",
        )
    figures["figC_false_alarms"] = _false_alarms(networks, names, titles)
    figures["figD_curves"] = plots.precision_and_recall(
        {
            cases.TITLES[case]: {
                name: _curve(records, method)
                for method, name in names.items()
                if method in records[0]["found"]["scores"]
            }
            for case, records in networks.items()
        },
        "Precision among the weights that a method ranks first",
    )
    figures = {name: fig for name, fig in figures.items() if fig is not None}
    counts = sorted({len(records) for records in networks.values()})
    n = " or ".join(map(str, counts))
    for name, fig in figures.items():
        text = f"Means over n = {n} networks of each case."
        if name == "figD_curves":
            text = plots.in_words(counts)
        plots.explain(fig, text)
    return figures


def _of_units(records):
    """Returns the methods that say which units a task needs."""
    return records[0]["found"].get("neurons", {})


def _false_alarms(networks, names, titles):
    """Returns which kinds of weights are kept by mistake, or `None`."""
    panels, kinds = {}, {}
    for records in networks.values():
        for found in records[0]["found"]["scores"].values():
            kinds |= found.get("false_positives", {})
    for method, name in names.items():
        values = np.full((len(kinds), len(networks)), np.nan)
        for j, records in enumerate(networks.values()):
            for i, kind in enumerate(kinds):
                known = [
                    r["found"]["scores"]
                    .get(method, {})
                    .get("false_positives", {})
                    .get(kind)
                    for r in records
                ]
                values[i, j] = mean(known)
        if np.isfinite(values).any():
            panels[name] = values
    if not panels:
        return None
    return plots.heat_maps(
        panels,
        [KINDS[kind] for kind in kinds],
        titles,
        "Weights that are not needed and kept, by what they are",
        "share kept",
    )


def _curve(records, method):
    """Returns the curves of a method, recalls and precisions."""
    curves = [
        r["found"]["scores"][method]["curve"]
        for r in records
        if method in r["found"]["scores"]
    ]
    points = len(curves[0])
    return np.linspace(1 / points, 1, points), curves


def _clusters(networks):
    """Returns how clusters agree with the modules."""
    shown = {
        case: [r["found"]["clusters"] for r in records]
        for case, records in networks.items()
        if records[0]["found"].get("clusters")
    }
    measures = [*next(iter(shown.values()))[0]]
    values = [
        [
            mean([found[measure] for found in of_case])
            for of_case in shown.values()
        ]
        for measure in measures
    ]
    return plots.heat_maps(
        {"": np.clip(values, 0, 1)},
        [measure.replace("_", " ") for measure in measures],
        [cases.TITLES[case] for case in shown],
        "Do clusters of units agree with the modules?",
        "adjusted mutual information",
    )


def _drawings(networks):
    """Returns networks with what a mask found in them."""
    panels = {}
    for case, records in networks.items():
        drawing = records[0]["found"].get("drawing")
        if drawing is None:
            continue
        first, second = map(np.array, drawing.values())
        # Needed units first, and the inputs that lead to them.
        needed = np.isin(first, (1, 2))
        units = np.argsort(~needed.any(axis=0), kind="stable")
        inputs = np.argsort(~needed.any(axis=1), kind="stable")
        panels[cases.TITLES[case]] = [first[inputs][:, units], second[units]]
    return plots.fates_of_weights(
        panels,
        "Weights that the first output (on the left) needs, and what the "
        "learned mask says of them",
    )


def _controls(controls):
    """Returns what methods say of units that are parts, and that are not."""
    names = {**NEURONS, **CLUSTERS}
    return plots.values_beside_chance(
        {
            cases.TITLES[case]: [
                {
                    "layer": name,
                    "value": mean(_answers(records, m)),
                    "repeats": [float(x) for x in _answers(records, m)],
                    "chance": mean(
                        [r["answers"][m]["chance"] for r in records]
                    ),
                    "p": _median([r["answers"][m]["p"] for r in records]),
                }
                for m, name in names.items()
            ]
            for case, records in controls.items()
        },
        "units shared, or Q [%]",
        "What methods say of units that are parts, and of units that are not",
    )


def _answers(records, method):
    """Returns what a method says, one value for each record."""
    found = [r["answers"][method]["value"] for r in records]
    return np.array(found, "float64")


def _median(values):
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None

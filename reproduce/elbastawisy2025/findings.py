"""What neuron subselection shows: claims and figures, from the records."""

import numpy as np
from matplotlib import figure

from modularity_tf import plots
from reproduce.harness import claim

METHODS = {"threshold": "thresholding", "bayesian": "masking"}
SHARING = {  # method, question: number of the figure
    ("threshold", "specialize"): "fig01",
    ("threshold", "reuse"): "fig02",
    ("bayesian", "specialize"): "fig03",
    ("bayesian", "reuse"): "fig04",
}
CALIBRATION = ("before", "after")
QUESTIONS = {"specialize": "different classes", "reuse": "halves of a class"}


def by_dataset(records):
    """Returns the records grouped by the data set's title."""
    groups = {}
    for record in records:
        groups.setdefault(record["data"], []).append(record)
    return groups


def entries(record, method, question, as_in_text=False):
    """Returns the overlaps of one record: all pairs, or the text's ten."""
    found = record["methods"][method]["sharing"]
    every = found[question]
    if not as_in_text:
        return every
    name = "random_pairs" if question == "specialize" else "random_classes"
    return [every[i] for i in found[name]]


def ratio(record, method, question, key, layer="total", as_in_text=False):
    """Returns the mean of a ratio over the pairs; NaN where nothing is active.

    Pairs without an active neuron in the layer do not count.
    """
    found = entries(record, method, question, as_in_text)
    return mean([entry[layer][key] for entry in found])


def mean(values):
    """Returns the mean of what is not NaN; NaN where nothing is left."""
    values = np.array(values, "float64")
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else np.nan


def drop_of_class(record, key="ablated"):
    """Returns own and mean other loss of accuracy, one a class ablated.

    Array of shape `(classes, 2)`, in parts of the network's accuracy points.
    """
    before = np.diagonal(record["network"]["confusion"])
    rows = []
    for label, found in enumerate(record["methods"]["bayesian"]["ablation"]):
        lost = before - np.diagonal(found[key]["confusion"])
        rows.append((lost[label], np.delete(lost, label).mean()))
    return np.array(rows)


def subnetwork_accuracy(record, method):
    """Returns accuracy on the own and the other classes, one a class."""
    rows = []
    for label, found in enumerate(record["methods"][method]["ablation"]):
        right = np.diagonal(found["subnetwork"]["confusion"])
        rows.append((right[label], np.delete(right, label).mean()))
    return np.array(rows)


def calibration_errors(record, method):
    """Returns the calibration error before and after, one a subnetwork.

    Array of shape `(classes, 2)`.
    """
    return np.array(
        [
            [found["calibration"][f"error_{when}"] for when in CALIBRATION]
            for found in record["methods"][method]["ablation"]
        ]
    )


def claims(records):
    """Returns the statements with thresholds fixed before any run."""
    found = []
    for title, repeats in by_dataset(records).items():

        def add(statement, text, values, threshold, at_least=True, title=title):
            found.append(
                claim.Claim(
                    f"{title}: {statement}",
                    text,
                    tuple(float(value) for value in values),
                    threshold,
                    at_least,
                )
            )

        methods = repeats[0]["methods"]
        for method in methods:
            if "sharing" in methods[method]:
                _sharing_claims(add, repeats, method)
        if "ablation" in methods.get("bayesian", {}):
            drops = [drop_of_class(r) for r in repeats]
            control = [drop_of_class(r, "random") for r in repeats]
            add(
                "ablating a class's neurons hits that class: loss of points",
                "significant",
                [d[:, 0].mean() for d in drops],
                0.2,
            )
            add(
                "and hits it more than the others, by",
                "mostly stable"
                if not title.startswith("CIFAR-10")
                else "less pronounced",
                [(d[:, 0] - d[:, 1]).mean() for d in drops],
                0.1,
            )
            add(
                "and more than as many random neurons do, by",
                "",
                [
                    (d[:, 0] - c[:, 0]).mean()
                    for d, c in zip(drops, control, strict=True)
                ],
                0.0,
            )
            errors = [calibration_errors(r, "bayesian") for r in repeats]
            add(
                "a temperature lowers masked subnetworks' calibration error by",
                "mitigates",
                [(e[:, 0] - e[:, 1]).mean() for e in errors],
                0.0,
            )
    return found


def _sharing_claims(add, repeats, method):
    kind = METHODS[method]
    share = {
        question: [ratio(r, method, question, "share") for r in repeats]
        for question in QUESTIONS
    }
    of_layer = {
        question: [ratio(r, method, question, "of_layer") for r in repeats]
        for question in QUESTIONS
    }
    expected = [
        ratio(r, method, "specialize", "expected_share") for r in repeats
    ]
    if method == "threshold":
        add(
            f"{kind} reuses: |A & B| / |A| of halves of a class",
            "high",
            share["reuse"],
            0.8,
        )
        add(
            f"{kind} specializes little: |A & B| / |A| of classes over random",
            "little",
            np.subtract(share["specialize"], expected),
            0.0,
        )
    else:
        add(
            f"{kind} specializes: |A & B| / |layer| of different classes",
            "< 20 %",
            of_layer["specialize"],
            0.2,
            at_least=False,
        )
        add(
            f"{kind} reuses little: |A & B| / |layer| of halves of a class",
            "< 30 %",
            of_layer["reuse"],
            0.3,
            at_least=False,
        )
        add(
            f"{kind} reuses little, beyond size: |A & B| / |A| of halves",
            "low",
            share["reuse"],
            0.5,
            at_least=False,
        )
    tests = [
        np.mean(
            [test["p"] <= 0.05 for test in r["methods"][method]["permutations"]]
        )
        for r in repeats
    ]
    add(
        f"{kind}: classes share less than shuffled labels do (pairs, p < 5 %)",
        "",
        tests,
        0.5,
    )


def draw(records):
    """Returns figures 1 to 6 and those beside them, from the records alone."""
    figures = {}
    groups = by_dataset(records)
    for (method, question), number in SHARING.items():
        for title, repeats in groups.items():
            if "sharing" in repeats[0]["methods"].get(method, {}):
                name = repeats[0]["dataset"]
                key = f"{number}_{method}_{question}_{name}"
                figures[key] = _sharing_bars(repeats, method, question, title)
    for title, repeats in groups.items():
        methods = repeats[0]["methods"]
        if all("sharing" in found for found in methods.values()):
            name = repeats[0]["dataset"]
            figures[f"active_{name}"] = _active_bars(repeats, title)
    numbers = {"mnist": "fig05", "digits": "fig05", "cifar10": "fig06"}
    for title, repeats in groups.items():
        first = repeats[0]
        name, methods = first["dataset"], first["methods"]
        if all("ablation" in found for found in methods.values()):
            figures[f"subnetworks_{name}"] = _subnetwork_bars(repeats, title)
            figures[f"calibration_{name}"] = _calibration_bars(repeats, title)
        if "ablation" in methods.get("bayesian", {}):
            for scale in ("counts", "percent"):
                key = f"{numbers[name]}_ablation_{scale}_{name}"
                figures[key] = _ablation_matrices(repeats, title, scale)
        if "sweep" in first:
            figures[f"sweep_{name}"] = _sweep(first["sweep"], title)
        figures[f"reliability_{name}"] = plots.reliability(
            {
                f"T = {t:.2f}": first["calibration"]["bins"][bins]
                for t, bins in (
                    (1.0, "before"),
                    (first["calibration"]["temperature"], "after"),
                )
            },
            f"{title}: the network",
        )
    return figures


def _sharing_bars(repeats, method, question, title):
    layers = list(repeats[0]["methods"][method]["sharing"][question][0])
    kinds = {
        "of the layer": ("of_layer", "expected_of_layer", False),
        "of the layer, the text's ten": ("of_layer", "expected_of_layer", True),
        "of the active": ("share", "expected_share", False),
    }

    def values(key, as_in_text):
        return 100 * np.nan_to_num(
            [
                [
                    ratio(r, method, question, key, layer, as_in_text)
                    for layer in layers
                ]
                for r in repeats
            ]
        )

    return plots.grouped_bars(
        {label: values(key, ten) for label, (key, _, ten) in kinds.items()},
        layers,
        "active neurons shared [%]",
        f"{title}, {METHODS[method]}: {QUESTIONS[question]}",
        {label: values(key, ten) for label, (_, key, ten) in kinds.items()},
    )


def _active_bars(repeats, title):
    """Draws how many neurons a class uses, mean over the classes."""
    methods = repeats[0]["methods"]
    layers = list(next(iter(methods.values()))["sharing"]["active"][0])
    return plots.grouped_bars(
        {
            METHODS[method]: 100
            * np.array(
                [
                    [
                        np.mean(
                            [
                                one[layer]
                                for one in r["methods"][method]["sharing"][
                                    "active"
                                ]
                            ]
                        )
                        for layer in layers
                    ]
                    for r in repeats
                ]
            )
            for method in methods
        },
        layers,
        "active neurons [%]",
        title,
    )


def _subnetwork_bars(repeats, title):
    """Draws what the subnetwork of each class still classifies."""
    groups = {}
    for method in repeats[0]["methods"]:
        scores = np.array([subnetwork_accuracy(r, method) for r in repeats])
        for i, kind in enumerate(("own class", "other classes")):
            groups[f"{METHODS[method]}, {kind}"] = 100 * scores[:, :, i]
    return plots.grouped_bars(
        groups,
        repeats[0]["class_names"],
        "recognized by the subnetwork [%]",
        title,
    )


def _calibration_bars(repeats, title):
    """Draws the calibration error of the network and the subnetworks."""
    methods = list(repeats[0]["methods"])
    groups = {
        when: 100
        * np.array(
            [
                [r["calibration"][f"error_{when}"]]
                + [calibration_errors(r, m)[:, i].mean() for m in methods]
                for r in repeats
            ]
        )
        for i, when in enumerate(CALIBRATION)
    }
    return plots.grouped_bars(
        groups,
        ["network", *(f"subnetworks, {METHODS[m]}" for m in methods)],
        "expected calibration error [%]",
        title,
    )


def _ablation_matrices(repeats, title, scale):
    names = repeats[0]["class_names"]
    matrices = {}
    for label, name in enumerate(names):
        changes = [
            np.subtract(
                r["methods"]["bayesian"]["ablation"][label]["ablated"][
                    "confusion"
                ],
                r["network"]["confusion"],
            )
            for r in repeats
        ]
        change = np.mean(changes, axis=0)
        if scale == "counts":  # as the text; the plot multiplies by 100
            counts = np.array(repeats[0]["network"]["counts"])
            change = change * counts[:, None] / 100
        matrices[f"without the neurons of {name}"] = change
    unit = "images" if scale == "counts" else "% of the true class"
    return plots.confusion_matrices(
        matrices,
        names,
        f"{title}: change of the confusion matrix",
        difference=True,
        unit=unit,
    )


def _sweep(points, title):
    """Draws sharing by masking against the upper threshold, for each tau."""
    fig = figure.Figure((11.0, 4.0))
    fig.set_layout_engine("constrained")
    fig.suptitle(f"{title}: masking")
    axes = fig.subplots(1, 2)
    for ax, key, of in zip(
        axes, ("of_layer", "share"), ("all neurons", "the active"), strict=True
    ):
        for i, tau in enumerate(sorted({point["tau"] for point in points})):
            rows = [point for point in points if point["tau"] == tau]
            x = [point["t_high"] for point in rows]
            for kind, name, style in (
                ("different", "classes", "o-"),
                ("same", "halves", "s--"),
            ):
                y = [p[f"{kind}_{key}"] for p in rows]
                y = [np.nan if value is None else 100 * value for value in y]
                label = f"{name}, tau = {tau}"
                ax.plot(x, y, style, color=f"C{i}", label=label)
        ax.set_xscale("log")
        ax.grid(alpha=0.3)
        ax.set(xlabel="t_high", ylabel=f"shared, of {of} [%]")
    axes[1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return fig

"""The figures of neuron_subselection, from its records alone."""

from functools import partial

import numpy as np

from modularity_tf import plots
from reproduce.elbastawisy2025.claims import (
    CALIBRATION,
    METHODS,
    calibration_errors,
    layers,
    ratio,
    subnetwork_accuracy,
)
from reproduce.publishing.drawings import Drawings
from reproduce.publishing.records import grouped

_SHARING = {  # method, question: number of the figure
    ("threshold", "specialize"): "fig01",
    ("threshold", "reuse"): "fig02",
    ("bayesian", "specialize"): "fig03",
    ("bayesian", "reuse"): "fig04",
    ("relative", "specialize"): "fig03",
    ("relative", "reuse"): "fig04",
}
_WHO = {"specialize": "two classes", "reuse": "two halves of a class"}
# Whether by masking, question: what the text says is shared at most, percent.
_PAPERS_MOST = {(True, "specialize"): 20, (True, "reuse"): 30}
_ABLATION = {"mnist": "fig05", "digits": "fig05", "cifar10": "fig06"}


def draw(records):
    """Returns figures 1 to 6 and those beside them, from the records alone."""
    figures = {}
    groups = grouped(records, "data")
    for (method, question), number in _SHARING.items():
        for title, repeats in groups.items():
            if "sharing" in repeats[0]["methods"].get(method, {}):
                name = repeats[0]["dataset"]
                key = f"{number}_{method}_{question}_{name}"
                figures[key] = partial(
                    _sharing_bars, repeats, method, question, title
                )
    for title, repeats in groups.items():
        methods = repeats[0]["methods"]
        if all("sharing" in found for found in methods.values()):
            name = repeats[0]["dataset"]
            figures[f"active_{name}"] = partial(_active_bars, repeats, title)
    for title, repeats in groups.items():
        first = repeats[0]
        name, methods = first["dataset"], first["methods"]
        if all("ablation" in found for found in methods.values()):
            figures[f"subnetworks_{name}"] = partial(
                _subnetwork_bars, repeats, title
            )
            figures[f"calibration_{name}"] = partial(
                _calibration_bars, repeats, title
            )
        for method in ("bayesian", "relative"):
            if "ablation" in methods.get(method, {}):
                for scale in ("counts", "percent"):
                    key = f"{_ABLATION[name]}_{method}_{scale}_{name}"
                    figures[key] = partial(
                        _ablation_matrices, repeats, method, title, scale
                    )
        if "sweep" in first:
            figures[f"sweep_{name}"] = partial(_sweep, repeats, title)
        figures[f"reliability_{name}"] = partial(
            plots.reliability,
            {
                f"T = {t:.2f}": first["calibration"]["bins"][bins]
                for t, bins in (
                    (1.0, "before"),
                    (first["calibration"]["temperature"], "after"),
                )
            },
            f"{title}: the network",
        )
    return Drawings(figures)


def _sharing_bars(repeats, method, question, title):
    names = layers(repeats[0], method)
    kinds = {
        "of all neurons of the layer": (
            "of_layer",
            "expected_of_layer",
            False,
        ),
        "the same, over ten pairs as in the text": (
            "of_layer",
            "expected_of_layer",
            True,
        ),
        "of the active neurons": ("share", "expected_share", False),
    }
    most = _PAPERS_MOST.get((method != "threshold", question))
    paper = []
    if most:
        text = f"paper: less than {most} % of all neurons of the layer"
        paper = [(text, 0, most, ())]

    def values(key, as_in_text):
        return 100 * np.array(
            [
                [
                    ratio(r, method, question, key, layer, as_in_text)
                    for layer in names
                ]
                for r in repeats
            ],
            "float64",
        )

    return plots.grouped_bars(
        {label: values(key, ten) for label, (key, _, ten) in kinds.items()},
        names,
        "active neurons shared [%]",
        f"{title}, {METHODS[method]}: active neurons that "
        f"{_WHO[question]} have in common",
        {label: values(key, ten) for label, (_, key, ten) in kinds.items()},
        bounds=(0, 100),
        paper=paper,
    )


def _active_bars(repeats, title):
    """Draws how many neurons a class uses, mean over the classes."""
    methods = repeats[0]["methods"]
    names = list(next(iter(methods.values()))["sharing"]["active"])
    return plots.grouped_bars(
        {
            METHODS[method]: 100
            * np.array(
                [
                    [*r["methods"][method]["sharing"]["active"].values()]
                    for r in repeats
                ]
            )
            for method in methods
        },
        names,
        "active neurons [%]",
        f"{title}: how many neurons a class uses, by method",
        bounds=(0, 100),
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
        f"{title}: what the neurons of one class classify alone",
        bounds=(0, 100),
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
        f"{title}: is the confidence right, before and after calibration?",
        bounds=(0, 100),
    )


def _ablation_matrices(repeats, method, title, scale):
    names = repeats[0]["class_names"]
    matrices = {}
    for label, name in enumerate(names):
        changes = [
            np.subtract(
                r["methods"][method]["ablation"][label]["confusion"],
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
        f"{title}, {METHODS[method]}: what is predicted instead, without the "
        "neurons of a class",
        difference=True,
        unit=unit,
        repeats=len(repeats),
    )


def _sweep(repeats, title):
    """Draws sharing by masking against the upper threshold, for each tau."""
    fig = plots.new_figure(
        plots.WIDTH,
        4.6,
        f"{title}, masking: neurons shared by two classes, and by two halves "
        "of one",
    )
    axes = fig.subplots(1, 2)
    taus = sorted({point["tau"] for point in repeats[0]["sweep"]})
    for ax, key, of in zip(
        axes, ("of_layer", "share"), ("all neurons", "the active"), strict=True
    ):
        for i, tau in enumerate(taus):
            points = [
                [point for point in r["sweep"] if point["tau"] == tau]
                for r in repeats
            ]
            x = [point["t_high"] for point in points[0]]
            for half, (kind, name) in enumerate(
                (("different", "classes"), ("same", "halves"))
            ):
                values = 100 * np.array(
                    [[p[f"{kind}_{key}"] for p in own] for own in points],
                    "float64",
                )
                plots.mean_line(
                    ax,
                    x,
                    values,
                    i,
                    f"{name}, tau = {tau}",
                    (0, 100),
                    linestyle=("-", "--")[half],
                    markerfacecolor=None if half else "white",
                )
        ax.set_xscale("log")
        ax.grid(alpha=0.3)
        ax.set(xlabel="t_high", ylabel=f"shared, of {of} [%]")
    plots.add_key(fig)
    plots.explain(fig, plots.in_words([len(repeats)]))
    return fig

"""Who finds what was planted? Claims and figures of planted."""

import numpy as np
from matplotlib import figure

from modularity_tf import plots
from reproduce.harness import claim
from reproduce.harness.records import grouped, mean

NEVER_LEARNED = "random scores"


def scores(records, method, key):
    """Returns a score of a method, one a record; NaN where it is unknown."""
    found = [r["scores"].get(method, {}).get(key) for r in records]
    return np.array(found, "float64")


def best_baseline(records):
    """Returns the name of the baseline with the highest mean precision."""
    names = [
        name
        for name in records[0]["scores"]
        if not name.startswith(("mask", "edge"))
    ]
    means = [mean(scores(records, n, "average_precision")) for n in names]
    return names[int(np.nanargmax(means))] if names else None


def claims(records):
    """Returns our goals for masks by default, fixed before any run."""
    found = claim.Claims()
    for case, networks in grouped(records, "case").items():
        if "mask" not in networks[0]["scores"]:
            continue
        own = claim.Claims(case)
        chance = scores(networks, "mask", "chance")
        own.add(
            "average precision of learned masks",
            scores(networks, "mask", "average_precision"),
            main=case in ("simple", "pairs"),
            at_least=0.9 if case == "pairs" else 0.95,
            null=chance,
            null_is=NEVER_LEARNED,
        )
        for key in ("precision", "recall"):
            own.add(
                f"{key} at the mask's own threshold",
                scores(networks, "mask", key),
                at_least=0.9,
                null=chance if key == "precision" else 0.5,
                null_is="weights drawn at random"
                if key == "precision"
                else "half of the weights",
            )
        baseline = best_baseline(networks)
        if baseline:
            own.add(
                "average precision over the best baseline's",
                scores(networks, "mask", "average_precision")
                - scores(networks, baseline, "average_precision"),
                at_least=0.1 if case == "pairs" else 0.0,
                null=0.0,
                null_is=f"the best baseline, {baseline}",
            )
        if "mask_paper" in networks[0]["scores"]:
            own.add(
                "recall over that from the paper's start",
                scores(networks, "mask", "recall")
                - scores(networks, "mask_paper", "recall"),
                at_least=0.0,
                null=0.0,
                null_is="the paper's start",
            )
        if "sharing" in networks[0]:
            both = [r["sharing"]["mask"] for r in networks]
            own.add(
                "error of the estimated sharing",
                [
                    abs(
                        np.nan if s["found"] is None else s["found"] - s["true"]
                    )
                    for s in both
                ],
                at_most=0.05,
                null=0.5,
                null_is="a coin for every unit",
            )
        found.extend(own)
    return found


def draw(records):
    """Returns the figures, drawn from the records alone."""
    cases = grouped(records, "case")
    methods = list(records[0]["scores"])
    names = list(cases)
    precision = np.array(
        [
            [mean(scores(cases[c], m, "average_precision")) for c in names]
            for m in methods
        ]
    )
    figures = {
        "figA_methods": _heat_map(
            precision, methods, names, "average precision"
        )
    }
    learned = [m for m in methods if m.startswith(("mask", "edge"))]
    if learned:
        figures["figB_own_threshold"] = plots.grouped_bars(
            {
                f"{method}, {key}": 100
                * np.nan_to_num(
                    np.array([scores(cases[c], method, key) for c in names]).T
                )
                for method in learned
                for key in ("precision", "recall")
            },
            names,
            "[%]",
            "at the method's own threshold",
        )
    return figures


def _heat_map(values, rows, columns, title):
    fig = figure.Figure((2.5 + 1.0 * len(columns), 1.5 + 0.5 * len(rows)))
    fig.set_layout_engine("constrained")
    ax = fig.subplots()
    image = ax.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for i, j in np.ndindex(values.shape):
        if np.isfinite(values[i, j]):
            color = "white" if values[i, j] > 0.6 else "black"
            ax.text(
                j,
                i,
                f"{values[i, j]:.2f}",
                ha="center",
                va="center",
                color=color,
            )
    ax.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
    ax.set_yticks(range(len(rows)), rows)
    ax.set_title(title)
    fig.colorbar(image, ax=ax)
    return fig

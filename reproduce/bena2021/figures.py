"""Figures 2 to 4 and those beside them, drawn from the records alone."""

import math

import numpy as np

from modularity_tf import plots
from reproduce.bena2021 import findings


def draw(records):
    """Returns figures 2 to 4 and those beside them, from the records alone."""
    groups = findings.by_demand(records)
    repeats = [*groups[min(groups)].values()]
    title = repeats[0][0]["data"]
    figures = {
        "fig02_specialization": _specialization(repeats, title),
        "fig03_raw_metrics": _raw_metrics(repeats, title),
        "fig04_accuracy": _accuracy(repeats, title),
        "weighted_q": _weighted(repeats, title),
    }
    if len(groups) > 1:
        figures["demand"] = _demand(groups, title)
    return figures


def _panels(rows, columns, title):
    fig = plots.new_figure(0.5 + 4.2 * columns, 0.6 + 2.8 * rows, title)
    axes = fig.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.grid(alpha=0.3)
    return fig, axes


def _explain(fig, repeats):
    plots.explain(
        fig,
        f"Mean of n = {len(repeats)} repeats"
        + ("; shaded: its 95 % interval." if len(repeats) > 1 else "."),
    )


def _band(ax, x, values, label=None, number=0, style="o-"):
    """Draws a mean and, shaded, its 95 % interval over the repeats."""
    values = np.asarray(values, "float64")
    mean = values.mean(axis=0)
    color = plots.color(number)
    ax.plot(x, mean, style, color=color, label=label, markersize=4)
    if len(values) > 1:
        margin = plots.interval_margin(values)
        low, high = mean - margin, mean + margin
        ax.fill_between(x, low, high, color=color, alpha=0.2)


def _by_p(ax):
    ax.set_xscale("log")
    ax.set_xlabel("p")


def _specialization(repeats, title):
    """Draws the mean over modules, and the one that is more or less so.

    One module may decide while the other only sends, which a mean hides.
    """
    fig, axes = _panels(3, 2, f"{title}: specialization of the modules")
    p = [record["p"] for record in repeats[0]]
    for (left, right), m in zip(axes, findings.MEASURES, strict=True):
        modules = np.array(
            [[findings.by_module(r, m) for r in sweep] for sweep in repeats]
        )
        level = np.mean([findings.untrained(sweep[0], m) for sweep in repeats])
        q = findings.structural_q(repeats[0])
        for ax, x in ((left, p), (right, q)):
            _band(ax, x, modules.mean(axis=-1), "mean of both")
            more, less = modules.max(axis=-1), modules.min(axis=-1)
            thin = {"linewidth": 0.8, "linestyle": "--"}
            thin["color"] = plots.color(0)
            ax.plot(x, more.mean(axis=0), label="the modules, sorted", **thin)
            ax.plot(x, less.mean(axis=0), **thin)
            if not np.isnan(level):
                style = {"color": plots.color(2), "label": "untrained"}
                ax.plot(x[0], level, "x", **style)
        left.set_ylabel(findings.TITLES[m])
        right.axvline(
            findings.HIGH_Q[m],
            color="0.6",
            linestyle=":",
            label="threshold of the claim",
        )
        right.set_xlabel("Q")
        _by_p(left)
    axes[0, 0].legend()
    axes[0, 1].legend(axes[0, 1].lines[-1:], ["threshold of the claim"])
    _explain(fig, repeats)
    return fig


def _raw_metrics(repeats, title):
    fig, axes = _panels(2, 2, f"{title}: the measures M(n, k) themselves")
    p = [record["p"] for record in repeats[0]]
    for ax, m in zip(axes.flat, findings.TITLES, strict=True):
        both = np.array(
            [[findings.raw(r, m) for r in sweep] for sweep in repeats]
        )
        _band(ax, p, both[..., 0], "own digit")
        _band(ax, p, both[..., 1], "other digit", 2, "s--")
        ax.set_ylabel(findings.TITLES[m])
        _by_p(ax)
    axes[0, 0].axhline(
        repeats[0][0]["chance"], color="0.6", linestyle=":", label="chance"
    )
    axes[0, 0].legend()
    _explain(fig, repeats)
    return fig


def _accuracy(repeats, title):
    fig, ((ax,),) = _panels(1, 1, f"{title}: accuracy of every network")
    for i, (network, label) in enumerate(
        (("plain", "(a)"), ("bottleneck", "(b), bottleneck"))
    ):
        points = [
            (r["p"], 100 * r[network]["accuracy"])
            for sweep in repeats
            for r in sweep
        ]
        style = {"color": plots.color(2 * i), "label": label}
        ax.plot(*zip(*points, strict=True), "ox"[i], **style)
    style = {"color": "0.6", "linestyle": ":"}
    ax.axhline(100 * findings.GOOD, label="good networks", **style)
    ax.set_ylabel("accuracy [%]")
    _by_p(ax)
    ax.legend()
    return fig


def _weighted(repeats, title):
    fig, (row,) = _panels(1, 3, f"{title}: against Q weighted by |w|")
    for ax, m in zip(row, findings.MEASURES, strict=True):
        points = [
            (r["plain"]["q_weighted"], findings.specialized(r, m))
            for sweep in repeats
            for r in sweep
        ]
        style = {"color": plots.color(0), "markersize": 4}
        ax.plot(*zip(*points, strict=True), "o", **style)
        ax.set(xlabel="Q weighted by |w|", ylabel=findings.TITLES[m])
    return fig


def _demand(groups, title):
    """Draws specialization and accuracy for several demands."""
    fig, axes = _panels(2, 2, f"{title}: bits that the modules must exchange")
    for i, (demand, by_seed) in enumerate(sorted(groups.items())):
        repeats = [*by_seed.values()]
        p = [record["p"] for record in repeats[0]]
        label = f"{math.log2(demand):.2g} bits (m = {demand})"
        style = {"label": label, "number": i}
        for ax, m in zip(axes.flat, findings.MEASURES, strict=False):
            _band(ax, p, [findings.along(s, m) for s in repeats], **style)
            ax.set_ylabel(f"specialization, {findings.TITLES[m]}")
        right = [
            [100 * r["plain"]["accuracy"] for r in sweep] for sweep in repeats
        ]
        _band(axes[1, 1], p, right, **style)
    axes[1, 1].set_ylabel("accuracy of (a) [%]")
    for ax in axes.flat:
        _by_p(ax)
    axes[0, 0].legend()
    _explain(fig, repeats)
    return fig

"""Figures from results, with matplotlib. Nothing here trains or reads files.

Figures are made without pyplot: no global state, no window. A notebook shows
one that is the last line of a cell. Colours are those of `PALETTE`, which
people tell apart whatever colours they see.

References:
    - Petroff, 2021, "Accessible Color Sequences for Data Visualization"
      (https://arxiv.org/abs/2107.02270)
"""

import io
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import axes as mpl_axes
from matplotlib import collections, figure
from matplotlib import lines as mpl_lines
from numpy.typing import ArrayLike

from modularity_tf import stats

# Ten colours of Petroff (2021), the cycle "petroff10" of matplotlib.
PALETTE = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
DPI = 300  # of files
_FEW = 5  # repeats are shown as dots, more as an interval


def color(number: int) -> str:
    """Returns the colour of the n-th thing in a figure."""
    return PALETTE[number % len(PALETTE)]


class _Figure(figure.Figure):
    """A figure that notebooks show: without pyplot they know no picture."""

    def _repr_png_(self):
        return as_png(self, self.dpi)


def new_figure(width: float, height: float, title: str = "") -> figure.Figure:
    """Returns an empty figure, sizes in inches."""
    fig = _Figure((width, height), layout="constrained")
    if title:
        fig.suptitle(title)
    return fig


def explain(fig: figure.Figure, text: str) -> None:
    """Writes below a figure what its numbers and bars mean."""
    fig.supxlabel(text, x=0.01, ha="left", fontsize=8, color="0.35")


def _panels(count, most, size, margin, title="", **shared):
    """Returns a figure and its axes, one for each panel and no others.

    Args:
        count: Positive int, how many panels there are.
        most: Positive int, how many stand in a row at most.
        size: Two floats, width and height of a panel in inches.
        margin: Two floats, what the figure is wider and higher than these.
        title: Str above the panels.
        **shared: As in `Figure.subplots`.
    """
    columns = min(count, most)
    rows = -(-count // columns)
    width, height = (
        m + s * n for m, s, n in zip(margin, size, (columns, rows))
    )
    fig = new_figure(width, height, title)
    axes = fig.subplots(rows, columns, squeeze=False, **shared)
    for ax in axes.flat[count:]:
        ax.set_axis_off()
    return fig, axes


def confusion_matrices(
    matrices: Mapping[str, ArrayLike],
    class_names: Sequence[str],
    title: str = "",
    difference: bool = False,
    predicted_names: Sequence[str] | None = None,
    kind: str = "class",
    unit: str | None = None,
    axis_names: tuple[str, str] | None = None,
    repeats: int | None = None,
) -> figure.Figure:
    """Draws confusion matrices, or changes of them, as annotated panels.

    Numbers are 100 times the entries.

    Args:
        matrices: Dict from caption to float array `(classes, predicted)`, rows
            the true class, in [0, 1] (or [-1, 1] for differences).
        class_names: Names of the classes, in order.
        title: Stands above the panels.
        difference: Whether colours are centred at 0 and numbers have a sign.
        predicted_names: Names of the columns, if not those of the classes.
        kind: What a class is called on the axes.
        unit: Of the numbers; per cent of the true class by default.
        axis_names: Names of rows and columns in place of the true and the
            predicted class.
        repeats: Of how many the matrices are means, or `None`.
    """
    predicted_names = predicted_names or class_names
    axis_names = axis_names or (f"true {kind}", f"predicted {kind}")
    fig, axes = _panels(len(matrices), 4, (4.4, 4.4), (1.5, 0.6), title)
    low, high, cmap = 0.0, 100.0, "Blues"
    if difference:
        high = 100 * max(np.abs(np.asarray(m)).max() for m in matrices.values())
        low, cmap = -high, "RdBu"
    for ax, (caption, matrix) in zip(axes.flat, matrices.items(), strict=False):
        percent = 100 * np.asarray(matrix)
        drawn = ax.imshow(percent, cmap, vmin=low, vmax=high)
        ax.set_title(caption)
        ticks = range(len(predicted_names))
        ax.set_xticks(ticks, predicted_names, rotation=45, ha="right")
        ax.set_yticks(range(len(class_names)), class_names)
        ax.set(xlabel=axis_names[1], ylabel=axis_names[0])
        for (row, column), value in np.ndenumerate(percent):
            text = f"{value:+.0f}" if difference else f"{value:.0f}"
            if text.strip("+-") == "0":
                continue
            _write_cell(ax, column, row, text, abs(value) > 0.6 * high)
    label = "change" if difference else "share"
    label += f" [{unit or f'% of the true {kind}'}]"
    fig.colorbar(drawn, ax=axes, aspect=40, label=label)
    if repeats is not None:
        of = "One repeat (n = 1)"
        if repeats > 1:
            of = f"Each number is the mean of n = {repeats} repeats"
        explain(fig, f"{of}; none where it rounds to 0.")
    return fig


def _write_cell(ax, column, row, text, is_dark):
    """Writes a number into a cell, readable on its colour."""
    style = {"ha": "center", "va": "center", "fontsize": 8}
    ax.text(column, row, text, color="white" if is_dark else "black", **style)


def grouped_bars(
    groups: Mapping[str, ArrayLike],
    labels: Sequence[str],
    ylabel: str,
    title: str = "",
    chance: Mapping[str, ArrayLike] | None = None,
    ceiling: Mapping[str, ArrayLike] | None = None,
) -> figure.Figure:
    """Draws bars side by side: means over the repeats.

    Up to five repeats are dots. Of more, error bars show the 95 % interval of
    the mean, by Student's t. The figure says which, and of how many repeats.

    Args:
        groups: Dict from legend entry to float array `(repeats, labels)`.
        labels: Names on the x axis.
        ylabel: What the bars are.
        title: Stands above the bars.
        chance: Dict from legend entry to array like its group: what random
            sets would give, a black line across each bar (the mean).
        ceiling: The same for what the set of one task and seed has in common
            with the set of the same task from another seed, a dashed line.
    """
    inches = len(labels) * max(0.75, 0.2 * len(groups))  # beside the legend
    fig = new_figure(max(3.5 + inches, 6.5), 4.0)
    ax = fig.subplots()
    width = 0.8 / len(groups)
    arrays = {k: np.asarray(v, "float64") for k, v in groups.items()}
    for i, (name, values) in enumerate(arrays.items()):
        x = np.arange(len(labels)) + (i - (len(groups) - 1) / 2) * width
        is_few = len(values) <= _FEW
        margin = None if is_few else stats.mean_half_width(values)
        mean = values.mean(axis=0)
        ax.bar(
            x,
            mean,
            width,
            yerr=margin,
            label=name,
            capsize=2,
            color=color(i),
            hatch="//" if i >= len(PALETTE) else None,
        )
        if is_few and len(values) > 1:
            ax.plot(x, values.T, "o", ms=3, color="0.25", zorder=3)
        for label, levels, line in (
            ("random", chance, "solid"),
            ("same task,\nanother seed", ceiling, "dashed"),
        ):
            if levels and name in levels:
                is_new = label not in ax.get_legend_handles_labels()[1]
                ax.hlines(
                    np.asarray(levels[name]).mean(axis=0),
                    x - width / 2,
                    x + width / 2,
                    color="black",
                    linewidth=2,
                    linestyle=line,
                    label=label if is_new else "",
                )
    ax.set_xticks(range(len(labels)), labels, rotation=30, ha="right")
    ax.axhline(0, color="black", linewidth=0.8)
    ax.grid(axis="y", alpha=0.3)
    ax.set(ylabel=ylabel, title=title)
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    explain(fig, _what_bars_are({len(values) for values in arrays.values()}))
    return fig


def _what_bars_are(counts):
    """Returns what bars of so many repeats show, a sentence."""
    n = " or ".join(map(str, sorted(counts)))
    if max(counts) < 2:
        return "One repeat (n = 1)."
    if max(counts) <= _FEW:
        return f"Mean of n = {n} repeats; the dots are the repeats."
    text = f"Mean of n = {n} repeats, with its 95 % interval (Student's t)"
    return text + ("." if min(counts) > _FEW else ", or dots where n is small.")


def heat_maps(
    panels: Mapping[str, ArrayLike],
    rows: Sequence[str],
    columns: Sequence[str],
    title: str = "",
    label: str = "",
) -> figure.Figure:
    """Draws tables of numbers in [0, 1] as colours, side by side.

    Args:
        panels: Dict from caption to float array `(rows, columns)`; NaN, where
            nothing was measured, is left blank.
        rows: Names of the rows, which all panels have.
        columns: Names of the columns.
        title: Stands above the panels.
        label: What the colours are.
    """
    width = 2.2 + (0.6 + 0.62 * len(columns)) * len(panels)
    fig = new_figure(max(width, 5.0), 2.2 + 0.36 * len(rows), title)
    axes = fig.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for ax, (caption, table) in zip(axes, panels.items(), strict=True):
        values = np.asarray(table, "float64")
        ax.set_facecolor("0.93")
        drawn = ax.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for (i, j), value in np.ndenumerate(values):
            if np.isfinite(value):
                _write_cell(ax, j, i, f"{value:.2f}", value > 0.6)
        ax.set_xticks(range(len(columns)), columns, rotation=40, ha="right")
        ax.set_yticks(range(len(rows)), rows)
        ax.set_title(caption, fontsize=10)
    fig.colorbar(drawn, ax=axes, label=label)
    return fig


def precision_and_recall(
    panels: Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike]]],
    title: str = "",
) -> figure.Figure:
    """Draws precision against recall, one panel for each caption.

    An entry has one colour in all panels; lines are means, and around them are
    their 95 % intervals.

    Args:
        panels: Dict from caption to a dict from legend entry to a pair of
            arrays, recalls `(points,)` and precisions `(repeats, points)`.
        title: Stands above the panels.
    """
    fig, axes = _panels(
        len(panels), 4, (2.6, 2.5), (2.4, 0.8), title, sharex=True, sharey=True
    )
    names = dict.fromkeys(name for curves in panels.values() for name in curves)
    style = {
        name: {
            "color": color(i),
            "linestyle": "--" if i > 9 else "-",
            # The first are broad: seen below others that are the same.
            "linewidth": 1.2 + 4 * (1 - i / len(names)) ** 2,
        }
        for i, name in enumerate(names)
    }
    shown = {}
    for ax, (caption, curves) in zip(axes.flat, panels.items()):
        for name, (recall, precision) in curves.items():
            mean = np.asarray(precision).mean(axis=0)
            (shown[name],) = ax.plot(recall, mean, **style[name])
            margin = stats.mean_half_width(precision)
            band = {"color": style[name]["color"], "alpha": 0.2, "linewidth": 0}
            ax.fill_between(recall, mean - margin, mean + margin, **band)
        ax.set(xlim=(0, 1.02), ylim=(0, 1.05), xlabel="recall")
        ax.label_outer()
        ax.set_title(caption, fontsize=10)
        ax.grid(alpha=0.3)
    fig.supylabel("precision", fontsize=10)
    fig.legend(shown.values(), shown, loc="outside right center", fontsize=9)
    return fig


FATES = ("", "found", "missed", "false alarm", "left out")
_FATE_STYLES: tuple[dict[str, Any], ...] = (
    {"color": PALETTE[0], "linewidth": 1.2, "zorder": 3},
    {"color": PALETTE[1], "linewidth": 1.2, "zorder": 4},
    {"color": PALETTE[2], "linewidth": 1.2, "zorder": 5},
    {"color": "0.85", "linewidth": 0.4, "zorder": 1},
)


def fates_of_weights(
    panels: Mapping[str, Sequence[ArrayLike]], title: str = ""
) -> figure.Figure:
    """Draws layered networks with what was found in them and what was missed.

    Inputs are at the bottom.

    Args:
        panels: Dict from caption to a list of int arrays `(inputs, outputs)`,
            one for each layer: the places in `FATES` of each weight, 0 for
            none.
        title: Stands above the panels.
    """
    fig, axes = _panels(len(panels), 3, (5.2, 2.8), (0.0, 1.0), title)
    for ax, (caption, network) in zip(axes.flat, panels.items()):
        ax.set_axis_off()
        layers = [np.asarray(layer) for layer in network]
        sizes = [len(layers[0]), *(layer.shape[1] for layer in layers)]
        places = [(np.arange(size) + 0.5) / size for size in sizes]
        for level, fates in enumerate(layers):
            for fate, style in enumerate(_FATE_STYLES, 1):
                lines = [
                    (
                        (places[level][i], level),
                        (places[level + 1][j], level + 1),
                    )
                    for i, j in np.argwhere(fates == fate)
                ]
                ax.add_collection(collections.LineCollection(lines, **style))
        for level, x in enumerate(places):
            ax.plot(x, [level] * len(x), "o", color="black", ms=4, zorder=6)
        ax.set_title(caption, fontsize=10)
    legend = [mpl_lines.Line2D([], [], **s) for s in _FATE_STYLES]
    fig.legend(legend, FATES[1:], loc="outside lower center", ncols=4)
    return fig


def alpha_search(
    searches: Sequence[Mapping[str, Any]], title: str = ""
) -> figure.Figure:
    """Draws performance and share of weights kept against alpha.

    The alpha chosen is a dotted line.

    Args:
        searches: A dict for each repeat, as `AlphaSearch` has the fields.
        title: Stands above the axes.
    """
    fig = new_figure(7.0, 4.0)
    ax = fig.subplots()
    for i, search in enumerate(searches):
        trials = search["trials"]
        alphas = [trial["alpha"] for trial in trials]
        for name, number, style in (
            ("performance", 0, "o-"),
            ("keep_fraction", 1, "s--"),
        ):
            values = [100 * trial[name] for trial in trials]
            label = name.replace("_", " ") if i == 0 else None
            ax.plot(alphas, values, style, color=color(number), label=label)
        limit = 100 * search["fraction"] * search["reference"]
        label = f"{search['fraction']:.0%} of the network" if i == 0 else None
        ax.axhline(limit, color=color(2), linewidth=0.8, label=label)
        label = "chosen" if i == 0 else None
        ax.axvline(search["alpha"], color="black", linestyle=":", label=label)
    ax.set_xscale("log")
    ax.grid(alpha=0.3)
    ax.set(xlabel="alpha", ylabel="[%]", title=title)
    ax.legend()
    explain(fig, f"A line for each of n = {len(searches)} repeats.")
    return fig


def performance_by_size(
    levels: Sequence[Mapping[str, Any]], title: str = ""
) -> figure.Figure:
    """Draws the performance of masks against the share of weights they keep.

    Args:
        levels: Dicts, those of a `MaskPath`.
        title: Stands above the axes.
    """
    levels = sorted(levels, key=lambda level: level["keep_fraction"])
    sizes = [100 * level["keep_fraction"] for level in levels]
    shares = np.array([100 * level["on_scale"] for level in levels])
    spans = np.array(
        [level.get("interval") or 2 * [level["on_scale"]] for level in levels]
    ).reshape(-1, 2)
    fig = new_figure(7.0, 4.0)
    ax = fig.subplots()
    bars = np.abs(100 * spans.T - shares)
    style: dict[str, Any] = {"marker": "o", "capsize": 2, "color": color(0)}
    ax.errorbar(sizes, shares, bars, label="validation data", **style)
    if levels and "on_all_data" in levels[0]:
        both = [100 * level["on_all_data"] for level in levels]
        name = "with training data"
        ax.plot(sizes, both, "s--", color=color(1), label=name)
        ax.legend()
    if sizes and min(sizes) > 0:
        ax.set_xscale("log")
        for axis in (
            ax.xaxis.set_major_formatter,
            ax.xaxis.set_minor_formatter,
        ):
            axis("{x:g}")
    ax.grid(alpha=0.3)
    ax.set(xlabel="weights kept [%]", ylabel="performance [%]", title=title)
    explain(
        fig,
        "Performance from 0, nothing, to 100, the whole model. Bars are 95 % "
        "confidence intervals.",
    )
    return fig


def keep_probabilities(
    histograms: Mapping[str, Mapping[str, Any]], title: str = ""
) -> figure.Figure:
    """Draws how the keep probabilities of masks are distributed.

    Left is the density without the tiny values, linear, and right that of all,
    logarithmic.

    Args:
        histograms: Dict from caption to counts as in `WeightMask.provenance`:
            "counts" over equal bins of [0, 1], and "tiny", how many of the
            first bin are below 0.0002.
        title: Stands above both.

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), figure 7
    """
    fig = new_figure(12.0, 4.0, title)
    linear, log = fig.subplots(1, 2)
    for number, (caption, histogram) in enumerate(histograms.items()):
        counts = np.asarray(histogram["counts"], "float64")
        seen = counts.copy()
        seen[0] -= histogram["tiny"]
        edges = np.linspace(0, 1, len(counts) + 1)
        for ax, values in ((linear, seen), (log, counts)):
            density = len(values) * values / max(values.sum(), 1)
            ax.stairs(density, edges, label=caption, color=color(number))
    log.set_yscale("log")
    linear.set_title("without values under 0.0002")
    log.set_title("all")
    for ax in (linear, log):
        ax.set(xlabel="keep probability", ylabel="density")
        ax.grid(alpha=0.3)
    log.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return fig


def sensitivity(
    points: Sequence[Mapping[str, Any]], chosen: float, title: str = ""
) -> figure.Figure:
    """Draws performance against beta, coloured by sharing.

    Up to five repeats are small dots. Of more, error bars show the 95 %
    interval of the mean.

    Args:
        points: List of dicts with `beta` and, over the repeats, the lists
            `accuracy` and `sharing`, all in [0, 1].
        chosen: The beta marked by a star.
        title: Stands above the axes.

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), figure 8
    """
    fig = new_figure(6.5, 4.0)
    ax = fig.subplots()
    betas = np.array([point["beta"] for point in points])
    values = [100 * np.asarray(point["accuracy"]) for point in points]
    mean = np.array([np.mean(value) for value in values])
    is_few = max(map(len, values)) <= _FEW
    margins = [float(stats.mean_half_width(value)) for value in values]
    shared = [100 * np.mean(point["sharing"]) for point in points]
    bars = None if is_few else margins
    ax.errorbar(betas, mean, bars, color="0.6", capsize=2, zorder=1)
    if is_few:
        for beta, value in zip(betas, values):
            ax.plot([beta] * len(value), value, ".", color="0.4", zorder=3)
    drawn = ax.scatter(betas, mean, 60, shared, cmap="viridis", zorder=2)
    star = int(np.argmin(np.abs(np.log(betas / chosen))))
    ax.axvline(chosen, color=color(2), linewidth=0.8, label="chosen")
    ax.plot(betas[star], mean[star], "*", color=color(2), ms=16, zorder=1.5)
    ax.set_xscale("log")
    ax.grid(alpha=0.3)
    ax.set(xlabel="beta", ylabel="accuracy [%]", title=title)
    ax.legend()
    fig.colorbar(drawn, ax=ax, label="weights shared [%]")
    explain(fig, _what_bars_are({len(value) for value in values}))
    return fig


def reliability(
    bins: Mapping[str, Mapping[str, ArrayLike]], title: str = ""
) -> figure.Figure:
    """Draws accuracy against confidence, before and after calibration.

    Args:
        bins: Dict from caption to a dict as `calibration.reliability` returns
            it; empty bins are left out.
        title: Stands above the axes.
    """
    fig = new_figure(5.0, 4.5)
    ax = fig.subplots()
    ax.plot([0, 1], [0, 1], label="calibrated", color="0.6", linewidth=0.8)
    for number, (caption, found) in enumerate(bins.items()):
        filled = np.asarray(found["count"]) > 0
        confidence, accuracy = (
            np.asarray(found[name])[filled]
            for name in ("confidence", "accuracy")
        )
        ax.plot(confidence, accuracy, "o-", label=caption, color=color(number))
    ax.grid(alpha=0.3)
    ax.set(xlabel="confidence", ylabel="accuracy", title=title)
    ax.legend()
    return fig


def clustered_similarity(
    similarity: ArrayLike,
    clusters: ArrayLike,
    title: str = "",
    ax: mpl_axes.Axes | None = None,
) -> figure.Figure:
    """Draws a similarity matrix sorted by cluster, white lines in between.

    Args:
        similarity: Float array of shape `(n, n)`. Its diagonal is left blank.
        clusters: Int array of shape `(n,)`. Unused units, of label -1, are the
            last.
        title: Stands above the matrix.
        ax: Where to draw, without a colour bar; `None` for a new figure.

    References:
        - Lange et al., 2022, figure 3
    """
    labels = np.asarray(clusters)
    last = np.where(labels < 0, labels.max() + 1, labels)
    order = np.argsort(last, kind="stable")
    matrix = np.array(similarity, "float64")
    np.fill_diagonal(matrix, np.nan)
    has_bar = ax is None
    if ax is None:
        ax = new_figure(5.0, 4.3).subplots()
    drawn = ax.imshow(matrix[np.ix_(order, order)], cmap="viridis", vmin=0)
    for edge in np.flatnonzero(np.diff(last[order])) + 0.5:
        ax.axhline(edge, color="white", linewidth=1.2)
        ax.axvline(edge, color="white", linewidth=1.2)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_title(title)
    if has_bar:
        ax.set(xlabel="unit, by cluster", ylabel="unit, by cluster")
        ax.figure.colorbar(drawn, ax=ax, label="similarity")
    return ax.figure  # type: ignore[return-value]


def clustered_similarities(
    panels: Sequence[tuple[ArrayLike, ArrayLike, str]],
) -> figure.Figure:
    """Draws several similarity matrices sorted by cluster, side by side.

    Args:
        panels: List of similarity, clusters and title, as in
            `clustered_similarity`.
    """
    if len(panels) == 1:
        return clustered_similarity(*panels[0])
    fig, axes = _panels(len(panels), 4, (3.2, 3.2), (0.0, 0.0))
    for ax, panel in zip(axes.flat, panels):
        clustered_similarity(*panel, ax=ax)
    return fig


def shares_by_layer(
    counts: Mapping[str, tuple[int, int]], ylabel: str, title: str = ""
) -> figure.Figure:
    """Draws which share of each layer's parts belongs to a set.

    Above each bar stand the two numbers.

    Args:
        counts: Dict from layer to two ints, parts in the set and all parts.
        ylabel: What the bars are.
        title: Stands above the bars.
    """
    fig = new_figure(2.0 + 0.9 * len(counts), 4.0)
    ax = fig.subplots()
    heights = [100 * part / max(whole, 1) for part, whole in counts.values()]
    bars = ax.bar(range(len(counts)), heights, color=color(0))
    labels = [f"{part}\nof {whole}" for part, whole in counts.values()]
    ax.bar_label(bars, labels, fontsize=8)
    ax.set_xticks(range(len(counts)), counts, rotation=30, ha="right")
    ax.margins(y=0.2)
    ax.set(ylabel=ylabel, title=title)
    return fig


def values_beside_chance(
    panels: Mapping[str, Sequence[Mapping[str, Any]]], ylabel: str = "[%]"
) -> figure.Figure:
    """Draws values layer by layer, each beside what it is by chance.

    A bar is a value, a black line chance, and a star stands over values that
    chance reaches in 5 % of cases at most.

    Args:
        panels: Dict from caption to a list of dicts with `layer`, `value`,
            `chance` (in [0, 1] or `None`) and `p`; and where the value is a
            mean over repeats `margin`, half of its 95 % interval, and `n`.
        ylabel: What the values are.
    """
    fig, axes = _panels(len(panels), 3, (4.0, 3.6), (1.0, 0.4), sharey=True)
    for ax, (caption, rows) in zip(axes.flat, panels.items()):
        x = np.arange(len(rows))
        value, chance = (
            100 * np.array([row[key] for row in rows], "float64")
            for key in ("value", "chance")
        )
        margin = 100 * np.array(
            [row.get("margin", np.nan) for row in rows], "float64"
        )
        ax.bar(x, value, color=color(0))
        if np.isfinite(margin).any():
            style = {"color": "0.35", "capsize": 2, "linestyle": "none"}
            ax.errorbar(x, value, margin, **style)
        ax.hlines(chance, x - 0.4, x + 0.4, color="black")
        for i, row in enumerate(rows):
            if row["p"] is not None and row["p"] <= 0.05:
                ax.text(i, value[i], "*", ha="center")
        names = [row["layer"] for row in rows]
        ax.set_xticks(x, names, rotation=40, ha="right")
        ax.set_title(caption, fontsize=9)
        ax.set_ylim(0, 105)
    for ax in axes[:, 0]:
        ax.set_ylabel(ylabel)
    counts = {
        row["n"] for rows in panels.values() for row in rows if "n" in row
    }
    told = _what_bars_are(counts) if counts else ""
    explain(
        fig,
        f"Black lines: by chance; a star: p of 0.05 at most. {told}".strip(),
    )
    return fig


def soundness(found: Mapping[str, Any]) -> figure.Figure:
    """Draws what a check of a finding says, a panel for each kind of number.

    Lines across points are 95 % intervals.

    Args:
        found: What `Soundness.as_dict` returns.
    """
    rows, curve, sharing = (found[k] for k in ("rows", "curve", "sharing"))
    performance = found["settings"]["name"]
    groups = [
        ("performance", [r for r in rows if r["quantity"] != "minimality"]),
        ("removals", [r for r in rows if r["quantity"] == "minimality"]),
    ]
    groups = [(title, own) for title, own in groups if own]
    count = len(groups) + bool(curve) + bool(sharing)
    fig = new_figure(1.0 + 5.0 * count, 4.0)
    axes = iter(fig.subplots(1, count, squeeze=False)[0])
    for (title, own), ax in zip(groups, axes):
        _points(
            ax,
            [
                (row["what"], row["value"], row["low"], row["high"])
                for row in own
            ],
        )
        is_performance = title == "performance"
        ax.set_xlabel(
            f"{performance} [%]" if is_performance else "of removals [%]"
        )
        ax.set_title(
            title if is_performance else "removals that change nothing"
        )
    if curve:
        _sizes(next(axes), curve, performance)
    if sharing:
        ax = next(axes)
        _points(
            ax,
            [
                (
                    f"{r['other']}: {r['verdict']}",
                    r["overlap"],
                    r["floor"],
                    r["overlap"],
                )
                for r in sharing
            ],
        )
        for key, number in (("floor", 8), ("ceiling", 4)):
            for y, row in enumerate(sharing):
                ax.plot(
                    100 * np.array([row[key]] * 2, "float64"),
                    [y - 0.3, y + 0.3],
                    color=color(number),
                    label=None if y else key,
                )
        ax.set_xlabel("overlap with the finding [%]")
        ax.set_title("sharing")
        ax.legend()
    return fig


def _points(ax, points):
    """Draws named values with their intervals, from top to bottom."""
    for y, (_, value, low, high) in enumerate(points):
        numbers = np.array([value, low, high], "float64") * 100
        ax.plot(numbers[1:], [y, y], color=color(0))
        ax.plot(numbers[:1], [y], "o", color=color(0))
    ax.set_yticks(range(len(points)), [point[0] for point in points])
    ax.set_ylim(len(points) - 0.5, -0.5)
    ax.grid(axis="x", alpha=0.3)


def _sizes(ax, curve, performance):
    """Draws performance against the share of parts."""
    shares = [100 * row["share"] for row in curve]
    for key, style, label in (
        ("alone", color(0), "highest scores alone"),
        ("rest", color(6), "the rest"),
        ("random_alone", color(9), "random parts alone"),
        ("random_rest", color(7), "without random parts"),
    ):
        values = 100 * np.array([row[key] for row in curve], "float64")
        ax.plot(shares, values[:, 0], "o-", color=style, label=label)
        ax.fill_between(
            shares, values[:, 1], values[:, 2], color=style, alpha=0.3
        )
    ax.set_xscale("log")
    ax.set_xlabel("share of all parts [%]")
    ax.set_ylabel(f"{performance} [%]")
    ax.set_title("sizes")
    ax.legend(fontsize=8)


def save(
    fig: figure.Figure,
    file: str | os.PathLike[str],
    *,
    dpi: float = DPI,
    pdf: bool = True,
) -> None:
    """Writes a figure as PNG, and beside it as PDF.

    A file appears whole or not at all.

    Args:
        fig: What is written.
        file: Path of the PNG file.
        dpi: Dots for each inch.
        pdf: Whether a PDF file of the same name is written, too.
    """
    file = os.fspath(file)
    _write(file, as_png(fig, dpi))
    if pdf:
        buffer = io.BytesIO()
        # Drawn again, it is the same file: no date in it.
        fig.savefig(buffer, format="pdf", metadata={"CreationDate": None})
        _write(f"{file.removesuffix('.png')}.pdf", buffer.getvalue())


def as_png(fig: figure.Figure, dpi: float) -> bytes:
    """Returns a figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def _write(file, content):
    partial = f"{file}.partial"
    with open(partial, "wb") as f:
        f.write(content)
    os.replace(partial, file)

"""Figures from results, with matplotlib. Nothing here trains or reads files.

Figures are made without pyplot: no global state, no window. A notebook shows
one that is the last line of a cell. None is wider than `WIDTH`, so that its
letters can be read where a page shows it at the width of its text. Colors are
those of `PALETTE`; hatches, markers and dashes say the same once more.

References:
    - Machado, Oliveira and Fernandes, 2009, "A Physiologically-based Model for
      Simulation of Color Vision Deficiency"
"""

import io
import os
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import axes as mpl_axes
from matplotlib import collections, figure, font_manager, patheffects
from matplotlib import colors as mpl_colors
from matplotlib import lines as mpl_lines
from numpy.typing import ArrayLike

from modularity_tf import stats

# Each two differ by 20 at least (CIEDE2000), for people who see all colors as
# for those who do not see red or green.
PALETTE = (
    "#7766ee",
    "#eecc00",
    "#bb5511",
    "#223366",
    "#88ddbb",
    "#228877",
    "#ccbbff",
    "#443322",
)
DIVERGING = "RdBu"  # the colors of changes: red is less, blue is more
WIDTH = 8.0  # inches
DPI = 300  # of files
_HATCHES = ("", "///", "...", "\\\\\\", "xx", "--", "oo", "++")
_MARKERS = "os^DvPX*"
_DASHES = ("-", "--", "-.", ":")
_FEW = 5  # repeats are shown as dots, more as an interval
_LETTERS = 95  # of a title, in a line
_SMALL_LETTERS = 120  # of what stands below a figure


def color(number: int) -> str:
    """Returns the color of the n-th thing in a figure."""
    return PALETTE[number % len(PALETTE)]


def bar_style(number: int) -> dict[str, Any]:
    """Returns color and hatch of the n-th kind of bars, for `Axes.bar`."""
    again = number // len(PALETTE)
    face = color(number)
    return {
        "color": face,
        "hatch": _HATCHES[(number + again) % len(_HATCHES)],
        "edgecolor": "white" if _is_dark(face) else "0.35",
        "linewidth": 0,
    }


def line_style(number: int) -> dict[str, Any]:
    """Returns color, marker and dashes of the n-th line, for `Axes.plot`."""
    again = number // len(PALETTE)
    return {
        "color": color(number),
        "marker": _MARKERS[number % len(_MARKERS)],
        "linestyle": _DASHES[(number + again) % len(_DASHES)],
    }


def _is_dark(face):
    """Returns whether white stands out from a color better than black."""
    red, green, blue = mpl_colors.to_rgb(face)
    return 0.3 * red + 0.6 * green + 0.1 * blue < 0.5


class _Figure(figure.Figure):
    """A figure that notebooks show: without pyplot they know no picture."""

    def _repr_png_(self):
        return as_png(self, self.dpi)


def new_figure(width: float, height: float, title: str = "") -> figure.Figure:
    """Returns an empty figure, sizes in inches."""
    fig = _Figure((width, height), layout="constrained")
    if title:
        letters = int(_LETTERS * width / WIDTH)
        lines = [textwrap.fill(line, letters) for line in title.split("\n")]
        fig.suptitle("\n".join(lines))
    return fig


def explain(fig: figure.Figure, text: str) -> None:
    """Writes below a figure what its numbers and bars mean.

    Call it after `add_key`, which stands there, too.
    """
    letters = int(_SMALL_LETTERS * fig.get_figwidth() / WIDTH)
    text = textwrap.fill(text, letters)
    if fig.legends:  # both would take the same place
        fig.legends[0].set_title(text, font_manager.FontProperties(size=9))
    else:
        fig.supxlabel(text, x=0.01, ha="left", fontsize=9)


def add_key(fig: figure.Figure, axes: Iterable[mpl_axes.Axes] = ()) -> None:
    """Writes below a figure what its colors, hatches and lines stand for.

    Args:
        fig: The figure; of equal labels the first one counts.
        axes: Whose labels are meant; those of all panels by default.
    """
    found: dict[str, Any] = {}
    for ax in [*axes] or fig.axes:
        for handle, label in zip(*ax.get_legend_handles_labels()):
            found.setdefault(label, handle)
    _key(fig, found)


def _key(fig, handles):
    """Writes a key below a figure; handles by label."""
    if not handles:
        return
    longest = max(len(line) for each in handles for line in each.split("\n"))
    room = 13.0 * fig.get_figwidth()  # letters of that size in a line
    fig.legend(
        handles.values(),
        handles,
        loc="outside lower left",
        ncols=max(1, min(len(handles), int(room / (longest + 6)))),
        frameon=False,
        fontsize=9,
        alignment="left",
        handlelength=2.8,
    )


def in_words(counts: Iterable[int], few: str = "dots") -> str:
    """Returns what a figure shows of so many repeats, a sentence.

    Args:
        counts: How many repeats there are, of each thing drawn.
        few: What a few repeats are drawn as.
    """
    counts = set(counts)
    n = " or ".join(map(str, sorted(counts)))
    if max(counts) < 2:
        return "One repeat (n = 1)."
    if max(counts) <= _FEW:
        return f"Mean of n = {n} repeats; the {few} are the repeats."
    text = f"Mean of n = {n} repeats, with its 95 % interval"
    return text + (
        "." if min(counts) > _FEW else f", or {few} where n is small."
    )


def intervals(
    values: ArrayLike, bounds: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the 95 % intervals of means over repeats.

    Args:
        values: Float array of shape `(repeats, n)`; NaN is not known.
        bounds: Between which the quantity lies whatever happens; the interval
            stays there.

    Returns:
        Two float arrays of shape `(n,)`: the lower and the upper ends. NaN
        where fewer than two repeats are known.
    """
    ends = []
    for column in np.asarray(values, "float64").T:
        known = column[np.isfinite(column)]
        few = len(known) < 2
        ends.append(
            (np.nan, np.nan) if few else stats.bounded_interval(known, *bounds)
        )
    low, high = np.array(ends).reshape(-1, 2).T
    return low, high


def _mean(values):
    """Returns the mean over repeats of what is known; NaN where nothing is."""
    known = np.ma.masked_invalid(np.asarray(values, "float64"))
    return np.ma.filled(known.mean(axis=0), np.nan)


def mean_line(
    ax: mpl_axes.Axes,
    x: ArrayLike,
    values: ArrayLike,
    number: int,
    label: str = "",
    bounds: tuple[float, float] = (-np.inf, np.inf),
    **style: Any,
) -> None:
    """Draws the mean of some repeats as a line.

    Up to five repeats are small dots, of more a band shows the 95 % interval.

    Args:
        ax: Where to draw.
        x: Array of shape `(n,)`.
        values: Float array of shape `(repeats, n)`.
        number: Which line of the figure it is, for its color and marker.
        label: What it is called in the key.
        bounds: As in `intervals`.
        **style: What replaces the style of that number.
    """
    values = np.asarray(values, "float64")
    style = {"markersize": 5, **line_style(number), **style}
    ax.plot(x, _mean(values), label=label, **style)
    if len(values) > _FEW:
        low, high = intervals(values, bounds)
        ax.fill_between(
            x, low, high, color=style["color"], alpha=0.2, linewidth=0
        )
    elif len(values) > 1:
        dots = {"color": style["color"], "marker": style["marker"]}
        for each in values:
            ax.plot(x, each, linestyle="", markersize=2.5, alpha=0.6, **dots)


def _grid(count, size, margin, title="", most=4, **shared):
    """Returns a figure and its axes, one for each panel and no others.

    Args:
        count: Positive int, how many panels there are.
        size: Two floats, width and height of a panel in inches, at least; as
            many stand in a row as have room.
        margin: Two floats, inches beside and above the panels.
        title: Str above the panels.
        most: Positive int, how many stand in a row at most.
        **shared: As in `Figure.subplots`.
    """
    room = max(1, min(most, int((WIDTH - margin[0]) / size[0])))
    columns = min(count, room)
    if count > 1 and count % columns and count < 2 * columns:
        columns = -(-count // 2)  # two rows that are as full as they can be
    rows = -(-count // columns)
    wide = size[0] * columns + margin[0]
    if columns > 1 or count > 1:
        wide = max(WIDTH, wide)
    fig = new_figure(wide, size[1] * rows + margin[1], title)
    axes = fig.subplots(rows, columns, squeeze=False, **shared)
    for ax in axes.flat[count:]:
        ax.remove()
    return fig, [*axes.flat[:count]]


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
        difference: Whether colors are centered at 0 and numbers have a sign.
        predicted_names: Names of the columns, if not those of the classes.
        kind: What a class is called on the axes.
        unit: Of the numbers; percent of the true class by default.
        axis_names: Names of rows and columns in place of the true and the
            predicted class.
        repeats: Of how many the matrices are means, or `None`.
    """
    predicted_names = predicted_names or class_names
    axis_names = axis_names or (f"true {kind}", f"predicted {kind}")
    is_single = len(matrices) == 1
    cell = 0.52 if is_single else 0.3
    wide = max(1.5, cell * len(predicted_names))
    high = max(1.2, (0.36 if is_single else 0.24) * len(class_names)) + 0.3
    fig, axes = _grid(
        len(matrices),
        (wide, high),
        (2.0, 1.6),
        title,
        most=2 if len(class_names) > 5 else 4,
        sharex=True,
        sharey=True,
    )
    low, most, cmap = 0.0, 100.0, "Blues"
    if difference:
        most = 100 * max(np.abs(np.asarray(m)).max() for m in matrices.values())
        low, cmap = -most, DIVERGING
    for ax, (caption, matrix) in zip(axes, matrices.items(), strict=True):
        percent = 100 * np.asarray(matrix)
        drawn = ax.imshow(percent, cmap, vmin=low, vmax=most, aspect="auto")
        ax.set_title(caption, fontsize=10)
        ticks = range(len(predicted_names))
        is_long = max(len(str(name)) for name in predicted_names) > 2
        turn = {"rotation": 45, "ha": "right"} if is_long else {}
        ax.set_xticks(ticks, predicted_names, **turn)
        ax.set_yticks(range(len(class_names)), class_names)
        ax.set(xlabel=axis_names[1], ylabel=axis_names[0])
        for (row, column), value in np.ndenumerate(percent):
            text = f"{value:+.0f}" if difference else f"{value:.0f}"
            if text.strip("+-") == "0":
                continue
            size = 10 if is_single else 8
            _write_cell(ax, column, row, text, drawn.to_rgba(value), size)
        if not is_single:
            ax.label_outer()
    _label_ends(axes)
    label = "change" if difference else "share"
    label += f" [{unit or f'% of the true {kind}'}]"
    fig.colorbar(drawn, ax=axes, aspect=40, label=label)
    if repeats is not None:
        of = "One repeat (n = 1)"
        if repeats > 1:
            of = f"Each number is the mean of n = {repeats} repeats"
        explain(fig, f"{of}; none where it rounds to 0.")
    return fig


def _label_ends(axes):
    """Shows the names below a column whose last place is empty."""
    lowest = {}
    for ax in axes:
        spec = ax.get_subplotspec()
        lowest[spec.colspan.start] = ax
    for ax in lowest.values():
        if not ax.get_subplotspec().is_last_row():
            ax.tick_params(labelbottom=True)
            ax.xaxis.label.set_visible(True)


def _write_cell(ax, column, row, text, background, size=8):
    """Writes a number into a cell, readable on its color."""
    style = {"ha": "center", "va": "center", "fontsize": size}
    dark = _is_dark(background[:3])
    written = ax.text(column, row, text, **style)
    written.set_color("white" if dark else "black")
    written.set_in_layout(False)  # it is within the axes: quick for hundreds


def grouped_bars(
    groups: Mapping[str, ArrayLike],
    labels: Sequence[str],
    ylabel: str,
    title: str = "",
    chance: Mapping[str, ArrayLike] | None = None,
    ceiling: Mapping[str, ArrayLike] | None = None,
    *,
    bounds: tuple[float, float] = (-np.inf, np.inf),
    ends: Mapping[str, ArrayLike] | None = None,
    paper: Sequence[tuple[str, float, float, Sequence[str]]] = (),
) -> figure.Figure:
    """Draws bars side by side: means over the repeats.

    Up to five repeats are dots. Of more, error bars show the 95 % interval of
    the mean. The figure says which, and of how many repeats. Where a bar is
    too low to be seen its value stands there, and a dash where nothing was
    measured.

    Args:
        groups: Dict from legend entry to float array `(repeats, labels)`; NaN
            is not measured.
        labels: Names on the x axis.
        ylabel: What the bars are.
        title: Stands above the bars.
        chance: Dict from legend entry to array like its group: what random
            sets would give, a black line across each bar (the mean).
        ceiling: The same for what the set of one task and seed has in common
            with the set of the same task from another seed, a dashed line.
        bounds: Between which the bars lie whatever happens, as in `intervals`.
        ends: Of a single repeat, dict from legend entry to float array
            `(2, labels)`: the 95 % intervals of its numbers over examples.
        paper: What a paper says: tuples of a legend entry, the lower and the
            upper end of a range (or twice a number), and the labels that it is
            about (all, if there are none). They are drawn as gray bands.
    """
    most = max(1, int(6.8 / max(0.5, 0.13 * len(groups))))
    rows = -(-len(labels) // most)
    most = -(-len(labels) // rows)  # rows of about one length
    wide = min(WIDTH, 4.0 + most * max(0.6, 0.2 * len(groups)))
    fig = new_figure(max(6.0, wide), 1.2 + 2.9 * rows, title)
    axes = fig.subplots(rows, 1, squeeze=False, sharey=True)[:, 0]
    arrays = {k: np.asarray(v, "float64") for k, v in groups.items()}
    for row, ax in enumerate(axes):
        part = slice(row * most, (row + 1) * most)
        own = [*labels[part]]
        for entry, low, high, about in paper:
            _paper_band(ax, entry, low, high, own, about)
        for i, (name, values) in enumerate(arrays.items()):
            marks = [
                (label, np.asarray(levels[name])[:, part], line)
                for label, levels, line in (
                    ("random", chance, "solid"),
                    ("same task,\nanother seed", ceiling, (0, (2, 1))),
                )
                if levels and name in levels
            ]
            width = 0.8 / len(groups)
            x = np.arange(len(own)) + (i - (len(groups) - 1) / 2) * width
            own_ends = _ends(values[:, part], bounds)
            if ends is not None:
                own_ends = np.asarray(ends[name], "float64")[:, part]
            _bars(ax, x, width, values[:, part], i, name, own_ends, marks)
        ax.set_xticks(range(len(own)), own, rotation=30, ha="right")
        ax.set_xlim(-0.6, most - 0.4)
        ax.axhline(0, color="black", linewidth=0.8)
        ax.grid(axis="y", alpha=0.3)
        ax.set_ylabel(ylabel)
    for ax in axes:  # once the heights of all bars are known
        _write_what_is_not_seen(ax, arrays)
    add_key(fig)
    text = in_words({len(values) for values in arrays.values()})
    if ends is not None:
        text = "Bars: 95 % intervals over examples."
    if any(np.isnan(values).all(axis=0).any() for values in arrays.values()):
        text += " \N{EN DASH}: not measured."
    explain(fig, text)
    return fig


def _ends(values, bounds):
    """Returns the ends of bars' intervals; `None` for few repeats."""
    return None if len(values) <= _FEW else intervals(values, bounds)


def _bars(ax, x, width, values, number, name, ends, marks):
    """Draws the bars of one group, and black lines across them."""
    mean = _mean(values)
    margin = None
    if ends is not None:
        margin = np.maximum([mean - ends[0], ends[1] - mean], 0)
    ax.bar(
        x,
        mean,
        width,
        yerr=margin,
        label=name,
        error_kw={"capsize": 2, "ecolor": "0.25"},
        **bar_style(number),
    )
    outline = [patheffects.withStroke(linewidth=4, foreground="white")]
    if 1 < len(values) <= _FEW:
        style = {"ms": 3.5, "mfc": "0.25", "mec": "white", "mew": 0.6}
        ax.plot(x, values.T, "o", zorder=3, **style)
    for label, levels, line in marks:
        ax.hlines(
            _mean(levels),
            x - width / 2,
            x + width / 2,
            color="black",
            linewidth=2,
            linestyle=line,
            label=label,
            path_effects=outline,
            zorder=2.5,
        )


def _paper_band(ax, entry, low, high, labels, about):
    """Draws what a paper says, over all labels or some."""
    style = {"color": "0.45", "label": entry, "zorder": 0.5}
    for i, label in enumerate(labels):
        if about and label not in about:
            continue
        ends = i - 0.5, i + 0.5
        if low == high:
            over = {"linestyle": ":", "linewidth": 2.5, **style, "zorder": 2.6}
            ax.hlines(low, *ends, **over)
        else:
            band = {"alpha": 0.35, "linewidth": 0}
            ax.fill_between(ends, low, high, **band, **style)


def _write_what_is_not_seen(ax, arrays):
    """Writes the value of bars that are too low, a dash for those unknown."""
    low, high = ax.get_ylim()
    for name in arrays:
        (bars,) = (each for each in ax.containers if each.get_label() == name)
        for bar in bars:
            height = bar.get_height()
            text = ""
            if np.isnan(height):
                text = "\N{EN DASH}"
            elif abs(height) < 0.006 * (high - low):
                text = f"{height:.1g}" if height else "0"
            middle = bar.get_x() + bar.get_width() / 2
            style = {"ha": "center", "va": "bottom", "fontsize": 9}
            if text:
                ax.text(middle, 0.01 * (high - low), text, **style)
    ax.set_ylim(low, high)


def heat_maps(
    panels: Mapping[str, ArrayLike],
    rows: Sequence[str],
    columns: Sequence[str],
    title: str = "",
    label: str = "",
) -> figure.Figure:
    """Draws tables of numbers in [0, 1] as colors.

    Panels stand side by side where there is room, else below each other.

    Args:
        panels: Dict from caption to float array `(rows, columns)`; NaN, where
            nothing was measured, is left blank.
        rows: Names of the rows, which all panels have.
        columns: Names of the columns.
        title: Stands above the panels.
        label: What the colors are.
    """
    fig, axes = _grid(
        len(panels),
        (0.1 + 0.45 * len(columns), 0.5 + 0.3 * len(rows)),
        (3.2, 1.7),
        title,
        sharex=True,
        sharey=True,
    )
    for ax, (caption, table) in zip(axes, panels.items(), strict=True):
        values = np.asarray(table, "float64")
        ax.set_facecolor("0.93")
        drawn = ax.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for (i, j), value in np.ndenumerate(values):
            if np.isfinite(value):
                _write_cell(ax, j, i, f"{value:.2f}", drawn.to_rgba(value))
        ax.set_xticks(range(len(columns)), columns, rotation=40, ha="right")
        ax.set_yticks(range(len(rows)), rows)
        ax.set_title(caption, fontsize=10)
    _label_ends(axes)
    fig.colorbar(drawn, ax=axes, label=label, aspect=30)
    return fig


def precision_and_recall(
    panels: Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike]]],
    title: str = "",
) -> figure.Figure:
    """Draws precision against recall, one panel for each caption.

    An entry has one color in all panels. Lines are means, as `mean_line`
    draws them.

    Args:
        panels: Dict from caption to a dict from legend entry to a pair of
            arrays, recalls `(points,)` and precisions `(repeats, points)`.
        title: Stands above the panels.
    """
    fig, axes = _grid(
        len(panels), (2.3, 2.2), (0.6, 1.6), title, sharex=True, sharey=True
    )
    names = dict.fromkeys(name for curves in panels.values() for name in curves)
    number = {name: i for i, name in enumerate(names)}
    for ax, (caption, curves) in zip(axes, panels.items()):
        for name, (recall, precision) in curves.items():
            i = number[name]
            # The first are broad: seen below others that are the same.
            wide = 1.2 + 4 * (1 - i / len(names)) ** 2
            points = len(np.asarray(recall))
            every = (i * points // max(len(names), 1), max(points // 3, 1))
            style = {"linewidth": wide, "markevery": every, "markersize": 6}
            mean_line(ax, recall, precision, i, name, (0, 1), **style)
        ax.set(xlim=(0, 1.02), ylim=(0, 1.05))
        ax.set(xlabel="recall", ylabel="precision")
        ax.label_outer()
        ax.set_title(caption, fontsize=10)
        ax.grid(alpha=0.3)
    _label_ends(axes)
    add_key(fig)
    return fig


FATES = (
    "",
    "needed and found",
    "needed but missed",
    "not needed but kept",
    "not needed, left out",
)
_FATE_STYLES: tuple[dict[str, Any], ...] = (
    {"color": PALETTE[0], "linewidth": 1.4, "zorder": 3},
    {"color": PALETTE[2], "linewidth": 1.6, "zorder": 4, "linestyle": "--"},
    {"color": PALETTE[3], "linewidth": 1.6, "zorder": 5, "linestyle": ":"},
    {"color": "0.75", "linewidth": 0.4, "zorder": 1},
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
    fig, axes = _grid(len(panels), (2.6, 2.1), (0.0, 1.3), title)
    for ax, (caption, network) in zip(axes, panels.items()):
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
            ax.plot(x, [level] * len(x), "o", color="black", ms=3, zorder=6)
        ax.set_title(caption, fontsize=10)
    keys = [
        mpl_lines.Line2D([], [], **{**style, "linewidth": 2})
        for style in _FATE_STYLES
    ]
    _key(fig, dict(zip(FATES[1:], keys)))
    explain(fig, "Inputs are at the bottom, outputs at the top.")
    return fig


def kinds_of_weights(
    panels: Mapping[str, ArrayLike], names: Sequence[str], title: str = ""
) -> figure.Figure:
    """Draws kernels, with a color for what each weight is.

    Args:
        panels: Dict from caption to an int array `(inputs, outputs)`, the
            place of each weight's kind in `names`.
        names: Names of the kinds; weights of the last one are not drawn.
        title: Stands above the panels.
    """
    fig, axes = _grid(len(panels), (2.4, 2.4), (0.2, 1.1), title, most=3)
    colors = [*map(color, range(len(names) - 1)), "white"]
    cmap = mpl_colors.ListedColormap(colors)
    for ax, (caption, kinds) in zip(axes, panels.items()):
        ax.imshow(
            np.asarray(kinds),
            cmap,
            vmin=-0.5,
            vmax=len(names) - 0.5,
            aspect="auto",
            interpolation="nearest",
        )
        ax.set_title(caption, fontsize=9)
        ax.set(xticks=[], yticks=[], xlabel="to", ylabel="from")
    seen = {kind for x in panels.values() for kind in np.unique(x).tolist()}
    keys = {
        name: mpl_lines.Line2D([], [], marker="s", ls="", color=colors[i])
        for i, name in enumerate(names[:-1])
        if i in seen
    }
    _key(fig, keys)
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
    fig = new_figure(7.0, 4.4, title)
    ax = fig.subplots()
    for search in searches:
        trials = search["trials"]
        alphas = [trial["alpha"] for trial in trials]
        for name, label, number in (
            ("performance", "performance", 0),
            ("keep_fraction", "weights kept", 1),
        ):
            values = [100 * trial[name] for trial in trials]
            ax.plot(alphas, values, label=label, **line_style(number))
        limit = 100 * search["fraction"] * search["reference"]
        label = f"{search['fraction']:.0%} of the network"
        ax.axhline(limit, color=color(2), linewidth=1.2, label=label)
        ax.axvline(search["alpha"], color="0", linestyle=":", label="chosen")
    ax.set_xscale("log")
    ax.grid(alpha=0.3)
    ax.set(xlabel="alpha, the strength of the penalty", ylabel="[%]")
    add_key(fig)
    n = len(searches)
    explain(fig, f"One line for each of n = {n} repeats." if n > 1 else "n = 1")
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
    fig = new_figure(WIDTH, 4.2, title)
    linear, log = fig.subplots(1, 2)
    for number, (caption, histogram) in enumerate(histograms.items()):
        counts = np.asarray(histogram["counts"], "float64")
        seen = counts.copy()
        seen[0] -= histogram["tiny"]
        edges = np.linspace(0, 1, len(counts) + 1)
        dashes = line_style(number)["linestyle"]
        for ax, values in ((linear, seen), (log, counts)):
            density = len(values) * values / max(values.sum(), 1)
            style = {"color": color(number), "linestyle": dashes}
            ax.stairs(density, edges, label=caption, **style)
    log.set_yscale("log")
    linear.set_title("without values under 0.0002", fontsize=10)
    log.set_title("all", fontsize=10)
    for ax in (linear, log):
        ax.set(xlabel="keep probability", ylabel="density")
        ax.grid(alpha=0.3)
    add_key(fig)
    return fig


def sensitivity(
    points: Sequence[Mapping[str, Any]], chosen: float, title: str = ""
) -> figure.Figure:
    """Draws performance against beta, colored by sharing.

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
    fig = new_figure(6.5, 4.2, title)
    ax = fig.subplots()
    betas = np.array([point["beta"] for point in points])
    values = [100 * np.asarray(point["accuracy"]) for point in points]
    mean = np.array([np.mean(value) for value in values])
    is_few = max(map(len, values)) <= _FEW
    margins = None
    if not is_few:
        ends = [intervals(v[:, None], (0, 100)) for v in values]
        low, high = np.array(ends)[:, :, 0].T
        margins = np.maximum([mean - low, high - mean], 0)
    shared = [100 * np.mean(point["sharing"]) for point in points]
    ax.errorbar(betas, mean, margins, color="0.6", capsize=2, zorder=1)
    if is_few:
        for beta, value in zip(betas, values):
            ax.plot([beta] * len(value), value, ".", color="0.4", zorder=3)
    drawn = ax.scatter(betas, mean, 60, shared, cmap="viridis", zorder=2)
    star = int(np.argmin(np.abs(np.log(betas / chosen))))
    ax.axvline(chosen, color=color(2), linewidth=0.8, label="chosen")
    ax.plot(betas[star], mean[star], "*", color=color(2), ms=16, zorder=1.5)
    ax.set_xscale("log")
    ax.grid(alpha=0.3)
    ax.set(xlabel="beta", ylabel="accuracy [%]")
    ax.legend()
    fig.colorbar(drawn, ax=ax, label="weights shared [%]")
    explain(fig, in_words({len(value) for value in values}))
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
    fig = new_figure(5.0, 4.5, title)
    ax = fig.subplots()
    ax.plot([0, 1], [0, 1], label="calibrated", color="0.6", linewidth=0.8)
    for number, (caption, found) in enumerate(bins.items()):
        filled = np.asarray(found["count"]) > 0
        confidence, accuracy = (
            np.asarray(found[name])[filled]
            for name in ("confidence", "accuracy")
        )
        ax.plot(confidence, accuracy, label=caption, **line_style(number))
    ax.grid(alpha=0.3)
    ax.set(xlabel="confidence", ylabel="accuracy")
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
        ax: Where to draw, without a color bar; `None` for a new figure.

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
    ax.set_title(title, fontsize=10)
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
    fig, axes = _grid(len(panels), (2.6, 2.8), (0.0, 0.0))
    for ax, panel in zip(axes, panels):
        clustered_similarity(*panel, ax=ax)
    return fig


def shares_by_layer(
    counts: Mapping[str, tuple[int, int]], ylabel: str, title: str = ""
) -> figure.Figure:
    """Draws which share of each layer's parts belongs to a set.

    At the end of each bar stand the two numbers. The first layer is at the
    top.

    Args:
        counts: Dict from layer to two ints, parts in the set and all parts.
        ylabel: What the bars are.
        title: Stands above the bars.
    """
    fig = new_figure(6.5, 1.3 + 0.3 * len(counts), title)
    ax = fig.subplots()
    lengths = [100 * part / max(whole, 1) for part, whole in counts.values()]
    bars = ax.barh(range(len(counts)), lengths, color=color(0))
    labels = [f"{part:,} of {whole:,}" for part, whole in counts.values()]
    ax.bar_label(bars, labels, fontsize=9, padding=3)
    ax.set_yticks(range(len(counts)), counts)
    ax.invert_yaxis()
    ax.margins(x=0.25)
    ax.set_xlabel(ylabel)
    return fig


def values_beside_chance(
    panels: Mapping[str, Sequence[Mapping[str, Any]]],
    ylabel: str = "[%]",
    title: str = "",
) -> figure.Figure:
    """Draws values layer by layer, each beside what it is by chance.

    A bar is a value, a black line chance, and a star stands over values that
    chance reaches in 5 % of cases at most.

    Args:
        panels: Dict from caption to a list of dicts with `layer`, `value`,
            `chance` (in [0, 1] or `None`) and `p`; and where the value is a
            mean `repeats`, the values of the repeats: dots, or of more than
            five the 95 % interval.
        ylabel: What the values are.
        title: Stands above the panels.
    """
    width = max(3.4, 0.25 * max(map(len, panels.values())))  # of many layers
    fig, axes = _grid(
        len(panels), (width, 2.7), (0.6, 0.9), title, most=2, sharey=True
    )
    counts, star = set(), ""
    for ax, (caption, rows) in zip(axes, panels.items()):
        x = np.arange(len(rows))
        value, chance = (
            100 * np.array([row[key] for row in rows], "float64")
            for key in ("value", "chance")
        )
        ax.bar(x, value, color=color(0))
        tops = value.copy()
        for i, row in enumerate(rows):
            if not row.get("repeats"):
                continue
            repeats = 100 * np.asarray(row["repeats"], "float64")
            counts.add(len(repeats))
            if not np.isfinite(repeats).any():
                continue
            if len(repeats) > _FEW:
                low, high = intervals(repeats[:, None], (-100, 100))
                ends = np.maximum([value[i] - low, high - value[i]], 0)
                style = {"color": "0.25", "capsize": 2, "linestyle": "none"}
                ax.errorbar([i], [value[i]], ends, **style)
                tops[i] = high[0]
            elif len(repeats) > 1:
                style = {"ms": 3.5, "mfc": "0.25", "mec": "white", "mew": 0.6}
                ax.plot([i] * len(repeats), repeats, "o", zorder=3, **style)
                tops[i] = np.nanmax(repeats)
        outline = [patheffects.withStroke(linewidth=4, foreground="white")]
        ax.hlines(chance, x - 0.4, x + 0.4, color="black", path_effects=outline)
        for i, row in enumerate(rows):
            if row["p"] is not None and row["p"] <= 0.05:
                ax.text(i, tops[i] + 1, "*", ha="center", fontsize=12)
                star = " Star: p of 0.05 at most."
        names = [row["layer"] for row in rows]
        ax.set_xticks(x, names, rotation=40, ha="right")
        ax.set_title(caption, fontsize=10)
        ax.set_ylim(0, 112)
        ax.set_yticks(range(0, 101, 20))
        ax.grid(axis="y", alpha=0.3)
        if ax.get_subplotspec().is_first_col():
            ax.set_ylabel(ylabel)
    told = in_words(counts) if counts else ""
    explain(fig, f"Black lines: by chance.{star} {told}".strip())
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
    heights = [0.9 + 0.25 * len(own) for _, own in groups]
    heights += [2.9] * bool(curve) + [1 + 0.25 * len(sharing)] * bool(sharing)
    fig = new_figure(6.5, sum(heights) + 0.4)
    panels = fig.subplots(len(heights), height_ratios=heights, squeeze=False)
    axes = iter(panels.flat)
    for (title, own), ax in zip(groups, axes):
        _points(
            ax,
            [
                (
                    row["what"].removeprefix("redundant: "),
                    row["value"],
                    row["low"],
                    row["high"],
                )
                for row in own
            ],
        )
        is_performance = title == "performance"
        ax.set_xlabel(
            f"{performance} [%]" if is_performance else "of removals [%]"
        )
        ax.set_title(
            title if is_performance else "removals that change nothing",
            fontsize=10,
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
                    *[r["overlap"]] * 3,  # beside floor and ceiling
                )
                for r in sharing
            ],
        )
        for key, number in (("floor", 3), ("ceiling", 2)):
            for y, row in enumerate(sharing):
                ax.plot(
                    100 * np.array([row[key]] * 2, "float64"),
                    [y - 0.3, y + 0.3],
                    color=color(number),
                    linestyle="-" if key == "floor" else "--",
                    label=None if y else key,
                )
        ax.set_xlabel("overlap with the finding [%]")
        ax.set_title("sharing", fontsize=10)
        ax.legend()
    explain(fig, "Points are estimates, lines and bands 95 % intervals.")
    return fig


def points_with_ranges(
    points: Sequence[tuple[str, float, float, float]],
    xlabel: str,
    title: str,
    note: str,
) -> figure.Figure:
    """Draws named values as points, each with a line over its range.

    The first one is at the top.

    Args:
        points: Tuples of a name, the value, and the ends of its range, all in
            [0, 1].
        xlabel: What the values are.
        title: Stands above the points.
        note: Says below them what points and lines are.
    """
    fig = new_figure(6.5, 1.4 + 0.28 * len(points), title)
    ax = fig.subplots()
    _points(ax, points)
    ax.set_xlabel(xlabel)
    explain(fig, note)
    return fig


def _points(ax, points):
    """Draws named values with their intervals, from top to bottom."""
    for y, (_, value, low, high) in enumerate(points):
        numbers = np.array([value, low, high], "float64") * 100
        ax.plot(numbers[1:], [y, y], color=color(0), linewidth=2)
        ax.plot(numbers[:1], [y], "o", color=color(0))
    ax.set_yticks(range(len(points)), [point[0] for point in points])
    ax.set_ylim(len(points) - 0.5, -0.5)
    ax.grid(axis="x", alpha=0.3)


def _sizes(ax, curve, performance):
    """Draws performance against the share of parts."""
    shares = [100 * row["share"] for row in curve]
    for number, (key, label) in enumerate(
        (
            ("alone", "highest scores alone"),
            ("rest", "the rest"),
            ("random_alone", "random parts alone"),
            ("random_rest", "without random parts"),
        )
    ):
        values = 100 * np.array([row[key] for row in curve], "float64")
        style = line_style(number)
        ax.plot(shares, values[:, 0], label=label, **style)
        ax.fill_between(
            shares,
            values[:, 1],
            values[:, 2],
            color=style["color"],
            alpha=0.25,
            linewidth=0,
        )
    ax.set_xscale("log")
    ax.set_xlabel("share of all parts [%]")
    ax.set_ylabel(f"{performance} [%]")
    ax.set_title("sizes", fontsize=10)
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

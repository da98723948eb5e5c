"""Charts for a page: values under the pointer, as Plotly draws them.

`of_figure` reads a matplotlib figure, so that an experiment draws its figures
once; `of_claims` draws claims as dots with intervals. Both return JSON values,
`data` and `layout`, as `Plotly.newPlot` takes them.
"""

import json
import re
import textwrap

import numpy as np
from matplotlib import (
    collections,
    colors,
    container,
    lines,
    patches,
)

from reproduce.publishing import titles

VERDICT_COLORS = {
    "agrees": "#1b7f5c",
    "differs": "#c0392b",
    "undetermined": "#b07800",
    "one seed": "#6b7280",
}
_PIXELS = 80  # an inch
_DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}
_MARKERS = {
    "o": "circle",
    ".": "circle",
    "s": "square",
    "^": "triangle-up",
    "x": "x",
    "*": "star",
}
_MOST_SEGMENTS = 500  # of lines; a drawing of a network is no chart


def as_json(data, layout):
    """Returns a chart as JSON values; Plotly refuses what it does not know.

    Args:
        data: List of dicts, the traces.
        layout: Dict.
    """
    from plotly import graph_objects, io

    chart = graph_objects.Figure(data, layout)
    chart.layout.template = None  # ten thousand characters of defaults
    return json.loads(io.to_json(chart, validate=True))


def of_figure(fig):
    """Returns a matplotlib figure as a chart, panel by panel.

    Read are images with names on their axes, bars, lines, bands and points,
    with their error bars.

    Args:
        fig: `matplotlib.figure.Figure`.

    Returns:
        JSON values, or `None` for a figure that has no such panel.
    """
    fig.draw_without_rendering()  # the layout places the panels
    panels = [
        ax for ax in fig.axes if ax.axison and ax.get_label() != "<colorbar>"
    ]
    if not panels:
        return None
    width, height = fig.get_size_inches() * _PIXELS
    layout = {
        "width": round(width),
        "height": round(height),
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
        "shapes": [],
        "annotations": [],
        "hovermode": "closest",
        "barmode": "overlay",
        "font": {"size": 11},
        "legend": {"bgcolor": "rgba(255,255,255,0.7)"},
    }
    if title := _plain(fig.get_suptitle()):
        layout["title"] = {"text": title, "font": {"size": 14}, "y": 0.99}
    data, named, known = [], set(), _entries(fig)
    for number, ax in enumerate(panels, 1):
        panel = _Panel(ax, "" if number == 1 else str(number))
        traces = panel.traces()
        if traces is None:
            return None
        for trace in traces:
            if "name" not in trace:
                color = trace.get("line", {}).get("color")
                trace |= known.get(color, {})
            # Entries of all panels share one legend.
            name = trace.get("name")
            if name is not None:
                trace["legendgroup"] = name
                trace["showlegend"] = name not in named
                named.add(name)
        data += traces
        layout |= panel.axes()
        layout["shapes"] += panel.shapes
        layout["annotations"] += panel.annotations()
    return as_json(data, layout)


def of_claims(claims):
    """Returns claims as dots with intervals, threshold and null beside them.

    Args:
        claims: Claims as `Claim.checked` returns them; those without a mean
            are left out.

    Returns:
        List of charts: percentages, then other numbers.
    """
    charts = []
    for percent, scale, unit in ((True, 100, "[%]"), (False, 1, "")):
        own = [
            one
            for one in claims
            if one["percent"] == percent and one["mean"] is not None
        ]
        if own:
            charts.append(_dots(own, scale, unit))
    return charts


def _dots(claims, scale, unit):
    rows = [_wrapped(titles.in_statement(one["statement"])) for one in claims]
    places = [*range(len(claims))]

    def of(key):
        return [
            None if one[key] is None else scale * one[key] for one in claims
        ]

    def marks(key, name, symbol):
        marker = {"symbol": symbol, "size": 13, "color": "#808890"}
        marker["line"] = {"width": 2, "color": "#808890"}
        return {
            "type": "scatter",
            "mode": "markers",
            "x": of(key),
            "y": places,
            "name": name,
            "marker": marker,
            "hovertemplate": f"{name}: %{{x:.3g}}<extra></extra>",
        }

    data = [
        marks("null", "null", "x-thin-open"),
        marks("threshold", "threshold", "line-ns-open"),
    ]
    for verdict, color in VERDICT_COLORS.items():
        chosen = [i for i in places if claims[i]["verdict"] == verdict]
        if not chosen:
            continue
        ends = [claims[i]["interval"] for i in chosen]
        ends = scale * np.array(ends, "float64")  # NaN for one seed
        means = [scale * claims[i]["mean"] for i in chosen]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": means,
                "y": chosen,
                "name": verdict,
                "marker": {"color": color, "size": 9},
                "error_x": {
                    "type": "data",
                    "symmetric": False,
                    "array": _known(ends[:, 1] - means),
                    "arrayminus": _known(means - ends[:, 0]),
                    "color": color,
                },
                "customdata": [
                    [rows[i], f"n = {claims[i]['n']}"] for i in chosen
                ],
                "hovertemplate": "%{customdata[0]}<br>%{x:.3g} "
                "(%{customdata[1]}), "
                f"{verdict}<extra></extra>",
            }
        )
    layout = {
        "height": 90 + 34 * len(claims),
        "margin": {"l": 10, "r": 10, "t": 34, "b": 36},
        "xaxis": {"title": {"text": unit}, "zeroline": True},
        "yaxis": {
            "tickvals": places,
            "ticktext": rows,
            "range": [len(claims) - 0.4, -0.6],
            "automargin": True,
            "tickfont": {"size": 11},
        },
        "legend": {"orientation": "h", "y": 1.0, "yanchor": "bottom"},
    }
    return as_json(data, layout)


class _Panel:
    """One pair of axes: what is drawn there, as traces."""

    def __init__(self, ax, number):
        self._ax, self._number = ax, number
        whole = ax.get_figure(root=True).transFigure
        self._box = ax.bbox.transformed(whole.inverted())
        self.shapes = []
        self._used = set()  # artists that belong to one seen before

    def axes(self):
        """Returns the two axes, where the panel lies."""
        box = self._box
        found = {}
        for name, low, high, anchor in (
            ("x", box.x0, box.x1, "y"),
            ("y", box.y0, box.y1, "x"),
        ):
            axis = getattr(self._ax, f"{name}axis")
            scale = getattr(self._ax, f"get_{name}scale")()
            ends = [float(v) for v in getattr(self._ax, f"get_{name}lim")()]
            own = {
                "domain": [max(low, 0), min(high, 1)],
                "anchor": f"{anchor}{self._number}",
                "title": {"text": _plain(axis.get_label_text())},
                "showgrid": not self._ax.images,
                "gridcolor": "#e5e7eb",
                "zeroline": False,
                "linecolor": "#888",
                "mirror": True,
                "range": ends,
            }
            if scale == "log":
                own |= {"type": "log", "range": [*np.log10(ends)], "dtick": 1}
            elif (names := self._names(axis)) is not None:
                own |= {"tickvals": names[0], "ticktext": names[1]}
                if name == "x":
                    own["tickangle"] = -45
            if not self._is_labelled(name):
                own["showticklabels"] = False
            found[f"{name}axis{self._number}"] = own
        return found

    def annotations(self):
        """Returns the panel's title."""
        box = self._box
        title = _plain(self._ax.get_title())
        if not title:
            return []
        return [
            {
                "text": title.replace("\n", "<br>"),
                "x": (box.x0 + box.x1) / 2,
                "y": min(box.y1, 1),
                "xref": "paper",
                "yref": "paper",
                "xanchor": "center",
                "yanchor": "bottom",
                "showarrow": False,
            }
        ]

    def traces(self):
        """Returns what is drawn, or `None` where something can't be read."""
        ax = self._ax
        found = [self._heat_map(image) for image in ax.images]
        for drawn in ax.containers:
            if isinstance(drawn, container.BarContainer):
                found.append(self._bars(drawn))
            elif isinstance(drawn, container.ErrorbarContainer):
                found += self._error_bars(drawn)
        for line in ax.lines:
            if line not in self._used:
                found += self._line(line)
        for group in ax.collections:
            if group in self._used:
                continue
            made = self._collection(group)
            if made is None:
                return None
            found += made
        found += [self._steps(p) for p in ax.patches if _is_steps(p)]
        for trace in found:
            trace["xaxis"] = f"x{self._number}"
            trace["yaxis"] = f"y{self._number}"
        return found

    def _heat_map(self, image):
        values = np.ma.filled(image.get_array().astype("float64"), np.nan)
        names = [self._names(axis) for axis in (self._ax.xaxis, self._ax.yaxis)]
        rows, columns = (
            [str(i) for i in range(count)]
            if known is None or len(known[1]) != count
            else known[1]
            for known, count in zip(names[::-1], values.shape)
        )
        low, high = image.get_clim()
        map_ = image.get_cmap()
        scale = [
            [x, colors.to_hex(map_(x))] for x in np.linspace(0, 1, 17).tolist()
        ]
        about = [[f"{row} → {column}" for column in columns] for row in rows]
        return {
            "type": "heatmap",
            "z": [_known(row) for row in values],
            "zmin": float(low),
            "zmax": float(high),
            "colorscale": scale,
            "showscale": False,
            "text": about,
            "hovertemplate": "%{text}: %{z:.3g}<extra></extra>",
        }

    def _bars(self, bars):
        self._used |= {*bars}
        boxes = [(p.get_x(), p.get_width(), p.get_height()) for p in bars]
        left, width, height = np.array(boxes, "float64").T
        trace = {
            "type": "bar",
            "x": (left + width / 2).tolist(),
            "y": _known(height),
            "width": width.tolist(),
            "marker": {"color": _color(bars[0].get_facecolor())},
            "hovertemplate": "%{y:.3g}",
            **_named(bars),
        }
        if bars.errorbar is not None:
            trace["error_y"] = self._errors(bars.errorbar, height)
        return trace

    def _error_bars(self, drawn):
        line, _, _ = drawn.lines
        if line is None:
            return []
        (trace,) = self._line(line) or (None,)
        if trace is None:
            return []
        trace |= _named(drawn)
        y = np.asarray(line.get_ydata(), "float64")
        trace["error_y"] = self._errors(drawn, y)
        return [trace]

    def _errors(self, drawn, y):
        """Returns the error bars of a container, and takes its artists."""
        line, caps, bars = drawn.lines
        self._used |= {line, *caps, *bars}
        ends = np.array(
            [
                np.ravel(s[:, 1]) if len(s) else [np.nan] * 2
                for s in bars[0].get_segments()
            ]
        )
        color = _color(np.ravel(bars[0].get_color()))
        return {
            "type": "data",
            "symmetric": False,
            "array": _known(ends[:, 1] - y),
            "arrayminus": _known(y - ends[:, 0]),
            "color": color,
            "thickness": 1.2,
        }

    def _line(self, line):
        self._used.add(line)
        color = _color(line.get_color())
        x, y = line.get_data(orig=False)
        style = line.get_linestyle()
        if not line.get_visible() or not len(x):
            return []
        if line.get_transform() != self._ax.transData:
            self._across(line, color)
            return []
        has_line = style not in ("None", "", " ")
        mark = _MARKERS.get(line.get_marker())
        modes = [
            name for name, on in (("lines", has_line), ("markers", mark)) if on
        ]
        if not modes:
            return []
        trace = {
            "type": "scatter",
            "mode": "+".join(modes),
            "x": _known(x),
            "y": _known(y),
            "line": {
                "color": color,
                "width": line.get_linewidth(),
                "dash": _DASHES.get(style, "solid"),
            },
            "hovertemplate": "%{x:.3g}: %{y:.3g}",
            **_named(line),
        }
        if mark:
            size = line.get_markersize() + 1
            trace["marker"] = {"color": color, "symbol": mark, "size": size}
        return [trace]

    def _across(self, line, color):
        """Keeps a line across the whole panel, as of `axhline`."""
        x, y = line.get_data(orig=False)
        is_level = line.get_transform() == self._ax.get_yaxis_transform(
            which="grid"
        )
        shape = {
            "type": "line",
            "xref": f"x{self._number}" + (" domain" if is_level else ""),
            "yref": f"y{self._number}" + ("" if is_level else " domain"),
            "line": {
                "color": color,
                "width": line.get_linewidth(),
                "dash": _DASHES.get(line.get_linestyle(), "solid"),
            },
        }
        ends = zip(("x0", "x1", "y0", "y1"), (*x, *y))
        if len(x) == 2 and not isinstance(line, lines.AxLine):
            self.shapes.append({**shape, **{k: float(v) for k, v in ends}})

    def _collection(self, group):
        """Returns the traces of lines, bands or points."""
        if isinstance(group, collections.LineCollection):
            # Segments are empty where a value is not known.
            segments = [s for s in group.get_segments() if len(s)]
            if len(segments) > _MOST_SEGMENTS:
                return None
            x, y = [], []
            for segment in segments:
                x += [*_known(segment[:, 0]), None]
                y += [*_known(segment[:, 1]), None]
            return [
                {
                    "type": "scatter",
                    "mode": "lines",
                    "x": x,
                    "y": y,
                    "line": {
                        "color": _color(np.ravel(group.get_color()[:1])),
                        "width": float(group.get_linewidth()[0]),
                    },
                    "hovertemplate": "%{y:.3g}",
                    **_named(group),
                }
            ]
        if isinstance(group, collections.PathCollection):
            x, y = np.asarray(group.get_offsets(), "float64").T
            drawn = [colors.to_hex(c) for c in group.get_facecolors()]
            if (values := group.get_array()) is not None:
                drawn = [colors.to_hex(c) for c in group.to_rgba(values)]
            marker = {"color": drawn if len(drawn) == len(x) else drawn[0]}
            return [
                {
                    "type": "scatter",
                    "mode": "markers",
                    "x": _known(x),
                    "y": _known(y),
                    "marker": marker,
                    "hovertemplate": "%{x:.3g}: %{y:.3g}",
                    **_named(group),
                }
            ]
        bands = []
        for path in group.get_paths():
            x, y = np.asarray(path.vertices, "float64").T
            face = group.get_facecolor()[0]
            bands.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "x": _known(x),
                    "y": _known(y),
                    "fill": "toself",
                    "fillcolor": "rgba({},{},{},{:.2f})".format(
                        *(round(255 * c) for c in face[:3]), face[3]
                    ),
                    "line": {"width": 0},
                    "hoverinfo": "skip",
                    "showlegend": False,
                }
            )
        return bands

    def _steps(self, patch):
        values, edges, _ = patch.get_data()
        return {
            "type": "scatter",
            "mode": "lines",
            "x": _known(edges),
            "y": [*_known(values), None],
            "line": {"shape": "hv", "color": _color(patch.get_edgecolor())},
            "hovertemplate": "%{x:.3g}: %{y:.3g}",
            **_named(patch),
        }

    def _names(self, axis):
        """Returns places and names of ticks, where these are words."""
        texts = [_plain(t.get_text()) for t in axis.get_ticklabels()]
        is_number = re.compile(r"[\d.,eE+\-−× ]*")
        if all(is_number.fullmatch(text) for text in texts):
            return None
        return [float(v) for v in axis.get_ticklocs()], texts

    def _is_labelled(self, name):
        """Returns whether the panel's axis has labels that are shown."""
        axis = getattr(self._ax, f"{name}axis")
        labels = axis.get_ticklabels()
        return any(t.get_visible() and t.get_text() for t in labels)


def _entries(fig):
    """Returns what a figure's own legends say of a colour, a dict.

    Empty where an entry is told by more than its colour.
    """
    found, count = {}, 0
    for legend in fig.legends:
        for line, text in zip(legend.get_lines(), legend.get_texts()):
            found[_color(line.get_color())] = {"name": _plain(text.get_text())}
            count += 1
    return found if len(found) == count else {}


def _is_steps(patch):
    return isinstance(patch, patches.StepPatch)


def _named(artist):
    """Returns the name of a trace; none where the legend has none."""
    label = str(artist.get_label() or "")
    if not label or label.startswith("_"):
        return {"showlegend": False}
    return {"name": _plain(label)}


def _known(values):
    """Returns numbers as a list, `None` for what is not finite."""
    values = np.asarray(values, "float64")
    return [float(f"{v:.5g}") if np.isfinite(v) else None for v in values]


def _color(color):
    return colors.to_hex(color)


def _plain(text):
    """Returns a text of matplotlib without its markup for formulas."""

    def formula(match):
        inner = match[1].replace(r"\hat{S}", "Ŝ")
        inner = re.sub(r"\\(?:text|mathdefault)\{(.*?)\}", r"\1", inner)
        return re.sub(r"\^\{(.*?)\}", r"<sup>\1</sup>", inner)

    return re.sub(r"\$(.+?)\$", formula, text)


def _wrapped(text):
    lines_ = textwrap.wrap(text, 52)
    if len(lines_) > 2:
        lines_ = [
            lines_[0],
            textwrap.shorten(" ".join(lines_[1:]), 52, placeholder=" …"),
        ]
    return "<br>".join(lines_)

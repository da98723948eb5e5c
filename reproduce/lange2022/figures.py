"""The figures of unit_clustering, from its records alone."""

import numpy as np
from matplotlib import colors, figure, lines

from reproduce.lange2022 import findings
from reproduce.lange2022.findings import (
    BOTH,
    KINDS,
    MEASURES,
    PAIRS,
    clustered,
    mean,
    percent,
    values,
)

# The scheme of figure 2: blue to green is upstream, red to orange downstream;
# blue and red are moments, green and orange gradients; pale is normalised.
COLORS = {
    "covariance": "#1f4fa3",
    "normalized_covariance": "#86aee6",
    "input_sensitivity": "#0a7d5e",
    "normalized_input_sensitivity": "#74cbb0",
    "output_sensitivity": "#c06000",
    "normalized_output_sensitivity": "#f3b061",
    "loss_hessian": "#a3123a",
    "normalized_loss_hessian": "#e88aa4",
}
_SHORT = {
    "covariance": "cov",
    "input_sensitivity": "i-sens",
    "output_sensitivity": "o-sens",
    "loss_hessian": "hess",
}
_KIND_NAMES = {"l2": "L2", "l1": "L1", "dropout": "dropout"}
_KIND_STYLES = {"l2": "s--", "l1": "^:", "dropout": "o-"}
_AXIS_LABEL = "regularisation [%]"
_PANELS = tuple(  # 2 rows, not normalised and normalised
    tuple(m for m in MEASURES if m.startswith("normalized") == normalised)
    for normalised in (False, True)
)
_SCORES = {
    "accuracy": "test accuracy",
    "loss": "test cross-entropy",
    "l2_norm": "L2 norm of weights",
    "l1_norm": "L1 norm of weights",
    "sparsity": "sparsity",
}


def draw(records):
    """Returns figures 3, 4 and S1 to S5, drawn from the records alone."""
    return {
        "fig03_modularity": _modularity(records),
        "fig04_agreement": _agreement(records),
        "figS1_scores": _scores(records),
        "figS2_searches": _searches(records),
        "figS3_modularity_by_layer": _by_layer(records, "q", "Q", (3,)),
        "figS4_clusters_by_layer": _by_layer(
            records, "clusters", "clusters", (3, 2, 1)
        ),
        "figS5_agreement_by_strength": _agreement_by_strength(records),
    }


def symbol(measure):
    """Returns the paper's symbol of a measure, for matplotlib."""
    normalised = measure.startswith("normalized_")
    short = _SHORT[measure.removeprefix("normalized_")]
    base = r"\hat{S}" if normalised else "S"
    return rf"${base}^{{\text{{{short}}}}}$"


def _new(width, height, title):
    fig = figure.Figure((width, height))
    fig.set_layout_engine("constrained")
    fig.suptitle(title)
    return fig


def _modularity(records):
    """Draws figure 3: example matrices, and Q against regularisation."""
    examples = records["examples"]
    fig = _new(11.0, 8.6 if examples else 5.6, records["data"])
    if examples:
        top, bottom = fig.subfigures(2, 1, height_ratios=(1, 2))
        for ax, one in zip(
            np.ravel(top.subplots(1, 4)), examples, strict=False
        ):
            _matrix(ax, one)
        for ax in top.axes[len(examples) :]:
            ax.set_axis_off()
    else:
        bottom = fig.subfigures(1, 1)
    axes = bottom.subplots(2, 4, sharex=True, sharey="row")
    _against_strength(axes, records, "q", slice(None), (3,))
    _label(axes, "Q")
    _kind_legend(bottom, (3,))
    return fig


def _matrix(ax, example):
    """Draws a matrix sorted by cluster, red lines between the clusters."""
    ax.imshow(example["matrix"], cmap="gray_r", vmin=0)
    for edge in np.cumsum(example["sizes"])[:-1] - 0.5:
        ax.axhline(edge, color="red", linewidth=0.8)
        ax.axvline(edge, color="red", linewidth=0.8)
    ax.set(xticks=[], yticks=[])
    name = symbol("normalized_covariance")
    ax.set_title(
        f"dropout {example['strength']:g}, first layer\n"
        f"{name}, Q = {example['q']:.3f}",
        linespacing=1.5,
    )


def _against_strength(axes, records, key, layers, bands):
    """Draws a key against regularisation, a panel a measure.

    Error bars are standard errors over seeds and layers; the bands are those
    of untrained networks, so many standard deviations wide.
    """
    before = values(records["untrained"], key)[:, layers]
    for row, measures in zip(axes, _PANELS, strict=True):
        for ax, measure in zip(row, measures, strict=True):
            m = MEASURES.index(measure)
            centre, sd = mean(before[..., m]), np.nanstd(before[..., m])
            for n in bands:
                ax.axhspan(
                    centre - n * sd,
                    centre + n * sd,
                    color="0.5",
                    alpha=0.2,
                    lw=0,
                )
            for kind in KINDS:
                x, y, error = _curve(records, kind, key, layers, m)
                style = {"color": COLORS[measure], "ms": 4, "lw": 1.2}
                ax.errorbar(x, y, error, fmt=_KIND_STYLES[kind], **style)
            ax.set_title(symbol(measure), color=COLORS[measure])
            ax.grid(alpha=0.3)


def _curve(records, kind, key, layers, measure):
    """Returns percentages, means and standard errors of a kind's strengths."""
    points = []
    for own, strength in records["settings"]:
        networks = clustered(records["networks"], kind=kind, strength=strength)
        if own != kind or not networks:
            continue
        found = values(networks, key)[:, layers][..., measure].ravel()
        points.append((percent(kind, strength), *_mean_and_error(found)))
    return np.array(points).reshape(-1, 3).T


def _mean_and_error(found):
    found = np.asarray(found)[np.isfinite(found)]
    if not len(found):
        return np.nan, np.nan
    error = found.std(ddof=1) / np.sqrt(len(found)) if len(found) > 1 else 0.0
    return found.mean(), error


def _label(axes, ylabel):
    for ax in axes[:, 0]:
        ax.set_ylabel(ylabel)
    for ax in axes[-1]:
        ax.set_xlabel(_AXIS_LABEL)


def _kind_legend(fig, bands):
    handles = [
        lines.Line2D(
            [],
            [],
            color="0.3",
            marker=style[0],
            linestyle=style[1:],
            ms=4,
            label=_KIND_NAMES[kind],
        )
        for kind, style in _KIND_STYLES.items()
    ]
    widths = ", ".join(str(n) for n in sorted(bands))
    band = lines.Line2D(
        [], [], color="0.8", lw=8, label=f"untrained, ±{widths} sd"
    )
    fig.legend(
        handles=[*handles, band],
        loc="outside lower center",
        ncols=4,
        frameon=False,
    )


def _by_layer(records, key, ylabel, bands):
    """Draws figures S3 and S4: as figure 3, the second layer on grey."""
    fig = _new(
        11.0, 10.0, f"{records['data']}: first layer, second layer (grey)"
    )
    axes = fig.subplots(4, 4, sharex=True, sharey="row")
    for layer in (0, 1):
        own = axes[2 * layer : 2 * layer + 2]
        _against_strength(own, records, key, [layer], bands)
        for ax in own.flat if layer else ():
            ax.set_facecolor("0.93")
    _label(axes, ylabel)
    _kind_legend(fig, bands)
    return fig


def _square(agreement):
    """Returns agreements of pairs as a symmetric matrix, 1 on the diagonal."""
    matrix = np.eye(len(MEASURES))
    for (a, b), value in zip(PAIRS, agreement, strict=True):
        matrix[a, b] = matrix[b, a] = value
    return matrix[np.ix_(BOTH, BOTH)]


def _mean_agreement(networks):
    """Returns the matrix of mean agreements over layers and networks."""
    return _square(mean(values(networks, "agreement"), (0, 1)))


def _agreement(records):
    """Draws figure 4: agreement of the measures, and what training adds."""
    networks = clustered(records["networks"])
    fig = _new(11.0, 5.4, records["data"])
    left, right = fig.subplots(1, 2)
    names = [symbol(MEASURES[m]) for m in BOTH]
    if not networks:
        return fig
    after, before = map(_mean_agreement, (networks, records["untrained"]))
    change = after - before
    limit = max(np.abs(change).max(), 1e-3)
    for ax, matrix, title, scale in (
        (left, after, "a) agreement of clusters", _scale(0, 1)),
        (right, change, "b) minus untrained", _scale(-limit, limit, "PiYG")),
    ):
        drawn = ax.imshow(matrix, **scale)
        ax.set_title(title)
        ax.set_xticks(range(len(names)), names, rotation=60)
        ax.set_yticks(range(len(names)), names)
        for place, m in enumerate(BOTH):
            for label in (
                ax.get_xticklabels()[place],
                ax.get_yticklabels()[place],
            ):
                label.set_color(COLORS[MEASURES[m]])
        for (row, column), value in np.ndenumerate(matrix):
            # White where the colour below is dark.
            dark = np.mean(drawn.to_rgba(value)[:3]) < 0.5
            ax.text(
                column,
                row,
                f"{value:.2f}",
                ha="center",
                va="center",
                fontsize=7,
                color="white" if dark else "black",
            )
        _quadrants(ax)
        fig.colorbar(drawn, ax=ax, shrink=0.8)
    return fig


def _scale(low, high, cmap="viridis"):
    return {"cmap": cmap, "norm": colors.Normalize(low, high)}


def _quadrants(ax):
    """Draws the border between upstream and downstream measures."""
    edge = len(findings.UPSTREAM) - 0.5
    ax.axhline(edge, color="black", linewidth=1)
    ax.axvline(edge, color="black", linewidth=1)


def _scores(records):
    """Draws figure S1: scores and weights against regularisation."""
    fig = _new(10.0, 11.0, records["data"])
    axes = fig.subplots(len(_SCORES), 3, sharex="col", sharey="row")
    for row, (key, name) in zip(axes, _SCORES.items(), strict=True):
        before = np.mean([r[key] for r in records["untrained"]])
        for ax, kind in zip(row, KINDS, strict=True):
            ax.axhline(before, color="0.6", linewidth=2)
            own = [r for r in records["networks"] if r["kind"] == kind]
            for seed in sorted({r["seed"] for r in own}):
                mine = [r for r in own if r["seed"] == seed]
                x = [r["strength"] for r in mine]
                ax.plot(x, [r[key] for r in mine], lw=0.7)
            strengths = sorted({r["strength"] for r in own})
            mean, error = np.transpose(
                [
                    _mean_and_error([r[key] for r in own if r["strength"] == s])
                    for s in strengths
                ]
            )
            ax.errorbar(strengths, mean, error, color="black", lw=2, capsize=2)
            if kind != "dropout":
                ax.set_xscale("log")
            if key == "accuracy":
                least = records["min_accuracy"]
                ax.axhline(least, color="C3", lw=0.8, linestyle=":")
                ax.set_title(_KIND_NAMES[kind])
            ax.grid(alpha=0.3)
        row[0].set_ylabel(name)
    for ax, kind in zip(axes[-1], KINDS, strict=True):
        ax.set_xlabel("probability" if kind == "dropout" else "strength")
    handles = [
        lines.Line2D([], [], color="C0", lw=0.7, label="one seed"),
        lines.Line2D(
            [], [], color="black", lw=2, label="mean ± standard error"
        ),
        lines.Line2D([], [], color="0.6", lw=2, label="untrained"),
        lines.Line2D([], [], color="C3", lw=0.8, ls=":", label="dropped below"),
    ]
    fig.legend(
        handles=handles, loc="outside lower center", ncols=4, frameon=False
    )
    return fig


def _searches(records):
    """Draws figure S2: Q of both steps against Q of one step alone."""
    fig = _new(10.5, 5.0, records["data"])
    for ax, points, name in zip(
        fig.subplots(1, 2),
        findings.searches(records["networks"]),
        ("spectral start alone", "Monte Carlo from one cluster"),
        strict=True,
    ):
        for m, measure in enumerate(MEASURES):
            own = points[points[:, 0] == m]
            ax.plot(
                *own[:, 1:].T,
                ".",
                ms=4,
                alpha=0.6,
                color=COLORS[measure],
                label=symbol(measure),
            )
        ax.axline((0.1, 0.1), slope=1, color="0.4", linewidth=0.8)
        ax.set(xlabel=f"Q, {name}", ylabel="Q, both steps")
        ax.grid(alpha=0.3)
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    return fig


def _agreement_by_strength(records):
    """Draws figure S5: figure 4 for each kind and strength."""
    settings = records["settings"]
    columns = max(sum(own == kind for own, _ in settings) for kind in KINDS)
    fig = _new(2.2 + 1.1 * columns, 8.0, records["data"])
    axes = fig.subplots(6, columns, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    before = _mean_agreement(records["untrained"])
    drawn = [None, None]
    for i, kind in enumerate(KINDS):
        strengths = [s for own, s in settings if own == kind]
        for column, strength in enumerate(strengths):
            networks = clustered(
                records["networks"], kind=kind, strength=strength
            )
            for k, scale in enumerate(
                (_scale(0, 1), _scale(-0.5, 0.5, "PiYG"))
            ):
                ax = axes[2 * i + k, column]
                ax.set_axis_on()
                ax.set(xticks=[], yticks=[], box_aspect=1)
                if k == 0:
                    ax.set_title(
                        f"{_KIND_NAMES[kind]} {strength:.2g}", fontsize=8
                    )
                if not column:
                    ax.set_ylabel("minus\nuntrained" if k else "agreement")
                if not networks:
                    ax.text(
                        0.5,
                        0.5,
                        "dropped",
                        ha="center",
                        va="center",
                        fontsize=8,
                        transform=ax.transAxes,
                    )
                    continue
                matrix = _mean_agreement(networks) - k * before
                drawn[k] = ax.imshow(matrix, **scale)
                _quadrants(ax)
    for image, part in zip(
        drawn, ("agreement", "minus untrained"), strict=True
    ):
        if image is not None:
            fig.colorbar(
                image, ax=axes, label=part, aspect=60, fraction=0.02, pad=0.01
            )
    return fig

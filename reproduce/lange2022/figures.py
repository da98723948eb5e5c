"""The figures of unit_clustering, from its records alone."""

import numpy as np
from matplotlib import lines

from modularity_tf import plots
from reproduce.lange2022 import agreement_figures, analysis
from reproduce.lange2022.figure_style import (
    COLORS,
    KIND_NAMES,
    point_style,
    symbol,
)
from reproduce.lange2022.summaries import (
    KINDS,
    MEASURES,
    clustered,
    percent,
    searches,
    values,
)
from reproduce.publishing.drawings import Drawings
from reproduce.publishing.records import grouped, mean

_KIND_STYLES = {"l2": "s--", "l1": "^:", "dropout": "o-"}
_AXIS_LABEL = "regularization [%]"
_PANELS = tuple(  # 2 rows, not normalized and normalized
    tuple(m for m in MEASURES if m.startswith("normalized") == normalized)
    for normalized in (False, True)
)
_PAPERS_CLUSTERS = 2, 6
_SCORES = {
    "accuracy": "test accuracy",
    "loss": "test cross-entropy",
    "l2_norm": "L2 norm of weights",
    "l1_norm": "L1 norm of weights",
    "sparsity": "sparsity",
}


def draw(records):
    """Returns figures 3, 4 and S1 to S5, drawn from the records alone."""
    functions = {
        "fig03_modularity": lambda: _modularity(records),
        "fig04_agreement": lambda: agreement_figures.draw_agreement(records),
        "figS1_scores": lambda: _scores(records),
        "figS2_searches": lambda: _searches(records),
        "figS3_modularity_by_layer": lambda: _by_layer(
            records, "q", "Q", (3,), "modularity Q of each layer"
        ),
        "figS4_clusters_by_layer": lambda: _by_layer(
            records,
            "clusters",
            "clusters",
            (3, 2, 1),
            "number of clusters in each layer",
            _PAPERS_CLUSTERS,
        ),
        "figS5_agreement_by_strength": lambda: (
            agreement_figures.draw_agreement_by_strength(records)
        ),
    }
    return Drawings(functions)


def _modularity(records):
    """Draws figure 3: example matrices, and Q against regularization."""
    examples = records["examples"]
    fig = plots.new_figure(
        plots.WIDTH,
        7.6 if examples else 5.2,
        f"{records['data']}: modularity Q of the clusters, by measure and "
        "regularization",
    )
    if examples:
        top, bottom = fig.subfigures(2, 1, height_ratios=(1, 2))
        panels = np.ravel(top.subplots(1, 4))
        for ax, one in zip(panels, examples, strict=False):
            _draw_example(ax, one)
        for ax in panels[len(examples) :]:
            ax.remove()
    else:
        bottom = fig.subfigures(1, 1)
    axes = bottom.subplots(2, 4, sharex=True, sharey="row")
    _against_strength(axes, records, "q", slice(None), (3,))
    _label(axes, "Q")
    _kind_legend(bottom, (3,))
    return fig


def _draw_example(ax, example):
    """Draws a matrix sorted by cluster."""
    sizes = example["sizes"]
    matrix = np.zeros((sum(sizes),) * 2)
    for i, row in enumerate(example["matrix"]):
        matrix[i, :i] = matrix[:i, i] = np.array(row) / 100
    name = symbol(analysis.EXAMPLE)
    plots.clustered_similarity(
        matrix,
        np.repeat(np.arange(len(sizes)), sizes),
        f"dropout {example['strength']:g}\n{name}, Q = {example['q']:.3f}",
        ax=ax,
    )
    ax.title.set_linespacing(1.5)


def _against_strength(axes, records, key, layers, bands):
    """Draws a key against regularization, a panel for each measure.

    Error bars are standard errors over seeds and layers; the bands are those
    of untrained networks, so many standard deviations wide.
    """
    before = values(records["untrained"], key)[:, layers]
    for row, measures in zip(axes, _PANELS, strict=True):
        for ax, measure in zip(row, measures, strict=True):
            m = MEASURES.index(measure)
            center, sd = mean(before[..., m]), np.nanstd(before[..., m])
            for n in bands:
                ax.axhspan(
                    center - n * sd,
                    center + n * sd,
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
            label=KIND_NAMES[kind],
        )
        for kind, style in _KIND_STYLES.items()
    ]
    widths = ", ".join(str(n) for n in sorted(bands))
    band = lines.Line2D(
        [], [], color="0.8", lw=8, label=f"untrained, ±{widths} sd"
    )
    fig.legend(
        handles=[*handles, band],
        loc="outside lower left",
        ncols=4,
        frameon=False,
        fontsize=9,
        alignment="left",
        title="Means over seeds and layers; bars are standard errors, as in "
        "the paper.",
        title_fontsize=9,
    )


def _by_layer(records, key, ylabel, bands, title, paper=None):
    """Draws figures S3 and S4: as figure 3, the second layer on gray."""
    fig = plots.new_figure(
        plots.WIDTH, 9.0, f"{records['data']}: {title}; second layer on gray"
    )
    axes = fig.subplots(4, 4, sharex=True, sharey="row")
    for layer in (0, 1):
        own = axes[2 * layer : 2 * layer + 2]
        _against_strength(own, records, key, [layer], bands)
        for ax in own.flat if layer else ():
            ax.set_facecolor("0.93")
        for ax in own.flat if paper else ():
            for end in paper:
                ax.axhline(end, color="black", linestyle=":", linewidth=1)
    _label(axes, ylabel)
    _kind_legend(fig, bands)
    if paper:
        low, high = paper
        text = f"Dotted lines: the paper has on the order of {low} to {high}."
        told = fig.legends[0].get_title().get_text()
        fig.legends[0].set_title(f"{told} {text}", {"size": 9})
    return fig


def _scores(records):
    """Draws figure S1: scores and weights against regularization."""
    fig = plots.new_figure(
        plots.WIDTH,
        9.5,
        f"{records['data']}: scores and weights against regularization",
    )
    axes = fig.subplots(len(_SCORES), 3, sharex="col", sharey="row")
    for row, (key, name) in zip(axes, _SCORES.items(), strict=True):
        before = np.mean([r[key] for r in records["untrained"]])
        for ax, kind in zip(row, KINDS, strict=True):
            ax.axhline(before, color="0.6", linewidth=2)
            own = [r for r in records["networks"] if r["kind"] == kind]
            for mine in grouped(own, "seed").values():
                x = [r["strength"] for r in mine]
                ax.plot(x, [r[key] for r in mine], lw=0.7, color=plots.color(0))
            strengths = grouped(own, "strength")
            center, error = np.transpose(
                [
                    _mean_and_error([r[key] for r in alike])
                    for alike in strengths.values()
                ]
            )
            ax.errorbar(
                [*strengths], center, error, color="black", lw=2, capsize=2
            )
            if kind != "dropout":
                ax.set_xscale("log")
            if key == "accuracy":
                least = records["min_accuracy"]
                ax.axhline(least, color=plots.color(2), lw=1.5, linestyle=":")
                ax.set_title(KIND_NAMES[kind])
            ax.grid(alpha=0.3)
        row[0].set_ylabel(name)
    for ax, kind in zip(axes[-1], KINDS, strict=True):
        ax.set_xlabel("probability" if kind == "dropout" else "strength")
    handles = [
        lines.Line2D([], [], color=plots.color(0), lw=0.7, label="one seed"),
        lines.Line2D(
            [], [], color="black", lw=2, label="mean ± standard error"
        ),
        lines.Line2D([], [], color="0.6", lw=2, label="untrained"),
        lines.Line2D(
            [],
            [],
            color=plots.color(2),
            lw=1.5,
            ls=":",
            label="dropped below",
        ),
    ]
    fig.legend(
        handles=handles,
        loc="outside lower left",
        ncols=4,
        frameon=False,
        fontsize=9,
    )
    return fig


def _searches(records):
    """Draws figure S2: Q of both steps against Q of one step alone."""
    fig = plots.new_figure(
        plots.WIDTH,
        4.8,
        f"{records['data']}: Q of the whole search against Q of one step alone",
    )
    axes = fig.subplots(1, 2)
    for ax, points, name in zip(
        axes,
        searches(records["networks"]),
        ("spectral start alone", "Monte Carlo from one cluster"),
        strict=True,
    ):
        for m, measure in enumerate(MEASURES):
            own = points[points[:, 0] == m]
            style = {**point_style(measure), "ms": 4, "alpha": 0.7}
            ax.plot(*own[:, 1:].T, label=symbol(measure), **style)
        ax.axline((0.1, 0.1), slope=1, color="0.4", linewidth=0.8)
        ax.set(xlabel=f"Q, {name}", ylabel="Q, both steps")
        ax.grid(alpha=0.3)
    plots.add_key(fig)
    plots.explain(fig, "One point for each layer of each network.")
    return fig

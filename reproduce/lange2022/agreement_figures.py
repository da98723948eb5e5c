"""Figures 4 and S5 of unit_clustering: which measures' clusters agree."""

import numpy as np

from modularity_tf import plots
from reproduce.lange2022.figure_style import (
    COLORS,
    KIND_NAMES,
    color_range,
    symbol,
)
from reproduce.lange2022.summaries import (
    BOTH,
    KINDS,
    MEASURES,
    PAIRS,
    UPSTREAM,
    agreements,
    clustered,
)
from reproduce.publishing.records import mean


def draw_agreement(records):
    """Draws figure 4: agreement of the measures, and what training adds."""
    networks = clustered(records["networks"])
    fig = plots.new_figure(
        plots.WIDTH,
        5.6,
        f"{records['data']}: do two measures find the same clusters?",
    )
    if not networks:
        return fig
    left, right = fig.subplots(1, 2)
    after, before = map(_mean_agreement, (networks, records["untrained"]))
    change = after - before
    limit = max(np.abs(change).max(), 1e-3)
    _draw_matrix(left, after, "(a) agreement of clusters", color_range(0, 1))
    _draw_matrix(
        right,
        change,
        "(b) minus that of untrained ones",
        color_range(-limit, limit, plots.DIVERGING),
    )
    plots.explain(
        fig,
        "Black lines part upstream measures from downstream ones. Means over "
        f"layers and n = {len(networks)} networks.",
    )
    return fig


def draw_agreement_by_strength(records):
    """Draws figure S5: figure 4 for each kind and strength."""
    settings = records["settings"]
    columns = max(sum(own == kind for own, _ in settings) for kind in KINDS)
    fig = plots.new_figure(
        plots.WIDTH,
        7.0,
        f"{records['data']}: agreement of the measures, by kind and strength",
    )
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
            pair = axes[2 * i : 2 * i + 2, column]
            pair[0].set_title(f"{KIND_NAMES[kind]} {strength:.2g}", fontsize=8)
            if not column:
                pair[0].set_ylabel("agreement")
                pair[1].set_ylabel("minus\nuntrained")
            drawn = _draw_pair(pair, networks, before) or drawn
    for image, part in zip(
        drawn, ("agreement", "minus untrained"), strict=True
    ):
        if image is not None:
            fig.colorbar(
                image, ax=axes, label=part, aspect=60, fraction=0.02, pad=0.01
            )
    return fig


def _draw_matrix(ax, matrix, title, colors):
    """Draws a matrix of measures, numbers in its cells."""
    drawn = ax.imshow(matrix, **colors)
    ax.set_title(title, fontsize=10)
    names = [symbol(MEASURES[m]) for m in BOTH]
    ax.set_xticks(range(len(names)), names, rotation=60)
    ax.set_yticks(range(len(names)), names)
    for labels in (ax.get_xticklabels(), ax.get_yticklabels()):
        for label, m in zip(labels, BOTH, strict=True):
            label.set_color(COLORS[MEASURES[m]])
    for (row, column), value in np.ndenumerate(matrix):
        # White where the color below is dark.
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
    _draw_quadrants(ax)
    ax.figure.colorbar(drawn, ax=ax, location="bottom", aspect=30)


def _draw_pair(axes, networks, before):
    """Draws agreement and change; returns the images, `None` if dropped."""
    for ax in axes:
        ax.set_axis_on()
        ax.set(xticks=[], yticks=[], box_aspect=1)
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
    if not networks:
        return None
    after = _mean_agreement(networks)
    drawn = [
        axes[0].imshow(after, **color_range(0, 1)),
        axes[1].imshow(
            after - before, **color_range(-0.5, 0.5, plots.DIVERGING)
        ),
    ]
    for ax in axes:
        _draw_quadrants(ax)
    return drawn


def _mean_agreement(networks):
    """Returns the matrix of mean agreements over layers and networks."""
    return _square(mean(agreements(networks), 0))


def _square(agreement):
    """Returns agreements of pairs as a symmetric matrix, 1 on the diagonal."""
    matrix = np.eye(len(MEASURES))
    for (a, b), value in zip(PAIRS, agreement, strict=True):
        matrix[a, b] = matrix[b, a] = value
    return matrix[np.ix_(BOTH, BOTH)]


def _draw_quadrants(ax):
    """Draws the border between upstream and downstream measures."""
    edge = len(UPSTREAM) - 0.5
    ax.axhline(edge, color="black", linewidth=1)
    ax.axvline(edge, color="black", linewidth=1)

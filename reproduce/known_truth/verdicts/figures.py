"""The figure of sharing_verdict, drawn from the records alone."""

import numpy as np
from matplotlib import figure

from modularity_tf import plots
from reproduce.known_truth.verdicts import claims, sets, stages


def draw(records_of_seeds: claims.Records) -> dict[str, figure.Figure]:
    """Returns the figure, drawn from the records alone."""
    sources = claims.sources(records_of_seeds)
    columns = min(len(sources), 3)
    rows = -(-len(sources) // columns)
    fig = plots.new_figure(
        plots.WIDTH,
        1.4 + 2.9 * rows,
        "Verdicts on pairs of sets, by what the sets have in common in truth",
    )
    axes = fig.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for ax in axes[len(sources) :]:
        ax.remove()
    styles = {
        "separate true": ("separate, which is true", plots.bar_style(0)),
        "shared true": ("shared, which is true", plots.bar_style(4)),
        "undetermined false": ("undetermined", {"color": "0.85"}),
        "separate false": ("separate, which is false", plots.bar_style(2)),
        "shared false": ("shared, which is false", plots.bar_style(3)),
    }
    for ax, (name, get) in zip(axes, sources.items()):
        total = claims.summed([get(record) for record in records_of_seeds])
        shares = [*dict.fromkeys(s for c in total.values() for s in c)]
        known = [*map(str, sets.SHARED), *stages.NETWORKS]
        shares.sort(key=known.index)
        of_share = {s: sum(c.get(s, 0) for c in total.values()) for s in shares}
        bottom = np.zeros(len(shares))
        for key, (label, style) in styles.items():
            heights = [
                100 * total.get(key, {}).get(share, 0) / of_share[share]
                for share in shares
            ]
            ax.bar(
                range(len(shares)),
                heights,
                bottom=bottom,
                label=label,
                **style,
            )
            bottom += heights
        ax.set_xticks(range(len(shares)), shares, rotation=40, ha="right")
        ax.set_title(name, fontsize=10)
        ax.set_xlabel("in common")
        if ax.get_subplotspec().is_first_col():
            ax.set_ylabel("verdicts [%]")
    plots.add_key(fig)
    return {"figA_verdicts": fig}

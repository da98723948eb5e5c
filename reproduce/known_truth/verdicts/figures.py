"""The figure of sharing_verdict, drawn from the records alone."""

import numpy as np
from matplotlib import figure

from modularity_tf import plots
from reproduce.known_truth.verdicts import claims, sets, stages


def draw(records_of_seeds: claims.Records) -> dict[str, figure.Figure]:
    """Returns the figure, drawn from the records alone."""
    sources = claims.sources(records_of_seeds)
    fig = plots.new_figure(3.0 * len(sources), 4.0)
    axes = fig.subplots(1, len(sources), squeeze=False, sharey=True)[0]
    colors = {
        "separate true": plots.PALETTE[0],
        "shared true": plots.PALETTE[9],
        "undetermined false": "lightgray",
        "separate false": plots.PALETTE[6],
        "shared false": plots.PALETTE[2],
    }
    for ax, (name, get) in zip(axes, sources.items()):
        total = claims.summed([get(record) for record in records_of_seeds])
        shares = [*dict.fromkeys(s for c in total.values() for s in c)]
        known = [*map(str, sets.SHARED), *stages.NETWORKS]
        shares.sort(key=known.index)
        of_share = {s: sum(c.get(s, 0) for c in total.values()) for s in shares}
        bottom = np.zeros(len(shares))
        for key, color in colors.items():
            heights = [
                100 * total.get(key, {}).get(share, 0) / of_share[share]
                for share in shares
            ]
            ax.bar(
                range(len(shares)),
                heights,
                bottom=bottom,
                color=color,
                label=key,
            )
            bottom += heights
        ax.set_xticks(range(len(shares)), shares, rotation=40, ha="right")
        ax.set_title(name, fontsize=9)
        ax.set_xlabel("in common")
    axes[0].set_ylabel("verdicts [%]")
    axes[0].legend(
        [key.replace("undetermined false", "undetermined") for key in colors],
        fontsize=7,
    )
    return {"figA_verdicts": fig}

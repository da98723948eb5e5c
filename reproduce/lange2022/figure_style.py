"""How the figures of unit_clustering look: colors, symbols, axes."""

from matplotlib import colors

from modularity_tf import plots

# A measure and the same normalized have one color; in figures that show both
# the markers of the normalized one are empty.
COLORS = {
    f"{prefix}{measure}": plots.color(number)
    for number, measure in (
        (0, "covariance"),
        (5, "input_sensitivity"),
        (2, "output_sensitivity"),
        (3, "loss_hessian"),
    )
    for prefix in ("", "normalized_")
}
KIND_NAMES = {"l2": "L2", "l1": "L1", "dropout": "dropout"}
_SHORT = {
    "covariance": "cov",
    "input_sensitivity": "i-sens",
    "output_sensitivity": "o-sens",
    "loss_hessian": "hess",
}


def symbol(measure):
    """Returns the paper's symbol of a measure, for matplotlib."""
    normalized = measure.startswith("normalized_")
    short = _SHORT[measure.removeprefix("normalized_")]
    base = r"\hat{S}" if normalized else "S"
    return rf"${base}^{{\text{{{short}}}}}$"


def point_style(measure):
    """Returns how points of a measure look, for `Axes.plot`."""
    order = list(_SHORT).index(measure.removeprefix("normalized_"))
    is_normalized = measure.startswith("normalized_")
    return {
        "color": COLORS[measure],
        "marker": "os^D"[order],
        "markerfacecolor": "white" if is_normalized else COLORS[measure],
        "linestyle": "",
    }


def color_range(low, high, cmap="viridis"):
    """Returns the arguments of `imshow` for a range of colors."""
    return {"cmap": cmap, "norm": colors.Normalize(low, high)}

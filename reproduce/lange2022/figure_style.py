"""How the figures of unit_clustering look: colours, symbols, axes."""

from matplotlib import colors, figure

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
KIND_NAMES = {"l2": "L2", "l1": "L1", "dropout": "dropout"}
_SHORT = {
    "covariance": "cov",
    "input_sensitivity": "i-sens",
    "output_sensitivity": "o-sens",
    "loss_hessian": "hess",
}


def symbol(measure):
    """Returns the paper's symbol of a measure, for matplotlib."""
    normalised = measure.startswith("normalized_")
    short = _SHORT[measure.removeprefix("normalized_")]
    base = r"\hat{S}" if normalised else "S"
    return rf"${base}^{{\text{{{short}}}}}$"


def new_figure(width, height, title):
    """Returns an empty figure, in inches."""
    fig = figure.Figure((width, height))
    fig.set_layout_engine("constrained")
    fig.suptitle(title)
    return fig


def color_range(low, high, cmap="viridis"):
    """Returns the arguments of `imshow` for a range of colours."""
    return {"cmap": cmap, "norm": colors.Normalize(low, high)}

"""The figures of real_networks, drawn from the records alone."""

import numpy as np
from matplotlib import figure

from modularity_tf import plots
from reproduce.pretrained import claims, stages, texts

_SHOWN = ("whole", "alone", "without", "random_without")


def draw(records: claims.Records) -> dict[str, figure.Figure]:
    """Returns the figures, drawn from the records alone."""
    found = {}
    if own := claims.of_network(records, stages.DEEPCUT):
        found["figA_weights"] = _accuracies(own, "accuracy", "weights")
        if some := [one for one in own if "units" in one]:
            found["figB_units"] = _accuracies(some, "units_accuracy", "units")
    if own := claims.of_network(records, stages.CHARS2VEC):
        found["figC_rows"] = _rows(own)
    return found


def _accuracies(own, key, what):
    size = own[0][what]["size"]
    kept = [one[what]["kept"] for one in own]
    low, high = min(kept), max(kept)
    some = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return plots.grouped_bars(
        {
            claims.ARMS[arm]: [
                [one[key][kind][arm] for kind in texts.KINDS] for one in own
            ]
            for arm in _SHOWN
        },
        [*texts.KINDS.values()],
        "balanced accuracy (0.5 is guessing)",
        title=f"deepcut: {some} of {size:,} {what}, found for English words",
        bounds=(0.0, 1.0),
    )


def _rows(own):
    kinds = ("letters", "digits", "others")
    return plots.grouped_bars(
        {
            f"found for {task}": [
                [100 * np.divide(*one[task]["rows"][kind]) for kind in kinds]
                for one in own
            ]
            for task in (stages.WORDS, stages.NUMBERS)
        },
        ["letters", "digits", "other characters"],
        "kept weights of the first kernel's rows [%]",
        title="chars2vec: what a task never shows is not kept",
        bounds=(0.0, 100.0),
    )

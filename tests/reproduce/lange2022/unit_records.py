"""Records in which every finding of the paper holds."""

import numpy as np

from reproduce.lange2022 import summaries

MEASURES = len(summaries.MEASURES)
PAIRS = len(summaries.PAIRS)
SETTINGS = [
    *(("l2", s) for s in (1e-5, 1e-4, 1e-3)),
    *(("l1", s) for s in (1e-5, 1e-4, 1e-3)),
    *(("dropout", s) for s in (0.1, 0.3, 0.5)),
]


def record(q, upstream, downstream, across, **kwargs):
    """Returns a record of two layers, the first with `q`."""
    agreement = np.full(PAIRS, across)
    agreement[summaries.BLOCKS["upstream"]] = upstream
    agreement[summaries.BLOCKS["downstream"]] = downstream
    agreement[summaries.BLOCKS["own normalized"]] += 0.01
    pair = summaries.BLOCKS["across"][0]
    layers = [
        {
            "q": [level] * MEASURES,
            "q_spectral": [level - 0.01] * MEASURES,
            "q_restarts": [level + 0.01] * MEASURES,
            "clusters": [3.0] * MEASURES,
            "one_cluster": [(2, level - 0.02)],
            "null": [(pair, across, across - 0.05)],
        }
        for level in (q, q / 2)
    ]
    return {"layers": layers, "agreement": agreement.tolist(), **kwargs}


def as_in_the_paper():
    """Returns records of two seeds and two stacks of untrained networks."""
    gain = {"l2": 0.02, "l1": 0.01, "dropout": 0.1}
    networks = [
        record(
            0.1 + gain[kind] * (i % 3), 0.8, 0.8, 0.4,
            kind=kind, strength=strength, seed=seed,
        )
        for seed in (0, 1)
        for i, (kind, strength) in enumerate(SETTINGS)
    ]  # fmt: skip
    untrained = [
        record(q, 0.4, downstream, 0.3, stack=stack, accuracy=0.1)
        for stack, downstream in enumerate((0.74, 0.76))
        for q in (0.08, 0.1, 0.12)
    ]
    return {
        "networks": networks,
        "untrained": untrained,
        "min_accuracy": 0.8,
    }


def drawable(dropped=()):
    """Returns records with all that the figures show.

    Args:
        dropped: Settings whose networks were not analyzed.
    """
    found = as_in_the_paper()
    names = ("accuracy", "loss", "l2_norm", "l1_norm", "sparsity")
    for one in (*found["networks"], *found["untrained"]):
        one |= dict.fromkeys(names, 0.5)
    for one in found["networks"]:
        if (one["kind"], one["strength"]) in dropped:
            del one["layers"]
    rows = [[50] * i for i in range(5)]
    example = {"matrix": rows, "sizes": [3, 2], "q": 0.1}
    return {
        **found,
        "data": "MNIST",
        "settings": SETTINGS,
        "examples": [{"strength": s, **example} for s in (0.1, 0.5)],
    }


def panels(fig):
    """Returns the axes of a figure by their titles."""
    return {ax.get_title(): ax for ax in fig.axes if ax.get_title()}

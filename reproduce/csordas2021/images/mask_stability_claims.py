"""How alike are masks of one task from two seeds? Claims and a figure.

Everything here is computed from the records of `reproduce.mask_stability`, one
for each network and seed.
"""

import numpy as np

from modularity_tf import plots
from reproduce.csordas2021.images.mask_stability import ALL_LAYERS, FNN
from reproduce.publishing import claim, titles
from reproduce.publishing.records import grouped, mean

PAPERS_IOU = {  # appendix B.1, of pairs of classes of CIFAR-10
    "at_least": 0.9230,
    "at_most": 0.9422,
    "source": "paper",
    "paper": "93.26 % ± 0.96 %",
}
_OWN = {"at_least": 0.9, "source": "own", "paper": claim.NOT_ASKED}
PARTS = {False: "a part of the task", True: "the whole task"}


def stability(record, whole, key="jaccard", layer=ALL_LAYERS):
    """Returns how alike two masks of one task are, the mean over tasks.

    The ceiling for what two different tasks can be expected to share.

    Args:
        record: Dict.
        whole: Bool. The mask of all that the network has learned, or those of
            its parts: pairs of classes, single operations.
        key: Str, the measure: "jaccard" or "share"; "expected_jaccard" and
            "expected_share" are those of random masks of the same sizes.
        layer: Str, `ALL_LAYERS` for all together.

    Returns:
        Float, NaN where nothing is masked or kept.
    """
    values = [
        task["layers"].get(layer, {}).get(key)
        for task in record["tasks"].values()
        if task["whole"] == whole
    ]
    return float(mean(values))


def layers_of(record):
    """Returns the names of all layers with masks, those of any task."""
    names = [
        name
        for task in record["tasks"].values()
        for name in task["layers"]
        if name != ALL_LAYERS
    ]
    return [*dict.fromkeys(names), ALL_LAYERS]


def claims(records):
    """Returns the paper's claims with thresholds fixed before any run."""
    found = claim.Claims()
    for name, repeats in grouped(records, "network").items():
        parts = "one operation" if name == FNN else "two classes"
        for whole, task in ((False, parts), (True, "the whole task")):
            is_papers = not whole and repeats[0]["data"].startswith("CIFAR-10")
            found.add(
                "whole_task_iou" if whole else "iou",
                f"two masks of {task}, from two seeds, have nearly "
                "all weights in common (IoU)",
                [stability(r, whole) for r in repeats],
                main=not whole,
                bounds=claim.SHARE,
                null=[stability(r, whole, "expected_jaccard") for r in repeats],
                null_is="random masks of the same sizes",
                subject=name,
                **(PAPERS_IOU if is_papers else _OWN),
            )
    return found


def draw(records):
    """Returns the figure of appendix B.1, drawn from the records alone."""
    by_network = grouped(records, "network")
    places = [
        (name, layer)
        for name, repeats in by_network.items()
        for layer in layers_of(repeats[0])
    ]

    def percent(key):
        return {
            title: 100
            * np.array(
                [
                    [
                        stability(by_network[name][i], whole, key, layer)
                        for name, layer in places
                    ]
                    for i in range(len(grouped(records, "seed")))
                ]
            )
            for whole, title in PARTS.items()
        }

    parts = [*grouped(records, "data")]
    low, high = (100 * PAPERS_IOU[key] for key in ("at_least", "at_most"))
    text = f"paper, two classes: {PAPERS_IOU['paper']}"
    is_papers = parts[0].startswith("CIFAR-10")
    if len(by_network) == 1:  # said once, above all bars
        parts += [titles.title_of(name) for name in by_network]
        labels = [layer for _, layer in places]
    else:
        labels = [f"{titles.title_of(name)}: {at}" for name, at in places]
    return {
        "figB1_stability": plots.grouped_bars(
            percent("jaccard"),
            labels,
            "intersection over union [%]",
            "; ".join(parts) + ": how alike two masks of one task are",
            percent("expected_jaccard"),
            bounds=(0, 100),
            paper=[(text, low, high, [ALL_LAYERS])] if is_papers else [],
        )
    }

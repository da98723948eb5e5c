"""Are weights reused for the same operation? Claims and figures.

Everything here is computed from the records of `reproduce.double_add`, one
for each presentation and seed.
"""

import numpy as np

from reproduce.csordas2021.arithmetic import common, data
from reproduce.publishing import claim, titles
from reproduce.publishing.records import grouped

TASKS = data.DoubleAdd.tasks
FNN = data.FNN_PRESENTATIONS
LSTM = data.LSTM_PRESENTATIONS
NUMBERS = {  # presentation: figures of accuracy and of sharing
    "passes": ("fig02a", "fig13a"),
    "together": ("fig02b", "fig13b"),
    "in_turn": ("fig14", "fig14"),
}


def inverted_drop(record, own=False):
    """Returns what a pair loses without the weights that the other needs.

    The loss of accuracy relative to the network, mean over both pairs.

    Args:
        record: Dict.
        own: Bool. Without those that the pair itself needs instead.
    """
    drops = [
        1
        - record["accuracy"][f"not {pair if own else other}"][pair]
        / max(record["dense"][pair], 1e-9)
        for pair, other in (TASKS, TASKS[::-1])
    ]
    return float(np.mean(drops))


def claims(records):
    """Returns the paper's claims with thresholds fixed before any run."""
    found = claim.Claims()
    groups = grouped(records, "presentation")
    for name, repeats in groups.items():
        found.extend(_claims_of_presentation(name, repeats))
    if set(LSTM) <= set(groups):
        together, in_turn = (groups[name] for name in LSTM)
        found.add(
            "in_turn_over_together",
            "LSTM in turn shares no more than together, by",
            _difference(in_turn, together),
            at_most=0.05,
            bounds=claim.DIFFERENCE,
            paper="no difference",
            null=_difference(in_turn, together, "expected"),
            null_is="random masks of the same sizes",
        )
    return found


def _claims_of_presentation(name, repeats):
    found = claim.Claims(name)
    found.extend(common.claims(repeats, TASKS))
    found.add(
        "total_sharing",
        "little sharing in total",
        common.total_sharing(repeats, TASKS),
        main=True,
        at_most=0.2,
        bounds=claim.SHARE,
        paper="low",
        null=common.total_sharing(repeats, TASKS, "expected"),
        null_is="random masks of the same sizes",
    )
    found.add(
        "drop_without_the_other",
        "without the weights of one pair the other drops by",
        [inverted_drop(r) for r in repeats],
        at_most=0.1,
        bounds=claim.DROP,
        paper="only slightly",
        null=[inverted_drop(r, own=True) for r in repeats],
        null_is="without its own weights",
    )
    return found


def _difference(records, others, key="share"):
    """Returns how much more records share than others of the same seeds."""
    own, other = (
        dict(
            zip(
                (r["seed"] for r in repeats),
                common.total_sharing(repeats, TASKS, key),
            )
        )
        for repeats in (records, others)
    )
    return [own[seed] - other[seed] for seed in own]


def draw(records):
    """Returns figures 2, 13 and 14, drawn from the records alone."""
    figures = {}
    for name, repeats in grouped(records, "presentation").items():
        kind = "FNN" if name in FNN else "LSTM"
        title = f"double addition, {kind}, {titles.title_of(name)}"
        accuracy, sharing = NUMBERS[name]
        figures |= common.accuracy_figure(repeats, TASKS, title, accuracy)
        figures |= common.sharing_figure(repeats, TASKS, title, sharing)
    return figures

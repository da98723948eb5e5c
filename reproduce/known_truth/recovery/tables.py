"""Tables of planted: what masks find, and what other scores do."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from reproduce.known_truth.recovery import cases, figures
from reproduce.publishing.records import grouped
from reproduce.publishing.table import Table

_OTHERS = ("gradient", "magnitude", "random")


def tables(records: Sequence[Mapping[str, Any]]) -> list[Table]:
    """Returns the table of masks, if there are any."""
    of_cases = {
        case: own
        for case, own in grouped(
            [r for r in records if "found" in r], "case"
        ).items()
        if "mask" in own[0]["found"]["scores"]
    }
    if not of_cases:
        return []
    others = [
        method
        for method in _OTHERS
        if any(method in own[0]["found"]["scores"] for own in of_cases.values())
    ]
    columns = (
        "case",
        "networks",
        "precision",
        "recall",
        "average precision",
        *(f"of {figures.METHODS[method]}" for method in others),
        "no mask",
        "warned",
        "processor seconds",
    )
    rows = [_row(case, own, others) for case, own in of_cases.items()]
    return [
        Table(
            "Masks by case",
            columns,
            rows,
            "Means over networks, in brackets the lowest. Behind the average "
            "precision of masks stand those of other scores. No mask: for so "
            "many networks `find_weights` refused to choose a mask by its "
            "performance; the numbers are then of a mask with a small penalty. "
            "Warned: of so many it warned of the mask. An empty cell was not "
            "measured.",
        )
    ]


def _row(case, records, others):
    """Returns the cells of a case."""
    masks = [r["found"]["scores"]["mask"] for r in records]

    def mean(method, key, lowest=False):
        values = figures.scores(records, method, key)
        if not np.isfinite(values).any():
            return ""
        text = f"{np.nanmean(values):.3f}"
        return f"{text} ({np.nanmin(values):.3f})" if lowest else text

    def count(key, is_counted):
        known = [m[key] for m in masks if key in m]
        return str(sum(map(is_counted, known))) if known else ""

    seconds = [m["seconds"] for m in masks if "seconds" in m]
    return (
        cases.TITLES[case],
        str(len(records)),
        *(mean("mask", key, True) for key in ("precision", "recall")),
        mean("mask", "average_precision", True),
        *(mean(method, "average_precision") for method in others),
        count("performs", lambda performs: not performs),
        count("warned", bool),
        f"{np.mean(seconds):.0f}" if seconds else "",
    )

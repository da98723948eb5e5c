"""Arms of structural_modularity beside each other, on one grid and one n."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from modularity_tf import stats
from reproduce.bena2021 import arms, claims
from reproduce.publishing.table import Table

TITLE = "Arms on one grid"


def across(records_of_runs: Mapping[str, Any]) -> list[Table]:
    """Returns a table of the paper's quantities in several runs.

    Only sparsities and seeds that all runs have are used. The runs after the
    first one are compared with it: the interval of a difference is Student's,
    over the differences of each seed.

    Args:
        records_of_runs: Dict from the name of a run to its records; in the
            order of the columns.
    """
    known = [
        {(r["p"], r["seed"]) for r in records if _is_papers(r)}
        for records in records_of_runs.values()
    ]
    fractions, seeds = (
        set.intersection(*({each[i] for each in one} for one in known))
        for i in (0, 1)
    )
    found = {}
    for records in records_of_runs.values():
        shared = [
            r
            for r in records
            if _is_papers(r) and r["p"] in fractions and r["seed"] in seeds
        ]
        sweeps = [*claims.by_demand(shared)[claims.PAPERS_DEMAND].values()]
        title = arms.ARMS[shared[0]["arm"]].title
        found[title] = {one.id: one for one in claims.papers_claims(sweeps)}
    first, *others = found
    rows = [
        (
            each.statement,
            *(_value(found[arm][id]) for arm in found),
            *(_difference(found[arm][id], each) for arm in others),
        )
        for id, each in found[first].items()
    ]
    return [
        Table(
            TITLE,
            ("", *found, *(f"{arm} less {first}" for arm in others)),
            rows,
            f"Means over the same {len(seeds)} seeds and, of each network, the "
            f"same {len(fractions)} sparsities, with 95 % intervals.",
        )
    ]


def _is_papers(record):
    return record["demand"] == claims.PAPERS_DEMAND


def _value(one):
    if np.isnan(one.values).any():
        return "not measured"
    ends = stats.bounded_interval(one.values, *one.bounds)
    return _words(np.mean(one.values), ends)


def _difference(one, first):
    values = np.subtract(one.values, first.values)
    if np.isnan(values).any():
        return "not measured"
    return _words(values.mean(), stats.mean_interval(values))


def _words(mean, ends):
    low, high = ends
    return f"{mean:.2f} ({low:.2f} to {high:.2f})"

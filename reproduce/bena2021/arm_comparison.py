"""Arms of structural_modularity beside each other, on one grid and one n."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from modularity_tf import stats
from reproduce.bena2021 import arms, claims
from reproduce.publishing import claim
from reproduce.publishing.table import Table

TITLE = "Arms on one grid"


def across(records_of_runs: Mapping[str, Any]) -> list[Table]:
    """Returns a table of the paper's quantities, and of each sparsity.

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
        found[title] = _quantities(sweeps)
    first, *others = found
    rows = [
        (
            name,
            *(_value(*found[arm][name]) for arm in found),
            *(_difference(found[arm][name][0], values) for arm in others),
        )
        for name, (values, _) in found[first].items()
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


def _quantities(sweeps):
    """Returns by name the values of all seeds, and their bounds."""
    found = {
        one.statement: (one.values, one.bounds)
        for one in claims.papers_claims(sweeps)
    }
    for measure in claims.MEASURES:
        for records in zip(*sweeps, strict=True):
            p, title = records[0]["p"], claims.TITLES[measure]
            values = [claims.specialized(r, measure) for r in records]
            found[f"{title}: at p = {p:.2g}"] = values, claim.DIFFERENCE
    return found


def _value(values, bounds):
    if np.isnan(values).any():
        return "not measured"
    return _words(np.mean(values), stats.bounded_interval(values, *bounds))


def _difference(values, first):
    values = np.subtract(values, first)
    if np.isnan(values).any():
        return "not measured"
    return _words(values.mean(), stats.mean_interval(values))


def _words(mean, ends):
    low, high = ends
    return f"{mean:.2f} ({low:.2f} to {high:.2f})"

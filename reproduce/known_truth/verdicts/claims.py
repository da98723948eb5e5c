"""Which share of the verdicts is false: our goal, from the records alone."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from modularity_tf import stats
from reproduce.known_truth.verdicts import sets, stages
from reproduce.publishing import claim

Counts = dict[str, dict[str, int]]  # of a kind of verdict, by what is shared
Records = list[dict[str, Any]]


def claims(records_of_seeds: Records) -> claim.Claims:
    """Returns our goal: of each verdict at most 5 % are false.

    Sets are judged by the quality of extractions at which the verdict is the
    worst: easy qualities would hide it in a mean.
    """
    found = claim.Claims()
    for name in sources(records_of_seeds):
        for verdict in ("shared", "separate"):
            where, rates, cases = _worst(records_of_seeds, name, verdict)
            if cases:
                found.add(
                    f"false_{verdict}",
                    f"share of the verdicts '{verdict}' that is false{where}",
                    rates,
                    cases=cases,
                    main=name == "networks",
                    source="own",
                    at_most=0.05,
                    null=0.5,
                    null_is="a coin",
                    subject=name,
                )
    return found


def _worst(records_of_seeds, name, verdict):
    """Returns where a verdict is the worst, its rate in each seed, and cases.

    The worst is the quality of the highest exact bound; sources that are no
    sets have one.
    """
    kind, _, errors = name.partition(", ")
    parts = {"": sources(records_of_seeds)[name]}
    if errors:
        parts = {
            f", at the worst quality of extractions, {quality}": (
                lambda record, key=f"{errors}/{quality}": record[kind].get(
                    key, {}
                )
            )
            for quality in sets.QUALITIES
        }
    found = []
    for where, get in parts.items():
        counts = [get(record) for record in records_of_seeds]
        counts = [each for each in counts if verdicts(each, verdict)]
        cases = tuple(verdicts(each, verdict) for each in counts)
        rates = [false_share(each, verdict) for each in counts]
        if cases:
            hits = round(np.dot(rates, cases))
            bound = stats.rate_interval(hits, sum(cases))[1]
            found.append((bound, where, rates, cases))
    return max(found, key=lambda each: each[0])[1:] if found else ("", [], ())


def sources(
    records_of_seeds: Records,
) -> dict[str, Callable[[dict[str, Any]], Counts]]:
    """Returns name -> function from a record to counts."""

    def of_sets(errors):
        return lambda record: summed(
            [v for k, v in record["sets"].items() if k.startswith(errors)]
        )

    def of_networks(is_mask):
        return lambda record: counted(
            {
                k: v
                for k, v in record["networks"].items()
                if k.endswith(f"/{stages.MASK}") == is_mask
            }
        )

    found = {f"sets, {errors}": of_sets(errors) for errors in sets.ERRORS}
    for name, is_mask in (("networks", False), ("masks", True)):
        if any(of_networks(is_mask)(record) for record in records_of_seeds):
            found[name] = of_networks(is_mask)
    return found


def counted(networks: dict[str, dict[str, Any]]) -> Counts:
    """Returns "verdict true" and "verdict false" -> count, of networks."""
    found = {}
    for name, one in networks.items():
        if one["verdict"] is not None:
            is_true = one["verdict"] in one["true"]
            key = f"{one['verdict']} {str(is_true).lower()}"
            counts = found.setdefault(key, {})
            shared = name.split("/")[0]
            counts[shared] = counts.get(shared, 0) + 1
    return found


def false_share(counts: Counts, verdict: str) -> float:
    """Returns which share of such verdicts is false; NaN if there is none."""
    count = verdicts(counts, verdict)
    false = sum(counts.get(f"{verdict} false", {}).values())
    return false / count if count else np.nan


def verdicts(counts: Counts, verdict: str) -> int:
    """Returns how many such verdicts there are, true and false ones."""
    return sum(
        sum(counts.get(f"{verdict} {word}", {}).values())
        for word in ("true", "false")
    )


def summed(counts: Iterable[Counts]) -> Counts:
    """Returns the sum of several counts."""
    total = {}
    for one in counts:
        for key, by_share in one.items():
            own = total.setdefault(key, {})
            for share, count in by_share.items():
                own[share] = own.get(share, 0) + count
    return total

"""Which share of the verdicts is false: our goal, from the records alone."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from reproduce.known_truth.verdicts import sets, stages
from reproduce.publishing import claim

Counts = dict[str, dict[str, int]]  # of a kind of verdict, by what is shared
Records = list[dict[str, Any]]


def claims(records_of_seeds: Records) -> claim.Claims:
    """Returns our goal: of each verdict at most 5 % are false."""
    found = claim.Claims()
    for name, get in sources(records_of_seeds).items():
        for verdict in ("shared", "separate"):
            counts = [get(record) for record in records_of_seeds]
            shares = [false_share(each, verdict) for each in counts]
            shares = [share for share in shares if not np.isnan(share)]
            if shares:
                found.add(
                    f"false_{verdict}",
                    f"share of the verdicts '{verdict}' that is false",
                    shares,
                    main=name in ("sets, decoys", "networks"),
                    at_most=0.05,
                    null=0.5,
                    null_is="a coin",
                    subject=name,
                )
    return found


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
    true, false = (
        sum(counts.get(f"{verdict} {word}", {}).values())
        for word in ("true", "false")
    )
    return false / (true + false) if true + false else np.nan


def summed(counts: Iterable[Counts]) -> Counts:
    """Returns the sum of several counts."""
    total = {}
    for one in counts:
        for key, by_share in one.items():
            own = total.setdefault(key, {})
            for share, count in by_share.items():
                own[share] = own.get(share, 0) + count
    return total

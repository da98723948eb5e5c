"""How far do masks depend on beta and network size? Claims and figures.

Everything here is computed from the records of `reproduce.mask_sensitivity`,
one for each seed; a point is a network and a beta.
"""

import numpy as np

from modularity_tf import plots
from reproduce.publishing import claim, titles

NEAR = 3.5  # "near the chosen value": within this factor, of 3 or so a step


def at(record, network, betas):
    """Returns the points of a network at some of the betas."""
    return [
        point
        for point in record["points"]
        if point["network"] == network and point["beta"] in betas
    ]


def addition(record, network, key="sharing"):
    """Returns the sharing of the mask of addition at the chosen beta.

    Args:
        record: Dict.
        network: Str.
        key: Str; "expected" gives that of random masks of the same sizes,
            "ceiling" that of the mask of addition from another seed.
    """
    (point,) = at(record, network, [record["beta"]])
    return _numbers(point[key])["add"]


def near(record):
    """Returns the betas near the chosen one."""
    chosen = record["beta"]
    return [b for b in record["betas"] if chosen / NEAR <= b <= chosen * NEAR]


def spread(record, network, key="sharing"):
    """Returns the range of the sharing, mean of the tasks, near that beta."""
    values = [
        np.mean(list(_numbers(point[key]).values()))
        for point in at(record, network, near(record))
    ]
    return float(np.ptp(values))


def _numbers(by_task):
    """Returns the values of tasks, NaN for `None`: a mask without weights."""
    return {
        task: np.nan if value is None else value
        for task, value in by_task.items()
    }


def claims(records):
    """Returns the paper's claims with thresholds fixed before any run."""
    found = claim.Claims()
    names = records[0]["size_networks"]
    smallest, largest = names[0], names[-1]
    if smallest != largest:
        less, chance = (
            [
                addition(r, smallest, key) - addition(r, largest, key)
                for r in records
            ]
            for key in ("sharing", "expected")
        )
        found.add(
            "smallest_over_largest",
            f"larger networks share less: {smallest} less {largest}",
            less,
            main=True,
            at_least=0.0,
            bounds=claim.DIFFERENCE,
            paper="small ones share more",
            null=chance,
            null_is="random masks of the same sizes",
        )
    betas = near(records[0])
    if len(betas) > 1:  # else there is nothing to compare with
        for network in records[0]["beta_networks"]:
            found.add(
                "range_over_beta",
                f"sharing hardly depends on beta near the chosen "
                f"one ({min(betas):g} to {max(betas):g}), range",
                [spread(r, network) for r in records],
                at_most=0.1,
                bounds=claim.SHARE,
                paper="not very sensitive",
                null=[spread(r, network, "expected") for r in records],
                null_is="random masks of the same sizes",
                subject=network,
            )
    return found


def draw(records):
    """Returns figures 7, 8 and 9, drawn from the records alone."""
    figures = {
        "fig07_keep_probabilities": plots.keep_probabilities(
            records[0]["shown_histograms"],
            "how sure the masks are: keep probabilities of their weights",
        )
    }
    for letter, network in zip("ab", records[0]["beta_networks"]):
        figures[f"fig08{letter}_sensitivity_{network}"] = plots.sensitivity(
            _points_by_beta(records, network),
            records[0]["beta"],
            f"addition and multiplication, {network}",
        )
    names = records[0]["size_networks"]
    shared, expected, ceiling = (
        {
            titles.title_of("add"): 100
            * np.array(
                [[addition(r, name, key) for name in names] for r in records]
            )
        }
        for key in ("sharing", "expected", "ceiling")
    )
    figures["fig09_sharing_by_size"] = plots.grouped_bars(
        shared,
        names,
        "weights shared [%]",
        "weights of addition that multiplication needs, too, by the size of "
        "the network",
        expected,
        ceiling,
        bounds=(0, 100),
    )
    return figures


def _points_by_beta(records, network):
    """Returns accuracy and sharing over the repeats, a dict for each beta."""
    points = []
    for beta in sorted(records[0]["betas"]):
        found = [p for r in records for p in at(r, network, [beta])]
        values = {
            key: [np.mean(list(_numbers(p[key]).values())) for p in found]
            for key in ("accuracy", "sharing")
        }
        points.append({"beta": beta, **values})
    return points

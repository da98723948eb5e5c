"""Do our methods do as well where others published numbers? Claims.

Published are, on the two programs of ACDC, the areas under the ROC curve over
edges and nodes of ACDC itself, HISP and SP (learned masks over edges), from
the tables of ACDC's repository; that Edge-Pruning recovers both circuits
exactly; and of toy models the mean cosine with the right columns of SPD and
APD (from the SPD paper), and how many seeds were reported broken. Of an area,
the number to reach is the highest of the published ones.

References:
    - [Conmy et al., 2023](https://arxiv.org/abs/2304.14997), ACDC
    - [Bhaskar et al., 2024](https://arxiv.org/abs/2406.16778), Edge-Pruning
    - [Bushnaq et al., 2025](https://arxiv.org/abs/2506.20790), SPD
"""

from typing import Any

import numpy as np

from reproduce.known_truth.others import (
    columns,
    methods,
    stages,
    superposition,
)
from reproduce.publishing import claim
from reproduce.publishing.records import grouped

# ablation, program, parts: area of ACDC, HISP, SP
AREAS = {
    ("zero", "proportion", "edges"): (1.000, 0.679, 0.561),
    ("zero", "proportion", "nodes"): (1.000, 0.909, 0.875),
    ("zero", "reverse", "edges"): (1.000, 0.656, 0.692),
    ("zero", "reverse", "nodes"): (1.000, 0.750, 0.947),
    ("resample", "proportion", "edges"): (0.600, 0.679, 0.400),
    ("resample", "proportion", "nodes"): (0.727, 0.909, 0.716),
    ("resample", "reverse", "edges"): (0.200, 0.656, 0.416),
    ("resample", "reverse", "nodes"): (0.312, 0.750, 0.533),
}
# Mean cosine with the right columns, of SPD and of APD where it has one.
COSINES = {
    "5-2": (1.000, 0.998),
    "5-2-ID": (1.000,),
    "40-10": (1.000, 0.996),
    "40-10-ID": (1.000,),
}
BROKEN = {"5-2": (13, 90), "40-10": (4, 19)}  # reported seeds of SPD
_ROUNDED = 5e-4  # published numbers have three digits
_WITH_DECOYS = 0.95  # our goal for precision and recall
_SEEN = 0  # seed of networks that were looked at when methods were changed
_METHODS = {
    methods.MASK: "learned masks over weights",
    methods.EDGES: "learned masks over edges",
    methods.GATES: "learned gates",
    methods.GATES_MASK: "masks over weights in what gates keep",
}


def claims(records: list[dict[str, Any]]) -> claim.Claims:
    """Returns our goals, fixed before the run, beside what is published."""
    found = claim.Claims()
    of_programs = [r for r in records if r["ground"] == stages.PROGRAMS]
    forms = grouped(of_programs, "form")
    for program, of_program in grouped(
        forms.get(stages.PLAIN, []), "program"
    ).items():
        for ablation, seeds in grouped(of_program, "ablation").items():
            _of_published(found, program, ablation, seeds)
    if stages.DECOYS in forms:
        _of_decoys(found, forms[stages.DECOYS])
    for record in records:
        if record["ground"] == stages.SUPERPOSITION:
            _of_kind(found, record)
    return found


def scores(records: list[dict[str, Any]], method: str, parts: str, key: str):
    """Returns a score of a method in each record; NaN where it has none."""
    found = [r["found"].get(method, {}).get(parts, {}) for r in records]
    return np.array([each.get(key) for each in found], "float64")


def _asked(records):
    """Returns the pairs of method and parts that records tell of."""
    return [
        (method, parts)
        for method in _METHODS
        if method in records[0]["found"]
        for parts in ("edges", "nodes")
        if (method, parts) != (methods.GATES, "edges")  # gates know none
    ]


def _of_published(found, program, ablation, records):
    for method, parts in _asked(records):
        areas = AREAS[ablation, program, parts]
        found.add(
            f"{method}_{parts}_{ablation}",
            f"{_METHODS[method]}: area under the ROC curve over {parts}, "
            f"{ablation} ablation",
            scores(records, method, parts, "auc"),
            subject=program,
            at_least=max(areas) - _ROUNDED,
            bounds=claim.SHARE,
            null=scores(records, "random", parts, "auc"),
            null_is="random scores of the weights that are not zero",
            paper="ACDC {:.3f}, HISP {:.3f}, SP {:.3f}".format(*areas),
            source="ours",  # over other candidates, on our truth
            main=(program, parts, ablation, method)
            == ("reverse", "edges", "zero", methods.MASK),
        )
    for method in (methods.MASK, methods.EDGES):
        if ablation != "zero" or method not in records[0]["found"]:
            continue
        exact = scores(records, method, "edges", "exact")
        found.add(
            f"{method}_exact",
            f"{_METHODS[method]}: the edges are exactly those of the program",
            exact,
            subject=program,
            cases=(1,) * len(exact),
            at_least=0.5,
            null=[float(r["truth"]["is_not_zero"]) for r in records],
            null_is="every edge whose weights are not zero",
            paper="Edge-Pruning: exact, one run",
            source="ours",
        )


def _of_decoys(found, records):
    """Adds what holds of networks with decoys, one or more of each program.

    Of those that nobody had looked at, if there are such.
    """
    unseen = [r for r in records if r["seed"] != _SEEN]
    records = unseen or records
    asked = _asked(records)
    for method, parts in asked:
        needed, of = (
            np.array([r["truth"][key] for r in records], "float64")
            for key in (parts, f"of_{parts}")
        )
        precision, recall = (
            scores(records, method, parts, key)
            for key in ("precision", "recall")
        )
        kept = np.where(recall > 0, recall * needed / precision, 0.0)
        for key, values, by_chance in (
            ("precision", precision, needed / of),
            ("recall", recall, kept / of),
        ):
            found.add(
                f"{method}_{parts}_{key}",
                f"{_METHODS[method]}: {key} of {parts}",
                values,
                subject="programs with decoys",
                main=key == "precision" and (method, parts) == asked[0],
                at_least=_WITH_DECOYS,
                bounds=claim.SHARE,
                null=by_chance,
                null_is=f"as many random {parts}",
                source="own",
                post_hoc=not unseen,
            )


def _of_kind(found, record):
    kind, networks = record["kind"], record["networks"]
    if superposition.KINDS[kind].form == "residual":
        _of_residual(found, kind, networks)
        return

    def of(key, group=None):
        return np.array(
            [(n[group] if group else n)[key] for n in networks], "float64"
        )

    cosines = COSINES[kind]
    found.add(
        "mmcs",
        "mean cosine of what a mask keeps of its column with the column",
        of("mmcs"),
        subject=kind,
        at_least=min(cosines) - _ROUNDED,
        bounds=claim.SHARE,
        null=of("mmcs", "random"),
        null_is="random masks, as large",
        paper=", ".join(
            f"{name} {value:.3f}"
            for name, value in zip(("SPD", "APD"), cosines)
        ),
        source="paper",
        main=kind == "5-2",
    )
    if kind in BROKEN:
        broken, of_seeds = BROKEN[kind]
        found.add(
            "broken",
            "networks for one of whose features the mask is not right",
            of("broken"),
            subject=kind,
            cases=(1,) * len(networks),
            at_most=broken / of_seeds,
            null=of("broken", "random"),
            null_is="random masks, as large",
            paper=f"SPD {broken} of {of_seeds}",
            source="ours",
            post_hoc=True,  # chosen after a trial with the first definition
        )
        found.add(
            "broken_first",
            "networks with a mask whose cosine is below "
            f"{columns.RIGHT_AT_FIRST:g}, our first definition of broken",
            of("lowest") < columns.RIGHT_AT_FIRST,
            subject=kind,
            cases=(1,) * len(networks),
            at_most=broken / of_seeds,
            null=1.0,
            null_is="random masks, as large",
            paper=f"SPD {broken} of {of_seeds}",
            source="ours",
        )
    for key in ("precision", "recall"):
        found.add(
            key,
            f"{key} of the weights of a feature's column",
            of(key),
            subject=kind,
            at_least=0.95,
            bounds=claim.SHARE,
            null=of(key, "random"),
            null_is="random masks, as large",
            source="own",
        )


def _of_residual(found, kind, networks):
    pairs = tuple(n["pairs"] for n in networks)
    features = tuple(n["features"] for n in networks)
    found.add(
        "undetermined",
        "pairs of features of whose masks it is undetermined what they share",
        [1 - n["determined"] / n["pairs"] for n in networks],
        subject=kind,
        cases=pairs,
        at_least=1 - 2 * columns.SURE,
        null=[
            columns.undetermined_by_chance(
                round(n["neurons"]), superposition.KINDS[kind].neurons
            )
            for n in networks
        ],
        null_is="random sets, as large",
        source="own",
    )
    found.add(
        "found_again",
        "masks of one feature from other examples: determined that they share",
        [n["determined_again"] / n["features"] for n in networks],
        subject=kind,
        cases=features,
        at_least=0.9,
        null=columns.SURE,
        null_is="chance",
        source="own",
    )

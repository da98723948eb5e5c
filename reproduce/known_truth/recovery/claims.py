"""Who finds what was planted? Claims of planted: our goals."""

import dataclasses
import math

import numpy as np

from reproduce.known_truth.recovery import cases, figures
from reproduce.known_truth.recovery.figures import scores
from reproduce.publishing import claim
from reproduce.publishing.records import grouped, mean

NEVER_LEARNED = "random scores"
# Where weights are natural or cancel each other, and compiled heads.
_HARDER = ("pairs", *cases.OTHERS)
# Where other scores fail: weights that cancel each other, loud decoys.
_MAIN = ("silent_32", "pairs", "attention_pairs", "residual")
# Weights that were trained are redundant: the truth are those in use, and how
# many of them a task could do without is not known.
_REDUNDANT = ("trained", "recurrent")
_SURE = 0.05  # p of an answer that is not "undetermined"


def best_baseline(records):
    """Returns the name of the baseline with the highest mean precision."""
    names = [
        name
        for name in records[0]["found"]["scores"]
        if not name.startswith(("mask", "edge"))
    ]
    means = [mean(scores(records, n, "average_precision")) for n in names]
    return names[int(np.nanargmax(means))] if names else None


def claims(records):
    """Returns our goals for masks by default, fixed before any run."""
    found, networks_of = claim.Claims(), grouped(records, "case")
    # Beside louder decoys `silent` is the case that a run of all has as well.
    is_again = "simple" not in networks_of and "silent_8" in networks_of
    again = {"silent"} if is_again else set()
    for case, networks in networks_of.items():
        own = claim.Claims(case)
        if case in cases.CONTROLS:
            _claims_of_control(own, case, networks)
        else:
            if "mask" in networks[0]["found"]["scores"]:
                _claims_of_masks(own, case, networks)
            _claims_of_units(own, case, networks)
        found.extend(
            dataclasses.replace(one, source="own", repeat=case in again)
            for one in own
        )
    return found


def _claims_of_masks(own, case, networks):
    chance = scores(networks, "mask", "chance")
    own.add(
        "average_precision",
        "average precision of learned masks",
        scores(networks, "mask", "average_precision"),
        main=case in _MAIN,
        bounds=claim.SHARE,
        at_least=0.9 if case in _HARDER else 0.95,
        null=chance,
        null_is=NEVER_LEARNED,
    )
    for key in ("precision", "recall"):
        if key == "recall" and case.startswith(_REDUNDANT):
            continue
        own.add(
            key,
            f"{key} at the mask's own threshold",
            scores(networks, "mask", key),
            at_least=0.9,
            bounds=claim.SHARE,
            null=chance if key == "precision" else 0.5,
            null_is="weights drawn at random"
            if key == "precision"
            else "half of the weights",
        )
    baseline = best_baseline(networks)
    if baseline:
        own.add(
            "over_best_baseline",
            "average precision over the best baseline's",
            scores(networks, "mask", "average_precision")
            - scores(networks, baseline, "average_precision"),
            at_least=0.1 if case == "pairs" else 0.0,
            bounds=claim.DIFFERENCE,
            null=0.0,
            null_is=f"the best baseline, {baseline}",
        )
    if "mask_paper" in networks[0]["found"]["scores"]:
        own.add(
            "recall_over_papers_masks",
            "recall over that of masks drawn as in the paper",
            scores(networks, "mask", "recall")
            - scores(networks, "mask_paper", "recall"),
            at_least=0.0,
            bounds=claim.DIFFERENCE,
            null=0.0,
            null_is="the paper's masks",
        )
    controls = networks[0].get("controls", {})
    if "seeds" in controls:
        again = [r["controls"]["seeds"] for r in networks]
        own.add(
            "found_again",
            "the mask found again from another seed: |A & B| / |A | B|",
            _known(again, "jaccard"),
            at_least=0.8,
            bounds=claim.SHARE,
            null=_known(again, "chance"),
            null_is="random masks, as large",
        )
    if "twin" in controls:
        twins = [r["controls"]["twin"] for r in networks]
        own.add(
            "over_shuffled_network",
            "average precision over that in the shuffled network",
            scores(networks, "mask", "average_precision")
            - _known(twins, "average_precision"),
            at_least=0.1,
            bounds=claim.DIFFERENCE,
            null=0.0,
            null_is="a network in which there is nothing",
        )
    if "sharing" in networks[0]:
        both = [r["sharing"] for r in networks]
        own.add(
            "error_of_sharing",
            "error of the estimated sharing",
            np.abs(_known(both, "found") - _known(both, "true")),
            at_most=0.05,
            bounds=claim.SHARE,
            null=0.5,
            null_is="a coin for every unit",
        )


def _claims_of_units(own, case, networks):
    found = networks[0]["found"]
    if "gates" in found.get("neurons", {}):
        _claims_of_gates(own, case, networks)
    for method, name in figures.NEURONS.items():
        if method in found.get("neurons", {}):
            own.add(
                f"{method}_over_random_units",
                f"{name}: average precision over random units'",
                scores(networks, method, "average_precision", "neurons")
                - scores(networks, method, "chance", "neurons"),
                at_least=0.1,
                bounds=claim.DIFFERENCE,
                null=0.0,
                null_is="random units",
            )
    for measure, name in figures.CLUSTERS.items():
        values = [r["found"].get("clusters", {}).get(measure) for r in networks]
        if None not in values:
            own.add(
                f"{measure}_modules",
                f"{name}: adjusted mutual information with the modules",
                values,
                at_least=0.9,
                bounds=(-math.inf, 1.0),
                null=0.0,
                null_is="random clusters",
            )


def _claims_of_gates(own, case, networks):
    def of(key, method="gates"):
        return scores(networks, method, key, "neurons")

    for key, goal in (
        ("average_precision", 0.95),
        ("precision", 0.9),
        ("recall", 0.9),
    ):
        if key == "recall" and case.startswith(_REDUNDANT):
            continue
        own.add(
            f"gates_{key}",
            f"learned gates: {key.replace('_', ' ')} of units",
            of(key),
            main=key == "average_precision" and case in _MAIN,
            at_least=goal,
            bounds=claim.SHARE,
            null=0.5 if key == "recall" else of("chance"),
            null_is="half of the units" if key == "recall" else "random units",
        )
    if "unit_taylor" in networks[0]["found"]["neurons"]:
        own.add(
            "gates_over_taylor",
            "learned gates: average precision over |activation x gradient|'s",
            of("average_precision") - of("average_precision", "unit_taylor"),
            at_least=0.0,
            bounds=claim.DIFFERENCE,
            null=0.0,
            null_is="|activation x gradient|",
        )


def _claims_of_control(own, case, networks):
    """Where units are no parts, the answer is "undetermined"."""
    cases_of_control = (1,) * len(networks)  # a network has one answer
    for method, name in {**figures.NEURONS, **figures.CLUSTERS}.items():
        p = [r["answers"][method]["p"] for r in networks]
        determined = np.array(
            [each is not None and each <= _SURE for each in p], "float64"
        )
        if case == "rotated":
            own.add(
                f"{method}_undetermined",
                f"{name}: undetermined",
                1 - determined,
                cases=cases_of_control,
                at_least=1 - _SURE,
                null=0.0,
                null_is="a method that always knows",
            )
        else:
            own.add(
                f"{method}_determined",
                f"{name}: determined",
                determined,
                cases=cases_of_control,
                at_least=0.9,
                null=_SURE,
                null_is="chance",
            )
        if case == "aligned" and method in figures.NEURONS:
            answers = [r["answers"][method] for r in networks]
            own.add(
                f"{method}_sharing_under_random",
                f"{name}: two outputs share fewer units than random ones, by",
                _known(answers, "chance") - _known(answers, "value"),
                at_least=0.1,
                bounds=claim.DIFFERENCE,
                null=0.0,
                null_is="random units",
            )


def _known(found, key):
    return np.array([each[key] for each in found], "float64")

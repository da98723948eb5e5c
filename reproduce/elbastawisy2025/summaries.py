"""What figures and claims show of a network, out of all that was measured."""

import numpy as np

from reproduce.publishing.records import mean


def summarize(record):
    """Returns a record with the means over pairs and classes that are shown.

    Args:
        record: Dict, as `stages.plan_network` plans it: with the overlaps of
            every pair of classes, and all scores of every subnetwork.

    Returns:
        The record, in whose methods `sharing` has for each question the mean
        ratios of `every` pair and of those drawn `as_in_text`, layer by layer,
        and the mean share of `active` neurons; and `ablation` has for each
        class the confusion rates without its neurons (`confusion`), how often
        each class is `right` by the subnetwork and after an ablation, and the
        calibration errors.
    """
    methods = {}
    for method, found in record["methods"].items():
        methods[method] = dict(found)
        if "sharing" in found:
            methods[method]["sharing"] = _summarize_sharing(found["sharing"])
        if "ablation" in found:
            methods[method]["ablation"] = [
                _summarize_ablation(each) for each in found["ablation"]
            ]
    return {**record, "methods": methods}


def _summarize_sharing(found):
    summary = {"active": _means(found["active"])}
    for question, drawn in (
        ("specialize", found["random_pairs"]),
        ("reuse", found["random_classes"]),
    ):
        every = found[question]
        summary[question] = {
            name: {
                layer: _means([entry[layer] for entry in entries])
                for layer in every[0]
            }
            for name, entries in (
                ("every", every),
                ("as_in_text", [every[i] for i in drawn]),
            )
        }
    return summary


def _means(dicts):
    """Returns the means of the values that are known, key by key."""
    found = {key: mean([one[key] for one in dicts]) for key in dicts[0]}
    return {k: None if np.isnan(v) else float(v) for k, v in found.items()}


def _summarize_ablation(found):
    summary = {
        "active": found["active"],
        "right": {
            name: np.diagonal(found[name]["confusion"]).tolist()
            for name in ("subnetwork", "ablated", "random")
            if name in found
        },
        "calibration": {
            key: found["calibration"][key]
            for key in ("error_before", "error_after")
        },
    }
    if "ablated" in found:
        summary["confusion"] = found["ablated"]["confusion"]
    return summary

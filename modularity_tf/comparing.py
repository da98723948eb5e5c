"""compare: do findings of different kinds mark the same units?"""

import collections.abc
import itertools
import math
import warnings
from collections.abc import Mapping

import keras
import numpy as np

from modularity_tf import checks
from modularity_tf.findings import overlap
from modularity_tf.findings.comparison import ALL, Comparison, LayerComparison
from modularity_tf.findings.neuron_selection import NeuronSelection
from modularity_tf.findings.unit_clusters import LayerClusters, UnitClusters
from modularity_tf.findings.weight_mask import WeightMask
from modularity_tf.network import activations, model_weights
from modularity_tf.units import clustering

_Compared = WeightMask | NeuronSelection | UnitClusters | LayerClusters


def compare(
    findings: Mapping[str, _Compared],
    model: keras.Model,
    *,
    at_least: float | None = None,
    among: NeuronSelection | None = None,
    permutations: int = 999,
    seed: int | None = 0,
) -> Comparison:
    """Returns how far findings of a network mark the same units.

    Every finding is read as marks on the units of each hidden layer: neurons,
    channels and units of recurrent layers. A set of
    neurons marks its members, a `WeightMask` the units of which it keeps many
    incoming weights (`WeightMask.units`), and clusters give each unit a label.
    Each pair of findings is compared in each layer that both know, by the
    measure that fits the two, and beside it stands its mean when the marks of
    the second are permuted.

    Units that never vary are no evidence: if two findings both leave them out,
    this is no agreement. Where clusters are among the findings, their
    unused units do not count; `among` says which units do.

    >>> threes = mtf.find_neurons(model, (images, labels), label=3)
    >>> clusters = mtf.find_units(model, (images, labels))
    >>> same = mtf.compare({"neurons": threes, "units": clusters}, model)
    >>> [*same.of("neurons", "units")]
    ['hidden', 'all layers']

    Args:
        findings: Dict from name to `WeightMask`, `NeuronSelection`,
            `UnitClusters` or `LayerClusters`; two or more.
        model: Built `keras.Model` that all of them fit.
        at_least: Float in (0, 1], the share of a unit's incoming weights from
            which a mask marks the unit. `None`: more than the mask keeps of
            the whole layer.
        among: `NeuronSelection` of the units that count; `None` for all but
            those that clusters leave unused.
        permutations: Positive int, how often the marks of the second finding
            are permuted.
        seed: Int, not negative, of the permutations; `None` is random.

    Returns:
        `Comparison`.

    Raises:
        ValueError: If a finding does not fit, or two know no layer in common.

    Warns:
        UserWarning: If a finding is of a network with other weights.
    """
    if not isinstance(findings, collections.abc.Mapping) or len(findings) < 2:
        raise ValueError(
            f"`findings` must be a dict of two or more, got {findings!r}."
        )
    permutations = checks.integer("permutations", permutations, least=1)
    seed = checks.seed(seed)
    rng = np.random.default_rng(seed)
    _warn_of_others(findings, model)
    every = activations.layers_with_units(model)
    ends = {*every} - {*activations.hidden_layers(model, every)}
    marks = {
        name: _marks(name, found, model, ends, at_least)
        for name, found in findings.items()
    }
    counts = _units_that_count(marks, among, model)
    rows = []
    for (first, a), (second, b) in itertools.combinations(marks.items(), 2):
        layers = [layer for layer in a if layer in b]
        if not layers:
            raise ValueError(
                f"{first!r} and {second!r} know no hidden layer in common: "
                f"{[*a]} and {[*b]}."
            )
        found = [
            _measure(
                a[layer][counts[layer]],
                b[layer][counts[layer]],
                rng,
                permutations,
            )
            for layer in layers
        ]
        for layer, part in [
            *zip(layers, ([each] for each in found)),
            (ALL, found),
        ]:
            row = _row(part, permutations, seed)
            rows.append(LayerComparison(layer, first, second, **row))
    return Comparison(tuple(rows))


def _warn_of_others(findings, model):
    """Warns of findings that were made in a network with other weights."""
    own = model_weights.fingerprint(model)
    for name, found in findings.items():
        provenance = getattr(found, "provenance", {})
        if {provenance.get("model_fingerprint", own)} - {own}:
            warnings.warn(
                f"{name!r} was found in a network with other weights than "
                f"{model.name!r} has.",
                stacklevel=3,
            )


def _marks(name, found, model, ends, at_least):
    """Returns layer -> array with a mark (bool) or label (int) for each unit.

    Those of output layers, `ends`, are left out.
    """
    if isinstance(found, LayerClusters):
        found = UnitClusters([found])
    if isinstance(found, UnitClusters):
        found.check_fits(model)
        return {
            layer: each.clusters
            for layer, each in found.items()
            if layer not in ends
        }
    if isinstance(found, WeightMask):
        found = found.units(model, at_least=at_least)
    if not isinstance(found, NeuronSelection):
        raise ValueError(
            f"`findings` has a {type(found).__name__} for {name!r}; it takes "
            "WeightMask, NeuronSelection, UnitClusters and LayerClusters."
        )
    found.check_fits(model)
    return {path: v for path, v in found.values.items() if path not in ends}


def _units_that_count(marks, among, model):
    """Returns layer -> bool array: neither unused nor left out."""
    counts = {}
    for found in marks.values():
        for layer, values in found.items():
            own = np.ones(len(values), bool)
            if values.dtype != bool:
                own = values >= 0
            both = counts.setdefault(layer, own)
            if len(both) != len(own):
                raise ValueError(
                    f"The findings are of {len(both)} and {len(own)} units of "
                    f"{layer!r}."
                )
            counts[layer] = both & own
    if among is not None:
        if not isinstance(among, NeuronSelection):
            raise ValueError(
                f"`among` must be a NeuronSelection or None, got {among!r}."
            )
        among.check_fits(model)
        for layer, own in among.values.items():
            if layer in counts:
                counts[layer] = counts[layer] & own
    return counts


def _measure(a, b, rng, permutations):
    """Returns the measure of two marks of a layer, and its null.

    Returns:
        Tuple of name, units, how many each marks, and what adds up over
        layers: an `Overlap` for two sets, else weight, value and an array of
        values where `b` is permuted.
    """
    is_set = [marks.dtype == bool for marks in (a, b)]
    marked = tuple(
        int(marks.sum()) if kind else len(marks)
        for marks, kind in zip((a, b), is_set, strict=True)
    )
    if all(is_set):
        both = overlap.between({"": a}, {"": b})
        return "shared", len(a), marked, both
    if any(is_set):
        name, weight = "in one cluster", marked[0 if is_set[0] else 1]

        def function(other):
            members, labels = (a, other) if is_set[0] else (other, a)
            return np.bincount(labels[members]).max() / weight

    else:
        name, weight = "agreement", len(a)

        def function(other):
            return clustering.agreement(a, other)

    if not weight:
        return name, len(a), marked, (0, 0.0, np.zeros(permutations))
    null = [function(rng.permutation(b)) for _ in range(permutations)]
    return name, len(a), marked, (weight, float(function(b)), np.array(null))


def _row(found, permutations, seed):
    """Returns the row of some layers: means by weight, p of the mean."""
    row = {
        "units": sum(units for _, units, _, _ in found),
        "marked": tuple(sum(m[i] for _, _, m, _ in found) for i in (0, 1)),
        "measure": found[0][0],
        "value": None,
        "chance": None,
        "p": None,
    }
    parts = [part for *_, part in found]
    if row["measure"] == "shared":
        both = sum(parts[1:], parts[0])
        if both.first:
            row["value"], row["chance"] = both.share, both.expected_share
            row["p"] = both.p_value(permutations=permutations, seed=seed)
        return row
    total = sum(weight for weight, _, _ in parts)
    if total:
        null = sum(weight * null for weight, _, null in parts) / total
        value = math.fsum(weight * value for weight, value, _ in parts) / total
        reached = np.sum(null >= value - clustering.ROUNDING)
        row["value"], row["chance"] = value, float(null.mean())
        row["p"] = float((1 + reached) / (1 + permutations))
    return row

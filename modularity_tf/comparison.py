"""Do findings of different kinds mark the same units?"""

import collections.abc
import dataclasses
import itertools
import math

import numpy as np
import rich.table

from modularity_tf.masking.weight_mask import WeightMask
from modularity_tf.neurons.selection import NeuronMask, NeuronSelection
from modularity_tf.parts import checks, finding
from modularity_tf.units import clustering
from modularity_tf.units.unit_clusters import UnitClusters

MEASURES = {
    "shared": "share of the first's units that the second marks",
    "in one cluster": "largest share of the set's units in one cluster",
    "agreement": "element-centric similarity of the clusters",
}
ALL = "all layers"


def compare(findings, model, *, at_least=None, permutations=999, seed=0):
    """Returns how far findings of a network mark the same units.

    Every finding is read as marks on the units of each layer. A set of neurons
    marks its members, a `NeuronMask` those that are on, a `WeightMask` the
    units of which it keeps many incoming weights (`WeightMask.units`), and
    clusters give each unit a label. Each pair of findings is compared in each
    layer that both know, by the measure that fits the two, beside what is
    left of it when the marks of the second are dealt out anew among the units
    of the layer.

    >>> compare({"weights": mask, "neurons": cats, "units": clusters}, model)

    Args:
        findings: Dict from name to `WeightMask`, `NeuronSelection`,
            `NeuronMask`, `UnitClusters` or a dict of these by layer; two or
            more.
        model: Built `keras.Model` that all of them fit.
        at_least: As in `WeightMask.units`.
        permutations: Positive int.
        seed: Int, not negative, of the permutations.

    Returns:
        `Comparison`.

    Raises:
        ValueError: If a finding does not fit, or two know no layer in common.
    """
    if not isinstance(findings, collections.abc.Mapping) or len(findings) < 2:
        raise ValueError(
            f"`findings` must be a dict of two or more, got {findings!r}."
        )
    permutations = checks.integer("permutations", permutations, least=1)
    rng = np.random.default_rng(checks.integer("seed", seed))
    marks = {
        name: _marks(name, found, model, at_least)
        for name, found in findings.items()
    }
    rows = []
    for (first, a), (second, b) in itertools.combinations(marks.items(), 2):
        layers = [layer for layer in a if layer in b]
        if not layers:
            raise ValueError(
                f"{first!r} and {second!r} know no layer in common: "
                f"{[*a]} and {[*b]}."
            )
        names = {"first": first, "second": second}
        found = [
            _measure(a[layer], b[layer], permutations, rng) for layer in layers
        ]
        for layer, each in zip(layers, found, strict=True):
            rows.append({"layer": layer, **names, **_row([each])})
        rows.append({"layer": ALL, **names, **_row(found)})
    return Comparison(tuple(rows))


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What findings have in common, layer by layer.

    Attributes:
        rows: Tuple of dicts: `layer`, `first` and `second`, the names of two
            findings; `units`, how many the layer has; `marked`, how many the
            first marks, and the second; `measure`, a key of `MEASURES`;
            `value`; `chance`, its mean where the second is dealt out anew; `p`,
            how likely it is then to be as high. Value and chance are `None`
            where a set is empty. The layer "all layers" is their mean, weighed
            by the units that count.
    """

    rows: tuple

    def table(self):
        """Returns the rows as a `rich.table.Table`."""
        table = rich.table.Table(title="Do findings mark the same units?")
        table.add_column("layer")
        for column in ("units", "marked", "value", "chance", "p"):
            table.add_column(column, justify="right")
        for pair, rows in self._pairs().items():
            table.add_section()
            table.add_row(f"[bold]{pair}[/bold]")
            for row in rows:
                numbers = [
                    "none" if row[key] is None else f"{row[key]:.1%}"
                    for key in ("value", "chance")
                ]
                p = "none" if row["p"] is None else f"{row['p']:.3g}"
                marked = ", ".join(map(str, row["marked"]))
                table.add_row(
                    row["layer"], str(row["units"]), marked, *numbers, p
                )
        return table

    def plot(self):
        """Returns value and chance of every row, a matplotlib `Figure`."""
        from modularity_tf import plots  # and matplotlib with it

        return plots.values_beside_chance(self._pairs())

    def _pairs(self):
        """Returns the rows by pair of findings, and what is measured."""
        pairs = {}
        for row in self.rows:
            name = f"{row['first']}, {row['second']}: {row['measure']}"
            pairs.setdefault(name, []).append(row)
        return pairs

    def __repr__(self):
        told = [
            f"{row['first']}, {row['second']}: {row['measure']} "
            f"{100 * row['value']:.0f} % ({100 * row['chance']:.0f} % by "
            f"chance, p = {row['p']:.2g})"
            for row in self.rows
            if row["layer"] == ALL and row["value"] is not None
        ]
        return f"<Comparison: {'; '.join(told)}>"

    def _repr_html_(self):
        return finding.as_html(self.table())


def _marks(name, found, model, at_least):
    """Returns layer -> array with a mark (bool) or label (int) a unit."""
    if isinstance(found, UnitClusters):
        found = {found.layer: found}
    is_clusters = isinstance(found, collections.abc.Mapping) and all(
        isinstance(each, UnitClusters) for each in found.values()
    )
    if is_clusters and found:
        for each in found.values():
            each.check_fits(model)
        return {layer: each.clusters for layer, each in found.items()}
    if isinstance(found, NeuronMask):
        found = found.on
    if isinstance(found, WeightMask):
        found = found.units(model, at_least)
    if not isinstance(found, NeuronSelection):
        raise ValueError(
            f"`findings` has for {name!r} a {type(found).__name__}; it takes "
            "WeightMask, NeuronSelection, NeuronMask, UnitClusters, and a dict "
            "of these by layer."
        )
    found.check_fits(model)
    return dict(found.values)


def _measure(a, b, permutations, rng):
    """Returns the measure of two marks of a layer, and its null.

    Returns:
        Tuple of name, sizes, weight, value and an array of values where `b`
        is dealt out anew.
    """
    if len(a) != len(b):
        raise ValueError(
            f"The findings are of {len(a)} and {len(b)} units of one layer."
        )
    is_set = [marks.dtype == bool for marks in (a, b)]
    if all(is_set):
        name, weight = "shared", int(a.sum())

        def function(other):
            return np.sum(a & other) / weight

    elif any(is_set):
        name = "in one cluster"
        weight = int((a if is_set[0] else b).sum())

        def function(other):
            members, labels = (a, other) if is_set[0] else (other, a)
            inside = labels[members]
            counts = np.bincount(inside[inside >= 0], minlength=1)
            return counts.max() / weight

    else:
        name, weight = "agreement", int(np.sum((a >= 0) & (b >= 0)))

        def function(other):
            return clustering.agreement(a, other)

    marked = tuple(
        int(marks.sum()) if kind else int(np.sum(marks >= 0))
        for marks, kind in zip((a, b), is_set, strict=True)
    )
    sizes = {"units": len(a), "marked": marked}
    if not weight:
        return name, sizes, 0, 0.0, np.zeros(permutations)
    null = [function(rng.permutation(b)) for _ in range(permutations)]
    return name, sizes, weight, float(function(b)), np.array(null)


def _row(found):
    """Returns the row of some layers: means by weight, p of the mean."""
    name = found[0][0]
    row = {
        "units": sum(sizes["units"] for _, sizes, *_ in found),
        "marked": tuple(
            sum(sizes["marked"][i] for _, sizes, *_ in found) for i in (0, 1)
        ),
        "measure": name,
    }
    total = sum(weight for _, _, weight, *_ in found)
    if not total:
        return {**row, "value": None, "chance": None, "p": None}
    value = math.fsum(w * v for _, _, w, v, _ in found) / total
    null = sum(w * n for _, _, w, _, n in found) / total
    reached = np.sum(null >= value - clustering.ROUNDING)
    return {
        **row,
        "value": float(value),
        "chance": float(null.mean()),
        "p": float((1 + reached) / (1 + len(null))),
    }

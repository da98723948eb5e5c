"""Comparison: do findings of different kinds mark the same units?"""

import dataclasses
from typing import TYPE_CHECKING

import rich.markup
import rich.table

from modularity_tf.findings import finding

if TYPE_CHECKING:  # matplotlib is imported to draw
    from matplotlib.figure import Figure

MEASURES = {
    "shared": "share of the first's units that the second marks",
    "in one cluster": "largest share of the set's units in one cluster",
    "agreement": "element-centric similarity of the clusters",
}
ALL = "all layers"


@dataclasses.dataclass(frozen=True)
class LayerComparison:
    """What two findings have in common in a layer, or in all layers.

    Attributes:
        layer: Str, the layer's path, or "all layers" for the mean over them,
            weighed by the units that count.
        first: Str, the name of a finding.
        second: Str, the name of another.
        units: Int, how many units of the layer count.
        marked: Two ints, how many of these the first marks, and the second.
        measure: Str: "shared", the share of the first's units that the second
            marks; "in one cluster", the largest share of a set's units in one
            cluster; "agreement", the element-centric similarity of clusters.
        value: Float in [0, 1]; `None` where a set is empty.
        chance: Float in [0, 1], the mean of `value` when the marks of the
            second are permuted; `None` where a set is empty.
        p: Float in (0, 1], how often it is then as high; `None` where a set is
            empty.
    """

    layer: str
    first: str
    second: str
    units: int
    marked: tuple[int, int]
    measure: str
    value: float | None
    chance: float | None
    p: float | None


@dataclasses.dataclass(frozen=True)
class Comparison(finding.Result):
    """What findings have in common, layer by layer.

    >>> threes = mtf.find_neurons(model, (images, labels), label=3)
    >>> fives = mtf.find_neurons(model, (images, labels), label=5)
    >>> same = mtf.compare({"3": threes, "5": fives}, model)
    >>> same.of("3", "5")["hidden"].measure
    'shared'
    >>> figure = same.plot()

    Attributes:
        rows: Tuple of `LayerComparison`, one for each pair of findings and
            layer; for each pair the layer "all layers" is the last.
    """

    rows: tuple[LayerComparison, ...]

    KIND = "a comparison"

    def of(self, first: str, second: str) -> dict[str, LayerComparison]:
        """Returns what two findings have in common, by layer.

        Args:
            first: Str, the name of a finding.
            second: Str, the name of one that came after it.

        Raises:
            ValueError: If there is no such pair.
        """
        found = {
            row.layer: row
            for row in self.rows
            if (row.first, row.second) == (first, second)
        }
        if not found:
            pairs = dict.fromkeys((row.first, row.second) for row in self.rows)
            raise ValueError(
                f"`first` and `second` must be one of the pairs {[*pairs]}, "
                f"got {(first, second)}."
            )
        return found

    def summary(self) -> str:
        """Returns what each two findings have in common over all layers."""
        return " ".join(
            f"{row.first}, {row.second}: one of them is empty."
            if row.value is None
            else f"{row.first}, {row.second}: {MEASURES[row.measure]}, "
            f"{row.value:.1%}, by chance {row.chance:.1%} (p = {row.p:.2g})."
            for row in self.rows
            if row.layer == ALL
        )

    def table(self) -> rich.table.Table:
        table = rich.table.Table(title="Do findings mark the same units?")
        table.add_column("layer")
        for column in ("units", "marked", "value", "chance", "p"):
            table.add_column(column, justify="right")
        for pair, rows in self._pairs().items():
            table.add_section()
            table.add_row(f"[bold]{rich.markup.escape(pair)}[/bold]")
            for row in rows:
                numbers = [
                    "none" if each is None else f"{each:.1%}"
                    for each in (row.value, row.chance)
                ]
                p = "none" if row.p is None else f"{row.p:.3g}"
                marked = ", ".join(map(str, row.marked))
                where = rich.markup.escape(row.layer)
                table.add_row(where, str(row.units), marked, *numbers, p)
        return table

    def plot(self) -> "Figure":
        """Returns value and chance of every row, a matplotlib `Figure`."""
        from modularity_tf import plots  # and matplotlib with it

        return plots.values_beside_chance(
            {
                name: [dataclasses.asdict(row) for row in rows]
                for name, rows in self._pairs().items()
            }
        )

    def _pairs(self):
        """Returns the rows by pair of findings, and what is measured."""
        pairs = {}
        for row in self.rows:
            name = f"{row.first}, {row.second}: {row.measure}"
            pairs.setdefault(name, []).append(row)
        return pairs

    def _packed(self):
        return {"rows": [dataclasses.asdict(row) for row in self.rows]}, {}

    @classmethod
    def _unpacked(cls, config, arrays):
        return cls(
            tuple(
                LayerComparison(**{**row, "marked": tuple(row["marked"])})
                for row in config["rows"]
            )
        )

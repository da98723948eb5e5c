"""Soundness: what a check of a finding says."""

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import rich.table

from modularity_tf.findings import finding

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class Soundness:
    """What a check says of a finding, each number with its 95 % interval.

    >>> some = mtf.NeuronSelection({"hidden": np.arange(32) < 16})
    >>> found = mtf.soundness.check(some, model, (images, labels), removals=5)
    >>> found.value("the part alone") < found.value("the whole model")
    True

    Attributes:
        rows: Tuple of dicts: `quantity`, "faithfulness", "completeness" or
            "minimality"; `what` is measured; `value`; `low` and `high`, the
            ends of the interval; `over`, what was drawn to get it, beside the
            examples, which enter all intervals; `n`, how many of these there
            are; `p`, of random parts: how likely one does as well as the
            finding alone, or hurts as much by its removal, on these examples.
        curve: Tuple of dicts, one a size: `share` of all parts, `parts`, their
            number, and `alone`, `rest`, `random_alone` and `random_rest`, each
            the value with the ends of its interval. Empty without `scores`.
        sharing: Tuple of dicts, one an other task: `other`, its name, the
            fields of `soundness.Sharing`, and `needed`. Empty without `others`.
        settings: Dict: what performance is, and the arguments; `examples`
            and `distinct_examples`, how many examples there were, with and
            without copies.
    """

    rows: tuple[dict[str, Any], ...]
    curve: tuple[dict[str, Any], ...]
    sharing: tuple[dict[str, Any], ...]
    settings: dict[str, Any]

    @property
    def verdicts(self) -> dict[str, str]:
        """Dict from the name of an other task to its verdict, a str."""
        return {row["other"]: row["verdict"] for row in self.sharing}

    def value(self, what: str) -> float:
        """Returns the value of the first row of `what`, a float.

        Raises:
            ValueError: If there is none.
        """
        for row in self.rows:
            if row["what"] == what:
                return row["value"]
        known = [row["what"] for row in self.rows]
        raise ValueError(f"`what` must be one of {known}, got {what!r}.")

    def as_dict(self) -> dict[str, Any]:
        """Returns all of it as a dict of JSON values, `None` for NaN."""
        found = json.dumps(dataclasses.asdict(self))
        return json.loads(found, parse_constant=lambda _: None)

    def table(self) -> rich.table.Table:
        """Returns the numbers as a `rich.table.Table`."""
        table = rich.table.Table(
            title=f"Is the finding sound? Performance: {self.settings['name']}"
        )
        table.add_column("what")
        for column in ("value", "95 % interval", "over", "p"):
            table.add_column(column, justify="right")
        count = self.settings.get("examples")
        distinct = self.settings.get("distinct_examples", count)
        if distinct != count:
            table.add_row(f"{distinct} distinct of {count} examples")
        last = None
        for row in self.rows:
            if row["quantity"] != last:
                last = row["quantity"]
                table.add_section()
                table.add_row(f"[bold]{last}[/bold]")
            over = f"{row['n']} {row['over']}"
            table.add_row(row["what"], *_numbers(row), over, _p(row["p"]))
        for row in self.curve:
            if row is self.curve[0]:
                table.add_section()
                table.add_row("[bold]sizes[/bold]")
            for key in ("alone", "rest"):
                value, low, high = row[key]
                table.add_row(
                    f"highest {row['share']:.1%}, {key}",
                    *_numbers({"value": value, "low": low, "high": high}),
                    f"random {_percent(row[f'random_{key}'][0])}",
                )
        for row in self.sharing:
            table.add_section()
            table.add_row(
                f"[bold]sharing with {row['other']}: {row['verdict']}[/bold]"
            )
            table.add_row(f"  {row['reason']}")
            numbers = _numbers({**row, "value": row["index"]})
            over = " and ".join(map(str, row["extractions"]))
            table.add_row(
                "on the scale from floor to ceiling",
                *numbers,
                f"{over} extractions",
                _p(row["p"]),
            )
            for key in ("overlap", "floor", "ceiling"):
                table.add_row(key, _percent(row[key]))
        return table

    def plot(self) -> "Figure":
        """Returns a picture of it, a matplotlib `Figure`."""
        from modularity_tf import plots  # and matplotlib with it

        return plots.soundness(
            self.rows, self.curve, self.sharing, self.settings["name"]
        )

    def __repr__(self):
        told = [
            f"{row['what']} {_percent(row['value'])}"
            for row in self.rows
            if row["quantity"] != "minimality"
        ]
        told += [
            f"{name}: {verdict}" for name, verdict in self.verdicts.items()
        ]
        return f"<Soundness by {self.settings['name']}: {'; '.join(told)}>"

    def _repr_html_(self):
        return finding.as_html(self.table())


def _numbers(row):
    """Returns a value and its interval as text."""
    ends = [_percent(row[key]) for key in ("low", "high")]
    interval = "" if "none" in ends else f"{ends[0]} to {ends[1]}"
    return _percent(row["value"]), interval


def _percent(value):
    return "none" if value is None or value != value else f"{value:.1%}"


def _p(value):
    return "" if value is None else f"{value:.3g}"

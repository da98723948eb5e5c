"""Soundness: what a check of a finding says."""

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import rich.markup
import rich.table

from modularity_tf.findings import finding
from modularity_tf.soundness import sharing_of_sets

if TYPE_CHECKING:  # matplotlib is imported to draw
    from matplotlib.figure import Figure

_WIDE = 0.5  # an interval of a share that says nothing
_LEVEL = 0.05  # of what the summary says of random parts
# What the numbers are called in tables and records.
_NAMES = {
    "faithfulness": {
        "whole": "the whole model",
        "alone": "the part alone",
        "random": "random parts alone",
        "untrained": "the same part, untrained",
    },
    "completeness": {
        "without": "without the part",
        "random": "without random parts",
    },
    "elsewhere": {
        "whole": "elsewhere: the whole model",
        "alone": "elsewhere: the part alone",
        "random": "elsewhere: random parts alone",
        "without": "elsewhere: without the part",
    },
}


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval.

    Attributes:
        value: The number.
        low: The lower end of the interval.
        high: The upper end of the interval.
        over: What was drawn to get it, beside the examples, which enter all
            intervals: "examples", "random parts" or "removals"; "removals,
            all" if there are no others.
        n: How many of these were drawn.
        p: Of random parts, how likely one does as well as the finding alone,
            or hurts as much by its removal, on these examples; else `None`.
    """

    value: float
    low: float
    high: float
    over: str
    n: int
    p: float | None = None

    @property
    def as_well(self) -> int | None:
        """How many of the random parts `p` counts; `None` without `p`."""
        return None if self.p is None else round(self.p * (1 + self.n)) - 1


@dataclasses.dataclass(frozen=True)
class Faithfulness:
    """Performance of a part alone, beside controls.

    Attributes:
        whole: The whole model.
        alone: The finding alone.
        random: The mean of random parts with as many members in each layer.
        untrained: The same part of an untrained network; `None` without one.
    """

    whole: Estimate
    alone: Estimate
    random: Estimate
    untrained: Estimate | None = None


@dataclasses.dataclass(frozen=True)
class Completeness:
    """Performance of a model without a part, beside a control.

    Attributes:
        without: The model without the finding.
        random: The mean of the model without random parts.
    """

    without: Estimate
    random: Estimate


@dataclasses.dataclass(frozen=True)
class Elsewhere:
    """Performance on other data than those that a part was found for.

    Attributes:
        whole: The whole model.
        alone: The finding alone.
        random: The mean of random parts with as many members in each layer.
        without: The model without the finding.
    """

    whole: Estimate
    alone: Estimate
    random: Estimate
    without: Estimate


@dataclasses.dataclass(frozen=True)
class CurvePoint:
    """Performance of the parts with the highest scores, and of the rest.

    Attributes:
        share: The share of all parts.
        parts: Their number.
        alone: The parts with the highest scores alone.
        random_alone: The mean of random parts with as many in each layer.
        rest: The model without the parts with the highest scores.
        random_rest: The mean of the model without random parts.
    """

    share: float
    parts: int
    alone: Estimate
    random_alone: Estimate
    rest: Estimate
    random_rest: Estimate


@dataclasses.dataclass(frozen=True)
class Soundness(finding.Result):
    """What a check says of a finding, each number with its 95 % interval.

    >>> some = mtf.NeuronSelection({"hidden": np.arange(32) < 16})
    >>> found = mtf.soundness.check(some, model, (images, labels), removals=5)
    >>> found.faithfulness.alone.value < found.faithfulness.whole.value
    True
    >>> found.minimality[1].n
    5

    Attributes:
        faithfulness: Performance of the finding alone: `whole`, `alone`,
            `random` and `untrained`.
        completeness: Performance without the finding: `without` and `random`.
        minimality: Dict from how many members are removed at once to the share
            of such removals without which the finding performs as well.
        curve: Tuple of `CurvePoint`, one for each size. Empty without `scores`.
        sharing: Dict from the name of an other task to its
            `soundness.Sharing`. Empty without `others`.
        settings: Dict: `name`, what performance is, and the arguments;
            `examples` and `distinct_examples`, how many examples there were,
            with and without copies.
        elsewhere: Performance on other data: `whole`, `alone`, `random` and
            `without`. `None` without `elsewhere`.
    """

    faithfulness: Faithfulness
    completeness: Completeness
    minimality: dict[int, Estimate]
    curve: tuple[CurvePoint, ...]
    sharing: dict[str, sharing_of_sets.Sharing]
    settings: dict[str, str | int | float]
    elsewhere: Elsewhere | None = None

    KIND = "a check of soundness"

    @property
    def verdict(self) -> str:
        """Str, what the numbers mean, a sentence."""
        whole, alone = self.faithfulness.whole, self.faithfulness.alone
        random, rest = self.faithfulness.random, self.completeness.random
        without = self.completeness.without
        does = _is_rare(random) and alone.low > random.high
        hurts = _is_rare(rest) and without.high < rest.low
        head = {
            (True, True): "Sound",
            (True, False): "Enough alone, but not shown to be needed",
            (False, True): "Needed, but not shown to be enough alone",
            (False, False): "Not shown to be more than random parts",
        }
        return (
            f"{head[does, hurts]}: alone the part reaches "
            f"{_percent(alone.value)} of {_percent(whole.value)} "
            f"({self.settings['name']}), better than "
            f"{_beaten(random, does)}; without it the model reaches "
            f"{_percent(without.value)}, worse than without "
            f"{_beaten(rest, hurts)}."
        )

    def summary(self) -> str:
        """Returns what the numbers mean, in a few sentences."""
        one, random = self.minimality[1], self.faithfulness.random
        least = 1 / (1 + random.n)
        sentences = [
            self.verdict,
            f"p counts the random parts that do as well: with {random.n} of "
            f"them it is {least:.2g} at least.",
            "How many of its members are redundant can't be told from these "
            f"examples: the interval is {_interval(one)}."
            if one.high - one.low > _WIDE
            else f"One by one, {_percent(one.value)} of its members "
            f"({_interval(one)}) are redundant.",
        ]
        if self.elsewhere is not None:
            there = self.elsewhere
            sentences.append(
                f"On other data the part alone reaches "
                f"{_percent(there.alone.value)}, the whole model "
                f"{_percent(there.whole.value)} and the model without the part "
                f"{_percent(there.without.value)}."
            )
        sentences += [f"{k}: {each}" for k, each in self.sharing.items()]
        return " ".join(sentences)

    def as_dict(self) -> dict[str, Any]:
        """Returns the numbers as a dict of JSON values, `None` for NaN.

        `verdict` is the sentence. `rows` has faithfulness, completeness,
        minimality and what the part does elsewhere, each number with its
        `quantity` and `what` it is; `curve` has the value and the ends of the
        interval for each number; `sharing` has a dict for each other task.
        """
        found = {
            "verdict": self.verdict,
            "rows": [
                {"quantity": quantity, "what": what, **vars(estimate)}
                for quantity, what, estimate in self._rows()
            ],
            "curve": [
                {
                    key: (each.value, each.low, each.high)
                    if isinstance(each, Estimate)
                    else each
                    for key, each in vars(point).items()
                }
                for point in self.curve
            ],
            "sharing": [
                {"other": name, **vars(each)}
                for name, each in self.sharing.items()
            ],
            "settings": self.settings,
        }
        return json.loads(json.dumps(found), parse_constant=lambda _: None)

    def table(self) -> rich.table.Table:
        table = rich.table.Table(
            title=f"Is the finding sound? Performance: {self.settings['name']}"
        )
        table.add_column("what")
        for column in ("value", "95 % interval", "over", "p"):
            table.add_column(column, justify="right")
        count = self.settings["examples"]
        distinct = self.settings["distinct_examples"]
        if distinct != count:
            table.add_row(f"{distinct} distinct of {count} examples")
        last = None
        for quantity, what, estimate in self._rows():
            if quantity != last:
                last = quantity
                table.add_section()
                table.add_row(f"[bold]{last}[/bold]")
            over = f"{estimate.n} {estimate.over}"
            table.add_row(what, *_numbers(estimate), over, _p(estimate.p))
        if self.curve:
            table.add_section()
            table.add_row("[bold]sizes[/bold]")
        for point in self.curve:
            for key, estimate, random in (
                ("alone", point.alone, point.random_alone),
                ("rest", point.rest, point.random_rest),
            ):
                table.add_row(
                    f"highest {point.share:.1%}, {key}",
                    *_numbers(estimate),
                    f"random {_percent(random.value)}",
                )
        for name, each in self.sharing.items():
            table.add_section()
            name, reason = map(rich.markup.escape, (name, each.reason))
            table.add_row(f"[bold]sharing with {name}: {each.verdict}[/bold]")
            table.add_row(f"  {reason}")
            table.add_row(
                "on the scale from floor to ceiling",
                _percent(each.index),
                _interval(each),
                f"{' and '.join(map(str, each.extractions))} extractions",
                _p(each.p),
            )
            for key in ("overlap", "floor", "ceiling"):
                table.add_row(key, _percent(getattr(each, key)))
        return table

    def plot(self) -> "Figure":
        from modularity_tf import plots  # and matplotlib with it

        return plots.soundness(self.as_dict())

    def _rows(self):
        """Yields quantity, name and `Estimate` of what is not a curve."""
        for quantity, names in _NAMES.items():
            found = getattr(self, quantity)
            for key, estimate in vars(found).items() if found else ():
                if estimate is not None:
                    yield quantity, names[key], estimate
        for size, estimate in self.minimality.items():
            what = "one member" if size == 1 else f"{size} members at once"
            yield "minimality", f"redundant: {what}", estimate

    def _packed(self):
        found = dataclasses.asdict(self)
        for key in ("minimality", "sharing"):  # names may be no str
            found[key] = [*found[key].items()]
        return found, {}

    @classmethod
    def _unpacked(cls, config, arrays):
        return cls(
            Faithfulness(**_estimates(config["faithfulness"])),
            Completeness(**_estimates(config["completeness"])),
            {size: Estimate(**each) for size, each in config["minimality"]},
            tuple(CurvePoint(**_estimates(each)) for each in config["curve"]),
            {
                name: sharing_of_sets.Sharing(
                    **{**each, "extractions": tuple(each["extractions"])}
                )
                for name, each in config["sharing"]
            },
            config["settings"],
            Elsewhere(**_estimates(there))
            if (there := config.get("elsewhere"))
            else None,
        )


def _estimates(values):
    """Returns a dict in which each dict is made an `Estimate`."""
    return {
        key: Estimate(**each) if isinstance(each, dict) else each
        for key, each in values.items()
    }


def _is_rare(random):
    """Returns whether few random parts do as well as the finding."""
    return random.p is not None and random.p <= _LEVEL


def _beaten(random, is_clear):
    """Returns how many random parts a finding outdoes, in words.

    Where that is rare by chance, but the intervals overlap, it says so.
    """
    doubt = ", but the intervals overlap"
    doubt = doubt if _is_rare(random) and not is_clear else ""
    if random.as_well is None:
        return f"{random.n} random parts on average{doubt}"
    return f"{random.n - random.as_well} of {random.n} random parts{doubt}"


def _numbers(estimate):
    """Returns a value and its interval as text."""
    return _percent(estimate.value), _interval(estimate)


def _interval(found):
    ends = _percent(found.low), _percent(found.high)
    return "" if "none" in ends else f"{ends[0]} to {ends[1]}"


def _percent(value):
    return "none" if value is None or value != value else f"{value:.1%}"


def _p(value):
    return "" if value is None else f"{value:.3g}"

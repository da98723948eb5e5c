"""Claims of a paper, checked against thresholds that were fixed before."""

import dataclasses
import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from modularity_tf import stats
from reproduce.publishing import records

NO_NUMBER = "no number given"
NOT_ASKED = "not asked"
VERDICTS = ("agrees", "differs", "undetermined", "one seed")
NOT_MEASURED = "not measured"  # no verdict
# Whose question a claim is, and whose the threshold: tallies are apart.
SOURCES = {
    "paper": "the paper's number",
    "ours": "the paper's statement, our threshold",
    "own": "our own question",
}
MARKS = ("constant", "repeat", "post hoc")  # of claims that no tally counts

SHARE = (0.0, 1.0)
DIFFERENCE = (-1.0, 1.0)  # of two shares; a correlation has the same range
RATIO = (0.0, math.inf)
DROP = (-math.inf, 1.0)  # in parts of what there was


@dataclasses.dataclass(frozen=True)
class Claim:
    """A statement of the paper, our quantity, its null and what is wanted.

    Attributes:
        id: Str, a short name, by which code and documents find the claim. It
            stays when the statement is worded anew.
        subject: Str, the network or the data set that the statement is about;
            "" if the experiment has one. No two claims of an experiment have
            the same id and the same subject.
        statement: Str, what the paper says, as a quantity; it begins with the
            subject.
        values: Floats, the quantity in each seed. Never several from one seed:
            their spread is not that of repeats.
        null: Floats, the quantity where the statement is not true: one number,
            or one for each seed. None or NaN if it was not measured. Of a
            statement that an effect is small it is the smallest effect that
            would not be small.
        null_is: Str, where the null comes from: "random masks of the same
            size", say.
        at_least: Float, fixed before the run: the statement wants the quantity
            at or above it. `None` for no lower limit.
        at_most: Float, the same for an upper limit. Both for a range, such as
            that of the paper's number.
        bounds: Two floats, between which the quantity lies whatever happens;
            its interval stays there.
        cases: Ints, of how many cases each value is the rate; empty if the
            quantity is no rate.
        paper: Str, the paper's number.
        source: Str, one of `SOURCES`.
        percent: Bool. Show values as percentages.
        main: Bool. Whether it is what the paper's text presents as the result
            of the experiment. An experiment shows one such claim first.
        post_hoc: Bool. Whether its statement or its threshold came after the
            numbers.
        repeat: Bool. Whether it says again what another claim says.

    Raises:
        ValueError: If `source` is unknown or there is no limit.
    """

    id: str
    subject: str
    statement: str
    values: tuple[float, ...]
    null: tuple[float, ...]
    null_is: str
    at_least: float | None = None
    at_most: float | None = None
    bounds: tuple[float, float] = (-math.inf, math.inf)
    cases: tuple[int, ...] = ()
    paper: str = NO_NUMBER
    source: str = "ours"
    percent: bool = True
    main: bool = False
    post_hoc: bool = False
    repeat: bool = False

    def __post_init__(self):
        if self.source not in SOURCES:
            raise ValueError(
                f"`source` must be one of {', '.join(SOURCES)}, got "
                f"{self.source!r}."
            )
        if self.at_least is None and self.at_most is None:
            raise ValueError(
                "A claim needs `at_least` or `at_most`, got neither for "
                f"{self.id!r}."
            )

    def checked(self) -> dict[str, Any]:
        """Returns the claim as a dict of JSON values, verdict included.

        Beside the attributes (but `bounds`, and of the null the mean) there
        are:

        - `n`, `mean` and `sd` (n - 1).
        - `interval`, 95 %: of a rate the exact one, else that of the mean
          over seeds within `bounds`.
        - `verdict`: "agrees" if the whole interval lies within the limits
          and the null does not do as well: it is beyond the limits, or the
          interval lies on the wanted side of it. "differs" if the whole
          interval lies beyond the limits, on either side; else
          "undetermined". "one seed" for n = 1, and "not measured", which is
          no verdict, where a value is NaN or there is none.
        - `marks`, those of `MARKS` that it has. "constant": all seeds have
          the same value, so that their spread says nothing.

        NaN becomes `None`.
        """
        n = len(self.values)
        mean, interval = self._estimate()
        spread = [(value - mean) ** 2 for value in self.values]
        sd = math.sqrt(sum(spread) / (n - 1)) if n > 1 else math.nan
        marks = {
            "constant": _varies(self.values) is False and not self.cases,
            "repeat": self.repeat,
            "post hoc": self.post_hoc,
        }
        found = {
            **dataclasses.asdict(self),
            "null": _mean(self.null),
            "n": n,
            "mean": mean,
            "sd": sd,
            "interval": interval,
            "verdict": self._verdict(mean, interval),
            "marks": [mark for mark in MARKS if marks[mark]],
        }
        for name in ("bounds", "post_hoc", "repeat"):
            del found[name]
        return records.without_nan(found)

    def _estimate(self):
        """Returns the mean, of a rate that over all cases, and its interval."""
        if self.cases and sum(self.cases):
            pairs = zip(self.values, self.cases, strict=True)
            hits = round(sum(value * count for value, count in pairs))
            total = sum(self.cases)
            return hits / total, stats.rate_interval(hits, total)
        mean = _mean(self.values)
        if len(self.values) < 2 or math.isnan(mean):
            return mean, (math.nan, math.nan)
        return mean, stats.bounded_interval(self.values, *self.bounds)

    def _verdict(self, mean, interval):
        if math.isnan(mean):
            return NOT_MEASURED
        if len(self.values) == 1:
            return "one seed"
        if all(map(self._is_wanted, interval)) and self._excludes_null(
            interval
        ):
            return "agrees"
        low, high = interval
        is_below = self.at_least is not None and high < self.at_least
        is_above = self.at_most is not None and low > self.at_most
        return "differs" if is_below or is_above else "undetermined"

    def _is_wanted(self, value):
        return (self.at_least is None or value >= self.at_least) and (
            self.at_most is None or value <= self.at_most
        )

    def _excludes_null(self, interval):
        """Returns whether the null does not do as well."""
        null = _mean(self.null)
        if math.isnan(null):
            return False
        if not self._is_wanted(null):
            return True
        if None not in (self.at_least, self.at_most):
            return False  # a range has no side
        low, high = (end - null for end in interval)
        if len(self.null) == len(self.values) > 1 and not self.cases:
            pairs = zip(self.values, self.null, strict=True)
            low, high = stats.mean_interval([a - b for a, b in pairs])
        return low > 0 if self.at_most is None else high < 0


class Claims:
    """Collects the claims of an experiment.

    Args:
        subject: Str, put before the subject of every claim.
    """

    def __init__(self, subject: str = ""):
        self._subject = subject
        self._claims: dict[tuple[str, str], Claim] = {}

    def __iter__(self) -> Iterator[Claim]:
        return iter(self._claims.values())

    def add(
        self,
        id: str,
        statement: str,
        values: Iterable[float],
        *,
        null: npt.ArrayLike,
        null_is: str,
        subject: str = "",
        **kwargs: Any,
    ) -> None:
        """Adds a statement.

        Args:
            id: As in `Claim`.
            statement: As in `Claim`, without the subject.
            values: Numbers, one for each seed.
            null: A number, or one for each seed.
            null_is: As in `Claim`.
            subject: As in `Claim`, without that of the collection.
            **kwargs: Other attributes of `Claim`.

        Raises:
            ValueError: If another claim has the id and the subject, or as
                `Claim`.
        """
        for limit in {"at_least", "at_most"} & set(kwargs):
            kwargs[limit] = float(kwargs[limit])
        made = Claim(
            id=id,
            subject=subject,
            statement=f"{subject}: {statement}" if subject else statement,
            values=tuple(float(value) for value in values),
            null=tuple(float(each) for each in np.ravel(null)),
            null_is=null_is,
            **kwargs,
        )
        self.extend([made])

    def extend(self, claims: Iterable[Claim]) -> None:
        """Adds claims under this collection's subject.

        Raises:
            ValueError: As `add`.
        """
        for one in claims:
            if own := self._subject:
                one = dataclasses.replace(
                    one,
                    subject=f"{own}: {one.subject}" if one.subject else own,
                    statement=f"{own}: {one.statement}",
                )
            key = one.id, one.subject
            if key in self._claims:
                raise ValueError(f"Two claims have the id and subject {key}.")
            self._claims[key] = one

    def checked(self) -> list[dict[str, Any]]:
        """Returns the claims as JSON values, verdicts included.

        The main claim stands first. Of several the first one is kept as the
        main claim. A claim with the values of another one is a repeat.
        """
        first = next((one for one in self if one.main), None)
        rest = [
            dataclasses.replace(one, main=False)
            for one in self
            if one is not first
        ]
        known, found = set(), []
        for one in [first, *rest] if first else rest:
            if _varies(one.values) and one.values in known:
                one = dataclasses.replace(one, repeat=True)
            known.add(one.values)
            found.append(one.checked())
        return found


def _varies(values):
    """Returns whether seeds differ; `None` of one seed or unknown values."""
    if len(values) < 2 or any(map(math.isnan, values)):
        return None
    return len(set(values)) > 1


def _mean(values):
    return sum(values) / len(values) if values else math.nan

"""Claims of a paper, checked against thresholds that were fixed before."""

import dataclasses
import math
from collections.abc import Iterable, Iterator
from typing import Any

from modularity_tf import stats
from reproduce.publishing import records

NO_NUMBER = "no number given"
VERDICTS = ("agrees", "differs", "undetermined", "one seed")


@dataclasses.dataclass(frozen=True)
class Claim:
    """A statement of the paper, our quantity, its null and a threshold.

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
        threshold: Float, fixed before the run.
        at_least: Bool. The statement wants the quantity at or above (`True`)
            or at or below (`False`) the threshold.
        null: Float, the quantity where the statement is not true; NaN if it
            was not measured.
        null_is: Str, where the null comes from: "random masks of the same
            size", say.
        paper: Str, the paper's number.
        source: Str, whose threshold it is: "paper" or "ours".
        percent: Bool. Show values as percentages.
        main: Bool. Whether it is what the experiment is about; those are
            named where there is room for no more.

    Raises:
        ValueError: If `source` is neither.
    """

    id: str
    subject: str
    statement: str
    values: tuple[float, ...]
    threshold: float
    at_least: bool
    null: float
    null_is: str
    paper: str = NO_NUMBER
    source: str = "ours"
    percent: bool = True
    main: bool = False

    def __post_init__(self):
        if self.source not in ("paper", "ours"):
            raise ValueError(
                f"`source` must be `paper` or `ours`, got {self.source!r}."
            )

    def checked(self) -> dict[str, Any]:
        """Returns the claim as a dict of JSON values, verdict included.

        Beside the attributes `n`, `mean`, `sd` (n - 1), `interval` (95 %, of
        the mean, by Student's t) and `verdict`: "agrees" or "differs" where
        the whole interval lies on one side of the threshold, "undetermined"
        where it does not or a value is NaN, "one seed" for n = 1. NaN becomes
        `None`.
        """
        n = len(self.values)
        mean = sum(self.values) / n if n else math.nan
        sd = margin = math.nan
        if n > 1:
            sd = math.sqrt(sum((v - mean) ** 2 for v in self.values) / (n - 1))
            margin = float(stats.half_width(sd, n))
        low, high = mean - margin, mean + margin
        if self.at_least:
            good, bad = low >= self.threshold, high < self.threshold
        else:
            good, bad = high <= self.threshold, low > self.threshold
        verdict = "agrees" if good else "differs" if bad else "undetermined"
        if n == 1 and not math.isnan(mean):
            verdict = "one seed"
        found = {
            **dataclasses.asdict(self),
            "n": n,
            "mean": mean,
            "sd": sd,
            "interval": (low, high),
            "verdict": verdict,
        }
        return records.without_nan(found)


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
        null: float | Iterable[float],
        null_is: str,
        subject: str = "",
        **kwargs: Any,
    ) -> None:
        """Adds a statement with one threshold.

        Args:
            id: As in `Claim`.
            statement: As in `Claim`, without the subject.
            values: Numbers, one for each seed.
            null: A number, or one for each seed, of which the mean counts.
            null_is: As in `Claim`.
            subject: As in `Claim`, without that of the collection.
            **kwargs: Either `at_least` or `at_most`, the threshold; `paper`,
                `source`, `percent` and `main` as in `Claim`.

        Raises:
            ValueError: If there is not one threshold, or another claim has the
                id and the subject.
        """
        thresholds = {
            side: kwargs.pop(side)
            for side in ("at_least", "at_most")
            if side in kwargs
        }
        if len(thresholds) != 1:
            raise ValueError(
                "A claim needs one threshold, `at_least` or `at_most`, got "
                f"{thresholds}."
            )
        ((side, threshold),) = thresholds.items()
        try:
            nulls = [float(each) for each in null]
        except TypeError:  # one number
            nulls = [float(null)]
        made = Claim(
            id=id,
            subject=subject,
            statement=f"{subject}: {statement}" if subject else statement,
            values=tuple(float(value) for value in values),
            threshold=float(threshold),
            at_least=side == "at_least",
            null=sum(nulls) / len(nulls) if nulls else math.nan,
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
        """Returns the claims as JSON values, verdicts included."""
        return [one.checked() for one in self]

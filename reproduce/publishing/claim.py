"""Claims of a paper, checked against thresholds that were fixed before."""

import dataclasses
import functools
import math

import rich.table

from modularity_tf import stats
from reproduce.publishing import records

NO_NUMBER = "no number given"
VERDICTS = ("agrees", "differs", "undetermined", "one seed")


@dataclasses.dataclass(frozen=True)
class Claim:
    """A statement of the paper, our quantity, its null and a threshold.

    Attributes:
        statement: Str, what the paper says, as a quantity.
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

    statement: str
    values: tuple
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

    def checked(self):
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
        prefix: Str, put before every statement: the network or the data.
    """

    def __init__(self, prefix=""):
        self._prefix = f"{prefix}: " if prefix else ""
        self._claims = []

    def __iter__(self):
        return iter(self._claims)

    def add(self, statement, values, *, null, null_is, **kwargs):
        """Adds a statement with one threshold.

        Args:
            statement: As in `Claim`.
            values: Iterable of numbers, one a seed.
            null: Number, or one a seed, of which the mean counts.
            null_is: As in `Claim`.
            **kwargs: Either `at_least` or `at_most`, the threshold; `paper`,
                `source`, `percent` and `main` as in `Claim`.
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
        self._claims.append(
            Claim(
                statement=self._prefix + statement,
                values=tuple(float(value) for value in values),
                threshold=float(threshold),
                at_least=side == "at_least",
                null=sum(nulls) / len(nulls) if nulls else math.nan,
                null_is=null_is,
                **kwargs,
            )
        )

    def extend(self, claims):
        """Adds all of another collection, under this one's prefix."""
        self._claims += [
            dataclasses.replace(c, statement=self._prefix + c.statement)
            for c in claims
        ]


def table(claims):
    """Returns a `rich.table.Table` of claims as `checked` returns them.

    Two columns fit a terminal of 80: the verdict, and the statement with its
    numbers below.
    """
    rows = rich.table.Table(
        title="Claims", title_justify="left", show_header=False, box=None
    )
    rows.add_column(no_wrap=True)
    rows.add_column()
    for claim in claims:
        rows.add_row(
            claim["verdict"], f"{claim['statement']}\n{_numbers(claim)}"
        )
    return rows


def number(claim, value):
    """Returns a value of a claim, as `checked` returns it, in words."""
    if value is None:
        return "not measured"
    return f"{100 * value:.3g} %" if claim["percent"] else f"{value:.3g}"


def _numbers(claim):
    """Returns our number, the null, the threshold and the paper's number."""
    text = functools.partial(number, claim)

    spread = "n = 1"
    if claim["n"] > 1:
        low, high = map(text, claim["interval"])
        spread = f"{low} to {high}, n = {claim['n']}"
    sign = "≥" if claim["at_least"] else "≤"
    return (
        f"ours {text(claim['mean'])} ({spread}); "
        f"null {text(claim['null'])} ({claim['null_is']}); "
        f"threshold {sign} {text(claim['threshold'])} ({claim['source']}); "
        f"paper: {claim['paper']}"
    )


def tally(claims):
    """Returns how many claims have each verdict, in words.

    Args:
        claims: Claims as `checked` returns them.
    """
    counts = {
        word: sum(claim["verdict"] == word for claim in claims)
        for word in VERDICTS
    }
    found = [f"{count} {word}" for word, count in counts.items() if count]
    return f"{len(claims)} claims: {', '.join(found) or 'none'}"

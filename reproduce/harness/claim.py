"""A claim of a paper, checked against a threshold that was fixed before."""

import dataclasses
import math

import rich.table
from scipy import stats


@dataclasses.dataclass(frozen=True)
class Claim:
    """A statement of the paper, a quantity and the threshold fixed for it.

    Attributes:
        statement: Str, what the paper says.
        paper: Str, the paper's number, or "" where it gives none.
        values: Floats, our quantity: one value a seed, or a pair or class.
        threshold: Float.
        at_least: Bool. The claim wants the mean at or above (`True`) or at or
            below (`False`) the threshold.
        percent: Bool. Show values as percentages.
    """

    statement: str
    paper: str
    values: tuple
    threshold: float
    at_least: bool = True
    percent: bool = True

    def checked(self):
        """Returns the claim as a dict of JSON values, verdict included."""
        return {**dataclasses.asdict(self), **self.verdict()}

    def verdict(self):
        """Returns `holds`, `fails` or `undetermined`, with mean and sd.

        With several values, the 95 % confidence interval of their mean
        (Student's t) must lie on one side of the threshold; one value is
        compared as it is. NaN or nothing is undetermined.
        """
        n = len(self.values)
        mean = sum(self.values) / n if n else math.nan
        sd = margin = 0.0
        if n > 1:
            sd = math.sqrt(sum((v - mean) ** 2 for v in self.values) / (n - 1))
            margin = stats.t.ppf(0.975, n - 1) * sd / math.sqrt(n)
        low, high = mean - margin, mean + margin
        if self.at_least:
            good, bad = low >= self.threshold, high < self.threshold
        else:
            good, bad = high <= self.threshold, low > self.threshold
        word = "holds" if good else "fails" if bad else "undetermined"
        return {"verdict": word, "mean": mean, "sd": sd, "n": n}


def table(claims):
    """Returns a `rich.table.Table` of claims as `checked` returns them."""
    rows = rich.table.Table(title="Claims", title_justify="left")
    for column in ("claim", "paper", "ours", "n", "threshold", "verdict"):
        rows.add_column(column)
    for claim in claims:
        scale, unit = (100, " %") if claim["percent"] else (1, "")
        ours = f"{scale * claim['mean']:.3g}{unit}"
        if claim["n"] > 1:
            ours += f" ± {scale * claim['sd']:.2g}"
        sign = "≥" if claim["at_least"] else "≤"
        rows.add_row(
            claim["statement"],
            claim["paper"],
            ours,
            str(claim["n"]),
            f"{sign} {scale * claim['threshold']:.3g}{unit}",
            claim["verdict"],
        )
    return rows

"""Claims in words: for a terminal, for documents, for a report.

The claims are dicts, as `Claims.checked` returns them and archives hold them.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import rich.table

from reproduce.publishing import claim, titles

_COUNTED = {"one seed": "without a verdict (one seed)"}
FEW = 5  # so many seeds are shown one by one, beside their interval
_TALLIES = {
    "paper": "the paper's number",
    "ours": "our threshold",
    "own": "our questions",
}


def number(one: dict[str, Any], value: float | None) -> str:
    """Returns a value of a claim, a percentage where the claim says so."""
    if value is None:
        return claim.NOT_MEASURED
    return f"{100 * value:.3g} %" if one["percent"] else f"{value:.3g}"


def mean(one: dict[str, Any]) -> str:
    """Returns the mean over seeds."""
    return number(one, one["mean"])


def value(one: dict[str, Any]) -> str:
    """Returns the mean over seeds and its interval."""
    if one["mean"] is None:
        return mean(one)
    if one["n"] < 2:
        return f"{mean(one)} (n = {one['n']})"
    low, high = (_bare(one, end) for end in one["interval"])
    return f"{mean(one)} ({low} to {high})"


def seeds(one: dict[str, Any]) -> str:
    """Returns what the interval rests on: few seeds, the cases of a rate."""
    if one["mean"] is None or one["n"] < 2:
        return ""
    if one["cases"]:
        total = sum(one["cases"])
        return f"{round(one['mean'] * total)} of {total}"
    if one["n"] > FEW:
        return f"n = {one['n']}"
    return ", ".join(_bare(one, each) for each in one["values"])


def _bare(one, value):
    """Returns a number without its unit."""
    return f"{(100 if one['percent'] else 1) * value:.3g}"


def null(one: dict[str, Any]) -> str:
    """Returns what the null is, and its value."""
    return f"{one['null_is']}: {number(one, one['null'])}"


def limits(one: dict[str, Any]) -> str:
    """Returns what the statement wants of the quantity."""
    low, high = one["at_least"], one["at_most"]
    if high is None:
        return f"≥ {number(one, low)}"
    if low is None:
        return f"≤ {number(one, high)}"
    return f"{_bare(one, low)} to {number(one, high)}"


def verdict(one: dict[str, Any]) -> str:
    """Returns the verdict, and what keeps the claim out of tallies."""
    marks = f" ({', '.join(one['marks'])})" if one["marks"] else ""
    return one["verdict"] + marks


def cells(one: dict[str, Any]) -> dict[str, str]:
    """Returns a claim in words, by column of a table."""
    return {
        "statement": titles.in_statement(one["statement"]),
        "paper": one["paper"],
        "ours": "; ".join(filter(None, (value(one), seeds(one)))),
        "null": null(one),
        "limits": f"{limits(one)}, {one['source']}",
        "verdict": verdict(one),
    }


def row(texts: Iterable[str]) -> str:
    """Returns the row of a table in Markdown."""
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"


def markdown(claims: Iterable[dict[str, Any]]) -> list[str]:
    """Returns claims as the lines of a table in Markdown."""
    return [
        "| statement | paper | ours; seeds | null | wanted, whose | verdict |",
        "|---|---|---|---|---|---|",
        *(row(cells(one).values()) for one in claims),
    ]


def table(claims: Iterable[dict[str, Any]]) -> rich.table.Table:
    """Returns claims as a table for a terminal of 80 columns.

    It has two columns: the verdict, and the statement with its numbers below.
    """
    rows = rich.table.Table(
        title="Claims", title_justify="left", show_header=False, box=None
    )
    rows.add_column(no_wrap=True)
    rows.add_column()
    for one in claims:
        marks = "".join(f", {mark}" for mark in one["marks"])
        text = f"{one['statement']}{marks}\n{_numbers(one)}"
        rows.add_row(one["verdict"], text)
    return rows


def _numbers(one):
    """Returns our number, the null, what is wanted and the paper's number."""
    found = cells(one)
    return (
        f"ours {found['ours']}; null {number(one, one['null'])} "
        f"({one['null_is']}); wanted {limits(one)} "
        f"({claim.SOURCES[one['source']]}); paper: {one['paper']}"
    )


_MEANING = {
    "agrees": "This agrees with what was wanted.",
    "differs": "This differs from what was wanted.",
    "undetermined": "This decides nothing: the interval contains the end of "
    "what was wanted, or the null does as well.",
    "one seed": "One seed gives no verdict: start it again with --seeds=0,1,2.",
    claim.NOT_MEASURED: "It was not measured.",
}


def conclusion(claims: Sequence[dict[str, Any]]) -> str:
    """Returns what the first claim, the main one, says, in a few sentences."""
    one = claims[0]
    statement = titles.in_statement(one["statement"])
    paper = one["paper"]
    told = "" if paper == claim.NO_NUMBER else f" (paper: {paper})"
    return (
        f"Found: {statement}: {value(one)}; {one['null_is']}: "
        f"{number(one, one['null'])}. Wanted: {limits(one)}{told}. "
        f"{_MEANING[one['verdict']]}"
    )


def counted(claims: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the claims that tallies count: measured, and without a mark."""
    return [
        one
        for one in claims
        if not one.get("marks") and one["verdict"] != claim.NOT_MEASURED
    ]


def tally(claims: Iterable[dict[str, Any]]) -> str:
    """Returns how many claims have each verdict, by whose threshold it is."""
    claims = list(claims)
    own = counted(claims)
    parts = [f"{len(claims)} claims"]
    for source, title in _TALLIES.items():
        verdicts = Counter(
            one["verdict"] for one in own if one["source"] == source
        )
        if verdicts:
            words = [
                f"{verdicts[word]} {_COUNTED.get(word, word)}"
                for word in claim.VERDICTS
                if verdicts[word]
            ]
            parts.append(f"{title}: {', '.join(words)}")
    if left := len(claims) - len(own):
        parts.append(f"not counted: {left}")
    return "; ".join(parts)

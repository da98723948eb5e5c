"""Claims in words: for a terminal, for documents, for a report.

The claims are dicts, as `Claim.checked` returns them and archives hold them.
"""

from collections.abc import Iterable
from typing import Any

import rich.table

from reproduce.publishing import claim, titles


def number(one: dict[str, Any], value: float | None) -> str:
    """Returns a value of a claim, a percentage where the claim says so."""
    if value is None:
        return "not measured"
    return f"{100 * value:.3g} %" if one["percent"] else f"{value:.3g}"


def mean(one: dict[str, Any]) -> str:
    """Returns the mean over seeds."""
    return number(one, one["mean"])


def value(one: dict[str, Any]) -> str:
    """Returns the mean over seeds and its interval."""
    if one["n"] < 2:
        return f"{mean(one)} (n = {one['n']})"
    if None in one["interval"]:
        return mean(one)
    scale = 100 if one["percent"] else 1
    low, high = (f"{scale * end:.3g}" for end in one["interval"])
    return f"{mean(one)} ({low} to {high})"


def null(one: dict[str, Any]) -> str:
    """Returns what the null is, and its value."""
    return f"{one['null_is']}: {number(one, one['null'])}"


def cells(one: dict[str, Any]) -> dict[str, str]:
    """Returns a claim in words, by column of a table."""
    sign = "≥" if one["at_least"] else "≤"
    return {
        "statement": titles.in_statement(one["statement"]),
        "paper": one["paper"],
        "ours": value(one),
        "null": null(one),
        "threshold": f"{sign} {number(one, one['threshold'])}, {one['source']}",
        "verdict": one["verdict"],
    }


def row(texts: Iterable[str]) -> str:
    """Returns the row of a table in Markdown."""
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"


def markdown(claims: Iterable[dict[str, Any]]) -> list[str]:
    """Returns claims as the lines of a table in Markdown."""
    return [
        "| statement | paper | ours | null | threshold | verdict |",
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
        rows.add_row(one["verdict"], f"{one['statement']}\n{_numbers(one)}")
    return rows


def _numbers(one):
    """Returns our number, the null, the threshold and the paper's number."""
    spread = "n = 1"
    if one["n"] > 1:
        low, high = (number(one, end) for end in one["interval"])
        spread = f"{low} to {high}, n = {one['n']}"
    sign = "≥" if one["at_least"] else "≤"
    return (
        f"ours {mean(one)} ({spread}); "
        f"null {number(one, one['null'])} ({one['null_is']}); "
        f"threshold {sign} {number(one, one['threshold'])} ({one['source']}); "
        f"paper: {one['paper']}"
    )


def tally(claims: Iterable[dict[str, Any]]) -> str:
    """Returns how many claims have each verdict."""
    verdicts = [one["verdict"] for one in claims]
    counts = {word: verdicts.count(word) for word in claim.VERDICTS}
    found = [f"{count} {word}" for word, count in counts.items() if count]
    return f"{len(verdicts)} claims: {', '.join(found) or 'none'}"

"""Evidence in documents: parts of Markdown that come from archived results.

Between `<!-- results: KIND ARGUMENTS -->` and `<!-- end -->` stands what the
files in results/ say, and nothing that was typed:

    experiments            a row for every experiment and archive
    figures PAPER          every figure of a paper, and in what size it was run
    claims NAME            the claims of an archive, a table
    value NAME STATEMENT   mean and interval of the claim that begins so
    mean NAME STATEMENT    its mean alone
    table NAME,... TITLE   the experiment's table of that title, the rows of
                           all of these archives
"""

import json
import re

from reproduce.publishing import claim, titles
from reproduce.running import training

_LABEL = re.compile("(?:fig0*)?([^_]*)")  # of fig06a_relative_drop: 6a
_PART = re.compile(
    r"(<!-- results: (\w+) ?(.*?) -->)(.*?)(<!-- end -->)", re.DOTALL
)


def read(results_folder):
    """Returns the archives in a folder, a dict by name."""
    return {
        path.stem: json.loads(path.read_text("utf-8"))
        for path in sorted(results_folder.glob("*.json"))
    }


def filled(text, archives, experiments):
    """Returns Markdown with its marked parts as the archives have them.

    Args:
        text: Str.
        archives: What `read` returns.
        experiments: Dict from name to `Experiment`; a row for each that has
            figures.

    Raises:
        ValueError: If a part asks for what is not there.
    """

    def fill(match):
        start, kind, arguments, _, end = match.groups()
        try:
            match kind:
                case "experiments":
                    found = _experiments_table(archives, experiments)
                case "figures":
                    figures = figures_of(arguments, experiments)
                    found = _figures_table(archives, figures)
                case "claims":
                    found = _claims_table(archives[arguments])
                case "value" | "mean":
                    name, statement = arguments.split(" ", 1)
                    one = _claim_of(archives[name], statement)
                    found = _mean(one) if kind == "mean" else _value(one)
                case "table":
                    names, title = arguments.split(" ", 1)
                    chosen = [archives[name] for name in names.split(",")]
                    found = _table(
                        [
                            experiments[one["experiment"]].tables(
                                one["records"]
                            )
                            for one in chosen
                        ],
                        title,
                    )
                case _:
                    raise ValueError(f"{kind!r} is no kind of part")
        except (KeyError, ValueError) as error:
            raise ValueError(f"{start}: {error}.") from error
        return f"{start}{found}{end}"

    return _PART.sub(fill, text)


def figures_of(paper, experiments):
    """Returns which experiment draws which figure of a paper.

    Args:
        paper: Str, one of `titles.PAPERS`.
        experiments: Dict from name to `Experiment`.

    Returns:
        List of number, what the figure shows, and the experiment's name,
        `None` for figures that show no result.
    """
    drawings = titles.PAPERS[paper].items()
    found = [(number, shows, None) for number, shows in drawings]
    for name, experiment in experiments.items():
        if experiment.paper == paper:
            figures = experiment.figures.items()
            found += [(number, shows, name) for number, shows in figures]
    return sorted(found, key=lambda row: _order(row[0]))


def _order(number):
    """Returns the place of a figure: of 15a behind 2, and of S1 behind it."""
    appendix, digits, letter = re.fullmatch(
        "([A-Z]?)([0-9]+)([a-z]?)", number
    ).groups()
    return appendix, int(digits), letter


def _claim_of(archive, statement):
    found = [
        one
        for one in archive["claims"]
        if one["statement"].startswith(statement)
    ]
    if len(found) != 1:
        raise ValueError(f"{len(found)} claims begin with {statement!r}")
    return found[0]


def _experiments_table(archives, experiments):
    lines = [
        "| experiment | figures | flags | seeds, time | claims | one of the "
        "main ones |",
        "|---|---|---|---|---|---|",
    ]
    for name, experiment in experiments.items():
        if not experiment.figures:
            continue
        own = {k: a for k, a in archives.items() if a["experiment"] == name}
        first = [f"`reproduce.{name}`", ", ".join(experiment.figures)]
        if not own:
            lines.append(_row([*first, "", "", "no result archived yet", ""]))
        for key, archive in own.items():
            one = max(
                archive["claims"],
                key=lambda one: (one["mean"] is not None, one["main"]),
            )
            statement = titles.in_statement(one["statement"])
            said = f"{statement}: **{_value(one)}** ({_null(one)})"
            seeds = archive["seeds"]
            took = f"{len(seeds)}, {cost(archive)}"
            verdicts = claim.tally(archive["claims"]).split(": ")[1]
            lines.append(_row([*first, f"`{key}`", took, verdicts, said]))
            first = ["", ""]
    return _block(lines)


def _figures_table(archives, figures):
    lines = [
        "| figure | shows | run by | so far |",
        "|---|---|---|---|",
    ]
    for number, shows, name in figures:
        if name is None:
            lines.append(_row([number, shows, "", "a drawing"]))
            continue
        runs = [
            f"{_size(key)}: `{key}`{labels}"
            for key, archive in archives.items()
            if archive["experiment"] == name
            and (labels := _labels(archive, number)) is not None
        ]
        told = "; ".join(runs) or "not run"
        lines.append(_row([number, shows, f"`reproduce.{name}`", told]))
    return _block(lines)


def _labels(archive, number):
    """Returns which parts of a figure an archive has; `None` for no part."""
    found = [_LABEL.match(name)[1] for name in archive["figures"]]
    parts = sorted({x for x in found if re.fullmatch(f"{number}[a-z]?", x)})
    if not parts:
        return None
    return "" if parts == [number] else f" ({', '.join(parts)})"


def _size(key):
    """Returns how large a run was, which the name of its flag file tells."""
    if key.endswith("_small_paper"):
        return "the paper's smallest network"
    return "paper's size" if key.endswith("_paper") else "reduced"


def cost(archive):
    """Returns the time of all stages of a run, in words."""
    config = archive["config"]
    machine = " and ".join(archive["made"]["machines"])
    cores = config["cpus_per_task"]
    if not cores and (found := re.search(r"(\d+) cores", machine)):
        cores = int(found[1]) / config["workers"]
    taken = training.duration(archive["made"]["seconds"])
    if not cores:  # only Linux tells the machine
        return taken
    return f"{taken} of " + ("one core" if cores == 1 else f"{cores:g} cores")


def cells(one):
    """Returns a claim, as `checked` returns it, in words: a dict by column."""
    sign = "≥" if one["at_least"] else "≤"
    return {
        "statement": titles.in_statement(one["statement"]),
        "paper": one["paper"],
        "ours": _value(one),
        "null": _null(one),
        "threshold": f"{sign} {claim.number(one, one['threshold'])}, "
        f"{one['source']}",
        "verdict": one["verdict"],
    }


def claims_table(claims):
    """Returns claims, as `checked` returns them, as lines of Markdown."""
    return [
        "| statement | paper | ours | null | threshold | verdict |",
        "|---|---|---|---|---|---|",
        *(_row([*cells(one).values()]) for one in claims),
    ]


def _claims_table(archive):
    lines = claims_table(archive["claims"])
    commits = ", ".join(archive["made"]["commits"])
    lines += [
        "",
        f"*`{archive['flags']}.flags`, seeds "
        f"{', '.join(map(str, archive['seeds']))}; mean and 95 % interval over "
        f"seeds; {cost(archive)}, {'; '.join(archive['made']['machines'])}; "
        f"commit {commits}.*",
    ]
    return _block(lines)


def _table(found, title):
    """Returns tables of one title as one."""
    same = [one for each in found for one in each if one.title == title]
    if len(same) < len(found):
        raise ValueError(f"not every archive has a table {title!r}")
    columns = same[0].columns
    lines = [_row(columns), "|" + "---|" * len(columns)]
    lines += [_row(row) for each in same for row in each.rows]
    return _block([*lines, "", f"*{same[0].note}*"])


def _row(cells):
    return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"


def _block(lines):
    return "\n" + "\n".join(lines) + "\n"


def _mean(one):
    return claim.number(one, one["mean"])


def _value(one):
    if one["n"] < 2:
        return f"{_mean(one)} (n = {one['n']})"
    if None in one["interval"]:
        return _mean(one)
    scale = 100 if one["percent"] else 1
    low, high = (f"{scale * value:.3g}" for value in one["interval"])
    return f"{_mean(one)} ({low} to {high})"


def _null(one):
    return f"{one['null_is']}: {claim.number(one, one['null'])}"

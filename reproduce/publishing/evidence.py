"""Evidence in documents: parts of Markdown that come from archived results.

Between `<!-- results: KIND ARGUMENTS -->` and `<!-- end -->` stands what the
files in results/ say, and nothing that was typed:

    papers FOLDER          a row for every paper: its main claim, and a link to
                           its page in that folder (empty for pages in docs/)
    experiments PAPER      a row for every experiment of a paper (or of ours)
                           and each of its archives
    reduced                how many archives of the papers' experiments are
                           smaller than the paper's size
    tallies                how many claims of all archives have each verdict
    earlier                verdicts that changed with the rules for judging
    figures PAPER          every figure of a paper, and in what size it was run
    smaller PAPER          the settings of each archive of a paper that are not
                           those of the paper's flag file
    claims NAME            the claims of an archive, a table
    value NAME ID SUBJECT  mean and interval of a claim; SUBJECT if it has one
    mean NAME ID SUBJECT   its mean alone
    null NAME ID SUBJECT   what its null is, and the null's value
    verdict NAME ID SUBJECT  its verdict
    cost NAME              the time that all stages of an archive took
    table NAME,... TITLE   the experiment's table of that title, the rows of
                           all of these archives
    across NAME,... TITLE  the table of that title that compares the archives
"""

import dataclasses
import json
import pathlib
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from reproduce.publishing import archive as archive_file
from reproduce.publishing import claim, titles, wording
from reproduce.publishing.experiment import Experiment
from reproduce.running import training

_LABEL = re.compile("(?:fig0*)?([^_]*)")  # of fig06a_relative_drop: 6a
_CORES = re.compile(r"(\d+) cores(?:, (\d+) threads)?")
_PART = re.compile(
    r"(<!-- results: (\w+)(?: ([^>\n]*))? -->)(.*?)(<!-- end -->)", re.DOTALL
)


def read(results_folder: pathlib.Path) -> dict[str, dict[str, Any]]:
    """Returns the archives in a folder, by name."""
    return {
        path.stem: json.loads(path.read_text("utf-8"))
        for path in sorted(results_folder.glob("*.json"))
    }


def filled(
    text: str,
    archives: Mapping[str, dict[str, Any]],
    experiments: Mapping[str, Experiment],
) -> str:
    """Returns Markdown with its marked parts as the archives have them.

    Args:
        text: The Markdown.
        archives: What `read` returns.
        experiments: All experiments by name; those without figures are left
            out of lists.

    Raises:
        ValueError: If a part asks for what is not there.
    """

    def fill(match):
        start, kind, arguments, _, end = match.groups(default="")
        try:
            match kind:
                case "papers":
                    found = _papers_table(archives, arguments)
                case "tallies":
                    found = _tallies_table(archives)
                case "earlier":
                    found = _earlier_table(archives)
                case "experiments":
                    of_paper = {
                        name: one
                        for name, one in experiments.items()
                        if one.paper == arguments
                    }
                    found = _experiments_table(archives, of_paper)
                case "reduced":
                    sizes = [
                        _size(name)
                        for name, one in archives.items()
                        if experiments[one["experiment"]].paper in titles.PAPERS
                    ]
                    found = f"{sizes.count('reduced')} of {len(sizes)}"
                case "figures":
                    figures = figures_of(arguments, experiments)
                    found = _figures_table(archives, figures)
                case "smaller":
                    found = _smaller_table(archives, experiments, arguments)
                case "claims":
                    found = _claims_table(archives[arguments])
                case "value" | "mean" | "null" | "verdict":
                    name, *which = arguments.split(" ", 2)
                    say = getattr(wording, kind)
                    found = say(_claim_of(archives[name], *which))
                case "cost":
                    found = cost(archives[arguments])
                case "table":
                    names, title = arguments.split(" ", 1)
                    chosen = [archives[name] for name in names.split(",")]
                    found = _table(chosen, experiments, title)
                case "across":
                    names, title = arguments.split(" ", 1)
                    chosen = {n: archives[n] for n in names.split(",")}
                    found = _across(chosen, experiments, title)
                case _:
                    raise ValueError(f"{kind!r} is no kind of part")
        except (KeyError, ValueError) as error:
            raise ValueError(f"{start}: {error}.") from error
        return f"{start}{found}{end}"

    return _PART.sub(fill, text)


def figures_of(
    paper: str, experiments: Mapping[str, Experiment]
) -> list[tuple[str, str, str | None]]:
    """Returns which experiment draws which figure of a paper, in order.

    Args:
        paper: One of `titles.PAPERS`.
        experiments: All experiments by name.

    Returns:
        The number of each figure, what it shows, and the name of the
        experiment, `None` for figures that show no result.
    """
    drawings = titles.PAPERS[paper].items()
    found: list[tuple[str, str, str | None]] = [
        (number, shows, None) for number, shows in drawings
    ]
    for name, experiment in experiments.items():
        if experiment.paper == paper:
            figures = experiment.figures.items()
            found += [(number, shows, name) for number, shows in figures]
    return sorted(found, key=lambda row: _order(row[0]))


def _order(number):
    """Returns what sorts the numbers of figures: 2, 15a, 15b, S1."""
    appendix, digits, letter = re.fullmatch(
        "([A-Z]?)([0-9]+)([a-z]?)", number
    ).groups()
    return appendix, int(digits), letter


def _claim_of(archive, id, subject=""):
    for one in archive["claims"]:
        if (one["id"], one["subject"]) == (id, subject):
            return one
    raise ValueError(f"no claim has the id {id!r} and the subject {subject!r}")


def _main_of(archive):
    """Returns the main claim of an archive, or the first if it has none."""
    claims = archive["claims"]
    return next((one for one in claims if one["main"]), claims[0])


def _papers_table(archives, folder):
    lines = [
        "| paper | its main claim | the paper's number; wanted, whose | ours; "
        "seeds; null | verdict |",
        "|---|---|---|---|---|",
    ]
    for paper, (name, page, words) in titles.HEADLINES.items():
        found = wording.cells(_main_of(archives[name]))
        wanted, ours = (
            "; ".join(found[key] for key in keys)
            for keys in (("paper", "limits"), ("ours", "null"))
        )
        verdict = f"[{found['verdict']}]({folder}{page})"
        lines.append(wording.row([paper, words, wanted, ours, verdict]))
    return _block(lines)


def _tallies_table(archives):
    claims = [one for each in archives.values() for one in each["claims"]]
    own = wording.counted(claims)
    lines = [
        f"| whose threshold | {' | '.join(claim.VERDICTS)} |",
        "|---|" + "---|" * len(claim.VERDICTS),
    ]
    for source, title in claim.SOURCES.items():
        of_source = [one["verdict"] for one in own if one["source"] == source]
        counts = [str(of_source.count(word)) for word in claim.VERDICTS]
        lines.append(wording.row([title, *counts]))
    marks = [
        f"{sum(mark in one['marks'] for one in claims)} {mark}"
        for mark in claim.MARKS
    ]
    unknown = sum(one["verdict"] == claim.NOT_MEASURED for one in claims)
    return _block(
        [
            *lines,
            "",
            f"*Of {len(claims)} claims {len(claims) - len(own)} are not "
            f"counted: {', '.join(marks)} (some are two of these), and "
            f"{unknown} {claim.NOT_MEASURED}.*",
        ]
    )


def _earlier_table(archives):
    lines = [
        "| archive | earlier verdict, and today's | claims |",
        "|---|---|---|",
    ]
    for name, archive in archives.items():
        now = {(c["id"], c["subject"]): c["verdict"] for c in archive["claims"]}
        changes = Counter(
            (each["verdict"], now.get((each["id"], each["subject"]), "dropped"))
            for each in archive["earlier"]
        )
        for (old, new), count in sorted(changes.items()):
            lines.append(
                wording.row([f"`{name}`", f"{old}, {new}", str(count)])
            )
    return _block(lines)


def _experiments_table(archives, experiments):
    verdicts = ", ".join(claim.VERDICTS)
    lines = [
        f"| archive | main claim | ours | null | verdict | {verdicts} | seeds "
        "| time |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, experiment in experiments.items():
        if not experiment.figures:
            continue
        own = {k: a for k, a in archives.items() if a["experiment"] == name}
        if not own:
            cells = [f"none yet of `{name}`", *[""] * 7]
            lines.append(wording.row(cells))
        for key, archive in own.items():
            one = _main_of(archive)
            words = wording.cells(one)
            counts = Counter(
                each["verdict"] for each in wording.counted(archive["claims"])
            )
            cells = [
                f"[`{key}`](../results/{key}.json)",
                words["statement"],
                wording.value(one),
                words["null"],
                words["verdict"],
                ", ".join(str(counts[word]) for word in claim.VERDICTS),
                str(len(archive["seeds"])),
                cost(archive),
            ]
            lines.append(wording.row(cells))
    return _block(lines)


def _figures_table(archives, figures):
    lines = [
        "| figure | shows | run by | so far |",
        "|---|---|---|---|",
    ]
    for number, shows, name in figures:
        if name is None:
            lines.append(wording.row([number, shows, "", "a drawing"]))
            continue
        runs = [
            f"{_size(key)}: `{key}`{labels}"
            for key, archive in archives.items()
            if archive["experiment"] == name
            and (labels := _labels(archive, number)) is not None
        ]
        told = "; ".join(runs) or "not run"
        lines.append(wording.row([number, shows, f"`reproduce.{name}`", told]))
    return _block(lines)


def _smaller_table(archives, experiments, paper):
    lines = ["| archive | settings (the paper's) |", "|---|---|"]
    for name, archive in archives.items():
        experiment = experiments[archive["experiment"]]
        if experiment.paper == paper:
            cells = [f"`{name}`", _other_settings(archive, experiment)]
            lines.append(wording.row(cells))
    return _block(lines)


def _other_settings(archive, experiment):
    """Returns the settings of an archive that are not those of the paper."""
    papers = archive_file.papers_settings(archive["flags"], experiment)
    if papers is None:
        return "not known: no flag file has the paper's"
    own = archive_file.configured(experiment, archive["config"])
    told = []
    for key, (whole, part, _) in archive_file.changes(papers, own).items():
        if key in ("seeds", "log_steps"):  # other tables have those
            continue
        if isinstance(part, tuple) and {*part} < {*whole}:
            told.append(f"{key} {len(part)} of {len(whole)}")
        elif _setting(part) != _setting(whole):
            told.append(f"{key} {_setting(part)} ({_setting(whole)})")
    return "; ".join(told) or "none"


def _setting(value):
    """Returns the value of a flag in words."""
    if isinstance(value, tuple):
        return ", ".join(map(_setting, value)) or "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)


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


def cost(archive: Mapping[str, Any]) -> str:
    """Returns the time of all stages of an archived run, in words."""
    config = archive["config"]
    shares = {
        config["cpus_per_task"] or int(cores) / config["workers"]
        if not threads  # an old archive
        else min(int(cores), int(threads))
        for cores, threads in _CORES.findall(str(archive["made"]["machines"]))
    }
    taken = training.duration(archive["made"]["seconds"])
    if not shares:  # only Linux tells the machine
        return taken
    told = " to ".join(f"{share:g}" for share in sorted(shares))
    return f"{taken} of " + ("one core" if told == "1" else f"{told} cores")


def _claims_table(archive):
    lines = wording.markdown(archive["claims"])
    commits = ", ".join(archive["made"]["commits"])
    lines += [
        "",
        f"*`{archive['flags']}.flags`, seeds "
        f"{', '.join(map(str, archive['seeds']))}; mean and 95 % interval over "
        f"seeds; {cost(archive)}, {'; '.join(archive['made']['machines'])}; "
        f"commit {commits}.*",
    ]
    return _block(lines)


def _table(archives, experiments, title):
    """Returns the tables of one title of several archives as one."""
    same = [
        table
        for one in archives
        for table in experiments[one["experiment"]].tables(one["records"])
        if table.title == title
    ]
    if len(same) < len(archives):
        raise ValueError(f"not every archive has a table {title!r}")
    rows = [row for table in same for row in table.rows]
    return _lines(dataclasses.replace(same[0], rows=rows))


def _across(archives, experiments, title):
    """Returns a table that compares archives of one experiment."""
    experiment = experiments[next(iter(archives.values()))["experiment"]]
    records = {name: one["records"] for name, one in archives.items()}
    for table in experiment.across(records):
        if table.title == title:
            return _lines(table)
    raise ValueError(f"no comparison has the title {title!r}")


def _lines(table):
    """Returns a table as it stands in a document."""
    lines = [wording.row(table.columns), "|" + "---|" * len(table.columns)]
    lines += [wording.row(row) for row in table.rows]
    if table.note:
        lines += ["", f"*{table.note}*"]
    return _block(lines)


def _block(lines):
    return "\n" + "\n".join(lines) + "\n"

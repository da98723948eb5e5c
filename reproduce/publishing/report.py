"""A report: one page with what runs found, beside what the papers say.

The page needs no server and no network: pictures, data and the one program
that draws charts are in it. All of it comes from results.json of run folders
or from the archives in results/, and from the experiments' own functions.
"""

import base64
import dataclasses
import pathlib
import re

from modularity_tf import plots
from reproduce.publishing import archive, charts, claim, evidence, titles
from reproduce.running import run as harness_run

_DPI = 100  # of pictures in the page
_TEMPLATES = pathlib.Path(__file__).parent / "templates"
_FIDELITY = pathlib.Path(__file__).parents[2] / "docs" / "fidelity.md"


@dataclasses.dataclass(frozen=True)
class Reported:
    """A run as a report reads it.

    Attributes:
        name: Str, of the archive or the run folder.
        experiment: `Experiment`.
        results: Dict, what results.json or the archive holds.
        folder: Path of the run folder, or `None` for an archive.
    """

    name: str
    experiment: object
    results: dict
    folder: pathlib.Path | None = None

    @property
    def config(self):
        """The `Config`, or `None` if the experiment has other flags by now."""
        try:
            return archive.configured(self.experiment, self.results["config"])
        except ValueError:
            return None

    @property
    def flags(self):
        """Str, the flag file that describes the run, or `None`."""
        if "flags" in self.results:
            return self.results["flags"]
        try:
            return archive.flag_file_of(self.experiment, self.config)
        except (AttributeError, ValueError):
            return None


def import_packages():
    """Returns the modules `jinja2` and `plotly.offline`.

    Raises:
        ValueError: If they are not installed, with what to install.
    """
    try:
        import jinja2
        from plotly import offline
    except ImportError:
        raise ValueError(
            "A report needs Jinja2 and Plotly: pip install "
            "'modularity_tf[report]'."
        ) from None
    return jinja2, offline


def load(argument, results_folder, experiments):
    """Returns a run.

    Args:
        argument: Str: a run folder, an archive, or the name of an archive.
        results_folder: Path of the folder of the archives.
        experiments: Dict from name to `Experiment`.

    Returns:
        `Reported`.

    Raises:
        ValueError: If there is no such run, or it is not finished.
    """
    path, folder = pathlib.Path(argument), None
    if path.is_dir():
        folder, file = path, path / "results.json"
        if not file.exists():
            raise ValueError(f"{file} is not there: finish the run first.")
    elif path.suffix == ".json" and path.exists():
        file = path
    else:
        file = results_folder / f"{argument}.json"
        if not file.exists():
            known = ", ".join(
                p.stem for p in sorted(results_folder.glob("*.json"))
            )
            raise ValueError(
                f"{argument!r} is neither a run folder nor an archive in "
                f"{results_folder}, which has: {known or 'none'}."
            )
    results = harness_run.read_results(file)
    name = file.stem
    experiment = results.get("experiment")
    if folder is not None:
        name = folder.resolve().name
        parent = folder.resolve().parent.name
        whole = (
            f"{parent}/{name}" if name.startswith(harness_run.PART) else name
        )
        name, experiment = whole, whole.split("-")[0]
    if experiment is None:
        raise ValueError(f"{file} does not tell its experiment.")
    experiment = archive.experiment_of(experiment, experiments)
    return Reported(name, experiment, results, folder)


def page(runs, compare=False):
    """Returns the page of some runs, HTML.

    Args:
        runs: Iterable of `Reported`.
        compare: Bool. Two runs of one experiment side by side.

    Raises:
        ValueError: If two runs to compare are not two, or not of one
            experiment, or a package is missing.
    """
    jinja2, offline = import_packages()
    if compare:
        runs = [*runs]
        _check_pair(runs)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["statement"] = titles.in_statement
    environment.filters["unbroken"] = _unbroken
    template = "compare.html" if compare else "report.html"
    content = {"pair": _pair(*runs)} if compare else {"papers": _papers(runs)}
    return environment.get_template(template).render(
        **content,
        verdicts=claim.VERDICTS,
        plotly=offline.get_plotlyjs(),
    )


def write(text, file):
    """Writes a page; the file appears whole or not at all."""
    file = pathlib.Path(file)
    partial = file.with_name(f"{file.name}.partial")
    partial.write_text(text, "utf-8")
    partial.replace(file)


def _check_pair(runs):
    if len(runs) != 2:
        raise ValueError(f"--compare takes two runs, got {len(runs)}.")
    names = [run.experiment.name for run in runs]
    if len(set(names)) > 1:
        raise ValueError(
            f"--compare takes two runs of one experiment, got {names[0]} and "
            f"{names[1]}."
        )


def _papers(runs):
    """Returns the runs by paper, as the template takes them."""
    order = [titles.OWN_MODEL, *titles.PAPERS, titles.OWN]
    by_paper = {paper: [] for paper in order}
    for run in runs:
        by_paper[run.experiment.paper].append(_section(run))
    deviations = _deviations()
    return [
        {
            "name": paper,
            "id": _id(paper),
            "runs": sections,
            "deviations": deviations.get(paper, ""),
        }
        for paper, sections in by_paper.items()
        if sections
    ]


def _section(run):
    """Returns what the template shows of a run."""
    results = run.results
    claims = results["claims"]
    main = [one for one in claims if one["main"]]
    rest = [one for one in claims if not one["main"]]
    return {
        "id": _id(run.name),
        "name": run.name,
        "title": run.experiment.title,
        "figures": run.experiment.figures,
        "command": _command(run),
        "facts": _facts(run),
        "counts": {
            word: sum(one["verdict"] == word for one in claims)
            for word in claim.VERDICTS
        },
        "claims": [
            {
                "title": title,
                "rows": [evidence.cells(one) for one in own],
                "charts": charts.of_claims(own),
                "open": is_open,
            }
            for title, own, is_open in (
                ("Main claims" if rest else "Claims", main, True),
                ("Other claims" if main else "Claims", rest, not main),
            )
            if own
        ],
        "against": [
            {"verdict": one["verdict"], "text": _against(one)}
            for one in claims
            if one["verdict"] in ("differs", "undetermined")
        ],
        "settings": _settings(run),
        "remarks": _remarks(run),
        "tables": [
            dataclasses.asdict(table)
            for table in run.experiment.tables(results["records"])
        ],
        "pictures": _pictures(run),
    }


def _id(name):
    return re.sub(r"\W+", "-", name)


def _command(run):
    """Returns the command that makes a run again."""
    start = f"python -m reproduce.{run.experiment.name}"
    config, flags = run.config, run.flags
    if config is None:
        return start
    if flags is None:
        asked = run.experiment.config()
    else:
        start += f" --flagfile=reproduce/flags/{flags}.flags"
        asked = archive.read_flags(
            run.experiment, archive.FLAGS_FOLDER / f"{flags}.flags"
        )
    changed = [
        f" --{name}={_words(value)}"
        for name, (_, value, _) in _changes(asked, config, own=True).items()
    ]
    return start + "".join(changed)


def _changes(one, other, own=False):
    """Returns fields in which configurations differ: values and help.

    Args:
        one: `Config`.
        other: Another.
        own: Bool. Only what the experiment computes: not where, on how many
            cores.
    """
    return {
        f.name: (
            getattr(one, f.name),
            getattr(other, f.name),
            f.metadata["help"],
        )
        for f in dataclasses.fields(one)
        if getattr(one, f.name) != getattr(other, f.name)
        and (f.metadata["names_run"] or f.metadata["part"] or not own)
    }


def _words(value):
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _facts(run):
    """Returns what a run took: pairs of a name and words."""
    results = run.results
    made, versions = results.get("made"), results.get("versions", {})
    found = {"Seeds": ", ".join(map(str, results["seeds"]))}
    if made:
        found["Cost"] = evidence.cost(results)
        found["Hardware"] = "; ".join(made["machines"])
        found["Commit"] = ", ".join(made["commits"])
    else:
        found["Hardware"] = versions.get("machine", "not recorded")
        found["Commit"] = versions.get("commit", "not recorded")
    if gpus := versions.get("gpus"):
        found["Hardware"] += f", {gpus} GPU" + "s" * (gpus > 1)
    packages = ("python", "tensorflow", "keras", "numpy")
    found["Versions"] = ", ".join(
        f"{name} {versions[name]}" for name in packages if name in versions
    )
    return [(name, text) for name, text in found.items() if text]


def _against(one):
    """Returns how a claim misses its threshold, a sentence."""
    cells = evidence.cells(one)
    whose = {"paper": "the paper's", "ours": "ours"}[one["source"]]
    side = "at least" if one["at_least"] else "at most"
    threshold = claim.number(one, one["threshold"])
    if one["mean"] is None:
        return f"{cells['statement']}: not measured."
    how = (
        "the interval contains it"
        if one["verdict"] == "undetermined"
        else "the whole interval lies on the other side"
    )
    return (
        f"{cells['statement']}: ours is {cells['ours']}, "
        f"and the threshold ({whose}) is {side} {threshold}; {how}."
    )


def _settings(run):
    """Returns in what a run differs from the paper's own settings."""
    config, flags = run.config, run.flags
    if config is None or flags is None:
        return []
    names = (
        f"{flags.rpartition('_')[0]}_paper",
        f"{run.experiment.name}_paper",
    )
    files = [archive.FLAGS_FOLDER / f"{name}.flags" for name in names]
    files = [file for file in files if file.exists()]
    if not files:
        return []
    asked = archive.read_flags(run.experiment, files[0])
    return [
        {"name": name, "what": what, "paper": _words(old), "ours": _words(new)}
        for name, (old, new, what) in _changes(asked, config, own=True).items()
    ]


def _remarks(run):
    """Returns what the run's flag file says of its cost and settings."""
    if run.flags is None:
        return ""
    text = (archive.FLAGS_FOLDER / f"{run.flags}.flags").read_text("utf-8")
    lines = [line[1:].strip() for line in text.splitlines() if line[:1] == "#"]
    return " ".join(lines)


def _pictures(run):
    """Returns the figures of a run: name, picture, and chart or `None`."""
    found = []
    for name, fig in run.experiment.draw(run.results["records"]).items():
        found.append(
            {
                "name": name,
                "title": _caption(name),
                "png": _encoded(fig),
                "chart": charts.of_figure(fig),
            }
        )
    return found


def _caption(name):
    """Returns the name of a figure's file in words.

    That is "Figure 6a: relative drop" for fig06a_relative_drop, and "Units
    hidden" for units_hidden.
    """
    number, _, rest = name.partition("_")
    if match := re.fullmatch("fig0*(.+)", number):
        return f"Figure {match[1]}: {rest.replace('_', ' ')}"
    return name[:1].upper() + name[1:].replace("_", " ")


def _unbroken(text):
    """Returns text whose lines do not break between a number and its unit."""
    return str(text).replace(" %", "\N{NO-BREAK SPACE}%")


def _encoded(fig):
    return base64.b64encode(plots.as_png(fig, _DPI)).decode()


def _deviations():
    """Returns the tables of docs/fidelity.md, HTML by paper.

    Empty where the documents are not installed.
    """
    if not _FIDELITY.exists():
        return {}
    import markdown_it

    parser = markdown_it.MarkdownIt("commonmark", {"html": False})
    parser.enable("table")
    found = {}
    for part in _FIDELITY.read_text("utf-8").split("\n## ")[1:]:
        heading, _, text = part.partition("\n")
        for paper in titles.PAPERS:
            if heading.startswith(paper):
                found[paper] = parser.render(text.replace("](", "](docs/"))
    return found


def _pair(first, second):
    """Returns two runs side by side, as the template takes them."""
    sections = [_section(first), _section(second)]
    claims = {}
    for side, run in enumerate((first, second)):
        for one in run.results["claims"]:
            row = claims.setdefault(one["statement"], [None, None])
            row[side] = evidence.cells(one)
    configs = [first.config, second.config]
    settings = []
    if None not in configs:
        settings = [
            {"name": name, "what": what, "values": [_words(a), _words(b)]}
            for name, (a, b, what) in _changes(*configs, own=True).items()
        ]
    pictures = {}
    for side, section in enumerate(sections):
        for picture in section["pictures"]:
            pictures.setdefault(picture["name"], [None, None])[side] = picture
    return {
        "sections": sections,
        "settings": settings,
        "claims": claims,
        "changed": sum(
            None in row or row[0]["verdict"] != row[1]["verdict"]
            for row in claims.values()
        ),
        "pictures": pictures,
    }

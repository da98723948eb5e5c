"""A report: one page with what runs found, beside what the papers say.

The page needs no server and no network: its pictures are in it. All of it
comes from results.json of run folders or from the archives in results/, and
from the experiments' own functions.
"""

import base64
import dataclasses
import datetime
import io
import os
import pathlib
import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import figure
from matplotlib.backends import backend_agg
from PIL import Image

from reproduce.publishing import (
    archive,
    claim,
    commands,
    evidence,
    titles,
    wording,
)
from reproduce.publishing.experiment import Experiment
from reproduce.running import configuration
from reproduce.running.run import PART, read_results

_DPI, _COLORS = 80, 64  # of pictures: a page has hundreds
_TEMPLATES = pathlib.Path(__file__).parent / "templates"
_ROOT = pathlib.Path(__file__).parents[2]
_FIDELITY = "docs/fidelity.md"
PROJECT = "modularity_tf"
# A page of more runs than these shows the first figures of each run alone.
FEW, MOST = 5, 3


@dataclasses.dataclass(frozen=True)
class Reported:
    """A run as a report reads it.

    Attributes:
        name: That of the archive or of the run folder.
        experiment: Whose run it is.
        results: What results.json or the archive holds.
    """

    name: str
    experiment: Experiment
    results: dict[str, Any]

    @property
    def config(self) -> configuration.Config | None:
        """The configuration; `None` if the experiment has other flags now."""
        try:
            return archive.configured(self.experiment, self.results["config"])
        except ValueError:
            return None

    @property
    def flags(self) -> str | None:
        """The name of the flag file that describes the run, or `None`."""
        if "flags" in self.results:
            return self.results["flags"]
        try:
            return archive.flag_file_of(self.experiment, self.config)
        except (AttributeError, ValueError):
            return None


def import_packages() -> types.ModuleType:
    """Returns the module `jinja2`, without which there is no report.

    Raises:
        ValueError: If it is not installed, with what to install.
    """
    try:
        import jinja2
    except ImportError:
        raise ValueError(
            "A report needs Jinja2: pip install 'modularity_tf[report]'."
        ) from None
    return jinja2


def load(
    argument: str | pathlib.Path,
    results_folder: pathlib.Path,
    experiments: Mapping[str, Experiment],
) -> Reported:
    """Returns a run.

    Args:
        argument: A run folder, an archive, or the name of an archive.
        results_folder: The folder of the archives.
        experiments: The experiments by name.

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
    results = read_results(file)
    name = file.stem
    experiment = results.get("experiment")
    if folder is not None:
        name = folder.resolve().name
        parent = folder.resolve().parent.name
        whole = f"{parent}/{name}" if name.startswith(PART) else name
        name, experiment = whole, whole.split("-")[0]
    if experiment is None:
        raise ValueError(f"{file} does not tell its experiment.")
    experiment = archive.experiment_of(experiment, experiments)
    if folder is not None:  # archives are written anew when a rule changes
        claims = experiment.claims(results["records"]).checked()
        results = {**results, "claims": claims}
    return Reported(name, experiment, results)


def page(
    runs: Sequence[Reported],
    compare: bool = False,
    each: Callable[..., Iterable[Any]] = map,
    folder: pathlib.Path | None = None,
) -> str:
    """Returns the page of some runs, HTML.

    Args:
        runs: What the page shows.
        compare: Whether it shows two runs of one experiment side by side.
        each: Applies a function to each run; that of a pool of processes
            draws the figures of several runs at once.
        folder: Where the page will lie, for its links to the documents;
            `None` for the working folder.

    Raises:
        ValueError: If two runs to compare are not two, or not of one
            experiment, or Jinja2 is missing.
    """
    jinja2 = import_packages()
    if compare:
        _check_pair(runs)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["unbroken"] = _unbroken
    template = "compare.html" if compare else "report.html"
    section = _section if len(runs) <= FEW else _short_section
    sections = [*each(section, runs)]
    start = pathlib.Path(os.path.relpath(_ROOT, folder or pathlib.Path.cwd()))
    for run, section in zip(runs, sections, strict=True):
        document = titles.PAGES.get(run.experiment.name, "")
        section["page"] = _link(document, start)
    content = {
        "project": PROJECT,
        "date": f"{datetime.date.today():%-d %B %Y}",
        "verdicts": claim.VERDICTS,
    }
    if compare:
        content["pair"] = _pair(runs, sections)
    else:
        content["papers"] = _papers(runs, sections, start)
    return environment.get_template(template).render(**content)


def _link(document, start):
    """Returns the address of a document as a page has it; "" without one.

    That is its page on the site, where that was built.

    Args:
        document: Str, its name in docs/.
        start: Path from the page's folder to the root of the repository.
    """
    built = f"site/{pathlib.Path(document).stem}.html"
    for file in (built, f"docs/{document}"):
        if document and (_ROOT / file).is_file():
            return (start / file).as_posix()
    return ""


def write(text: str, file: pathlib.Path) -> None:
    """Writes a page; the file appears whole or not at all."""
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


def _papers(runs, sections, start):
    """Returns the runs by paper, as the template takes them."""
    order = [titles.OWN_MODEL, *titles.PAPERS, titles.OWN]
    by_paper = {paper: [] for paper in order}
    for run, section in zip(runs, sections, strict=True):
        by_paper[run.experiment.paper].append(section)
    deviations = _deviations(start)
    return [
        {
            "name": paper,
            "id": _id(paper),
            "runs": sections,
            "deviations": deviations.get(paper, ""),
            **_headline(paper, runs, start),
        }
        for paper, sections in by_paper.items()
        if sections
    ]


def _headline(paper, runs, start):
    """Returns what a paper says mainly and what we found, and its page."""
    if paper not in titles.HEADLINES:
        return {"says": "", "found": "", "page": ""}
    name, document, words = titles.HEADLINES[paper]
    found = ""
    for run in runs:
        if run.name == name:
            one = next(c for c in run.results["claims"] if c["main"])
            found = (
                f"Ours: {wording.value(one)}, wanted {wording.limits(one)}; "
                f"{wording.null(one)}. Verdict: {one['verdict']}."
            )
    return {"says": words, "found": found, "page": _link(document, start)}


def _short_section(run):
    """Returns what the template shows of one run among many."""
    return _section(run, MOST)


def _section(run, most=None):
    """Returns what the template shows of a run.

    Args:
        run: `Reported`.
        most: Int, how many figures are shown at most, the first ones; `None`
            for all.
    """
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
        "tally": wording.tally(claims),
        "counts": {
            word: sum(one["verdict"] == word for one in wording.counted(claims))
            for word in claim.VERDICTS
        },
        "claims": [
            {
                "title": title,
                "rows": [_cells(one) for one in own],
                "open": is_open,
            }
            for title, own, is_open in (
                ("Main claim" if rest else "Claims", main, True),
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
        **_pictures(run, most),
    }


def _cells(one):
    """Returns a claim in words, with the verdict and each mark by itself."""
    return {
        **wording.cells(one),
        "word": one["verdict"],
        "marks": one["marks"],
    }


def _id(name):
    return re.sub(r"\W+", "-", name)


def _command(run):
    """Returns the command that makes a run again."""
    config, flags = run.config, run.flags
    is_known = config is not None and flags is not None
    file = f"{flags}.flags" if is_known else ""
    start = commands.command(run.experiment.name, file)
    if config is None:
        return start
    if flags is None:
        asked = run.experiment.config()
    else:
        asked = archive.read_flags(
            run.experiment, archive.FLAGS_FOLDER / f"{flags}.flags"
        )
    changed = [
        f" --{name}={_words(value)}"
        for name, (_, value, _) in archive.changes(asked, config).items()
    ]
    return start + "".join(changed)


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
    """Returns why a claim does not agree, a sentence."""
    cells = wording.cells(one)
    whose = {"paper": "the paper's limit", "ours": "our limit", "own": "ours"}
    how = (
        "the whole interval lies beyond it"
        if one["verdict"] == "differs"
        else "the interval contains its end, or the null does as well"
    )
    return (
        f"{cells['statement']}: ours is {wording.value(one)}, and wanted is "
        f"{wording.limits(one)} ({whose[one['source']]}); {how}. "
        f"Null: {cells['null']}."
    )


def _settings(run):
    """Returns in what a run differs from the paper's own settings."""
    config, flags = run.config, run.flags
    if config is None or flags is None:
        return []
    asked = archive.papers_settings(flags, run.experiment)
    if asked is None:
        return []
    return [
        {"name": name, "what": what, "paper": _words(old), "ours": _words(new)}
        for name, (old, new, what) in archive.changes(asked, config).items()
    ]


def _remarks(run):
    """Returns what the run's flag file says of its cost and settings."""
    if run.flags is None:
        return ""
    text = (archive.FLAGS_FOLDER / f"{run.flags}.flags").read_text("utf-8")
    lines = [line[1:].strip() for line in text.splitlines() if line[:1] == "#"]
    return " ".join(lines)


def _pictures(run, most):
    """Returns the figures of a run, and how to see those that are left out.

    Args:
        run: `Reported`.
        most: As in `_section`.
    """
    figures = run.experiment.draw(run.results["records"])
    shown = [
        {"name": name, "title": _caption(name), "png": _encoded(figures[name])}
        for name in [*figures][:most]
    ]
    return {
        "pictures": shown,
        "left_out": len(figures) - len(shown),
        "all_figures": f"{commands.command('report')} {run.name}",
    }


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


def _encoded(fig: figure.Figure) -> str:
    """Returns a figure as PNG of few colors, in base64.

    As SVG most figures would be three times as large.
    """
    fig.set_dpi(_DPI)
    if (engine := fig.get_layout_engine()) is not None:
        engine.execute(fig)
        fig.set_layout_engine("none")  # which else places all a second time
    canvas = backend_agg.FigureCanvasAgg(fig)
    canvas.draw()  # once: `savefig` draws twice
    whole = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    small = whole.quantize(
        _COLORS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
    )
    buffer = io.BytesIO()
    small.save(buffer, format="png")
    return base64.b64encode(buffer.getvalue()).decode()


def _deviations(start):
    """Returns the tables of docs/fidelity.md, HTML by paper.

    Empty where the documents are not installed.

    Args:
        start: Path from the page's folder to the root of the repository.
    """
    if not (_ROOT / _FIDELITY).exists():
        return {}
    import markdown_it

    parser = markdown_it.MarkdownIt("commonmark", {"html": False})
    parser.enable("table")
    found = {}
    for part in (_ROOT / _FIDELITY).read_text("utf-8").split("\n## ")[1:]:
        heading, _, text = part.partition("\n")
        for paper in titles.PAPERS:
            if heading.startswith(paper):
                docs = (start / "docs").as_posix()
                found[paper] = parser.render(text.replace("](", f"]({docs}/"))
    return found


def _pair(runs, sections):
    """Returns two runs side by side, as the template takes them."""
    claims = {}
    for side, run in enumerate(runs):
        for one in run.results["claims"]:
            key = one["id"], one["subject"]
            row = claims.setdefault(key, [None, None])
            row[side] = _cells(one)
    configs = [run.config for run in runs]
    settings = []
    if None not in configs:
        settings = [
            {"name": name, "what": what, "values": [_words(a), _words(b)]}
            for name, (a, b, what) in archive.changes(*configs).items()
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
            None in row or row[0]["word"] != row[1]["word"]
            for row in claims.values()
        ),
        "pictures": pictures,
    }

"""Figures and tables of others_ground, from the records alone."""

from typing import Any

import numpy as np
from matplotlib import figure

from modularity_tf import plots
from reproduce.known_truth.others import claims, methods, stages
from reproduce.publishing.records import grouped, mean
from reproduce.publishing.table import Table

NAMES = {
    methods.MASK: "learned mask over weights",
    methods.EDGES: "learned mask over edges",
    methods.GATES: "learned gates",
    methods.GATES_MASK: "mask over weights in what gates keep",
    "gradient": "|weight x gradient|",
    "ablation": "single ablation",
    "magnitude": "|weight|",
    "random": "random scores",
}
PUBLISHED = ("ACDC", "HISP", "SP")


def draw(records: list[dict[str, Any]]) -> dict[str, figure.Figure]:
    """Returns the figures that there are records for."""
    found = {}
    of_programs = [r for r in records if r["ground"] == stages.PROGRAMS]
    forms = grouped(of_programs, "form")
    if stages.PLAIN in forms:
        found["figA_published"] = _published(forms[stages.PLAIN])
    if stages.DECOYS in forms:
        found["figB_decoys"] = _decoys(forms[stages.DECOYS])
    toys = [
        r
        for r in records
        if r["ground"] == stages.SUPERPOSITION and r["kind"] in claims.COSINES
    ]
    if toys:
        found["figC_superposition"] = _superposition(toys)
    return found


def _published(records):
    """Returns areas of edges and nodes, beside those that are published."""
    columns, panels = [], {}
    for program, of_program in grouped(records, "program").items():
        for ablation, seeds in grouped(of_program, "ablation").items():
            columns.append((f"{program}, {ablation}", program, ablation, seeds))
    shown = [m for m in NAMES if m in records[0]["found"]]
    for parts in ("edges", "nodes"):
        rows = [
            [
                mean(claims.scores(seeds, method, parts, "auc"))
                for *_, seeds in columns
            ]
            for method in shown
        ]
        rows += [
            [
                claims.AREAS[ablation, program, parts][i]
                for _, program, ablation, _ in columns
            ]
            for i in range(len(PUBLISHED))
        ]
        panels[parts] = np.array(rows)
    fig = plots.heat_maps(
        panels,
        [*(NAMES[m] for m in shown), *(f"{n}, published" for n in PUBLISHED)],
        [name for name, *_ in columns],
        "Who finds the edges and nodes of a compiled program?",
        "area under the ROC curve",
    )
    seeds = {r["seed"] for r in records}
    n = f"means over n = {len(seeds)} seeds" if len(seeds) > 1 else "one seed"
    plots.explain(fig, f"Ours: {n}. Gray cells: not measured.")
    return fig


def _decoys(records):
    """Returns precision and recall of sets, with decoys."""
    of_programs = grouped(records, "program")
    rows = [
        (methods.MASK, "edges"),
        (methods.MASK, "nodes"),
        (methods.EDGES, "edges"),
        (methods.EDGES, "nodes"),
        (methods.GATES, "nodes"),
        (methods.GATES_MASK, "edges"),
        (methods.GATES_MASK, "nodes"),
    ]
    rows = [row for row in rows if row[0] in records[0]["found"]]
    panels = {
        key: np.array(
            [
                [
                    mean(claims.scores(each, *row, key))
                    for each in of_programs.values()
                ]
                for row in rows
            ]
        )
        for key in ("precision", "recall")
    }
    fig = plots.heat_maps(
        panels,
        [f"{NAMES[method]}: {parts}" for method, parts in rows],
        [*of_programs],
        "What is kept of programs with decoys",
        "mean over networks",
    )
    counts = sorted({len(each) for each in of_programs.values()})
    n = " or ".join(map(str, counts))
    plots.explain(fig, f"Means over n = {n} networks of each program.")
    return fig


def _superposition(records):
    """Returns how near what is kept is to the right columns."""
    fig = plots.new_figure(1.6 + 1.4 * len(records), 3.2)
    ax = fig.subplots()
    for i, record in enumerate(records):
        lowest = [n["lowest"] for n in record["networks"]]
        jitter = np.linspace(-0.25, 0.25, len(lowest))
        ax.plot(i + jitter, np.sort(lowest), ".", color=plots.color(0))
    ax.axhline(np.sqrt(0.5), color="black", linewidth=0.8, linestyle="--")
    ax.set_xticks(range(len(records)), [r["kind"] for r in records])
    ax.set_ylim(0, 1.02)
    ax.set_ylabel("lowest cosine of a feature")
    ax.set_title("Is each mask its feature's column?", fontsize=10)
    plots.explain(
        fig, "A dot is a network; below the dashed line it is broken."
    )
    return fig


def tables(records: list[dict[str, Any]]) -> list[Table]:
    """Returns the areas beside the published ones, the toys, and the sizes."""
    of_programs = [r for r in records if r["ground"] == stages.PROGRAMS]
    plain = [r for r in of_programs if r["form"] == stages.PLAIN]
    found = []
    rows = []
    for program, of_program in grouped(plain, "program").items():
        for ablation, seeds in grouped(of_program, "ablation").items():
            for parts in ("edges", "nodes"):
                rows.append(
                    (
                        program,
                        ablation,
                        parts,
                        *(
                            _number(mean(claims.scores(seeds, m, parts, "auc")))
                            for m in NAMES
                        ),
                        *map(_number, claims.AREAS[ablation, program, parts]),
                    )
                )
    if rows:
        found.append(
            Table(
                "Area under the ROC curve of compiled programs",
                ("program", "ablation", "of", *NAMES.values(), *PUBLISHED),
                rows,
                "The last three are published.",
            )
        )
    rows = []
    for program, seeds in grouped(of_programs, "program").items():
        told = seeds[0]["truth"]
        rows.append(
            (
                program,
                str(told["width"]),
                f"{told['nodes']} of {told['of_nodes']}",
                f"{told['edges']} of {told['of_edges']}",
                f"{told['weights']} of {told['not_zero']}",
                f"{told['alone']:.0%}",
            )
        )
    if rows:
        found.append(
            Table(
                "What compiled programs need",
                (
                    "program",
                    "width",
                    "nodes",
                    "edges",
                    "weights one by one",
                    "right with the needed edges alone",
                ),
                rows,
            )
        )
    return found


def _number(value):
    return "" if np.isnan(value) else f"{value:.3f}"

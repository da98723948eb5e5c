"""Do easy and hard questions share their weights? Claims and figures.

Everything here is computed from the records of `reproduce.mathematics`, one
for each module and seed.
"""

import textwrap

import numpy as np

from modularity_tf import plots
from reproduce.csordas2021.sequences import losses
from reproduce.csordas2021.sequences.mathematics import (
    ALL,
    EASY,
    HARD,
    LEVELS,
)
from reproduce.publishing import claim, titles
from reproduce.publishing.records import grouped

_MASKS = ("mask of all levels", "mask of easy")


def accuracies(record, level):
    """Returns what each mask gets right of a level, a dict."""
    masks = record["masks"]
    return {
        "no mask": record["dense"][level],
        "mask of all levels": masks[ALL]["levels"][level],
        "mask of all levels, again": masks[ALL]["again"]["levels"][level],
        "mask of easy": masks[EASY]["levels"][level],
        "mask of easy, again": masks[EASY]["again"]["levels"][level],
    }


def drop(record, level):
    """Returns what the mask of easy loses against that of all levels."""
    return losses.gap(accuracies(record, level), *_MASKS)


def noise(record, level):
    """Returns how far two extractions of either mask lie apart, at most."""
    return losses.noise(accuracies(record, level), *_MASKS)


def claims(records):
    """Returns the paper's claims with thresholds fixed before any run."""
    found = claim.Claims()
    for module, repeats in grouped(records, "module").items():
        found.extend(_claims_of_module(module, repeats))
    return found


def _claims_of_module(module, repeats):
    found = claim.Claims(module)
    found.add(
        "hard_accuracy",
        "the network is good at hard questions: accuracy",
        [r["dense"][HARD] for r in repeats],
        at_least=0.7,
        bounds=claim.SHARE,
        paper="good",
        null=0.0,
        null_is="guessing",
    )
    found.add(
        "full_mask_keeps_accuracy",
        "the mask of all levels keeps the network's accuracy on hard",
        [_relative(r, ALL, HARD) for r in repeats],
        at_least=0.95,
        bounds=claim.RATIO,
        source="paper",
        paper="> 95 %",
        null=[_over_dense(r, r["masks"][ALL]["random"], HARD) for r in repeats],
        null_is="random masks of the same sizes",
    )
    found.add(
        "easy_mask_keeps_accuracy",
        "the mask of easy keeps the network's accuracy on easy",
        [_relative(r, EASY, EASY) for r in repeats],
        at_least=0.95,
        bounds=claim.RATIO,
        source="paper",
        paper="> 95 %",
        null=0.0,
        null_is="guessing",
    )
    found.add(
        "drop_on_hard",
        "on hard the mask of easy loses against that of all levels, by",
        [drop(r, HARD) for r in repeats],
        at_least=0.05,
        bounds=claim.DIFFERENCE,
        main=True,
        paper="consistent drop",
        null=[noise(r, HARD) for r in repeats],
        null_is="the same masks from another seed",
    )
    found.add(
        "drop_over_noise",
        "that drop exceeds the noise of masking, by",
        [drop(r, HARD) - noise(r, HARD) for r in repeats],
        at_least=0.0,
        null=0.0,
        null_is="noise alone",
        source="own",
        repeat=True,  # the same drop, against a limit that each seed sets
    )
    found.add(
        "drop_over_easy",
        "that drop is greater than the one on easy, by",
        [drop(r, HARD) - drop(r, EASY) for r in repeats],
        at_least=0.0,
        null=0.0,
        null_is="a worse mask for all questions",
        source="own",
    )
    return found


def _relative(record, task, level):
    return _over_dense(record, record["masks"][task]["levels"][level], level)


def _over_dense(record, value, level):
    return value / max(record["dense"][level], 1e-9)


def draw(records):
    """Returns figures 5 and 17, and the controls, from the records alone."""
    by_module = grouped(records, "module")
    seeds = set.intersection(
        *({r["seed"] for r in repeats} for repeats in by_module.values())
    )
    shown = {
        module: [r for r in repeats if r["seed"] in seeds]
        for module, repeats in by_module.items()
    }

    def percent(level, what):
        return 100 * np.transpose(
            [
                [accuracies(r, level)[what] for r in repeats]
                for repeats in shown.values()
            ]
        )

    figures = {
        "fig05_hard": plots.grouped_bars(
            {
                name: percent(HARD, name)
                for name in ("no mask", "mask of all levels", "mask of easy")
            },
            [titles.title_of(module) for module in shown],
            "accuracy on hard questions [%]",
            "Mathematics: what the mask of easy questions keeps",
            bounds=(0, 100),
        ),
        "fig17_examples": _table(by_module),
    }
    for module, repeats in by_module.items():
        kinds = [*accuracies(repeats[0], HARD)]
        groups = {
            kind: 100
            * np.array(
                [[accuracies(r, lv)[kind] for lv in LEVELS] for r in repeats]
            )
            for kind in kinds
        }
        figures[f"figA_levels_{module}"] = plots.grouped_bars(
            groups,
            LEVELS,
            "accuracy [%]",
            f"Mathematics, {titles.title_of(module)}: questions of each level, "
            "by mask",
            bounds=(0, 100),
        )
        searches = [r["alpha_search"] for r in repeats if r["alpha_search"]]
        if searches:
            figures[f"alpha_search_{module}"] = plots.alpha_search(
                searches,
                f"Mathematics, {titles.title_of(module)}: masks of all levels",
            )
    return figures


def _table(by_module):
    """Returns the figure of questions and answers, two for each module."""
    rows = []
    for module, repeats in by_module.items():
        for level in (EASY, HARD):
            example = next(
                e for e in repeats[0]["examples"] if e["level"] == level
            )
            narrow = [textwrap.fill(str(x), 17) for x in example.values()]
            narrow[1] = textwrap.fill(example["question"], 36)
            rows.append([module, *narrow])
    names = "module", "level", "question", "answer", "no mask", "mask of easy"
    lines = [1, *(max(cell.count("\n") for cell in row) + 1 for row in rows)]
    fig = plots.new_figure(
        plots.WIDTH,
        0.6 + 0.22 * sum(lines),
        "Mathematics: questions, answers, and what is answered",
    )
    ax = fig.subplots()
    ax.set_axis_off()
    table = ax.table(
        rows,
        colLabels=names,
        colWidths=(0.1, 0.08, 0.34, 0.16, 0.16, 0.16),
        bbox=(0, 0, 1, 1),
        cellLoc="left",
    )
    table.auto_set_font_size(False)
    table.set_fontsize(8)
    for (row, _), cell in table.get_celld().items():
        cell.set_height(lines[row] / sum(lines))
    return fig

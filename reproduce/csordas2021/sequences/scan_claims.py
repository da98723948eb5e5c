"""Does one rule serve all commands? Claims and figures of scan.

Everything here is computed from the records of `reproduce.scan`, one for each
network and seed.
"""

import numpy as np

from modularity_tf import plots
from reproduce.csordas2021.mask_training import AGAIN
from reproduce.csordas2021.sequences import losses
from reproduce.csordas2021.sequences.scan import TOKENS
from reproduce.csordas2021.sequences.scan_data import SIMPLE
from reproduce.publishing import claim, titles
from reproduce.publishing.records import grouped

JUMP = "addprim_jump"
_JUMP = ("paper, add jump: almost half", 40, 50, ["I_JUMP"])
_MASKS = ("mask of all", "mask of the split")


def splits_of(record):
    """Returns the splits that generalization is tested on."""
    return [split for split in record["masks"] if split != SIMPLE]


def title_of(split):
    """Returns how a split is called in figures."""
    return split.replace("addprim", "add").replace("_", " ")


def accuracies(record, split):
    """Returns what each mask gets right of a split's test commands, a dict."""
    full, own = (record["masks"][task] for task in (SIMPLE, split))
    return {
        "no mask": record["dense"][split],
        "mask of all": full["test"][split],
        "mask of all, again": full["again"]["test"][split],
        "mask of the split": own["test"][split],
        "mask of the split, again": own["again"]["test"][split],
        "random, as large": own["random"],
        "complement": own["complement"],
        "trained on the split": record["alone"][split],
    }


def gap(record, split):
    """Returns what the split's mask loses against that of all commands."""
    return losses.gap(accuracies(record, split), *_MASKS)


def noise(record, split):
    """Returns how far two extractions of either mask lie apart, at most."""
    return losses.noise(accuracies(record, split), *_MASKS)


def claims(records):
    """Returns the paper's claims with thresholds fixed before any run."""
    found = claim.Claims()
    for name, repeats in grouped(records, "network").items():
        found.extend(_claims_of_network(name, repeats))
    return found


def _claims_of_network(name, repeats):
    found = claim.Claims(titles.title_of(name))
    found.add(
        "accuracy",
        "the network masters the full problem: test accuracy on simple",
        [r["dense"][SIMPLE] for r in repeats],
        at_least=0.95,
        bounds=claim.SHARE,
        paper="solves it",
        null=0.0,
        null_is="guessing",
    )
    found.add(
        "full_mask_keeps_accuracy",
        "the mask of all commands keeps the network's accuracy",
        [_relative(r, r["masks"][SIMPLE]["test"][SIMPLE]) for r in repeats],
        at_least=0.95,
        bounds=claim.RATIO,
        source="paper",
        paper="> 95 %",
        null=[_relative(r, r["masks"][SIMPLE]["random"]) for r in repeats],
        null_is="random masks of the same sizes",
    )
    for split in splits_of(repeats[0]):
        title = title_of(split)
        found.add(
            "split_mask_performs",
            "the split's mask does its own training commands",
            [r["masks"][split]["train"] for r in repeats],
            at_least=0.95,
            bounds=claim.SHARE,
            null=0.0,
            null_is="guessing",
            source="own",
            subject=title,
        )
        found.add(
            "gap",
            "the split's mask generalizes worse than that of all, by",
            [gap(r, split) for r in repeats],
            at_least=0.2,
            bounds=claim.DIFFERENCE,
            main=split == JUMP,  # the one that the text tells of
            paper="large",
            null=[noise(r, split) for r in repeats],
            null_is="the same masks from another seed",
            subject=title,
        )
        found.add(
            "gap_over_noise",
            "that gap exceeds the noise of masking, by",
            [gap(r, split) - noise(r, split) for r in repeats],
            at_least=0.0,
            null=0.0,
            null_is="noise alone",
            source="own",
            repeat=True,  # the same gap, against a limit that each seed sets
            subject=title,
        )
        found.add(
            "over_the_split_alone",
            "learned on all and masked is better than learned on the "
            "split alone, by",
            [
                r["masks"][split]["test"][split] - r["alone"][split]
                for r in repeats
            ],
            at_least=0.0,
            bounds=claim.DIFFERENCE,
            paper="significantly better",
            null=0.0,
            null_is="no difference",
            subject=title,
        )
    if name == "lstm" and JUMP in repeats[0]["removed"]:
        jump = TOKENS.index("I_JUMP")
        found.add(
            "jump_weights_removed",
            "output weights of I_JUMP that the mask of add jump lacks",
            [r["removed"][JUMP][jump] for r in repeats],
            at_least=0.4,
            at_most=0.5,
            bounds=claim.SHARE,
            source="paper",
            paper="almost half",
            null=[r["removed"][SIMPLE + AGAIN][jump] for r in repeats],
            null_is="the mask of all, again",
        )
        found.add(
            "jump_over_other_tokens",
            "I_JUMP loses more of them than the other tokens do, by",
            [
                r["removed"][JUMP][jump]
                - np.mean(np.delete(r["removed"][JUMP], jump))
                for r in repeats
            ],
            at_least=0.0,
            bounds=claim.DIFFERENCE,
            paper="most apparent difference",
            null=[
                r["removed"][SIMPLE + AGAIN][jump]
                - np.mean(np.delete(r["removed"][SIMPLE + AGAIN], jump))
                for r in repeats
            ],
            null_is="the mask of all, again",
        )
    return found


def _relative(record, value):
    return value / max(record["dense"][SIMPLE], 1e-9)


def draw(records):
    """Returns figures 4a, 4b and 16, and the controls, from the records."""
    by_network = grouped(records, "network")
    splits = splits_of(records[0])
    labels = [title_of(split) for split in splits]
    values = {
        name: [[accuracies(r, s) for s in splits] for r in repeats]
        for name, repeats in by_network.items()
    }

    def percent(name, what):
        return 100 * np.array(
            [[found[what] for found in row] for row in values[name]]
        )

    def bars(kinds, title, names=by_network):
        groups = {
            f"{titles.title_of(name)}, {kind}": percent(name, kind)
            for kind in kinds
            for name in names
        }
        return plots.grouped_bars(
            groups, labels, "test accuracy [%]", title, bounds=(0, 100)
        )

    figures = {
        "fig04a_splits": bars(
            ("mask of all", "mask of the split"),
            "SCAN: test commands of a split that each mask gets right",
        ),
        "fig16_alone": bars(
            ("trained on the split", "mask of the split"),
            "SCAN: test commands of a split that a network gets right, "
            "trained on the split or masked for it",
        ),
    }
    for name, repeats in by_network.items():
        figures[f"fig04b_removed_{name}"] = plots.grouped_bars(
            {
                "all, again" if task == SIMPLE + AGAIN else title_of(task): (
                    100 * np.array([r["removed"][task] for r in repeats])
                )
                for task in repeats[0]["removed"]
            },
            TOKENS,
            "output weights removed [%]",
            f"SCAN, {titles.title_of(name)}: output weights of the mask of all "
            "commands that other masks lack",
            bounds=(-100, 100),
            paper=[_JUMP] if name == "lstm" and JUMP in splits else [],
        )
        figures[f"figA_controls_{name}"] = bars(
            [*values[name][0][0]],
            f"SCAN, {titles.title_of(name)}: controls",
            [name],
        )
        searches = [r["alpha_search"] for r in repeats if r["alpha_search"]]
        if searches:
            figures[f"alpha_search_{name}"] = plots.alpha_search(
                searches,
                f"SCAN, {titles.title_of(name)}: masks of all commands",
            )
    return figures

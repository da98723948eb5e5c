"""Are weights reused for task after task? Claims and figures.

Everything here is computed from the records of `reproduce.permuted_mnist`, one
a start of the free logits and seed.
"""

import numpy as np

from modularity_tf import plots
from reproduce.csordas2021.continual.network import OLD_LOGIT
from reproduce.publishing import claim
from reproduce.publishing.records import grouped

NUMBERS = {2.0: "fig03", 0.0: "fig15a", -1.0: "fig15b"}
_LAST_TASK = ("paper: the last task shares less than half", 0, 50, ["total"])
_RANDOM = "random masks of the same sizes"


def share(result, key="shared"):
    """Returns the share of a task's weights that earlier tasks use too.

    Array of shape `(layers + 1,)`, all layers together the last; with
    `key="expected"` that of a random mask of as many weights a layer.
    """
    layers = result["layers"]
    part = [layer[key] for layer in layers]
    kept = [layer["kept"] for layer in layers]
    with np.errstate(invalid="ignore"):
        return np.append(part, sum(part)) / np.append(kept, sum(kept))


def occupied(record, task):
    """Returns the share of each layer that tasks up to this one use."""
    layers = record["tasks"][task]["layers"]
    return np.array([layer["occupied"] / layer["size"] for layer in layers])


def output_fills_first(record):
    """Returns how much more of the output layer is used than of any other.

    Mean over the tasks.
    """
    used = [occupied(record, task) for task in range(len(record["tasks"]))]
    return np.mean([layers[-1] - layers[:-1].max() for layers in used])


def claims(records):
    """Returns the paper's claims with thresholds fixed before any run."""
    found = claim.Claims()
    groups = grouped(records, "new_logit")
    for logit, repeats in groups.items():
        found.add(
            "accuracy",
            "accuracy, mean over the tasks",
            [np.mean([t["accuracy"] for t in r["tasks"]]) for r in repeats],
            at_least=0.9,
            bounds=claim.SHARE,
            source="own",
            null=[1 / r["classes"] for r in repeats],
            null_is="guessing",
            subject=f"free logits {logit:g}",
        )
    plain = groups.pop(OLD_LOGIT, [])
    if plain:
        _add_unbiased(found, plain)
        for logit, repeats in groups.items():
            found.extend(_claims_of_start(logit, repeats, plain))
    return found


def _add_unbiased(found, repeats):
    """Adds the claims on starts that favor no weights: figure 3."""
    found.add(
        "second_task_sharing",
        "little sharing while there is room (second task)",
        [share(r["tasks"][1])[-1] for r in repeats],
        main=True,
        at_most=0.25,
        bounds=claim.SHARE,
        paper="only little",
        null=[share(r["tasks"][1], "expected")[-1] for r in repeats],
        null_is=_RANDOM,
    )
    found.add(
        "sharing_under_repeat",
        "another task shares less with the first than that task learned once "
        "more, by",
        [(share(r["again"]) - share(r["tasks"][1]))[-1] for r in repeats],
        at_least=0.0,
        bounds=claim.DIFFERENCE,
        null=0.0,
        null_is="all tasks alike",
        source="own",
    )
    found.add(
        "output_fills_first",
        "the output layer fills first: more used than any other, mean over "
        "the tasks",
        [output_fills_first(r) for r in repeats],
        at_least=0.0,
        bounds=claim.DIFFERENCE,
        paper="first",
        null=0.0,
        null_is="no effect",
    )


def _claims_of_start(logit, repeats, plain):
    """Returns those on a start that favors used weights: figure 15."""
    found = claim.Claims(f"free logits {logit:g}")
    plain = {r["seed"]: r for r in plain}

    def more(layer, key="shared"):
        return [
            (
                share(r["tasks"][-1], key)
                - share(plain[r["seed"]]["tasks"][-1], key)
            )[layer]
            for r in repeats
        ]

    for name, statement, layer in (
        ("more_sharing", "more sharing than at 2, by", -1),
        ("more_in_first_layer", "more in the first layer too, by", 0),
    ):
        found.add(
            name,
            statement,
            more(layer),
            at_least=0.0,
            bounds=claim.DIFFERENCE,
            paper="more",
            null=more(layer, "expected"),
            null_is=_RANDOM,
        )
    found.add(
        "last_task_sharing",
        "still far from 100 % sharing",
        [share(r["tasks"][-1])[-1] for r in repeats],
        at_most=0.5,
        bounds=claim.SHARE,
        source="paper",
        paper="more than half unique",
        null=[share(r["tasks"][-1], "expected")[-1] for r in repeats],
        null_is=_RANDOM,
    )
    return found


def start_in_words(logit):
    """Returns how masks start that free logits of this value give."""
    if logit == OLD_LOGIT:
        return "masks start without a preference for used or for free weights"
    return (
        "masks start with a preference for used weights "
        f"(logits of {OLD_LOGIT:g}, those of free ones {logit:g})"
    )


def draw(records):
    """Returns figures 3 and 15, drawn from the records alone."""
    figures = {}
    for logit, repeats in grouped(records, "new_logit").items():
        labels = [*repeats[0]["layers"], "total"]
        shown = {"task 1, once more": [r["again"] for r in repeats]}
        # The text says every second task, the authors plot 2, 4 ... 10: all.
        for task in range(1, len(repeats[0]["tasks"])):
            shown[f"task {task + 1}"] = [r["tasks"][task] for r in repeats]
        groups, chance = (
            {
                name: 100 * np.array([share(result, key) for result in results])
                for name, results in shown.items()
            }
            for key in ("shared", "expected")
        )
        number = NUMBERS.get(logit, f"fig15_logit{logit:g}")
        figures[f"{number}_sharing"] = plots.grouped_bars(
            groups,
            labels,
            "weights shared [%]",
            f"permuted {repeats[0]['data']}: weights of a task that earlier "
            f"tasks use, too\n{start_in_words(logit)}",
            chance,
            bounds=(0, 100),
            paper=[] if logit == OLD_LOGIT else [_LAST_TASK],
        )
    return figures

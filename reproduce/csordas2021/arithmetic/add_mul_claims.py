"""Do addition and multiplication have weights of their own? Claims, figures.

Everything here is computed from the records of `reproduce.add_mul`, one for
each seed.
"""

import numpy as np

from modularity_tf import plots
from reproduce.csordas2021.arithmetic import common, data
from reproduce.csordas2021.arithmetic.data import FULL
from reproduce.publishing import claim, titles

TASKS = data.AddMul.tasks
PERFORMED = (*TASKS, "neither")
# The mask under which each operation is asked for.
OWN = {task: task for task in TASKS}
OTHER = dict(zip(TASKS, TASKS[::-1], strict=True))
BOTH = dict.fromkeys(TASKS, FULL)
INVERTED = {task: f"not {task}" for task in TASKS}


def instead(record, masks):
    """Returns what is done instead of the operation that is asked for.

    Args:
        record: Dict.
        masks: Dict from operation to the mask it is asked for under.

    Returns:
        Two shares, means over the operations: the other one is performed,
        neither result comes out.
    """
    rows = [
        (record["performed"][masks[task]][asked], 1 - asked)
        for asked, task in enumerate(TASKS)
    ]
    return np.mean([(row[other], row[2]) for row, other in rows], axis=0)


def weights_ratio(record):
    """Returns the weights of multiplication over those of addition."""
    return sum(record["kept"]["mul"]) / max(sum(record["kept"]["add"]), 1)


def mean_accuracy(record, masks):
    """Returns the mean accuracy of the operations under some masks.

    Args:
        record: Dict.
        masks: As in `instead`.
    """
    accuracy = record["accuracy"]
    return np.mean([accuracy[masks[task]][task] for task in TASKS])


def claims(records):
    """Returns the paper's claims with thresholds fixed before any run."""
    found = common.claims(records, TASKS)
    if len(records[0]["layers"]) > 2:  # else there are none between
        found.add(
            "edges_over_hidden",
            "input and output layers share more than hidden ones, by",
            common.edges_less_middle(records, TASKS),
            main=True,
            at_least=0.0,
            bounds=claim.DIFFERENCE,
            paper="more",
            null=common.edges_less_middle(records, TASKS, "expected"),
            null_is="random masks of the same sizes",
        )
        share, expected = (
            common.outer_and_hidden(records, TASKS, key)[1]
            for key in ("share", "expected")
        )
        found.add(
            "hidden_under_random",
            "hidden layers share less than random masks of the same sizes, by",
            expected - share,
            at_least=0.0,
            bounds=claim.DIFFERENCE,
            source="own",
            paper=claim.NOT_ASKED,
            null=0.0,
            null_is="random masks of the same sizes",
        )
    found.add(
        "weights_ratio",
        "weights of multiplication / weights of addition",
        [weights_ratio(r) for r in records],
        at_least=3.75,
        at_most=3.85,
        bounds=claim.RATIO,
        source="paper",
        percent=False,
        paper="3.8",
        null=1.0,
        null_is="as many",
    )
    found.add(
        "other_operation",
        "a mask does not perform the other operation: accuracy there",
        [mean_accuracy(r, OTHER) for r in records],
        at_most=0.5,
        bounds=claim.SHARE,
        paper="performance breaks down",
        null=[mean_accuracy(r, OWN) for r in records],
        null_is="the operation's own mask",
    )
    _add_behavior(found, records)
    found.add(
        "inverted_mask",
        "an inverted mask does not perform its operation: accuracy",
        [mean_accuracy(r, INVERTED) for r in records],
        at_most=0.5,
        bounds=claim.SHARE,
        paper="not well",
        null=[np.mean([r["dense"][task] for task in TASKS]) for r in records],
        null_is="no mask",
    )
    return found


def _add_behavior(found, records):
    """Adds what the kind of network does under the other one's mask."""
    does, neither = np.transpose([instead(r, OTHER) for r in records])
    usual = np.transpose([instead(r, BOTH) for r in records])
    shared = {
        "at_least": 0.5,
        "bounds": claim.SHARE,
        "null_is": "the mask of both",
    }
    if records[0]["network"] == "lstm":
        found.add(
            "gives_neither_result",
            "LSTM: gives neither result under the other operation's mask",
            neither,
            paper="tends to",
            null=usual[1],
            **shared,
        )
    else:
        found.add(
            "performs_own_operation",
            "FNN: performs the mask's operation whatever is asked",
            does,
            paper="tends to",
            null=usual[0],
            **shared,
        )


def draw(records):
    """Returns figures 1, 10, 11 and 12, drawn from the records alone."""
    kind = titles.title_of(records[0]["network"])
    title = f"addition and multiplication, {kind}"
    layers = records[0]["layers"]
    mean = {
        mask: np.mean([r["performed"][mask] for r in records], axis=0)
        for mask in (FULL, *TASKS)
    }
    figures = common.sharing_figure(records, TASKS, title, "fig01")
    figures |= common.accuracy_figure(records, TASKS, title, "fig10")
    kept = {
        task: np.array(
            [[*r["kept"][task], sum(r["kept"][task])] for r in records]
        )
        for task in TASKS
    }
    of_text = 3.8 * kept["add"][:, -1].mean()
    figures["fig11_weights_kept"] = plots.grouped_bars(
        {titles.title_of(task): values for task, values in kept.items()},
        [*layers, "total"],
        "weights kept",
        f"{title}: weights that each mask keeps",
        bounds=(0, np.inf),
        paper=[
            (
                "paper: multiplication has 3.8 times those of addition",
                of_text,
                of_text,
                ["total"],
            )
        ],
    )
    figures["fig12_performed_operation"] = plots.confusion_matrices(
        {
            f"mask: {titles.title_of(mask)}": matrix
            for mask, matrix in mean.items()
        },
        [titles.title_of(task) for task in TASKS],
        f"{title}: what is computed under each mask",
        predicted_names=[titles.title_of(task) for task in PERFORMED],
        kind="operation",
        repeats=len(records),
    )
    return figures

"""What the arithmetic experiments show alike: quantities, claims, figures.

Everything here is computed from the records of `stages.plan_record`.
"""

import numpy as np

from modularity_tf import plots
from reproduce.csordas2021.arithmetic.data import FULL
from reproduce.publishing import claim, titles


def sharing(records, task, key="share"):
    """Returns sharing of a task's mask, array `(repeats, layers + total)`.

    Args:
        records: List of records.
        task: Str.
        key: Str; "expected" gives that of random masks of the same sizes,
            "ceiling" that of the task's own mask from another seed.
    """
    return np.array(
        [[entry[key] for entry in r["sharing"][task]] for r in records],
        "float64",
    )


def total_sharing(records, tasks, key="share"):
    """Returns the sharing of all layers for each repeat, mean of the tasks."""
    return np.mean([sharing(records, t, key)[:, -1] for t in tasks], axis=0)


def outer_and_hidden(records, tasks, key="share"):
    """Returns the sharing of the outer layers and that of those between.

    Returns:
        Two arrays `(repeats,)`, means over layers and tasks.
    """
    layers = records[0]["layers"]
    edge = [
        i
        for i, name in enumerate(layers)
        if name in (layers[0], "output") and "recurrent" not in name
    ]
    middle = [i for i in range(len(layers)) if i not in edge]
    values = np.mean([sharing(records, t, key)[:, :-1] for t in tasks], axis=0)
    return values[:, edge].mean(axis=1), values[:, middle].mean(axis=1)


def edges_less_middle(records, tasks, key="share"):
    """Returns how much more the outer layers share, for each repeat."""
    outer, hidden = outer_and_hidden(records, tasks, key)
    return outer - hidden


def worst_relative(record, masks):
    """Returns a task's accuracy under a mask over the network's own.

    Args:
        record: Dict.
        masks: Dict from task to the mask it is done under.

    Returns:
        Float, the smallest of all tasks.
    """
    return min(
        record["accuracy"][mask][task] / max(record["dense"][task], 1e-9)
        for task, mask in masks.items()
    )


def chance(record):
    """Returns the accuracy of guessing all digits of an answer."""
    return 10.0 ** -record["digits"]


def claims(records, tasks):
    """Returns the claims that both experiments rest on."""
    found = claim.Claims()
    held_out = [r for r in records if "held_out" in r]
    if held_out:
        seen = [np.mean([r["dense"][t] for t in tasks]) for r in held_out]
        found.add(
            "learnt_by_heart",
            "accuracy on the pairs trained on, less on those held out",
            [
                dense - np.mean([r["held_out"][t] for t in tasks])
                for dense, r in zip(seen, held_out)
            ],
            at_most=0.05,
            bounds=claim.DIFFERENCE,
            null=[dense - chance(r) for dense, r in zip(seen, held_out)],
            null_is="learned by heart",
            source="own",
        )
    found.add(
        "full_mask_keeps_accuracy",
        "the mask of all tasks keeps the network's accuracy",
        [
            np.mean([r["accuracy"][FULL][t] for t in tasks])
            / np.mean([r["dense"][t] for t in tasks])
            for r in records
        ],
        at_least=0.95,
        bounds=claim.RATIO,
        source="paper",
        paper="> 95 %",
        null=[
            chance(r) / np.mean([r["dense"][t] for t in tasks]) for r in records
        ],
        null_is="guessing",
    )
    own = {task: task for task in tasks}
    other = dict(zip(tasks, tasks[::-1], strict=True))
    found.add(
        "own_mask_performs",
        "a task's mask performs it, relative to the network (worst task)",
        [worst_relative(r, own) for r in records],
        at_least=0.9,
        bounds=claim.RATIO,
        null=[worst_relative(r, other) for r in records],
        null_is="the other task's mask",
        source="own",
    )
    found.add(
        "sharing_under_repeat",
        "the tasks share less than two masks of one task do, by",
        total_sharing(records, tasks, "ceiling")
        - total_sharing(records, tasks),
        at_least=0.0,
        bounds=claim.DIFFERENCE,
        null=0.0,
        null_is="one mask for both tasks",
        source="own",
        post_hoc=True,  # asked when the sharing was known
    )
    return found


def sharing_figure(records, tasks, title, name):
    """Returns the figure of the weights shared, with floor and ceiling."""
    figures = {}
    searches = [r["alpha_search"] for r in records if r["alpha_search"]]
    if searches:
        figures[f"alpha_search_{name}"] = plots.alpha_search(searches, title)
    groups, chance, ceiling = (
        {
            titles.title_of(task): 100 * sharing(records, task, key)
            for task in tasks
        }
        for key in ("share", "expected", "ceiling")
    )
    fig = plots.grouped_bars(
        groups,
        [*records[0]["layers"], "total"],
        "weights shared [%]",
        f"{title}: weights that the other task's mask has, too",
        chance,
        ceiling,
        bounds=(0, 100),
    )
    return {**figures, f"{name}_sharing": fig}


def accuracy_figure(records, tasks, title, name):
    """Returns the figure of each task's accuracy under every mask."""
    shown = records[0]["accuracy"]
    groups = {
        titles.title_of(task): 100
        * np.array(
            [
                [r["dense"][task], *(r["accuracy"][m][task] for m in shown)]
                for r in records
            ]
        )
        for task in tasks
    }
    labels = ["no mask", *map(titles.title_of, shown)]
    kept = 95 * np.mean([list(r["dense"].values()) for r in records])
    fig = plots.grouped_bars(
        groups,
        labels,
        "accuracy [%]",
        f"{title}: what each mask does",
        bounds=(0, 100),
        paper=[
            (
                "paper: the mask of all tasks keeps over 95 % of the accuracy",
                kept,
                kept,
                [titles.title_of(FULL)],
            )
        ],
    )
    return {f"{name}_accuracy": fig}

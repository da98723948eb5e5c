"""What becomes of a class without its weights: claims and figures.

Everything here is computed from the records of `reproduce.cifar_ablation`, one
for each network and seed.
"""

import dataclasses
from functools import partial

import numpy as np

from modularity_tf import confusion, plots
from reproduce.csordas2021.images.cifar_ablation import RECALIBRATED
from reproduce.csordas2021.images.cnn import CONTROL
from reproduce.publishing import claim, titles
from reproduce.publishing.drawings import Drawings
from reproduce.publishing.records import grouped

# Of each kind of network: the figure with the confusion differences.
NUMBERS = {"cnn": "19", "cnn_nodropout": "20", "resnet": "21"}
# What is wanted of the removed class's drop, relative to the control mask: what
# figure 6a plots. The text's 40 to 60 % are of figure 19, differences between
# confusion matrices: points.
DROPS = {
    "cnn": {
        "at_least": 0.2,
        "paper": "drops significantly",
        "post_hoc": True,  # held against the 40 to 60 % first
    },
    "cnn_nodropout": {"at_least": 0.2, "paper": "drops significantly"},
    "resnet": {"at_least": 0.6, "paper": "almost 100 % (ResNet-110)"},
}
POINTS = {  # appendix C.7.1, of the simple CNN
    "at_least": 0.4,
    "at_most": 0.6,
    "source": "paper",
    "paper": "40-60 % (figure 19)",
}
DROPOUT = {  # appendix C.7.2, of figures 19 and 20
    "at_least": 0.3,
    "at_most": 0.4,
    "source": "paper",
    "paper": "roughly 30-40 %",
}
ELSEWHERE = {"at_least": 0.4, "source": "own", "paper": claim.NOT_ASKED}
DROPOUT_ELSEWHERE = {**ELSEWHERE, "at_least": 0.0}
PAPERS_DATA = "CIFAR-10"
# Removing one class turns it into others, section 5 and appendix C.7.1.
CONFUSIONS = (
    ("airplane", ("bird", "ship")),
    ("cat", ("dog",)),
    ("dog", ("cat",)),
    ("truck", ("automobile",)),
    ("automobile", ("truck",)),
)


def kind_of(name):
    """Returns the kind of a network: "resnet" for one of any depth."""
    return "resnet" if name.startswith("resnet") else name


def drops(record):
    """Returns relative drops `(left out, class)` and the labels left out."""
    names, matrices = record["class_names"], record["masks"]
    control = matrices[CONTROL]["confusion"]
    tasks = [task for task in matrices if task != CONTROL]
    relative = [
        confusion.relative_drop(control, matrices[task]["confusion"])
        for task in tasks
    ]
    return np.array(relative), [names.index(task) for task in tasks]


def target_and_other_drops(record):
    """Returns the left-out class's drop and the largest other, for each mask.

    Two arrays of shape `(left out,)`; figure 6 shows the first, and the second
    over the first.
    """
    relative, labels = drops(record)
    rows = np.arange(len(labels))
    target = relative[rows, labels]
    relative[rows, labels] = -np.inf
    return target, np.nanmax(relative, axis=1)


def points_lost(record):
    """Returns the points that left-out classes lose, and that others lose.

    Means over the masks, against the control mask, of accuracies in [0, 1].
    """
    names, matrices = record["class_names"], record["masks"]
    right = np.diagonal(matrices[CONTROL]["confusion"])
    tasks = [task for task in matrices if task != CONTROL]
    lost = np.array(
        [right - np.diagonal(matrices[task]["confusion"]) for task in tasks]
    )
    is_own = np.equal.outer(tasks, names)
    return lost[is_own].mean(), lost[~is_own].mean()


def share_of_drop(other, target):
    """Returns other / target, NaN where the target does not drop at all."""
    other, target = np.asarray(other), np.asarray(target)
    dropped = target > 0
    return np.where(dropped, other / np.where(dropped, target, 1), np.nan)


def mean_other_drop(record):
    """Returns the mean drop of all classes but the one left out."""
    relative, labels = drops(record)
    relative[np.arange(len(labels)), labels] = np.nan
    return float(np.nanmean(relative))


def confusion_growth(record, task, targets):
    """Returns how much more `task` is called one of `targets`.

    The mean growth of these cells of the confusion matrix over that of the
    other wrong cells in the row; 0 where removing the class blurs it evenly.
    """
    names, masks = record["class_names"], record["masks"]
    change = np.subtract(masks[task]["confusion"], masks[CONTROL]["confusion"])[
        names.index(task)
    ]
    named = [names.index(target) for target in targets]
    rest = [
        i for i in range(len(names)) if i not in (*named, names.index(task))
    ]
    return float(change[named].mean() - change[rest].mean())


def less_without_dropout(records, others):
    """Returns by which part of itself the drop is less without dropout.

    1 - (drop without) / (drop with), of the mean drops over the classes, in
    points.

    Args:
        records: List, of networks with dropout.
        others: List, of those without; seeds that both have are compared.
    """
    drop = [
        {r["seed"]: points_lost(r)[0] for r in repeats}
        for repeats in (records, others)
    ]
    return [
        1 - drop[1][seed] / drop[0][seed] for seed in drop[0] if seed in drop[1]
    ]


def _is_papers(records):
    return records[0]["data"].startswith(PAPERS_DATA)


def claims(records):
    """Returns the paper's claims with thresholds fixed before any run."""
    found = claim.Claims()
    by_network = grouped(records, "network")
    for name, repeats in by_network.items():
        own = _claims_of_network(name, repeats)
        if name.endswith(RECALIBRATED):  # a control that the paper lacks
            own = [
                dataclasses.replace(c, paper=claim.NOT_ASKED, source="own")
                for c in own
            ]
        found.extend(own)
    if {"cnn", "cnn_nodropout"} <= set(by_network):
        found.add(
            "dropout_deepens_drop",
            "without dropout the drop is less, by a part of it",
            less_without_dropout(
                by_network["cnn"], by_network["cnn_nodropout"]
            ),
            bounds=claim.DROP,
            null=0.0,
            null_is="no effect",
            subject="cnn - cnn_nodropout",
            **(DROPOUT if _is_papers(by_network["cnn"]) else DROPOUT_ELSEWHERE),
        )
    return found


def _claims_of_network(name, repeats):
    found = claim.Claims(name)
    pairs = [target_and_other_drops(record) for record in repeats]
    classes = len(repeats[0]["class_names"])
    found.add(
        "control_keeps_accuracy",
        "control mask keeps the network's accuracy",
        [
            r["masks"][CONTROL]["accuracy"] / r["dense"]["accuracy"]
            for r in repeats
        ],
        at_least=0.95,
        bounds=claim.RATIO,
        source="paper",
        paper="> 95 %",
        null=[1 / classes / r["dense"]["accuracy"] for r in repeats],
        null_is="guessing",
    )
    found.add(
        "least_removed",
        "every mask removes weights (least removed)",
        [
            min(1 - mask["keep_fraction"] for mask in r["masks"].values())
            for r in repeats
        ],
        at_least=0.1,
        bounds=claim.SHARE,
        null=0.0,
        null_is="an untrained mask",
        source="own",
    )
    found.add(
        "drops_most",
        "the removed class drops most, in 90 % of the classes or more",
        [np.mean(target > other) for target, other in pairs],
        cases=tuple(len(target) for target, _ in pairs),
        at_least=0.9,
        paper="all",
        null=1 / classes,
        null_is="any class alike",
    )
    if name == "cnn" and _is_papers(repeats):
        own, others = np.transpose([points_lost(r) for r in repeats])
        found.add(
            "points_lost",
            "the removed class drops, in points",
            own,
            main=True,
            bounds=claim.DIFFERENCE,
            null=others,
            null_is="mean of the other classes",
            **POINTS,
        )
    found.add(
        "drop",
        "the removed class drops, relative to the control",
        [np.mean(target) for target, _ in pairs],
        main=True,
        bounds=claim.DROP,
        null=[mean_other_drop(r) for r in repeats],
        null_is="mean of the other classes",
        **(DROPS[kind_of(name)] if _is_papers(repeats) else ELSEWHERE),
    )
    found.add(
        "other_drop",
        "largest drop of another class, relative to that",
        [
            share_of_drop(np.mean(other), np.mean(target))
            for target, other in pairs
        ],
        at_most=0.5,
        paper="small",
        null=1.0,
        null_is="all classes alike",
    )
    for task, targets in CONFUSIONS:
        known = [r for r in repeats if task in r["masks"]]
        if known and {task, *targets} <= set(known[0]["class_names"]):
            found.add(
                f"confusion_of_{task}",
                f"{task} turns into {'/'.join(targets)} more than others",
                [confusion_growth(r, task, targets) for r in known],
                at_least=0.0,
                bounds=claim.DIFFERENCE,
                paper="grows",
                null=0.0,
                null_is="spread evenly",
            )
    return found


def _papers_drops(records):
    """Returns what the paper says of the drop, as `grouped_bars` takes it."""
    if not _is_papers(records):
        return []
    if "resnet" not in {kind_of(r["network"]) for r in records}:
        return []
    return [("paper, ResNet-110: almost 100 %", 100, 100, ())]


def draw(records):
    """Returns figures 6, 18, 19, 20 and 21, drawn from the records alone."""
    title = records[0]["data"]
    names = records[0]["class_names"]
    by_network = grouped(records, "network")
    tasks = [task for task in records[0]["masks"] if task != CONTROL]
    pairs = {
        name: np.array([target_and_other_drops(r) for r in repeats])
        for name, repeats in by_network.items()
    }
    figures = {
        "fig06a_relative_drop": partial(
            plots.grouped_bars,
            {
                titles.title_of(name): 100 * pair[:, 0]
                for name, pair in pairs.items()
            },
            tasks,
            "relative drop of the class [%]",
            f"{title}: what a class loses without the weights that it alone "
            "needs",
            bounds=(-np.inf, 100),
            paper=_papers_drops(records),
        ),
        "fig06b_other_classes": partial(
            plots.grouped_bars,
            {
                titles.title_of(name): 100
                * share_of_drop(pair[:, 1], pair[:, 0])
                for name, pair in pairs.items()
            },
            tasks,
            "largest other drop [% of the class's]",
            f"{title}: the largest loss of a class that is not left out",
        ),
    }
    for name, repeats in by_network.items():
        of_network = f"{title}, {titles.title_of(name)}"
        searches = [r["alpha_search"] for r in repeats if r["alpha_search"]]
        if searches:
            figures[f"alpha_search_{name}"] = partial(
                plots.alpha_search,
                searches,
                f"{of_network}: masks of all classes",
            )
        mean = {
            task: np.mean([r["masks"][task]["confusion"] for r in repeats], 0)
            for task in (CONTROL, *tasks)
        }
        figures[f"lost_classes_{name}"] = partial(
            plots.confusion_matrices,
            {
                "": [
                    np.diag(mean[task]) - np.diag(mean[CONTROL])
                    for task in tasks
                ]
            },
            tasks,
            "accuracy lost when the weights that one class alone needs are "
            f"removed\n{of_network}",
            difference=True,
            predicted_names=names,
            unit="points",
            axis_names=("weights removed: those of", "accuracy on"),
            repeats=len(repeats),
        )
        figures[f"fig18_confusion_control_{name}"] = partial(
            plots.confusion_matrices,
            {"mask trained on all classes": mean[CONTROL]},
            names,
            of_network,
            repeats=len(repeats),
        )
        number = NUMBERS[kind_of(name)]
        figures[f"fig{number}_confusion_difference_{name}"] = partial(
            plots.confusion_matrices,
            {
                f"without the weights of {t}": mean[t] - mean[CONTROL]
                for t in tasks
            },
            names,
            f"{of_network}: what is predicted instead, against the mask of "
            "all classes",
            difference=True,
            repeats=len(repeats),
        )
    return Drawings(figures)

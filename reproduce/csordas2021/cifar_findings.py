"""What becomes of a class without its weights: claims and figures.

Everything here is computed from the records of `reproduce.cifar_ablation`, one
a network and seed.
"""

import functools

import numpy as np

from modularity_tf import plots
from modularity_tf.parts import confusion
from reproduce.harness import claim

CONTROL = "control"
NUMBERS = {"cnn": "19", "cnn_nodropout": "20"}  # of the confusion differences
# Removing one class turns it into others, section 5 and appendix C.7.1.
CONFUSIONS = (
    ("airplane", ("bird", "ship")),
    ("cat", ("dog",)),
    ("dog", ("cat",)),
    ("truck", ("automobile",)),
    ("automobile", ("truck",)),
)


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
    """Returns the left-out class's drop and the largest other, a pair a mask.

    Two arrays of shape `(left out,)`; figure 6 shows the first, and the second
    over the first.
    """
    relative, labels = drops(record)
    rows = np.arange(len(labels))
    target = relative[rows, labels]
    relative[rows, labels] = -np.inf
    return target, np.nanmax(relative, axis=1)


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


def claims(records):
    """Returns the paper's claims with thresholds fixed before any run."""
    found = []
    by_network = {}
    for record in records:
        by_network.setdefault(record["network"], []).append(record)
    for name, repeats in by_network.items():
        pairs = [target_and_other_drops(record) for record in repeats]
        add = functools.partial(_add_claim, found, name)
        add(
            "control mask keeps the network's accuracy",
            "> 95 %",
            [
                r["masks"][CONTROL]["accuracy"] / r["dense"]["accuracy"]
                for r in repeats
            ],
            0.95,
        )
        add(
            "every mask removes weights (least removed)",
            "",
            [
                min(1 - mask["keep_fraction"] for mask in r["masks"].values())
                for r in repeats
            ],
            0.1,
        )
        add(
            "the removed class drops most (share of classes)",
            "all",
            [np.mean(target > other) for target, other in pairs],
            0.9,
        )
        add(
            "the removed class drops, relative to the control",
            "40-60 %" if name == "cnn" else "30-40 % less",
            [np.mean(target) for target, _ in pairs],
            0.4 if name == "cnn" else 0.2,
        )
        add(
            "largest drop of another class, relative to that",
            "small",
            [np.mean(other) / np.mean(target) for target, other in pairs],
            0.5,
            at_least=False,
        )
        for task, targets in CONFUSIONS:
            if all({task, *targets} <= set(r["class_names"]) for r in repeats):
                add(
                    f"{task} turns into {'/'.join(targets)} more than others",
                    "grows",
                    [
                        confusion_growth(r, task, targets)
                        for r in repeats
                        if task in r["masks"]
                    ],
                    0.0,
                )
    if set(NUMBERS) <= set(by_network):
        target = {
            name: {r["seed"]: target_and_other_drops(r)[0] for r in repeats}
            for name, repeats in by_network.items()
        }
        _add_claim(
            found,
            "cnn - cnn_nodropout",
            "dropout deepens the drop (paired over classes)",
            "30-40 % of it",
            np.concatenate(
                [
                    drop - target["cnn_nodropout"][seed]
                    for seed, drop in target["cnn"].items()
                ]
            ),
            0.0,
        )
    return found


def _add_claim(found, name, statement, paper, values, threshold, at_least=True):
    found.append(
        claim.Claim(
            f"{name}: {statement}",
            paper,
            tuple(float(value) for value in values),
            threshold,
            at_least,
        )
    )


def draw(records):
    """Returns figures 6, 18, 19 and 20, drawn from the records alone."""
    title = records[0]["data"]
    names = records[0]["class_names"]
    by_network = {}
    for record in records:
        by_network.setdefault(record["network"], []).append(record)
    tasks = [task for task in records[0]["masks"] if task != CONTROL]
    pairs = {
        name: np.array([target_and_other_drops(r) for r in repeats])
        for name, repeats in by_network.items()
    }
    figures = {
        "fig06a_relative_drop": plots.grouped_bars(
            {name: 100 * pair[:, 0] for name, pair in pairs.items()},
            tasks,
            "relative drop of the class [%]",
            f"{title}: a class without its exclusive weights",
        ),
        "fig06b_other_classes": plots.grouped_bars(
            {
                name: 100 * pair[:, 1] / pair[:, 0]
                for name, pair in pairs.items()
            },
            tasks,
            "largest other drop [% of the class's]",
            f"{title}: what the other classes lose",
        ),
    }
    for name, repeats in by_network.items():
        searches = [r["alpha_search"] for r in repeats if r["alpha_search"]]
        if searches:
            figures[f"alpha_search_{name}"] = plots.alpha_search(
                searches, f"{title}, {name}: masks of all classes"
            )
        mean = {
            task: np.mean([r["masks"][task]["confusion"] for r in repeats], 0)
            for task in (CONTROL, *tasks)
        }
        figures[f"fig18_confusion_control_{name}"] = plots.confusion_matrices(
            {"mask trained on all classes": mean[CONTROL]},
            names,
            f"{title}, {name}",
        )
        number = NUMBERS[name]
        figures[f"fig{number}_confusion_difference_{name}"] = (
            plots.confusion_matrices(
                {f"without {t}": mean[t] - mean[CONTROL] for t in tasks},
                names,
                f"{title}, {name}: change against the control mask",
                difference=True,
            )
        )
    return figures

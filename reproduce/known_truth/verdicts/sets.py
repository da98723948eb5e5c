"""Sets with a known truth and known errors, and the verdicts on them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from modularity_tf.soundness import sharing_of_sets

# What is wrong with extractions: every error is drawn anew in each, or half of
# them are the same in all extractions of a task, or half of the false alarms
# are the same in both tasks: parts that neither needs, or any parts at all.
ERRORS = ("independent", "task", "decoys", "everywhere")
QUALITIES = {  # recall, and false alarms for each needed part
    "exact": (1.0, 0.0),
    "good": (0.9, 0.1),
    "fair": (0.7, 0.3),
    "poor": (0.5, 1.0),
}
BY_CHANCE = "by chance"
SHARED = (0.0, 0.05, 0.25, 0.5, 1.0, BY_CHANCE)  # of a task's parts


def judge_case(
    rng: np.random.Generator, errors: str, quality: str
) -> tuple[float | str, str, bool]:
    """Returns share in common, verdict and whether it is true, of new sets."""
    shared = SHARED[rng.integers(len(SHARED))]
    sizes = np.exp(rng.uniform(np.log(16), np.log(4000), rng.integers(1, 4)))
    density = float(np.exp(rng.uniform(np.log(0.02), np.log(0.3))))
    truths = _truths(rng, [int(n) for n in sizes], density, shared)
    count = int(rng.integers(3, 7))
    recall, false = QUALITIES[quality]
    first, second = _extractions(rng, truths, errors, recall, false, count)
    if not all(any(v.any() for v in x.values()) for x in first + second):
        return shared, "undetermined", False  # `check` refuses it
    needed = _need(rng, truths[0], first[0], sharing_of_sets.in_most(second))
    found = sharing_of_sets.sharing(
        first, second, needed=needed, seed=int(rng.integers(2**31))
    )
    is_true = found.verdict in true_verdicts(*truths)
    return shared, found.verdict, is_true


def true_verdicts(
    first: Mapping[Any, np.ndarray],
    second: Mapping[Any, np.ndarray],
    margin: float = sharing_of_sets.MARGIN,
) -> set[str]:
    """Returns which verdicts are true of two sets, by their definitions.

    Args:
        first: Dict from name to boolean array, what a task needs, of all parts
            that count.
        second: The same for the other task.
        margin: As in `sharing_of_sets.sharing`.
    """
    both = own = other = own_chance = other_chance = chance = 0.0
    for name, t in first.items():
        r, size = second[name], first[name].size
        if size:
            both += np.sum(t & r)
            own, other = own + t.sum(), other + r.sum()
            chance += t.sum() * r.sum() / size
            own_chance += t.sum() ** 2 / size
            other_chance += r.sum() ** 2 / size
    found = set()
    if both < margin * np.sqrt(own * other):
        found.add("separate")
    beyond = np.sqrt((own - own_chance) * (other - other_chance))
    if both - chance > margin * beyond:
        found.add("shared")
    return found


def _truths(rng, sizes, density, shared):
    """Returns what two tasks need, with so much in common."""
    first, second = {}, {}
    for name, size in enumerate(sizes):
        count, order = max(1, round(density * size)), rng.permutation(size)
        first[name] = np.isin(np.arange(size), order[:count])
        start = count
        if shared == BY_CHANCE:
            order, start = rng.permutation(size), 0
        else:
            start -= round(shared * count)
        chosen = order[start : start + count]
        second[name] = np.isin(np.arange(size), chosen)
    return first, second


def _extractions(rng, truths, errors, recall, false, count):
    """Returns extractions of two tasks, a list of dicts each."""
    tasks = [[{} for _ in range(count)] for _ in truths]
    for name, first in truths[0].items():
        size = first.size
        nobody = ~(first | truths[1][name])
        alike, fixed = rng.random(size) < 0.5, rng.random(size)
        for truth, extractions in zip(truths, tasks, strict=True):
            needed = truth[name]
            rate = false * needed.sum() / max(size - needed.sum(), 1)
            if errors == "task":
                alike, fixed = rng.random(size) < 0.5, rng.random(size)
            among = rate
            if errors == "decoys":  # half of the false alarms, where nobody is
                among = 0.5 * false * needed.sum() / max(nobody.sum(), 1)
            for found in extractions:
                drawn = rng.random(size)
                if errors in ("task", "everywhere"):
                    drawn = np.where(alike, fixed, drawn)
                alarms = drawn < rate
                if errors == "decoys":
                    alarms = (drawn < rate / 2) | (nobody & (fixed < among))
                found[name] = np.where(needed, drawn < recall, alarms)
    return tasks


def _need(rng, truth, own, other):
    """Returns what `check` measures, where each needed part is needed alone."""

    def removals(flags):
        where = np.flatnonzero(flags)
        chosen = rng.permutation(where)[:100]
        return needed[chosen].astype(float), len(where) == len(chosen)

    needed, mine, theirs = (
        np.concatenate([values[name] for name in truth])
        for values in (truth, own, other)
    )
    if not np.any(mine & theirs):
        return 0.0
    return sharing_of_sets.need(removals(mine & theirs), removals(mine))

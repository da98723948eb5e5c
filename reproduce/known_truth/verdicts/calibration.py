"""How often is the verdict on sharing wrong? Stages, claims and figures.

Three kinds of re-extraction, from cheap to real: sets drawn from a truth with
known errors; such weights of planted networks, or those with the highest
scores on halves of the examples; and learned masks of several seeds. The
latter two go through `soundness.check`. The functions take the `Config` of
`reproduce.sharing_verdict`.
"""

import dataclasses

import numpy as np

from modularity_tf import WeightMask, plots, soundness
from modularity_tf.masking import find_weights, weight_scores
from modularity_tf.soundness import sharing_of_sets
from reproduce.known_truth.networks import boolean
from reproduce.known_truth.networks.boolean import (
    Plan,
    at_least,
    between,
    parity,
)
from reproduce.publishing import claim, records
from reproduce.running import training

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
_REST = ((1, parity(4)), (2, parity(4)))


def _plan(*outputs, pairs=0):
    return Plan((*outputs, *_REST), unread=3, pairs=pairs)


# By the share of the first task's units that the second needs.
_NONE = Plan(((0, parity(4)), *_REST), unread=3)
_ALL = ((0, parity(4)), (0, (1, 0, 1, 0, 1)))
NETWORKS = {
    "0": _NONE,
    "25": _plan((0, parity(4)), (0, at_least(4, 3))),
    "50": _plan((0, parity(4)), (0, between(4, 1, 2))),
    "100": _plan(*_ALL),
    "0, pairs": dataclasses.replace(_NONE, pairs=2),
    "100, pairs": _plan(*_ALL, pairs=2),
}
MASK, NOISY = "mask", "noisy_truth"
METHODS = (NOISY, "magnitude", "gradient", "ablation", MASK)
_RECALL, _FALSE = 0.97, 0.02  # of `NOISY`, of needed weights and of others
_REMOVALS = 60


def plan(run):
    """Plans all; returns the records to be, one a seed."""
    return [
        {
            "seed": seed,
            "sets": {
                f"{errors}/{quality}": run.stage(
                    f"seed{seed}/{errors}_{quality}",
                    judge_sets,
                    errors,
                    quality,
                    seed=seed,
                    steps=1,
                    phase="sets",
                )
                for errors in ERRORS
                for quality in QUALITIES
            },
            "networks": {
                f"{shared}/{method}": run.stage(
                    f"seed{seed}/{shared}_{method}",
                    judge_network,
                    shared,
                    method,
                    seed=seed,
                    steps=1,
                    phase="masks" if method == MASK else "scores",
                )
                for shared in NETWORKS
                for method in run.config.methods
                if method != MASK or seed < run.config.mask_seeds
            },
        }
        for seed in run.config.seeds
    ]


def phases(config):
    """Returns what the estimate times; the masks are not in it."""

    def sets(count):
        rng = np.random.default_rng(0)
        for _ in range(count * config.sets):
            judge_case(rng, "task", "good")

    def scores(count):
        for _ in range(count):
            extract(config, planted_network("50", 0), 0, "gradient", 0)

    return {
        "sets": training.Phase(sets),
        "scores": training.Phase(scores),
        "masks": training.Phase(scores),
    }


def judge_sets(stage, errors, quality):
    """Returns the verdicts on sets with known errors, counted.

    Returns:
        Dict from "verdict true" and "verdict false" to a dict from the share
        of parts in common to a count.
    """
    rng = np.random.default_rng(stage.derive_seed(errors, quality))
    found = {}
    for _ in range(stage.config.sets):
        shared, verdict, is_true = judge_case(rng, errors, quality)
        key = f"{verdict} {str(is_true).lower()}"
        counts = found.setdefault(key, {})
        counts[str(shared)] = counts.get(str(shared), 0) + 1
    return found


def judge_case(rng, errors, quality):
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


def true_verdicts(first, second, margin=sharing_of_sets.MARGIN):
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


def judge_network(stage, shared, method):
    """Returns the verdict of `soundness.check` in a planted network.

    Returns:
        Dict of `verdict`, `true`, `reason`, `index` and `needed`; the verdict
        is `None` where a method finds nothing.
    """
    planted = planted_network(shared, stage.seed)
    truths = [planted.weights(i, "needed") for i in (0, 1)]
    dead = planted.weights(0, "absent", "unread", "silent")
    for truth in truths:
        for path, flags in dead.items():
            truth[path] = truth[path][~flags]
    true = sorted(true_verdicts(*truths))
    loss, accuracy = planted.objective(0)
    try:
        first, second = extractions(stage, planted, shared, method)
        found = soundness.check(
            first[0],
            planted.model,
            (planted.inputs, planted.labels),
            loss=loss,
            metrics=[accuracy],
            repeats=first[1:],
            others={"second": second},
            removals=_REMOVALS,
            seed=stage.derive_seed("check"),
        )
    except ValueError as error:  # nothing found, or nothing to check
        return {"verdict": None, "true": true, "reason": str(error)}
    (row,) = found.sharing
    keys = ("verdict", "reason", "index", "overlap", "floor", "needed")
    return records.without_nan({**{k: row[k] for k in keys}, "true": true})


def planted_network(shared, seed):
    """Returns a planted network with so much in common, another one a seed."""
    return boolean.build(NETWORKS[shared], seed)


def extractions(stage, planted, shared, method):
    """Returns the extractions of the first output, and of the second."""
    settings, found = {}, ([], [])
    for output in (0, 1):
        for repeat in range(stage.config.extractions):
            seed = stage.derive_seed(shared, method, output, repeat)
            mask = extract(
                stage.config, planted, output, method, seed, **settings
            )
            found[output].append(mask)
            if method == MASK:  # as that of the first
                keys = ("alpha", "keep_probability")
                settings = {key: mask.provenance[key] for key in keys}
    return found


def extract(config, planted, output, method, seed, **settings):
    """Returns a `WeightMask` for one output, from half of the inputs.

    Scores are told how many weights are needed, which no user could.

    Args:
        config: `Config`.
        planted: `Planted`.
        output: Int.
        method: One of `METHODS`.
        seed: Int.
        **settings: Those of `find_weights`.
    """
    order = np.random.default_rng(seed).permutation(len(planted.inputs))
    half = order[: len(order) // 2]
    data = planted.inputs[half], planted.labels[half]
    loss, accuracy = planted.objective(output)
    if method == MASK:
        return find_weights.find_weights(
            planted.model,
            data,
            loss=loss,
            metrics=[accuracy],
            steps=config.mask_steps or None,
            seed=seed,
            verbose=0,
            **settings,
        )
    needed = planted.weights(output, "needed")
    if method == NOISY:
        rng = np.random.default_rng(seed)
        return WeightMask(
            {
                path: rng.random(v.shape) < np.where(v, _RECALL, _FALSE)
                for path, v in needed.items()
            },
            {"method": method, "seed": seed},
        )
    scores = weight_scores.weight_scores(
        planted.model, data, method, loss=loss, seed=seed
    )
    share = sum(int(v.sum()) for v in needed.values()) / sum(
        v.size for v in needed.values()
    )
    found = weight_scores.top_weights(scores, share)
    return WeightMask(dict(found.values), {"method": method, "seed": seed})


def counted(networks):
    """Returns "verdict true" and "verdict false" -> count, of networks."""
    found = {}
    for name, one in networks.items():
        if one["verdict"] is not None:
            is_true = one["verdict"] in one["true"]
            key = f"{one['verdict']} {str(is_true).lower()}"
            counts = found.setdefault(key, {})
            shared = name.split("/")[0]
            counts[shared] = counts.get(shared, 0) + 1
    return found


def false_share(counts, verdict):
    """Returns which share of such verdicts is false; NaN if there is none."""
    true, false = (
        sum(counts.get(f"{verdict} {word}", {}).values())
        for word in ("true", "false")
    )
    return false / (true + false) if true + false else np.nan


def claims(records_of_seeds):
    """Returns our goal: of each verdict at most 5 % are false."""
    found = claim.Claims()
    for name, get in _sources(records_of_seeds).items():
        for verdict in ("shared", "separate"):
            counts = [get(record) for record in records_of_seeds]
            shares = [false_share(each, verdict) for each in counts]
            shares = [share for share in shares if not np.isnan(share)]
            if shares:
                found.add(
                    f"{name}: share of the verdicts '{verdict}' that is false",
                    shares,
                    main=name in ("sets, decoys", "networks"),
                    at_most=0.05,
                    null=0.5,
                    null_is="a coin",
                )
    return found


def draw(records_of_seeds):
    """Returns the figure, drawn from the records alone."""
    sources = _sources(records_of_seeds)
    fig = plots.new_figure(3.0 * len(sources), 4.0)
    axes = fig.subplots(1, len(sources), squeeze=False, sharey=True)[0]
    colors = {
        "separate true": plots.PALETTE[0],
        "shared true": plots.PALETTE[9],
        "undetermined false": "lightgray",
        "separate false": plots.PALETTE[6],
        "shared false": plots.PALETTE[2],
    }
    for ax, (name, get) in zip(axes, sources.items()):
        total = _sum([get(record) for record in records_of_seeds])
        shares = [*dict.fromkeys(s for c in total.values() for s in c)]
        known = [*map(str, SHARED), *NETWORKS]
        shares.sort(key=known.index)
        of_share = {s: sum(c.get(s, 0) for c in total.values()) for s in shares}
        bottom = np.zeros(len(shares))
        for key, color in colors.items():
            heights = [
                100 * total.get(key, {}).get(share, 0) / of_share[share]
                for share in shares
            ]
            ax.bar(
                range(len(shares)),
                heights,
                bottom=bottom,
                color=color,
                label=key,
            )
            bottom += heights
        ax.set_xticks(range(len(shares)), shares, rotation=40, ha="right")
        ax.set_title(name, fontsize=9)
        ax.set_xlabel("in common")
    axes[0].set_ylabel("verdicts [%]")
    axes[0].legend(
        [key.replace("undetermined false", "undetermined") for key in colors],
        fontsize=7,
    )
    return {"figA_verdicts": fig}


def _sources(records_of_seeds):
    """Returns name -> function from a record to counts."""

    def of_sets(errors):
        return lambda record: _sum(
            [v for k, v in record["sets"].items() if k.startswith(errors)]
        )

    def of_networks(is_mask):
        return lambda record: counted(
            {
                k: v
                for k, v in record["networks"].items()
                if k.endswith(f"/{MASK}") == is_mask
            }
        )

    found = {f"sets, {errors}": of_sets(errors) for errors in ERRORS}
    for name, is_mask in (("networks", False), ("masks", True)):
        if any(of_networks(is_mask)(record) for record in records_of_seeds):
            found[name] = of_networks(is_mask)
    return found


def _sum(counts):
    total = {}
    for one in counts:
        for key, by_share in one.items():
            own = total.setdefault(key, {})
            for share, count in by_share.items():
                own[share] = own.get(share, 0) + count
    return total


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

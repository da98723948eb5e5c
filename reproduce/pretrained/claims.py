"""What part of deepcut English words need: claims and tables, from records."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from reproduce.pretrained import deepcut, stages, texts
from reproduce.publishing import claim
from reproduce.publishing.table import Table

Records = list[dict[str, Any]]
# Weights that three masks kept that were seen before, with an alpha set by
# hand. The thresholds of claims on sizes are the largest one and the first.
_MOST_SEEN = 2163
_FEATURES = 49  # of each character: 32 + 5 of the text, 12 of its type
_TYPE_FROM = 37
_HIDDEN = "hidden/kernel"
CONTROL = "as many weights that are found in the randomly initialized network"
ARMS = {
    "whole": "whole network",
    "alone": "the part alone",
    "without": "without it",
    "random_alone": "random parts alone",
    "random_without": "without random parts",
    f"alone_{stages.SEEN_BEFORE}": f"best {stages.SEEN_BEFORE} alone",
    f"without_{stages.SEEN_BEFORE}": f"without best {stages.SEEN_BEFORE}",
    f"random_without_{stages.SEEN_BEFORE}": "without as many random ones",
}


def of_network(records: Records, name: str) -> list[dict[str, Any]]:
    """Returns what the records have of a network, one for each seed.

    Args:
        records: Those of the experiment.
        name: "deepcut" or "chars2vec".
    """
    return [record[name] for record in records if name in record]


def accuracies(
    found: list[dict[str, Any]], kind: str, arm: str, key: str = "accuracy"
) -> list[float]:
    """Returns balanced accuracies, one for each seed; none not measured.

    Args:
        found: What `of_network` returns for deepcut.
        kind: One of `texts.KINDS`.
        arm: What is left of the network, one of `ARMS`.
        key: "accuracy", "units_accuracy", "control_accuracy" or
            "control_of_size_accuracy".
    """
    return [one[key][kind][arm] for one in found if key in one]


def claims(records: Records) -> claim.Claims:
    """Returns statements of ours on both networks.

    Their thresholds are older than the runs. They come from what was seen in
    three masks before, with a penalty that was set by hand.
    """
    found = claim.Claims()
    if own := of_network(records, stages.DEEPCUT):
        _weight_claims(found, own)
        _other_words(found, own)
        if own := [one for one in own if "units" in one]:
            _unit_claims(found, own)
    if own := of_network(records, stages.CHARS2VEC):
        _vector_claims(found, own)
    return found


def _weight_claims(found, own):
    english = texts.LATIN
    shared = {"subject": stages.DEEPCUT, "source": "own"}
    alone = accuracies(own, english, "alone")
    control = accuracies(own, english, "alone", "control_of_size_accuracy")
    found.add(
        "alone",
        "balanced accuracy of the part alone, English words held out",
        alone,
        at_least=0.95,
        bounds=claim.SHARE,
        null=control or accuracies(own, english, "random_alone"),
        null_is=CONTROL if control else ARMS["random_alone"],
        main=True,
        **shared,
    )
    found.add(
        "over_random",
        "balanced accuracy of the part alone, over random parts",
        np.subtract(alone, accuracies(own, english, "random_alone")),
        at_least=0.3,
        bounds=claim.DIFFERENCE,
        null=0.0,
        null_is="a random part",
        **shared,
    )
    found.add(
        "share",
        "share of the weights that the part keeps",
        [one["weights"]["kept"] / one["weights"]["size"] for one in own],
        at_most=_MOST_SEEN / own[0]["weights"]["size"],
        bounds=claim.SHARE,
        null=1.0,
        null_is="all weights",
        **shared,
    )
    for size, suffix in (
        ("", ""),
        (f", {stages.SEEN_BEFORE} weights", f"_{stages.SEEN_BEFORE}"),
    ):
        found.add(
            f"without{suffix}",
            f"balanced accuracy without the part{size}, English words held out",
            accuracies(own, english, f"without{suffix}"),
            at_most=0.6,
            bounds=claim.SHARE,
            null=accuracies(own, english, f"random_without{suffix}"),
            null_is=ARMS[f"random_without{suffix}"],
            post_hoc=bool(suffix),  # asked after a trial
            **shared,
        )
        found.add(
            f"thai_without{suffix}",
            f"balanced accuracy without the part{size}, Thai words",
            accuracies(own, texts.THAI, f"without{suffix}"),
            at_least=0.95,
            bounds=claim.SHARE,
            null=0.5,
            null_is="guessing",
            post_hoc=bool(suffix),
            **shared,
        )
    found.add(
        "same_weights",
        "share of the weights of two seeds that both keep",
        likeness([one["weights"]["members"] for one in own]),
        at_least=0.5,
        bounds=claim.SHARE,
        null=0.0,
        null_is="random parts, nearly",
        **shared,
    )


def _other_words(found, own):
    """Adds whether the part does words of other kinds, and other tasks."""
    for kind in (texts.RANDOM, texts.NAMES, texts.RUN_IN):
        found.add(
            f"alone_{kind}",
            f"balanced accuracy of the part alone, {texts.KINDS[kind]}",
            accuracies(own, kind, "alone"),
            at_least=0.9,
            bounds=claim.SHARE,
            null=0.5,
            null_is="guessing",
            subject=stages.DEEPCUT,
            source="own",
        )
    for kind in (texts.DIGITS, texts.THAI):
        found.add(
            f"alone_{kind}",
            f"balanced accuracy of the part alone, {texts.KINDS[kind]}",
            accuracies(own, kind, "alone"),
            at_most=0.6,
            bounds=claim.SHARE,
            null=accuracies(own, kind, "whole"),
            null_is=ARMS["whole"],
            subject=stages.DEEPCUT,
            source="own",
        )


def _unit_claims(found, own):
    key, english = "units_accuracy", texts.LATIN
    shared = {"subject": "deepcut, units", "source": "own"}
    found.add(
        "alone",
        "balanced accuracy of the units alone, English words held out",
        accuracies(own, english, "alone", key),
        at_least=0.95,
        bounds=claim.SHARE,
        null=accuracies(own, english, "random_alone", key),
        null_is=ARMS["random_alone"],
        **shared,
    )
    found.add(
        "without",
        "balanced accuracy without the units, English words held out",
        accuracies(own, english, "without", key),
        at_most=0.6,
        bounds=claim.SHARE,
        null=accuracies(own, english, "random_without", key),
        null_is=ARMS["random_without"],
        **shared,
    )
    found.add(
        "parameters",
        "share of the parameters in the smaller network",
        [
            one["smaller"]["parameters"][1] / one["smaller"]["parameters"][0]
            for one in own
        ],
        at_most=0.1,
        bounds=claim.SHARE,
        null=1.0,
        null_is="the whole network",
        **shared,
    )


def _vector_claims(found, own):
    rows = {stages.WORDS: "letters", stages.NUMBERS: "digits"}
    for task, kind in rows.items():
        shared = {
            "subject": f"{stages.CHARS2VEC}, {task}",
            "source": "own",
            "bounds": claim.SHARE,
        }
        all_rows = own[0][task]["rows"]
        size = sum(count for _, count in all_rows.values())
        found.add(
            "own_rows",
            f"share of the kept weights of the first kernel in rows of {kind}",
            [in_rows(one[task]["rows"], kind) for one in own],
            at_least=0.99,
            null=all_rows[kind][1] / size,
            null_is="random weights",
            **shared,
        )
        other = next(each for each in rows if each != task)
        explained = [one[task]["explained"] for one in own]
        found.add(
            "alone",
            f"share of the vectors of {task} that the part alone explains",
            [each[task]["alone"] for each in explained],
            at_least=0.9,
            null=[each[task]["random"] for each in explained],
            null_is=ARMS["random_alone"],
            main=task == stages.WORDS,  # where deepcut was not asked
            **{**shared, "bounds": (-np.inf, 1.0)},
        )
        found.add(
            "alone_other",
            f"share of the vectors of {other} that the part alone explains",
            [each[other]["alone"] for each in explained],
            at_most=0.5,
            null=1.0,
            null_is=ARMS["whole"],
            **{**shared, "bounds": (-np.inf, 1.0)},
        )


def in_rows(rows: Mapping[str, tuple[int, int]], kind: str) -> float:
    """Returns which share of what is kept of a kernel lies in some rows.

    Args:
        rows: Dict from kind of row to how many weights are kept, and how many
            there are.
        kind: One of these.
    """
    kept = sum(count for count, _ in rows.values())
    return rows[kind][0] / kept if kept else np.nan


def likeness(members: Iterable[list[str]]) -> list[float]:
    """Returns how much of what two sets hold is in both, of pairs of sets.

    Args:
        members: For each seed what its set holds.

    Returns:
        Intersection over union of the first two sets, of the next two, and so
        on: no set is in two pairs, so that the values do not depend on each
        other.
    """
    sets = [set(some) for some in members]
    return [
        len(one & other) / max(len(one | other), 1)
        for one, other in zip(sets[::2], sets[1::2])
    ]


def tables(records: Records) -> list[Table]:
    """Returns the accuracies, the sizes, and what the weights read."""
    found = []
    if own := of_network(records, stages.DEEPCUT):
        found.append(_accuracy_table("accuracy", "Weights", own))
        found.append(_seen_before_table(own))
        if some := [one for one in own if "units" in one]:
            found.append(_accuracy_table("units_accuracy", "Units", some))
            found.append(_smaller_table(some))
        found += [_size_table(own), _reading_table(own)]
        found.append(_soundness_table(own))
    if own := of_network(records, stages.CHARS2VEC):
        found.append(_vector_table(own))
    return found


def _accuracy_table(key, title, own):
    first = own[0][key][texts.LATIN]
    arms = [arm for arm in ARMS if arm in first and not _is_of_seen(arm)]
    rows = [
        (
            name,
            *(_range(accuracies(own, kind, arm, key)) for arm in arms),
        )
        for kind, name in texts.KINDS.items()
    ]
    columns = ("text", *(ARMS[arm] for arm in arms))
    if key == "accuracy" and any("control" in one for one in own):
        columns += ("control of this size alone", "control alone")
        rows = [
            (
                *row,
                *(
                    _range(accuracies(own, kind, "alone", control))
                    for control in (
                        "control_of_size_accuracy",
                        "control_accuracy",
                    )
                ),
            )
            for row, kind in zip(rows, texts.KINDS, strict=True)
        ]
    return Table(
        f"{title} that English words need",
        columns,
        rows,
        note="Balanced accuracy on held-out words: mean, and range over seeds.",
    )


def _is_of_seen(arm):
    return arm.endswith(f"_{stages.SEEN_BEFORE}")


def _seen_before_table(own):
    arms = ["whole", *filter(_is_of_seen, ARMS)]
    rows = [
        (name, *(_range(accuracies(own, kind, arm)) for arm in arms))
        for kind, name in texts.KINDS.items()
    ]
    return Table(
        f"The best {stages.SEEN_BEFORE} weights",
        ("text", *(ARMS[arm] for arm in arms)),
        rows,
        note="Those with the highest scores, for English words. Balanced "
        "accuracy on held-out words: mean, and range over seeds.",
    )


def _range(values):
    if not values:
        return ""
    low, high = min(values), max(values)
    mean = f"{np.mean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ({low:.3f} to {high:.3f})"


def _size_table(own):
    rows = []
    for key, name in (
        ("weights", "weights"),
        ("units", "units"),
        ("control", "weights, randomly initialized network, same penalty"),
        ("control_of_size", "weights, randomly initialized network, same size"),
    ):
        some = [one[key] for one in own if key in one]
        if some:
            kept = ", ".join(f"{each['kept']:,}" for each in some)
            rows.append((name, kept, f"{some[0]['size']:,}"))
    return Table(
        "Sizes",
        ("part", "kept, each seed", "of"),
        rows,
        note="How many parts the default settings keep.",
    )


def _soundness_table(own):
    """Returns what `soundness.check` says, a column for each seed."""
    found = [one["soundness"] for one in own]
    said = [each["verdict"].partition(":")[0] for each in found]
    told = [
        {row["what"]: _with_interval(row) for row in each["rows"]}
        for each in found
    ]
    rows = [("verdict", *said)]
    for what in dict.fromkeys(what for each in told for what in each):
        rows.append((what, *(each.get(what, "") for each in told)))
    return Table(
        "Is the part sound?",
        ("what", *(f"mask {i + 1}" for i in range(len(own)))),
        rows,
        note="soundness.check of each seed's mask on held-out English words. "
        "The numbers are accuracies, in which no boundary of a word is the "
        "more frequent answer; and the share of members that are redundant.",
    )


def _with_interval(row):
    if row["low"] is None:
        return f"{row['value']:.3f}"
    return f"{row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})"


def _smaller_table(own):
    some = [one["smaller"] for one in own]
    before = some[0]["parameters"][0]
    rows = [
        (
            f"{each['parameters'][1]:,}",
            f"{each['multiply_adds'][1]:,}",
            f"{each['accuracy']:.3f}",
            f"{each['difference']:.1g}",
        )
        for each in some
    ]
    return Table(
        "Smaller networks",
        (
            "parameters",
            "multiply-adds",
            "balanced accuracy",
            "largest difference",
        ),
        rows,
        note=f"One for each seed. The whole network has {before:,} parameters "
        f"and {some[0]['multiply_adds'][0]:,} multiply-adds. The difference is "
        "that of the outputs from those of the same units in the whole "
        "network.",
    )


def what_is_read(member: str, units: int) -> tuple[str, str] | None:
    """Returns what a weight of the hidden layer reads: where, and of what.

    Args:
        member: Str, path and place of a weight.
        units: Int, those of the hidden layer.

    Returns:
        The place, such as "1 before", and "type", "character" or
        "convolutions"; `None` of a weight of another layer.
    """
    path, _, place = member.rpartition(":")
    if path != _HIDDEN:
        return None
    at, feature = divmod(int(place) // units, _FEATURES)
    around = deepcut.WINDOW // 2
    if at == deepcut.WINDOW - 1:
        where = "the character itself"
    elif at < around:
        where = f"{at + 1} after it"
    else:
        where = f"{at - around + 1} before it"
    if feature >= _TYPE_FROM:
        return where, "type"
    return where, "character" if feature < 32 else "convolutions"


def _reading_table(own):
    count: dict[tuple[str, str], list[int]] = {}
    for i, one in enumerate(own):
        for member in one["weights"]["members"]:
            if read := what_is_read(member, 100):
                count.setdefault(read, [0] * len(own))[i] += 1
    order = sorted(count, key=lambda read: -sum(count[read]))
    return Table(
        "What the kept weights of the hidden layer read",
        ("character", "of it", "weights, each seed"),
        [(*read, ", ".join(map(str, count[read]))) for read in order[:12]],
        note="Places are counted from the character that is asked about.",
    )


def _vector_table(own):
    rows = []
    for task in (stages.WORDS, stages.NUMBERS):
        some = [one[task] for one in own]
        kept = [
            _percent(
                [one["rows"][kind][0] / one["rows"][kind][1] for one in some]
            )
            for kind in ("letters", "digits", "others")
        ]
        explained = [
            _percent([one["explained"][other]["alone"] for one in some])
            for other in (stages.WORDS, stages.NUMBERS)
        ]
        share = _percent([one["kept"] / one["size"] for one in some])
        rows.append((task, share, *kept, *explained))
    return Table(
        "Weights of chars2vec that words and numbers need",
        (
            "task",
            "kept of all weights",
            "of rows of letters",
            "of digits",
            "of other characters",
            "explained of words",
            "explained of numbers",
        ),
        rows,
        note="Means over seeds. Rows are those of the first kernel.",
    )


def _percent(values):
    return f"{100 * np.mean(values):.1f} %"

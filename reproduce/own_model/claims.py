"""What a report shows of a user's model: tables and figures from records."""

import numpy as np

from modularity_tf import plots
from reproduce.own_model.stages import ALL, REFUSED
from reproduce.publishing import claim
from reproduce.publishing.table import Table

_SETS = ("weights", "neurons")
_SHOWN = {  # rows of `soundness.check`, and the columns here
    "the whole model": "whole model",
    "the part alone": "part alone",
    "random parts alone": "random parts alone",
    "the same part, untrained": "same part, untrained",
    "without the part": "without it",
    "without random parts": "without random parts",
    "elsewhere: the part alone": "part alone, other classes",
    "redundant: one member": "redundant",
}


def claims(records):
    """Returns no claims: no paper says what a user's model does."""
    return claim.Claims()


def named(question, name):
    """Returns how a finding is called.

    Args:
        question: Str, "weights" or "neurons".
        name: Str, a class or `ALL`.
    """
    if name == ALL:
        return f"{question} of the whole task"
    alone = " alone" if question == "weights" else ""
    return f"{question} of class {name}{alone}"


def tables(records):
    """Returns the tables of soundness, of sets, of units, of no answers."""
    found = [
        _verdicts(records),
        _soundness(records),
        _sizes(records),
        _units(records),
        _unanswered(records),
    ]
    return [table for table in found if table.rows]


def draw(records):
    """Returns the figures, drawn from the records alone."""
    figures = {}
    first = records[0]
    title = first["model"]
    if len(records) > 1:
        title += f", seed {first['seed']}"
    for question in _SETS:
        if any(REFUSED not in x for x in first.get(question, {}).values()):
            figures[f"{question}_by_layer"] = _by_layer(records, question)
            if fig := _by_class(records, question):
                figures[f"{question}_completeness"] = fig
    whole = first.get("weights", {}).get(ALL, {}).get("soundness")
    if whole:
        figures["soundness_of_the_whole_task"] = plots.soundness(whole)
    for layer, own in _units_of(first).items():
        if own["similarity"] is not None:
            name = own["measure"].replace("_", " ")
            figures[f"units_{layer.replace('/', '_')}"] = (
                plots.clustered_similarity(
                    own["similarity"],
                    own["clusters"],
                    f"{title}: {layer}\n{name}, Q = {own['q']:.3f}",
                )
            )
    return figures


def _sets(records):
    """Yields seed, question, name and record of every set that was found."""
    for record in records:
        for question in _SETS:
            for name, own in record.get(question, {}).items():
                if REFUSED not in own:
                    yield record["seed"], question, name, own


def _units_of(record, name="units"):
    """Returns the clusters of a record by layer; none if they are refused."""
    found = record.get(name, {})
    return {} if REFUSED in found else found


def _unanswered(records):
    """Returns which questions have no answer, and why."""
    rows = []
    for record in records:
        seed = record["seed"]
        for question, reason in record.get("not_asked", []):
            rows.append((question, "not asked", reason))
        for question in _SETS:
            for name, own in record.get(question, {}).items():
                title = _title(records, question, name, seed)
                if REFUSED in own:
                    rows.append((title, "no answer", own[REFUSED]))
                elif "not_checked" in own:
                    rows.append((title, "not checked", own["not_checked"]))
                elif reason := (own["soundness"] or {}).get("not_elsewhere"):
                    title += ", other classes"
                    rows.append((title, "not checked", reason))
        if REFUSED in record.get("units", {}):
            rows.append(
                ("units that act alike", "no answer", record["units"][REFUSED])
            )
    return Table(
        "Which questions have no answer?",
        ("question", "what became of it", "reason"),
        [*dict.fromkeys(rows)],
    )


def _verdicts(records):
    """Returns a sentence for each finding that was checked."""
    rows = [
        (_title(records, question, name, seed), own["soundness"]["verdict"])
        for seed, question, name, own in _sets(records)
        if "verdict" in (own["soundness"] or {})
    ]
    return Table(
        "What was found, in a sentence",
        ("finding", "is it sound?"),
        rows,
        "A part is sound if it does more alone than random parts of its size, "
        "and the model without it less than without such parts.",
    )


def _soundness(records):
    rows, settings = [], None
    for seed, question, name, own in _sets(records):
        title = _title(records, question, name, seed)
        if own["soundness"] is None:
            told = "not checked" if "not_checked" in own else "no member"
            rows.append((title, told, *[""] * (len(_SHOWN) - 1)))
            continue
        settings = own["soundness"]["settings"]
        found = {row["what"]: row for row in own["soundness"]["rows"]}
        cells = [_cell(found.get(what)) for what in _SHOWN]
        rows.append((title, *cells))
    return Table(
        "Are the findings sound?",
        ("finding", *_SHOWN.values()),
        rows,
        _how_to_read(settings) if settings else "",
    )


def _how_to_read(settings):
    parts = settings["random_parts"]
    return (
        f"Performance: {settings['name']}, with 95 % intervals, on examples "
        "that the findings were not made from; that of a class on its own "
        "examples. A sound part does alone what the whole model does, and far "
        "more than random parts of its size; without it the rest fails. p is "
        "how likely a random part does as well alone, or hurts as much by its "
        "removal. Redundant are members without which, one by one, the part "
        f"does as well. With {parts} random parts p is {1 / (parts + 1):.2g} "
        "at least: none of them did as well."
    )


def _cell(row):
    """Returns a number with its interval and p, in words."""
    if row is None:
        return "not measured"
    text = _percent(row["value"])
    if None not in (row["low"], row["high"]) and row["low"] < row["high"]:
        low, high = (f"{100 * row[key]:.0f}" for key in ("low", "high"))
        text += f" ({low} to {high})"
    return text if row["p"] is None else f"{text}, p = {row['p']:.2g}"


def _title(records, question, name, seed):
    title = named(question, name)
    return title if len(records) < 2 else f"{title}, seed {seed}"


def _sizes(records):
    rows, rule = [], ""
    for seed, question, name, own in _sets(records):
        if "against" in own:
            rule = "Neurons of a class are more active for it than for others."
        kept, size = np.sum([*own["layers"].values()], axis=0)
        told = " ".join(own.get("warnings", []))
        rows.append(
            (
                _title(records, question, name, seed),
                str(kept),
                str(size),
                _percent(kept / size),
                told or "none",
            )
        )
    return Table(
        "How large are the findings?",
        ("finding", "members", "of", "share", "warnings"),
        rows,
        rule,
    )


def _units(records):
    rows = []
    for record in records:
        for layer, own in _units_of(record).items():
            labels = np.array(own["clusters"])
            sizes = np.bincount(labels[labels >= 0])
            twin = _units_of(record, "untrained_units").get(layer)
            rows.append(
                (
                    layer
                    if len(records) < 2
                    else f"{layer}, seed {record['seed']}",
                    " + ".join(map(str, sizes)) or "none",
                    str(int((labels < 0).sum())),
                    _number(own["q"]),
                    "not measured" if twin is None else _number(twin["q"]),
                )
            )
    return Table(
        "Which units act alike?",
        ("layer", "units in each cluster", "unused", "Q", "Q untrained"),
        rows,
        "Q is Newman's modularity of the similarities. That of a copy of the "
        "model with fresh weights stands beside it: what training has added "
        "is the difference.",
    )


def _by_layer(records, question):
    """Returns which share of each layer belongs to each finding."""
    names = [
        name
        for name in records[0][question]
        if all(REFUSED not in record[question][name] for record in records)
    ]
    layers = [*records[0][question][names[0]]["layers"]]

    def shares(record, name):
        own = record[question][name]["layers"]
        return [100 * own[layer][0] / own[layer][1] for layer in layers]

    return plots.grouped_bars(
        {
            named(question, name): [shares(r, name) for r in records]
            for name in names
        },
        layers,
        f"{question} in the finding [%]",
        records[0]["model"],
    )


def _by_class(records, question):
    """Returns performance on each class without its part, or `None`."""
    shown = {
        "the whole model": "the whole model",
        "without the part": "without its part",
        "without random parts": "without random parts",
    }
    names = [
        name
        for name in records[0][question]
        if name != ALL
        and all(r[question][name].get("soundness") for r in records)
    ]
    if not names:
        return None

    def row(record, name, what):
        rows = record[question][name]["soundness"]["rows"]
        return next((r for r in rows if r["what"] == what), None)

    elsewhere = "elsewhere: without the part"
    if all(row(r, name, elsewhere) for r in records for name in names):
        shown[elsewhere] = "other classes, without its part"

    def numbers(what, key):
        return 100 * np.array(
            [[row(r, name, what)[key] for name in names] for r in records],
            "float64",
        )

    ends = None
    if len(records) == 1:
        ends = {
            title: np.concatenate([numbers(what, k) for k in ("low", "high")])
            for what, title in shown.items()
        }
    measure = records[0][question][names[0]]["soundness"]["settings"]["name"]
    return plots.grouped_bars(
        {title: numbers(what, "value") for what, title in shown.items()},
        [f"class {name}" for name in names],
        f"{measure} [%]",
        f"{records[0]['model']}: each class without its {question}",
        bounds=(0, 100),
        ends=ends,
    )


def _percent(value):
    return "none" if value is None else f"{100 * value:.1f} %"


def _number(value):
    return "none" if value is None else f"{value:.3f}"

"""Figures 2 to 4 and those beside them, drawn from the records alone."""

import math

import numpy as np

from modularity_tf import plots
from reproduce.bena2021 import arms, claims, parity_mnist
from reproduce.publishing.drawings import Drawings

# What stands at an axis: the measure, and of which network it is.
_MEASURED = {
    "bottleneck": "bottleneck, of (b)",
    "mask": "weight masks, of (a)",
    "correlation": "correlation, of (a)",
    "cka_distance": "CKA distance, of (a)\n(0 = alike)",
}
_ROLES = {
    claims.answerer: ("answers less", "answers more"),
    claims.receiver: ("sender", "receiver"),
}


_SPAN = (-1, 1)  # of specialization


def draw(records):
    """Returns figures 2 to 4 and those beside them, from the records alone."""
    groups = claims.by_demand(records)
    repeats = [*groups[min(groups)].values()]
    title = _title(repeats)
    figures = {
        "fig02_specialization": lambda: _specialization(repeats, title),
        "fig03_raw_metrics": lambda: _raw_metrics(repeats, title),
        "fig04_accuracy": lambda: _accuracy(repeats, title),
        "weighted_q": lambda: _weighted(repeats, title),
        "sender_receiver": lambda: _roles(repeats, title),
        "who_answers": lambda: _answers(repeats, title),
        "masks": lambda: _masks(repeats, title),
    }
    if any("controls" in record for record in repeats[0]):
        figures["links"] = lambda: _links(repeats, title)
    if len(groups) > 1:
        figures["demand"] = lambda: _demand(groups, title)
        figures["demand_bits"] = lambda: _bits(groups, title)
    return Drawings(figures)


def _title(repeats):
    """Returns data, arm and demand, in words."""
    first = repeats[0][0]
    parts = [first["data"]]
    if first["arm"] != "ours":
        parts.append(arms.ARMS[first["arm"]].title)
    if first["demand"] != claims.PAPERS_DEMAND:
        parts.append(f"m = {first['demand']}")
    return ", ".join(parts)


_NETWORKS = (
    "(a): the network without a bottleneck before each readout, (b): that "
    "with one."
)


def _panels(rows, columns, title):
    fig = plots.new_figure(plots.WIDTH, 1.4 + 2.4 * rows, title)
    axes = fig.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.grid(alpha=0.3)
    return fig, axes


def _explain(fig, repeats, *more, axes=()):
    """Writes the key of a figure, and below it what it shows."""
    plots.add_key(fig, axes)
    plots.explain(fig, " ".join([plots.in_words([len(repeats)]), *more]))


def _level(ax, value, text, number=0):
    """Draws a gray line across, which the key explains."""
    ax.axhline(
        value,
        color="0.45",
        linestyle=("-.", (0, (1, 1)), (0, (6, 2)))[number],
        linewidth=1.2,
        label=text,
    )


def _fractions(repeats):
    return [record["p"] for record in repeats[0]]


def _percent(repeats, value):
    """Returns 100 times a value of every record."""
    return [[100 * value(record) for record in sweep] for sweep in repeats]


def _by_p(ax, p):
    ax.set_xscale("log")
    ax.minorticks_off()  # of which four decades have too many
    ax.set_xlim(min(p) / 1.5, 1.5 * max(p))  # also where nothing is defined
    ax.set_xlabel("p, share of the possible links")


def _by_q(ax, q):
    """Gives an axis of Q the scale of log(1/2 - Q): Q ends close to 1/2."""

    def stretched(q):
        return -np.log10(np.maximum(0.5 - q, 1e-9))

    def back(x):
        return 0.5 - 10.0**-x

    ax.set_xscale("function", functions=(stretched, back))
    low, high = back(stretched(min(q)) - 0.15), back(stretched(max(q)) + 0.15)
    ax.set_xlim(low, high)
    ticks = [t for t in (0, 0.4, 0.49, 0.499, 0.4999) if low <= t <= high]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_xlabel("structural modularity Q")


def _specialization(repeats, title):
    """Draws specialization against p and Q, as it is and normalized.

    The module that answers and the other are drawn apart: a mean hides them.
    """
    fig, axes = _panels(
        3, 3, f"{title}: how far the two modules specialize, by three measures"
    )
    p, q = _fractions(repeats), claims.structural_q(repeats[0])
    demand = repeats[0][0]["demand"]
    most = parity_mnist.ceilings(demand)
    ceilings = {
        "bottleneck": {
            "ceiling: knows its own digit alone": most["alone"],
            "ceiling: knows what the other must send, too": most["told"],
        },
        "correlation": {"ceiling: uncorrelated codes": most["correlation"]},
    }
    ceiling_names = [text for each in ceilings.values() for text in each]
    for row, m in zip(axes, claims.MEASURES, strict=True):
        for ax, x in zip(row, (p, q), strict=False):
            _by_role(ax, x, repeats, m, claims.answerer)
            level = [claims.untrained(sweep[0], m) for sweep in repeats]
            if not np.isnan(np.mean(level)):
                ax.plot(x[0], np.mean(level), "xk", label="untrained")
            for text, value in ceilings.get(m, {}).items():
                _level(ax, value, text, ceiling_names.index(text))
        rest = [claims.normalized(sweep, m) for sweep in repeats]
        plots.mean_line(row[2], p, rest, 0, "mean of both")
        row[0].set_ylabel(_MEASURED[m])
        row[1].axvline(
            claims.HIGH_Q[m],
            color="black",
            linestyle=":",
            label="Q at which the paper has little or none",
        )
        _by_q(row[1], q)
        row[2].axhline(0.5, color="0.45", linewidth=0.8)
        _by_p(row[0], p)
        _by_p(row[2], p)
    for ax, text in zip(
        axes[0], ("against p", "against Q", "rise above p = 1"), strict=True
    ):
        ax.set_title(text, fontsize=10)
    for row in axes[:-1]:
        for ax in row:
            ax.set_xlabel("")
    _explain(
        fig,
        repeats,
        "On the right: what of the rise between p = 1 and the sparsest is "
        "there; the gray line is half of it.",
        _NETWORKS,
    )
    return fig


def _raw_metrics(repeats, title):
    fig, axes = _panels(
        2, 2, f"{title}: what module n has of digit k, the measures M(n, k)"
    )
    p = [record["p"] for record in repeats[0]]
    for ax, m in zip(axes.flat, _MEASURED, strict=True):
        both = np.array(
            [[claims.raw(r, m) for r in sweep] for sweep in repeats]
        )
        plots.mean_line(ax, p, both[..., 0], 0, "own digit")
        plots.mean_line(ax, p, both[..., 1], 2, "other digit")
        ax.set_ylabel(_MEASURED[m])
        _by_p(ax, p)
    guessed = parity_mnist.ceilings(repeats[0][0]["demand"])
    for i, (key, text) in enumerate(
        (
            ("other_alone", "other digit, guessed from the own one"),
            ("other_told", "other digit, guessed from that and the message"),
        )
    ):
        _level(axes[0, 0], guessed[key], text, i)
    _explain(fig, repeats, _NETWORKS)
    return fig


def _accuracy(repeats, title):
    fig, ((ax,),) = _panels(1, 1, f"{title}: accuracy of every network")
    fig.set_figheight(4.6)
    for i, (network, label) in enumerate(claims.NETWORKS.items()):
        points = [
            (r["p"], 100 * r[network]["accuracy"])
            for sweep in repeats
            for r in sweep
        ]
        style = {"color": plots.color(2 * i), "label": label}
        ax.plot(*zip(*points, strict=True), "ox"[i], **style)
    _level(ax, 100 * claims.GOOD, "networks above this are good")
    ax.set_ylabel("accuracy [%]")
    _by_p(ax, _fractions(repeats))
    plots.add_key(fig)
    plots.explain(fig, f"One point for each network. {_NETWORKS}")
    return fig


def _weighted(repeats, title):
    measures = [m for m, kind in claims.MEASURES.items() if kind == "plain"]
    fig, (row,) = _panels(
        1, 2, f"{title}: specialization against Q weighted by |w|"
    )
    for ax, m in zip(row, measures, strict=True):
        points = [
            (r["plain"]["q_weighted"], claims.specialized(r, m))
            for sweep in repeats
            for r in sweep
        ]
        style = {"color": plots.color(0), "markersize": 4}
        ax.plot(*zip(*points, strict=True), "o", **style)
        ax.set(xlabel="Q weighted by |w|", ylabel=_MEASURED[m])
    plots.explain(
        fig,
        "One point for each network. (a): the network without a bottleneck "
        "before each readout.",
    )
    return fig


def _by_role(ax, x, repeats, measure, role):
    """Draws the mean specialization of two modules, and each by its role."""
    each = np.array(
        [[claims.by_role(r, measure, role) for r in s] for s in repeats]
    )
    names = _ROLES[role]
    plots.mean_line(ax, x, each.mean(axis=-1), 0, "mean of both", _SPAN)
    for i, name in enumerate(names):
        plots.mean_line(ax, x, each[..., i], 3 - i, name, _SPAN)


def _roles(repeats, title):
    """Draws the modules by what they are told."""
    fig, (row,) = _panels(
        1,
        3,
        f"{title}: specialization of receiver and sender",
    )
    p = _fractions(repeats)
    for ax, m in zip(row, claims.MEASURES, strict=True):
        _by_role(ax, p, repeats, m, claims.receiver)
        ax.set_ylabel(_MEASURED[m])
        _by_p(ax, p)
    _explain(fig, repeats, _NETWORKS)
    return fig


def _answers(repeats, title):
    """Draws who is told what the other must send, and who answers."""
    fig, axes = _panels(3, 2, f"{title}: which module receives, which answers")
    p, demand = _fractions(repeats), repeats[0][0]["demand"]
    what = "parity" if demand == 2 else f"digit mod {demand}"
    most = parity_mnist.ceilings(demand)
    for column, (network, name) in zip(
        axes.T, claims.NETWORKS.items(), strict=True
    ):
        told, who, right = column
        message = 100 * np.sort(
            [[r[network]["message"] for r in s] for s in repeats]
        )
        plots.mean_line(told, p, message[..., 1], 2, "receiver", (0, 100))
        plots.mean_line(told, p, message[..., 0], 3, "sender", (0, 100))
        _level(told, 100 * most["residue"], "guessed from its own digit")
        for sweep in repeats:  # apart: the mean of 0 % and 100 % is no network
            answered = [100 * r[network]["answered"][0] for r in sweep]
            who.plot(
                p,
                answered,
                "o",
                color=plots.color(4),
                mec="0.2",
                mew=0.6,
                label="one network",
            )
        _level(who, 50, "each answers for its digit", 1)
        whole = _percent(repeats, lambda r, n=network: r[n]["accuracy"])
        misled = 100 * np.array(
            [[claims.misled(r, network) for r in s] for s in repeats]
        )
        plots.mean_line(right, p, whole, 0, "neither is misled", (0, 100))
        for i, who_is in enumerate(("answers less", "answers more")):
            plots.mean_line(
                right,
                p,
                misled[..., i],
                5 - i,
                f"the one that {who_is} is misled",
                (0, 100),
            )
        right.axhline(
            100 * most["misled"],
            color="black",
            linestyle=":",
            label="guessing by who answers all and is misled",
        )
        right.set_ylim(0, 100)
        told.set_title(f"network {name}", fontsize=10)
        for ax in column:
            _by_p(ax, p)
        for ax in column[:-1]:
            ax.set_xlabel("")
    for ax, text in zip(
        axes[:, 0],
        (
            f"other's {what},\nread from states [%]",
            "pairs that\nmodule 0 answers [%]",
            "accuracy if a module\nis misled [%]",
        ),
        strict=True,
    ):
        ax.set_ylabel(text)
    _explain(
        fig,
        repeats,
        "A module is misled if it gets the messages of other pairs.",
        _NETWORKS,
    )
    return fig


def _masks(repeats, title):
    """Draws what masks say: links always on, random modules, other sizes."""
    fig, (row,) = _panels(
        1, 3, f"{title}: specialization by weight masks, and its controls"
    )
    p = _fractions(repeats)
    kinds = {"mask": "links compete", "open": "links always on"}
    for i, (kind, label) in enumerate(kinds.items()):
        if kind == "open" and "open" not in repeats[0][0]["plain"]:
            continue
        found = [
            [
                r["plain"]["open"] if kind == "open" else r["plain"]
                for r in sweep
            ]
            for sweep in repeats
        ]
        values = [
            [claims.specialized({"plain": one}, "mask") for one in sweep]
            for sweep in found
        ]
        plots.mean_line(row[0], p, values, i, label, _SPAN)
        accuracy = [
            [100 * np.mean(one["mask_accuracy"]) for one in sweep]
            for sweep in found
        ]
        plots.mean_line(row[1], p, accuracy, i, label, (0, 100))
    null = [[r["plain"]["permuted"]["mask"] for r in s] for s in repeats]
    plots.mean_line(row[0], p, null, 3, "95 % of random modules", _SPAN)
    row[0].set_ylabel("specialization")
    row[1].set_ylabel("accuracy of the\nmasked network [%]")
    _by_p(row[0], p)
    _by_p(row[1], p)
    if "shares" in repeats[0][0]:
        found = [sweep[0]["shares"] for sweep in repeats]
        q = [one["share"] for one in found[0]]
        own = [[np.trace(one["mask"]) / 2 for one in s] for s in found]
        good = [[np.mean(one["mask_accuracy"]) for one in s] for s in found]
        plots.mean_line(row[2], q, own, 4, "its module's share M(n, n)", (0, 1))
        plots.mean_line(row[2], q, good, 5, "accuracy (of 1)", (0, 1))
        row[2].set(xscale="log", xlabel="q, share of weights kept")
        row[2].set_xticks(q, [f"{share:g}" for share in q])
        row[2].minorticks_off()
        row[2].set_title(f"other sizes, p = {p[0]:.2g}", fontsize=10)
    else:
        row[2].remove()
    _explain(fig, repeats)
    return fig


def _links(repeats, title):
    """Draws what becomes of links, and what it gains, by the rule."""
    fig, (row,) = _panels(
        1, 3, f"{title}: what becomes of links, by the rule that rewires them"
    )
    sweeps = [[r for r in sweep if "controls" in r] for sweep in repeats]
    p = [r["p"] for r in sweeps[0]]
    rules = {"": "Deep-R", **arms.TITLES}
    for i, (control, label) in enumerate(rules.items()):
        found = [
            [r["controls"][control] if control else r["plain"] for r in sweep]
            for sweep in sweeps
        ]
        moved = [[claims.moved(one) for one in s] for s in found]
        plots.mean_line(row[0], p, moved, i, label, (0, np.inf))
        kept = [[100 * one["original"] for one in s] for s in found]
        plots.mean_line(row[1], p, kept, i, label, (0, 100))
        if control != "no_rewiring":
            gains = [[100 * claims.gain(r, control) for r in s] for s in sweeps]
            plots.mean_line(row[2], p, gains, i, label, (-100, 100))
    row[2].axhline(0, color="0.45", linewidth=0.8)
    row[0].set_yscale("symlog", linthresh=0.1)
    row[0].set_ylabel("links that moved\nin 1,000 steps")
    row[1].set_ylabel("links that\nnever died [%]")
    row[2].set_ylabel("accuracy above that with\nfixed links [points]")
    for ax in row:
        _by_p(ax, p)
        ax.set_xlabel("p, share of\nthe possible links")  # panels are narrow
    _explain(fig, repeats, "Links of network (a).")
    return fig


def _bits(groups, title):
    """Draws specialization against the bits that a module must send."""
    fig, axes = _panels(
        2, 2, f"{title}: specialization against the bits to send"
    )
    x = [math.log2(demand) for demand in groups]
    seeds = set.intersection(*(set(repeats) for repeats in groups.values()))
    p = _fractions([*next(iter(groups.values())).values()])
    for i, fraction in enumerate(p):
        style = {"number": i, "label": f"p = {fraction:.2g}"}
        for ax, m in zip(axes.flat, claims.MEASURES, strict=False):
            values = [
                [claims.along(r[seed], m)[i] for r in groups.values()]
                for seed in sorted(seeds)
            ]
            plots.mean_line(ax, x, values, bounds=_SPAN, **style)
            ax.set_ylabel(_MEASURED[m])
        right = [
            [100 * r[seed][i]["plain"]["accuracy"] for r in groups.values()]
            for seed in sorted(seeds)
        ]
        plots.mean_line(axes[1, 1], x, right, bounds=(0, 100), **style)
    axes[1, 1].set_ylabel("accuracy of (a) [%]")
    for ax in axes.flat:
        ax.set_xlabel("bits to send, log2(m)")
    _explain(fig, seeds, _NETWORKS)
    return fig


def _demand(groups, title):
    """Draws specialization and accuracy for several demands."""
    fig, axes = _panels(
        2, 2, f"{title}: specialization, by the bits that modules must exchange"
    )
    for i, (demand, by_seed) in enumerate(sorted(groups.items())):
        repeats = [*by_seed.values()]
        p = [record["p"] for record in repeats[0]]
        bits = f"{math.log2(demand):.2g} bit" + "s" * (demand > 2)
        label = f"{bits} (m = {demand})"
        style = {"number": i, "label": label}
        for ax, m in zip(axes.flat, claims.MEASURES, strict=False):
            values = [claims.along(s, m) for s in repeats]
            plots.mean_line(ax, p, values, bounds=_SPAN, **style)
            ax.set_ylabel(_MEASURED[m])
        right = [
            [100 * r["plain"]["accuracy"] for r in sweep] for sweep in repeats
        ]
        plots.mean_line(axes[1, 1], p, right, bounds=(0, 100), **style)
    axes[1, 1].set_ylabel("accuracy of (a) [%]")
    for ax in axes.flat:
        _by_p(ax, p)
    _explain(fig, repeats, _NETWORKS)
    return fig

"""Figures 2 to 4 and those beside them, drawn from the records alone."""

import math

import numpy as np

from modularity_tf import plots, stats
from reproduce.bena2021 import arms, claims, parity_mnist

_ROLES = {
    claims.answerer: ("answers less", "answers more"),
    claims.receiver: ("sender", "receiver"),
}


def draw(records):
    """Returns figures 2 to 4 and those beside them, from the records alone."""
    groups = claims.by_demand(records)
    repeats = [*groups[min(groups)].values()]
    title = _title(repeats)
    figures = {
        "fig02_specialization": _specialization(repeats, title),
        "fig03_raw_metrics": _raw_metrics(repeats, title),
        "fig04_accuracy": _accuracy(repeats, title),
        "weighted_q": _weighted(repeats, title),
        "sender_receiver": _roles(repeats, title),
        "who_answers": _answers(repeats, title),
        "masks": _masks(repeats, title),
    }
    if any("controls" in record for record in repeats[0]):
        figures["links"] = _links(repeats, title)
    if len(groups) > 1:
        figures["demand"] = _demand(groups, title)
        figures["demand_bits"] = _bits(groups, title)
    return figures


def _title(repeats):
    """Returns data, arm and demand, in words."""
    first = repeats[0][0]
    parts = [first["data"]]
    if first["arm"] != "ours":
        parts.append(arms.ARMS[first["arm"]].title)
    if first["demand"] != claims.PAPERS_DEMAND:
        parts.append(f"m = {first['demand']}")
    return ", ".join(parts)


def _panels(rows, columns, title):
    fig = plots.new_figure(0.5 + 4.2 * columns, 0.6 + 2.8 * rows, title)
    axes = fig.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.grid(alpha=0.3)
    return fig, axes


def _explain(fig, repeats):
    plots.explain(
        fig,
        f"Mean of n = {len(repeats)} repeats"
        + ("; shaded: its 95 % interval." if len(repeats) > 1 else "."),
    )


def _band(ax, x, values, label=None, color=None, style="o-"):
    """Draws a mean and, shaded, its 95 % interval over the repeats."""
    values = np.asarray(values, "float64")
    mean, color = values.mean(axis=0), color or plots.color(0)
    ax.plot(x, mean, style, color=color, label=label, markersize=4)
    if len(values) > 1:
        margin = stats.mean_half_width(values)
        low, high = mean - margin, mean + margin
        ax.fill_between(x, low, high, color=color, alpha=0.2)


def _level(ax, value, text):
    """Draws a dotted line across, and what it is."""
    ax.axhline(value, color="0.5", linestyle=":", linewidth=1)
    ax.annotate(
        text,
        (0.98, value),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="bottom",
        fontsize=7,
        color="0.4",
    )


def _fractions(repeats):
    return [record["p"] for record in repeats[0]]


def _percent(repeats, value):
    """Returns 100 times a value of every record."""
    return [[100 * value(record) for record in sweep] for sweep in repeats]


def _by_p(ax, p):
    ax.set_xscale("log")
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
    fig, axes = _panels(3, 3, f"{title}: specialization of the modules")
    p, q = _fractions(repeats), claims.structural_q(repeats[0])
    demand = repeats[0][0]["demand"]
    most = parity_mnist.ceilings(demand)
    ceilings = {
        "bottleneck": {
            "knows its own digit alone": most["alone"],
            "and what the other must send": most["told"],
        },
        "correlation": {"uncorrelated codes": most["correlation"]},
    }
    for row, m in zip(axes, claims.MEASURES, strict=True):
        for ax, x in zip(row, (p, q), strict=False):
            _by_role(ax, x, repeats, m, claims.answerer)
            level = [claims.untrained(sweep[0], m) for sweep in repeats]
            if not np.isnan(np.mean(level)):
                ax.plot(x[0], np.mean(level), "xk", label="untrained")
            for text, value in ceilings.get(m, {}).items():
                _level(ax, value, text)
        rest = [claims.normalized(sweep, m) for sweep in repeats]
        _band(row[2], p, rest, "mean of both")
        _level(row[2], 0.5, "half")
        row[0].set_ylabel(f"specialization, {claims.TITLES[m]}")
        row[1].axvline(
            claims.HIGH_Q[m],
            color="0.6",
            linestyle=":",
            label="threshold of the claim",
        )
        _by_q(row[1], q)
        row[2].set_ylabel("part of the rise above p = 1")
        _by_p(row[0], p)
        _by_p(row[2], p)
    axes[1, 0].legend(fontsize=8)  # where no ceiling is drawn
    axes[0, 1].legend(axes[0, 1].lines[-1:], ["threshold of the claim"])
    _explain(fig, repeats)
    return fig


def _raw_metrics(repeats, title):
    fig, axes = _panels(2, 2, f"{title}: the measures M(n, k) themselves")
    p = [record["p"] for record in repeats[0]]
    for ax, m in zip(axes.flat, claims.TITLES, strict=True):
        both = np.array(
            [[claims.raw(r, m) for r in sweep] for sweep in repeats]
        )
        _band(ax, p, both[..., 0], "own digit")
        _band(ax, p, both[..., 1], "other digit", plots.color(2), "s--")
        ax.set_ylabel(claims.TITLES[m])
        _by_p(ax, p)
    guessed = parity_mnist.ceilings(repeats[0][0]["demand"])
    _level(axes[0, 0], guessed["other_alone"], "other's, guessed from its own")
    _level(axes[0, 0], guessed["other_told"], "and from what must be sent")
    axes[0, 1].legend()  # no lines across
    _explain(fig, repeats)
    return fig


def _accuracy(repeats, title):
    fig, ((ax,),) = _panels(1, 1, f"{title}: accuracy of every network")
    for i, (network, label) in enumerate(claims.NETWORKS.items()):
        points = [
            (r["p"], 100 * r[network]["accuracy"])
            for sweep in repeats
            for r in sweep
        ]
        style = {"color": plots.color(2 * i), "label": label}
        ax.plot(*zip(*points, strict=True), "ox"[i], **style)
    style = {"color": "0.6", "linestyle": ":"}
    ax.axhline(100 * claims.GOOD, label="good networks", **style)
    ax.set_ylabel("accuracy [%]")
    _by_p(ax, _fractions(repeats))
    ax.legend()
    return fig


def _weighted(repeats, title):
    measures = [m for m, kind in claims.MEASURES.items() if kind == "plain"]
    fig, (row,) = _panels(1, 2, f"{title}: against Q weighted by |w|")
    for ax, m in zip(row, measures, strict=True):
        points = [
            (r["plain"]["q_weighted"], claims.specialized(r, m))
            for sweep in repeats
            for r in sweep
        ]
        style = {"color": plots.color(0), "markersize": 4}
        ax.plot(*zip(*points, strict=True), "o", **style)
        ax.set(xlabel="Q weighted by |w|", ylabel=claims.TITLES[m])
    return fig


def _by_role(ax, x, repeats, measure, role):
    """Draws the mean specialization of two modules, and each by its role."""
    each = np.array(
        [[claims.by_role(r, measure, role) for r in s] for s in repeats]
    )
    names = _ROLES[role]
    _band(ax, x, each.mean(axis=-1), "mean of both")
    _band(ax, x, each[..., 0], names[0], plots.color(2), "^--")
    _band(ax, x, each[..., 1], names[1], plots.color(1), "v--")


def _roles(repeats, title):
    """Draws the modules by what they are told."""
    fig, (row,) = _panels(1, 3, f"{title}: by what a module is told")
    p = _fractions(repeats)
    for ax, m in zip(row, claims.MEASURES, strict=True):
        _by_role(ax, p, repeats, m, claims.receiver)
        ax.set_ylabel(f"specialization, {claims.TITLES[m]}")
        _by_p(ax, p)
    row[0].legend(fontsize=8)
    _explain(fig, repeats)
    return fig


def _answers(repeats, title):
    """Draws who is told what the other must send, and who answers."""
    fig, axes = _panels(3, 2, f"{title}: who is told, and who answers")
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
        _band(told, p, message[..., 1], "receiver", plots.color(1), "v--")
        _band(told, p, message[..., 0], "sender", plots.color(2), "^--")
        _level(told, 100 * most["residue"], "guessed from its own digit")
        for sweep in repeats:  # apart: the mean of 0 % and 100 % is no network
            answered = [100 * r[network]["answered"][0] for r in sweep]
            who.plot(p, answered, "o", color=plots.color(0), alpha=0.5)
        _level(who, 50, "each answers for its digit")
        whole = _percent(repeats, lambda r, n=network: r[n]["accuracy"])
        misled = 100 * np.array(
            [[claims.misled(r, network) for r in s] for s in repeats]
        )
        _band(right, p, whole, "neither")
        _band(right, p, misled[..., 0], "answers less", plots.color(2), "^--")
        _band(right, p, misled[..., 1], "answers more", plots.color(1), "v--")
        _level(right, 100 * most["misled"], "if it answers all, by chance")
        right.set_ylim(0, 100)
        told.set_title(name, fontsize=10)
        told.set_ylabel(f"other's {what} read from states [%]")
        who.set_ylabel("pairs that module 0 answers [%]")
        right.set_ylabel("accuracy if misled [%]")
        for ax in column:
            _by_p(ax, p)
    axes[0, 0].legend(fontsize=8)
    axes[2, 0].legend(
        fontsize=7,
        title="told of other pairs:",
        title_fontsize=7,
        loc="lower left",
    )
    _explain(fig, repeats)
    return fig


def _masks(repeats, title):
    """Draws what masks say: links always on, random modules, other sizes."""
    fig, (row,) = _panels(1, 3, f"{title}: weight masks")
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
        _band(row[0], p, values, label, plots.color(i))
        accuracy = [
            [100 * np.mean(one["mask_accuracy"]) for one in sweep]
            for sweep in found
        ]
        _band(row[1], p, accuracy, label, plots.color(i))
    null = [[r["plain"]["permuted"]["mask"] for r in s] for s in repeats]
    _band(row[0], p, null, "95 % of random modules", "0.5", "s:")
    row[0].set_ylabel("specialization")
    row[1].set_ylabel("accuracy of the masked network [%]")
    _by_p(row[0], p)
    _by_p(row[1], p)
    row[0].legend(fontsize=8)
    if "shares" in repeats[0][0]:
        found = [sweep[0]["shares"] for sweep in repeats]
        q = [one["share"] for one in found[0]]
        own = [[np.trace(one["mask"]) / 2 for one in s] for s in found]
        good = [[np.mean(one["mask_accuracy"]) for one in s] for s in found]
        _band(row[2], q, own, "its module's share M(n, n)")
        _band(row[2], q, good, "accuracy", plots.color(1), "s--")
        row[2].set(xscale="log", xlabel="q, share of weights kept")
        row[2].set_xticks(q, [f"{share:g}" for share in q])
        row[2].minorticks_off()
        row[2].set_title(f"at p = {p[0]:.2g}", fontsize=10)
        row[2].legend(fontsize=8)
    else:
        row[2].set_axis_off()
    _explain(fig, repeats)
    return fig


def _links(repeats, title):
    """Draws what becomes of links, and what it gains, by the rule."""
    fig, (row,) = _panels(1, 3, f"{title}: links of (a)")
    sweeps = [[r for r in sweep if "controls" in r] for sweep in repeats]
    p = [r["p"] for r in sweeps[0]]
    rules = {"": "Deep-R", **arms.TITLES}
    for i, (control, label) in enumerate(rules.items()):
        found = [
            [r["controls"][control] if control else r["plain"] for r in sweep]
            for sweep in sweeps
        ]
        style = {
            "label": label,
            "color": plots.color(i),
            "style": "osv^D"[i] + "-",
        }
        moved = [[claims.moved(one) for one in s] for s in found]
        _band(row[0], p, moved, **style)
        kept = [[100 * one["original"] for one in s] for s in found]
        _band(row[1], p, kept, **style)
        if control != "no_rewiring":
            gains = [[100 * claims.gain(r, control) for r in s] for s in sweeps]
            _band(row[2], p, gains, **style)
    _level(row[2], 0, "fixed links")
    row[0].set_yscale("symlog", linthresh=0.1)
    row[0].set_ylabel("links that moved in 1,000 steps")
    row[1].set_ylabel("links that never died [%]")
    row[2].set_ylabel("accuracy above fixed links [points]")
    for ax in row:
        _by_p(ax, p)
    row[0].legend(fontsize=7)
    _explain(fig, repeats)
    return fig


def _bits(groups, title):
    """Draws specialization against the bits that a module must send."""
    fig, axes = _panels(2, 2, f"{title}: against the bits to send")
    x = [math.log2(demand) for demand in groups]
    seeds = set.intersection(*(set(repeats) for repeats in groups.values()))
    p = _fractions([*next(iter(groups.values())).values()])
    for i, fraction in enumerate(p):
        style = {"label": f"p = {fraction:.2g}", "color": plots.color(i)}
        for ax, m in zip(axes.flat, claims.MEASURES, strict=False):
            values = [
                [claims.along(r[seed], m)[i] for r in groups.values()]
                for seed in sorted(seeds)
            ]
            _band(ax, x, values, **style)
            ax.set_ylabel(f"specialization, {claims.TITLES[m]}")
        right = [
            [100 * r[seed][i]["plain"]["accuracy"] for r in groups.values()]
            for seed in sorted(seeds)
        ]
        _band(axes[1, 1], x, right, **style)
    axes[1, 1].set_ylabel("accuracy of (a) [%]")
    for ax in axes.flat:
        ax.set_xlabel("bits to send, log2(m)")
    axes[0, 1].legend(fontsize=7)
    _explain(fig, seeds)
    return fig


def _demand(groups, title):
    """Draws specialization and accuracy for several demands."""
    fig, axes = _panels(2, 2, f"{title}: bits that the modules must exchange")
    for i, (demand, by_seed) in enumerate(sorted(groups.items())):
        repeats = [*by_seed.values()]
        p = [record["p"] for record in repeats[0]]
        bits = f"{math.log2(demand):.2g} bit" + "s" * (demand > 2)
        label = f"{bits} (m = {demand})"
        style = {"label": label, "color": plots.color(i)}
        for ax, m in zip(axes.flat, claims.MEASURES, strict=False):
            _band(ax, p, [claims.along(s, m) for s in repeats], **style)
            ax.set_ylabel(f"specialization, {claims.TITLES[m]}")
        right = [
            [100 * r["plain"]["accuracy"] for r in sweep] for sweep in repeats
        ]
        _band(axes[1, 1], p, right, **style)
    axes[1, 1].set_ylabel("accuracy of (a) [%]")
    for ax in axes.flat:
        _by_p(ax, p)
    axes[0, 1].legend(fontsize=7)
    _explain(fig, repeats)
    return fig

"""What structural modularity does to function: claims and figures."""

import itertools
import math

import numpy as np
from matplotlib import figure
from scipy import stats

from modularity_tf.structure import specialization
from reproduce.harness import claim

# Measure: the network it is measured on.
MEASURES = {"bottleneck": "bottleneck", "mask": "plain", "correlation": "plain"}
TITLES = {
    "bottleneck": "bottleneck",
    "mask": "weight masks",
    "correlation": "correlation",
    "cka_distance": "CKA distance (0 = alike)",
}
HIGH_Q = {"bottleneck": 0.49, "mask": 0.4, "correlation": 0.49}
GOOD = 0.9  # accuracy that makes measures meaningful


def raw(record, measure):
    """Returns the mean over both modules of M(n, n) and of M(n, 1 - n)."""
    m = np.array(record[MEASURES.get(measure, "plain")][measure])
    return np.diagonal(m).mean(), np.diagonal(m[:, ::-1]).mean()


def specialized(record, measure):
    """Returns the mean specialization of the two modules."""
    m = np.array(record[MEASURES[measure]][measure])
    own, other = np.diagonal(m), np.diagonal(m[:, ::-1])
    return float(specialization.specialization(own, other).mean())


def by_demand(records):
    """Returns demand -> seed -> records, the sparsest first."""
    groups = {}
    for record in sorted(records, key=lambda r: r["p"]):
        repeats = groups.setdefault(record["demand"], {})
        repeats.setdefault(record["seed"], []).append(record)
    return groups


def rank_correlation(first, second):
    """Returns Spearman's rank correlation; NaN if either does not vary."""
    if min(np.ptp(first), np.ptp(second)) == 0:
        return math.nan
    return float(stats.spearmanr(first, second).statistic)


def _with_q(sweep):
    """Returns the structural Q of each record."""
    return specialization.structural_modularity([r["p"] for r in sweep])


def _along(sweep, measure):
    return np.array([specialized(r, measure) for r in sweep])


def remaining(sweep, measure):
    """Returns the largest specialization up to the paper's Q, as a part.

    A part of that at the sparsest; NaN if there is none, or no lower Q.
    """
    values, lower = _along(sweep, measure), _with_q(sweep) <= HIGH_Q[measure]
    if not lower.any() or values[0] <= 0:
        return math.nan
    return float(values[lower].max() / values[0])


def claims(records):
    """Returns the paper's claims with thresholds fixed before any run."""
    groups = by_demand(records)
    paper, *harder = sorted(groups)
    repeats = [*groups[paper].values()]
    found = [
        claim.Claim(
            f"{TITLES[m]}: specialization rises with Q, rank correlation",
            "rises",
            tuple(rank_correlation(_along(s, m), _with_q(s)) for s in repeats),
            0.5,
            percent=False,
        )
        for m in MEASURES
    ]
    found += [
        claim.Claim(
            f"{TITLES[a]} and {TITLES[b]} agree, rank correlation",
            "agree",
            tuple(
                rank_correlation(_along(s, a), _along(s, b)) for s in repeats
            ),
            0.5,
            percent=False,
        )
        for a, b in itertools.combinations(MEASURES, 2)
    ]
    for m, limit in HIGH_Q.items():
        found += [
            claim.Claim(
                f"{TITLES[m]}: high specialization at the sparsest",
                "high",
                tuple(_along(s, m)[0] for s in repeats),
                0.5,
                percent=False,
            ),
            claim.Claim(
                f"{TITLES[m]}: the largest at Q <= {limit} is a part of that",
                "little to none",
                tuple(remaining(s, m) for s in repeats),
                0.5,
                at_least=False,
            ),
        ]
    found.append(
        claim.Claim(
            "accuracy, the worst of all networks of a seed",
            "good",
            tuple(min(r for _, r in _accuracies(s)) for s in repeats),
            GOOD,
        )
    )
    found += _control_claims([s[0] for s in repeats if "controls" in s[0]])
    return found + [
        claim.Claim(
            f"m = {demand}, {TITLES[m]}: the pattern is kept, rank correlation",
            "an open question",
            tuple(
                rank_correlation(_along(s, m), _with_q(s))
                for s in groups[demand].values()
            ),
            0.5,
            percent=False,
        )
        for demand in harder
        for m in MEASURES
    ]


def _control_claims(records):
    if not records:
        return []
    blank = [r["controls"]["untrained"] for r in records]
    return [
        claim.Claim(
            "masks on untrained networks do worse, accuracy lost",
            "substantially",
            tuple(
                np.mean(r["plain"]["mask_accuracy"])
                - np.mean(b["mask_accuracy"])
                for r, b in zip(records, blank, strict=True)
            ),
            0.1,
        ),
        claim.Claim(
            "a new readout of all random states tells a module's digit",
            "excellent",
            tuple(np.mean(b["readout"]) for b in blank),
            0.8,
        ),
        claim.Claim(
            "Deep-R against fixed links at the sparsest, accuracy gained",
            "greatly",
            tuple(
                r["plain"]["accuracy"]
                - r["controls"]["no_rewiring"]["accuracy"]
                for r in records
            ),
            0.05,
        ),
        claim.Claim(
            "without the random walk, accuracy changes by",
            "not substantially",
            tuple(
                abs(
                    r["plain"]["accuracy"]
                    - r["controls"]["no_walk"]["accuracy"]
                )
                for r in records
            ),
            0.05,
            at_least=False,
        ),
        claim.Claim(
            "without it, specialization by correlation changes by",
            "not substantially",
            tuple(
                abs(
                    specialized(r, "correlation")
                    - specialized(
                        {"plain": r["controls"]["no_walk"]}, "correlation"
                    )
                )
                for r in records
            ),
            0.1,
            at_least=False,
            percent=False,
        ),
    ]


def _accuracies(sweep):
    """Yields p and the accuracy of every network of the sweep."""
    for record in sweep:
        for network in ("plain", "bottleneck"):
            yield record["p"], record[network]["accuracy"]


def draw(records):
    """Returns figures 2 to 4 and those beside them, from the records alone."""
    groups = by_demand(records)
    repeats = [*groups[min(groups)].values()]
    title = repeats[0][0]["data"]
    figures = {
        "fig02_specialization": _specialization(repeats, title),
        "fig03_raw_metrics": _raw_metrics(repeats, title),
        "fig04_accuracy": _accuracy(repeats, title),
        "weighted_q": _weighted(repeats, title),
    }
    if len(groups) > 1:
        figures["demand"] = _demand(groups, title)
    return figures


def _panels(rows, columns, title):
    fig = figure.Figure((0.5 + 4.2 * columns, 0.6 + 2.8 * rows))
    fig.set_layout_engine("constrained")
    fig.suptitle(title)
    axes = fig.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.grid(alpha=0.3)
    return fig, axes


def _band(ax, x, values, label=None, color="C0", style="o-"):
    """Draws a mean and, shaded, a standard deviation over the repeats."""
    values = np.asarray(values, "float64")
    mean = values.mean(axis=0)
    ax.plot(x, mean, style, color=color, label=label, markersize=4)
    if len(values) > 1:
        sd = values.std(axis=0, ddof=1)
        ax.fill_between(x, mean - sd, mean + sd, color=color, alpha=0.2)


def _by_p(ax):
    ax.set_xscale("log")
    ax.set_xlabel("p")


def _specialization(repeats, title):
    fig, axes = _panels(3, 2, f"{title}: specialization of the modules")
    p = [record["p"] for record in repeats[0]]
    for (left, right), m in zip(axes, MEASURES, strict=True):
        values = [_along(sweep, m) for sweep in repeats]
        _band(left, p, values)
        _band(right, _with_q(repeats[0]), values)
        left.set_ylabel(TITLES[m])
        right.axvline(HIGH_Q[m], color="0.6", linestyle=":")
        right.set_xlabel("Q")
        _by_p(left)
    return fig


def _raw_metrics(repeats, title):
    fig, axes = _panels(2, 2, f"{title}: the measures M(n, k) themselves")
    p = [record["p"] for record in repeats[0]]
    for ax, m in zip(axes.flat, TITLES, strict=True):
        both = np.array([[raw(r, m) for r in sweep] for sweep in repeats])
        _band(ax, p, both[..., 0], "own digit")
        _band(ax, p, both[..., 1], "other digit", "C1", "s--")
        ax.set_ylabel(TITLES[m])
        _by_p(ax)
    axes[0, 0].axhline(
        repeats[0][0]["chance"], color="0.6", linestyle=":", label="chance"
    )
    axes[0, 0].legend()
    return fig


def _accuracy(repeats, title):
    fig, ((ax,),) = _panels(1, 1, f"{title}: accuracy of every network")
    for i, (network, label) in enumerate(
        (("plain", "(a)"), ("bottleneck", "(b), bottleneck"))
    ):
        points = [
            (r["p"], 100 * r[network]["accuracy"])
            for sweep in repeats
            for r in sweep
        ]
        ax.plot(*zip(*points, strict=True), "ox"[i], color=f"C{i}", label=label)
    ax.axhline(100 * GOOD, color="0.6", linestyle=":")
    ax.set_ylabel("accuracy [%]")
    _by_p(ax)
    ax.legend()
    return fig


def _weighted(repeats, title):
    fig, (row,) = _panels(1, 3, f"{title}: against Q weighted by |w|")
    for ax, m in zip(row, MEASURES, strict=True):
        points = [
            (r["plain"]["q_weighted"], specialized(r, m))
            for sweep in repeats
            for r in sweep
        ]
        ax.plot(*zip(*points, strict=True), "o", markersize=4)
        ax.set(xlabel="Q weighted by |w|", ylabel=TITLES[m])
    return fig


def _demand(groups, title):
    """Draws specialization and accuracy for several demands."""
    fig, axes = _panels(2, 2, f"{title}: bits that the modules must exchange")
    for i, (demand, by_seed) in enumerate(sorted(groups.items())):
        repeats = [*by_seed.values()]
        p = [record["p"] for record in repeats[0]]
        label = f"{math.log2(demand):.2g} bits (m = {demand})"
        style = {"label": label, "color": f"C{i}"}
        for ax, m in zip(axes.flat, MEASURES, strict=False):
            _band(ax, p, [_along(s, m) for s in repeats], **style)
            ax.set_ylabel(f"specialization, {TITLES[m]}")
        right = [
            [100 * r["plain"]["accuracy"] for r in sweep] for sweep in repeats
        ]
        _band(axes[1, 1], p, right, **style)
    axes[1, 1].set_ylabel("accuracy of (a) [%]")
    for ax in axes.flat:
        _by_p(ax)
    axes[0, 0].legend()
    return fig

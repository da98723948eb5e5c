"""What structural modularity does to function: numbers and claims.

Everything here is computed from the records of
`reproduce.structural_modularity`, one for each demand, number of links
and seed.
"""

import dataclasses
import itertools
import math

import numpy as np
import scipy.stats

from modularity_tf import stats
from modularity_tf.structure import specialization
from reproduce.bena2021 import arms, measures
from reproduce.publishing import claim
from reproduce.publishing.records import grouped
from reproduce.publishing.table import Table

# Measure: the network it is measured on.
MEASURES = {"bottleneck": "bottleneck", "mask": "plain", "correlation": "plain"}
TITLES = {
    "bottleneck": "bottleneck",
    "mask": "weight masks",
    "correlation": "correlation",
    "cka_distance": "CKA distance (0 = alike)",
}
NETWORKS = {"plain": "(a)", "bottleneck": "(b)"}
# The paper's high Q at which little to none is left (section 4): for masks its
# example, for the others the Q above which it sees a rise.
HIGH_Q = {"bottleneck": 0.49, "mask": 0.35, "correlation": 0.49}
GOOD = 0.9  # accuracy that makes measures meaningful
PAPERS_DEMAND = 2  # the modulus of its task


def raw(record, measure):
    """Returns the mean over both modules of M(n, n) and of M(n, 1 - n)."""
    m = np.array(record[MEASURES.get(measure, "plain")][measure], "float64")
    own, other = measures.own_and_other(m)
    return own.mean(), other.mean()


def by_module(record, measure):
    """Returns the specialization of each module."""
    m = np.array(record[MEASURES[measure]][measure], "float64")
    return measures.by_module(m)


def specialized(record, measure):
    """Returns the mean specialization of the two modules."""
    return float(by_module(record, measure).mean())


def receiver(record, network):
    """Returns which module can better tell what the other must send.

    Chosen by that alone, never by specialization.

    Args:
        record: Dict.
        network: Str, "plain" or "bottleneck".
    """
    return int(np.argmax(record[network]["message"]))


def answerer(record, network):
    """Returns which module answers more of the pairs, as `receiver` does."""
    return int(np.argmax(record[network]["answered"]))


def by_role(record, measure, role=receiver):
    """Returns the specialization of the sender and of the receiver.

    Args:
        record: Dict.
        measure: Str.
        role: `receiver`, or `answerer` for the module that answers less and
            the one that answers more.
    """
    chosen = role(record, MEASURES[measure])
    return by_module(record, measure)[[1 - chosen, chosen]]


def answered(record, network):
    """Returns the share of the pairs that one module answers, the larger."""
    return max(record[network]["answered"])


def misled(record, network):
    """Returns the accuracy if a module is told of other pairs.

    If it is the one that answers less, and if it is the one that answers more.
    """
    who = answerer(record, network)
    return np.array(record[network]["misled"])[[1 - who, who]]


def untrained(record, measure):
    """Returns that of the untrained network; NaN if it was not measured."""
    if "untrained" not in record:
        return math.nan
    found = record["untrained"]
    return specialized(dict.fromkeys(MEASURES.values(), found), measure)


def by_demand(records):
    """Returns demand -> seed -> records, the sparsest first."""
    ordered = sorted(records, key=lambda r: r["p"])
    return {
        demand: grouped(repeats, "seed")
        for demand, repeats in grouped(ordered, "demand").items()
    }


def rank_correlation(first, second):
    """Returns Spearman's rank correlation; NaN if either does not vary."""
    if min(np.ptp(first), np.ptp(second)) == 0:
        return math.nan
    return float(scipy.stats.spearmanr(first, second).statistic)


def structural_q(sweep):
    """Returns the structural Q of each record."""
    return specialization.structural_modularity([r["p"] for r in sweep])


def along(sweep, measure):
    """Returns the specialization of each record."""
    return np.array([specialized(r, measure) for r in sweep])


def sparsest(sweep, measure):
    """Returns the specialization at the sparsest; NaN if its Q is not high."""
    is_high = structural_q(sweep)[0] > HIGH_Q[measure]
    return specialized(sweep[0], measure) if is_high else math.nan


def at_high_q(sweep, measure, values):
    """Returns what values of a sweep come to at the paper's high Q.

    On the line between the two sparsities beside it, so that it does not depend
    on which sparsities were run. NaN if there are no two below p = 1, where
    both modules are one network and nothing is left by construction.
    """
    apart = np.array([r["p"] for r in sweep]) < 1
    q, values = structural_q(sweep)[apart], np.array(values)[apart]
    order, nan = np.argsort(q), math.nan
    found = np.interp(HIGH_Q[measure], q[order], values[order], nan, nan)
    return float(found)


def remaining(sweep, measure):
    """Returns the specialization at the paper's high Q, as a part.

    A part of that at the sparsest. NaN where either is not known.
    """
    most = sparsest(sweep, measure)
    if not most > 0:
        return math.nan
    return at_high_q(sweep, measure, along(sweep, measure)) / most


def normalized(sweep, measure):
    """Returns (s(p) - s(1)) / (s(sparsest) - s(1)); NaN if s does not fall."""
    values = along(sweep, measure)
    height = values[0] - values[-1]
    if sweep[-1]["p"] != 1 or not height > 0:
        return np.full(len(values), math.nan)
    return (values - values[-1]) / height


def normalized_rest(sweep, measure):
    """Returns `normalized` at the paper's high Q."""
    return at_high_q(sweep, measure, normalized(sweep, measure))


def at_low_q(sweep):
    """Returns the first record where the paper sees little specialization.

    At the largest Q up to 0.49 that has p < 1; `None` if there is none.
    """
    q, low = structural_q(sweep), HIGH_Q["bottleneck"]
    found = [i for i, r in enumerate(sweep) if q[i] <= low and r["p"] < 1]
    return sweep[found[0]] if found else None


def division(record, measure):
    """Returns how much more specialized the module is that answers less."""
    less, more = by_role(record, measure, answerer)
    return float(less - more)


def beyond_random(sweep, measure):
    """Returns specialization at the largest p < 1 less that of random halves.

    Their 95 % quantile; NaN if it is not known.
    """
    below = [r for r in sweep if r["p"] < 1]
    limit = below[-1]["plain"]["permuted"][measure] if below else None
    if limit is None:
        return math.nan
    return specialized(below[-1], measure) - limit


def gain(record, control, against="no_rewiring"):
    """Returns the accuracy of a network above that with another rule.

    Args:
        record: Dict with controls.
        control: Str, a name in `arms.CONTROLS`, or "" for the network itself.
        against: Str, such a name.
    """
    controls = record["controls"]
    own = controls[control] if control else record["plain"]
    return own["accuracy"] - controls[against]["accuracy"]


def moved(links):
    """Returns how many links moved in 1,000 steps.

    Args:
        links: Dict, what has become of the links of a network.
    """
    return 1e3 * links["rewired"] / links["steps"]


def between_seeds(values):
    """Returns the mean distance of two repeats; NaN if there is one."""
    pairs = [abs(a - b) for a, b in itertools.combinations(values, 2)]
    return sum(pairs) / len(pairs) if pairs else math.nan


def tables(records):
    """Returns tables of every measure at every sparsity."""
    rows, pairs = [], []
    for name, found in _by_sparsity(records):
        each = {m: [by_role(r, m, answerer) for r in found] for m in MEASURES}
        pairs.append(
            (
                *name,
                str(len(found)),
                *(
                    _spread(values)
                    for m in MEASURES
                    for values in zip(*each[m], strict=True)
                ),
            )
        )
        rows.append(
            (
                *name,
                f"{structural_q(found)[0]:.4g}",
                str(len(found)),
                *(
                    _spread([specialized(r, m) for r in found])
                    for m in MEASURES
                ),
                *(
                    _spread([100 * r[n]["accuracy"] for r in found], ".1f")
                    for n in ("plain", "bottleneck")
                ),
                _mean_sd(found, "plain", "mask"),
                _mean_sd(found, "bottleneck", "bottleneck"),
                _spread([moved(r["plain"]) for r in found], ".3g"),
            )
        )
    return [
        Table(
            "Specialization by sparsity",
            (
                "arm",
                "p",
                "Q",
                "n",
                *(TITLES[m] for m in MEASURES),
                "accuracy (a) [%]",
                "accuracy (b) [%]",
                "SD of masks",
                "SD of readouts",
                "links moved in 1,000 steps",
            ),
            rows,
            "Mean over n repeats ± half of its 95 % interval. SD of masks: how "
            "much several masks of one network differ, by module; of readouts: "
            "how much three differ that are fitted to a third of the pairs.",
        ),
        Table(
            "The two modules of a network",
            (
                "arm",
                "p",
                "n",
                *(
                    f"{TITLES[m]}, answers {how}"
                    for m in MEASURES
                    for how in ("less", "more")
                ),
            ),
            pairs,
            "Specialization of the module that answers less and of the one "
            "that answers more, mean over n repeats ± half of its 95 % "
            "interval.",
        ),
        _answers(records),
    ]


def _answers(records):
    """Returns a table of which module answers, and how well either would."""
    rows = []
    for name, found in _by_sparsity(records):
        cells = []
        for network in NETWORKS:
            who = np.array([answerer(r, network) for r in found])
            lied = np.transpose([misled(r, network) for r in found])
            cells += [
                _spread([100 * answered(r, network) for r in found], ".0f"),
                f"{(who == 0).sum()} of {len(found)}",
                *(_spread(100 * accuracy, ".0f") for accuracy in lied),
            ]
        rows.append((*name, *cells))
    what = (
        "answered by one [%]",
        "by module 0",
        "other misled [%]",
        "it misled [%]",
    )
    return Table(
        "Which module answers",
        ("arm", "p", *(f"{t}: {w}" for t in NETWORKS.values() for w in what)),
        rows,
        "Of the module that answers more: the share of the pairs that it "
        "answers, and in how many networks it is module 0. Then the accuracy "
        "if the other module is misled (it receives the messages of other "
        "pairs), and if this one is. Mean over the repeats ± half of its 95 % "
        "interval.",
    )


def _by_sparsity(records):
    """Yields arm and p, and the records of all seeds, of each sparsity."""
    for demand, repeats in sorted(by_demand(records).items()):
        for found in zip(*repeats.values(), strict=True):
            arm = arms.ARMS[found[0]["arm"]].title
            if demand != PAPERS_DEMAND:
                arm += f", m = {demand}"
            yield (arm, f"{found[0]['p']:.2g}"), found


def _mean_sd(found, network, measure):
    """Returns the mean standard deviation over repeats; empty if not known."""
    each = [r[network][f"{measure}_sd"] for r in found]
    return "" if None in each else f"{np.mean(each):.3f}"


def _spread(values, digits=".2f"):
    """Returns a mean and half of its interval, in words."""
    margin = stats.mean_half_width(values)
    text = format(np.mean(values), digits)
    return text if np.isnan(margin) else f"{text} ± {format(margin, digits)}"


def claims(records):
    """Returns the paper's claims and, named so, those that came after a run."""
    found = claim.Claims()
    groups = by_demand(records)
    found.extend(_bits_claims(groups))  # with the main claim of such a run
    for demand, repeats in sorted(groups.items()):
        sweeps = [*repeats.values()]
        if demand == PAPERS_DEMAND:
            for own in (papers_claims(sweeps), _post_hoc_claims(sweeps)):
                found.extend(
                    dataclasses.replace(one, repeat=_is_repeat(one, groups))
                    for one in own
                )
        else:
            found.extend(_demand_claims(demand, sweeps))
        found.extend(_control_claims(demand, [s[0] for s in sweeps]))
    return found


def _is_repeat(one, groups):
    """Returns whether another run has the claim from the same networks.

    A run of more demands has the paper's one for comparison, and one of several
    masks a network says nothing new but of masks.
    """
    first = next(iter(groups[PAPERS_DEMAND].values()))[0]
    is_of_masks = first["plain"]["mask_sd"] is not None
    return len(groups) > 1 or (is_of_masks and "mask" not in one.id)


def papers_claims(sweeps):
    """Returns the claims on the paper's demand, fixed before any run.

    Args:
        sweeps: List, of each seed the records, the sparsest first.
    """
    return [
        *_pattern_claims(sweeps),
        *_height_claims(sweeps),
        *_accuracy_claims(sweeps),
    ]


def _pattern_claims(sweeps):
    """Returns the claims on how specialization goes along with Q."""
    found = claim.Claims()
    no_effect = {"null": 0.0, "null_is": "no effect", "percent": False}
    for m in MEASURES:
        found.add(
            f"{m}_rises_with_q",
            f"{TITLES[m]}: specialization rises with Q, rank correlation",
            [rank_correlation(along(s, m), structural_q(s)) for s in sweeps],
            at_least=0.5,
            bounds=claim.DIFFERENCE,
            paper="rises monotonically",
            **no_effect,
        )
    for a, b in itertools.combinations(MEASURES, 2):
        found.add(
            f"{a}_agrees_with_{b}",
            f"{TITLES[a]} and {TITLES[b]} agree, rank correlation",
            [rank_correlation(along(s, a), along(s, b)) for s in sweeps],
            at_least=0.5,
            bounds=claim.DIFFERENCE,
            paper="qualitatively agree",
            **no_effect,
        )
    return found


def _height_claims(sweeps):
    """Returns the claims on how high specialization is, and where."""
    found = claim.Claims()
    for m, limit in HIGH_Q.items():
        found.add(
            f"{m}_at_the_sparsest",
            f"{TITLES[m]}: high specialization at the sparsest",
            [sparsest(s, m) for s in sweeps],
            at_least=0.5,
            bounds=claim.DIFFERENCE,
            null=[untrained(s[0], m) for s in sweeps],
            null_is="untrained networks",
            paper="M(n, n) = 1" if m == "mask" else "high",
            percent=False,
        )
        found.add(
            f"{m}_at_high_q",
            f"{TITLES[m]}: specialization at Q = {limit}, as a part of that "
            "at the sparsest",
            [remaining(s, m) for s in sweeps],
            main=m == "mask",
            at_most=0.5,
            null=1.0,
            null_is="no effect",
            paper="little to none",
        )
    return found


def _accuracy_claims(sweeps):
    found = claim.Claims()
    found.add(
        "worst_accuracy",
        "accuracy, the worst of all networks of a seed",
        [
            min(r[kind]["accuracy"] for r in s for kind in MEASURES.values())
            for s in sweeps
        ],
        at_least=GOOD,
        bounds=claim.SHARE,
        null=0.5,  # for every modulus, as tests of `parity_mnist` show
        null_is="always one module's digit",
        paper="good",
    )
    return found


def _demand_claims(demand, sweeps):
    """Returns the claims on more bits to exchange than the paper's one."""
    found = claim.Claims(f"m = {demand}")
    for m in MEASURES:
        found.add(
            f"{m}_rises_with_q",
            f"{TITLES[m]}: the pattern is kept, rank correlation",
            [rank_correlation(along(s, m), structural_q(s)) for s in sweeps],
            at_least=0.5,
            bounds=claim.DIFFERENCE,
            source="own",
            null=0.0,
            null_is="no effect",
            paper="an open question",
            percent=False,
        )
    found.extend(_post_hoc(_answer_claims(sweeps)))
    return found


def _post_hoc(claims):
    """Returns claims, marked: they were asked after a look."""
    return [dataclasses.replace(one, post_hoc=True) for one in claims]


def _post_hoc_claims(sweeps):
    """Returns claims whose statement or threshold came after a first run."""
    found = claim.Claims()
    beyond = {"paper": claim.NOT_ASKED, "source": "own", "percent": False}
    for m in MEASURES:
        roles = [by_role(s[0], m) for s in sweeps]
        found.add(
            f"{m}_of_sender_over_receiver",
            f"{TITLES[m]}: at the sparsest the sender is more specialized than "
            "the receiver, by",
            [sender - told for sender, told in roles],
            at_least=0.1,
            null=0.0,
            null_is="no effect",
            **beyond,
        )
        found.add(
            f"{m}_above_dense",
            f"{TITLES[m]}: above p = 1, that at Q = {HIGH_Q[m]} is a part of "
            "that at the sparsest",
            [normalized_rest(s, m) for s in sweeps],
            at_most=0.5,
            null=1.0,
            null_is="no effect",
            paper="little to none",
        )
    for m in ("mask", "correlation"):
        found.add(
            f"{m}_beyond_random",
            f"{TITLES[m]}: at the largest p below 1, no more than 95 % of "
            "random modules, but by",
            [beyond_random(s, m) for s in sweeps],
            at_most=0.0,
            null=0.0,
            null_is="random modules",
            paper="little to none",
            percent=False,
        )
    found.extend(_answer_claims(sweeps))
    found.extend(_link_claims(sweeps))
    return _post_hoc(found)


def _answer_claims(sweeps):
    """Returns the claims on the module that answers and the other one.

    Post hoc: in this form they came after the runs of every demand.
    """
    found = claim.Claims()
    low, dense = [at_low_q(s) for s in sweeps], [s[-1] for s in sweeps]
    if None in low:
        return found
    here = f"at Q = {structural_q(low)[0]:.2g}"
    for network, title in NETWORKS.items():
        found.add(
            f"one_module_answers_{network}",
            f"one module of {title} answers {here}, of the pairs",
            [answered(r, network) for r in low],
            at_least=0.9,
            bounds=(0.5, 1.0),
            source="own",
            null=0.5,
            null_is="the least possible",
            paper=claim.NOT_ASKED,
        )
        less, more = np.transpose(
            [r[network]["accuracy"] - misled(r, network) for r in low]
        )
        found.add(
            f"other_module_told_{network}",
            f"{title} hardly needs what the module that answers less receives "
            f"{here}: accuracy lost if it is misled",
            less,
            at_most=0.05,
            bounds=claim.DIFFERENCE,
            source="own",
            null=more,
            null_is="if the other module is misled",
            paper=claim.NOT_ASKED,
        )
    for m in MEASURES:
        found.add(
            f"{m}_of_silent_over_answering",
            f"{TITLES[m]}: the module that answers less is more specialized "
            f"{here}, by",
            [division(r, m) for r in low],
            at_least=0.1,
            null=[division(r, m) if r["p"] == 1 else math.nan for r in dense],
            null_is="at p = 1",
            source="own",
            paper=claim.NOT_ASKED,
            percent=False,
        )
    return found


def _link_claims(sweeps):
    """Returns the claims on Deep-R at every p that has controls."""
    found = claim.Claims()
    fractions = sorted({r["p"] for s in sweeps for r in s if "controls" in r})
    for p in fractions:
        records = [
            r for s in sweeps for r in s if r["p"] == p and "controls" in r
        ]
        for control, title in (
            ("", "Deep-R"),
            ("gentle_wake", "Deep-R whose woken links start gently"),
            ("earliest", "Deep-R with the earliest code's walk and L1"),
        ):
            if control or p > fractions[0]:  # else a claim of its own
                found.add(
                    f"{control or 'deep_r'}_at_p_{p:.2g}",
                    f"{title} against fixed links at p = {p:.2g}, accuracy "
                    "gained",
                    [gain(r, control) for r in records],
                    at_least=0.05,
                    bounds=claim.DIFFERENCE,
                    null=0.0,
                    null_is="no effect",
                    paper="greatly",
                )
    return found


def _bits_claims(groups):
    """Returns the claims on specialization against the bits to send."""
    found = claim.Claims()
    if len(groups) < 3:  # a rank correlation of two is 1 or -1
        return found
    seeds = set.intersection(*(set(repeats) for repeats in groups.values()))
    for m in MEASURES:
        found.add(
            f"{m}_falls_with_bits",
            f"{TITLES[m]}: specialization falls with the bits to send, rank "
            "correlation",
            [
                rank_correlation(
                    [*groups],
                    [along(r[seed], m).mean() for r in groups.values()],
                )
                for seed in sorted(seeds)
            ],
            main=m == "mask",
            at_most=-0.5,
            bounds=claim.DIFFERENCE,
            source="own",
            null=0.0,
            null_is="no effect",
            paper="an open question",
            percent=False,
        )
    return found


def _control_claims(demand, records):
    """Returns the claims on the controls, from the sparsest of each seed."""
    found = claim.Claims("" if demand == PAPERS_DEMAND else f"m = {demand}")
    records = [r for r in records if "controls" in r]
    if not records:
        return found
    blank = [r["untrained"] for r in records]
    no_walk = [r["controls"]["no_walk"] for r in records]
    accuracy = np.array([r["plain"]["accuracy"] for r in records])
    correlation = np.array([specialized(r, "correlation") for r in records])
    found.add(
        "untrained_masks_lose",
        "masks on untrained networks do worse, accuracy lost",
        [
            np.mean(r["plain"]["mask_accuracy"]) - np.mean(b["mask_accuracy"])
            for r, b in zip(records, blank, strict=True)
        ],
        at_least=0.1,
        bounds=claim.DIFFERENCE,
        null=0.0,
        null_is="no effect",
        paper="substantially",
    )
    found.add(
        "untrained_readout",
        "a new readout of all random states tells a module's digit",
        [np.mean(b["readout"]) for b in blank],
        at_least=0.8,
        bounds=claim.SHARE,
        null=[r["chance"] for r in records],
        null_is="guessing",
        paper="excellent",
    )
    found.add(
        "deep_r_at_the_sparsest",
        "Deep-R against fixed links at the sparsest, accuracy gained",
        accuracy - [r["controls"]["no_rewiring"]["accuracy"] for r in records],
        at_least=0.05,
        bounds=claim.DIFFERENCE,
        null=0.0,
        null_is="no effect",
        paper="greatly",
    )
    found.add(
        "accuracy_without_walk",
        "without the random walk, accuracy changes by",
        np.abs(accuracy - [other["accuracy"] for other in no_walk]),
        at_most=0.05,
        bounds=claim.SHARE,
        null=0.05,
        null_is="a change that is seen; between two seeds "
        f"{between_seeds(accuracy):.1%}",
        paper="not substantially",
    )
    found.add(
        "correlation_without_walk",
        "without it, specialization by correlation changes by",
        np.abs(
            correlation
            - [specialized({"plain": n}, "correlation") for n in no_walk]
        ),
        at_most=0.1,
        null=0.1,
        null_is="a change that is seen; between two seeds "
        f"{between_seeds(correlation):.2g}",
        paper="not substantially",
        percent=False,
    )
    return found

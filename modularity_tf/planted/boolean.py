"""Networks compiled from Boolean functions: every weight's part is known.

A module computes functions of the number s of its bits that are set. Its
hidden units are relu(s - j), and any function f of s is the sign of a sum:

    v(s) = f(0) + sum_j c_j relu(s - j),  f(s) = 1 where v(s) > 1/2

with a unit j where f(j) and f(j + 1) differ, and c_j so that v(j + 1) is
f(j + 1): the line turns there, and goes on to the next change. So an output
needs each weight of the units that it reads: without one, the change of its
unit is missed where just j + 1 bits are set. Parity is brittle, a unit for
every bit; a threshold is robust, a single one.

Around the modules lie units that do nothing, each in its way; all is then
hidden: inputs and units are permuted, units scaled.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np

from modularity_tf import checks
from modularity_tf.planted.planted_network import KINDS, Planted

Function: TypeAlias = Sequence[int]  # 0 or 1 for each number of set bits
LOGIT = 8.0  # outputs are 4 or more from 0
MOST_BITS = 16  # that are enumerated
_NEEDED = [KINDS.index("needed"), KINDS.index("copy")]


def parity(bits: int) -> tuple[int, ...]:
    """Returns whether the number of set bits is odd, for 0 to `bits`.

    >>> mtf.planted.parity(3)
    (0, 1, 0, 1)

    Args:
        bits: Number of bits, at least 1.
    """
    return tuple(s % 2 for s in _counts(bits))


def at_least(bits: int, least: int) -> tuple[int, ...]:
    """Returns whether `least` bits are set or more, for 0 to `bits` of them.

    >>> mtf.planted.at_least(3, 2)
    (0, 0, 1, 1)

    Args:
        bits: Number of bits, at least 1.
        least: Smallest number of set bits.
    """
    least = checks.integer("least", least, least=-math.inf)
    return tuple(int(s >= least) for s in _counts(bits))


def between(bits: int, least: int, most: int) -> tuple[int, ...]:
    """Returns whether `least` to `most` bits are set, for 0 to `bits`.

    >>> mtf.planted.between(3, 1, 2)
    (0, 1, 1, 0)

    Args:
        bits: Number of bits, at least 1.
        least: Smallest number of set bits.
        most: Largest number of set bits.
    """
    least = checks.integer("least", least, least=-math.inf)
    most = checks.integer("most", most, least=-math.inf)
    return tuple(int(least <= s <= most) for s in _counts(bits))


def _counts(bits):
    """Returns how many bits may be set."""
    return range(checks.integer("bits", bits, least=1) + 1)


def make_boolean(
    outputs: Sequence[tuple[int, Function]],
    *,
    copies: bool = False,
    unread: int = 0,
    silent: int = 0,
    pairs: int = 0,
    decoy_scale: float = 1.0,
    logit: float = LOGIT,
    inputs: int | None = None,
    rows: int | None = None,
    seed: int | None = 0,
) -> Planted:
    """Returns a network of two layers that computes Boolean functions.

    A task is to answer in one of the outputs, all of which are bits.

    >>> parity, at_least = mtf.planted.parity, mtf.planted.at_least
    >>> planted = mtf.planted.make_boolean(
    ...     [(0, parity(3)), (1, at_least(4, 2))], pairs=2, seed=1
    ... )
    >>> planted.needed[0].units.values["hidden"].sum()  # parity: one for a bit
    np.int64(3)
    >>> planted.needed[1].units.values["hidden"].sum()  # a threshold is one
    np.int64(1)

    Args:
        outputs: Pairs of a module, an int from 0, and the function that the
            output computes of it: 0 or 1 for each number of set bits, as
            `parity`, `at_least` and `between` return it. All functions of a
            module are of as many bits. Outputs of one module share the units
            that both read.
        copies: Whether every unit of a module is there twice, and either copy
            will do.
        unread: Number of units that fire and that no output reads.
        silent: Number of units that outputs read and that never fire.
        pairs: Number of pairs of like units that every output reads with
            opposite weights.
        decoy_scale: Positive float, the size of the weights of these.
        logit: Positive float, how far the logits of the answers 0 and 1 are
            apart, twice as far with copies: how sure the network is.
        inputs: Number of inputs; `None` for the bits of the modules. Inputs
            beyond these bits are read by decoys alone.
        rows: Number of examples, drawn at random; `None` for all there are.
            What is needed is needed on all there are: a few examples may be
            answered without some of it.
        seed: Int, not negative, of orders, scales, decoys and examples; `None`
            is random.

    Raises:
        ValueError: If functions of one module are of different numbers of
            bits, one is constant, there are too many bits to enumerate, an
            argument is out of its range, or `decoy_scale` or `logit` are so
            large that pairs do not cancel in float32.
    """
    bits = _bits(outputs)
    own = sum(bits.values())
    total = own
    if inputs is not None:
        total = checks.integer("inputs", inputs, least=own)
    logit = checks.number("logit", logit, above=True)
    seed = checks.seed(seed)
    rng = np.random.default_rng(seed)
    places = dict(zip(bits, np.cumsum([0, *bits.values()]).tolist()))
    units = _module_units(outputs, copies, bits, places, total, logit)
    units += _decoys(
        len(outputs), total, rng, unread, silent, pairs, decoy_scale, logit
    )
    reads = 2.0 if copies else 1.0

    def answers(values):
        counts = [
            values[:, places[m] : places[m] + bits[m]].sum(axis=1).astype(int)
            for m, _ in outputs
        ]
        return [
            np.array(function)[count]
            for count, (_, function) in zip(counts, outputs, strict=True)
        ]

    starts = [logit * (reads * f[0] - reads / 2) for _, f in outputs]
    return _hidden(units, starts, answers, rng, _rows(total, rows, seed))


def make_parities(
    count: int = 3,
    *,
    bits: int = 5,
    copies: bool = False,
    unread: int = 0,
    silent: int = 0,
    pairs: int = 0,
    decoy_scale: float = 1.0,
    logit: float = LOGIT,
    seed: int | None = 0,
) -> Planted:
    """Returns a network whose outputs are parities of different bits.

    A parity of five bits needs five hidden units and all of their thirty
    weights. Without any of them some answers are wrong.

    >>> planted = mtf.planted.make_parities(unread=5, pairs=4)
    >>> planted.needed[0].weights
    <WeightMask of 504 weights in 2 tensors, 6.0% kept>

    Args:
        count: Number of parities, which are tasks.
        bits: Number of bits of each; all together at most 16.
        copies: Whether every unit is there twice, and either copy will do.
        unread: Number of units that fire and that no output reads.
        silent: Number of units that outputs read and that never fire.
        pairs: Number of pairs of like units that every output reads with
            opposite weights.
        decoy_scale: Positive float, the size of the weights of these.
        logit: Positive float, how far the logits of the answers 0 and 1 are
            apart, twice as far with copies: how sure the network is.
        seed: Int, not negative, of orders, scales and decoys; `None` is random.

    Raises:
        ValueError: If there are too many bits, or an argument is out of its
            range, or `decoy_scale` or `logit` are so large that pairs do not
            cancel in float32.
    """
    count = checks.integer("count", count, least=1)
    bits = checks.integer("bits", bits, least=1)
    return make_boolean(
        [(module, parity(bits)) for module in range(count)],
        copies=copies,
        unread=unread,
        silent=silent,
        pairs=pairs,
        decoy_scale=decoy_scale,
        logit=logit,
        seed=seed,
    )


def make_few_rows(
    rows: int = 225, *, inputs: int = 60, seed: int | None = 0
) -> Planted:
    """Returns a network with many inputs and few examples.

    Its output is the parity of four of the inputs. Decoys of all kinds, pairs
    that cancel among them, read all of the inputs.

    >>> planted = mtf.planted.make_few_rows(rows=225, inputs=60)
    >>> planted.inputs.shape
    (225, 60)

    Args:
        rows: Number of examples. What is needed is needed on all there are: a
            few examples may be answered without some of it.
        inputs: Number of inputs, at least 4.
        seed: Int, not negative, of orders, scales, decoys and examples; `None`
            is random.

    Raises:
        ValueError: If an argument is out of its range.
    """
    return make_boolean(
        [(0, parity(4))],
        unread=5,
        silent=5,
        pairs=4,
        inputs=checks.integer("inputs", inputs, least=4),
        rows=checks.integer("rows", rows, least=1),
        seed=seed,
    )


def make_rare_rule(
    bits: int = 6,
    *,
    unread: int = 5,
    silent: int = 5,
    pairs: int = 2,
    seed: int | None = 0,
) -> Planted:
    """Returns a network with a rule that few examples need.

    The answer is 1 if three of five bits are set, and if all of some other
    bits are set. With six of these, one example in 128 needs the second rule.

    >>> planted = mtf.planted.make_rare_rule()
    >>> without = planted.needed[0].units.values["hidden"].sum()
    >>> int(without)  # a unit for each rule
    2

    Args:
        bits: Number of bits of the second rule, at most 11.
        unread: Number of units that fire and that no output reads.
        silent: Number of units that outputs read and that never fire.
        pairs: Number of pairs of like units that every output reads with
            opposite weights.
        seed: Int, not negative, of orders, scales and decoys; `None` is random.

    Raises:
        ValueError: If an argument is out of its range.
    """
    bits = checks.integer("bits", bits, least=1, below=MOST_BITS - 4)
    total = 5 + bits
    seed = checks.seed(seed)
    rng = np.random.default_rng(seed)
    places = np.arange(total)
    units = [
        _unit("needed", 1, rule, threshold, [LOGIT])
        for rule, threshold in (
            ((places < 5).astype(float), 2.0),
            ((places >= 5).astype(float), bits - 1.0),
        )
    ]
    units += _decoys(1, total, rng, unread, silent, pairs, 1.0, LOGIT)

    def answers(values):
        return [(values[:, :5].sum(1) >= 3) | values[:, 5:].all(1)]

    return _hidden(units, [-LOGIT / 2], answers, rng, _rows(total, None, seed))


def _rows(total, rows, seed):
    """Returns the inputs: all there are, or so many at random."""
    if rows is None and total > MOST_BITS:
        raise ValueError(
            f"{total} bits are too many to enumerate: {MOST_BITS} at most, or "
            "give `rows`."
        )
    if rows is None:
        values = [*itertools.product((0, 1), repeat=total)]
        return np.array(values, "float32")
    rows = checks.integer("rows", rows, least=1)
    rng = np.random.default_rng([seed, 2])
    return rng.integers(0, 2, (rows, total)).astype("float32")


def _hidden(
    units: list[dict[str, Any]],
    starts: Sequence[float],
    answers: Callable[[np.ndarray], list[np.ndarray]],
    rng: np.random.Generator,
    inputs: np.ndarray,
) -> Planted:
    """Returns a network of units, with all that could tell them hidden.

    Args:
        units: List of dicts, as `_unit` returns them.
        starts: What the outputs are without any unit.
        answers: Function from bits, in the order of the units' weights, to the
            right answers, one array for each output.
        rng: Of scales and orders.
        inputs: All examples, bits in the order that hides them.
    """
    incoming = np.array([unit["incoming"] for unit in units])
    thresholds = np.array([unit["threshold"] for unit in units])
    outgoing = np.array([unit["outgoing"] for unit in units])
    kinds = np.array([unit["kinds"] for unit in units])  # (units, outputs)
    count = len(starts)
    # What a unit is scaled by in front is taken back behind.
    scale = np.exp(rng.normal(0.0, 0.5, len(units)))
    incoming *= scale[:, None]
    thresholds *= scale
    outgoing /= scale[:, None]
    order = rng.permutation(len(units))
    bit_order = rng.permutation(inputs.shape[1])
    kernels = {
        "hidden/kernel": incoming[order][:, bit_order].T,
        "output/kernel": outgoing[order],
    }
    model = keras.Sequential(
        [
            keras.Input(inputs.shape[1:]),
            keras.layers.Dense(len(units), activation="relu", name="hidden"),
            keras.layers.Dense(count, name="output"),
        ],
        name="planted",
    )
    model.set_weights(
        [
            kernels["hidden/kernel"],
            -thresholds[order],
            kernels["output/kernel"],
            np.array(starts),
        ]
    )
    labels = np.stack(answers(inputs[:, np.argsort(bit_order)]), axis=1)
    found = [_kinds_of(kernels, kinds[order][:, i], i) for i in range(count)]
    is_needed = np.isin(kinds[order], _NEEDED)
    has_copies = (kinds == KINDS.index("copy")).any()
    planted = Planted(
        model,
        inputs,
        labels.astype("float32"),
        found,
        alternatives=_copies(order, found) if has_copies else None,
        units=[{"hidden": column} for column in is_needed.T],
        modules={"hidden": _modules(is_needed)},
    )
    right = (planted.logits(inputs) > 0) == labels
    if not right.all():
        raise ValueError(
            f"The network answers {right.mean():.1%} right: what cancels does "
            "not do so in float32. Choose a smaller `decoy_scale` or `logit`."
        )
    return planted


def _kinds_of(kernels, own, output):
    """Returns the kinds of all weights for an output, from those of units."""
    # Of an output's column; the other columns are other outputs'.
    behind = np.full(kernels["output/kernel"].shape, KINDS.index("other"))
    behind[:, output] = own
    kinds = {"hidden/kernel": own[None], "output/kernel": behind}
    return {
        path: np.where(kernel == 0, KINDS.index("absent"), kinds[path])
        for path, kernel in kernels.items()
    }


def _copies(order, kinds):
    """Returns the pairs of copies of each output, as weights."""
    found = []
    for of_output in kinds:
        own = {path: np.isin(v, _NEEDED) for path, v in of_output.items()}
        groups = {}
        # A unit and its copy were made one after the other.
        for place in np.flatnonzero(own["hidden/kernel"].any(axis=0)):
            here = np.arange(len(order)) == place
            groups.setdefault(order[place] // 2, []).append(
                {
                    "hidden/kernel": own["hidden/kernel"] & here,
                    "output/kernel": own["output/kernel"] & here[:, None],
                }
            )
        found.append([*groups.values()])
    return found


def _modules(is_needed):
    """Returns a number for the outputs that need a unit, -1 for none."""
    patterns = np.unique(is_needed, axis=0, return_inverse=True)[1].ravel()
    return np.where(is_needed.any(axis=1), patterns, -1)


def _bits(outputs):
    """Returns the number of bits of each module, after checks."""
    bits = {}
    for module, function in _pairs(outputs):
        if {*function} - {0, 1}:
            raise ValueError(
                "`outputs` must be pairs of a module and a function of values "
                f"0 and 1, got {function!r}."
            )
        if bits.setdefault(module, len(function) - 1) != len(function) - 1:
            raise ValueError(
                f"The functions of module {module} must be of as many bits, "
                f"got {bits[module]} and {len(function) - 1}."
            )
        if len({*function}) < 2:
            raise ValueError(f"A function is constant: {function}.")
    if not bits:
        raise ValueError(f"`outputs` must be one pair or more, got {outputs}.")
    return bits


def _pairs(outputs):
    """Yields modules and functions; raises `ValueError` for what is neither."""
    if not isinstance(outputs, Sequence):
        raise ValueError(f"`outputs` must be a list of pairs, got {outputs!r}.")
    for pair in outputs:
        try:
            module, function = pair
            yield checks.integer("module", module), tuple(function)
        except (TypeError, ValueError) as error:
            raise ValueError(
                "`outputs` must be pairs of a module, an int from 0, and a "
                f"function, as `parity(3)` returns it, got {pair!r}."
            ) from error


def coefficients(function: Function) -> np.ndarray:
    """Returns c_j, j from 0, of a function of the number of set bits."""
    found = np.zeros(len(function) - 1)
    value, slope = float(function[0]), 0.0
    for j, (now, then) in enumerate(itertools.pairwise(function)):
        if now != then:
            found[j] = then - value - slope
            slope += found[j]
        value += slope
    return found


def _unit(name, count, incoming, threshold, outgoing):
    """Returns a unit of one kind for all outputs."""
    return {
        "incoming": incoming,
        "threshold": threshold,
        "outgoing": outgoing,
        "kinds": [KINDS.index(name)] * count,
    }


def _module_units(outputs, copies, bits, places, total, logit):
    """Returns the units of all modules, a list of dicts."""
    units = []
    for module, size in bits.items():
        incoming = np.zeros(total)
        incoming[places[module] : places[module] + size] = 1.0
        reads = [
            coefficients(f) if own == module else np.zeros(size)
            for own, f in outputs
        ]
        for j in range(size):
            outgoing = np.array([logit * c[j] for c in reads])
            if not outgoing.any():
                continue
            names = ["needed" if c[j] else "other" for c in reads]
            if copies:
                names = [n.replace("needed", "copy") for n in names]
            unit = {
                "incoming": incoming,
                "threshold": float(j),
                "outgoing": outgoing,
                "kinds": [KINDS.index(name) for name in names],
            }
            units += [unit] * (2 if copies else 1)
    return units


def _decoys(count, total, rng, unread, silent, pairs, size, logit):
    """Returns the units that do nothing, a list of dicts."""
    unread, silent, pairs = (
        checks.integer(name, value)
        for name, value in (
            ("unread", unread),
            ("silent", silent),
            ("pairs", pairs),
        )
    )
    size = checks.number("decoy_scale", size, above=True)

    def weights(*shape):
        return size * rng.normal(size=shape)

    units = [
        _unit("unread", count, weights(total), 0.0, np.zeros(count))
        for _ in range(unread)
    ]
    for _ in range(silent):
        incoming = weights(total)
        most = np.maximum(incoming, 0).sum()  # over all inputs
        units.append(
            _unit("silent", count, incoming, most + size, weights(count))
        )
    for _ in range(pairs):
        incoming, outgoing = weights(total), logit * weights(count)
        units.append(_unit("pair", count, incoming, 0.0, outgoing))
        units.append(_unit("pair", count, incoming, 0.0, -outgoing))
    return units

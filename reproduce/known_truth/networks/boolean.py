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

import dataclasses
import itertools

import keras
import numpy as np

from reproduce.known_truth.networks.planted_network import KINDS, Planted

_NEEDED = [KINDS.index("needed"), KINDS.index("copy")]
LOGIT = 8.0  # outputs are beyond +-LOGIT / 2, twice as much with a copy


def parity(bits):
    """Returns whether the number of set bits is odd, for 0 to `bits`."""
    return tuple(s % 2 for s in range(bits + 1))


def at_least(bits, least):
    """Returns whether `least` bits are set or more, for 0 to `bits` of them."""
    return tuple(int(s >= least) for s in range(bits + 1))


def between(bits, least, most):
    """Returns whether `least` to `most` bits are set, for 0 to `bits`."""
    return tuple(int(least <= s <= most) for s in range(bits + 1))


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is planted.

    Attributes:
        outputs: Pairs of a module, an int from 0, and the function that the
            output computes of it: 0 or 1 for each number of set bits. All
            functions of a module are of as many bits. Outputs of one module
            share the units that both read.
        copies: Bool. Every unit of a module is there twice, and either copy
            will do.
        unread: Int, units that fire and that no output reads.
        silent: Int, units that outputs read and that never fire.
        pairs: Int, pairs of like units that every output reads with opposite
            weights.
        decoy_scale: Positive float, the size of the weights of these.
    """

    outputs: tuple
    copies: bool = False
    unread: int = 0
    silent: int = 0
    pairs: int = 0
    decoy_scale: float = 1.0


def build(plan, seed=0):
    """Returns a network in which a plan is hidden.

    Args:
        plan: `Plan`.
        seed: Int, not negative: of orders, scales and decoys.

    Returns:
        `Planted`, a task for each output. The inputs are all there are.

    Raises:
        ValueError: If functions of one module are of different numbers of
            bits, one is constant, or there are too many bits to enumerate.
    """
    bits = _bits(plan)
    rng = np.random.default_rng(seed)
    places = dict(zip(bits, np.cumsum([0, *bits.values()]).tolist()))
    total = sum(bits.values())
    units = _module_units(plan, bits, places, total)
    units += _decoys(plan, total, rng)
    incoming = np.array([unit["incoming"] for unit in units])
    thresholds = np.array([unit["threshold"] for unit in units])
    outgoing = np.array([unit["outgoing"] for unit in units])
    kinds = np.array([unit["kinds"] for unit in units])  # (units, outputs)

    # Hidden: what a unit is scaled by in front is taken back behind.
    scale = np.exp(rng.normal(0.0, 0.5, len(units)))
    incoming *= scale[:, None]
    thresholds *= scale
    outgoing /= scale[:, None]
    order, bit_order = rng.permutation(len(units)), rng.permutation(total)
    kernel = incoming[order][:, bit_order].T
    kernels = {"hidden/kernel": kernel, "output/kernel": outgoing[order]}

    model = keras.Sequential(
        [
            keras.Input((total,)),
            keras.layers.Dense(len(units), activation="relu", name="hidden"),
            keras.layers.Dense(len(plan.outputs), name="output"),
        ],
        name="planted",
    )
    reads = 2.0 if plan.copies else 1.0
    starts = [reads * f[0] - reads / 2 for _, f in plan.outputs]
    model.set_weights(
        [
            kernels["hidden/kernel"],
            -thresholds[order],
            kernels["output/kernel"],
            LOGIT * np.array(starts),
        ]
    )
    inputs = np.array([*itertools.product((0, 1), repeat=total)], "float32")
    labels = np.empty((len(inputs), len(plan.outputs)), "float32")
    for i, (module, function) in enumerate(plan.outputs):
        own = np.isin(
            bit_order, np.arange(places[module], places[module] + bits[module])
        )
        counts = inputs[:, own].sum(axis=1).astype(int)
        labels[:, i] = np.array(function)[counts]
    found = [
        _kinds_of(kernels, kinds[order][:, i], i)
        for i in range(len(plan.outputs))
    ]
    is_needed = np.isin(kinds[order], _NEEDED)
    return Planted(
        model,
        inputs,
        labels,
        found,
        alternatives=_copies(order, found) if plan.copies else None,
        units=[{"hidden": column} for column in is_needed.T],
        modules={"hidden": _modules(is_needed)},
    )


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


def _bits(plan):
    """Returns the number of bits of each module, after checks."""
    bits = {}
    for module, function in plan.outputs:
        if bits.setdefault(module, len(function) - 1) != len(function) - 1:
            raise ValueError(
                f"The functions of module {module} must be of as many bits, "
                f"got {bits[module]} and {len(function) - 1}."
            )
        if len(set(function)) < 2:
            raise ValueError(f"A function is constant: {function}.")
    if sum(bits.values()) > 16:
        raise ValueError(
            f"{sum(bits.values())} bits are too many to enumerate: 16 at most."
        )
    return bits


def _coefficients(function):
    """Returns c_j, j from 0, of a function of the number of set bits."""
    found = np.zeros(len(function) - 1)
    value, slope = float(function[0]), 0.0
    for j, (now, then) in enumerate(itertools.pairwise(function)):
        if now != then:
            found[j] = then - value - slope
            slope += found[j]
        value += slope
    return found


def _module_units(plan, bits, places, total):
    """Returns the units of all modules, a list of dicts."""
    units = []
    for module, size in bits.items():
        incoming = np.zeros(total)
        incoming[places[module] : places[module] + size] = 1.0
        reads = [
            _coefficients(f) if own == module else np.zeros(size)
            for own, f in plan.outputs
        ]
        for j in range(size):
            outgoing = np.array([LOGIT * c[j] for c in reads])
            if not outgoing.any():
                continue
            names = ["needed" if c[j] else "other" for c in reads]
            if plan.copies:
                names = [n.replace("needed", "copy") for n in names]
            unit = {
                "incoming": incoming,
                "threshold": float(j),
                "outgoing": outgoing,
                "kinds": [KINDS.index(name) for name in names],
            }
            units += [unit] * (2 if plan.copies else 1)
    return units


def _decoys(plan, total, rng):
    """Returns the units that do nothing, a list of dicts."""
    count, size = len(plan.outputs), plan.decoy_scale

    def unit(name, incoming, threshold, outgoing):
        kinds = [KINDS.index(name)] * count
        return {
            "incoming": incoming,
            "threshold": threshold,
            "outgoing": outgoing,
            "kinds": kinds,
        }

    def weights(*shape):
        return size * rng.normal(size=shape)

    units = [
        unit("unread", weights(total), 0.0, np.zeros(count))
        for _ in range(plan.unread)
    ]
    for _ in range(plan.silent):
        incoming = weights(total)
        most = np.maximum(incoming, 0).sum()  # over all inputs
        units.append(unit("silent", incoming, most + size, weights(count)))
    for _ in range(plan.pairs):
        incoming, outgoing = weights(total), LOGIT * weights(count)
        units.append(unit("pair", incoming, 0.0, outgoing))
        units.append(unit("pair", incoming, 0.0, -outgoing))
    return units

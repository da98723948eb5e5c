"""What a two-module network does, and how it is built: measures of a network.

A `task` is the `Task` of `subject`: pairs of images to fit and to test on.
"""

import functools

import keras
import numpy as np
from keras import ops

from modularity_tf.findings.weight_mask import WeightMask
from modularity_tf.network import model_weights
from modularity_tf.structure import specialization
from reproduce.bena2021 import parity_mnist
from reproduce.publishing import records

MODULES = (0, 1)
_SCORE_BATCH = 1000
_MASK_DEALS, _STATE_DEALS = 1000, 40  # random halves


def own_and_other(m):
    """Returns M(n, n) and M(n, 1 - n) of each module, `(..., 2)` each.

    Args:
        m: Float array `(..., 2, 2)`, M(n, k).
    """
    return [np.diagonal(each, axis1=-2, axis2=-1) for each in (m, m[..., ::-1])]


def by_module(m):
    """Returns the specialization of each module, see `own_and_other`."""
    return specialization.specialization(*own_and_other(m))


def alive(network):
    """Returns the number of active links, both directions together."""
    links = network.get_layer("modules")
    return sum(
        int(np.count_nonzero(links.link(n, 1 - n).kernel)) for n in MODULES
    )


def responses(network, pairs):
    """Returns what a network makes of pairs, as arrays.

    Returns:
        Dict from "states0", "states1" (the last step's), "bottleneck0" and
        "bottleneck1" (if any), "readout0", "readout1" and "decision" to float
        arrays.
    """
    modules = network.get_layer("modules").output
    outputs = {f"states{n}": modules[n] for n in MODULES}
    for n in MODULES:
        outputs[f"readout{n}"] = network.get_layer(f"readout{n}").output
    outputs["decision"] = network.output
    names = {layer.name for layer in network.layers}
    for n in MODULES:
        if f"bottleneck{n}" in names:
            layer = network.get_layer(f"bottleneck{n}")
            outputs[f"bottleneck{n}"] = layer.output
    return predict(keras.Model(network.inputs, outputs), pairs)


def predict(model, pairs):
    """Returns the outputs of a model for all pairs, as arrays.

    Without compiling: that takes longer than these few batches.
    """
    found = [
        keras.tree.map_structure(np.array, model(inputs, training=False))
        for inputs, _ in parity_mnist.batches(pairs, _SCORE_BATCH)
    ]
    return keras.tree.map_structure(lambda *x: np.concatenate(x), *found)


def accuracy(logits, labels):
    """Returns the share of decisions that are right."""
    return float(np.mean(np.argmax(logits, axis=1) == labels))


def readout_accuracy(fit, test, task, layer, module, digit, rows=slice(None)):
    """Returns how well a new readout of a module's layer tells a digit.

    It is fitted to `rows` of the pairs.
    """
    return specialization.readout_accuracy(
        fit[f"{layer}{module}"][rows],
        task.fit.labels(digit)[rows],
        test[f"{layer}{module}"],
        task.test.labels(digit),
    )


def message_accuracy(fit, test, task, modulus):
    """Returns how well each module's states tell what the other must send.

    That is the other digit's residue mod m, its parity in the paper: a new
    readout of the last states, on held-out pairs. A module alone guesses it
    as often as `parity_mnist.ceilings` says, half the time in the paper.
    """
    return [
        specialization.readout_accuracy(
            fit[f"states{n}"],
            task.fit.labels(1 - n) % modulus,
            test[f"states{n}"],
            task.test.labels(1 - n) % modulus,
        )
        for n in MODULES
    ]


def answered(readouts):
    """Returns the share of the pairs that either module answers.

    Args:
        readouts: List of two float arrays `(pairs, classes)`: the more certain
            module answers.
    """
    winner = np.argmax(np.max(readouts, axis=-1), axis=0)
    return [float(np.mean(winner == n)) for n in MODULES]


def accuracy_if_misled(network, pairs, seed):
    """Returns how often a network is right if a module is told of other pairs.

    Pairs of images that are not allowed are left out: no module sees what it
    has not seen in training.

    Args:
        network: As `modular_rnn.build` returns it.
        pairs: `Pairs`.
        seed: Int, for which the other pairs are.

    Returns:
        List: if module 0 is told of other pairs, and if module 1 is.
    """
    order, right = np.random.default_rng(seed).permutation(len(pairs.rows)), []
    for n in MODULES:
        digits = np.where(np.arange(2) == n, pairs.digits, pairs.digits[order])
        kept = parity_mnist.is_allowed(digits)
        readouts = misled_readouts(network, pairs, order, n)
        decision = network.get_layer("decision")(readouts)
        right.append(accuracy(decision[kept], pairs.targets[kept]))
    return right


def misled_readouts(network, pairs, order, n):
    """Returns the readouts of both modules if module n is told of other pairs.

    Module n is told at every step what the other module sends for another
    image. The other module sees its own image, and is told what module n sends
    then.

    Args:
        network: As `modular_rnn.build` returns it.
        pairs: `Pairs`.
        order: Int array `(pairs,)`, whose image the other one is.
        n: 0 or 1.

    Returns:
        List of two float arrays `(pairs, classes)`.
    """
    others = np.where(np.arange(2) == n, pairs.rows, pairs.rows[order])
    modules = network.get_layer("modules")
    config = {**modules.get_config(), "steps": 1, "return_state": True}
    once = type(modules).from_config(config)
    images = [_pixels(network, pairs, rows) for rows in (others, pairs.rows)]
    misled = states = once.get_initial_state(len(order))
    once(images[0], misled)
    once.set_weights(modules.get_weights())
    for _ in range(modules.steps):
        seen = [(misled if k == n else states)[k] for k in MODULES]
        _, states = once(images[1], seen)
        _, misled = once(images[0], misled)
    readouts = []
    for k in MODULES:
        (found,) = (misled if k == n else states)[k]
        for name in (f"bottleneck{k}", f"readout{k}"):
            if name in {layer.name for layer in network.layers}:
                found = network.get_layer(name)(found)
        readouts.append(np.array(found))
    return readouts


def _pixels(network, pairs, rows):
    """Returns what each module sees of images, given their rows."""
    found = []
    for k in MODULES:
        pixels = pairs.images[rows[:, k]].astype("float32")
        for name in (f"flatten{k}", f"rescaling{k}"):
            pixels = network.get_layer(name)(pixels)
        found.append(pixels)
    return found


def state_measures(found_test, task, seed):
    """Returns M(n, k) by correlation, and as a CKA distance.

    `None` stands for one that is not defined: all states alike, say.
    """
    measures = {
        "correlation": specialization.mean_correlation,
        "cka_distance": functools.partial(
            specialization.cka_distance, seed=seed
        ),
    }
    found = {
        name: [
            [
                measure(found_test[f"states{n}"], task.test.labels(k))
                for k in MODULES
            ]
            for n in MODULES
        ]
        for name, measure in measures.items()
    }
    return records.without_nan(found)


def candidates(network, links=True):
    """Returns the weights that compete for a mask, and their modules.

    Input weights and biases are left out, as in the paper, and dormant links,
    which have no weight. A link counts to the module that it feeds, a readout
    to the module that it reads.

    Args:
        network: As `modular_rnn.build` returns it.
        links: Bool. `False` leaves links out: they are always on.

    Returns:
        `WeightMask`, and a dict from its paths to 0 or 1.
    """
    module_of = {}
    for n in MODULES:
        module_of[f"modules/module{n}/recurrent_kernel"] = n
        if links:
            module_of[f"modules/link_{1 - n}_{n}/connection_strength"] = n
        module_of[f"readout{n}/kernel"] = n
    weights = model_weights.model_weights(network)
    mask = WeightMask(
        {path: weights[path].variable.numpy() != 0 for path in module_of}
    )
    return mask, module_of


def mask_measures(network, masks):
    """Returns the masks' shares M(n, k), and their accuracies.

    Args:
        network: The network that they are of.
        masks: List of repeats, each what `train_mask` returned for either
            digit.

    Returns:
        Dict: "mask", M(n, k), and "mask_accuracy", means over the repeats,
        and "mask_sd", the standard deviation of each module's specialization
        over them, `None` for one repeat.
    """
    _, module_of = candidates(network)
    shares = np.array(
        [
            [
                [*specialization.mask_shares(one["mask"], module_of).values()]
                for one in digits
            ]
            for digits in masks
        ]
    ).swapaxes(1, 2)
    accuracies = [[one["accuracy"] for one in digits] for digits in masks]
    return {
        "mask": shares.mean(axis=0).tolist(),
        "mask_accuracy": np.mean(accuracies, axis=0).tolist(),
        "mask_sd": _spread(shares) if len(masks) > 1 else None,
    }


def _spread(repeats):
    """Returns each module's standard deviation over repeats of M(n, k)."""
    return by_module(repeats).std(axis=0, ddof=1).tolist()


def permuted_masks(masks, seed):
    """Returns the specialization that random modules have, by masks.

    The units of both modules are dealt out to two random halves. A weight
    counts to the half of the unit that it feeds, a readout's to that which it
    reads, as in `candidates`.

    Args:
        masks: What `train_mask` returned for either digit.
        seed: Int.

    Returns:
        Float, the 95 % quantile of the mean over both halves.
    """
    counts = np.array([_unit_counts(one["mask"]) for one in masks])
    counts = counts / counts.sum(axis=1, keepdims=True)

    def halves(order):
        return [counts[:, half].sum(axis=1) for half in order]

    return _permuted(halves, counts.shape[1], _MASK_DEALS, seed)


def permuted_states(found, task, seed):
    """Returns that by correlation, see `permuted_masks`.

    Args:
        found: What `responses` returned for the pairs of `task.test`.
        task: `Task`.
        seed: Int.
    """
    states = np.concatenate([found[f"states{n}"] for n in MODULES], axis=1)

    def halves(order):
        return [
            [
                specialization.mean_correlation(
                    states[:, half], task.test.labels(k)
                )
                for k in MODULES
            ]
            for half in order
        ]

    return _permuted(halves, states.shape[1], _STATE_DEALS, seed)


def _permuted(halves, units, deals, seed):
    """Returns the 95 % quantile over random halves; `None` if undefined."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(deals):
        m = np.array(halves(np.split(rng.permutation(units), 2)))
        found.append(by_module(m).mean())
    return records.without_nan(float(np.quantile(found, 0.95)))


def _unit_counts(mask):
    """Returns how many of a mask's weights each unit has, both modules'."""
    counts = []
    for n in MODULES:
        fed = [f"modules/module{n}/recurrent_kernel"]
        fed.append(f"modules/link_{1 - n}_{n}/connection_strength")
        kept = sum(mask.values[path].sum(axis=0) for path in fed)
        counts.append(kept + mask.values[f"readout{n}/kernel"].sum(axis=1))
    return np.concatenate(counts)


def links_kept(network):
    """Returns what has become of the links of a trained network.

    Returns:
        Dict: "steps", of its training; "rewired", how many links woke in
        another place than where one died, all steps together; "original", the
        share that never died; "age", the mean number of steps since they
        woke, as a part of all steps.
    """
    optimizer, modules = network.optimizer, network.get_layer("modules")
    steps = int(optimizer.iterations)
    ages = [v.numpy() for v in optimizer.variables if v.path.endswith("_age")]
    links = [modules.link(n, 1 - n).kernel.numpy() != 0 for n in MODULES]
    ages = np.concatenate(
        [age[on] for age, on in zip(ages, links, strict=True)]
    )
    return {
        "steps": steps,
        "rewired": int(optimizer.rewired),
        "original": float(np.mean(ages >= steps)),
        "age": float(np.mean(ages) / steps),
    }


def adjacency(network):
    """Returns |w| of every connection between hidden units, row to column."""
    modules = network.get_layer("modules")
    blocks = [
        [
            modules.cells[m].recurrent_kernel
            if m == n
            else modules.link(m, n).kernel
            for n in MODULES
        ]
        for m in MODULES
    ]
    return np.abs(
        np.block(keras.tree.map_structure(ops.convert_to_numpy, blocks))
    )


def structure(network):
    """Returns the modularity Q of the hidden units' graph, plain and by |w|."""
    weights = adjacency(network)
    groups = np.repeat(MODULES, len(weights) // len(MODULES))
    q = specialization.directed_modularity
    return {"q": q(weights > 0, groups), "q_weighted": q(weights, groups)}


def bottleneck_measures(fit, test, task):
    """Returns how well bottlenecks tell digits, and how sure that is.

    Returns:
        Dict: "bottleneck", M(n, k), how well module n's bottleneck tells digit
        k, and "bottleneck_sd", the standard deviation of each module's
        specialization over readouts that are fitted to a third of the pairs.
    """

    def fitted(rows):
        part = functools.partial(
            readout_accuracy, fit, test, task, "bottleneck", rows=rows
        )
        return [[part(n, k) for k in MODULES] for n in MODULES]

    pairs = np.arange(len(task.fit.rows))
    thirds = [fitted(rows) for rows in np.array_split(pairs, 3)]
    return {
        "bottleneck": fitted(pairs),
        "bottleneck_sd": _spread(np.array(thirds)),
    }

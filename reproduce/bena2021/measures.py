"""What a two-module network does, and how it is built: measures of a network.

A `task` is the `Task` of `stages`: pairs of images to fit and to test on.
"""

import functools

import keras
import numpy as np
from keras import ops

from modularity_tf.masking.weight_mask import WeightMask
from modularity_tf.parts import weights as model_weights
from modularity_tf.structure import specialization
from reproduce.bena2021 import parity_mnist
from reproduce.harness import records

MODULES = (0, 1)
_SCORE_BATCH = 1000


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
        "bottleneck1" (if any) and "decision" to float arrays.
    """
    modules = network.get_layer("modules").output
    outputs = {f"states{n}": modules[n] for n in MODULES}
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


def readout_accuracy(fit, test, task, layer, module, digit):
    """Returns how well a new readout of a module's layer tells a digit."""
    return specialization.readout_accuracy(
        fit[f"{layer}{module}"],
        task.fit.labels(digit),
        test[f"{layer}{module}"],
        task.test.labels(digit),
    )


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


def candidates(network):
    """Returns the weights that compete for a mask, and their modules.

    Input weights and biases are left out, as in the paper, and dormant links,
    which have no weight. A link counts to the module that it feeds, a readout
    to the module that it reads.

    Returns:
        `WeightMask`, and a dict from its paths to 0 or 1.
    """
    module_of = {}
    for n in MODULES:
        module_of[f"modules/module{n}/recurrent_kernel"] = n
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
        masks: What `train_mask` returned for either digit.
    """
    _, module_of = candidates(network)
    shares = [
        [*specialization.mask_shares(found["mask"], module_of).values()]
        for found in masks
    ]
    return {
        "mask": np.transpose(shares).tolist(),
        "mask_accuracy": [found["accuracy"] for found in masks],
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


def bottleneck_measure(fit, test, task):
    """Returns M(n, k), how well module n's bottleneck tells digit k."""
    return [
        [readout_accuracy(fit, test, task, "bottleneck", n, k) for k in MODULES]
        for n in MODULES
    ]

"""Trains two-module networks and measures them: stages of the binary.

The functions take the `Config` of `reproduce.structural_modularity`.
"""

import functools
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from modularity_tf import WeightMask
from modularity_tf.masking import scored_model
from modularity_tf.parts import weights as model_weights
from modularity_tf.structure import deep_r, specialization
from reproduce.bena2021 import modular_rnn, parity_mnist, schedules
from reproduce.harness import experiment

MODULES = (0, 1)
_SCORE_BATCH = 1000
_LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class Setting(NamedTuple):
    """Which network: the task's modulus, its links each way, its repeat."""

    demand: int
    links: int
    seed: int

    @property
    def folder(self):
        return f"demand{self.demand}/links{self.links}/seed{self.seed}"


class Task(NamedTuple):
    """The pairs of one demand and repeat.

    Attributes:
        train: `Pairs` to train networks on.
        masks: `Pairs` of training images to train masks on.
        fit: `Pairs` of training images to fit readouts on.
        test: `Pairs` of test images, to score and to measure on.
    """

    train: parity_mnist.Pairs
    masks: parity_mnist.Pairs
    fit: parity_mnist.Pairs
    test: parity_mnist.Pairs


def draw_task(config, data, demand, seed):
    """Returns the `Task` of a demand and repeat."""
    steps = max(config.network_steps, config.bottleneck_steps)
    counts = {
        "train": steps * config.batch_size,
        "masks": config.mask_steps * config.batch_size,
        "fit": config.fit_pairs,
        "test": config.test_pairs,
    }
    return Task(
        **{
            part: parity_mnist.draw(
                data.test if part == "test" else data.train,
                count,
                experiment.derive_seed(seed, "pairs", part),
                demand,
            )
            for part, count in counts.items()
        }
    )


def untrained(config, data, setting, bottleneck=None, rewire=True, walk=True):
    """Returns a compiled network before training."""
    seed = experiment.derive_seed(setting.seed, "network")
    network = modular_rnn.build(
        data.train.images.shape[1:],
        setting.links,
        len(data.class_names),
        config.units,
        bottleneck=bottleneck,
        seed=seed,
    )
    fraction = setting.links / config.units**2
    steps = config.bottleneck_steps if bottleneck else config.network_steps
    rate = keras.optimizers.schedules.CosineDecay(
        config.network_lr, steps, config.lr_end
    )
    network.compile(
        deep_r.DeepR(
            keras.optimizers.Adam(rate),
            schedules.learning_rate(
                fraction, 1 / config.units**2, *config.link_lrs
            ),
            schedules.walk_noise(fraction, config.link_noise if walk else 0.0),
            rewire=rewire,
            seed=experiment.derive_seed(setting.seed, "links"),
        ),
        _LOSS,
        metrics=["accuracy"],
        jit_compile=config.jit_compile,
    )
    return network


def train(run, task, network, steps, stage):
    """Trains a network; returns it."""
    run.fit(
        stage,
        network,
        functools.partial(
            parity_mnist.batches, task.train, run.config.batch_size, None
        ),
        steps,
        run.config.log_steps,
        callbacks=[LinkSummary(run.folder / "logs" / stage / "links")],
    )
    return network


class LinkSummary(keras.callbacks.Callback):
    """Writes to TensorBoard after every epoch what has become of the links.

    Scalars `links_alive` and `links_rewired`, those that moved to another
    place in that epoch.
    """

    def __init__(self, log_dir):
        super().__init__()
        self._writer = tf.summary.create_file_writer(str(log_dir))

    def on_epoch_begin(self, epoch, logs=None):
        self._before = int(self.model.optimizer.rewired)

    def on_epoch_end(self, epoch, logs=None):
        optimizer = self.model.optimizer
        with self._writer.as_default(step=int(optimizer.iterations)):
            tf.summary.scalar("links_alive", alive(self.model))
            rewired = int(optimizer.rewired) - self._before
            tf.summary.scalar("links_rewired", rewired)

    def on_train_end(self, logs=None):
        self._writer.close()


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
    outputs = {f"states{n}": modules[n][:, -1] for n in MODULES}
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
    """Returns M(n, k) by correlation, and as a CKA distance."""
    measures = {
        "correlation": specialization.mean_correlation,
        "cka_distance": functools.partial(
            specialization.cka_distance, seed=seed
        ),
    }
    return {
        name: [
            [
                measure(found_test[f"states{n}"], task.test.labels(k))
                for k in MODULES
            ]
            for n in MODULES
        ]
        for name, measure in measures.items()
    }


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


def find_masks(run, network, task, setting, folder):
    """Returns, for each digit, its mask's shares M(n, k) and accuracy."""
    config = run.config
    compete, module_of = candidates(network)
    scored = scored_model.ScoredModel(network, config.mask_share, compete)
    scored.compile(
        keras.optimizers.SGD(config.mask_lr, config.mask_momentum),
        _LOSS,
        metrics=["accuracy"],
        jit_compile=config.jit_compile,
    )
    shares, right = [], []
    for k in MODULES:

        def train_mask(k=k):
            seed = experiment.derive_seed(setting.seed, "scores", k)
            scored.reset(seed)
            run.fit(
                f"{folder}/mask{k}",
                scored,
                functools.partial(
                    parity_mnist.batches, task.masks, config.batch_size, k
                ),
                config.mask_steps,
                config.log_steps,
            )
            mask = scored.weight_mask(f"digit {k}")
            right = accuracy(predict(scored, task.test), task.test.labels(k))
            return WeightMask(
                mask.values, {**mask.provenance, "accuracy": right}
            )

        mask = run.stage(f"{folder}/mask{k}", train_mask, config.mask_steps)
        shares.append([*specialization.mask_shares(mask, module_of).values()])
        right.append(mask.provenance["accuracy"])
    return {"mask": np.transpose(shares).tolist(), "mask_accuracy": right}


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


def plain_network(run, data, task, setting):
    """Returns the record of architecture (a): masks and correlations."""
    config, folder = run.config, f"{setting.folder}/plain"
    network = run.stage(
        f"{folder}/network",
        lambda: train(
            run,
            task,
            untrained(config, data, setting),
            config.network_steps,
            f"{folder}/network",
        ),
        config.network_steps,
    )
    found = responses(network, task.test)
    seed = experiment.derive_seed(setting.seed, "partners")
    epochs = config.network_steps / config.log_steps
    return {
        "accuracy": accuracy(found["decision"], task.test.targets),
        "rewired_per_epoch": int(network.optimizer.rewired) / epochs,
        **structure(network),
        **state_measures(found, task, seed),
        **find_masks(run, network, task, setting, folder),
    }


def bottleneck_network(run, data, task, setting):
    """Returns the record of architecture (b): retrained readouts."""
    config, folder = run.config, f"{setting.folder}/bottleneck"
    network = run.stage(
        f"{folder}/network",
        lambda: train(
            run,
            task,
            untrained(config, data, setting, config.bottleneck),
            config.bottleneck_steps,
            f"{folder}/network",
        ),
        config.bottleneck_steps,
    )
    fit, test = (responses(network, part) for part in (task.fit, task.test))
    return {
        "accuracy": accuracy(test["decision"], task.test.targets),
        "bottleneck": [
            [
                readout_accuracy(fit, test, task, "bottleneck", n, k)
                for k in MODULES
            ]
            for n in MODULES
        ],
    }


def controls(run, data, task, setting):
    """Returns the record of the paper's controls, on the sparsest network."""
    config, folder = run.config, f"{setting.folder}/controls"
    blank = untrained(config, data, setting)
    fit, test = (responses(blank, part) for part in (task.fit, task.test))
    record = {
        "untrained": {
            "readout": [
                readout_accuracy(fit, test, task, "states", n, n)
                for n in MODULES
            ],
            **find_masks(run, blank, task, setting, f"{folder}/untrained"),
        }
    }
    for name, change in (
        ("no_rewiring", {"rewire": False}),
        ("no_walk", {"walk": False}),
    ):
        stage = f"{folder}/{name}"
        network = run.stage(
            stage,
            lambda change=change, stage=stage: train(
                run,
                task,
                untrained(config, data, setting, **change),
                config.network_steps,
                stage,
            ),
            config.network_steps,
        )
        found = responses(network, task.test)
        seed = experiment.derive_seed(setting.seed, "partners")
        record[name] = {
            "accuracy": accuracy(found["decision"], task.test.targets),
            **state_measures(found, task, seed),
        }
    return record

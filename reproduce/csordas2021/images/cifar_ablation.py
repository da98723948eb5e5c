"""Trains CNNs and their masks, class by class: stages of cifar_ablation.

The functions take the `Config` of `reproduce.cifar_ablation`, or another with
the fields of `mask_stages.Config` and `dataset` where no network is residual.
"""

import dataclasses
import functools

import keras
import numpy as np
import tensorflow as tf

from reproduce.csordas2021 import mask_training
from reproduce.csordas2021.images import (
    augmentation,
    cnn,
    recalibration,
    resnet,
    sgd,
)
from reproduce.csordas2021.images.cnn import CONTROL
from reproduce.data import confusion, images
from reproduce.publishing import records
from reproduce.running import training

CNNS = {"cnn": True, "cnn_nodropout": False}  # with dropout or without
RESNETS = {f"resnet{depth}": depth for depth in resnet.DEPTHS}
NETWORKS = (*CNNS, *RESNETS)
RECALIBRATED = "_recalibrated"
_FEW = 10_000  # images that batch statistics are measured on


def plan(run):
    """Plans all networks and masks; returns the records to be."""
    data = images.load_once(run.config.dataset)
    labels = left_out(run.config, data)
    return [
        record
        for seed in run.config.seeds
        for name in run.config.networks
        for record in plan_network(run, data, labels, name, seed)
    ]


def plan_network(run, data, labels, name, seed):
    """Plans the stages of one network and seed; returns the records to be.

    One; with `--recalibrate` a second of a residual network, as if it were
    another network: the same masks, scored with new batch statistics.
    """
    config, folder = settings_of(run.config, name), f"{name}/seed{seed}"

    def stage(what, *args, **kwargs):
        return run.stage(f"{folder}/{what}", *args, seed=seed, **kwargs)

    def mask(task, *args):
        steps = {"steps": config.mask_steps, "phase": f"{name}: masks"}
        return stage(f"mask_{task}", *args, **steps)

    network = stage(
        "network",
        train_network,
        name,
        steps=config.network_steps,
        phase=f"{name}: network",
    )
    dense = stage("scores_dense", score, network)
    search = None
    if config.find_beta:
        search = stage("alpha_search", find_alpha, network, dense)
    control = mask(CONTROL, train_control_mask, network, search)
    masks = {CONTROL: control}
    for label in labels:
        task = data.class_names[label]
        masks[task] = mask(
            task, train_class_mask, network, control, search, label
        )

    def record_of(name, what, *more):
        scores = {
            # A class's mask lacks the output layer, the control's does not.
            task: stage(f"{what}_{task}", score, network, control, *more)
            if task == CONTROL
            else stage(
                f"{what}_{task}", score_class, network, control, mask, *more
            )
            for task, mask in masks.items()
        }
        return {
            "data": data.title,
            "data_sha256": data.sha256,
            "class_names": data.class_names,
            "network": name,
            "seed": seed,
            "dense": dense,
            "beta": run.combine(
                functools.partial(mask_training.found_beta, config), search
            ),
            "alpha_search": search if what == "scores" else None,
            "masks": run.combine(describe, masks, scores),
        }

    found = [record_of(name, "scores")]
    if name in RESNETS and run.config.recalibrate:
        found.append(record_of(name + RECALIBRATED, "recalibrated", True))
    return found


def describe(masks, scores):
    """Returns what the record has of each mask."""
    features = without_output(masks[CONTROL])
    found = {
        task: {
            **scores[task],
            "keep_fraction": mask.keep_fraction,
            "keep_fractions": mask.keep_fractions(),
            "lost_of_control": 0.0
            if task == CONTROL
            else 1 - features.sharing(mask),
        }
        for task, mask in masks.items()
    }
    return records.without_nan(found)


def without_output(mask):
    """Returns a mask but for the output layer."""
    layers = {path.split("/")[0] for path in mask.values}
    return mask.select(layers - {"classifier"})


def left_out(config, data):
    """Returns the labels of the classes that get a mask without them."""
    for name in config.classes:
        if name not in data.class_names:
            raise ValueError(
                f"--classes must be of {', '.join(data.class_names)}, got "
                f"{name!r}."
            )
    chosen = config.classes or data.class_names
    return [data.class_names.index(name) for name in chosen]


@functools.cache
def settings_of(config, name):
    """Returns the configuration of a network and its masks.

    Args:
        config: `Config`.
        name: Str, one of `NETWORKS`, or that of the Keras model.

    Returns:
        `Config`; for a residual network its own values are those of all.
    """
    if name not in RESNETS:
        return config
    return dataclasses.replace(
        config,
        network_steps=config.resnet_steps,
        network_lr=config.resnet_lr,
        mask_batch_size=config.resnet_mask_batch_size,
        mask_steps=config.resnet_mask_steps,
        mask_lr=config.resnet_mask_lr,
        beta=config.resnet_beta,
    )


def batches(config, name, split):
    """Returns the function of random batches that training takes.

    Residual networks and their masks see the images shifted and, but for
    digits, mirrored.
    """
    if name not in RESNETS:
        return functools.partial(images.batches, split)
    return functools.partial(
        augmentation.batches, split, flip=config.dataset == "cifar10"
    )


def train_network(stage, name):
    """Returns the trained network."""
    data = images.load_once(stage.config.dataset)
    return mask_training.train_network(
        stage,
        untrained(stage.config, data, name, stage.derive_seed("network")),
        batches(stage.config, name, data.train),
        settings_of(stage.config, name),
        validation_data=curve_batches(data.validation),
    )


def train_control_mask(stage, network, search):
    """Returns the mask of all classes."""
    data = images.load_once(stage.config.dataset)
    return train_mask(
        stage, masked(stage.config, network), data.train, alpha_of(search)
    )


def train_class_mask(stage, network, control, search, label):
    """Returns the mask of all classes but one, the output layer's fixed."""
    data = images.load_once(stage.config.dataset)
    # One model for all classes: its training step is traced once.
    model = masked_but_output(stage.config, network, control)
    return train_mask(stage, model, data.train.without(label), alpha_of(search))


def find_alpha(stage, network, dense):
    """Returns an `AlphaSearch` as a dict: masks of all classes, validated."""
    data = images.load_once(stage.config.dataset)
    return mask_training.find_alpha(
        stage,
        lambda substage, alpha: train_mask(
            substage, masked(stage.config, network), data.train, alpha
        ),
        lambda mask: score_model(mask.apply(network), data)[
            "validation_accuracy"
        ],
        dense["validation_accuracy"],
        settings_of(stage.config, network.name),
    )


def alpha_of(search):
    """Returns the alpha that a search found, `None` if there was none."""
    return search and search["alpha"]


def score(stage, network, mask=None, recalibrated=False):
    """Returns the scores of a network, or of what a mask leaves of it.

    Args:
        stage: `Stage`.
        network: Keras model.
        mask: `WeightMask` or `None`.
        recalibrated: Bool. Whether the batch statistics are measured anew
            under the mask, on training images of all classes.
    """
    data = images.load_once(stage.config.dataset)
    model = mask.apply(network) if mask else network
    if recalibrated:
        recalibration.recalibrate(model, data.train.images[:_FEW])
    return score_model(model, data)


def score_class(stage, network, control, mask, recalibrated=False):
    """Returns the scores of a class's mask and the control's output layer."""
    part = control.select("classifier").apply(network)
    return score(stage, part, mask, recalibrated)


def untrained(config, data, name, seed):
    """Returns the compiled network before training."""
    shape, classes = data.train.images.shape[1:], len(data.class_names)
    if name not in RESNETS:
        network = cnn.build(shape, classes, CNNS[name], seed)
        return mask_training.compile_network(config, network, **task_loss())
    network = resnet.build(shape, classes, RESNETS[name], seed)
    rate = sgd.stepped(config.resnet_lr, config.resnet_steps)
    network.compile(
        sgd.SGDWithL2(rate), jit_compile=config.jit_compile, **task_loss()
    )
    return network


@training.keep_last
def masked(config, network):
    """Returns the compiled masked network."""
    return mask_training.compile_masked(
        settings_of(config, network.name), network, "all", **task_loss()
    )


@training.keep_last
def masked_but_output(config, network, control):
    """Returns the compiled masked network, its output layer as in control."""
    output = control.select("classifier")
    return mask_training.compile_masked(
        settings_of(config, network.name),
        network,
        "all",
        output,
        **task_loss(),
    )


def task_loss():
    """Returns what both `compile` calls have in common."""
    return {
        "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "metrics": ["accuracy"],
    }


def train_mask(stage, model, split, alpha):
    """Returns the mask that keeps what the images of `split` need."""
    data, name = images.load_once(stage.config.dataset), model.model.name
    return mask_training.train_mask(
        stage,
        model,
        batches(stage.config, name, split),
        alpha,
        settings_of(stage.config, name),
        validation_data=curve_batches(data.validation),
    )


def curve_batches(split):
    """Returns the first 1,000 images of a split, for the curves."""
    first = split.images[:1000].astype("float32"), split.labels[:1000]
    return tf.data.Dataset.from_tensor_slices(first).batch(500)


def score_model(model, data):
    """Returns held-out accuracies and the confusion matrix on the test set."""
    classes = len(data.class_names)
    matrix = confusion.confusion_matrix(
        data.test.labels,
        mask_training.predict(model, data.test.images),
        classes,
    )
    correct = (
        mask_training.predict(model, data.validation.images)
        == data.validation.labels
    )
    return {
        "accuracy": float(np.mean(np.diagonal(matrix))),
        "validation_accuracy": float(np.mean(correct)),
        "confusion": matrix.tolist(),
    }


def phases(config):
    """Returns what the estimate times, for each network."""
    return {
        f"{name}: {what}": phase
        for name in config.networks
        for what, phase in phases_of(config, name).items()
    }


def phases_of(config, name):
    """Returns what is timed of one network: training weights, and masks."""
    data, settings = (
        images.load_once(config.dataset),
        settings_of(config, name),
    )
    network = untrained(config, data, name, seed=0)
    every = batches(config, name, data.train)
    return {
        "network": training.phase(
            network, functools.partial(every, settings.batch_size, 0)
        ),
        "masks": training.phase(
            masked(config, network),
            functools.partial(every, settings.mask_batch_size, 0),
        ),
    }

"""CNNs and residual networks that classify images: subjects and scores."""

import functools
from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf

from modularity_tf import WeightMask, confusion
from reproduce.csordas2021 import mask_training
from reproduce.csordas2021.images import (
    augmentation,
    cnn,
    recalibration,
    resnet,
    sgd,
)
from reproduce.csordas2021.subject import Settings, Subject, adam
from reproduce.data import images
from reproduce.running import configuration
from reproduce.running.run import Run
from reproduce.running.stage import Stage

CNNS = {"cnn": True, "cnn_nodropout": False}  # with dropout or without
RESNETS = {f"resnet{depth}": depth for depth in resnet.DEPTHS}
NETWORKS = (*CNNS, *RESNETS)
_FEW = 10_000  # images that batch statistics are measured on


def subject_of(
    config: mask_training.Config, seed: int, name: str
) -> Subject[images.ImageData]:
    """Returns a network that classifies images.

    Its tasks are tuples of labels, the classes to train on; `None` is all.

    Args:
        config: `mask_training.Config` with `dataset`, and with the fields of
            `cifar_ablation.Config` for residual networks.
        seed: Int, the repeat.
        name: Str, one of `NETWORKS`.
    """
    data = images.load_once(config.dataset)
    shape, classes = data.train.images.shape[1:], len(data.class_names)
    drawn = configuration.derive_seed(seed, "network")
    settings = Settings.of(config)
    if name in CNNS:
        batches = images.batches
        build = functools.partial(cnn.build, shape, classes, CNNS[name], drawn)
        optimizer = functools.partial(adam, config.network_lr)
    else:
        # Residual networks and their masks see the images shifted and, but
        # for digits, mirrored.
        batches = functools.partial(
            augmentation.batches, flip=config.dataset == "cifar10"
        )
        build = functools.partial(
            resnet.build, shape, classes, RESNETS[name], drawn
        )
        rate = sgd.stepped(config.resnet_lr, config.resnet_steps)
        optimizer = functools.partial(sgd.SGDWithL2, rate)
        settings = Settings.of(
            config,
            network_steps=config.resnet_steps,
            mask_batch_size=config.resnet_mask_batch_size,
            mask_steps=config.resnet_mask_steps,
            mask_lr=config.resnet_mask_lr,
            beta=config.resnet_beta,
        )

    def batches_of(labels):
        split = data.train if labels is None else data.train.only(labels)
        return functools.partial(batches, split)

    return Subject(
        name=name,
        folder=f"{name}/seed{seed}",
        seed=seed,
        settings=settings,
        data=data,
        build=build,
        optimizer=optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=("accuracy",),
        roles="all",
        batches=batches_of,
        performance=lambda model: accuracy(model, data.validation),
        curves=lambda labels: first_images(data.validation),
    )


def subjects(
    config: mask_training.Config, seed: int
) -> list[Subject[images.ImageData]]:
    """Returns the networks of a repeat."""
    return [subject_of(config, seed, name) for name in config.networks]


def plan_masks(
    run: Run,
    subject: Subject[images.ImageData],
    network: Stage,
    left_out: Iterable[int],
    alpha: Stage | None = None,
) -> tuple[dict[str, Stage], Stage]:
    """Plans the mask of all classes, and masks of all but one.

    Args:
        run: `Run`.
        subject: `Subject`.
        network: `Stage` of the network.
        left_out: Labels of the classes to leave out, one for each mask.
        alpha: As in `mask_training.plan_mask`.

    Returns:
        Dict from `CONTROL` and the names of classes left out to masks, and the
        mask of the output layer, which is the control's in all of them.
    """
    plan_mask = functools.partial(
        mask_training.plan_mask, run, subject, network
    )
    names = subject.data.class_names
    masks = {cnn.CONTROL: plan_mask(cnn.CONTROL, subject.whole, alpha)}
    output = run.combine(output_layer, masks[cnn.CONTROL])
    for label in left_out:
        others = tuple(i for i in range(len(names)) if i != label)
        masks[names[label]] = plan_mask(names[label], others, alpha, output)
    return masks, output


def output_layer(mask: WeightMask) -> WeightMask:
    """Returns what a mask says of the output layer."""
    return mask.select("classifier")


def without_output(mask: WeightMask) -> WeightMask:
    """Returns a mask but for the output layer."""
    layers = {path.split("/")[0] for path in mask.values}
    return mask.select(layers - {"classifier"})


def first_images(split: images.Split) -> tf.data.Dataset:
    """Returns the first 1,000 images of a split, for the curves."""
    first = split.images[:1000].astype("float32"), split.labels[:1000]
    return tf.data.Dataset.from_tensor_slices(first).batch(500)


def score(
    stage: Stage,
    subject: Subject[images.ImageData],
    network: keras.Model,
    masks: Iterable[WeightMask] = (),
    recalibrated: bool = False,
) -> dict:
    """Returns the scores of a network, or of what masks leave of it.

    Args:
        stage: `Stage`.
        subject: `Subject`.
        network: Keras model.
        masks: `WeightMask`s, of different weights.
        recalibrated: Bool. Whether the batch statistics are measured anew
            under the masks, on training images of all classes.

    Returns:
        Dict of held-out accuracies and the confusion matrix on the test set.
    """
    data = subject.data
    for mask in masks:
        network = mask.apply(network)
    if recalibrated:
        recalibration.recalibrate(network, data.train.images[:_FEW])
    matrix = confusion.confusion_matrix(
        data.test.labels,
        mask_training.predict(network, data.test.images),
        len(data.class_names),
    )
    return {
        "accuracy": float(np.mean(np.diagonal(matrix))),
        "validation_accuracy": accuracy(network, data.validation),
        "confusion": matrix.tolist(),
    }


def accuracy(model: keras.Model, split: images.Split) -> float:
    """Returns the share of a split's images that are classified right."""
    right = mask_training.predict(model, split.images) == split.labels
    return float(np.mean(right))

"""Trains every mask of a network twice: stages of mask_stability.

The functions take the `Config` of `reproduce.mask_stability`. Networks and
masks are those of `reproduce.cifar_ablation` and `reproduce.add_mul`.
"""

import functools
import itertools

import numpy as np

from modularity_tf.findings import overlap
from reproduce.csordas2021 import mask_training
from reproduce.csordas2021.arithmetic import stages
from reproduce.csordas2021.arithmetic.data import FULL
from reproduce.csordas2021.images import cifar_ablation
from reproduce.csordas2021.images.cnn import CONTROL
from reproduce.csordas2021.mask_training import AGAIN, TIMES
from reproduce.data import images
from reproduce.publishing import records
from reproduce.running import configuration

FNN = "fnn"
ALL_LAYERS = "all layers"
WHOLE = (CONTROL, FULL)  # the tasks that are all that a network has learned


def plan(run):
    """Plans all networks and masks; returns the records to be."""
    return [
        plan_fnn(run, seed) if name == FNN else plan_cnn(run, name, seed)
        for seed in run.config.seeds
        for name in run.config.networks
    ]


def plan_cnn(run, name, seed):
    """Plans the masks of pairs of classes, and of all; returns the record.

    The output layer of the masks of pairs is that of the first mask of all
    classes, and is not compared.
    """
    config, data = run.config, images.load_once(run.config.dataset)

    def stage(what, *args, **kwargs):
        return run.stage(
            f"{name}/seed{seed}/{what}", *args, seed=seed, **kwargs
        )

    steps = {"steps": config.mask_steps, "phase": f"{name}: masks"}
    network = stage(
        "network",
        cifar_ablation.train_network,
        name,
        steps=config.network_steps,
        phase=f"{name}: network",
    )
    masks, scores = {}, {}
    for time in TIMES:
        task = CONTROL + time
        masks[task] = stage(
            f"mask_{task}",
            cifar_ablation.train_control_mask,
            network,
            None,
            **steps,
        )
        scores[task] = stage(f"scores_{task}", score, network, masks[task])
    for labels in pairs_of_classes(config, seed, len(data.class_names)):
        pair = "_".join(data.class_names[label] for label in labels)
        for time in TIMES:
            task = pair + time
            masks[task] = stage(
                f"mask_{task}",
                train_pair_mask,
                network,
                masks[CONTROL],
                labels,
                **steps,
            )
            scores[task] = stage(
                f"scores_{task}",
                score_pair,
                network,
                masks[CONTROL],
                masks[task],
                labels,
            )
    record = {
        "data": data.title,
        "data_sha256": data.sha256,
        "network": name,
        "seed": seed,
        "beta": config.beta,
        "dense": stage("scores_dense", score, network),
    }
    return run.combine(complete, record, masks, scores)


def plan_fnn(run, seed):
    """Plans the masks of both operations, and of all; returns the record."""
    subject = subject_of(run.config)
    network, dense = stages.plan_network(run, subject, seed)
    masks, scores = {}, {}
    for task, time in itertools.product((FULL, *subject.tasks), TIMES):
        name = task + time
        masks[name] = stages.plan_mask(
            run, subject, seed, network, task, name=f"mask_{name}"
        )
        scored = stages.plan_stage(
            run,
            subject,
            seed,
            f"scores_{name}",
            stages.score,
            network,
            masks[name],
            None if task == FULL else task,
        )
        scores[name] = run.combine(mean, scored)
    record = {
        "data": f"{' and '.join(subject.tasks)} of {run.config.digits}-digit "
        "numbers",
        "network": FNN,
        "seed": seed,
        "beta": run.config.beta,
        "dense": run.combine(mean, dense),
    }
    return run.combine(complete, record, masks, scores)


def subject_of(config):
    """Returns the network that calculates."""
    return stages.Subject(FNN, "add_mul", config.sizes)


def pairs_of_classes(config, seed, classes):
    """Returns the pairs of labels of a repeat, drawn without replacement."""
    every = [*itertools.combinations(range(classes), 2)]
    rng = np.random.default_rng(configuration.derive_seed(seed, "pairs"))
    chosen = rng.permutation(len(every))[: config.pairs]
    return [every[i] for i in chosen]


def train_pair_mask(stage, network, control, labels):
    """Returns the mask of two classes, the output layer's fixed."""
    data = images.load_once(stage.config.dataset)
    model = cifar_ablation.masked_but_output(stage.config, network, control)
    split = data.train.only(labels)
    return cifar_ablation.train_mask(stage, model, split, None)


def score(stage, network, mask=None):
    """Returns the accuracy on all classes."""
    return cifar_ablation.score(stage, network, mask)["accuracy"]


def score_pair(stage, network, control, mask, labels):
    """Returns the accuracy on the images of two classes, among all."""
    data = images.load_once(stage.config.dataset)
    part = mask.apply(control.select("classifier").apply(network))
    test = data.test.only(labels)
    right = mask_training.predict(part, test.images) == test.labels
    return float(np.mean(right))


def mean(scores):
    """Returns the mean of a dict of scores."""
    return float(np.mean([*scores.values()]))


def complete(record, masks, scores):
    """Returns a record with what it has of each task's two masks.

    Returns:
        Dict with, for each task, "whole" (whether it is all that the network
        has learned), "accuracy" and "keep_fraction" of the two masks, and
        "layers": what `alike` tells of each.
    """
    tasks = [task for task in masks if not task.endswith(AGAIN)]
    return records.without_nan(
        {
            **record,
            "tasks": {
                task: {
                    "whole": task in WHOLE,
                    "accuracy": [scores[task + time] for time in TIMES],
                    "keep_fraction": [
                        masks[task + time].keep_fraction for time in TIMES
                    ],
                    "layers": alike_by_layer(masks[task], masks[task + AGAIN]),
                }
                for task in tasks
            },
        }
    )


def alike_by_layer(mask, other):
    """Returns how alike two masks are, a dict from layer; all layers last."""
    layers = {}
    for path, both in mask.overlap(other).by_tensor.items():
        layers.setdefault(stages.layer_name(path), []).append(both)
    layers[ALL_LAYERS] = [mask.overlap(other)]
    return {
        layer: alike(functools.reduce(lambda a, b: a + b, found))
        for layer, found in layers.items()
    }


def alike(both):
    """Returns what an `Overlap` of two masks of one task says.

    Returns:
        Dict: "jaccard", the intersection over the union, and "share", of a
        mask that the other has, too (the mean of both directions); each also
        of random masks of the same sizes, "expected_jaccard" and
        "expected_share".
    """

    def share(shared):
        return (
            overlap.ratio(shared, both.first)
            + overlap.ratio(shared, both.second)
        ) / 2

    return {
        "jaccard": both.jaccard,
        "expected_jaccard": both.expected_jaccard,
        "share": share(both.shared),
        "expected_share": share(both.expected),
    }


def phases(config):
    """Returns what the estimate times: each network, and a mask over it."""
    found = {}
    for name in config.networks:
        if name == FNN:
            found |= stages.phases(config, [subject_of(config)])
            continue
        for what, phase in cifar_ablation.phases_of(config, name).items():
            found[f"{name}: {what}"] = phase
    return found

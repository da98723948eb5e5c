"""Trains every mask of a network twice: flags and stages of mask_stability.

Networks and masks are those of `cifar_ablation` and `add_mul`.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterable, Mapping

import keras
import numpy as np

from modularity_tf import WeightMask
from modularity_tf.findings import overlap
from reproduce.csordas2021 import mask_training
from reproduce.csordas2021.arithmetic import stages
from reproduce.csordas2021.arithmetic.data import FULL
from reproduce.csordas2021.images import classifiers
from reproduce.csordas2021.images.cnn import CONTROL
from reproduce.csordas2021.mask_training import AGAIN, TIMES
from reproduce.csordas2021.subject import Subject
from reproduce.data import images
from reproduce.publishing import records
from reproduce.running import configuration, training
from reproduce.running.configuration import field
from reproduce.running.run import Run
from reproduce.running.stage import Stage

FNN = "fnn"
ALL_LAYERS = "all layers"
CLASSES = 10  # of every set of images
WHOLE = (CONTROL, FULL)  # the tasks that are all that a network has learned


@dataclasses.dataclass(frozen=True)
class Config(stages.Config):
    """Every field is a flag; the defaults are the paper's values."""

    dataset: str = field(
        "cifar10",
        "Data set that CNNs learn; add_mul if there is only the network "
        "that calculates.",
        one_of=("cifar10", "mnist", "digits", "add_mul"),
    )
    networks: tuple[str, ...] = field(
        ("cnn_nodropout",),
        "Networks to train: the CNN with or without dropout, or fnn, the "
        "network that calculates.",
        part=True,
        one_of=(*classifiers.CNNS, FNN),
        distinct=True,
    )
    pairs: int = field(
        10,
        "Pairs of classes that masks of a CNN are trained on, drawn by seed.",
        at_least=1,
        at_most=math.comb(CLASSES, 2),
    )
    network: str = field(
        "fnn", "Kind of the network that calculates.", one_of=("fnn",)
    )
    mask_lr: float = field(
        1e-3, "Learning rate of Adam for the logits of a mask.", above=0
    )

    def __post_init__(self):
        super().__post_init__()
        others = set(self.networks) - {FNN}
        if self.dataset == "add_mul" and others:
            raise ValueError(
                "--dataset=add_mul has no images: --networks must be fnn, got "
                f"{','.join(self.networks)}."
            )
        if self.find_beta or self.held_out_fraction:
            raise ValueError(
                "--find_beta and --held_out_fraction are flags of "
                "reproduce.cifar_ablation and reproduce.add_mul: search there, "
                "and pass the beta here."
            )


def plan(run: Run) -> list[Stage]:
    """Plans all networks and masks; returns the records to be."""
    return [
        plan_fnn(run, subject)
        if subject.name == FNN
        else plan_cnn(run, subject)
        for seed in run.config.seeds
        for subject in subjects(run.config, seed)
    ]


def subjects(config: Config, seed: int) -> list[Subject]:
    """Returns the networks of a repeat."""
    return [
        stages.subject_of(config, seed, FNN, config.sizes)
        if name == FNN
        else classifiers.subject_of(config, seed, name)
        for name in config.networks
    ]


def plan_cnn(run: Run, subject: Subject[images.ImageData]) -> Stage:
    """Plans the masks of pairs of classes, and of all; returns the record.

    The output layer of the masks of pairs is that of the first mask of all
    classes, and is not compared.
    """
    config, data = run.config, subject.data
    stage = functools.partial(mask_training.plan, run, subject)
    network = mask_training.plan_network(run, subject)
    plan_mask = functools.partial(
        mask_training.plan_mask, run, subject, network
    )
    masks, scores = {}, {}
    for time in TIMES:
        task = CONTROL + time
        masks[task] = plan_mask(task, subject.whole)
        scores[task] = stage(f"scores_{task}", score, network, [masks[task]])
    output = run.combine(classifiers.output_layer, masks[CONTROL])
    for labels in pairs_of_classes(config, subject.seed, len(data.class_names)):
        pair = "_".join(data.class_names[label] for label in labels)
        for time in TIMES:
            task = pair + time
            masks[task] = plan_mask(task, labels, None, output)
            scores[task] = stage(
                f"scores_{task}", score, network, [output, masks[task]], labels
            )
    record = {
        "data": data.title,
        "data_sha256": data.sha256,
        "network": subject.name,
        "seed": subject.seed,
        "beta": config.beta,
        "dense": stage("scores_dense", score, network),
    }
    return run.combine(complete, record, masks, scores)


def plan_fnn(run: Run, subject: Subject[stages.Problem]) -> Stage:
    """Plans the masks of both operations, and of all; returns the record."""
    config, tasks = run.config, subject.data.tasks
    network, dense = stages.plan_network(run, subject)
    masks, scores = {}, {}
    for task, time in itertools.product((FULL, *tasks), TIMES):
        name = task + time
        masks[name] = mask_training.plan_mask(run, subject, network, name, task)
        scored = mask_training.plan(
            run,
            subject,
            f"scores_{name}",
            stages.score,
            network,
            masks[name],
            None if task == FULL else task,
        )
        scores[name] = run.combine(stages.mean, scored)
    record = {
        "data": f"{' and '.join(tasks)} of {config.digits}-digit numbers",
        "network": FNN,
        "seed": subject.seed,
        "beta": config.beta,
        "dense": run.combine(stages.mean, dense),
    }
    return run.combine(complete, record, masks, scores)


def pairs_of_classes(
    config: Config, seed: int, classes: int
) -> list[tuple[int, int]]:
    """Returns the pairs of labels of a repeat, drawn without replacement."""
    every = [*itertools.combinations(range(classes), 2)]
    rng = np.random.default_rng(configuration.derive_seed(seed, "pairs"))
    chosen = rng.permutation(len(every))[: config.pairs]
    return [every[i] for i in chosen]


def score(
    stage: Stage,
    subject: Subject[images.ImageData],
    network: keras.Model,
    masks: Iterable[WeightMask] = (),
    labels: tuple[int, ...] | None = None,
) -> float:
    """Returns the accuracy of what masks leave of a network.

    Args:
        stage: `Stage`.
        subject: `Subject`.
        network: Keras model.
        masks: As in `classifiers.score`.
        labels: Ints, the classes whose images are shown, among all answers;
            `None` for the mean over all classes.
    """
    if labels is None:
        return classifiers.score(stage, subject, network, masks)["accuracy"]
    for mask in masks:
        network = mask.apply(network)
    return classifiers.accuracy(network, subject.data.test.only(labels))


def complete(
    record: dict,
    masks: Mapping[str, WeightMask],
    scores: Mapping[str, float],
) -> dict:
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


def alike_by_layer(
    mask: WeightMask, other: WeightMask
) -> dict[str, dict[str, float]]:
    """Returns how alike two masks are, a dict from layer; all layers last."""
    layers = {}
    for path, both in mask.overlap(other).by_tensor.items():
        layers.setdefault(stages.layer_name(path), []).append(both)
    layers[ALL_LAYERS] = [mask.overlap(other)]
    return {
        layer: alike(functools.reduce(lambda a, b: a + b, found))
        for layer, found in layers.items()
    }


def alike(both: overlap.Overlap) -> dict[str, float]:
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


def phases(config: Config) -> dict[str, training.Phase]:
    """Returns what the estimate times: each network, and a mask over it."""
    return mask_training.phases(subjects(config, 0))

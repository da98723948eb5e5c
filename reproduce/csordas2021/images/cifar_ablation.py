"""Trains CNNs and masks, class by class: flags, stages of cifar_ablation."""

import dataclasses
import functools
import operator
from collections.abc import Mapping

from modularity_tf import WeightMask
from reproduce.csordas2021 import mask_training
from reproduce.csordas2021.images import classifiers
from reproduce.csordas2021.images.cnn import CONTROL
from reproduce.csordas2021.subject import Subject
from reproduce.data import images
from reproduce.publishing import records
from reproduce.running import training
from reproduce.running.configuration import field
from reproduce.running.run import Run

RECALIBRATED = "_recalibrated"


@dataclasses.dataclass(frozen=True)
class Config(mask_training.Config):
    """Every field is a flag; the defaults are the paper's values."""

    dataset: str = field(
        "cifar10", "Data set of images.", one_of=("cifar10", "mnist", "digits")
    )
    networks: tuple[str, ...] = field(
        ("cnn", "cnn_nodropout"),
        "Networks to train: the simple CNN with or without dropout, or "
        "residual networks.",
        part=True,
        one_of=classifiers.NETWORKS,
        distinct=True,
    )
    classes: tuple[str, ...] = field(
        (),
        "Names of the classes to leave out, one mask for each; all classes "
        "if empty.",
        part=True,
        distinct=True,
    )
    resnet_steps: int = field(
        64_000,
        "Training steps of a residual network.",
        at_least=1,
        multiple_of="log_steps",
    )
    resnet_lr: float = field(
        0.1,
        "SGD step of a residual network's weights; a tenth after half of the "
        "steps, a hundredth after three quarters.",
        above=0,
    )
    resnet_mask_batch_size: int = field(
        256,
        "Examples in a training step of a residual network's mask.",
        at_least=1,
    )
    resnet_mask_steps: int = field(
        30_000,
        "Training steps of each mask of a residual network.",
        at_least=1,
        multiple_of="log_steps",
    )
    resnet_mask_lr: float = field(
        0.03,
        "Learning rate of Adam for the logits of a residual network's masks.",
        above=0,
    )
    resnet_beta: float = field(
        2e-5,
        "Penalty of a residual network's masks: each logit costs resnet_beta / "
        "resnet_mask_batch_size.",
        at_least=0,
    )
    recalibrate: bool = field(
        False,
        "Score residual networks a second time, their batch statistics "
        "measured anew under each mask.",
        part=True,
    )

    def __post_init__(self):
        super().__post_init__()
        mask_training.check_samples(self, "resnet_mask_batch_size")
        residual = set(self.networks) & set(classifiers.RESNETS)
        if self.recalibrate and not residual:
            raise ValueError(
                "--recalibrate is for residual networks: --networks has none, "
                f"got {','.join(self.networks)}."
            )
        if self.find_beta and residual and not self.resnet_beta:
            raise ValueError(
                "--find_beta starts at --resnet_beta, got --resnet_beta=0."
            )


def plan(run: Run) -> list[dict]:
    """Plans all networks and masks; returns the records to be."""
    labels = left_out(run.config, images.load_once(run.config.dataset))
    return [
        record
        for seed in run.config.seeds
        for subject in classifiers.subjects(run.config, seed)
        for record in plan_network(run, subject, labels)
    ]


def plan_network(
    run: Run, subject: Subject[images.ImageData], labels: list[int]
) -> list[dict]:
    """Plans the stages of one network and seed; returns the records to be.

    One; with `--recalibrate` a second of a residual network, as if it were
    another network: the same masks, scored with new batch statistics.
    """
    data, name = subject.data, subject.name
    stage = functools.partial(mask_training.plan, run, subject)
    network = mask_training.plan_network(run, subject)
    dense = stage("scores_dense", classifiers.score, network)
    reference = run.combine(operator.itemgetter("validation_accuracy"), dense)
    search, alpha = mask_training.plan_search(run, subject, network, reference)
    masks, output = classifiers.plan_masks(run, subject, network, labels, alpha)

    def record_of(name, what, *more):
        scores = {
            # A class's mask lacks the output layer, the control's does not.
            task: stage(
                f"{what}_{task}",
                classifiers.score,
                network,
                [mask] if task == CONTROL else [output, mask],
                *more,
            )
            for task, mask in masks.items()
        }
        return {
            "data": data.title,
            "data_sha256": data.sha256,
            "class_names": data.class_names,
            "network": name,
            "seed": subject.seed,
            "dense": dense,
            "beta": run.combine(subject.settings.found_beta, search),
            "alpha_search": search if what == "scores" else None,
            "masks": run.combine(describe, masks, scores),
        }

    found = [record_of(name, "scores")]
    if name in classifiers.RESNETS and run.config.recalibrate:
        found.append(record_of(name + RECALIBRATED, "recalibrated", True))
    return found


def describe(
    masks: Mapping[str, WeightMask], scores: Mapping[str, dict]
) -> dict[str, dict]:
    """Returns what the record has of each mask."""
    features = classifiers.without_output(masks[CONTROL])
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


def left_out(config: Config, data: images.ImageData) -> list[int]:
    """Returns the labels of the classes that get a mask without them."""
    for name in config.classes:
        if name not in data.class_names:
            raise ValueError(
                f"--classes must be of {', '.join(data.class_names)}, got "
                f"{name!r}."
            )
    chosen = config.classes or data.class_names
    return [data.class_names.index(name) for name in chosen]


def phases(config: Config) -> dict[str, training.Phase]:
    """Returns what the estimate times, for each network."""
    return mask_training.phases(classifiers.subjects(config, 0))

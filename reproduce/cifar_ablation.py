r"""Which weights does each class need? CNNs on images (Csordas et al., 2021).

Trains a CNN, a control mask on all classes and one mask for each class left
out, and shows what becomes of a class when its exclusive weights are gone:
section 5, appendix C.7.1 and C.7.2; figures 6, 18a, 18b, 19 and 20.

python -m reproduce.cifar_ablation \
    --flagfile=reproduce/flags/cifar_ablation_demo.flags
"""

import dataclasses
import functools

import keras
import numpy as np
import tensorflow as tf

from modularity_tf.parts import confusion
from reproduce.csordas2021 import cifar_findings, cnn, mask_stages
from reproduce.data import images
from reproduce.harness import experiment

FIGURES = ("6", "18a", "18b", "19", "20")
CONTROL = cifar_findings.CONTROL
NETWORKS = {"cnn": True, "cnn_nodropout": False}  # with dropout or without


@dataclasses.dataclass(frozen=True)
class Config(mask_stages.Config):
    """Every field is a flag; the defaults are the paper's values."""

    dataset: str = experiment.field("cifar10", "cifar10, mnist or digits.")
    networks: tuple[str, ...] = experiment.field(
        ("cnn", "cnn_nodropout"), "Of cnn, cnn_nodropout.", False
    )
    classes: tuple[str, ...] = experiment.field(
        (), "Classes to leave out, one mask each; all if empty.", False
    )

    def __post_init__(self):
        super().__post_init__()
        for name in self.networks:
            if name not in NETWORKS:
                raise ValueError(
                    f"--networks must be of {', '.join(NETWORKS)}, "
                    f"got {name!r}."
                )
        if not self.networks:
            raise ValueError("--networks is empty.")


def analyse(run, data, name, seed):
    """Carries out the stages of one network and seed.

    Returns:
        Dict, every number that the figures show of this network.
    """
    config = run.config
    folder = f"{name}/seed{seed}"
    network = run.stage(
        f"{folder}/network",
        lambda: train_network(run, data, name, seed, f"{folder}/network"),
        config.network_steps,
    )

    dense = run.stage(f"{folder}/scores_dense", lambda: score(network, data))
    search = None
    if config.find_beta:
        search = run.stage(
            f"{folder}/alpha_search",
            lambda: find_alpha(run, data, network, dense, seed, folder),
        )
        beta = search["alpha"] * config.mask_batch_size
        config = dataclasses.replace(config, beta=beta)

    def mask_stage(task, make_model, split):
        stage = f"{folder}/mask_{task}"
        return run.stage(
            stage,
            lambda: train_mask(run, data, make_model(), split, seed, stage),
            config.mask_steps,
        )

    control = mask_stage(CONTROL, lambda: masked(config, network), data.train)
    output_mask = control.select("classifier")
    # One model for all classes: its training step is traced once.
    shared = functools.cache(lambda: masked(config, network, output_mask))
    masks = {CONTROL: control}
    for label in left_out(config, data):
        task = data.class_names[label]
        masks[task] = mask_stage(task, shared, data.train.without(label))

    scores = {
        task: run.stage(
            f"{folder}/scores_{task}",
            # A class's mask lacks the output layer, the control's does not.
            lambda mask=mask: score(
                mask.apply(output_mask.apply(network)), data
            ),
        )
        for task, mask in masks.items()
    }
    features = control.select(
        {path.split("/")[0] for path in control.values} - {"classifier"}
    )
    return {
        "network": name,
        "seed": seed,
        "dense": dense,
        "beta": config.beta,
        "alpha_search": search,
        "masks": {
            task: {
                **scores[task],
                "keep_fraction": mask.keep_fraction,
                "keep_fractions": mask.keep_fractions(),
                "lost_of_control": 0.0
                if task == CONTROL
                else 1 - features.sharing(mask),
            }
            for task, mask in masks.items()
        },
    }


def find_alpha(run, data, network, dense, seed, folder):
    """Returns an `AlphaSearch` as a dict: masks of all classes, validated."""
    shared = functools.cache(lambda: masked(run.config, network))
    return mask_stages.find_alpha(
        run,
        lambda stage, alpha: train_mask(
            run, data, shared(), data.train, seed, stage, alpha
        ),
        lambda mask: score(mask.apply(network), data)["validation_accuracy"],
        dense["validation_accuracy"],
        folder,
    )


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


def train_network(run, data, name, seed, stage):
    """Returns the trained network of Table 2."""
    return mask_stages.train_network(
        run,
        untrained(run.config, data, name, seed),
        functools.partial(images.batches, data.train),
        seed,
        stage,
        validation_data=curve_batches(data.validation),
    )


def untrained(config, data, name, seed):
    """Returns the compiled network of Table 2 before training."""
    network = cnn.build(
        data.train.images.shape[1:],
        len(data.class_names),
        NETWORKS[name],
        experiment.derive_seed(seed, "network"),
    )
    return mask_stages.compile_network(config, network, **task_loss())


def masked(config, network, fixed_mask=None):
    """Returns the compiled masked network, output layer fixed or not."""
    return mask_stages.compile_masked(
        config, network, "all", fixed_mask, **task_loss()
    )


def task_loss():
    """Returns what both `compile` calls have in common."""
    return {
        "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "metrics": ["accuracy"],
    }


def train_mask(run, data, model, split, seed, stage, alpha=None):
    """Returns the mask that keeps what the images of `split` need."""
    return mask_stages.train_mask(
        run,
        model,
        functools.partial(images.batches, split),
        seed,
        stage,
        alpha,
        validation_data=curve_batches(data.validation),
    )


def curve_batches(split):
    """Returns the first 1,000 images of a split, for the curves."""
    first = split.images[:1000].astype("float32"), split.labels[:1000]
    return tf.data.Dataset.from_tensor_slices(first).batch(500)


def score(model, data):
    """Returns held-out accuracies and the confusion matrix on the test set."""
    classes = len(data.class_names)
    matrix = confusion.confusion_matrix(
        data.test.labels, mask_stages.predict(model, data.test.images), classes
    )
    correct = (
        mask_stages.predict(model, data.validation.images)
        == data.validation.labels
    )
    return {
        "accuracy": float(np.mean(np.diagonal(matrix))),
        "validation_accuracy": float(np.mean(correct)),
        "confusion": matrix.tolist(),
    }


def main(config):
    data = images.load(config.dataset)
    masks = 1 + len(left_out(config, data))  # refuses an unknown class
    repeats = len(config.networks) * len(config.seeds)
    steps = config.network_steps + masks * config.mask_steps
    with experiment.Run(config, "cifar_ablation", repeats * steps) as run:
        if config.stage == "figures":
            run.draw(cifar_findings.draw)
            return
        if config.dry_run or repeats * steps > experiment.LONG_RUN_STEPS:
            run.estimate(phases(config, data, repeats, masks))
        if config.dry_run:
            return
        records = [
            {
                "data": data.title,
                "data_sha256": data.sha256,
                "class_names": data.class_names,
                **analyse(run, data, name, seed),
            }
            for seed in config.seeds
            for name in config.networks
        ]
        run.finish(records, cifar_findings.claims, cifar_findings.draw)


def phases(config, data, repeats, masks):
    """Returns what `Run.estimate` times: training weights, training masks."""
    network = untrained(config, data, config.networks[0], seed=0)
    return [
        (
            "network",
            network,
            functools.partial(images.batches, data.train, config.batch_size, 0),
            repeats * config.network_steps,
        ),
        (
            "masks",
            masked(config, network),
            functools.partial(
                images.batches, data.train, config.mask_batch_size, 0
            ),
            repeats * masks * config.mask_steps,
        ),
    ]


if __name__ == "__main__":
    experiment.run_main(Config, main)

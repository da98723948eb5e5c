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

from modularity_tf import (
    alpha_search,
    callbacks,
    masked_model,
    metrics,
)
from reproduce import class_ablation, experiment
from reproduce.data import images
from reproduce.networks import cnn

FIGURES = ("6", "18a", "18b", "19", "20")
CONTROL = class_ablation.CONTROL
NETWORKS = {"cnn": True, "cnn_nodropout": False}  # with dropout or without


@dataclasses.dataclass(frozen=True)
class Config(experiment.Config):
    """Every field is a flag; the defaults are the paper's values."""

    dataset: str = experiment.field("cifar10", "cifar10, mnist or digits.")
    networks: tuple[str, ...] = experiment.field(
        ("cnn", "cnn_nodropout"), "Of cnn, cnn_nodropout.", False
    )
    classes: tuple[str, ...] = experiment.field(
        (), "Classes to leave out, one mask each; all if empty.", False
    )
    batch_size: int = experiment.field(128, "Images a network step.")
    network_steps: int = experiment.field(20_000, "Steps of the weights.")
    network_lr: float = experiment.field(1e-3, "Adam step of the weights.")
    mask_batch_size: int = experiment.field(128, "Images a mask step.")
    mask_steps: int = experiment.field(20_000, "Steps of each mask.")
    mask_lr: float = experiment.field(1e-3, "Adam step of the logits.")
    beta: float = experiment.field(
        1e-4, "Penalty: each logit costs beta / mask_batch_size."
    )
    find_beta: bool = experiment.field(
        False, "Find beta by the rule of appendix C.2, starting at --beta."
    )
    num_samples: int = experiment.field(4, "Mask samples a batch.")
    keep_probability: float = experiment.field(0.9, "At the start of a mask.")
    log_steps: int = experiment.field(
        500, "Steps between points in TensorBoard; divides the others."
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
        if not self.beta >= 0:
            raise ValueError(f"--beta must be at least 0, got {self.beta}.")
        if self.mask_batch_size < self.num_samples:
            raise ValueError(
                f"--mask_batch_size={self.mask_batch_size} is smaller than "
                f"--num_samples={self.num_samples}."
            )
        for name in ("network_steps", "mask_steps"):
            steps = getattr(self, name)
            if steps % min(self.log_steps, steps):
                raise ValueError(
                    f"--{name}={steps} must be a multiple of "
                    f"--log_steps={self.log_steps}."
                )


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
    config = run.config
    shared = functools.cache(lambda: masked(config, network))

    def trial(alpha):
        stage = f"{folder}/alpha_{alpha:.3g}"

        def measure():
            mask = train_mask(
                run, data, shared(), data.train, seed, stage, alpha
            )
            correct = score(mask.apply(network), data)["validation_accuracy"]
            return {"performance": correct, "kept": mask.keep_fraction}

        measured = run.stage(stage, measure)
        return measured["performance"], measured["kept"]

    found = alpha_search.search_alpha(
        trial,
        dense["validation_accuracy"],
        start=config.beta / config.mask_batch_size,
    )
    return dataclasses.asdict(found)


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
    config = run.config
    network = untrained(config, data, name, seed)
    batch_seed = experiment.derive_seed(seed, "batches", stage)
    run.fit(
        stage,
        network,
        functools.partial(
            images.batches, data.train, config.batch_size, batch_seed
        ),
        config.network_steps,
        config.log_steps,
        validation_data=curve_batches(data.validation),
    )
    return network


def untrained(config, data, name, seed):
    """Returns the compiled network of Table 2 before training."""
    network = cnn.build(
        data.train.images.shape[1:],
        len(data.class_names),
        NETWORKS[name],
        experiment.derive_seed(seed, "network"),
    )
    network.compile(
        keras.optimizers.Adam(
            config.network_lr, epsilon=1e-8, global_clipnorm=1.0
        ),
        **task_loss(config),
    )
    return network


def masked(config, network, fixed_mask=None):
    """Returns the compiled masked network, output layer fixed or not."""
    model = masked_model.MaskedModel(
        network,
        num_samples=config.num_samples,
        alpha=config.beta / config.mask_batch_size,
        keep_probability=config.keep_probability,
        roles="all",
        fixed_mask=fixed_mask,
        seed=0,
    )
    model.compile(**task_loss(config))
    model.optimizer.learning_rate = config.mask_lr
    return model


def task_loss(config):
    """Returns what both `compile` calls have in common."""
    return {
        "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "metrics": ["accuracy"],
        "jit_compile": config.jit_compile,
    }


def train_mask(run, data, model, split, seed, stage, alpha=None):
    """Returns the mask that keeps what the images of `split` need."""
    config = run.config
    model.reset(experiment.derive_seed(seed, "samples", stage), alpha)
    batch_seed = experiment.derive_seed(seed, "batches", stage)
    run.fit(
        stage,
        model,
        functools.partial(
            images.batches, split, config.mask_batch_size, batch_seed
        ),
        config.mask_steps,
        config.log_steps,
        validation_data=curve_batches(data.validation),
        callbacks=[callbacks.MaskSummary(run.folder / "logs" / stage)],
    )
    return model.weight_mask(task=stage)


def curve_batches(split):
    """Returns the first 1,000 images of a split, for the curves."""
    first = split.images[:1000].astype("float32"), split.labels[:1000]
    return tf.data.Dataset.from_tensor_slices(first).batch(500)


def score(model, data):
    """Returns held-out accuracies and the confusion matrix on the test set."""
    classes = len(data.class_names)
    confusion = metrics.confusion_matrix(
        data.test.labels, predict(model, data.test.images), classes
    )
    correct = predict(model, data.validation.images) == data.validation.labels
    return {
        "accuracy": float(np.mean(np.diagonal(confusion))),
        "validation_accuracy": float(np.mean(correct)),
        "confusion": confusion.tolist(),
    }


def predict(model, pixels, batch_size=500):
    """Returns the class that the model finds most likely, an int an image."""
    # Eager calls: `model.predict` would be traced for every mask anew.
    logits = [
        keras.ops.argmax(
            model(pixels[i : i + batch_size].astype("float32")), -1
        )
        for i in range(0, len(pixels), batch_size)
    ]
    return np.concatenate(logits)


def main(config):
    data = images.load(config.dataset)
    masks = 1 + len(left_out(config, data))  # refuses an unknown class
    repeats = len(config.networks) * len(config.seeds)
    steps = config.network_steps + masks * config.mask_steps
    with experiment.Run(config, "cifar_ablation", repeats * steps) as run:
        if config.stage == "figures":
            run.draw(class_ablation.draw)
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
        run.finish(records, class_ablation.claims, class_ablation.draw)


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

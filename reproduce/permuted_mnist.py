r"""Does a network reuse weights for task after task? (Csordas et al., 2021)

Trains weights and masks together on MNIST with permuted pixels, one
permutation after the other; the weights that a task needs are frozen for the
next: section 3.3, appendix C.5; figures 3, 15a and 15b.

python -m reproduce.permuted_mnist \
    --flagfile=reproduce/flags/permuted_mnist_demo.flags
"""

import dataclasses
import functools
import math

import keras
import numpy as np
import tensorflow as tf

from modularity_tf import WeightMask, plots
from modularity_tf.masking import frozen_model
from modularity_tf.parts import overlap
from reproduce.csordas2021 import continual, mask_stages, permuted_pixels
from reproduce.data import images
from reproduce.harness import claim, experiment

FIGURES = ("3", "15a", "15b")
NUMBERS = {2.0: "fig03", 0.0: "fig15a", -1.0: "fig15b"}
OLD_LOGIT = 2.0


@dataclasses.dataclass(frozen=True)
class Config(experiment.Config):
    """Every field is a flag; the defaults are the paper's values."""

    dataset: str = experiment.field("mnist", "mnist or digits.")
    tasks: int = experiment.field(11, "Permutations; the first is none.")
    sizes: tuple[int, ...] = experiment.field(
        (800, 800, 64), "Units of the hidden layers."
    )
    new_logits: tuple[float, ...] = experiment.field(
        (2.0, 0.0, -1.0),
        "Where the logits of free weights start; those of used ones at 2.",
        False,
    )
    batch_size: int = experiment.field(128, "Images a step.")
    task_steps: int = experiment.field(30_000, "Steps of each task.")
    task_lr: float = experiment.field(1e-2, "Adam step, weights and logits.")
    beta: float = experiment.field(
        1.28e-3, "Penalty: each logit costs beta / batch_size."
    )
    num_samples: int = experiment.field(8, "Mask samples a batch.")
    log_steps: int = experiment.field(
        500, "Steps between points in TensorBoard; divides task_steps."
    )

    def __post_init__(self):
        super().__post_init__()
        if self.dataset not in ("mnist", "digits"):
            raise ValueError(
                f"--dataset must be mnist or digits, got {self.dataset!r}."
            )
        if self.tasks < 2:
            raise ValueError(f"--tasks must be at least 2, got {self.tasks}.")
        if not self.sizes or min(self.sizes) < 1:
            raise ValueError(f"--sizes must be positive, got {self.sizes}.")
        if not self.beta >= 0:
            raise ValueError(f"--beta must be at least 0, got {self.beta}.")
        if self.batch_size < self.num_samples:
            raise ValueError(
                f"--batch_size={self.batch_size} is smaller than "
                f"--num_samples={self.num_samples}."
            )
        if self.task_steps % min(self.log_steps, self.task_steps):
            raise ValueError(
                f"--task_steps={self.task_steps} must be a multiple of "
                f"--log_steps={self.log_steps}."
            )


def untrained(config, data, seed):
    """Returns the compiled network before the first task."""
    model = continual.build(
        math.prod(data.train.images.shape[1:]),
        config.sizes,
        len(data.class_names),
        seed,
        num_samples=config.num_samples,
        alpha=config.beta / config.batch_size,
        keep_probability=1 / (1 + math.exp(-OLD_LOGIT)),
    )
    model.compile(
        keras.optimizers.Adam(
            config.task_lr, epsilon=1e-8, global_clipnorm=1.0
        ),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=config.jit_compile,
    )
    return model


def hidden_and_output(model):
    """Returns the layers with masks."""
    kind = continual.ContinualDense
    return [layer for layer in model.layers if isinstance(layer, kind)]


def train_task(run, model, split, validation, task, new_logit, seed, stage):
    """Trains the next task into what is free of a model; returns the model."""
    config = run.config
    if task:
        for i, layer in enumerate(hidden_and_output(model)):
            fresh = experiment.derive_seed(seed, "fresh weights", task, i)
            layer.start_task(fresh, OLD_LOGIT, new_logit)
        frozen_model.reset_optimizer(model.optimizer, model.trainable_variables)
    batch_seed = experiment.derive_seed(seed, "batches", task)
    few = images.Split(validation.images[:1000], validation.labels[:1000])
    run.fit(
        stage,
        model,
        functools.partial(images.batches, split, config.batch_size, batch_seed),
        config.task_steps,
        config.log_steps,
        validation_data=tf.data.Dataset.from_tensor_slices(
            (few.images.astype("float32"), few.labels)
        ).batch(500),
    )
    return model


def analyse(run, data, new_logit, seed):
    """Carries out all tasks of one start and seed, and returns the record."""
    config = run.config
    pixels = math.prod(data.train.images.shape[1:])
    folder = f"new_logit{new_logit:g}/seed{seed}"
    order_seed = experiment.derive_seed(seed, "permutations")
    model = untrained(config, data, experiment.derive_seed(seed, "network"))
    learned, masks, tests = [], [], []
    for task in range(config.tasks):
        order = permuted_pixels.permutation(task, pixels, order_seed)
        train, validation, test = (
            permuted_pixels.permuted(split, order)
            for split in (data.train, data.validation, data.test)
        )
        # The first task is the same wherever the free logits start after it.
        place = folder if task else f"first_task/seed{seed}"
        stage = f"{place}/task{task}"
        train_this = functools.partial(
            train_task,
            run,
            model,
            train,
            validation,
            task,
            new_logit,
            seed,
            stage,
        )
        model = run.stage(stage, train_this, config.task_steps)
        masks.append(
            run.stage(
                f"{place}/mask{task}", functools.partial(kept_weights, model)
            )
        )
        learned.append(
            run.stage(
                f"{place}/result{task}",
                functools.partial(measure, model, test),
            )
        )
        tests.append(test)
    at_end = run.stage(
        f"{folder}/at_end",
        lambda: [
            recall(model, mask, test)
            for mask, test in zip(masks, tests, strict=True)
        ],
    )
    return {
        "data": data.title,
        "new_logit": new_logit,
        "seed": seed,
        "layers": [layer.name for layer in hidden_and_output(model)],
        "tasks": learned,
        "accuracy_at_end": at_end,
    }


def kept_weights(model):
    """Returns the `WeightMask` of the task that was trained last."""
    return WeightMask(
        {
            f"{layer.name}/{name}": value
            for layer in hidden_and_output(model)
            for name, value in layer.masks()[0].items()
        }
    )


def accuracy(model, test):
    """Returns the share of the test images that are classified right."""
    predicted = mask_stages.predict(model, test.images)
    return float(np.mean(predicted == test.labels))


def measure(model, test):
    """Returns how well the last task is done, and with which weights."""
    layers = []
    for layer in hidden_and_output(model):
        kept, used = layer.masks()
        both = overlap.overlaps(kept, used)["total"]
        layers.append(
            {
                "kept": both.first,
                "shared": both.shared,
                "expected": both.expected,
                "occupied": both.first + both.second - both.shared,
                "size": sum(value.size for value in kept.values()),
            }
        )
    return {"accuracy": accuracy(model, test), "layers": layers}


def recall(model, mask, test):
    """Returns how well a model still does an earlier task, with its mask."""
    before = model.get_weights()
    for layer in hidden_and_output(model):
        for name, logits in (
            ("kernel", layer.mask_logits),
            ("bias", layer.bias_mask_logits),
        ):
            kept = mask.values[f"{layer.name}/{name}"]
            logits.assign(np.where(kept, 1.0, -1.0))
    found = accuracy(model, test)
    model.set_weights(before)
    return found


def share(record, task, key="shared"):
    """Returns the share of a task's weights that earlier tasks use too.

    Array of shape `(layers + 1,)`, all layers together the last; with
    `key="expected"` that of a random mask of as many weights a layer.
    """
    layers = record["tasks"][task]["layers"]
    part = [layer[key] for layer in layers]
    kept = [layer["kept"] for layer in layers]
    with np.errstate(invalid="ignore"):
        return np.append(part, sum(part)) / np.append(kept, sum(kept))


def occupied(record, task):
    """Returns the share of each layer that tasks up to this one use."""
    layers = record["tasks"][task]["layers"]
    return np.array([layer["occupied"] / layer["size"] for layer in layers])


def by_start(records):
    """Returns the records grouped by the logit of free weights."""
    groups = {}
    for record in records:
        groups.setdefault(record["new_logit"], []).append(record)
    return groups


def claims(records):
    """Returns the paper's claims with thresholds fixed before any run."""
    groups = by_start(records)
    found = []
    for logit, repeats in groups.items():
        found += [
            claim.Claim(
                f"free logits {logit:g}: accuracy, mean over the tasks",
                "",
                tuple(
                    np.mean([task["accuracy"] for task in r["tasks"]])
                    for r in repeats
                ),
                0.9,
            ),
            claim.Claim(
                f"free logits {logit:g}: no task is forgotten, largest loss",
                "0",
                tuple(
                    max(
                        task["accuracy"] - end
                        for task, end in zip(
                            r["tasks"], r["accuracy_at_end"], strict=True
                        )
                    )
                    for r in repeats
                ),
                1e-3,
                at_least=False,
            ),
        ]
    plain = groups.get(OLD_LOGIT, [])
    if plain:
        found += [
            claim.Claim(
                "little sharing while there is room (second task)",
                "little",
                tuple(share(r, 1)[-1] for r in plain),
                0.25,
                at_least=False,
            ),
            claim.Claim(
                "the output layer fills first: more used than any other, mean "
                "over the tasks",
                "first",
                tuple(
                    np.mean(
                        [
                            used[-1] - used[:-1].max()
                            for used in (
                                occupied(r, task)
                                for task in range(len(r["tasks"]))
                            )
                        ]
                    )
                    for r in plain
                ),
                0.0,
            ),
        ]
    for logit, repeats in groups.items():
        if not plain or logit == OLD_LOGIT:
            continue
        pairs = list(zip(repeats, plain, strict=True))
        more = [share(r, -1) - share(p, -1) for r, p in pairs]
        found += [
            claim.Claim(
                f"free logits {logit:g}: more sharing than at 2, by",
                "more",
                tuple(values[-1] for values in more),
                0.0,
            ),
            claim.Claim(
                f"free logits {logit:g}: more in the first layer too, by",
                "more",
                tuple(values[0] for values in more),
                0.0,
            ),
            claim.Claim(
                f"free logits {logit:g}: still far from 100 % sharing",
                "less than half",
                tuple(share(r, -1)[-1] for r in repeats),
                0.5,
                at_least=False,
            ),
        ]
    return found


def draw(records):
    """Returns figures 3 and 15, drawn from the records alone."""
    figures = {}
    for logit, repeats in by_start(records).items():
        labels = [*repeats[0]["layers"], "total"]
        tasks = range(2, len(repeats[0]["tasks"]), 2)
        tasks = tasks or [1]
        groups = {
            f"task {task + 1}": 100
            * np.array([share(r, task) for r in repeats])
            for task in tasks
        }
        chance = {
            f"task {task + 1}": 100
            * np.array([share(r, task, "expected") for r in repeats])
            for task in tasks
        }
        number = NUMBERS.get(logit, f"fig15_logit{logit:g}")
        figures[f"{number}_sharing"] = plots.grouped_bars(
            groups,
            labels,
            "weights shared [%]",
            f"permuted {repeats[0]['data']}, free logits start at {logit:g}",
            chance,
        )
    return figures


def main(config):
    repeats = len(config.seeds) * len(config.new_logits)
    steps = repeats * config.tasks * config.task_steps
    with experiment.Run(config, "permuted_mnist", steps) as run:
        if config.stage == "figures":
            run.draw(draw)
            return
        data = images.load(config.dataset)
        if config.dry_run or steps > experiment.LONG_RUN_STEPS:
            pixels = math.prod(data.train.images.shape[1:])
            split = permuted_pixels.permuted(data.train, np.arange(pixels))
            batches = functools.partial(
                images.batches, split, config.batch_size, 0
            )
            model = untrained(config, data, 0)
            run.estimate([("weights and masks", model, batches, steps)])
        if config.dry_run:
            return
        records = [
            analyse(run, data, logit, seed)
            for seed in config.seeds
            for logit in config.new_logits
        ]
        run.finish(records, claims, draw)


if __name__ == "__main__":
    experiment.run_main(Config, main)

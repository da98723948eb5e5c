"""Trains task after task into free weights: flags, stages of permuted_mnist."""

import dataclasses
import functools
import math

import keras
import numpy as np
import tensorflow as tf

from modularity_tf import WeightMask
from modularity_tf.findings import overlap
from modularity_tf.masking import frozen_model
from reproduce.csordas2021 import mask_training
from reproduce.csordas2021.continual import network, permuted_pixels
from reproduce.csordas2021.continual.network import OLD_LOGIT
from reproduce.csordas2021.mask_training import AGAIN
from reproduce.csordas2021.subject import adam
from reproduce.data import images
from reproduce.running import configuration, training
from reproduce.running.configuration import field
from reproduce.running.run import Run
from reproduce.running.stage import Stage


@dataclasses.dataclass(frozen=True)
class Config(configuration.Config):
    """Every field is a flag; the defaults are the paper's values."""

    dataset: str = field(
        "mnist", "Data set of images.", one_of=("mnist", "digits")
    )
    tasks: int = field(
        11,
        "Number of tasks; each has its pixels permuted, but for the first.",
        at_least=2,
    )
    sizes: tuple[int, ...] = field(
        (800, 800, 64), "Units of the hidden layers.", at_least=1
    )
    new_logits: tuple[float, ...] = field(
        (2.0, 0.0, -1.0),
        "Initial logits of weights that no task uses yet; those of used "
        "weights start at 2.",
        part=True,
        distinct=True,
    )
    batch_size: int = field(128, "Images in a training step.", at_least=1)
    task_steps: int = field(
        30_000,
        "Training steps of each task.",
        at_least=1,
        multiple_of="log_steps",
    )
    task_lr: float = field(
        1e-2, "Learning rate of Adam for weights and logits.", above=0
    )
    beta: float = field(
        1.28e-3,
        "Strength of the penalty: each logit of a mask costs beta / "
        "batch_size.",
        at_least=0,
    )
    num_samples: int = field(
        8, "Masks that are drawn for each batch.", at_least=1
    )
    log_steps: int = field(
        500,
        "Steps between two points in TensorBoard; must divide --task_steps.",
        at_least=1,
    )

    def __post_init__(self):
        super().__post_init__()
        starts = {f"{logit:g}" for logit in self.new_logits}
        if len(starts) < len(self.new_logits):
            raise ValueError(
                "--new_logits must differ in their first six digits, got "
                f"{','.join(map(str, self.new_logits))}."
            )
        mask_training.check_samples(self, "batch_size")


class Learner:
    """What all tasks have in common: the data, and the model that learns them.

    The plan makes it and hands it to the stages, so that the model's training
    step is traced once. Every task begins with `copy_state` and ends with a
    copy of its own: no task changes what another has left.

    Attributes:
        data: `ImageData`.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self.data = images.load_once(config.dataset)

    def untrained(self, seed: int) -> keras.Model:
        """Returns the network before the first task."""
        config = self._config
        return network.build(
            math.prod(self.data.train.images.shape[1:]),
            config.sizes,
            len(self.data.class_names),
            seed,
            num_samples=config.num_samples,
            alpha=config.beta / config.batch_size,
            initial_keep_probability=1 / (1 + math.exp(-OLD_LOGIT)),
        )

    @functools.cached_property
    def model(self) -> keras.Model:
        """The compiled model that all tasks train in turn."""
        model = self.untrained(seed=0)
        model.compile(
            adam(self._config.task_lr),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            jit_compile=self._config.jit_compile,
        )
        model.optimizer.build(model.trainable_variables)
        return model


def plan(run: Run) -> list[dict]:
    """Plans all tasks; returns the records to be."""
    learner = Learner(run.config)
    return [
        plan_repeat(run, learner, new_logit, seed)
        for seed in run.config.seeds
        for new_logit in run.config.new_logits
    ]


def plan_repeat(
    run: Run, learner: Learner, new_logit: float, seed: int
) -> dict:
    """Plans all tasks of one start and seed; returns the record to be."""
    config, data = run.config, learner.data
    folder = f"new_logit{new_logit:g}/seed{seed}"
    models, masks, results = [], [], []

    def stage(what, function, *needs, **kwargs):
        return run.stage(what, function, *needs, seed=seed, **kwargs)

    def train(what, *needs):
        steps = {"steps": config.task_steps, "phase": "tasks"}
        return stage(what, train_task, learner, *needs, **steps)

    for task in range(config.tasks):
        # The first task is the same wherever the free logits start after it.
        place = folder if task else f"first_task/seed{seed}"
        needs = (task, new_logit, models[-1]) if task else (task,)
        model = train(f"{place}/task{task}", *needs)
        models.append(model)
        masks.append(stage(f"{place}/mask{task}", kept_weights, model))
        results.append(
            stage(f"{place}/result{task}", measure, data, model, task)
        )
    at_end = stage(f"{folder}/at_end", recall, data, model, *masks)
    again = train(f"{folder}/again", 0, new_logit, models[0])
    return {
        "data": data.title,
        "classes": len(data.class_names),
        "new_logit": new_logit,
        "seed": seed,
        "layers": run.combine(layer_names, masks[0]),
        "tasks": results,
        "again": stage(f"{folder}/result_again", measure, data, again, 0),
        "accuracy_at_end": at_end,
    }


def layer_names(mask: WeightMask) -> list[str]:
    """Returns the names of the layers with masks."""
    return list(dict.fromkeys(path.split("/")[0] for path in mask.values))


def train_task(
    stage: Stage,
    learner: Learner,
    task: int,
    new_logit: float | None = None,
    before: keras.Model | None = None,
) -> keras.Model:
    """Returns the model that has learned a task in what was free of it.

    Args:
        stage: `Stage`.
        learner: `Learner`.
        task: Int, the task. The first one after itself has other batches.
        new_logit: Float, where the logits of free weights start.
        before: Keras model, after the task before; it is not changed. `None`
            for the first task.

    Returns:
        Keras model, not compiled.
    """
    config, data, model = stage.config, learner.data, learner.model
    if before is None:
        copy_state(learner.untrained(stage.derive_seed("network")), model)
    else:
        copy_state(before, model)
        for i, layer in enumerate(hidden_and_output(model)):
            fresh = stage.derive_seed("fresh weights", task, i)
            layer.start_task(fresh, OLD_LOGIT, new_logit)
    frozen_model.reset_optimizer(model.optimizer, model.trainable_variables)
    train = permuted(stage, data.train, task)
    order = task if task or before is None else AGAIN
    batch_seed = stage.derive_seed("batches", order)
    validation = permuted(stage, data.validation, task)
    few = validation.images[:1000].astype("float32"), validation.labels[:1000]
    stage.fit(
        model,
        functools.partial(images.batches, train, config.batch_size, batch_seed),
        config.task_steps,
        config.log_steps,
        validation_data=tf.data.Dataset.from_tensor_slices(few).batch(500),
    )
    return copied(model)


def permuted(stage: Stage, split: images.Split, task: int) -> images.Split:
    """Returns a split with the pixels in the order of a task."""
    pixels = math.prod(split.images.shape[1:])
    seed = stage.derive_seed("permutations")
    order = permuted_pixels.permutation(task, pixels, seed)
    return permuted_pixels.permuted(split, order)


def copy_state(source: keras.Model, target: keras.Model) -> None:
    """Copies weights, masks and random generators to a model alike."""
    for own, others in zip(target.layers, source.layers, strict=True):
        for variable, other in zip(
            own.variables, others.variables, strict=True
        ):
            variable.assign(other)


def copied(model: keras.Model) -> keras.Model:
    """Returns a copy of a model, not compiled."""
    copy = keras.models.clone_model(model)
    copy_state(model, copy)
    return copy


def hidden_and_output(model: keras.Model) -> list[network.ContinualDense]:
    """Returns the layers with masks."""
    kind = network.ContinualDense
    return [layer for layer in model.layers if isinstance(layer, kind)]


def kept_weights(stage: Stage, model: keras.Model) -> WeightMask:
    """Returns the `WeightMask` of the task that was trained last."""
    return WeightMask(
        {
            f"{layer.name}/{name}": value
            for layer in hidden_and_output(model)
            for name, value in layer.masks()[0].items()
        }
    )


def measure(
    stage: Stage, data: images.ImageData, model: keras.Model, task: int
) -> dict:
    """Returns how well the last task is done, and with which weights."""
    layers = []
    for layer in hidden_and_output(model):
        kept, used = layer.masks()
        both = overlap.between(kept, used)
        layers.append(
            {
                "kept": both.first,
                "shared": both.shared,
                "expected": both.expected,
                "occupied": both.first + both.second - both.shared,
                "size": sum(value.size for value in kept.values()),
            }
        )
    return {"accuracy": accuracy(stage, data, model, task), "layers": layers}


def recall(
    stage: Stage,
    data: images.ImageData,
    model: keras.Model,
    *masks: WeightMask,
) -> list[float]:
    """Returns how well the last model still does each task, with its mask."""
    model = copied(model)
    found = []
    for task, mask in enumerate(masks):
        put_mask(model, mask)
        found.append(accuracy(stage, data, model, task))
    return found


def accuracy(
    stage: Stage, data: images.ImageData, model: keras.Model, task: int
) -> float:
    """Returns the share of a task's test images that are classified right."""
    test = permuted(stage, data.test, task)
    predicted = mask_training.predict(model, test.images)
    return float(np.mean(predicted == test.labels))


def put_mask(model: keras.Model, mask: WeightMask) -> None:
    """Sets the mask logits of a model to those of a task."""
    for layer in hidden_and_output(model):
        for name, logits in (
            ("kernel", layer.mask_logits),
            ("bias", layer.bias_mask_logits),
        ):
            kept = mask.values[f"{layer.name}/{name}"]
            logits.assign(np.where(kept, 1.0, -1.0))


def phases(config: Config) -> dict[str, training.Phase]:
    """Returns what the estimate times: weights and masks, trained together."""
    learner = Learner(config)
    pixels = np.arange(math.prod(learner.data.train.images.shape[1:]))
    split = permuted_pixels.permuted(learner.data.train, pixels)
    batches = functools.partial(images.batches, split, config.batch_size, 0)
    return {"tasks": training.phase(learner.model, batches)}

"""Trains task after task into the free weights: stages of permuted_mnist.

The functions take the `Config` of `reproduce.permuted_mnist`.
"""

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
from reproduce.data import images
from reproduce.running import training


def plan(run):
    """Plans all tasks; returns the records to be."""
    data = images.load_once(run.config.dataset)
    return [
        plan_repeat(run, data, new_logit, seed)
        for seed in run.config.seeds
        for new_logit in run.config.new_logits
    ]


def plan_repeat(run, data, new_logit, seed):
    """Plans all tasks of one start and seed; returns the record to be."""
    config, folder = run.config, f"new_logit{new_logit:g}/seed{seed}"
    models, masks, results = [], [], []
    for task in range(config.tasks):
        # The first task is the same wherever the free logits start after it.
        place = folder if task else f"first_task/seed{seed}"
        needs = (task, new_logit, models[-1]) if task else (task,)
        model = run.stage(
            f"{place}/task{task}",
            train_task,
            *needs,
            seed=seed,
            steps=config.task_steps,
            phase="tasks",
        )
        models.append(model)
        masks.append(
            run.stage(f"{place}/mask{task}", kept_weights, model, seed=seed)
        )
        results.append(
            run.stage(f"{place}/result{task}", measure, model, task, seed=seed)
        )
    at_end = run.stage(f"{folder}/at_end", recall, model, *masks, seed=seed)
    again = run.stage(
        f"{folder}/again",
        train_task,
        0,
        new_logit,
        models[0],
        seed=seed,
        steps=config.task_steps,
        phase="tasks",
    )
    return {
        "data": data.title,
        "classes": len(data.class_names),
        "new_logit": new_logit,
        "seed": seed,
        "layers": run.combine(layer_names, masks[0]),
        "tasks": results,
        "again": run.stage(
            f"{folder}/result_again", measure, again, 0, seed=seed
        ),
        "accuracy_at_end": at_end,
    }


def layer_names(mask):
    """Returns the names of the layers with masks."""
    return list(dict.fromkeys(path.split("/")[0] for path in mask.values))


def train_task(stage, task, new_logit=None, before=None):
    """Returns the model that has learned a task in what was free of it.

    Args:
        stage: `Stage`.
        task: Int, the task. The first one after itself has other batches.
        new_logit: Float, where the logits of free weights start.
        before: Keras model, after the task before; it is not changed. `None`
            for the first task.
    """
    config, data = stage.config, images.load_once(stage.config.dataset)
    model = learner(config, data)
    if before is None:
        copy_state(untrained(config, data, stage.derive_seed("network")), model)
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


def permuted(stage, split, task):
    """Returns a split with the pixels in the order of a task."""
    pixels = math.prod(split.images.shape[1:])
    seed = stage.derive_seed("permutations")
    order = permuted_pixels.permutation(task, pixels, seed)
    return permuted_pixels.permuted(split, order)


def untrained(config, data, seed):
    """Returns the network before the first task."""
    return network.build(
        math.prod(data.train.images.shape[1:]),
        config.sizes,
        len(data.class_names),
        seed,
        num_samples=config.num_samples,
        alpha=config.beta / config.batch_size,
        keep_probability=1 / (1 + math.exp(-OLD_LOGIT)),
    )


@training.keep_last
def learner(config, data):
    """Returns the compiled model that all tasks train in turn.

    Every task begins with `copy_state` and ends with a copy of its own, so
    that no task changes what another has left.
    """
    model = untrained(config, data, seed=0)
    model.compile(
        keras.optimizers.Adam(
            config.task_lr, epsilon=1e-8, global_clipnorm=1.0
        ),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=config.jit_compile,
    )
    model.optimizer.build(model.trainable_variables)
    return model


def copy_state(source, target):
    """Copies weights, masks and random generators to a model alike."""
    for own, others in zip(target.layers, source.layers, strict=True):
        for variable, other in zip(
            own.variables, others.variables, strict=True
        ):
            variable.assign(other)


def copied(model):
    """Returns a copy of a model, not compiled."""
    copy = keras.models.clone_model(model)
    copy_state(model, copy)
    return copy


def hidden_and_output(model):
    """Returns the layers with masks."""
    kind = network.ContinualDense
    return [layer for layer in model.layers if isinstance(layer, kind)]


def kept_weights(stage, model):
    """Returns the `WeightMask` of the task that was trained last."""
    return WeightMask(
        {
            f"{layer.name}/{name}": value
            for layer in hidden_and_output(model)
            for name, value in layer.masks()[0].items()
        }
    )


def measure(stage, model, task):
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
    return {"accuracy": accuracy(stage, model, task), "layers": layers}


def recall(stage, model, *masks):
    """Returns how well the last model still does each task, with its mask."""
    model = copied(model)
    found = []
    for task, mask in enumerate(masks):
        put_mask(model, mask)
        found.append(accuracy(stage, model, task))
    return found


def accuracy(stage, model, task):
    """Returns the share of a task's test images that are classified right."""
    test = images.load_once(stage.config.dataset).test
    test = permuted(stage, test, task)
    predicted = mask_training.predict(model, test.images)
    return float(np.mean(predicted == test.labels))


def put_mask(model, mask):
    """Sets the mask logits of a model to those of a task."""
    for layer in hidden_and_output(model):
        for name, logits in (
            ("kernel", layer.mask_logits),
            ("bias", layer.bias_mask_logits),
        ):
            kept = mask.values[f"{layer.name}/{name}"]
            logits.assign(np.where(kept, 1.0, -1.0))


def phases(config):
    """Returns what the estimate times: weights and masks, trained together."""
    data = images.load_once(config.dataset)
    pixels = np.arange(math.prod(data.train.images.shape[1:]))
    split = permuted_pixels.permuted(data.train, pixels)
    batches = functools.partial(images.batches, split, config.batch_size, 0)
    return {"tasks": training.phase(learner(config, data), batches)}

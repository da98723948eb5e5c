"""The neurons of a class: how active they are, and which are selected.

The functions take the `Config` of `stages`.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from modularity_tf.neurons import rules, statistics
from reproduce.data import images


def load(config, dataset):
    """Returns a data set with --score_images images to score on.

    Raises:
        ValueError: If these are too few, or more than there are.
    """
    data = images.load_once(dataset)
    if config.score_images:
        most = min(len(data.validation.labels), len(data.test.labels))
        if config.score_images > most:
            raise ValueError(
                f"--score_images={config.score_images} must be at most {most}: "
                f"{dataset} has no more to validate on."
            )
        few = {
            part: images.Split(
                *(rows[: config.score_images] for rows in getattr(data, part))
            )
            for part in ("validation", "test")
        }
        data = dataclasses.replace(data, **few)
    counts = np.bincount(data.test.labels, minlength=len(data.class_names))
    # A class needs a confusion rate, or two images in each half.
    least = 1 if config.select_on == "train" else 4
    if counts.min() < least:
        raise ValueError(
            f"--score_images={config.score_images} must be higher: it leaves "
            f"{counts.min()} test images of class "
            f"{data.class_names[counts.argmin()]!r} of {dataset}, and "
            f"--select_on={config.select_on} needs {least} or more."
        )
    return data


def selecting_split(config, data):
    """Returns the images that select the neurons."""
    return data.train if config.select_on == "train" else data.test


def batches_of(split, groups=None):
    """Returns the images of a split with their labels, or other groups."""
    groups = split.labels if groups is None else groups
    data = tf.data.Dataset.from_tensor_slices((split.images, groups))
    return data.batch(500).map(lambda x, y: (tf.cast(x, tf.float32), y))


def halves(split, num_classes, seed):
    """Returns 2 * label + half for every image, halves drawn at random."""
    rng = np.random.default_rng(seed)
    half = np.zeros(len(split.labels), "int32")
    for label in range(num_classes):
        (rows,) = np.nonzero(split.labels == label)
        half[rng.permutation(rows)[: len(rows) // 2]] = 1
    return 2 * split.labels + half


def to_json(found):
    """Returns `ClassStatistics` as a dict of JSON values."""
    return {
        "counts": found.counts.tolist(),
        **{
            name: {
                path: values.tolist()
                for path, values in getattr(found, name).items()
            }
            for name in ("mean", "standard_error")
        },
    }


def by_class_and_half(values):
    """Returns the `ClassStatistics` of the classes and of their halves.

    Args:
        values: What `to_json` returns, of the groups of `halves`.
    """
    arrays = (
        {path: np.array(rows) for path, rows in values[name].items()}
        for name in ("mean", "standard_error")
    )
    by_half = statistics.ClassStatistics(np.array(values["counts"]), *arrays)
    both = [[i, i + 1] for i in range(0, len(by_half.counts), 2)]
    return statistics.merge_groups(by_half, both), by_half


def decide(config, method, found, label, **changes):
    """Returns the `NeuronSelection` of a class.

    Args:
        config: `Config`.
        method: "threshold", "bayesian", or "relative": masking with a
            `t_high` that goes with the scale of each layer.
        found: `ClassStatistics`.
        label: Int, the class.
        **changes: Settings of masking to change.
    """
    if method == "threshold":
        return rules.threshold_neurons(
            found, label, percentile=config.percentile
        )
    settings = {
        name: getattr(config, name) for name in ("t_high", "t_low", "tau")
    }
    if method == "relative":
        # As many neurons as by thresholding, over all classes together.
        least = np.nextafter(config.t_low, np.inf)
        settings["t_high"] = {
            path: max(float(np.percentile(means, config.percentile)), least)
            for path, means in found.mean.items()
        }
    return rules.bayesian_neurons(found, label, **{**settings, **changes})


def choose_all(config, method, found, outputs, **changes):
    """Returns the active neurons of every class, layer -> boolean array.

    Args:
        config: `Config`.
        method: "threshold" or "bayesian".
        found: `ClassStatistics`.
        outputs: Paths of the output layers, which are left out.
        **changes: Settings of masking to change.
    """
    chosen = [
        decide(config, method, found, label, **changes).values
        for label in range(len(found.counts))
    ]
    return [
        {path: on for path, on in one.items() if path not in outputs}
        for one in chosen
    ]

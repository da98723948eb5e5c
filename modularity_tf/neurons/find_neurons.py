"""find_neurons: which neurons of a trained model does a class use?"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Literal

import keras
import numpy as np

from modularity_tf import checks
from modularity_tf.findings import neuron_selection
from modularity_tf.network import batches, model_weights, progress
from modularity_tf.neurons import rules, statistics

METHODS = ("threshold", "bayesian")


def find_neurons(
    model: keras.Model,
    data: batches.Data,
    label: int,
    *,
    layers: str | Iterable[str] | None = None,
    method: Literal["threshold", "bayesian"] = "threshold",
    percentile: float = 70.0,
    t_high: float | Mapping[str, float] = 0.55,
    t_low: float | Mapping[str, float] = 1e-5,
    tau: float | Mapping[str, float] = 0.8,
    verbose: int = 1,
) -> neuron_selection.NeuronSelection:
    """Returns the neurons of a trained model that a class uses.

    One pass over the examples of the class. A neuron is a unit of a Dense
    layer or a channel of a convolution; how active it is, is the mean of its
    activation's magnitude, over positions that no Keras mask hides (padding).

    >>> threes = mtf.find_neurons(model, (images, labels), label=3)
    >>> blind = threes.remove_from(model)  # a plain Keras model

    Args:
        model: Built `keras.Model`, trained. It is not changed.
        data: Arrays `(x, y)`, or batches of them: a list, a
            `tf.data.Dataset`, a `PyDataset` or another iterable. y are class
            numbers; what is not of the class is left out.
        label: Int, the class.
        layers: Names or paths of Conv or Dense layers, or of the activation
            layers after them; `None` for the hidden Conv and Dense
            layers, with a `UserWarning` if the model has units in others.
        method: "threshold": active are the neurons above a percentile of
            their layer. "bayesian": each neuron is surely on, surely off, or
            neither.
        percentile: Float in [0, 100], of the method "threshold".
        t_high: Float, or a dict of floats by layer path: with "bayesian", a
            neuron whose mean is surely above this is on. It depends on the
            scale of a layer's activations.
        t_low: Float below `t_high`, or a dict of floats by layer path: with
            "bayesian", a neuron whose mean is surely below this is off.
        tau: Float in [0.5, 1), the probability from which "bayesian" takes a
            decision for sure, or a dict of floats by layer path.
        verbose: 0 for no progress bar. That of the batches begins after 5
            seconds.

    Returns:
        `NeuronSelection`. Its `scores` are the mean magnitudes; with "bayesian"
        it has also the neurons that are surely `off`. Its provenance has
        `method` and its settings, `label`, `examples` (how many are of the
        class), `model` (its name) and `model_fingerprint`.

    Raises:
        ValueError: If no example is of the class, or an argument is out of its
            range.

    References:
        - Elbastawisy and Afrin, 2025, section 4
    """
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {METHODS}, got {method!r}.")
    label = checks.integer("label", label)
    found = statistics.class_statistics(
        model, _of_class(model, data, label, verbose), 1, layers=layers
    )
    if method == "bayesian" and found.counts[0] < 2:
        raise ValueError(
            f"`data` has one example of class {label}; `method`='bayesian' "
            "needs two or more."
        )
    if method == "threshold":
        chosen = rules.threshold_neurons(found, 0, percentile=percentile)
    else:
        chosen = rules.bayesian_neurons(
            found, 0, t_high=t_high, t_low=t_low, tau=tau
        )
    provenance = {
        **chosen.provenance,
        "label": label,
        "examples": int(found.counts[0]),
        "model": model.name,
        "model_fingerprint": model_weights.fingerprint(model),
    }
    return dataclasses.replace(chosen, provenance=provenance)


def _of_class(model, data, label, verbose):
    """Yields the inputs of a class, with labels of 0."""
    seen = set()
    read = batches.read("data", data, model=model)
    for inputs, labels in progress.shown(read, "batch", verbose=verbose):
        labels = checks.class_labels("labels", labels, np.inf)
        seen |= {*labels.tolist()}
        (rows,) = np.nonzero(labels == label)
        if rows.size:
            yield batches.take(inputs, rows), np.zeros(len(rows), int)
    if label not in seen:
        raise ValueError(
            f"No example in `data` is of class {label}; there are "
            f"{sorted(seen)}."
        )

"""find_neurons: which neurons does a class use, or a task need?"""

import dataclasses
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, Literal, overload

import keras
import numpy as np
from keras import ops

from modularity_tf import checks
from modularity_tf.findings import neuron_selection
from modularity_tf.masking import find_weights, masked_model
from modularity_tf.network import (
    activations,
    batches,
    example_inputs,
    model_weights,
    progress,
)
from modularity_tf.neurons import rules, statistics

METHODS = ("threshold", "bayesian", "mask")


@overload
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
) -> neuron_selection.NeuronSelection: ...


@overload
def find_neurons(
    model: keras.Model,
    data: batches.Data,
    *,
    method: Literal["mask"],
    validation_data: batches.Data | None = None,
    task: str | None = None,
    loss: Any = None,
    metrics: Any = None,
    performance: Any = None,
    layers: str | Iterable[str] | None = None,
    alpha: float | Literal["auto"] = "auto",
    keep: float | None = None,
    initial_keep_probability: float = 0.9,
    num_samples: int | None = None,
    batch_size: int = 128,
    steps: int | None = None,
    learning_rate: float = find_weights.LEARNING_RATE,
    seed: int | None = 0,
    callbacks: Iterable[keras.callbacks.Callback] = (),
    verbose: int = 1,
) -> neuron_selection.NeuronSelection: ...


def find_neurons(
    model: keras.Model,
    data: batches.Data,
    label: int | None = None,
    *,
    method: Literal["threshold", "bayesian", "mask"] = "threshold",
    layers: str | Iterable[str] | None = None,
    verbose: int = 1,
    **settings: Any,
) -> neuron_selection.NeuronSelection:
    """Returns the neurons of a model that a class uses, or a task needs.

    Which neurons does a class *use*? Methods "threshold" and "bayesian" take
    one pass over the examples of the class. A neuron is a unit of a Dense
    layer or a channel of a convolution; how active it is, is the mean of its
    activation's magnitude, over positions that no Keras mask hides (padding).

    >>> threes = mtf.find_neurons(model, (images, labels), label=3)
    >>> blind = threes.remove_from(model)  # a plain Keras model

    Which neurons does a task *need*? Method "mask" learns gates, as
    `find_weights` learns a mask over weights: one logit for each unit, and all
    weights of a unit that is off are zero. Units are those of all hidden
    layers, channels, units of recurrent layers and attention heads
    included; `MaskedModel` says what belongs to a gate, and what a unit that
    is off still puts out.

    >>> needed = mtf.find_neurons(
    ...     model, (images, labels), method="mask", steps=50, verbose=0
    ... )
    >>> small = needed.shrink(model)  # computes what needed.apply(model) does
    >>> fewer = needed.at(keep=needed.keep_fraction / 2)

    Args:
        model: Built `keras.Model`, trained. It is not changed.
        data: Arrays `(x, y)`, or batches of them: a list, a
            `tf.data.Dataset`, a `PyDataset` or another iterable. y are class
            numbers, and what is not of the class is left out; with "mask" they
            are the task, with sample weights if there are any.
        label: Int, the class. Not with "mask": `data` say what the task is.
        method: "threshold": active are the neurons above a percentile of
            their layer. "bayesian": each neuron is surely on, surely off, or
            neither. "mask": needed are the neurons whose gates stay open.
        layers: Names or paths of Conv or Dense layers, or of the activation
            layers after them; `None` for the hidden Conv and Dense
            layers, with a `UserWarning` if the model has units in others. With
            "mask" layers of any kind that has units, or of blocks with such
            inside; `None` for all hidden ones.
        verbose: 0 for no progress bar. That of the batches begins after 5
            seconds.
        **settings: Those of the method. Of "threshold":

            - `percentile`: Float in [0, 100], 70 by default.

            Of "bayesian", each a float or a dict of floats by layer path:

            - `t_high`: a neuron whose mean is surely above this is on, 0.55 by
              default. It depends on the scale of a layer's activations.
            - `t_low`: a neuron whose mean is surely below this is off, 1e-5 by
              default.
            - `tau`: in [0.5, 1), the probability from which a decision is sure,
              0.8 by default.

            Of "mask":

            - `validation_data`: what the gates are chosen by; `None` for a
              fifth of the arrays.
            - `task`: str or `None`, for the record.
            - `loss`, `metrics`: of the task; `None` for those of `model`.
            - `performance`: what has to be kept; `None` for the accuracy, or
              else the loss. Or the name of a metric, a metric, or a function.
            - `alpha`: float, the penalty on each gate at which the path ends,
              or "auto".
            - `keep`: float in (0, 1), the share of the units to keep; `None`
              to keep 95 % of the performance.
            - `initial_keep_probability`: float in (0, 1), 0.9 by default.
            - `num_samples`: positive int, gates that are drawn for each batch,
              or `None` to draw none.
            - `batch_size`: positive int, 128 by default.
            - `steps`: positive int, training steps at each penalty; `None` for
              300 at the first and 50 at the others.
            - `learning_rate`: positive float, 0.03 by default.
            - `seed`: int, not negative, or `None`; 0 by default.
            - `callbacks`: Keras callbacks for the training of the gates.

    Returns:
        `NeuronSelection`. Its `scores` are the mean magnitudes; with "bayesian"
        it has also the neurons that are surely `off`. Its provenance has
        `method` and its settings, `label`, `examples` (how many are of the
        class), `model` (its name) and `model_fingerprint`.

        With "mask" `scores`, `path` and provenance are those of
        `find_weights`, for units instead of weights. The provenance has also
        `puts_out`: for each layer with units that put out a constant when they
        are off, the largest magnitude of act(0).

    Raises:
        NoMaskError: With "mask", as `find_weights`.
        TypeError: If a setting is not one of the method.
        ValueError: If no example is of the class, or an argument is out of its
            range; with "mask", if a named layer has no units that can be shut
            off, or as `find_weights`.

    Warns:
        UserWarning: With "mask", as `find_weights`, and if hidden layers have
            units without gates, or units that are off put out a constant.

    References:
        - Elbastawisy and Afrin, 2025, section 4
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), section 2,
          of masks
    """
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {METHODS}, got {method!r}.")
    if method != "mask":
        label = checks.integer("label", label)
        return _used(
            model, data, label, method, layers, verbose=verbose, **settings
        )
    if label is not None:
        raise ValueError(
            f"`label` is not for `method`='mask', got {label!r}: give `data` "
            "of the task whose neurons are looked for."
        )
    return _needed(model, data, layers, verbose=verbose, **settings)


def _used(
    model,
    data,
    label,
    method,
    layers,
    *,
    percentile=70.0,
    t_high=0.55,
    t_low=1e-5,
    tau=0.8,
    verbose,
):
    """Returns the neurons that a class activates."""
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


def _needed(
    model,
    data,
    layers,
    *,
    validation_data=None,
    task=None,
    loss=None,
    metrics=None,
    performance=None,
    alpha="auto",
    keep=None,
    initial_keep_probability=0.9,
    num_samples=None,
    batch_size=128,
    steps=None,
    learning_rate=find_weights.LEARNING_RATE,
    seed=0,
    callbacks=(),
    verbose,
):
    """Returns the neurons whose gates a task keeps open."""
    masked = masked_model.MaskedModel(
        model,
        groups="units",
        num_samples=num_samples,
        initial_keep_probability=initial_keep_probability,
        layers=layers,
        seed=seed,
    )
    found, texts = find_weights.learned(
        masked,
        data,
        validation_data,
        task=task,
        loss=loss,
        metrics=metrics,
        performance=performance,
        alpha=alpha,
        keep=keep,
        batch_size=batch_size,
        steps=steps,
        learning_rate=learning_rate,
        callbacks=callbacks,
        verbose=verbose,
    )
    puts_out = _constants(model, masked, found)
    if puts_out:
        told = ", ".join(f"{p!r} {value:.3g}" for p, value in puts_out.items())
        texts.append(
            f"Neurons that are off put out a constant, act(0): {told}. "
            "`shrink` adds it to the biases of the next layers."
        )
    for text in texts:
        warnings.warn(text, stacklevel=3)
    return neuron_selection.NeuronSelection(
        found.values, {**found.provenance, "puts_out": puts_out}, found.scores
    )


def _constants(model, masked, found):
    """Returns the magnitude of what units that are off put out, if not 0.

    Args:
        model: `keras.Model`.
        masked: `MaskedModel` of it.
        found: `NeuronSelection`.

    Returns:
        Dict from layer path to float.
    """
    layers = activations.layers_of(model)
    off = {p: ~flags for p, flags in found.values.items() if not flags.all()}
    neuronal = [path for path in off if activations.is_neuronal(layers[path])]
    values = {}
    if neuronal:
        weights = model_weights.model_weights(model)
        mapping = [
            (weights[path].variable, weights[path].variable.value * stays)
            for path, stays in masked.weights_under(found.values).items()
        ]
        inside = activations.ActivationModel(model, neuronal)
        with keras.StatelessScope(state_mapping=mapping):
            values = inside(example_inputs.draw(model))
    constants = {}
    for path, flags in off.items():
        if path in values:
            value = ops.convert_to_numpy(values[path])[..., flags]
        else:
            act = getattr(layers[path], "activation", None)
            value = ops.convert_to_numpy(act(ops.zeros(1)) if act else 0.0)
        largest = float(np.max(np.abs(value), initial=0.0))
        if largest:
            constants[path] = largest
    return constants


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

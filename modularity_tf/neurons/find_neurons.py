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
    scoring,
    task_outputs,
)
from modularity_tf.neurons import class_positions, rules, statistics

METHODS = ("threshold", "bayesian", "mask")
_SETTINGS_OF_A_CLASS = {
    "threshold": ("outputs", "percentile", "against"),
    "bayesian": ("outputs", "t_high", "t_low", "tau"),
}


@overload
def find_neurons(
    model: keras.Model,
    data: batches.Data,
    label: int,
    *,
    layers: str | Iterable[str] | None = None,
    method: Literal["threshold", "bayesian"] = "threshold",
    outputs: str | None = None,
    percentile: float = 70.0,
    against: Literal["rest"] | None = None,
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
    outputs: task_outputs.Chosen = None,
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
    Where labels are one for each position, it is the mean over the positions
    of the class, and an example counts if it has one.

    >>> threes = mtf.find_neurons(model, (images, labels), label=3)
    >>> blind = threes.remove_from(model)  # a plain Keras model

    By the paper's rule, the neurons of a class may be neurons that every class
    uses. `against="rest"` takes only the neurons that are more active for the
    class than for other examples.

    >>> own = mtf.find_neurons(
    ...     model, (images, labels), label=3, against="rest"
    ... )
    >>> own.provenance["against"]
    'rest'

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
            numbers, one for each example; or shaped as the outputs are: one
            for each position (a step, a pixel, a character), or one-hot. The
            model says which, see `neurons.class_positions.Labels`. What is
            not of the class is left out. With "mask" y are the task, with
            sample weights if there are any.
        label: Int, the class. Not with "mask": `data` say what the task is.
        method: "threshold": active are the neurons above a percentile of
            their layer. "bayesian": each neuron is surely on, surely off, or
            neither. "mask": needed are the neurons whose gates stay open.
        layers: Names or paths of Dense layers, of convolutions (separable and
            transposed ones, too), of LSTM, GRU and SimpleRNN layers, or of the
            activation layers after these; `None` for the hidden Conv and Dense
            layers, with a `UserWarning` if the model has units in others. With
            "mask" layers of any kind that has units, or blocks that contain
            such layers; `None` for all hidden ones.
        verbose: 0 for no progress bar. That of the batches begins after 5
            seconds.
        **settings: Those of the method. Of "threshold" and "bayesian":

            - `outputs`: name of the output whose labels y has, where the model
              has several and y is a list or a dict of labels.

            Of "threshold":

            - `percentile`: float in [0, 100], 70 by default.
            - `against`: "rest" for the neurons that are more active for the
              class than for other examples of `data`: scores are these
              contrasts then, see `neurons.rules.contrast_neurons`. `None`, the
              default, for the paper's rule.

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
            - `outputs`: name of the output that the task is about, or names
              of several; `None` for all that have a loss.
            - `alpha`: float, the penalty on each gate at which the path ends,
              in units of the loss, or "auto". If gates perform at no less than
              0.56 of it, and then not any more, the last that performed are
              returned.
            - `keep`: float in (0, 1), the share of the units to keep; `None`
              to keep 95 % of the performance.
            - `initial_keep_probability`: float in (0, 1), 0.9 by default;
              0.9975 at least where gates of the first start do not perform.
            - `num_samples`: positive int, gates that are drawn for each batch,
              or `None` to draw none.
            - `batch_size`: positive int, 128 by default.
            - `steps`: positive int, training steps at each penalty; `None` for
              as many as the gates take to stop closing.
            - `learning_rate`: positive float, 0.03 by default.
            - `seed`: int, not negative, or `None`; 0 by default.
            - `callbacks`: Keras callbacks for the training of the gates.

    Returns:
        `NeuronSelection`. Its `scores` are the mean magnitudes; with "bayesian"
        it has also the neurons that are surely `off`. Its provenance has
        `method` and its settings, `label`, `examples` (how many are of the
        class, or have a position of it; with `against` also
        `examples_against`), `model` (its name) and `model_fingerprint`.

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
    known = _SETTINGS_OF_A_CLASS.get(method, (*(_needed.__kwdefaults__ or ()),))
    for name in settings:
        if name not in known:
            raise TypeError(
                f"`{name}` is not for `method`={method!r}, which has {known}."
            )
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
    outputs=None,
    percentile=70.0,
    against=None,
    t_high=0.55,
    t_low=1e-5,
    tau=0.8,
    verbose,
):
    """Returns the neurons that a class activates."""
    if against not in (None, "rest"):
        raise ValueError(f"`against` must be 'rest' or None, got {against!r}.")
    read = _of_class(model, data, label, outputs, bool(against), verbose)
    found = statistics.statistics_of(model, read, 2, layers)
    examples, others = (int(count) for count in found.counts)
    if method == "bayesian" and examples < 2:
        raise ValueError(
            f"`data` has one example of class {label}; `method`='bayesian' "
            "needs two or more."
        )
    if against:
        chosen = rules.contrast_neurons(found, 0, 1, percentile=percentile)
    elif method == "threshold":
        chosen = rules.threshold_neurons(found, 0, percentile=percentile)
    else:
        chosen = rules.bayesian_neurons(
            found, 0, t_high=t_high, t_low=t_low, tau=tau
        )
    provenance = {
        **chosen.provenance,
        "label": label,
        "examples": examples,
        **({"examples_against": others} if against else {}),
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
    outputs=None,
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
        outputs=outputs,
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


def _of_class(model, data, label, output, with_rest, verbose):
    """Yields inputs with 0 for the class and 1 for the rest.

    Examples that have neither are left out, and so is the rest if it is not
    asked for.
    """
    seen, rest = set(), 1 if with_rest else class_positions.NONE
    given = None
    read = batches.read("data", data, with_weights=True, model=model)
    for inputs, targets, *weights in progress.shown(
        read, "batch", verbose=verbose
    ):
        if given is None:
            output = _named_output(model, output, targets)
            given = class_positions.Labels(model, output)
        labels = given.numbers("labels", _labels_of(targets, output, model))
        if weights and weights[0] is not None:
            is_out = _weighs_nothing(weights[0], output, model, labels)
            labels = np.where(is_out, class_positions.NONE, labels)
        seen |= {*np.unique(labels).tolist()}
        numbers = np.where(labels == label, 0, rest)
        numbers[labels == class_positions.NONE] = class_positions.NONE
        positions = tuple(range(1, numbers.ndim))
        (rows,) = np.nonzero((numbers >= 0).any(axis=positions))
        if rows.size:
            yield batches.take(inputs, rows), numbers[rows]
    seen.discard(class_positions.NONE)
    if label not in seen:
        raise ValueError(
            f"No example in `data` is of class {label}; there are "
            f"{sorted(seen)}."
        )
    if with_rest and len(seen) < 2:
        raise ValueError(
            f"`data` has no example of another class than {label}, which "
            "`against`='rest' needs."
        )


def _named_output(model, output, targets):
    """Returns the name of the output that labels are for, `None` for one."""
    if output is not None and not isinstance(output, str):
        raise ValueError(
            f"`outputs` must be the name of one output, got {output!r}."
        )
    is_several = isinstance(targets, (list, tuple, dict))
    if output is None and not is_several:
        return None
    names = task_outputs.names_of(model)
    if output is None:
        raise ValueError(
            f"`data` has labels for several outputs, {[*names]}: say with "
            "`outputs` which of them have the classes."
        )
    if output not in names:
        raise ValueError(
            f"`outputs` must be one of {[*names]}, the outputs of "
            f"{model.name!r}, got {output!r}."
        )
    return output


def _weighs_nothing(weights, output, model, labels):
    """Returns which labels have the weight 0, to broadcast with them."""
    weights = np.asarray(_labels_of(weights, output, model))
    weights = scoring.without_column(weights, labels.ndim)
    if weights.ndim > labels.ndim:
        raise ValueError(
            f"`data` has sample weights of shape {weights.shape} for labels of "
            f"shape {labels.shape}: give one for each label, or for each "
            "example."
        )
    extra = [1] * (labels.ndim - weights.ndim)
    return weights.reshape(*weights.shape, *extra) == 0


def _labels_of(targets, output, model):
    """Returns the labels of one output."""
    if not isinstance(targets, (list, tuple, dict)):
        return targets
    names = task_outputs.names_of(model)
    asked = task_outputs.Task(names, (output,), {})
    return asked.labels("data", targets)[output]

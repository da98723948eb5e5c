"""Calls a Keras model with other values in place of its weights."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from modularity_tf.network import keras_private, model_weights


class FunctionalCall:
    """A model as a function of its weights: `outputs = f(values, inputs)`.

    Gradients reach the values; the model's own weights are neither read in
    their place nor written. The model runs in inference mode. What else a call
    updates is updated, as in a plain call: a layer that draws random numbers
    in inference, too, draws new ones in every call.

    Args:
        model: Built `keras.Model`.
        learns: Bool. Whether a gradient must reach the values: a way through
            `stop_gradient` does not count.

    Raises:
        ValueError: If `model` is not a built Keras model.
    """

    def __init__(self, model: keras.Model, *, learns: bool = False) -> None:
        self._ends = ("StopGradient",) if learns else ()
        weights = model_weights.model_weights(model)
        self.variables = {p: weight.variable for p, weight in weights.items()}
        self._model = model
        self._known = frozenset(id(variable) for variable in model.variables)
        self._weights = frozenset(id(variable) for variable in model.weights)
        self._moving = frozenset(
            id(variable)
            for layer in keras_private.all_layers(model)
            if isinstance(layer, keras.layers.BatchNormalization)
            and layer.built
            for variable in (layer.moving_mean, layer.moving_variance)
        )

    def kept(
        self, flags: Mapping[str, np.ndarray | tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        """Returns the model's weights with 0 in place of those removed.

        Args:
            flags: Dict from weight path to booleans, True for what stays.
        """
        return {
            path: ops.where(stays, self.variables[path].value, 0)
            for path, stays in flags.items()
        }

    def __call__(self, values: Mapping[str, tf.Tensor], inputs: Any) -> Any:
        """Calls the model.

        Args:
            values: Dict from weight path to tensor; weights left out keep
                their own values.
            inputs: What the model takes.

        Returns:
            What the model returns.

        Raises:
            ValueError: If the model makes further weights in this call, or
                updates a weight; in a `tf.function` also if there is a value
                that no output depends on.
        """
        is_graph = not tf.executing_eagerly()
        if is_graph:  # tensors of this call alone, to be found in its graph
            values = {p: tf.identity(value) for p, value in values.items()}
        outputs, is_anew = self._call(values, inputs)
        if is_anew:
            # The generator of unseeded draws was made in this call, so that
            # its seed would be a constant of the graph.
            outputs, _ = self._call(values, inputs)
        if is_graph:
            self._check_noticed(values, outputs)
        return outputs

    def call_parts(
        self, values: Sequence[Mapping[str, tf.Tensor]], parts: Sequence[Any]
    ) -> Any:
        """Calls the model on each part of a batch with values of its own.

        Args:
            values: List of dicts as above.
            parts: List of inputs, as many.

        Returns:
            What the model returns for the whole batch, Keras masks included.

        Raises:
            ValueError: Also for outputs without a batch axis.
        """
        call = self._call_with_keras_masks
        if not tf.executing_eagerly():  # traces the model once, not K times
            call = tf.function(call, autograph=False)
        results = [call(*both) for both in zip(values, parts, strict=True)]
        outputs, keras_masks = keras.tree.map_structure(_join, *results)
        keras.tree.map_structure(_set_keras_mask, outputs, keras_masks)
        return outputs

    def _call(self, values, inputs):
        """Returns the outputs, and whether the call made a seed generator."""
        mapping = [(self.variables[p], value) for p, value in values.items()]
        with _RecordingScope(state_mapping=mapping) as scope:
            outputs = self._model(inputs, training=False)
        late = [v.path for v in self._model.variables if not self._knows(v)]
        if late:
            raise _error(
                f"{self._model.name!r} made the weights {late} only now, too "
                "late to mask them. Call it once with `training=False` first."
            )
        updated = [v for v in scope.updated if id(v) not in self._moving]
        lost = [v.path for v in updated if id(v) in self._weights]
        if lost:
            raise _error(
                f"{self._model.name!r} updates its weights {lost} in "
                "inference, too, and a mask would be trained as if it did "
                "not: update them with `training=True` alone."
            )
        for variable in updated:  # out of the scope, which would swallow it
            variable.assign(scope.get_current_value(variable))
        return outputs, scope.has_made_one

    def _check_noticed(self, values, outputs):
        """Raises `ValueError` if no output depends on some of the values."""
        left = {value.op.name: path for path, value in values.items()}
        stack = [
            tensor.op
            for tensor in tf.nest.flatten(outputs, expand_composites=True)
            if tf.is_tensor(tensor) and hasattr(tensor, "op")
        ]
        seen = {op.name for op in stack}
        while stack and left:
            op = stack.pop()
            left.pop(op.name, None)
            for tensor in () if op.type in self._ends else op.inputs:
                if tensor.op.name not in seen:
                    seen.add(tensor.op.name)
                    stack.append(tensor.op)
        if left:
            raise _error(
                f"No output of {self._model.name!r} depends on its weights "
                f"{[*left.values()]}, so a mask over them would do nothing: "
                "their layer computes with a copy of them, is not called in "
                "inference, or stands before a `stop_gradient`. Leave it out "
                "with `layers`."
            )

    def _call_with_keras_masks(self, values, inputs):
        """Returns also the Keras masks, which a `tf.function` would lose."""
        with tf.GradientTape() as tape:
            outputs = self(values, inputs)
        self._warn_of_untracked(tape.watched_variables())
        return outputs, keras.tree.map_structure(
            keras_private.get_keras_mask, outputs
        )

    def _warn_of_untracked(self, used):
        known = {
            id(local)
            for variable in self._model.variables
            for local in _on_each_device(variable.value)
        }
        names = [
            variable.name for variable in used if id(variable) not in known
        ]
        if names:
            warnings.warn(
                f"{self._model.name!r} uses weights that it does not track, so "
                f"they have no mask: {names}. Make them with `add_weight`.",
                stacklevel=2,
            )

    def _knows(self, variable):
        return id(variable) in self._known


def _on_each_device(value):
    """Returns a variable, and its copies where a strategy made it."""
    is_copied = isinstance(value, tf.distribute.DistributedValues)
    return (value, *value.values) if is_copied else (value,)


def _error(message):
    return keras_private.told_as_it_is(ValueError(message))


class _RecordingScope(keras.StatelessScope):
    """Keeps which variables are updated in it.

    Attributes:
        updated: List of Keras variables.
        has_made_one: Bool, whether one of them was made in it.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.updated, self._made = [], []

    @property
    def has_made_one(self):
        return any(map(keras_private.is_initialized, self._made))

    def add_update(self, update):
        variable, _ = update
        if all(variable is not other for other in self.updated):
            self.updated.append(variable)
            if not keras_private.is_initialized(variable):
                self._made.append(variable)
        super().add_update(update)


def _join(*parts):
    if parts[0] is None:
        return None
    if not parts[0].shape.rank:
        raise ValueError(
            "Each output of the model must have the batch as its first axis, "
            "got a scalar."
        )
    return ops.concatenate(parts, axis=0)


def _set_keras_mask(output, keras_mask):
    if keras_mask is not None:
        keras_private.set_keras_mask(output, keras_mask)

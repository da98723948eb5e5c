"""Calls a Keras model with other values in place of its weights."""

import warnings

import keras
import tensorflow as tf
from keras import ops

from modularity_tf.parts import keras_private
from modularity_tf.parts import weights as model_weights


class FunctionalCall:
    """A model as a function of its weights: `outputs = f(values, inputs)`.

    Gradients reach the values; the model's own weights are neither read in
    their place nor written. The model runs in inference mode.

    Args:
        model: Built `keras.Model`.

    Raises:
        ValueError: If `model` is not a built Keras model.
    """

    def __init__(self, model):
        weights = model_weights.model_weights(model)
        self.variables = {p: weight.variable for p, weight in weights.items()}
        self._model = model
        self._known = frozenset(id(variable) for variable in model.variables)

    def __call__(self, values, inputs):
        """Calls the model.

        Args:
            values: Dict from weight path to tensor; weights left out keep
                their own values.
            inputs: What the model takes.

        Returns:
            What the model returns.

        Raises:
            ValueError: If the model makes further weights in this call.
        """
        mapping = [(self.variables[p], value) for p, value in values.items()]
        with keras.StatelessScope(state_mapping=mapping):
            outputs = self._model(inputs, training=False)
        late = [v.path for v in self._model.variables if not self._knows(v)]
        if late:
            raise ValueError(
                f"{self._model.name!r} made the weights {late} only now, too "
                "late to mask them. Call it once with `training=False` first."
            )
        return outputs

    def call_parts(self, values, parts):
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

    def _call_with_keras_masks(self, values, inputs):
        """Returns also the Keras masks, which a `tf.function` would lose."""
        with tf.GradientTape() as tape:
            outputs = self(values, inputs)
        self._warn_of_untracked(tape.watched_variables())
        return outputs, keras.tree.map_structure(
            keras_private.get_keras_mask, outputs
        )

    def _warn_of_untracked(self, used):
        if tf.distribute.has_strategy():
            return  # a copy a device, which can't be told from others
        known = {id(variable.value) for variable in self._model.variables}
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

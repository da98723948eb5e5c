"""The layers with units of any model, and what they put out.

A neuron is a unit of a Dense layer or a channel of a convolution; its
activation is the output of its layer, for a channel the mean over space.
"""

import contextlib
import functools

import keras
import tensorflow as tf
from keras import ops

from modularity_tf.parts import keras_private
from modularity_tf.parts import weights as model_weights


def neuron_layers(model, layers=None):
    """Returns the Conv and Dense layers of a model, keyed by path.

    `Conv1D` to `Conv3D` and `Dense`, and what is derived from them; no
    depthwise, separable or transposed convolutions.

    Args:
        model: Built `keras.Model`.
        layers: Names or paths to choose from them, or `None` for all.

    Returns:
        Dict from path to `keras.layers.Layer`, in the model's order.

    Raises:
        ValueError: If the model is not built, a name is unknown, or a layer
            has its channels first.
    """
    weights = model_weights.model_weights(model)
    if layers is not None:
        weights = model_weights.select_layers(weights, layers)
    path_of = {id(w.variable): path for path, w in weights.items()}
    kinds = (
        keras.layers.Dense,
        keras.layers.Conv1D,
        keras.layers.Conv2D,
        keras.layers.Conv3D,
    )
    found = {}
    for layer in keras_private.all_layers(model):
        kernel = keras_private.kernel(layer)
        if isinstance(layer, kinds) and id(kernel) in path_of:
            if getattr(layer, "data_format", None) == "channels_first":
                raise ValueError(
                    f"The layer {layer.name!r} has its channels first; neurons "
                    "must be on the last axis."
                )
            found[path_of[id(kernel)].rpartition("/")[0]] = layer
    if layers is not None and not found:
        raise ValueError(
            f"`layers`={layers!r} names no Conv or Dense layer of "
            f"{model.name!r}."
        )
    return found


@contextlib.contextmanager
def recorded_calls(layers):
    """Records what layers take and return, while the context lasts.

    Args:
        layers: Iterable of `keras.layers.Layer`.

    Yields:
        List of `(layer, inputs, outputs)`, a tuple a call, in order.
    """
    calls = []

    def record(layer, call, *args, **kwargs):
        outputs = call(*args, **kwargs)
        calls.append((layer, args, outputs))
        return outputs

    changed = []
    try:
        for layer in layers:
            call = layer.call
            wrapped = functools.wraps(call)(
                functools.partial(record, layer, call)
            )
            object.__setattr__(layer, "call", wrapped)
            changed.append(layer)
        yield calls
    finally:
        for layer in changed:
            object.__delattr__(layer, "call")


class ActivationModel(keras.Model):
    """Returns the activations of the neurons of another model.

    In inference mode, without changing the model.

    Args:
        model: Built `keras.Model`: Sequential, functional, nested, or
            subclassed.
        layers: Names or paths of Conv or Dense layers, `None` for all.

    Call arguments:
        inputs: What `model` takes.

    Returns:
        Dict from layer path to the layer's outputs; those of a layer that is
        called several times side by side, as one more axis before the units.

    Raises:
        ValueError: If there is no such layer. When called: if a layer is out
            of reach, never called or called within a loop (as the cell of an
            RNN is), by name.
    """

    def __init__(self, model, layers=None, **kwargs):
        super().__init__(**kwargs)
        self.model = model
        self.neuron_layers = neuron_layers(model, layers)
        if not self.neuron_layers:
            raise ValueError(
                f"{model.name!r} has no Conv or Dense layer to look at."
            )

    def call(self, inputs):
        layers = self.neuron_layers
        with recorded_calls(layers.values()) as calls:
            self.model(inputs, training=False)
        graph = (
            None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
        )
        found = {}
        for path, layer in layers.items():
            outputs = [out for owner, _, out in calls if owner is layer]
            if not outputs or any(
                getattr(out, "graph", None) is not graph
                for out in outputs
                if graph is not None
            ):
                raise ValueError(
                    f"The layer {path!r} of {self.model.name!r} is out of "
                    "reach: it is never called, or within a loop. Leave it "
                    "out with `layers`."
                )
            found[path] = (
                outputs[0] if len(outputs) == 1 else ops.stack(outputs, -2)
            )
        return found


def sample_means(activations):
    """Returns activations with the mean taken over space.

    Args:
        activations: Dict from layer path to tensor `(batch, ..., units)`.

    Returns:
        Dict from layer path to tensor `(batch, units)`.
    """
    return {
        path: ops.mean(values, axis=tuple(range(1, len(values.shape) - 1)))
        if len(values.shape) > 2
        else values
        for path, values in activations.items()
    }

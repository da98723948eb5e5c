"""The layers with units of any model, and what they put out.

A neuron is a unit of a Dense layer or a channel of a convolution; its
activation is the output of its layer, for a channel the mean over space.
"""

import contextlib
import functools

import keras
import tensorflow as tf
from keras import ops

from modularity_tf.parts import keras_private, layer_names
from modularity_tf.parts import weights as model_weights

_KINDS = (
    keras.layers.Dense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
)
# What lies inside of them is a part of how they work, called in a loop say.
_WHOLE = (*_KINDS, keras.layers.RNN, keras.layers.Wrapper)


def choose_layers(model, layers=None, argument="layers"):
    """Returns layers of a model by path: how `layers` is meant everywhere.

    A name or a path means the layer that has it, and a name that several
    layers share all of them, as in `weights.select_layers`. A layer or model
    with Conv or Dense layers inside means those; an RNN or a wrapper, such as
    `TimeDistributed`, stays one layer.

    Args:
        model: Built `keras.Model`.
        layers: Name or path of a layer, or an iterable of such; `None` for
            all Conv and Dense layers.
        argument: Str, the argument that they were given as, for messages.

    Returns:
        Dict from path to `keras.layers.Layer`, in the model's order.

    Raises:
        ValueError: If the model is not built, or a name means no layer.
    """
    model_weights.model_weights(model)  # refuses what is no built model
    known = _paths(model)
    if layers is None:
        return {p: x for p, x in known.items() if _is_neuronal(x)}
    chosen = set()
    for path in layer_names.find(known, layers, argument):
        inside = [
            p
            for p, x in known.items()
            if p.startswith(f"{path}/") and _is_neuronal(x)
        ]
        is_one = isinstance(known[path], _WHOLE) or not inside
        chosen |= {path} if is_one else {*inside}
    return {path: x for path, x in known.items() if path in chosen}


def neuron_layers(model, layers=None):
    """Returns the Conv and Dense layers of a model, keyed by path.

    `Conv1D` to `Conv3D` and `Dense`, and what is derived from them; no
    depthwise, separable or transposed convolutions.

    Args:
        model: Built `keras.Model`.
        layers: Names or paths, as in `choose_layers`, or `None` for all.

    Returns:
        Dict from path to `keras.layers.Layer`, in the model's order.

    Raises:
        ValueError: If the model is not built, a name is unknown or that of
            another kind of layer, or a layer has its channels first.
    """
    found = choose_layers(model, layers)
    for path, layer in found.items():
        if not _is_neuronal(layer):
            raise ValueError(
                f"`layers` names {path!r}, a {type(layer).__name__}; only Conv "
                "and Dense layers have neurons."
            )
        if getattr(layer, "data_format", None) == "channels_first":
            raise ValueError(
                f"The layer {layer.name!r} has its channels first; neurons "
                "must be on the last axis."
            )
    return found


def _is_neuronal(layer):
    """Returns if a layer is a Conv or Dense layer with weights."""
    kernel = keras_private.kernel(layer)
    return isinstance(layer, _KINDS) and kernel is not None


def _paths(model):
    """Returns all layers inside a model, keyed by path, each once."""
    found, seen = {}, set()

    def collect(layer, prefix):
        for name, child in model_weights.named_children(layer):
            if id(child) not in seen:
                seen.add(id(child))
                found[prefix + name] = child
                collect(child, f"{prefix}{name}/")

    collect(model, "")
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


def outputs_in_reach(model, path, layer, calls):
    """Returns what a layer returned in each of its calls, in order.

    Args:
        model: The `keras.Model` that was called, in a graph.
        path: Str, the layer's path, for messages.
        layer: `keras.layers.Layer`.
        calls: What `recorded_calls` yielded.

    Returns:
        List of tensors `(batch, ..., units)`, at least one.

    Raises:
        ValueError: If the layer was never called, or not in the graph of the
            model, or returned something else.
    """
    outputs = [out for owner, _, out in calls if owner is layer]
    graph = tf.compat.v1.get_default_graph()
    problem = None
    if not outputs:
        problem = "it is never called"
    elif not all(tf.is_tensor(out) and len(out.shape) > 1 for out in outputs):
        problem = "it returns no single tensor (batch, ..., units)"
    elif any(out.graph is not graph for out in outputs):
        problem = (
            "it is called within a loop, as the cell of an RNN is, or within "
            "a function of its own"
        )
    if problem:
        raise ValueError(
            f"The layer {path!r} of {model.name!r} is out of reach: {problem}. "
            "Leave it out with `layers`."
        )
    return outputs


class ActivationModel(keras.Model):
    """Returns the activations of the neurons of another model.

    In inference mode, without changing the model.

    Args:
        model: Built `keras.Model`: Sequential, functional, nested, or
            subclassed.
        layers: Names or paths of Conv or Dense layers, as in
            `choose_layers`; `None` for all.

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
        self._in_graph = tf.function(
            self._activations, autograph=False, reduce_retracing=True
        )

    def call(self, inputs):
        # Always in a graph: run eagerly, a loop's steps would look like calls.
        return self._in_graph(inputs)

    def _activations(self, inputs):
        with recorded_calls(self.neuron_layers.values()) as calls:
            self.model(inputs, training=False)
        found = {}
        for path, layer in self.neuron_layers.items():
            outputs = outputs_in_reach(self.model, path, layer, calls)
            shapes = [tuple(out.shape) for out in outputs]
            if len({*shapes}) > 1:
                raise ValueError(
                    f"The layer {path!r} of {self.model.name!r} is called on "
                    f"inputs of several shapes and returns {shapes}. Leave it "
                    "out with `layers`."
                )
            found[path] = (
                outputs[0] if len(outputs) == 1 else ops.stack(outputs, -2)
            )
        return found


def unit_means(calls):
    """Returns the activation of each unit: a mean over positions and calls.

    Args:
        calls: List of tensors `(batch, ..., units)`, what the calls of one
            layer returned.

    Returns:
        Tensor `(batch, units)`.
    """
    means = [tf.reduce_mean(x, list(range(1, len(x.shape) - 1))) for x in calls]
    return tf.add_n(means) / len(calls)

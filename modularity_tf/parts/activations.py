"""The layers with units of any model, and what they put out.

A neuron is a unit of a Dense layer or a channel of a convolution. It puts out
what its layer does or, where that is linear, what the activation after it does:
`Dense(9, "relu")` and `Dense(9)`, then `ReLU()`, have the same neurons.
"""

import contextlib
import functools
import typing
import warnings

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
# The same for layers whose own parts are no layers to speak of.
_COMPOSED = (
    keras.layers.RNN,
    keras.layers.Wrapper,
    keras.layers.MultiHeadAttention,
    keras.layers.GroupQueryAttention,
)
_ACTIVATIONS = (
    keras.layers.Activation,
    keras.layers.ELU,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ReLU,
    keras.layers.Softmax,
)
# What may lie between a layer and its activation: a unit stays the same index
# of the last axis. In inference, Dropout and the like do nothing at all.
_BETWEEN = (
    keras.layers.AveragePooling1D,
    keras.layers.AveragePooling2D,
    keras.layers.AveragePooling3D,
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.MaxPooling1D,
    keras.layers.MaxPooling2D,
    keras.layers.MaxPooling3D,
    keras.layers.RMSNormalization,
    keras.layers.Rescaling,
)
_ACTIVATION_OPS = (
    "Elu",
    "LeakyRelu",
    "LogSoftmax",
    "Relu",
    "Relu6",
    "Selu",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "Tanh",
)
_SAME_OPS = ("Cast", "Identity")
# Operations of TensorFlow through which a unit stays where it is.
UNITWISE_OPS = (*_ACTIVATION_OPS, *_SAME_OPS)


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
        layers: Names or paths, as in `choose_layers`, or `None` for all. An
            activation layer means the Conv or Dense layers that it activates.

    Returns:
        Dict from path to `keras.layers.Layer`, in the model's order.

    Raises:
        ValueError: If the model is not built, a name is unknown or that of
            another kind of layer, or a layer has its channels first.
    """
    found = choose_layers(model, layers)
    if any(isinstance(x, _ACTIVATIONS) for x in found.values()):
        found = _with_activated(model, found)
    for path, layer in found.items():
        if not _is_neuronal(layer):
            raise ValueError(
                f"`layers` names {path!r}, a {type(layer).__name__}; only "
                "Conv1D to Conv3D and Dense layers have neurons (an activation "
                "layer means the one whose output goes to it alone)."
            )
        if getattr(layer, "data_format", None) == "channels_first":
            raise ValueError(
                f"The layer {layer.name!r} has its channels first; neurons "
                "must be on the last axis."
            )
    return found


def kernel_paths(model):
    """Returns the paths of the kernels of Conv and Dense layers.

    Args:
        model: Built `keras.Model`.

    Returns:
        Dict from the path of a layer to that of its kernel, a weight.
    """
    paths = {
        id(weight.variable): path
        for path, weight in model_weights.model_weights(model).items()
    }
    return {
        path: paths[id(keras_private.kernel(layer))]
        for path, layer in neuron_layers(model).items()
    }


def unit_layers(model, layers=None):
    """Returns the paths of layers whose units are looked at.

    Args:
        model: Built `keras.Model`.
        layers: Names or paths of layers of any kind, as in `choose_layers`; an
            activation layer means the Conv or Dense layers that it activates.
            `None` for the Conv and Dense layers but those that return the
            model's outputs.

    Returns:
        List of paths, in the model's order.

    Raises:
        ValueError: If the model is not built, or a name means no layer.
    """
    chosen = choose_layers(model, layers)
    if any(isinstance(x, _ACTIVATIONS) for x in chosen.values()):
        chosen = _with_activated(model, chosen)
    if layers is not None:
        return [*chosen]
    try:
        traced = trace(model)
    except ValueError:  # outputs can't be told from others
        return [*chosen]
    ends, found = {id(x) for x in traced.outputs}, []
    for path, layer in chosen.items():
        own = [out for owner, _, out in traced.calls if owner is layer]
        after = _activated(layer, own, traced.calls, traced.outputs)
        if not any(id(out) in ends for _, out in after):
            found.append(path)
    return found


def _with_activated(model, chosen):
    """Returns layers, with those that they activate for activation layers."""
    traced, activated = trace(model), {}  # id of an activation layer: paths
    for path, layer in choose_layers(model).items():
        own = [out for owner, _, out in traced.calls if owner is layer]
        for by, _ in _activated(layer, own, traced.calls, traced.outputs):
            activated.setdefault(id(by), set()).add(path)
    paths = set()
    for path, layer in chosen.items():
        paths |= activated.get(id(layer), {path})
    return {p: x for p, x in _paths(model).items() if p in paths}


def warn_of_other_units(model, stacklevel=2):
    """Warns of layers whose units `neuron_layers` leaves out, by path.

    Recurrent and attention layers, depthwise, separable and transposed
    convolutions, EinsumDense, and others that have a kernel.

    Args:
        model: Built `keras.Model`.
        stacklevel: Int, as in `warnings.warn`, from the caller's view.
    """
    known, others = _paths(model), {}
    for path, weight in model_weights.model_weights(model).items():
        around = layer_names.around(path)
        if weight.role not in ("kernel", "recurrent_kernel") or not around:
            continue
        if not _is_neuronal(known[around[-1]]):
            whole = [p for p in around if isinstance(known[p], _COMPOSED)]
            owner = (*whole, around[-1])[0]
            others[owner] = type(known[owner]).__name__
    if others:
        named = ", ".join(f"{p!r} ({kind})" for p, kind in others.items())
        warnings.warn(
            f"{model.name!r} has units that are not looked at, in layers other "
            f"than Conv1D to Conv3D and Dense: {named}. Name `layers` to "
            "silence this.",
            stacklevel=stacklevel + 1,
        )


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


class Trace(typing.NamedTuple):
    """What happens in a call of a model, in a graph.

    Attributes:
        specs: `tf.TensorSpec`s in the structure of the model's inputs.
        calls: List of `(layer, inputs, outputs)` of the innermost layers'
            calls, in order, without those in loops.
        outputs: List of the model's outputs.
    """

    specs: typing.Any
    calls: list
    outputs: list


def trace(model):
    """Returns the `Trace` of a model, called once on symbolic inputs.

    A model without `keras.Input` is called on floats of the shapes with which
    it was built.

    Args:
        model: Built `keras.Model`.

    Raises:
        ValueError: If it does not know its inputs, or can't be called on them.
    """
    if getattr(model, "inputs", None):
        inputs = keras_private.input_structure(model)
        return _traced(
            model,
            keras.tree.map_structure(
                lambda x: tf.TensorSpec(x.shape, x.dtype), inputs
            ),
        )
    try:
        shapes = model.get_build_config()["input_shape"]
        specs = keras.tree.map_shape_structure(
            lambda shape: tf.TensorSpec(
                (None, *shape[1:]), keras.config.floatx()
            ),
            shapes,
        )
        return _traced(model, specs)
    except Exception as error:  # whatever the user's code may raise
        raise ValueError(
            f"{model.name!r} can't be followed: it has no `keras.Input`, and "
            "takes no floats of the shape it was built with. Put it into a "
            "functional model: `keras.Model(inputs, model(inputs))`, where "
            f"`inputs` is a `keras.Input`. (It raised: {error})"
        ) from error


def _traced(model, specs):
    inside = keras_private.all_layers(model)
    leaves = [x for x in inside if not keras_private.children(x)]
    kept = []

    @tf.function(autograph=False)
    def call(*inputs):
        arguments = keras.tree.pack_sequence_as(specs, inputs)
        with recorded_calls(leaves) as calls:
            outputs = model(arguments, training=False)
        graph = tf.compat.v1.get_default_graph()
        in_graph = [one for one in calls if _is_in(graph, one[2])]
        outputs = keras.tree.flatten(outputs)
        kept.append(Trace(specs, in_graph, outputs))

    call.get_concrete_function(*keras.tree.flatten(specs))
    return kept[0]


def _is_in(graph, x):
    """Returns if something is a tensor of a graph, not of a loop in it."""
    return tf.is_tensor(x) and getattr(x, "graph", None) is graph


def _activated(layer, outputs, calls, ends):
    """Returns what activates a layer, and to what, for each of its calls.

    Args:
        layer: Conv or Dense layer.
        outputs: List of tensors, what its calls returned.
        calls: What `recorded_calls` yielded, of all activation layers and
            all that may lie between at least.
        ends: List of tensors, the model's outputs.

    Returns:
        List of `(by, activated)`: the activation layer, or the type of the
        operation, and its output. `(None, output)` for all calls where one of
        them has no activation of its own after it.
    """
    own = [(None, out) for out in outputs]
    linear = layer.activation in (None, keras.activations.linear)
    if not own or not linear:
        return own
    graph = outputs[0].graph
    takers = {}  # name of a tensor: layers that take it, and what they return
    for taker, args, out in calls:
        taken = args[0] if args else None
        # Not Dropout, which hands on what it takes.
        if _is_in(graph, taken) and _is_in(graph, out) and out is not taken:
            takers.setdefault(taken.name, []).append((taker, out))
    ends = {x.name for x in ends if _is_in(graph, x)}
    found = [_activation_after(out, takers, ends) for out in outputs]
    return own if None in found else found


def _activation_after(tensor, takers, ends):
    """Returns the next activation and its output, `None` if it is unclear."""
    while tensor.name not in ends:
        users = [op for op in tensor.consumers() if op.type != "Shape"]
        layers = takers.get(tensor.name, [])
        if len(layers) == 1:
            by, out = layers[0]
            keeps = isinstance(by, (*_ACTIVATIONS, *_BETWEEN))
            if not keeps or _goes_elsewhere(tensor, users, out):
                return None
            is_activation = isinstance(by, _ACTIVATIONS)
        elif not layers and len(users) == 1 and users[0].type in UNITWISE_OPS:
            by, out = users[0].type, users[0].outputs[0]
            is_activation = by in _ACTIVATION_OPS
        else:
            return None
        if is_activation:
            return by, out
        tensor = out
    return None


def _goes_elsewhere(tensor, users, out):
    """Returns if one of a tensor's users has no part in making `out`."""
    makers, to_do = set(), [out.op]
    while to_do:
        op = to_do.pop()
        if op.name not in makers:
            makers.add(op.name)
            to_do += [x.op for x in op.inputs if x.name != tensor.name]
    return any(op.name not in makers for op in users)


class ActivationModel(keras.Model):
    """Returns the activations of the neurons of another model.

    In inference mode, without changing the model.

    A linear layer puts out what the next activation layer makes of it
    (`Activation`, `ReLU`, `Softmax` and the like), through normalization,
    Dropout and pooling: with Conv, BatchNormalization, ReLU it is what the ReLU
    returns. A bare operation in a `call` counts like a layer where it is a
    single one of TensorFlow: relu, tanh, sigmoid, elu, softmax, but not gelu or
    silu. The layer's own output counts where it also goes elsewhere, is one of
    the model's outputs, or is added to a residual branch first.

    Args:
        model: Built `keras.Model`: Sequential, functional, nested, or
            subclassed.
        layers: Names or paths of Conv or Dense layers, or of the activation
            layers after them, as in `neuron_layers`; `None` for all.

    Call arguments:
        inputs: What `model` takes.

    Returns:
        Dict from the path of the Conv or Dense layer to activations; those of
        a layer that is called several times side by side, as one more axis
        before the units.

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
        in_graph = not tf.executing_eagerly()
        return (self._activations if in_graph else self._in_graph)(inputs)

    @tf.autograph.experimental.do_not_convert
    def _activations(self, inputs):
        _, by_layer = activations_in_graph(
            self.model, self.neuron_layers, inputs
        )
        found = {}
        for path, outputs in by_layer.items():
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


def activations_in_graph(model, layers, inputs, after=True):
    """Calls a model in a graph, and returns what layers put out.

    Args:
        model: Built `keras.Model`, called in inference mode.
        layers: Dict from path to `keras.layers.Layer`.
        inputs: What the model takes.
        after: Bool. Of a linear Conv or Dense layer what the activation after
            it makes of its output, as in `ActivationModel`; else all layers'
            own outputs.

    Returns:
        What the model returns, and a dict from path to a list of tensors, one
        a call of the layer.

    Raises:
        ValueError: If a layer is out of reach.
    """
    between = [
        layer
        for layer in keras_private.all_layers(model)
        if after and isinstance(layer, (*_ACTIVATIONS, *_BETWEEN))
    ]
    watched = {id(x): x for x in (*layers.values(), *between)}
    with recorded_calls(watched.values()) as calls:
        outputs = model(inputs, training=False)
    ends, found = keras.tree.flatten(outputs), {}
    for path, layer in layers.items():
        own = outputs_in_reach(model, path, layer, calls)
        if after and _is_neuronal(layer):
            own = [out for _, out in _activated(layer, own, calls, ends)]
        found[path] = own
    return outputs, found


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

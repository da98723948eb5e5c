"""The layers with units of any model, and what they put out.

A neuron is a unit of a Dense layer or a channel of a convolution. It puts out
what its layer does or, where that is linear, what the activation after it does:
`Dense(9, "relu")` and `Dense(9)`, then `ReLU()`, have the same neurons.
"""

import contextlib
import functools
import threading
import typing
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from modularity_tf.network import (
    keras_private,
    layer_kinds,
    layer_names,
    model_weights,
)

Names = str | Iterable[str] | None  # of layers
_RECORDING = threading.RLock()  # a layer's call is wrapped by one thread


def choose_layers(
    model: keras.Model, layers: Names = None, argument: str = "layers"
) -> dict[str, keras.layers.Layer]:
    """Returns layers of a model by path: how `layers` is meant everywhere.

    A name or a path means the layer that has it, and a name that several
    layers share means all of them. A layer or model with Conv or Dense layers
    inside means those; an RNN or a wrapper, such as `TimeDistributed`, stays
    one layer.

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
    known = layers_of(model)
    if layers is None:
        return {p: x for p, x in known.items() if is_neuronal(x)}
    chosen = set()
    for path in layer_names.find(known, layers, argument):
        inside = [
            p
            for p, x in known.items()
            if p.startswith(f"{path}/") and is_neuronal(x)
        ]
        is_one = isinstance(known[path], layer_kinds.WHOLE) or not inside
        chosen |= {path} if is_one else {*inside}
    return {path: x for path, x in known.items() if path in chosen}


def neuron_layers(
    model: keras.Model, layers: Names = None, *, outputs: bool = False
) -> dict[str, keras.layers.Layer]:
    """Returns layers with neurons, keyed by path.

    `Conv1D` to `Conv3D` and `Dense`, and what is derived from them. Where they
    are named, also separable and transposed convolutions, LSTM, GRU and
    SimpleRNN layers; no depthwise convolutions, which have no units of their
    own.

    Args:
        model: Built `keras.Model`.
        layers: Names or paths, as in `choose_layers`. An activation layer
            means the Conv or Dense layers that it activates. `None` for all
            Conv and Dense layers but those that return the model's outputs.
        outputs: Bool. Whether `None` means these, too.

    Returns:
        Dict from path to `keras.layers.Layer`, in the model's order.

    Raises:
        ValueError: If the model is not built, a name is unknown or that of
            another kind of layer, or a layer has its channels first.
    """
    found = unit_layers(model, layers, outputs=outputs)
    for path, layer in found.items():
        if not is_neuronal(layer) and not isinstance(
            layer, layer_kinds.WITH_UNITS
        ):
            raise ValueError(
                f"`layers` names {path!r}, a {type(layer).__name__}; only "
                "Dense layers, convolutions (no depthwise ones) and LSTM, GRU "
                "and SimpleRNN layers have neurons (an activation layer means "
                "the one whose output goes to it alone)."
            )
    refuse_channels_first(found)
    return found


def refuse_channels_first(layers: Mapping[str, keras.layers.Layer]) -> None:
    """Raises `ValueError` if a layer says that its units lie on another axis.

    `activations_in_graph` refuses what follows such a layer, too.

    Args:
        layers: Dict from path to `keras.layers.Layer`.
    """
    for path, layer in layers.items():
        rank = getattr(layer.input_spec, "ndim", None)
        if _has_channels_first(layer, rank):
            _refuse_channels_first(path)


def _refuse_channels_first(path):
    raise ValueError(
        f"The layer {path!r} has its channels first; units must be on the last "
        "axis."
    )


def kernel_paths(model: keras.Model) -> dict[str, str]:
    """Returns the paths of the kernels of Conv and Dense layers.

    Args:
        model: Built `keras.Model`.

    Returns:
        Dict from the path of a layer to that of its kernel, a weight; without
        layers whose kernel is quantized, and no weight.
    """
    paths = {
        id(weight.variable): path
        for path, weight in model_weights.model_weights(model).items()
    }
    kernels = {
        path: id(keras_private.kernel(layer))
        for path, layer in choose_layers(model).items()
    }
    return {path: paths[k] for path, k in kernels.items() if k in paths}


def unit_layers(
    model: keras.Model, layers: Names = None, *, outputs: bool = False
) -> dict[str, keras.layers.Layer]:
    """Returns the layers whose units are looked at, keyed by path.

    Args:
        model: Built `keras.Model`.
        layers: Names or paths of layers of any kind, as in `choose_layers`; an
            activation layer means the Conv or Dense layers that it activates.
            `None` for the Conv and Dense layers but those that return the
            model's outputs.
        outputs: Bool. Whether `None` means these, too.

    Returns:
        Dict from path to `keras.layers.Layer`, in the model's order.

    Raises:
        ValueError: If the model is not built, or a name means no layer.
    """
    chosen = choose_layers(model, layers)
    if any(isinstance(x, layer_kinds.ACTIVATIONS) for x in chosen.values()):
        chosen = _with_activated(model, chosen)
    if layers is not None or outputs:
        return chosen
    return hidden_layers(model, chosen)


def layers_with_units(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """Returns all layers with units of their own, keyed by path.

    Dense layers, convolutions but depthwise ones, LSTM, GRU and SimpleRNN
    layers; those that return the model's outputs, too.

    Args:
        model: Built `keras.Model`.
    """
    return {
        path: layer
        for path, layer in layers_of(model).items()
        if is_neuronal(layer)
        or isinstance(layer, (*layer_kinds.SEPARABLE, *layer_kinds.TRANSPOSED))
        or layer_kinds.gates(layer)
    }


def incoming_kernels(
    model: keras.Model,
) -> dict[str, list[tuple[str, int]]]:
    """Returns the kernels that lead to the units of each layer.

    Args:
        model: Built `keras.Model`.

    Returns:
        Dict from layer path to a list of pairs: the path of a weight, and its
        axis for units. A recurrent layer has two kernels, with the units of
        one gate behind those of the other. Without layers whose kernel is
        quantized, and no weight.
    """
    paths = {
        id(weight.variable): path
        for path, weight in model_weights.model_weights(model).items()
    }
    found = {}
    for path, layer in layers_with_units(model).items():
        if layer_kinds.gates(layer):
            cell = layer.cell
            kernels = [(cell.kernel, -1), (cell.recurrent_kernel, -1)]
        elif isinstance(layer, layer_kinds.SEPARABLE):
            kernels = [(layer.pointwise_kernel, -1)]
        elif isinstance(layer, layer_kinds.TRANSPOSED):
            kernels = [(layer.kernel, -2)]
        else:
            kernels = [(keras_private.kernel(layer), -1)]
        known = [(paths[id(k)], axis) for k, axis in kernels if id(k) in paths]
        if len(known) == len(kernels):
            found[path] = known
    return found


def hidden_layers(
    model: keras.Model, layers: Mapping[str, keras.layers.Layer]
) -> dict[str, keras.layers.Layer]:
    """Returns those of some layers that do not return the model's outputs.

    All of them where outputs can't be told from others.

    Args:
        model: Built `keras.Model`.
        layers: Dict from path to a layer with an `activation`.
    """
    try:
        traced = trace(model)
    except ValueError:
        return dict(layers)
    ends, found = {id(x) for x in traced.outputs}, {}
    for path, layer in layers.items():
        own = [out for owner, _, out in traced.calls if owner is layer]
        after = _activated(layer, own, traced.calls, traced.outputs)
        if not any(id(out) in ends for _, out in after):
            found[path] = layer
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
    return {p: x for p, x in layers_of(model).items() if p in paths}


def warn_of_other_units(model: keras.Model, stacklevel: int = 2) -> None:
    """Warns of layers whose units `neuron_layers` leaves out, by path.

    Recurrent and attention layers, depthwise, separable and transposed
    convolutions, EinsumDense, and others that have a kernel.

    Args:
        model: Built `keras.Model`.
        stacklevel: Int, as in `warnings.warn`, from the caller's view.
    """
    others = other_units(model)
    if others:
        warnings.warn(
            f"{model.name!r} has units that are not looked at, in layers other "
            f"than Conv1D to Conv3D and Dense: {_told(others)}. Name `layers` "
            "to silence this.",
            stacklevel=stacklevel + 1,
        )


def other_units(model: keras.Model) -> dict[str, str]:
    """Returns the layers whose units `neuron_layers` leaves out.

    Args:
        model: Built `keras.Model`.

    Returns:
        Dict from layer path to the name of its kind.
    """
    weights = model_weights.model_weights(model)  # refuses what is no model
    known, others = layers_of(model), {}
    for path, weight in weights.items():
        around = layer_names.around(path)
        if weight.role not in ("kernel", "recurrent_kernel") or not around:
            continue
        if not is_neuronal(known[around[-1]]):
            whole = [
                p for p in around if isinstance(known[p], layer_kinds.COMPOSED)
            ]
            owner = (*whole, around[-1])[0]
            others[owner] = type(known[owner]).__name__
    return others


def none_to_look_at(model: keras.Model) -> str:
    """Returns that a model has no hidden Conv or Dense layer, as a message.

    Args:
        model: Built `keras.Model`.
    """
    others = _told(other_units(model))
    return (
        f"{model.name!r} has no hidden Conv or Dense layer; name other layers "
        f"with `layers`{f', of {others}' if others else ''}."
    )


def _told(layers):
    return ", ".join(f"{p!r} ({kind})" for p, kind in layers.items())


def is_neuronal(layer: keras.layers.Layer) -> bool:
    """Returns if a layer is a Conv or Dense layer with weights."""
    has_kernel = keras_private.kernel(layer) is not None
    is_quantized = hasattr(layer, "quantized_kernel")  # some keep no other
    return isinstance(layer, layer_kinds.NEURONAL) and (
        has_kernel or is_quantized
    )


def layers_of(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """Returns all layers inside a model, keyed by path, each once.

    Args:
        model: Built `keras.Model`.
    """
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
def recorded_calls(
    layers: Iterable[keras.layers.Layer], keras_masks: list[Any] | None = None
) -> Iterator[list[tuple[Any, ...]]]:
    """Records what layers take and return, while the context lasts.

    Args:
        layers: Iterable of `keras.layers.Layer`.
        keras_masks: List to which the Keras masks of every call are added, a
            tuple of that of its first input and that of its output; `None` in
            it where there is none.

    Yields:
        List of `(layer, inputs, outputs)`, a tuple for each call, in order;
        `inputs` are all arguments but a mask.
    """
    calls, own_thread = [], threading.get_ident()

    def record(layer, call, *args, **kwargs):
        if threading.get_ident() != own_thread:
            return call(*args, **kwargs)
        taken = args[0] if args else next(iter(kwargs.values()), None)
        before = kwargs.get("mask")
        if before is None:  # now: attention takes the mask off its inputs
            before = keras.tree.map_structure(
                keras_private.get_keras_mask, taken
            )
        outputs = call(*args, **kwargs)
        named = (x for name, x in kwargs.items() if name != "mask")
        calls.append((layer, (*args, *named), outputs))
        if keras_masks is not None:
            after = _mask_of_output(layer, taken, outputs, before)
            keras_masks.append((_one_mask(before), after))
        return outputs

    changed = []
    with _RECORDING:
        try:
            for layer in layers:
                # Keras calls the second one of a quantized layer.
                for name in ("call", "quantized_call"):
                    call = getattr(layer, name)
                    wrapped = functools.wraps(call)(
                        functools.partial(record, layer, call)
                    )
                    own = vars(layer).get(name)  # a function of the user
                    object.__setattr__(layer, name, wrapped)
                    changed.append((layer, name, own))
            yield calls
        finally:
            for layer, name, own in reversed(changed):
                if own is None:
                    object.__delattr__(layer, name)
                else:
                    object.__setattr__(layer, name, own)


def _mask_of_output(layer, taken, outputs, before):
    """Returns the mask that Keras hangs on an output after the call."""
    if not tf.is_tensor(outputs):
        return None
    after = keras_private.get_keras_mask(outputs)
    if after is None and layer.supports_masking:
        after = layer.compute_mask(taken, before)
    after = _one_mask(after)
    # Keras leaves the mask as it was where a layer puts out steps backwards.
    is_backwards = getattr(layer, "go_backwards", False)
    if after is not None and is_backwards and layer.return_sequences:
        return tf.reverse(after, [1])
    return after


def _one_mask(masks):
    first = (*keras.tree.flatten(masks), None)[0]
    return first if tf.is_tensor(first) else None


def outputs_in_reach(
    model: keras.Model,
    path: str,
    layer: keras.layers.Layer,
    calls: list[tuple[Any, ...]],
) -> list[tf.Tensor]:
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
            calls, in order, without those in loops. A recurrent layer and a
            wrapper count as one layer.
        inputs: List of the tensors that the model was called on.
        outputs: List of the model's outputs.
        keys: List of the keys of outputs that are a dict, sorted as `outputs`
            are; `None` of others.
    """

    specs: typing.Any
    calls: list
    inputs: list
    outputs: list
    keys: list | None


def trace(model: keras.Model) -> "Trace":
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
    leaves, kept = keras_private.leaves(model), []

    @tf.function(autograph=False)
    def call(*inputs):
        arguments = keras.tree.pack_sequence_as(specs, inputs)
        with recorded_calls(leaves) as calls:
            outputs = model(arguments, training=False)
        graph = tf.compat.v1.get_default_graph()
        in_graph = [one for one in calls if _is_in(graph, one[2])]
        flat = keras.tree.flatten(outputs)
        is_dict = isinstance(outputs, dict) and len(outputs) == len(flat)
        keys = sorted(outputs) if is_dict else None
        kept.append(Trace(specs, in_graph, [*inputs], flat, keys))

    call.get_concrete_function(*keras.tree.flatten(specs))
    return kept[0]


def _is_in(graph, x):
    """Returns if something is a tensor of a graph, not of a loop in it."""
    return isinstance(x, tf.Tensor) and getattr(x, "graph", None) is graph


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
            is_activation = isinstance(by, layer_kinds.ACTIVATIONS)
            keeps = is_activation or layer_kinds.keeps_units(by)
            if not keeps or _goes_elsewhere(tensor, users, out):
                return None
        elif (
            not layers
            and len(users) == 1
            and users[0].type in layer_kinds.UNITWISE_OPS
        ):
            by, out = users[0].type, users[0].outputs[0]
            is_activation = by in layer_kinds.ACTIVATION_OPS
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
            layers after them, as in `neuron_layers`; `None` for the hidden
            ones.
        outputs: Bool. Whether `None` means the output layers, too.

    Call arguments:
        inputs: What `model` takes.

    Returns:
        Dict from the path of the Conv or Dense layer to activations; those of
        a layer that is called several times side by side, as one more axis
        before the units. A Keras mask hangs on them as on the outputs of a
        layer, `(batch, ...)`: it is false at padded positions, and is passed on
        through the activation.

    Raises:
        ValueError: If there is no such layer, or it has its channels first.
            When called: if a layer is out of reach, never called or called
            within a loop (as the cell of an RNN is), by name.
    """

    def __init__(
        self,
        model: keras.Model,
        layers: Names = None,
        *,
        outputs: bool = False,
        **kwargs: Any,
    ):
        # What the model takes stays as it is: a float64 model gets float64.
        super().__init__(**{"autocast": False, **kwargs})
        self.model = model
        self.neuron_layers = neuron_layers(model, layers, outputs=outputs)
        if not self.neuron_layers:
            raise ValueError(none_to_look_at(model))
        self._in_graph = tf.function(
            self._activations, autograph=False, reduce_retracing=True
        )

    def call(self, inputs):
        # Always in a graph: run eagerly, a loop's steps would look like calls.
        if tf.executing_eagerly():
            found, keras_masks = call_in_graph(self._in_graph, inputs)
        else:
            found, keras_masks = self._activations(inputs)
        for path, keras_mask in keras_masks.items():
            if keras_mask is not None:
                keras_private.set_keras_mask(found[path], keras_mask)
        return found

    @tf.autograph.experimental.do_not_convert
    def _activations(self, inputs):
        _, by_layer, masks_of = activations_in_graph(
            self.model, self.neuron_layers, inputs
        )
        found, keras_masks = {}, {}
        for path, outputs in by_layer.items():
            shapes = [tuple(out.shape) for out in outputs]
            if len({*shapes}) > 1:
                raise ValueError(
                    f"The layer {path!r} of {self.model.name!r} is called on "
                    f"inputs of several shapes and returns {shapes}. Leave it "
                    "out with `layers`."
                )
            masks = masks_of[path]
            found[path], keras_masks[path] = outputs[0], masks[0]
            if len(outputs) > 1:
                found[path] = ops.stack(outputs, -2)
                keras_masks[path] = None
                if any(each is not None for each in masks):
                    pairs = zip(outputs, masks, strict=True)
                    keras_masks[path] = ops.stack(
                        [_counted(*pair) for pair in pairs], -1
                    )
        return found, keras_masks


def call_in_graph(compiled: Any, *args: Any) -> Any:
    """Calls a `tf.function`, in a graph whatever was configured.

    `tf.config.run_functions_eagerly`, for debugging, would leave no graph, in
    which alone calls in loops can be told from others.

    Args:
        compiled: A `tf.function`.
        *args: Nested structures of tensors.

    Returns:
        What the function returns.
    """
    if tf.config.functions_run_eagerly():
        compiled = compiled.get_concrete_function(*args)
    return compiled(*args)


def activations_in_graph(
    model: keras.Model,
    layers: Mapping[str, keras.layers.Layer],
    inputs: Any,
    after: bool = True,
) -> tuple[Any, dict[str, list[tf.Tensor]], dict[str, list[Any]]]:
    """Calls a model in a graph, and returns what layers put out.

    Args:
        model: Built `keras.Model`, called in inference mode.
        layers: Dict from path to `keras.layers.Layer`.
        inputs: What the model takes.
        after: Bool. Of a linear Dense layer or convolution what the activation
            after it makes of its output, as in `ActivationModel`; else all
            layers' own outputs.

    Returns:
        What the model returns, a dict from path to a list of tensors, one for
        each call of the layer, and a dict from path to a list of their Keras
        masks, `None` where a call has none.

    Raises:
        ValueError: If a layer is out of reach, or has its channels first.
    """
    inside = keras_private.all_layers(model)
    follows = any(
        _has_channels_first(x)
        or (isinstance(x, layer_kinds.NORMALIZATIONS) and -1 not in _axes(x))
        for x in inside
    )
    between = [
        layer
        for layer in inside
        if (
            after
            and (
                isinstance(layer, layer_kinds.ACTIVATIONS)
                or layer_kinds.keeps_units(layer)
            )
        )
        or (follows and layer is not model)
    ]
    called = as_called(model, layers)
    watched = {id(x): x for x in (*called.values(), *between)}
    keras_masks: list[Any] = []
    with recorded_calls(watched.values(), keras_masks) as calls:
        outputs = model(inputs, training=False)
    ends, found, masks_found = keras.tree.flatten(outputs), {}, {}
    # From the id of a tensor to the first, innermost layer that returned it.
    made: dict[int, tuple[Any, ...]] = {}
    for call, (_, keras_mask) in zip(calls, keras_masks, strict=True):
        made.setdefault(id(call[2]), (*call, keras_mask))
    for path, layer in layers.items():
        own = outputs_in_reach(model, path, called[path], calls)
        if any(_lies_first(out, made) for out in own):
            _refuse_channels_first(path)
        found[path] = own
        if after and isinstance(layer, layer_kinds.WITH_ACTIVATION):
            after_own = _activated(layer, own, calls, ends)
            found[path] = [out for _, out in after_own]
        masks_found[path] = [
            _keras_mask(x, made, called[path]) for x in found[path]
        ]
    return outputs, found, masks_found


def as_called(
    model: keras.Model, layers: Mapping[str, keras.layers.Layer]
) -> dict[str, keras.layers.Layer]:
    """Returns for each layer what calls it: it, or `TimeDistributed` around it.

    That puts out what the layer does at all positions, side by side, and has
    their Keras mask, which the layer inside does not see.

    Args:
        model: `keras.Model`.
        layers: Dict from path to `keras.layers.Layer` inside of it.

    Returns:
        Dict from path to `keras.layers.Layer`.
    """
    around = {
        id(wrapper.layer): wrapper
        for wrapper in keras_private.all_layers(model)
        if isinstance(wrapper, keras.layers.TimeDistributed)
    }
    found = {}
    for path, layer in layers.items():
        while id(layer) in around:
            layer = around[id(layer)]
        found[path] = layer
    return found


def _has_channels_first(layer, rank=None):
    """Returns if a layer's output has its units on another axis than the last.

    Args:
        layer: `keras.layers.Layer`.
        rank: Int, how many axes its output has; `None` if unknown.
    """
    inner = ("layer", "forward_layer", "cell")  # of a wrapper, of an RNN
    for part in (layer, *(getattr(layer, name, None) for name in inner)):
        is_alone = getattr(part, "keepdims", None) is False  # global pooling
        if is_alone or isinstance(part, keras.layers.Flatten):
            continue
        if getattr(part, "data_format", None) == "channels_first":
            return True
        axes = (
            _axes(part) if isinstance(part, layer_kinds.NORMALIZATIONS) else []
        )
        if rank and axes and all(axis % rank != rank - 1 for axis in axes):
            return True
    return False


def _axes(normalization):
    return keras.tree.flatten(normalization.axis)


def _lies_first(tensor, made):
    """Returns if a tensor's channels are first, as its makers say.

    Args:
        tensor: Tensor of a graph.
        made: Dict from id of a tensor to `(layer, inputs, output, mask)`, of
            all layers if one has its channels first.
    """
    to_do, seen = [tensor], set()
    while to_do:
        tensor = to_do.pop()
        rank = tensor.shape.rank
        if id(tensor) in seen or rank is None or rank < 3:
            continue
        seen.add(id(tensor))
        layer, inputs, *_ = made.get(id(tensor), (None, ()))
        taken = [x for x in keras.tree.flatten(inputs) if tf.is_tensor(x)]
        if layer is None or any(x is tensor for x in taken):  # Dropout, say
            if tensor.op.type in layer_kinds.ONE_BY_ONE_OPS:
                to_do += tensor.op.inputs
            continue
        if _has_channels_first(layer, rank):
            return True
        mixes = isinstance(
            layer,
            (*layer_kinds.MIXING, *layer_kinds.WHOLE, *layer_kinds.COMPOSED),
        ) and not layer_kinds.keeps_units(layer)  # as some Permute do
        if not mixes and not hasattr(layer, "data_format"):
            to_do += taken
    return False


def _keras_mask(tensor, made, layer):
    """Returns the Keras mask of what a layer or its activation put out.

    As Keras hands it on, and on through bare operations, which lose it.
    """
    while True:
        if id(tensor) in made:
            maker, inputs, _, keras_mask = made[id(tensor)]
            keeps = maker is not layer and maker.supports_masking
            if keras_mask is not None or not keeps:
                return keras_mask
            tensor = inputs[0]
        elif tensor.op.type in layer_kinds.UNITWISE_OPS:
            tensor = tensor.op.inputs[0]
        else:
            return None


def overflow(layer: keras.layers.Layer) -> str:
    """Returns what is likely where a layer gives NaN, as the end of a message.

    Args:
        layer: `keras.layers.Layer` or model.
    """
    inside = keras_private.all_layers(layer)
    if all(x.compute_dtype != "float16" for x in inside):
        return ""
    return (
        ": they overflow in float16, whose largest number is 65504; use "
        "mixed_bfloat16 or float32"
    )


def in_float(x: tf.Tensor) -> tf.Tensor:
    """Returns a tensor of float32 at least: float16 can't be summed up."""
    return x if x.dtype in (tf.float32, tf.float64) else tf.cast(x, tf.float32)


def with_mask_in_float(x: tf.Tensor) -> tf.Tensor:
    """Returns `in_float(x)` with the Keras mask of x."""
    wide, keras_mask = in_float(x), keras_private.get_keras_mask(x)
    if keras_mask is not None and wide is not x:
        keras_private.set_keras_mask(wide, keras_mask)
    return wide


def unit_sums(
    calls: Sequence[tf.Tensor], keras_masks: Sequence[Any]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns sums over positions and calls, and how many positions count.

    Positions that a Keras mask hides do not.

    Args:
        calls: List of tensors `(batch, ..., units)`, what the calls of one
            layer returned.
        keras_masks: List of their Keras masks, or `None`, one for each call.

    Returns:
        Tensors `(batch, units)` and `(batch, 1)`, of float32 at least.
    """
    sums, counts = [], []
    for x, keras_mask in zip(calls, keras_masks, strict=True):
        x, positions = in_float(x), [*range(1, x.shape.rank - 1)]
        if keras_mask is not None:
            counted = _counted(x, keras_mask)[..., None]
            x = tf.where(counted, x, tf.zeros_like(x))  # not 0 * NaN
            count = tf.reduce_sum(tf.cast(counted, x.dtype), positions)
        else:
            count = tf.cast(tf.reduce_prod(tf.shape(x)[1:-1]), x.dtype)
            count = tf.fill((tf.shape(x)[0], 1), count)
        sums.append(tf.reduce_sum(x, positions) if positions else x)
        counts.append(count)
    return tf.add_n(sums), tf.add_n(counts)


def _counted(x, keras_mask):
    """Returns which positions count, a bool tensor `(batch, ...)`."""
    shape = tf.shape(x)[:-1]
    if keras_mask is None:
        return tf.ones(shape, tf.bool)
    keras_mask = tf.cast(keras_mask, tf.bool)
    for _ in range(x.shape.rank - 1 - keras_mask.shape.rank):
        keras_mask = keras_mask[..., None]
    return tf.broadcast_to(keras_mask, shape)


def unit_means(
    calls: Sequence[tf.Tensor], keras_masks: Sequence[Any]
) -> tf.Tensor:
    """Returns the activation of each unit: a mean over positions and calls.

    Positions that a Keras mask hides do not count; the mean of none is 0.

    Args:
        calls: As in `unit_sums`.
        keras_masks: As in `unit_sums`.

    Returns:
        Tensor `(batch, units)`, of float32 at least.
    """
    return tf.math.divide_no_nan(*unit_sums(calls, keras_masks))

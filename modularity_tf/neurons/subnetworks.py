"""Subnetworks of chosen neurons: plain Keras models with changed weights.

References:
    - Elbastawisy and Afrin, 2025, "Exploring Modularity of Neural Networks
      through Neuron Subselection", sections 4 and 5.2
"""

import collections

import keras
import numpy as np
import tensorflow as tf

from modularity_tf.masking.weight_mask import WeightMask
from modularity_tf.neurons.selection import NeuronMask, NeuronSelection
from modularity_tf.parts import activations, keras_private
from modularity_tf.parts import weights as model_weights

# Layers through which a unit stays the same index of the last axis.
_UNITWISE = (
    keras.layers.Activation,
    keras.layers.AveragePooling1D,
    keras.layers.AveragePooling2D,
    keras.layers.BatchNormalization,
    keras.layers.Dropout,
    keras.layers.ELU,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling1D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.LeakyReLU,
    keras.layers.MaxPooling1D,
    keras.layers.MaxPooling2D,
    keras.layers.PReLU,
    keras.layers.ReLU,
    keras.layers.Rescaling,
    keras.layers.Softmax,
    keras.layers.SpatialDropout2D,
    keras.layers.UpSampling2D,
    keras.layers.ZeroPadding2D,
)


def build_subnetwork(model, selection):
    """Returns the subnetwork of a selection of neurons.

    - For a `NeuronSelection` (thresholding): the neurons in it stay as they
      are, the others of its layers are off.
    - For a `NeuronMask` (masking): neurons forced on have weights 0 and bias
      1, those forced off weights 0 and bias 0; the others stay.

    A neuron that is off puts out act(0), one that is on act(1): 0 and 1 with
    ReLU. The output layer stays as it is.

    Args:
        model: Built `keras.Model`. It is not changed.
        selection: `NeuronSelection` or `NeuronMask`.

    Returns:
        A plain Keras model, not compiled.

    Raises:
        ValueError: If the selection does not fit, the model can't be cloned,
            or a neuron is to be forced on in a layer without bias.

    References:
        - Elbastawisy and Afrin, 2025, sections 4.1 and 4.2
    """
    _check_kind(selection, NeuronSelection, NeuronMask)
    if isinstance(selection, NeuronMask):
        on, off = selection.on, selection.off
    else:
        off = ~selection
        on = NeuronSelection(
            {path: np.zeros_like(v) for path, v in off.values.items()}
        )
    on.check_fits(model)
    off.check_fits(model)
    clone, layers = _clone(model)
    stays = output_layers(model)
    for path, forced_on in on.values.items():
        if path in stays:
            continue
        layer, forced = layers[path], forced_on | off.values[path]
        kernel = layer.kernel.numpy()
        kernel[..., forced] = 0.0
        layer.kernel.assign(kernel)
        if layer.use_bias:
            bias = layer.bias.numpy()
            layer.bias.assign(
                np.where(forced, forced_on.astype(bias.dtype), bias)
            )
        elif forced_on.any():
            raise ValueError(
                f"The layer {path!r} has no bias, so its neurons can't be "
                "forced on."
            )
    return clone


def ablate(model, selection, incoming=False):
    """Returns the model without what the selected neurons pass on.

    Their outgoing weights and their own biases are set to zero, as in the
    text. What a neuron passes on reaches the next Dense or Conv layers,
    through activations, pooling, BatchNormalization, Dropout and Flatten.
    The output layer's neurons stay.

    Args:
        model: Built `keras.Model`. It is not changed.
        selection: `NeuronSelection` of the neurons to remove.
        incoming: Bool. Zero the incoming weights (and biases) instead, as the
            authors' code does: works in any architecture.

    Returns:
        A plain Keras model, not compiled.

    Raises:
        ValueError: If the selection does not fit, the model can't be cloned,
            or a neuron's way can't be followed, by the name of its layer.

    References:
        - Elbastawisy and Afrin, 2025, section 5.2
    """
    _check_kind(selection, NeuronSelection)
    selection.check_fits(model)
    clone, layers = _clone(model)
    links, stays = _links(model)
    removed = {
        path: flags
        for path, flags in selection.values.items()
        if path not in stays and flags.any()
    }
    for path, flags in removed.items():
        layer = layers[path]
        if incoming:
            kernel = layer.kernel.numpy()
            kernel[..., flags] = 0.0
            layer.kernel.assign(kernel)
        if layer.use_bias:
            layer.bias.assign(np.where(flags, 0.0, layer.bias.numpy()))
    if not incoming:
        for source, target, rows in links:
            if source in removed:
                kernel = layers[target].kernel.numpy()
                kernel[..., removed[source][rows], :] = 0.0
                layers[target].kernel.assign(kernel)
        _check_nothing_passes(clone, layers, removed)
    return clone


def weights_of(model, selection, incoming=True, outgoing=True):
    """Returns the weights that lead to neurons and those that lead from them.

    Args:
        model: Built `keras.Model`.
        selection: `NeuronSelection`.
        incoming: Bool. The kernel entries of the neurons.
        outgoing: Bool. Those of the next layers that weigh them, as in
            `ablate`; the output layer's neurons have none.

    Returns:
        `WeightMask` over the kernels of all Conv and Dense layers.

    Raises:
        ValueError: If the selection does not fit, or a neuron's way can't be
            followed, by the name of its layer.
    """
    _check_kind(selection, NeuronSelection)
    selection.check_fits(model)
    layers = activations.neuron_layers(model)
    values = {
        path: np.zeros(keras_private.kernel(layer).shape, bool)
        for path, layer in layers.items()
    }
    if incoming:
        for path, flags in selection.values.items():
            values[path][..., flags] = True
    if outgoing:
        ablate(model, selection)  # refuses what can't be followed
        for source, target, rows in _links(model)[0]:
            if source in selection.values:
                values[target][..., selection.values[source][rows], :] = True
    kernels = {
        id(weight.variable): path
        for path, weight in model_weights.model_weights(model).items()
    }
    provenance = {
        "neurons": selection.provenance,
        "incoming": incoming,
        "outgoing": outgoing,
    }
    return WeightMask(
        {
            kernels[id(keras_private.kernel(layers[path]))]: value
            for path, value in values.items()
        },
        provenance,
    )


def output_layers(model):
    """Returns the paths of the layers whose units are the model's outputs.

    Args:
        model: Built `keras.Model` that knows its input shapes.

    Raises:
        ValueError: If it does not, or an output comes from another layer.
    """
    return _links(model)[1]


def _check_kind(selection, *kinds):
    if not isinstance(selection, kinds):
        names = " or ".join(kind.__name__ for kind in kinds)
        raise ValueError(f"`selection` must be a {names}, got {selection!r}.")


def _links(model):
    """Returns how units feed the next layers, and the output layers.

    Returns:
        List of `(source, target, rows)`: paths of two layers, and for each
        row of the target's kernel the unit of the source that it weighs. List
        of paths.
    """
    path_of = {id(x): p for p, x in activations.neuron_layers(model).items()}
    units = {}  # id of a tensor: path, unit of each entry of the last axis
    links = []
    calls, outputs = _traced_calls(model)
    calls_of = collections.Counter(path_of.get(id(c[0])) for c in calls)
    for layer, inputs, result in calls:
        known = units.get(id(inputs[0])) if inputs else None
        if id(layer) in path_of:
            path = path_of[id(layer)]
            # The weights of a layer that is shared are another call's, too.
            if known is not None and calls_of[path] == 1:
                links.append((known[0], path, known[1]))
            units[id(result)] = path, np.arange(result.shape[-1])
        elif known is not None:
            rows = _rows_after(layer, known[1], result)
            if rows is not None:
                units[id(result)] = known[0], rows
    lost = [i for i, x in enumerate(outputs) if id(x) not in units]
    if lost:
        raise ValueError(
            f"The outputs {lost} of {model.name!r} are not those of a Conv or "
            "Dense layer, nor of one followed by activations, pooling and "
            "the like."
        )
    return links, [units[id(x)][0] for x in outputs]


def _traced_calls(model):
    """Returns the calls of all innermost layers, and the model's outputs."""
    if not getattr(model, "inputs", None):
        raise ValueError(
            f"{model.name!r} does not know the shapes of its inputs: build it "
            "with `keras.Input`."
        )
    inside = keras_private.all_layers(model)
    leaves = [x for x in inside if not keras_private.children(x)]
    kept = []  # alive, so that no two tensors share an id

    @tf.function(autograph=False)
    def trace(*inputs):
        arguments = keras.tree.pack_sequence_as(
            keras_private.input_structure(model), inputs
        )
        with activations.recorded_calls(leaves) as calls:
            outputs = model(arguments, training=False)
        kept.extend([calls, keras.tree.flatten(outputs)])

    specs = [tf.TensorSpec(x.shape, x.dtype) for x in model.inputs]
    trace.get_concrete_function(*specs)
    return kept


def _rows_after(layer, rows, result):
    """Returns the units of the last axis after a layer; `None` if unknown."""
    if isinstance(layer, keras.layers.BatchNormalization):
        axis = layer.axis % len(result.shape)
        return rows if axis == len(result.shape) - 1 else None
    if isinstance(layer, _UNITWISE):
        return rows
    flattens = isinstance(layer, (keras.layers.Flatten, keras.layers.Reshape))
    if flattens and len(result.shape) == 2:
        return np.tile(rows, result.shape[-1] // len(rows))
    return None


def _check_nothing_passes(model, layers, removed):
    """Raises `ValueError` if a removed neuron still changes the outputs."""
    rng = np.random.default_rng(0)

    def example(x):
        shape = [2 if n is None else n for n in x.shape]
        is_float = "float" in keras.backend.standardize_dtype(x.dtype)
        values = rng.normal(size=shape) if is_float else np.zeros(shape)
        return tf.cast(values, x.dtype)

    inputs = keras.tree.map_structure(
        example, keras_private.input_structure(model)
    )

    def outputs():
        return np.concatenate(
            [
                np.ravel(x)
                for x in keras.tree.flatten(model(inputs, training=False))
            ]
        )

    expected = outputs()
    for path, flags in removed.items():
        layer = layers[path]
        kept = layer.get_weights()
        kernel = layer.kernel.numpy()
        kernel[..., flags] = rng.normal(size=kernel[..., flags].shape)
        layer.kernel.assign(kernel)  # they would be heard
        if layer.use_bias:
            layer.bias.assign(np.where(flags, 1.0, layer.bias.numpy()))
        changed = outputs()
        layer.set_weights(kept)
        if not np.allclose(changed, expected, rtol=1e-4, atol=1e-5):
            raise ValueError(
                f"The outgoing weights of {path!r} can't be followed: its "
                "units reach the outputs through layers that mix or reorder "
                "them, or that are called more than once. Use "
                "`incoming=True`."
            )


def _clone(model):
    """Returns a copy with the same weights, and its layers by path."""
    clone = model_weights.clone(model)
    clone.set_weights(model.get_weights())
    return clone, activations.neuron_layers(clone)

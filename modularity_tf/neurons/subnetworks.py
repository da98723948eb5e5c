"""Subnetworks of chosen neurons: plain Keras models with changed weights.

References:
    - Elbastawisy and Afrin, 2025, "Exploring Modularity of Neural Networks
      through Neuron Subselection", sections 4 and 5.2
"""

import collections
import warnings

import keras
import numpy as np
import tensorflow as tf

from modularity_tf.masking.weight_mask import WeightMask
from modularity_tf.parts import activations, finding, keras_private
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
    ReLU. A BatchNormalization between a layer and its activation makes other
    numbers of 0 and 1. The output layer stays as it is.

    Args:
        model: Built `keras.Model`; a subclassed one is called on floats of the
            shape with which it was built. It is not changed.
        selection: `NeuronSelection` or `NeuronMask`.

    Returns:
        A plain Keras model, not compiled.

    Raises:
        ValueError: If the selection does not fit, the model can't be cloned or
            does not know its inputs, its outputs are no layer's, or a neuron is
            to be forced on in a layer without bias.

    References:
        - Elbastawisy and Afrin, 2025, sections 4.1 and 4.2
    """
    _check_kind(selection, "neurons", "a neuron mask")
    if selection.KIND == "a neuron mask":
        on, off = selection.on, selection.off
    else:
        off = ~selection
        on = type(selection)(
            {path: np.zeros_like(v) for path, v in off.values.items()}
        )
    on.check_fits(model)
    off.check_fits(model)
    stays = output_layers(model)
    clone, layers = _clone(model)
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
        model: Built `keras.Model`; a subclassed one is called on floats of the
            shape with which it was built. It is not changed.
        selection: `NeuronSelection` of the neurons to remove.
        incoming: Bool. Zero the incoming weights (and biases) instead, as the
            authors' code does: works in any architecture. Where outputs are
            no layer's (a sum of two, say), a `UserWarning` says that selected
            neurons go even if their layer is an output layer.

    Returns:
        A plain Keras model, not compiled.

    Raises:
        ValueError: If the selection does not fit, the model can't be cloned or
            does not know its inputs, or a neuron's way can't be followed, by
            the name of its layer.

    References:
        - Elbastawisy and Afrin, 2025, section 5.2
    """
    _check_kind(selection, "neurons")
    selection.check_fits(model)
    traced = activations.trace(model)
    links, stays, lost = _links(model, traced)
    if not incoming:
        _refuse_lost(model, lost)
    clone, layers = _clone(model)
    removed = {
        path: flags
        for path, flags in selection.values.items()
        if path not in stays and flags.any()
    }
    if lost and removed:
        warnings.warn(
            f"No layer is known to put out the outputs {lost} of "
            f"{model.name!r}: selected neurons are removed from {[*removed]}, "
            "even if one of these is an output layer.",
            stacklevel=2,
        )
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
                heard = _weighs(layers[target], removed[source][rows])
                kernel = layers[target].kernel
                kernel.assign(np.where(heard, 0.0, kernel.numpy()))
        _check_nothing_passes(clone, layers, removed, traced.specs)
    return clone


class Surgery:
    """Which weights stay where neurons are kept alone, or are removed.

    What `build_subnetwork` and `ablate` do, for many selections of one model:
    no model is made for any of them.

    Args:
        model: Built `keras.Model`. It is not changed.
        selection: `NeuronSelection`; the others are over the same layers.
        incoming: Bool, as in `ablate`.

    Raises:
        ValueError: As in `build_subnetwork` and `ablate`.
    """

    def __init__(self, model, selection, incoming=False):
        selection.check_fits(model)
        self._incoming, self._stays = incoming, output_layers(model)
        if not incoming:
            ablate(model, selection)  # refuses what can't be followed
        self._links = _links(model, activations.trace(model))[0]
        self._layers = activations.neuron_layers(model)
        self._kernels = activations.kernel_paths(model)
        paths = {
            id(weight.variable): path
            for path, weight in model_weights.model_weights(model).items()
        }
        self._biases = {
            path: paths[id(layer.bias)]
            for path, layer in self._layers.items()
            if layer.use_bias
        }

    @property
    def hidden(self):
        """List of the paths of layers of which neurons can be removed."""
        return [path for path in self._layers if path not in self._stays]

    def kernel(self, path):
        """Returns the path of a layer's kernel."""
        return self._kernels[path]

    def alone(self, values):
        """Returns the weights that stay in the subnetwork of neurons.

        Args:
            values: Dict from layer path to boolean array, `selection.values`.

        Returns:
            Dict from the path of a kernel or bias to boolean array.
        """
        kept = self._all()
        for path, flags in values.items():
            if path not in self._stays:
                kept[self._kernels[path]][..., ~flags] = False
                if path in self._biases:
                    kept[self._biases[path]][~flags] = False
        return kept

    def without(self, values):
        """Returns the weights that stay where neurons are removed.

        Args:
            values: As in `alone`.

        Returns:
            As there.
        """
        removed = {p: v for p, v in values.items() if p not in self._stays}
        if self._incoming:
            return self.alone({path: ~v for path, v in removed.items()})
        kept = self._all()
        for path, flags in removed.items():
            if path in self._biases:
                kept[self._biases[path]][flags] = False
        for source, target, rows in self._links:
            if source in removed:
                heard = _weighs(self._layers[target], removed[source][rows])
                kept[self._kernels[target]] &= ~heard
        return kept

    def _all(self):
        weights = {
            path: keras_private.kernel(self._layers[layer]).shape
            for layer, path in self._kernels.items()
        }
        for layer, path in self._biases.items():
            weights[path] = self._layers[layer].bias.shape
        return {path: np.ones(shape, bool) for path, shape in weights.items()}


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
    _check_kind(selection, "neurons")
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
        for source, target, rows in _links(model, activations.trace(model))[0]:
            if source in selection.values:
                channels = selection.values[source][rows]
                values[target] |= _weighs(layers[target], channels)
    kernels = activations.kernel_paths(model)
    provenance = {
        **selection.provenance,
        "method": "weights of neurons",
        "incoming": incoming,
        "outgoing": outgoing,
    }
    return WeightMask(
        {kernels[path]: value for path, value in values.items()},
        provenance,
    )


def output_layers(model):
    """Returns the paths of the layers whose units are the model's outputs.

    Args:
        model: Built `keras.Model` that knows its inputs: with `keras.Input`,
            or from having been called.

    Raises:
        ValueError: If it does not, or an output comes from another layer.
    """
    _, found, lost = _links(model, activations.trace(model))
    _refuse_lost(model, lost)
    return found


def _refuse_lost(model, lost):
    if lost:
        raise ValueError(
            f"The outputs {lost} of {model.name!r} are not those of a Conv or "
            "Dense layer, nor of one followed by activations, pooling and "
            "the like."
        )


def _check_kind(selection, *kinds):
    if getattr(selection, "KIND", None) not in kinds:
        names = " or ".join(finding.Finding.kinds[k].__name__ for k in kinds)
        raise ValueError(f"`selection` must be a {names}, got {selection!r}.")


def _links(model, traced):
    """Returns how units feed the next layers, and the output layers.

    Args:
        model: Built `keras.Model`.
        traced: `activations.Trace` of it.

    Returns:
        List of `(source, target, rows)`: paths of two layers, and for each
        channel that the target takes the unit of the source. List of paths.
        List of the numbers of those outputs that are no layer's.
    """
    path_of = {id(x): p for p, x in activations.neuron_layers(model).items()}
    units = {}  # name of a tensor: path, unit of each entry of the last axis
    links = []
    calls_of = collections.Counter(path_of.get(id(c[0])) for c in traced.calls)
    for layer, inputs, result in traced.calls:
        known = _units_in(inputs[0], units) if inputs else None
        if id(layer) in path_of:
            path = path_of[id(layer)]
            # The weights of a layer that is shared are another call's, too.
            if known is not None and calls_of[path] == 1:
                links.append((known[0], path, known[1]))
            units[result.name] = path, np.arange(result.shape[-1])
        elif known is not None:
            rows = _rows_after(layer, known[1], result)
            if rows is not None:
                units[result.name] = known[0], rows
    ends = [_units_in(x, units) for x in traced.outputs]
    lost = [i for i, end in enumerate(ends) if end is None]
    return links, [end[0] for end in ends if end is not None], lost


def _units_in(tensor, units):
    """Returns which units a tensor has, also after bare operations."""
    while hasattr(tensor, "graph"):  # no list, no constant
        if tensor.name in units:
            return units[tensor.name]
        if tensor.op.type not in activations.UNITWISE_OPS:
            break
        tensor = tensor.op.inputs[0]
    return None


def _weighs(layer, channels):
    """Returns which entries of a kernel weigh some channels.

    Args:
        layer: Conv or Dense layer. A group of a grouped convolution weighs its
            own channels alone, from row 0 of the kernel on.
        channels: Bool array, one entry a channel that the layer takes.

    Returns:
        Bool array of the kernel's shape.
    """
    shape, groups = layer.kernel.shape, getattr(layer, "groups", 1)
    of_groups = channels.reshape(groups, -1).T  # (rows, groups)
    entries = of_groups.repeat(shape[-1] // groups, axis=1)
    return np.broadcast_to(entries, shape)


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


def _check_nothing_passes(model, layers, removed, specs):
    """Raises `ValueError` if a removed neuron still changes the outputs."""
    rng = np.random.default_rng(0)

    def example(x):
        shape = [2 if n is None else n for n in x.shape]
        values = rng.normal(size=shape) if x.dtype.is_floating else 0
        return tf.cast(tf.broadcast_to(values, shape), x.dtype)

    inputs = keras.tree.map_structure(example, specs)

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
    """Returns a copy with the same weights, and its layers by path.

    By the paths in `model`: the copy of a subclassed model may have a name of
    its own.
    """
    clone = model_weights.clone(model)
    clone.set_weights(model.get_weights())
    layers = activations.neuron_layers(clone).values()
    paths = activations.neuron_layers(model)
    return clone, dict(zip(paths, layers, strict=True))

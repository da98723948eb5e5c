"""Subnetworks of chosen neurons: plain Keras models with changed weights.

References:
    - Elbastawisy and Afrin, 2025, "Exploring Modularity of Neural Networks
      through Neuron Subselection", sections 4 and 5.2
"""

import contextlib
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

from modularity_tf.network import (
    activations,
    copying,
    example_inputs,
    keras_private,
    model_weights,
    unit_flow,
    unit_weights,
)

Neurons = Mapping[str, np.ndarray]  # layer path -> bool array `(units,)`


def force(
    model: keras.Model, on: Neurons, off: Neurons, inputs: Any = None
) -> keras.Model:
    """Returns the model with some neurons forced on and others off.

    Neurons forced on have weights 0 and bias 1, those forced off weights 0 and
    bias 0; the others stay. A neuron that is off puts out act(0), one that is
    on act(1): 0 and 1 with ReLU. A BatchNormalization between a layer and its
    activation makes other numbers of 0 and 1. The output layer stays as it is.

    Args:
        model: Built `keras.Model`; a subclassed one is called on floats of the
            shape with which it was built. It is not changed.
        on: Dict from layer path to bool array `(units,)`.
        off: Dict with the same layers.
        inputs: Some of what the model takes, to check its copy on; `None` to
            draw them.

    Returns:
        A plain Keras model, not compiled.

    Raises:
        ValueError: If the neurons do not fit, the model can't be copied or
            does not know its inputs, its outputs are no layer's, or a neuron is
            to be forced on in a layer without bias.

    References:
        - Elbastawisy and Afrin, 2025, sections 4.1 and 4.2
    """
    check_fits(model, on)
    layers = activations.neuron_layers(model, outputs=True)
    for path, forced_on in on.items():
        if path not in layers:
            raise ValueError(
                f"The units of {path!r} can't be forced: only those of Conv1D "
                "to Conv3D and Dense layers can."
            )
        if forced_on.any() and not layers[path].use_bias:
            raise ValueError(
                f"The layer {path!r} has no bias, so its neurons can't be "
                "forced on."
            )
    surgery = Surgery(model, off, incoming=True)
    forced = {path: on[path] | off[path] for path in on}
    surgery.refuse_lost(forced)
    surgery.warn_of_outputs(forced)
    kept = surgery.not_forced(forced)
    made = copying.with_weights_kept(model, kept, inputs)
    copies = _layers_of_copy(model, made)
    for path, forced_on in on.items():
        if forced_on.any() and path in surgery.hidden:
            bias = copies[path].bias
            bias.assign(np.where(forced_on, 1.0, bias.numpy()))
    return made


def keep(
    model: keras.Model, neurons: Neurons, inputs: Any = None
) -> keras.Model:
    """Returns the model with only some units of their layers.

    The others contribute nothing: all weights are zero that belong to them, as
    `unit_weights.model_units` says. Those of the output layer stay.

    Args:
        model: As in `force`.
        neurons: Dict from layer path to bool array `(units,)`.
        inputs: As in `force`.

    Returns:
        A plain Keras model, not compiled.

    Raises:
        ValueError: If the neurons do not fit, the model can't be copied or
            does not know its inputs, or its outputs are no layer's.
    """
    off = {path: ~flags for path, flags in neurons.items()}
    surgery = Surgery(model, off, incoming=True)
    surgery.refuse_lost(off)
    surgery.warn_of_outputs(off)
    return copying.with_weights_kept(model, surgery.alone(neurons), inputs)


def remove(
    model: keras.Model,
    neurons: Neurons,
    incoming: bool = False,
    inputs: Any = None,
) -> keras.Model:
    """Returns the model without what some neurons pass on.

    Their outgoing weights and their own biases are set to zero, as in the
    text. `unit_flow` says how a neuron is followed to the layers that weigh
    it. A channel that several layers write to, as after the sum in a residual
    block, is removed from all that read it. The output layer's neurons stay.

    Args:
        model: Built `keras.Model`; a subclassed one is called on floats of the
            shape with which it was built. It is not changed.
        neurons: Dict from layer path to bool array `(units,)`. Units of other
            layers than Conv and Dense are removed as with `incoming`.
        incoming: Bool. Zero the incoming weights (and biases, and what
            normalizes them) instead, as the authors' code does: works in any
            architecture. Where outputs are
            no layer's (normalized at the end, say), a `UserWarning` says that
            neurons go even if their layer is an output layer.
        inputs: Some of what the model takes, to check its copy on; `None` to
            draw them.

    Returns:
        A plain Keras model, not compiled.

    Raises:
        ValueError: If the neurons do not fit, the model can't be copied or
            does not know its inputs, or a neuron's way can't be followed, by
            the name of its layer.

    References:
        - Elbastawisy and Afrin, 2025, section 5.2
    """
    surgery = Surgery(model, neurons, incoming)
    removed = surgery.removable(neurons)
    surgery.warn_of_outputs(neurons)
    lost = [i for i, paths in surgery.lost.items() if paths & {*removed}]
    if lost:
        warnings.warn(
            f"No layer is known to put out the outputs {lost} of "
            f"{model.name!r}: selected neurons are removed from {[*removed]}, "
            "even if one of these is an output layer.",
            stacklevel=3,
        )
    if inputs is None:
        inputs = example_inputs.draw(model)
    kept = surgery.without(removed)
    made = copying.with_weights_kept(model, kept, inputs)
    if not incoming:
        _check_nothing_passes(model, made, removed, surgery.outputs, inputs)
    return made


def sizes(
    model: keras.Model, wanted: Iterable[str] | None = None
) -> dict[str, int]:
    """Returns how many units the layers of a model have, by path.

    Args:
        model: Built `keras.Model`.
        wanted: Paths of layers that are asked for. Where all are Conv and
            Dense layers, no others are looked for. `None` for all.
    """
    found = {
        path: layer.kernel.shape[-1]
        for path, layer in activations.neuron_layers(
            model, outputs=True
        ).items()
    }
    if wanted is None or not {*wanted} <= {*found}:
        others = unit_weights.model_units(model)
        found = {p: units.size for p, units in others.layers.items()} | found
    return found


def check_fits(model: keras.Model, neurons: Neurons) -> None:
    """Raises `ValueError` with the first layer that `model` has otherwise.

    Args:
        model: Built `keras.Model`.
        neurons: Dict from layer path to bool array `(units,)`.
    """
    known = sizes(model, neurons)
    for path, value in neurons.items():
        if path not in known:
            raise ValueError(
                f"The selection does not fit {model.name!r}: it has no "
                f"layer {path!r} of neurons. Its layers: {list(known)}."
            )
        units = known[path]
        if value.shape != (units,):
            raise ValueError(
                f"The selection does not fit {model.name!r}: {path!r} has "
                f"{units} units, the selection {value.shape}."
            )


class Surgery:
    """Which weights stay where neurons are kept alone, or are removed.

    What `force` and `remove` do, for many sets of neurons of one model: no
    model is made for any of them.

    Args:
        model: Built `keras.Model`. It is not changed.
        neurons: Dict from layer path to bool array `(units,)`; the others are
            over the same layers.
        incoming: Bool, as in `remove`.

    Attributes:
        outputs: List of the paths of layers whose neurons are the model's
            outputs, which stay.
        lost: Dict from the number of an output in which neurons are mixed to
            the paths of their layers.

    Raises:
        ValueError: If the neurons do not fit, the model does not know its
            inputs, or, but for `incoming`, a neuron can't be followed.
    """

    def __init__(
        self, model: keras.Model, neurons: Neurons, incoming: bool = False
    ):
        check_fits(model, neurons)
        self._model, self._incoming = model, incoming
        flow = unit_flow.follow(model, activations.trace(model))
        self._layers = activations.neuron_layers(model, outputs=True)
        found = unit_weights.model_units(model)
        self._units = found.layers
        self._readings, self.lost = flow.readings, flow.lost
        self.outputs = [
            *flow.outputs,
            *(p for p in found.outputs if p not in self._layers),
        ]
        self._kernels = activations.kernel_paths(model)
        weights = model_weights.model_weights(model)
        self._shapes = {
            path: tuple(weight.variable.shape)
            for path, weight in weights.items()
        }
        paths = {id(w.variable): path for path, w in weights.items()}
        self._biases = {
            path: paths[id(layer.bias)]
            for path, layer in self._layers.items()
            if layer.use_bias
        }
        self._lora = {
            path: paths[id(layer.lora_kernel_b)]
            for path, layer in self._layers.items()
            if getattr(layer, "lora_enabled", False)
        }
        for path in self.removable(neurons):
            if path in self._layers and path not in self._kernels:
                kernel = keras_private.kernel(self._layers[path])
                raise ValueError(
                    f"The neurons of {path!r} can't be taken apart: its kernel "
                    f"is quantized ({kernel.dtype}). Do that before `quantize`."
                )
            if not incoming and path in flow.mixed:
                raise ValueError(
                    f"The outgoing weights of {path!r} can't be followed: its "
                    f"units reach {flow.mixed[path]}. Use `incoming=True`."
                )

    @property
    def hidden(self) -> list[str]:
        """List of the paths of layers of which neurons can be removed."""
        known = {**self._layers, **self._units}
        return [path for path in known if path not in self.outputs]

    def removable(self, values: Neurons) -> dict[str, np.ndarray]:
        """Returns those of the layers that lose neurons.

        Args:
            values: Dict from layer path to boolean array.
        """
        return {
            path: flags
            for path, flags in values.items()
            if path not in self.outputs and flags.any()
        }

    def units(self, path: str) -> unit_weights.Units:
        """Returns the units of a layer, and their weights."""
        return self._units[path]

    def refuse_lost(self, values: Neurons) -> None:
        """Raises `ValueError` if some neurons are mixed in an output.

        Args:
            values: Dict from layer path to boolean array.
        """
        chosen = {*self.removable(values)}
        lost = [i for i, paths in self.lost.items() if paths & chosen]
        _refuse_lost(self._model, lost)

    def warn_of_outputs(self, values: Neurons) -> None:
        """Warns of selected neurons that stay, though others read them, too.

        Args:
            values: Dict from layer path to boolean array.
        """
        read = {
            path
            for reading in self._readings
            for call in reading.calls
            for path, _ in call.pairs
        }
        both = [
            path
            for path, flags in values.items()
            if flags.any() and path in self.outputs and path in read
        ]
        if both:
            warnings.warn(
                f"The neurons of {both} stay: they are outputs of "
                f"{self._model.name!r}, beside what other layers make of them.",
                stacklevel=4,
            )

    def read_by(self, values: Neurons) -> dict[str, np.ndarray]:
        """Returns the weights of the next layers that weigh neurons.

        Args:
            values: Dict from layer path to boolean array.

        Returns:
            Dict from weight path to boolean array.
        """
        return {each.path: each.of(values) for each in self._readings}

    def alone(self, values: Neurons) -> dict[str, np.ndarray]:
        """Returns the weights that stay in the subnetwork of units.

        Args:
            values: Dict from layer path to boolean array.

        Returns:
            Dict from weight path to boolean array.
        """
        kept = self._all()
        chosen = {
            path: flags
            for path, flags in values.items()
            if path in self._units and path not in self.outputs
        }
        factors = unit_weights.spread(
            {path: self._units[path] for path in chosen},
            chosen,
            np.logical_and,
        )
        for path, stays in factors.items():
            kept[path] &= stays
        return kept

    def not_forced(self, values: Neurons) -> dict[str, np.ndarray]:
        """Returns the weights that stay where neurons are forced on or off.

        Args:
            values: Dict from the path of a Conv or Dense layer to boolean
                array, the neurons that are forced.

        Returns:
            As `alone`: what normalizes a neuron stays as it is.
        """
        kept = self._all()
        for path, flags in values.items():
            if path not in self.outputs:
                for weights in (self._kernels, self._biases, self._lora):
                    if path in weights:
                        kept[weights[path]][..., flags] = False
        return kept

    def without(self, values: Neurons) -> dict[str, np.ndarray]:
        """Returns the weights that stay where neurons are removed.

        Args:
            values: As in `alone`.

        Returns:
            As there.
        """
        removed = self.removable(values)
        own = {
            path: ~flags
            for path, flags in removed.items()
            if self._incoming or path not in self._layers
        }
        kept = self.alone(own)
        for path in own:
            del removed[path]
        for path, flags in removed.items():
            if path in self._biases:
                kept[self._biases[path]][flags] = False
        for path, read in self.read_by(removed).items():
            kept[path] &= ~read
        return kept

    def _all(self):
        paths = [
            *self._kernels.values(),
            *self._biases.values(),
            *self._lora.values(),
            *(each.path for each in self._readings),
            *(x.path for own in self._units.values() for x in own.weights),
        ]
        return {path: np.ones(self._shapes[path], bool) for path in paths}


def weights_of(
    model: keras.Model,
    neurons: Neurons,
    incoming: bool = True,
    outgoing: bool = True,
) -> dict[str, np.ndarray]:
    """Returns the weights that lead to neurons and those that lead from them.

    Args:
        model: Built `keras.Model`.
        neurons: Dict from layer path to bool array `(units,)`.
        incoming: Bool. The kernel entries of the neurons.
        outgoing: Bool. Those of the next layers that weigh them, as in
            `remove`; the output layer's neurons have none.

    Returns:
        Dict from the paths of the kernels of all Conv and Dense layers, and of
        others that weigh units of these, to bool arrays.

    Raises:
        ValueError: If the neurons do not fit, or a neuron's way can't be
            followed, by the name of its layer.
    """
    surgery = Surgery(model, neurons, incoming=not outgoing)
    kernels = activations.kernel_paths(model)
    others = [path for path in neurons if path not in kernels]
    if others:
        raise ValueError(
            f"It is not known which weights lead to units of {others[0]!r} and "
            "from them: only of Conv1D to Conv3D and Dense layers it is."
        )
    shapes = model_weights.model_weights(model)
    read = surgery.read_by(neurons) if outgoing else {}
    values = {
        path: np.zeros(shapes[path].variable.shape, bool)
        for path in (*kernels.values(), *read)
    }
    if incoming:
        for path, flags in neurons.items():
            values[kernels[path]][..., flags] = True
    for path, entries in read.items():
        values[path] |= entries
    return values


def output_layers(model: keras.Model) -> list[str]:
    """Returns the paths of the layers whose units are the model's outputs.

    Args:
        model: Built `keras.Model` that knows its inputs: with `keras.Input`,
            or from having been called.

    Raises:
        ValueError: If it does not, or an output comes from another layer.
    """
    flow = unit_flow.follow(model, activations.trace(model))
    _refuse_lost(model, [*flow.lost])
    return flow.outputs


def _refuse_lost(model, lost):
    if lost:
        raise ValueError(
            f"The outputs {lost} of {model.name!r} are not those of a Conv or "
            "Dense layer, nor of one followed by activations, pooling and "
            "the like."
        )


def _check_nothing_passes(model, made, removed, ends, inputs):
    """Raises `ValueError` if a removed neuron still changes the outputs."""
    layers = _layers_of_copy(model, made)
    ends = [layers[path] for path in ends if path in layers]
    removed = {path: v for path, v in removed.items() if path in layers}
    rng = np.random.default_rng(0)

    def are_heard(paths):
        before = {path: layers[path].get_weights() for path in paths}
        for path in paths:
            _shake(layers[path], removed[path], rng)
        found = _outputs(made, ends, inputs)
        for path, weights in before.items():
            layers[path].set_weights(weights)
        return not _are_close(expected, found)

    with _linear(ends):  # a softmax may be saturated
        expected = _outputs(made, ends, inputs)
        if not removed or not are_heard(removed):
            return
        heard = [path for path in removed if are_heard([path])] or [*removed]
    raise ValueError(
        f"The outgoing weights of {heard[0]!r} can't be followed: its units "
        "reach the outputs through layers that mix or reorder them, or that "
        "are called more than once. Use `incoming=True`."
    )


def _shake(layer, flags, rng):
    """Gives some neurons of a layer other weights, so that they are heard."""
    for variable in keras_private.own_weights(layer):
        value, is_bias = variable.numpy(), len(variable.shape) == 1
        if value.shape[-1:] == flags.shape and "float" in variable.dtype:
            scale = max(np.sqrt(np.mean(np.square(value))), 0.01)
            value[..., flags] = rng.normal(0, scale, value[..., flags].shape)
            variable.assign(np.where(flags, 1.0, value) if is_bias else value)


@contextlib.contextmanager
def _linear(layers):
    """Takes the activation from layers, while the context lasts."""
    before = [layer.activation for layer in layers]
    try:
        for layer in layers:
            layer.activation = keras.activations.linear
        yield
    finally:
        for layer, activation in zip(layers, before):
            layer.activation = activation


def _outputs(model, ends, inputs):
    """Returns what a model and its output layers put out, as arrays."""
    with (
        keras.StatelessScope(),  # what is drawn is drawn again
        activations.recorded_calls(ends) as calls,
    ):
        outputs = keras.tree.flatten(model(inputs, training=False))
    outputs += [out for _, _, out in calls if hasattr(out, "numpy")]
    return [np.asarray(x, "float64") for x in outputs]


def _are_close(expected, found):
    return all(
        np.allclose(
            one, other, 0.0, 1e-4 * np.max(np.abs(one), initial=0), True
        )
        for one, other in zip(expected, found, strict=True)
    )


def _layers_of_copy(model, made):
    """Returns the Conv and Dense layers of a copy, by the paths in a model.

    The copy of a subclassed model may have names of its own.
    """
    before, after = (
        activations.neuron_layers(each, outputs=True) for each in (model, made)
    )
    return dict(zip(before, after.values(), strict=True))

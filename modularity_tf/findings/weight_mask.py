"""WeightMask: which weights of a model a task needs."""

import json
import os
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from modularity_tf import checks
from modularity_tf.findings import (
    neuron_selection,
    part_set,
    smaller_model,
)
from modularity_tf.network import (
    activations,
    constraints,
    copying,
    model_weights,
    shrinking,
    surgery,
    unit_flow,
)

# Keys of provenance in files of version 1, and today's.
_RENAMED = {"keep_probability": "initial_keep_probability", "trials": "path"}


@keras.saving.register_keras_serializable(package="modularity_tf")
class WeightMask(part_set.PartSet):
    """A binary mask over the weights of a model, True where a weight is kept.

    An immutable value: set operations return new masks. They need masks over
    the same weights.

    - `a | b`, `a & b`, `a - b`, `~a`: union, intersection, difference and
      complement, weight by weight. Their provenance is the model's
      fingerprint, where both have the same.
    - `a == b`: the same weights kept, whatever the provenance.

    Args:
        values: Dict from weight path (see `model_weights`) to a boolean array
            of the weight's shape.
        provenance: Dict of JSON values that says where the mask comes from;
            `find_weights` lists the keys.
        scores: Dict from weight path to a float array, how much the task needs
            each weight, to rank them by; `None` where that is not known.

    Raises:
        ValueError: If an array is not boolean, `provenance` is not JSON, or
            `scores` are not of these weights.

    Example:

    >>> kernel = model.get_layer("hidden").kernel.numpy()
    >>> large = mtf.WeightMask({"hidden/kernel": abs(kernel) > 0.1})
    >>> pruned = large.apply(model)  # a plain Keras model
    >>> (large | ~large).keep_fraction
    1.0

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), section 2
    """

    KIND = "weights"

    @classmethod
    def of_neurons(
        cls,
        neurons: neuron_selection.NeuronSelection,
        model: keras.Model,
        *,
        incoming: bool = True,
        outgoing: bool = True,
    ) -> "WeightMask":
        """Returns the weights of neurons, a mask over kernels.

        Args:
            neurons: `NeuronSelection`.
            model: Built `keras.Model` that it fits.
            incoming: Bool. The weights that lead to the neurons.
            outgoing: Bool. Those of the next layers that weigh them; the
                output layer's neurons have none.

        Raises:
            ValueError: If the selection does not fit, or it can't be followed
                which weights weigh a neuron, by the name of its layer.
        """
        if not isinstance(neurons, neuron_selection.NeuronSelection):
            raise ValueError(
                f"`neurons` must be a NeuronSelection, got {neurons!r}."
            )
        provenance = {
            **part_set.told_alike(neurons),
            "method": "weights of neurons",
            "incoming": incoming,
            "outgoing": outgoing,
        }
        values = surgery.weights_of(model, neurons.values, incoming, outgoing)
        return cls(values, provenance)

    @classmethod
    def _unpacked(cls, config, arrays):
        told = {_RENAMED.get(k, k): v for k, v in config["provenance"].items()}
        return super()._unpacked({**config, "provenance": told}, arrays)

    def select(self, layers: str | Iterable[str]) -> "WeightMask":
        """Returns the part of the mask that lies in the named layers.

        Args:
            layers: Layer name or path, or an iterable of such.

        Raises:
            ValueError: If a name matches no layer of the mask.
        """
        return self._part(model_weights.select_layers(self.values, layers))

    def inverted(self, keep_layers: str | Iterable[str] = ()) -> "WeightMask":
        """Returns the complement, but for some layers that stay as they are.

        Args:
            keep_layers: Layer name or path, or an iterable of such.

        Raises:
            ValueError: If a name matches no layer of the mask.
        """
        stays = self.select(keep_layers).values if keep_layers else {}
        return WeightMask(
            {p: v if p in stays else ~v for p, v in self.values.items()}
        )

    def halves(self) -> tuple["WeightMask", "WeightMask"]:
        """Returns the mask of the first half of the layers, and the second.

        Applied alone, each leaves the other half of the network whole: where
        a function breaks down shows in which half its weights lie.

        Returns:
            Two `WeightMask`s; the first has the layer in the middle.
        """
        layers = list(dict.fromkeys(p.rpartition("/")[0] for p in self.values))
        first = layers[: -(-len(layers) // 2)]
        paths: tuple[list[str], list[str]] = [], []
        for path in self.values:
            paths[path.rpartition("/")[0] not in first].append(path)
        return self._part(paths[0]), self._part(paths[1])

    def check_fits(self, model: keras.Model) -> None:
        """Raises `ValueError` with the first path that `model` has otherwise.

        The mask may cover a part of the model's weights.
        """
        if hasattr(type(model), "learned"):  # of a `masking.FrozenModel`
            raise ValueError(
                f"`model` is the {type(model).__name__} {model.name!r}: give "
                "the model that it wraps, its `model`."
            )
        weights = model_weights.model_weights(model)
        for path, value in self.values.items():
            if path not in weights:
                raise ValueError(
                    f"The mask does not fit the model {model.name!r}: it has "
                    f"no weight {path!r}. Its weights: {list(weights)}. "
                    "(`for_model` takes a mask to a model that is a part of "
                    "its own, or has it as a part.)"
                )
            shape = tuple(weights[path].variable.shape)
            if shape != value.shape:
                raise ValueError(
                    f"The mask does not fit the model {model.name!r}: weight "
                    f"{path!r} has shape {shape}, the mask {value.shape}."
                )

    def apply(self, model: keras.Model, *, inputs: Any = None) -> keras.Model:
        """Returns a copy of `model` in which removed weights are zero.

        Before the weights are removed, the copy and `model` are called on the
        same inputs. A copy that computes something else is refused.

        Args:
            model: Built `keras.Model` that the mask fits. It is not changed.
            inputs: Some of what `model` takes, to compare the copy on; `None`
                to draw them.

        Returns:
            A plain Keras model, not compiled; weights that the mask does not
            cover are copied. The constraints of `keep_zeros` are not in it.

        Raises:
            ValueError: If the mask does not fit, `model` can't be copied, or
                no output notices one of the weights.
        """
        self.check_fits(model)
        made = copying.with_weights_kept(model, self.values, inputs)
        return constraints.take_off(made)

    def remove_from(
        self, model: keras.Model, *, inputs: Any = None
    ) -> keras.Model:
        """Returns a copy of `model` without the weights of the mask.

        Args:
            model: As in `apply`.
            inputs: As in `apply`.

        Returns:
            A plain Keras model, not compiled; weights outside of the mask
            are copied.

        Raises:
            ValueError: As in `apply`.
        """
        return (~self).apply(model, inputs=inputs)

    def keep_zeros(
        self, model: keras.Model, *, inputs: Any = None
    ) -> keras.Model:
        """Returns `apply(model)` with removed weights that stay at zero.

        `compile` and `fit` train the weights that are left: a constraint sets
        the others to zero after each step of any optimizer. Only the moving
        averages of an optimizer with `use_ema=True` are not zero, and `fit`
        ends with them: call `apply` after it. A constraint that a weight has
        already stays, but for that of another `keep_zeros`: the model keeps
        the zeros of this mask alone. A `.keras` file has the constraints;
        import `modularity_tf` before you read it.

        >>> kernel = model.get_layer("hidden").kernel.numpy()
        >>> large = mtf.WeightMask({"hidden/kernel": abs(kernel) > 0.1})
        >>> sparse = large.keep_zeros(model)
        >>> sparse.compile("adam", "sparse_categorical_crossentropy")
        >>> history = sparse.fit(images, labels, verbose=0)
        >>> tuned = sparse.get_layer("hidden").kernel.numpy()
        >>> bool((tuned[~large.values["hidden/kernel"]] == 0).all())
        True

        Args:
            model: As in `apply`.
            inputs: As in `apply`.

        Returns:
            A plain Keras model, not compiled.

        Raises:
            ValueError: As in `apply`; and if Keras takes no constraint of a
                weight, as a kernel with LoRA, or a `.keras` file would not
                have it, as one inside of `MultiHeadAttention`, by its path.
        """
        made = self.apply(model, inputs=inputs)
        copies = model_weights.model_weights(made)
        paths = model_weights.model_weights(model)
        names = dict(zip(paths, copies, strict=True))
        constraints.keep_zeros(
            made, {names[path]: value for path, value in self.values.items()}
        )
        return made

    def shrink(
        self, model: keras.Model, *, round_to: int = 1, inputs: Any = None
    ) -> smaller_model.SmallerModel:
        """Returns a smaller model that computes what `apply(model)` does.

        Units leave the network that keep no weight on one side: no incoming
        weight, so that they put out a constant, which the next layer's bias
        takes in; or no outgoing one. Those are neurons, channels, units of
        LSTM, GRU and SimpleRNN layers, and heads of `MultiHeadAttention`.
        `NeuronSelection.shrink` says what stays.

        >>> kernel = model.get_layer("hidden").kernel.numpy()
        >>> large = abs(kernel).sum(axis=0) > 2.5  # units with large weights
        >>> some = mtf.WeightMask(
        ...     {"hidden/kernel": np.broadcast_to(large, kernel.shape)}
        ... )
        >>> small = some.shrink(model)
        >>> small.model.get_layer("hidden").units == int(large.sum())
        True

        Args:
            model: Built Sequential or functional `keras.Model`, nested or not,
                that the mask fits. It is not changed.
            round_to: Positive int. Each layer keeps a multiple of so many
                units, or all that it has.
            inputs: Some of what `model` takes, to compare the two on; `None`
                to draw them.

        Returns:
            `SmallerModel`: its `model` is a plain Keras model.

        Raises:
            ValueError: As in `apply`; and if the model is subclassed, a layer
                would have no unit left, or a layer can't be made in another
                size, by its path.
        """
        shrinking.check_can_shrink(model)
        applied = self.apply(model, inputs=inputs)
        return smaller_model.shrunk(applied, None, round_to, inputs)

    def edges(self, model: keras.Model) -> dict[tuple[str, str], int]:
        """Returns how many kept weights lead from layer to layer.

        The graph of what the mask keeps: which layer still hears which. An
        edge's weights are those with which the one layer weighs units of the
        other, if the mask keeps some incoming weight of these. A unit is
        followed through activations, pooling, sums with other branches, and
        whatever else leaves it a unit; in a sum a layer reads all the branches.
        What mixes units, such as LayerNormalization, ends the way. Weights that
        are zero in the model lead nowhere, and weights that the mask does not
        cover count as kept.

        >>> kernel = model.get_layer("hidden").kernel.numpy()
        >>> some = mtf.WeightMask({"hidden/kernel": abs(kernel) > 0.1})
        >>> some.edges(model)
        {('hidden', 'output'): 320}

        Args:
            model: Built `keras.Model` that the mask fits.

        Returns:
            Dict from the paths of two layers, Conv or Dense the first, to the
            number of kept weights, 0 included. An edge is there for each layer
            that reads units of another, in the model's order.

        Raises:
            ValueError: If the mask does not fit, `model` does not know its
                inputs, a layer reads other units in another call, or no layer
                of several reads units that can be followed.
        """
        self.check_fits(model)
        weights = model_weights.model_weights(model)
        kept = {
            path: weight.variable.numpy() != 0
            for path, weight in weights.items()
        }
        for path, flags in self.values.items():
            kept[path] = kept[path] & flags
        kernels = activations.kernel_paths(model)
        paths = {id(x): p for p, x in activations.layers_of(model).items()}
        found: dict[tuple[str, str], int] = {}
        flow = unit_flow.follow(model, activations.trace(model))
        for reading in flow.readings:
            sources = {p for call in reading.calls for p, _ in call.pairs}
            for source in [p for p in kernels if p in sources]:
                units = kept[kernels[source]]
                units = units.reshape(-1, units.shape[-1]).any(axis=0)
                edge = source, paths[id(reading.layer)]
                count = np.sum(kept[reading.path] & reading.of({source: units}))
                found[edge] = found.get(edge, 0) + int(count)
        if not found and len({path.rpartition("/")[0] for path in weights}) > 1:
            raise ValueError(
                f"No layer of {model.name!r} reads units of a Conv or Dense "
                "layer that can be followed: what lies between mixes them, as "
                "attention, recurrent layers and LayerNormalization do."
            )
        return found

    def units(
        self,
        model: keras.Model,
        *,
        at_least: float | None = None,
        outputs: bool = False,
    ) -> neuron_selection.NeuronSelection:
        """Returns the neurons whose incoming weights the mask keeps.

        A unit of a recurrent layer has those of all its gates, from the inputs
        and from the units of the step before.

        Args:
            model: Built `keras.Model` that the mask fits.
            at_least: Float in (0, 1], the share of a neuron's incoming weights
                that must be kept. `None`: more than the mask keeps of the
                whole layer, so no neuron of one that is kept evenly or whole.
            outputs: Bool. Whether the output layers are looked at, too.

        Returns:
            `NeuronSelection` over the hidden Dense and recurrent layers and
            convolutions whose kernels are in the mask.

        Raises:
            ValueError: If the mask does not fit or has no such kernel, a layer
                has its channels first, or `at_least` is out of its range.
        """
        self.check_fits(model)
        if at_least is not None:
            at_least = checks.number("at_least", at_least, above=True, most=1)
        kernels = {
            layer: found
            for layer, found in activations.incoming_kernels(model).items()
            if all(path in self.values for path, _ in found)
        }
        layers = activations.layers_of(model)
        looked_at = {layer: layers[layer] for layer in kernels}
        if not outputs:
            looked_at = activations.hidden_layers(model, looked_at)
        chosen = {}
        for layer, own in looked_at.items():
            units = _units_of(own)
            kept = np.concatenate(
                [
                    np.moveaxis(self.values[path], axis, -1).reshape(-1, units)
                    for path, axis in kernels[layer]
                ]
            )
            shares = kept.mean(axis=0)
            if at_least is None:
                chosen[layer] = shares > kept.mean()
            else:
                chosen[layer] = shares >= at_least
        if not chosen:
            raise ValueError(
                "The mask has no kernel of a hidden layer with units of "
                f"{model.name!r}; it is over {[*self.values]}."
            )
        activations.refuse_channels_first(looked_at)
        provenance = {
            **part_set.told_alike(self),
            "method": "units of weights",
            "at_least": at_least,
        }
        return neuron_selection.NeuronSelection(chosen, provenance)

    def _shapes_in(self, model):
        return {
            path: tuple(weight.variable.shape)
            for path, weight in model_weights.model_weights(model).items()
        }


def _units_of(layer):
    """Returns how many units a layer has."""
    return getattr(layer, "units", None) or layer.filters


def task_record(task: Any) -> Any:
    """Returns the task of a mask as it is kept in the mask's provenance.

    Raises:
        ValueError: If it is no JSON value.
    """
    task = task.item() if isinstance(task, np.generic) else task
    try:
        json.dumps(task)
    except (TypeError, ValueError):
        raise ValueError(
            f"`task` must be a str or another JSON value, got {task!r}."
        ) from None
    return task


def given_or_empty(mask: Any, argument: str) -> WeightMask:
    """Returns a mask given as an argument; without weights for `None`.

    Raises:
        ValueError: If it is no `WeightMask`.
    """
    if mask is None:
        return WeightMask({})
    if isinstance(mask, WeightMask):
        return mask
    got = f"a {type(mask).__name__}"
    if isinstance(mask, (str, os.PathLike)):
        got = f"{mask!r}; a file is read by `WeightMask.load(file)`"
    raise ValueError(f"`{argument}` must be a WeightMask or `None`, got {got}.")

"""NeuronSelection: which neurons of a model a class uses, or a task needs.

References:
    - Elbastawisy and Afrin, 2025, "Exploring Modularity of Neural Networks
      through Neuron Subselection", section 4
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

from modularity_tf.findings import part_set, smaller_model
from modularity_tf.network import (
    constraints,
    layer_names,
    shrinking,
    surgery,
)


@keras.saving.register_keras_serializable(package="modularity_tf")
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class NeuronSelection(part_set.PartSet):
    """A set of neurons: for each layer, which of its units belong to it.

    An immutable value. Two selections over the same layers have `a | b`,
    `a & b` and `a - b`, and every selection has its complement `~a`. `overlap`
    says what two of them share, and `shuffled` makes a random one of the same
    size. `PartSet` has the other methods.

    Args:
        values: Dict from layer path to boolean array of shape `(units,)`.
        provenance: Dict of JSON values that says where the set comes from;
            `find_neurons` lists the keys.
        scores: Dict from layer path to float array of shape `(units,)`, how
            much each neuron matters; or `None`.
        off: Dict from layer path to boolean array of shape `(units,)`, the
            neurons that are surely inactive, none of which is in the set; or
            `None` where that is not known. `force` turns them off.

    Raises:
        ValueError: If an array is not boolean, `provenance` is not JSON,
            `scores` or `off` are not of these neurons, or a neuron is both in
            the set and off.

    >>> some = mtf.NeuronSelection({"hidden": np.arange(32) < 8})
    >>> some.keep_fraction
    0.25
    >>> without = some.remove_from(model)  # a plain Keras model
    """

    off: Mapping[str, np.ndarray] | None = None

    KIND = "neurons"
    OLD_KIND = "a neuron mask"  # a pair of sets, `on` and `off`

    def __post_init__(self):
        super().__post_init__()
        if self.off is None:
            return
        self._set("off", self._like("off", self.off, "b"))
        twice = [p for p, v in self.values.items() if (v & self.off[p]).any()]
        if twice:
            raise ValueError(
                f"No neuron can be in the set and `off`, but some of {twice} "
                "are."
            )

    def select(self, layers: str | Iterable[str]) -> "NeuronSelection":
        """Returns the part of the selection that lies in the named layers.

        Args:
            layers: Layer name or path, or an iterable of such.

        Raises:
            ValueError: If a name matches no layer of the selection.
        """
        return self._part(layer_names.find(self.values, layers))

    def apply(self, model: keras.Model, *, inputs: Any = None) -> keras.Model:
        """Returns the model with only these neurons of their layers.

        The other neurons of the layers contribute nothing: their weights and
        biases are 0, and so are gamma and beta of a BatchNormalization and the
        weights of a depthwise convolution behind them. A neuron that is off
        puts out act(0): 0 with ReLU. The output layer stays as it is. The
        constraints of `WeightMask.keep_zeros` are not in the model.

        Args:
            model: Built `keras.Model`. It is not changed.
            inputs: Some of what `model` takes, to check its copy on; `None` to
                draw them.

        Returns:
            A plain Keras model, not compiled.

        Raises:
            ValueError: If the selection does not fit, the model can't be
                copied or does not know its inputs, or its outputs are no
                layer's.

        References:
            - Elbastawisy and Afrin, 2025, section 4.1
        """
        made = surgery.keep(model, self.values, inputs)
        return constraints.take_off(made)

    def force(self, model: keras.Model, *, inputs: Any = None) -> keras.Model:
        """Returns the model with these neurons forced on, and `off` off.

        Neurons forced on have weights 0 and bias 1, those forced off weights 0
        and bias 0; the others stay. A neuron that is on puts out act(1).

        Args:
            model: As in `apply`.
            inputs: As in `apply`.

        Returns:
            A plain Keras model, not compiled.

        Raises:
            ValueError: As in `apply`; and if the selection does not tell which
                neurons are off, or a layer has no bias.

        References:
            - Elbastawisy and Afrin, 2025, section 4.2
        """
        if self.off is None:
            raise ValueError(
                "The selection does not tell which neurons are off: "
                '`find_neurons(..., method="bayesian")` does.'
            )
        made = surgery.force(model, self.values, self.off, inputs)
        return constraints.take_off(made)

    def remove_from(
        self, model: keras.Model, *, incoming: bool = False, inputs: Any = None
    ) -> keras.Model:
        """Returns the model without what these neurons pass on.

        Their outgoing weights and their own biases are zero; the output
        layer's neurons stay. See `network.surgery.remove`.

        Args:
            model: As in `apply`.
            incoming: Bool. Remove the incoming weights instead, which works in
                any architecture.
            inputs: As in `apply`.

        Returns:
            A plain Keras model, not compiled.

        Raises:
            ValueError: If the selection does not fit, the model can't be
                copied or does not know its inputs, or a neuron's way can't be
                followed, by the name of its layer.

        References:
            - Elbastawisy and Afrin, 2025, section 5.2
        """
        made = surgery.remove(model, self.values, incoming, inputs)
        return constraints.take_off(made)

    def shrink(
        self, model: keras.Model, *, round_to: int = 1, inputs: Any = None
    ) -> smaller_model.SmallerModel:
        """Returns a smaller model that computes what `apply(model)` does.

        The other neurons leave the network, with their weights, those of the
        layers behind that weigh them, and what normalizes them. A neuron that
        is off puts out a constant, act(0). Where that is not 0, the next
        layer's bias takes it in. A convolution that pads can't take it in:
        one such neuron stays then, and stands for the others. Neurons that
        share a place go together, as those of two layers that are added: they
        stay where one of them is kept. `summary()` says what stays, and why.

        >>> half = mtf.NeuronSelection({"hidden": np.arange(32) < 16})
        >>> small = half.shrink(model, round_to=8)
        >>> expected = half.apply(model)(images[:5])
        >>> np.allclose(small.model(images[:5]), expected, atol=1e-5)
        True

        Args:
            model: Built Sequential or functional `keras.Model`, nested or not.
                It is not changed.
            round_to: Positive int. Each layer keeps a multiple of so many
                neurons, or all that it has; attention any number of heads.
            inputs: Some of what `model` takes, to compare the two on; `None`
                to draw them. Of a model for any input size the multiply-adds
                are those of these inputs.

        Returns:
            `SmallerModel`: its `model` is a plain Keras model.

        Raises:
            ValueError: As in `apply`; and if the model is subclassed, a layer
                would have no neuron left, or a layer can't be made in another
                size, by its path.
        """
        shrinking.check_can_shrink(model)
        applied = self.apply(model, inputs=inputs)
        off = (~self).values
        return smaller_model.shrunk(applied, off, round_to, inputs)

    def check_fits(self, model: keras.Model) -> None:
        """Raises `ValueError` with the first layer that `model` has otherwise.

        Args:
            model: Built `keras.Model`.
        """
        surgery.check_fits(model, self.values)

    def _shapes_in(self, model):
        return {path: (n,) for path, n in surgery.sizes(model).items()}

    def summary(self) -> str:
        told = super().summary()
        if self.off is None:
            return told
        count = sum(int(flags.sum()) for flags in self.off.values())
        return f"{told} {count:,} others are surely off."

    def _more_columns(self):
        if self.off is None:
            return {}
        return {"surely off": {p: int(v.sum()) for p, v in self.off.items()}}

    def _packed(self):
        config, arrays = super()._packed()
        if self.off is not None:
            arrays["off"] = part_set.packed_bits(self.off)
        return config, arrays

    @classmethod
    def _unpacked(cls, config, arrays):
        if "on" in config:
            config, arrays = config["on"], {**arrays, "bits": arrays["on"]}
        found = super()._unpacked(config, arrays)
        if "off" not in arrays:
            return found
        off = part_set.unpacked_bits(arrays["off"], config["shapes"])
        return dataclasses.replace(found, off=off)

"""Which neurons does a class use? Two rules, and what they select.

References:
    - Elbastawisy and Afrin, 2025, "Exploring Modularity of Neural Networks
      through Neuron Subselection", section 4
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import rich.table

from modularity_tf import checks
from modularity_tf.findings import finding, part_set
from modularity_tf.network import activations, layer_names, surgery

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from modularity_tf.findings.weight_mask import WeightMask


@keras.saving.register_keras_serializable(package="modularity_tf")
class NeuronSelection(part_set.PartSet):
    """A set of neurons: for each layer, which of its units belong to it.

    An immutable value. Two selections over the same layers have `a | b`,
    `a & b` and `a - b`, and every selection has its complement `~a`. `overlap`
    says what two of them share, and `shuffled` makes a random one of the same
    size. `PartSet` has the other methods.

    Args:
        values: Dict from layer path to boolean array of shape `(units,)`.
        provenance: Dict of JSON values that says where the set comes from.

    >>> some = mtf.NeuronSelection({"hidden": np.arange(32) < 8})
    >>> some.keep_fraction
    0.25
    >>> without = some.remove_from(model)  # a plain Keras model
    """

    KIND = "neurons"

    def select(self, layers: str | Iterable[str]) -> "NeuronSelection":
        """Returns the part of the selection that lies in the named layers.

        Args:
            layers: Layer name or path, or an iterable of such.

        Raises:
            ValueError: If a name matches no layer of the selection.
        """
        chosen = layer_names.find(self.values, layers)
        return NeuronSelection(
            {path: self.values[path] for path in chosen}, self.provenance
        )

    def apply(self, model: keras.Model, *, inputs: Any = None) -> keras.Model:
        """Returns the model with only these neurons of their layers.

        See `subnetworks.build_subnetwork`.

        Args:
            model: Built `keras.Model`. It is not changed.
            inputs: Some of what `model` takes, to check its copy on; `None` to
                draw them.
        """
        return surgery.build_subnetwork(model, self, inputs)

    def remove_from(
        self, model: keras.Model, incoming: bool = False, *, inputs: Any = None
    ) -> keras.Model:
        """Returns the model without what these neurons pass on.

        See `subnetworks.ablate`.

        Args:
            model: Built `keras.Model`. It is not changed.
            incoming: Bool. Remove the incoming weights instead.
            inputs: As in `apply`.
        """
        return surgery.ablate(model, self, incoming, inputs)

    def weights(
        self, model: keras.Model, incoming: bool = True, outgoing: bool = True
    ) -> "WeightMask":
        """Returns the weights of these neurons, a `WeightMask` over kernels.

        Args:
            model: Built `keras.Model`.
            incoming: Bool. The weights that lead to the neurons.
            outgoing: Bool. Those through which they are heard.

        Raises:
            ValueError: If the selection does not fit, or it can't be followed
                where a neuron is heard, by the name of its layer.
        """
        return surgery.weights_of(model, self, incoming, outgoing)

    def check_fits(self, model: keras.Model) -> None:
        """Raises `ValueError` with the first layer that `model` has otherwise.

        Args:
            model: Built `keras.Model`.
        """
        layers = activations.neuron_layers(model)
        for path, value in self.values.items():
            if path not in layers:
                raise ValueError(
                    f"The selection does not fit {model.name!r}: it has no "
                    f"layer {path!r} of neurons. Its layers: {list(layers)}."
                )
            units = layers[path].kernel.shape[-1]
            if value.shape != (units,):
                raise ValueError(
                    f"The selection does not fit {model.name!r}: {path!r} has "
                    f"{units} units, the selection {value.shape}."
                )


@dataclasses.dataclass(frozen=True)
class NeuronMask(finding.Finding):
    """Which neurons of a model to force on, to force off, or to leave as is.

    Its `provenance` is that of `on`.

    >>> data = images, labels
    >>> found = mtf.find_neurons(model, data, label=3, method="bayesian")
    >>> (found.on & found.off).keep_fraction
    0.0
    >>> forced = found.apply(model)  # a plain Keras model

    Attributes:
        on: `NeuronSelection`, the active neurons.
        off: `NeuronSelection`, the inactive neurons; no neuron is in both.

    Raises:
        ValueError: If they are not disjoint, or not over the same layers.
    """

    on: NeuronSelection
    off: NeuronSelection

    KIND = "a neuron mask"

    def __post_init__(self):
        both = self.on & self.off  # refuses other layers
        twice = [path for path, v in both.values.items() if v.any()]
        if twice:
            raise ValueError(
                f"`on` and `off` must be disjoint, but meet in {twice}."
            )

    def __repr__(self):
        return (
            f"<NeuronMask of {self.on.size} neurons in {len(self.on.values)} "
            f"layers, {self.on.keep_fraction:.1%} forced on, "
            f"{self.off.keep_fraction:.1%} off>"
        )

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Dict of JSON values that says where the decision comes from."""
        return self.on.provenance

    def check_fits(self, model: keras.Model) -> None:
        self.on.check_fits(model)

    def apply(self, model: keras.Model, *, inputs: Any = None) -> keras.Model:
        """Returns the model with these neurons forced on and off.

        See `subnetworks.build_subnetwork`.

        Args:
            model: Built `keras.Model`. It is not changed.
            inputs: As in `NeuronSelection.apply`.
        """
        return surgery.build_subnetwork(model, self, inputs)

    def remove_from(
        self, model: keras.Model, incoming: bool = False, *, inputs: Any = None
    ) -> keras.Model:
        """Returns the model without what the neurons of `on` pass on."""
        return self.on.remove_from(model, incoming, inputs=inputs)

    def table(self) -> rich.table.Table:
        table = rich.table.Table(title="NeuronMask")
        table.add_column("where")
        for column in ("neurons", "on", "off", "unchanged"):
            table.add_column(column, justify="right")
        for path, on in self.on.values.items():
            counts = on.size, int(on.sum()), int(self.off.values[path].sum())
            table.add_row(
                path, *map(str, (*counts, counts[0] - sum(counts[1:])))
            )
        return table

    def plot(self) -> "Figure":
        from modularity_tf import plots  # and matplotlib with it

        return plots.grouped_bars(
            {
                name: 100 * np.array([[*chosen.keep_fractions().values()]])
                for name, chosen in (("on", self.on), ("off", self.off))
            },
            [*self.on.values],
            "neurons forced [%]",
            "NeuronMask",
        )

    def _packed(self):
        parts = {"on": self.on._packed(), "off": self.off._packed()}
        return (
            {name: config for name, (config, _) in parts.items()},
            {name: arrays["bits"] for name, (_, arrays) in parts.items()},
        )

    @classmethod
    def _unpacked(cls, config, arrays):
        return cls(
            *(
                NeuronSelection._unpacked(config[name], {"bits": arrays[name]})
                for name in ("on", "off")
            )
        )


def _of_layer(setting, path):
    return setting[path] if isinstance(setting, dict) else setting


def _check_setting(name, setting, layers):
    if isinstance(setting, dict) and setting.keys() != layers.keys():
        raise ValueError(
            f"`{name}` must have the layers {[*layers]}, got {[*setting]}."
        )
    for value in setting.values() if isinstance(setting, dict) else [setting]:
        checks.number(name, value, least=-math.inf)


def threshold_neurons(statistics, label, percentile=70.0):
    """Returns the neurons above a percentile of their layer (Algorithm 1).

    Args:
        statistics: `ClassStatistics`.
        label: Int, the class.
        percentile: Float in [0, 100]. A neuron is active where its mean
            |activation| is strictly above this percentile of its layer's.

    Returns:
        `NeuronSelection`.

    Raises:
        ValueError: If the class has no example, or `percentile` is out of
            range.

    References:
        - Elbastawisy and Afrin, 2025, section 4.1, Algorithm 1
    """
    percentile = checks.number("percentile", percentile, most=100)
    means, _ = statistics.of(label)
    label = int(label)
    return NeuronSelection(
        {
            path: values > np.percentile(values, percentile)
            for path, values in means.items()
        },
        {"method": "threshold", "label": label, "percentile": percentile},
    )


def bayesian_neuron_mask(statistics, label, t_high=0.55, t_low=1e-5, tau=0.8):
    """Returns which neurons to force on or off for a class (Algorithm 2).

    The mean |activation| of a neuron is taken to be normal around the sample
    mean mu, with its standard error SE:

        P_high = 1 - Phi((t_high - mu) / SE),  on where P_high > tau
        P_low = Phi((t_low - mu) / SE),        off where P_low > tau

    A standard error of 0 gives probabilities of 0, 1/2 (a tie) or 1. With many
    examples SE is tiny, and the decision is a threshold on the mean. A neuron
    that is strongly negative is on, then, not off.

    Args:
        statistics: `ClassStatistics`.
        label: Int, the class.
        t_high: Float, or a dict of such by layer path. The text gives none; by
            default that of the authors' released settings.
        t_low: Float, or a dict of such, likewise; below `t_high`.
        tau: Float in [0.5, 1), or a dict of such. The text's is 0.8.

    Returns:
        `NeuronMask`.

    Raises:
        ValueError: If the class has fewer than two examples, or an argument
            is out of its range.

    References:
        - Elbastawisy and Afrin, 2025, section 4.2, Algorithm 2
    """
    from tensorflow_probability import distributions as tfd

    means, errors = statistics.of(label)
    label = int(label)
    for name, setting in (("t_high", t_high), ("t_low", t_low), ("tau", tau)):
        _check_setting(name, setting, means)
    if statistics.counts[label] < 2:
        raise ValueError(f"Class {label} needs two examples or more.")
    limits = []  # t_high, t_low and tau, each once a neuron
    for path, mean in means.items():
        high, low, sure = (
            _of_layer(value, path) for value in (t_high, t_low, tau)
        )
        if not low < high or not 0.5 <= sure < 1:
            raise ValueError(
                "`t_low` must be below `t_high`, and `tau` in [0.5, 1); for "
                f"{path!r} they are {low!r}, {high!r} and {sure!r}."
            )
        limits.append(np.tile([[high], [low], [sure]], mean.size))
    high, low, sure = np.concatenate(limits, axis=1)
    mean, error = (
        np.concatenate([*values.values()]) for values in (means, errors)
    )
    tiny = np.finfo("float64").tiny ** 0.5  # SE = 0: no division by it
    normal = tfd.Normal(mean, np.maximum(error, tiny))
    ends = np.cumsum([values.size for values in means.values()])[:-1]
    on, off = (
        dict(zip(means, np.split(p.numpy() > sure, ends), strict=True))
        for p in (normal.survival_function(high), normal.cdf(low))
    )
    provenance = {"method": "bayesian", "label": label, "t_high": t_high}
    provenance |= {"t_low": t_low, "tau": tau}
    return NeuronMask(
        NeuronSelection(on, provenance), NeuronSelection(off, provenance)
    )

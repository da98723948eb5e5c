"""Which weights of a model stay, with some parts alone and without them."""

from collections.abc import Mapping

import keras
import numpy as np

from modularity_tf.findings import part_set
from modularity_tf.findings.neuron_selection import NeuronSelection
from modularity_tf.network import evaluation, surgery

Values = Mapping[str, np.ndarray]  # path -> bool array, of parts or weights


class KeptParts:
    """What stays of a model's weights with some of its parts, or without.

    Args:
        finding: `WeightMask` or `NeuronSelection`; the others are over the
            same parts.
        model: Built `keras.Model` that it fits.
        incoming: Bool, as in `NeuronSelection.remove_from`.

    Raises:
        ValueError: If the finding has no member that can be removed.
    """

    def __init__(
        self, finding: part_set.PartSet, model: keras.Model, incoming: bool
    ) -> None:
        self._surgery: surgery.Surgery | None = None
        self._values = finding.values
        if isinstance(finding, NeuronSelection):
            self._surgery = surgery.Surgery(model, finding.values, incoming)
        none = {path: np.zeros_like(v) for path, v in finding.values.items()}
        self.nothing = self.alone(none)
        # Neurons of an output layer stay whatever a selection says.
        self.paths = [
            path
            for path in finding.values
            if self._surgery is None or path in self._surgery.hidden
        ]
        if not any(finding.values[path].any() for path in self.paths):
            raise ValueError(
                "`finding` has no member that can be removed: there is "
                "nothing to check."
            )

    def alone(self, values: Values) -> Values:
        """Returns what stays of the weights with these parts alone."""
        return self._surgery.alone(values) if self._surgery else values

    def without(self, values: Values) -> Values:
        """Returns what stays of the weights without these parts."""
        if self._surgery:
            return self._surgery.without(values)
        return {path: ~value for path, value in values.items()}

    def flat(self, values: Values) -> np.ndarray:
        """Returns values of all parts that can be removed, one array."""
        return np.concatenate([np.ravel(values[p]) for p in self.paths])

    def nest(self, flat: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the values that `flat` took apart; others as found."""
        values, start = dict(self._values), 0
        for path in self.paths:
            size = values[path].size
            part = flat[start : start + size]
            values[path] = part.reshape(values[path].shape)
            start += size
        return values

    def count(self, network: evaluation.OnExamples, seed: int) -> Values:
        """Returns which parts the outputs notice, as `values` has them."""
        if self._surgery is None:
            return network.notice(self._values, seed)
        units = {path: self._surgery.units(path) for path in self.paths}
        kernels = {p: own.weights[0] for p, own in units.items()}
        noticed = network.notice([k.path for k in kernels.values()], seed)
        return {
            path: kernel.gathered(noticed[kernel.path], units[path].size)
            for path, kernel in kernels.items()
        }

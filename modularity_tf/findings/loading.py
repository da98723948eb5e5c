"""load: reads a finding of whatever kind from its file."""

import os

import keras

from modularity_tf.findings import finding
from modularity_tf.findings.neuron_selection import NeuronSelection
from modularity_tf.findings.unit_clusters import UnitClusters
from modularity_tf.findings.weight_mask import WeightMask

_KINDS: dict[str | None, type[finding.Finding]] = {
    name: kind
    for kind in (WeightMask, NeuronSelection, UnitClusters)
    for name in (kind.KIND, kind.OLD_KIND)
    if name
}


def load(
    file: str | os.PathLike[str], model: keras.Model | None = None
) -> finding.Finding:
    """Reads a finding of whatever kind.

    Args:
        file: Str or path.
        model: As in `Finding.load`.

    Returns:
        `WeightMask`, `NeuronSelection` or `UnitClusters`, whatever was saved.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: As in `Finding.load`.
    """
    kind = _KINDS.get(finding.kind_of(file), finding.Finding)
    return kind.load(file, model)

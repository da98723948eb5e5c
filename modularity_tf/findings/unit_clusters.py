"""Which units of one's own model act alike, once or in every epoch.

References:
    - Lange et al., 2022, "Clustering Units in Neural Networks: Upstream vs
      Downstream Information", section 3
"""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import rich.table
import tensorflow as tf
from keras import ops

from modularity_tf import checks
from modularity_tf.findings import finding, neuron_selection
from modularity_tf.network import (
    activations,
    batches,
    layer_names,
    model_weights,
)
from modularity_tf.units import clustering, similarity

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True, eq=False)
class UnitClusters(finding.Finding):
    """The clusters into which the units of a layer fall.

    An immutable value: its arrays can't be written to.

    >>> found = mtf.find_units(model, (images, labels))["hidden"]
    >>> sum(found.sizes) + len(found.unused)
    32
    >>> first = found.members(0)  # a NeuronSelection

    Attributes:
        layer: Str, its path.
        measure: Str, one of `similarity.MEASURES`.
        similarity: Float64 array of shape `(units, units)`, how alike each two
            units are.
        clusters: Int array of shape `(units,)`; -1 for unused units, which
            are similar to no other.
        modularity: Float, Newman's Q: how much more of the similarity lies
            inside the clusters than chance would have there.
        provenance: Dict of JSON values that says where they come from.
    """

    layer: str
    measure: str
    similarity: np.ndarray
    clusters: np.ndarray
    modularity: float
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    KIND = "clusters of units"

    def __post_init__(self):
        for name, dtype in (("similarity", "float64"), ("clusters", "int64")):
            array = np.array(getattr(self, name), dtype)
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        provenance = finding.as_provenance(self.provenance)
        object.__setattr__(self, "provenance", provenance)

    def __repr__(self):
        sizes = "+".join(map(str, self.sizes))
        return (
            f"<UnitClusters of the {len(self.clusters)} units of "
            f"{self.layer!r} by {self.measure}: {sizes}, "
            f"{len(self.unused)} unused, Q = {self.modularity:.3f}>"
        )

    @property
    def sizes(self) -> list[int]:
        """List of int, the units in each cluster."""
        return np.bincount(self.clusters[self.clusters >= 0]).tolist()

    def members(self, cluster: int) -> neuron_selection.NeuronSelection:
        """Returns the units of one cluster, a `NeuronSelection`.

        Args:
            cluster: Int, its label; -1 for the unused units.

        Raises:
            ValueError: If there is no such cluster.
        """
        label = checks.integer("cluster", cluster, -1, len(self.sizes))
        return neuron_selection.NeuronSelection(
            {self.layer: self.clusters == label},
            {"cluster": label, "measure": self.measure, **self.provenance},
        )

    def check_fits(self, model: keras.Model) -> None:
        """Raises `ValueError` if the model has no such layer of such a size.

        Args:
            model: Built `keras.Model`.
        """
        layers = activations.choose_layers(model, self.layer, "layer")
        units = {
            getattr(layer, "units", None) or layer.filters
            for layer in layers.values()
            if activations.is_neuronal(layer)
        }
        if self.layer not in layers or units - {len(self.clusters)}:
            raise ValueError(
                f"The clusters do not fit {model.name!r}: they are of "
                f"{len(self.clusters)} units of {self.layer!r}, which has "
                f"{sorted(units)}."
            )

    def table(self) -> rich.table.Table:
        table = rich.table.Table(
            title=f"{self.layer} by {self.measure}, Q = {self.modularity:.3f}"
        )
        table.add_column("cluster")
        table.add_column("units", justify="right")
        for label, size in enumerate(self.sizes):
            table.add_row(str(label), str(size))
        table.add_row("unused", str(len(self.unused)))
        return table

    @property
    def num_clusters(self) -> float:
        """Float, the effective number of clusters (equation 8)."""
        return clustering.num_clusters(self.clusters)

    @property
    def unused(self) -> np.ndarray:
        """Int array, the indices of the units similar to no other."""
        return np.flatnonzero(self.clusters < 0)

    def plot(self) -> "Figure":
        """Returns the similarity sorted by cluster, a matplotlib `Figure`."""
        from modularity_tf import plots  # and matplotlib with it

        name = self.measure.replace("_", " ")
        title = f"{self.layer}: {name}, Q = {self.modularity:.3f}"
        return plots.clustered_similarity(self.similarity, self.clusters, title)

    def _packed(self):
        config = {
            name: getattr(self, name)
            for name in ("layer", "measure", "modularity", "provenance")
        }
        return config, {
            "similarity": self.similarity,
            "clusters": self.clusters,
        }

    @classmethod
    def _unpacked(cls, config, arrays):
        return cls(
            config["layer"],
            config["measure"],
            arrays["similarity"],
            arrays["clusters"],
            config["modularity"],
            config["provenance"],
        )


class UnitModularity(keras.callbacks.Callback):
    """Follows how modular the units of each layer are, in any training.

    After every epoch it adds `modularity/LAYER`, Newman's Q, and
    `num_clusters/LAYER` to the logs, so that `History` and progress bars show
    them, and writes them to TensorBoard, at the optimizer's step. A layer of
    which all units are unused has a Q of NaN and no cluster.

    Args:
        data: Held-out arrays `(inputs, labels)` or batches of them, as in
            `network.batches`, gone through every epoch.
        layers: Names or paths of layers, as in `activations.unit_layers`;
            `None` for the hidden Conv and Dense layers.
        measure: One of `similarity.MEASURES`.
        steps: Int, Monte Carlo steps of `clustering.find_clusters`.
        seed: Int, of these steps.
        restarts: Int, of the search: 0 as in the paper; some find a higher Q
            where there is little structure.
        log_dir: Str or path, the folder of the event files, or `None` for no
            files.

    Raises:
        ValueError: If the measure is unknown or `data` can be gone through
            only once. Before training: if a layer is unknown, or has its
            channels first.
            After an epoch: if an activation is NaN.

    References:
        - Lange et al., 2022, section 3.2
    """

    def __init__(
        self,
        data,
        layers=None,
        measure="normalized_covariance",
        steps=1000,
        seed=0,
        restarts=0,
        log_dir=None,
    ):
        super().__init__()
        check_measure(measure)
        clustering.check_search(steps, seed=seed, restarts=restarts)
        if not batches.is_arrays(data):
            batches.check_batches("data", data)
            batches.check_repeats("data", data)
            batches.check_ends("data", data)
        if layers is not None:
            layers = layer_names.as_names(layers, "layers")
        self._layers, self._data = layers, data
        self._measure = measure
        self._search = {"steps": steps, "seed": seed, "restarts": restarts}
        self._log_dir, self._writer = log_dir, None
        self._similarities = None  # traced once a training

    def on_train_begin(self, logs=None):
        self._similarities = None
        if self.model.built:  # else the first epoch ends with the same check
            chosen = activations.choose_layers(self.model, self._layers)
            activations.refuse_channels_first(chosen)
        if self._log_dir is not None:
            self._writer = tf.summary.create_file_writer(str(self._log_dir))

    def on_epoch_end(self, epoch, logs=None):
        found = {}
        if self._similarities is None:
            self._similarities = similarity.UnitSimilarities(
                self.model,
                self._layers,
                measures=[self._measure],
                activated=True,
            )
        similarities = self._similarities(self._data)
        for result in cluster_layers(self.model, similarities, self._search):
            found[f"modularity/{result.layer}"] = result.modularity
            found[f"num_clusters/{result.layer}"] = result.num_clusters
        if logs is not None:
            logs.update(found)
        if self._writer is not None:
            step = int(ops.convert_to_numpy(self.model.optimizer.iterations))
            with self._writer.as_default(step=step):
                for name, value in found.items():
                    tf.summary.scalar(name, value)

    def on_train_end(self, logs=None):
        self._similarities = None
        if self._writer is not None:
            self._writer.close()


def cluster_layers(model, similarities, search):
    """Returns `UnitClusters`, one a layer.

    Args:
        model: Built `keras.Model`.
        similarities: What `similarity.unit_similarities` returns, by one
            measure.
        search: Dict of `steps`, `seed` and `restarts` of
            `clustering.find_clusters`.
    """
    results = []
    provenance = {
        "model": model.name,
        "model_fingerprint": model_weights.fingerprint(model),
        **search,
    }
    for layer, matrices in similarities.items():
        ((measure, matrix),) = matrices.items()
        clusters = clustering.find_clusters(matrix, **search)
        q = clustering.modularity(matrix, clusters)
        results.append(
            UnitClusters(layer, measure, matrix, clusters, q, provenance)
        )
    return results


def check_measure(measure):
    """Raises `ValueError` if a measure is unknown."""
    if measure not in similarity.MEASURES:
        raise ValueError(
            f"`measure` must be one of {similarity.MEASURES}, got {measure!r}."
        )

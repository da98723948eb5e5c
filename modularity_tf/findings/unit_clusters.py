"""UnitClusters: which units of a model act alike, layer by layer.

References:
    - Lange et al., 2022, "Clustering Units in Neural Networks: Upstream vs
      Downstream Information", section 3
"""

import dataclasses
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import rich.markup
import rich.table

from modularity_tf import checks
from modularity_tf.findings import finding, neuron_selection
from modularity_tf.network import activations

if TYPE_CHECKING:  # matplotlib is imported to draw
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True, eq=False)
class LayerClusters:
    """The clusters into which the units of one layer fall.

    An immutable value: its arrays can't be written to.

    Attributes:
        layer: Str, its path.
        measure: Str, "covariance", "input_sensitivity", "output_sensitivity"
            or "loss_hessian", or one of these with "normalized_" before it.
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

    def __post_init__(self):
        if np.size(self.clusters):
            checked_labels(self.clusters)
        for name, dtype in (("similarity", "float64"), ("clusters", "int64")):
            array = np.array(getattr(self, name), dtype)
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        provenance = finding.as_provenance(self.provenance)
        object.__setattr__(self, "provenance", provenance)
        units = len(self.clusters)
        shapes = self.similarity.shape, self.clusters.shape
        if shapes != ((units, units), (units,)):
            raise ValueError(
                "`similarity` must be of shape (units, units) and `clusters` "
                f"of shape (units,), got {shapes[0]} and {shapes[1]}."
            )

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and all(
            np.array_equal(
                getattr(self, f.name),
                getattr(other, f.name),
                equal_nan=f.name == "modularity",  # NaN where all are unused
            )
            for f in dataclasses.fields(self)
        )

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self):  # arrays that were pickled can be written to
        fields = dataclasses.fields(self)
        return type(self), tuple(getattr(self, f.name) for f in fields)

    def __repr__(self):
        sizes = "+".join(map(str, self.sizes))
        return (
            f"<LayerClusters of the {len(self.clusters)} units of "
            f"{self.layer!r} by {self.measure}: {sizes}, "
            f"{len(self.unused)} unused, Q = {self.modularity:.3f}>"
        )

    @property
    def sizes(self) -> list[int]:
        """List of int, the units in each cluster, in the order of labels."""
        return np.bincount(self.clusters[self.clusters >= 0]).tolist()

    @property
    def num_clusters(self) -> float:
        """Float, the effective number of clusters (equation 8)."""
        return effective_number(self.clusters)

    @property
    def unused(self) -> np.ndarray:
        """Int array, the indices of the units similar to no other."""
        return np.flatnonzero(self.clusters < 0)

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

    def plot(self) -> "Figure":
        """Returns the similarity sorted by cluster, a matplotlib `Figure`."""
        from modularity_tf import plots  # and matplotlib with it

        return plots.clustered_similarities([self._panel()])

    def _panel(self):
        name = self.measure.replace("_", " ")
        title = f"{self.layer}: {name}, Q = {self.modularity:.3f}"
        return self.similarity, self.clusters, title


class UnitClusters(finding.Finding, Mapping[str, LayerClusters]):
    """The clusters into which the units of layers fall, by layer.

    An immutable value, and a mapping from layer path to `LayerClusters`; the
    name of a layer will do where no other has it.

    >>> clusters = mtf.find_units(model, (images, labels))
    >>> hidden = clusters["hidden"]
    >>> sum(hidden.sizes) + len(hidden.unused)
    32
    >>> first = hidden.members(0)  # a NeuronSelection

    Args:
        layers: Iterable of `LayerClusters`, one for each layer.

    Raises:
        ValueError: If two are of the same layer.
    """

    KIND = "clusters of units"

    def __init__(self, layers: Iterable[LayerClusters]):
        layers = tuple(layers)
        if not all(isinstance(each, LayerClusters) for each in layers):
            raise ValueError(f"`layers` must be LayerClusters, got {layers!r}.")
        self._layers = types.MappingProxyType(
            {each.layer: each for each in layers}
        )
        if len(self._layers) < len(layers):
            names = [each.layer for each in layers]
            raise ValueError(f"Each layer can be there once, got {names}.")

    def __getitem__(self, layer: str) -> LayerClusters:
        named = [p for p in self._layers if p.rpartition("/")[2] == layer]
        path = named[0] if len(named) == 1 else layer
        if path not in self._layers:
            raise KeyError(
                f"There are no clusters of {layer!r}, but of {[*self]}."
            )
        return self._layers[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self):
        return f"<UnitClusters: {', '.join(map(repr, self.values()))}>"

    def __reduce__(self):  # a mapping proxy can't be pickled
        return type(self), ([*self.values()],)

    @property
    def provenance(self) -> Mapping[str, Any]:  # type: ignore[override]
        """Dict of JSON values, that of the first layer; `{}` without layers."""
        return next((each.provenance for each in self.values()), {})

    def check_fits(self, model: keras.Model) -> None:
        """Raises `ValueError` with the first layer that `model` has otherwise.

        Args:
            model: Built `keras.Model`.
        """
        for each in self.values():
            each.check_fits(model)

    def summary(self) -> str:
        """Returns the clusters and Q of each layer, in a sentence for each."""
        told = []
        for each in self.values():
            sizes = [*map(str, filter(None, each.sizes))]  # of used labels
            clusters = f"{len(sizes)} clusters of {', '.join(sizes)} units"
            if len(sizes) == 1:
                clusters = f"one cluster of {sizes[0]} units"
            if not sizes:
                clusters = "no cluster"
            told.append(
                f"{each.layer}: {clusters} by {each.measure} "
                f"(Q = {each.modularity:.3f}), {len(each.unused)} unused."
            )
        return " ".join(told) or "No layer has clusters here."

    def table(self) -> rich.table.Table:
        """Returns the sizes of all clusters as a `rich.table.Table`."""
        table = rich.table.Table(title="UnitClusters")
        for column in ("layer", "measure"):
            table.add_column(column)
        for column in ("Q", "cluster", "units"):
            table.add_column(column, justify="right")
        for each in self.values():
            table.add_section()
            where = rich.markup.escape(each.layer)
            first = where, each.measure, f"{each.modularity:.3f}"
            used = [pair for pair in enumerate(each.sizes) if pair[1]]
            for label, size in [*used, ("unused", len(each.unused))]:
                table.add_row(*first, str(label), str(size))
                first = "", "", ""
        return table

    def plot(self) -> "Figure":
        """Returns each similarity sorted by cluster, a matplotlib `Figure`."""
        if not self:
            raise ValueError("There is no layer to plot.")
        from modularity_tf import plots  # and matplotlib with it

        return plots.clustered_similarities(
            [each._panel() for each in self.values()]
        )

    def _packed(self):
        names = ("layer", "measure", "modularity", "provenance")
        config = {
            "layers": [
                {name: getattr(each, name) for name in names}
                for each in self.values()
            ]
        }
        return config, {
            f"{name}/{i}": getattr(each, name)
            for i, each in enumerate(self.values())
            for name in ("similarity", "clusters")
        }

    @classmethod
    def _unpacked(cls, config, arrays):
        if "layers" not in config:  # of one layer, as 0.1 wrote them
            config = {"layers": [config]}
            arrays = {f"{name}/0": value for name, value in arrays.items()}
        return cls(
            LayerClusters(
                each["layer"],
                each["measure"],
                arrays[f"similarity/{i}"],
                arrays[f"clusters/{i}"],
                each["modularity"],
                each["provenance"],
            )
            for i, each in enumerate(config["layers"])
        )


def checked_labels(clusters: Any) -> np.ndarray:
    """Returns labels of clusters, -1 for unused units, as an int64 array.

    Args:
        clusters: Array of ints, or a list of such.

    Raises:
        ValueError: If they are no ints of at least -1.
    """
    clusters = np.asarray(clusters)
    if clusters.dtype.kind not in "iu" or np.any(clusters < -1):
        raise ValueError(
            "`clusters` must be ints from -1 (unused), got "
            f"{clusters.dtype} {clusters!r}."
        )
    return clusters.astype(np.int64)


def effective_number(clusters: np.ndarray) -> float:
    """Returns exp(entropy of the clusters' sizes), the label -1 left out.

    exp(-sum_c r_c log r_c), r_c the share of units in cluster c.

    Args:
        clusters: Int array of shape `(units,)`, labels.

    Returns:
        Float, from 1 to the number of clusters; 0 if all units are left out.

    References:
        - Lange et al., 2022, equation 8
    """
    sizes = np.unique(clusters[clusters >= 0], return_counts=True)[1]
    share = sizes / sizes.sum()
    return float(np.exp(-np.sum(share * np.log(share)))) if len(sizes) else 0.0

"""Which units of one's own model act alike, once or in every epoch.

References:
    - Lange et al., 2022, "Clustering Units in Neural Networks: Upstream vs
      Downstream Information", section 3
"""

import collections.abc
import dataclasses

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from modularity_tf.parts import activations, layer_names
from modularity_tf.units import clustering, similarity


@dataclasses.dataclass(frozen=True)
class UnitClusters:
    """The clusters of the units of a layer.

    Attributes:
        layer: Str, its path.
        measure: Str, one of `similarity.MEASURES`.
        similarity: Float64 array of shape `(units, units)`.
        clusters: Int array of shape `(units,)`; -1 for unused units, which
            are similar to no other.
        modularity: Float, Newman's Q.
    """

    layer: str
    measure: str
    similarity: np.ndarray
    clusters: np.ndarray
    modularity: float

    @property
    def num_clusters(self):
        """Float, the effective number of clusters (equation 8)."""
        return clustering.num_clusters(self.clusters)

    @property
    def unused(self):
        """Int array, the indices of the units similar to no other."""
        return np.flatnonzero(self.clusters < 0)

    def plot(self):
        """Returns the similarity sorted by cluster, a matplotlib `Figure`."""
        from modularity_tf import plots  # and matplotlib with it

        name = self.measure.replace("_", " ")
        title = f"{self.layer}: {name}, Q = {self.modularity:.3f}"
        return plots.clustered_similarity(self.similarity, self.clusters, title)


def cluster_units(
    model,
    layer,
    data,
    measure="normalized_covariance",
    steps=1000,
    seed=0,
    loss=None,
    restarts=0,
):
    """Returns which units of a layer act alike.

    Args:
        model: Built `keras.Model`.
        layer: Name or path of a layer; the channels of a convolution are its
            units.
        data: Iterable of `(inputs, labels)` batches, a `tf.data.Dataset` say.
        measure: One of `similarity.MEASURES`.
        steps: Int, Monte Carlo steps of `clustering.find_clusters`.
        seed: Int, of these steps.
        loss: Loss for the loss Hessian, `None` for the compiled one.
        restarts: Int, of the search: 0 as in the paper; some find a higher Q
            where there is little structure.

    Returns:
        `UnitClusters`.

    Raises:
        ValueError: If the layer or the measure is unknown, the name means
            several layers, or an activation is NaN.

    References:
        - Lange et al., 2022, section 3
    """
    search = {"steps": steps, "seed": seed, "restarts": restarts}
    chosen = activations.choose_layers(model, layer, "layer")
    if len(chosen) > 1:
        raise ValueError(
            f"`layer`={layer!r} means {len(chosen)} layers; choose one of "
            f"{[*chosen]}."
        )
    _check_measure(measure)
    similarities = similarity.unit_similarities(
        model, data, chosen, loss, [measure]
    )
    (result,) = _cluster(similarities, search)
    return result


class UnitModularity(keras.callbacks.Callback):
    """Follows how modular the units of each layer are, in any training.

    After every epoch it adds `modularity/LAYER`, Newman's Q, and
    `num_clusters/LAYER` to the logs, so that `History` and progress bars show
    them, and writes them to TensorBoard, at the optimizer's step. A layer of
    which all units are unused has a Q of NaN and no cluster.

    Args:
        data: Iterable of `(inputs, labels)` batches of held-out data, gone
            through every epoch: a `tf.data.Dataset` or a list.
        layers: Names or paths of layers, as in `activations.choose_layers`;
            `None` for the hidden Conv and Dense layers.
        measure: One of `similarity.MEASURES`.
        steps: Int, Monte Carlo steps of `clustering.find_clusters`.
        seed: Int, of these steps.
        restarts: As in `cluster_units`.
        log_dir: Str or path, the folder of the event files, or `None` for no
            files.

    Raises:
        ValueError: If the measure is unknown or `data` can be gone through
            only once. Before training: if a layer is unknown.
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
        _check_measure(measure)
        clustering.check_search(steps, seed=seed, restarts=restarts)
        is_iterable = hasattr(data, "__iter__")
        if not is_iterable or isinstance(data, collections.abc.Iterator):
            raise ValueError(
                "`data` must be batches that can be gone through every epoch; "
                f"make a generator a list. Got {data!r}."
            )
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
            activations.choose_layers(self.model, self._layers)
        if self._log_dir is not None:
            self._writer = tf.summary.create_file_writer(str(self._log_dir))

    def on_epoch_end(self, epoch, logs=None):
        found = {}
        if self._similarities is None:
            self._similarities = similarity.UnitSimilarities(
                self.model, self._layers, measures=[self._measure]
            )
        for result in _cluster(self._similarities(self._data), self._search):
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


def _cluster(similarities, search):
    """Returns `UnitClusters`, one a layer, of one measure."""
    results = []
    for layer, matrices in similarities.items():
        ((measure, matrix),) = matrices.items()
        clusters = clustering.find_clusters(matrix, **search)
        q = clustering.modularity(matrix, clusters)
        results.append(UnitClusters(layer, measure, matrix, clusters, q))
    return results


def _check_measure(measure):
    if measure not in similarity.MEASURES:
        raise ValueError(
            f"`measure` must be one of {similarity.MEASURES}, got {measure!r}."
        )

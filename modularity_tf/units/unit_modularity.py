"""UnitModularity: how modular the units of layers are, in every epoch.

References:
    - Lange et al., 2022, "Clustering Units in Neural Networks: Upstream vs
      Downstream Information", section 3
"""

import os
from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from modularity_tf import checks
from modularity_tf.findings.unit_clusters import LayerClusters, UnitClusters
from modularity_tf.network import (
    activations,
    batches,
    layer_names,
    model_weights,
    progress,
)
from modularity_tf.units import clustering, similarity


class UnitModularity(keras.callbacks.Callback):
    """Follows how modular the units of each layer are, in any training.

    After every epoch it adds `modularity/LAYER`, Newman's Q, and
    `num_clusters/LAYER` to the logs, so that `History` and progress bars show
    them, and writes them to TensorBoard, at the optimizer's step. A layer of
    which all units are unused has a Q of NaN and no cluster.

    >>> watch = mtf.UnitModularity((images, labels), steps=10, restarts=0)
    >>> history = model.fit(images, labels, callbacks=[watch], verbose=0)
    >>> [*history.history]
    ['accuracy', 'loss', 'modularity/hidden', 'num_clusters/hidden']

    Args:
        data: Held-out arrays `(inputs, labels)`, or batches of them that can
            be gone through again: a list or a `tf.data.Dataset`, say.
        layers: Names or paths of layers; `None` for the hidden Conv and Dense
            layers.
        measure: "covariance", "input_sensitivity", "output_sensitivity"
            or "loss_hessian", or one of these with "normalized_" before it.
        steps: Int, Monte Carlo steps of `clustering.find_clusters`.
        seed: Int, of these steps.
        restarts: Int, of the search; the paper has none. Some find a higher Q
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
        data: batches.Data,
        *,
        layers: str | Iterable[str] | None = None,
        measure: str = "covariance",
        steps: int = 1000,
        restarts: int = 10,
        seed: int | None = 0,
        log_dir: str | os.PathLike[str] | None = None,
    ):
        super().__init__()
        check_measure(measure)
        seed = checks.seed(seed)
        clustering.check_search(steps, restarts=restarts)
        if not batches.is_arrays(data):
            batches.check_batches("data", data)
            batches.check_repeats("data", data)
            batches.check_ends("data", data)
        if layers is not None:
            layers = layer_names.as_names(layers, "layers")
        self._layers, self._data = layers, data
        self._measure = measure
        search = {"steps": steps, "seed": seed, "restarts": restarts}
        self._search = {name: int(value) for name, value in search.items()}
        self._log_dir, self._writer = log_dir, None
        # Traced once a training.
        self._similarities: similarity.UnitSimilarities | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._similarities = None
        if self.model.built:  # else the first epoch ends with the same check
            chosen = activations.choose_layers(self.model, self._layers)
            activations.refuse_channels_first(chosen)
        if self._log_dir is not None:
            self._writer = tf.summary.create_file_writer(str(self._log_dir))

    def on_epoch_end(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        found = {}
        if self._similarities is None:
            self._similarities = similarity.UnitSimilarities(
                self.model,
                layers=self._layers,
                measures=[self._measure],
                activated=True,
            )
        found_now = self._similarities(self._data)
        clusters = cluster_layers(self.model, found_now, self._search)
        for result in clusters.values():
            found[f"modularity/{result.layer}"] = result.modularity
            found[f"num_clusters/{result.layer}"] = result.num_clusters
        if logs is not None:
            logs.update(found)
        if self._writer is not None:
            step = int(ops.convert_to_numpy(self.model.optimizer.iterations))
            with self._writer.as_default(step=step):
                for name, value in found.items():
                    tf.summary.scalar(name, value)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._similarities = None
        if self._writer is not None:
            self._writer.close()


def cluster_layers(
    model: keras.Model,
    similarities: dict[str, Any],
    search: dict[str, int],
    *,
    verbose: int = 0,
) -> UnitClusters:
    """Returns the clusters of layers.

    Args:
        model: Built `keras.Model`.
        similarities: What `similarity.unit_similarities` returns, by one
            measure.
        search: Dict of `steps`, `seed` and `restarts` of
            `clustering.find_clusters`.
        verbose: Int. With 1 a bar shows the layers from 5 seconds on.
    """
    provenance = {
        "model": model.name,
        "model_fingerprint": model_weights.fingerprint(model),
        **search,
    }
    results = []
    for layer, matrices in progress.shown(
        similarities.items(), "layer", len(similarities), verbose
    ):
        ((measure, matrix),) = matrices.items()
        clusters = clustering.find_clusters(matrix, **search)
        q = clustering.modularity(matrix, clusters)
        results.append(
            LayerClusters(layer, measure, matrix, clusters, q, provenance)
        )
    return UnitClusters(results)


def check_measure(measure: str) -> None:
    """Raises `ValueError` if a measure is unknown."""
    if measure not in similarity.MEASURES:
        raise ValueError(
            f"`measure` must be one of {similarity.MEASURES}, got {measure!r}."
        )

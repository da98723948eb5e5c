"""Scores and clusters of networks: the analysis of unit_clustering.

The functions take the `Config` of `stages`.
"""

import itertools
from concurrent import futures

import numpy as np
import threadpoolctl
from scipy import special

from modularity_tf.units import clustering, similarity
from reproduce.publishing.records import without_nan
from reproduce.running import provenance

PAIRS = tuple(itertools.combinations(range(len(similarity.MEASURES)), 2))
EXAMPLE = "normalized_covariance"  # of figure 3, in the first layer
SPARSE = 1e-3  # a weight within +-SPARSE counts as zero (figure S1)


def analyze(config, test, networks, seed, min_accuracy=0.0, examples=()):
    """Returns scores and clusters of networks, a dict of JSON values each.

    Args:
        config: `Config`.
        test: `Split` to score on and to compute similarities from: held out.
        networks: Pairs `(kernels, biases)` as `stacked_mlp.weights` returns.
        seed: Int, of the searches and the subsamples.
        min_accuracy: Float. Networks below have their scores alone.
        examples: Indices of networks whose matrix of figure 3 is kept.

    Returns:
        List of what `score` returns; with `layers`, a list of what
        `cluster_layer` returns; and the `example`. `None` stands for NaN: a
        layer whose units are all dead has no clusters.
    """
    rows = slice(config.score_images or None)
    labels = test.labels[rows]
    images = test.images[rows].reshape(len(labels), -1) / np.float32(255)
    records = [score(*network, images, labels) for network in networks]
    kept = [i for i, r in enumerate(records) if r["accuracy"] >= min_accuracy]
    # A thread a network: products as small as these lose by sharing one, many
    # times over where other processes want the cores as well.
    with (
        threadpoolctl.threadpool_limits(1, "blas"),
        futures.ThreadPoolExecutor(provenance.available_cores()) as pool,
    ):
        found = list(
            pool.map(
                lambda i: similarity.relu_similarities(*networks[i], images),
                kept,
            )
        )
    for i in kept:
        records[i]["layers"] = []
    rng = np.random.default_rng(seed)
    for layer in range(len(config.sizes) if kept else 0):
        matrices = np.array(
            [[each[layer][m] for m in similarity.MEASURES] for each in found]
        )
        layers, clusters = cluster_layer(config, matrices, rng)
        for k, i in enumerate(kept):
            records[i]["layers"].append(layers[k])
            if layer == 0 and i in examples:
                own = similarity.MEASURES.index(EXAMPLE)
                records[i]["example"] = sort_by_cluster(
                    matrices[k, own], clusters[k, own]
                )
    return without_nan(records)


def cluster_layer(config, matrices, rng):
    """Clusters the units of a layer in many networks, by every measure.

    Args:
        config: `Config`.
        matrices: Float64 array `(networks, measures, units, units)`.
        rng: NumPy generator.

    Returns:
        A list with a dict of JSON values for each network, and the clusters,
        an int array `(networks, measures, units)`. In the dict `q`,
        `q_spectral` (Q of the spectral step alone), `clusters` and `unused`
        have a value for each measure, and so has `q_restarts`, Q of the search
        with restarts; `agreement` has one for each pair of measures. Of the
        subsample are `one_cluster`, pairs of a measure and Q of the search from
        one cluster, and `null`, triples of a pair of measures, its agreement,
        that by chance.
    """
    networks, measures, units, _ = matrices.shape
    every = matrices.reshape(-1, units, units)
    steps, seed = config.search_steps, int(rng.integers(2**31))
    spectral = clustering.spectral_clusters(every)
    clusters = clustering.refine_clusters(
        every, spectral, steps=steps, restarts=0, seed=seed
    )
    better = clustering.refine_clusters(
        every, spectral, steps=steps, restarts=config.restarts, seed=seed
    )
    count = max(1, round(config.subsample * len(every)))
    drawn = rng.choice(len(every), count, replace=False)
    alone = clustering.refine_clusters(
        every[drawn],
        np.minimum(spectral[drawn], 0),
        steps=steps,
        restarts=0,
        seed=seed,
    )
    modularity = {
        "q": dict(enumerate(map(clustering.modularity, every, clusters))),
        "q_spectral": dict(
            enumerate(map(clustering.modularity, every, spectral))
        ),
        "q_restarts": dict(
            enumerate(map(clustering.modularity, every, better))
        ),
        "alone": dict(
            zip(drawn, map(clustering.modularity, every[drawn], alone))
        ),
    }
    layers = []
    for start in range(0, len(every), measures):
        own = range(start, start + measures)
        layer = {
            key: [round(modularity[key][i], 6) for i in own]
            for key in ("q", "q_spectral", "q_restarts")
        }
        layer["clusters"] = [
            round(clustering.num_clusters(clusters[i]), 4) for i in own
        ]
        layer["unused"] = [int(np.sum(clusters[i] < 0)) for i in own]
        layer["one_cluster"] = [
            (i - start, round(modularity["alone"][i], 6))
            for i in own
            if i in modularity["alone"]
        ]
        layers.append(layer | compare(config, clusters[own], rng))
    return layers, clusters.reshape(networks, measures, units)


def compare(config, clusters, rng):
    """Returns how far the clusters of one layer by all measures agree."""
    agreement = clustering.agreements(clusters)
    null = []
    for k, (a, b) in enumerate(PAIRS):
        seed = int(rng.integers(2**31))
        if rng.random() < config.subsample and np.isfinite(agreement[a, b]):
            found = clustering.agreement_null(
                clusters[a],
                clusters[b],
                permutations=config.permutations,
                seed=seed,
            )
            null.append((k, round(found.agreement, 5), round(found.mean, 5)))
    return {
        "agreement": [round(float(agreement[pair]), 5) for pair in PAIRS],
        "null": null,
    }


def sort_by_cluster(matrix, clusters):
    """Returns a similarity matrix for figure 3, the unused units left out."""
    order = np.argsort(clusters, kind="stable")
    order = order[np.sum(clusters < 0) :]
    adjacency = matrix * (1 - np.eye(len(matrix)))
    adjacency = adjacency[np.ix_(order, order)]
    return {
        "matrix": np.round(adjacency / adjacency.max(), 3).tolist(),
        "sizes": np.bincount(clusters[order]).tolist(),
        "q": clustering.modularity(matrix, clusters),
    }


def score(kernels, biases, images, labels):
    """Returns the rows of figure S1 for a network, dropout off."""
    hidden = images
    for kernel, bias in zip(kernels[:-1], biases[:-1], strict=True):
        hidden = np.maximum(hidden @ kernel + bias, 0)
    logits = hidden @ kernels[-1] + biases[-1]
    log_p = special.log_softmax(logits.astype("float64"), axis=1)
    weights = np.concatenate([k.ravel() for k in kernels]).astype("float64")
    return {
        "accuracy": float(np.mean(logits.argmax(1) == labels)),
        "loss": float(-np.mean(log_p[np.arange(len(labels)), labels])),
        "l2_norm": float(np.sqrt(np.sum(weights**2))),
        "l1_norm": float(np.sum(np.abs(weights))),
        "sparsity": float(np.mean(np.abs(weights) <= SPARSE)),
    }

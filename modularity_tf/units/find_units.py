"""find_units: which units of a trained model act alike?"""

import warnings
from collections.abc import Iterable
from typing import Any

import keras

from modularity_tf import checks
from modularity_tf.findings.unit_clusters import UnitClusters
from modularity_tf.network import activations, task_outputs
from modularity_tf.network.batches import Data
from modularity_tf.units import clustering, similarity, unit_modularity

MEMORY = 4.0  # GB for one layer, above which `find_units` warns


def find_units(
    model: keras.Model,
    data: Data,
    *,
    layers: str | Iterable[str] | None = None,
    measure: str = "covariance",
    loss: Any = None,
    outputs: task_outputs.Chosen = None,
    steps: int = 1000,
    restarts: int = 10,
    seed: int | None = 0,
    verbose: int = 1,
) -> UnitClusters:
    """Returns which units of each layer of a trained model act alike.

    The units of a layer are split into clusters of maximal modularity Q:
    similar to the units of their own cluster and different from the others.
    The measure says what similar means.

    Memory grows with the square of a layer's units: 0.8 GB for 4,096. Above
    4 GB a `UserWarning` tells how much it will be.

    >>> clusters = mtf.find_units(model, (images, labels))
    >>> first = clusters["hidden"].members(0)  # a NeuronSelection

    Args:
        model: Built `keras.Model`, trained. It is not changed.
        data: Held-out arrays `(x, y)`, or batches of them: a list, a
            `tf.data.Dataset`, a `PyDataset` or another iterable. Every example
            counts the same: sample weights other than 1 are refused.
        layers: Names or paths of layers of any kind; that of an activation
            layer means the Conv or Dense layers that it activates. `None` for
            the hidden Conv and Dense layers. The units of a linear layer put
            out what the activation after it makes of them.
        measure: What alike means: "covariance", "input_sensitivity",
            "output_sensitivity" or "loss_hessian", or one of these with
            "normalized_" before it. Positions that a Keras mask hides, such as
            padding, count in none of them.
        loss: As in `keras.Model.compile`, for a loss Hessian; `None` for that
            of `model`.
        outputs: Name of the output that counts for a loss Hessian and the
            output sensitivity, or names of several; `None` for all.
        steps: Int, not negative, number of Monte Carlo steps of the search for
            clusters.
        restarts: Int, not negative, how often the search starts again from
            random clusters; 10 take some 15 seconds for 4,096 units. The paper
            has no restarts.
        seed: Int, not negative; `None` is random. The same seed makes the same
            search.
        verbose: 0 for no progress bars. Those of the batches and of the layers
            begin after 5 seconds.

    Returns:
        `UnitClusters`, a mapping from layer path to `LayerClusters`. Its
        provenance has `model` (its name), `model_fingerprint`, `steps`, `seed`
        and `restarts`.

    Raises:
        ValueError: If a layer or the measure is unknown, a layer is out of
            reach, or something is NaN or infinite.

    References:
        - Lange et al., 2022, section 3
    """
    seed = checks.seed(seed)
    search = {"steps": steps, "seed": seed, "restarts": restarts}
    unit_modularity.check_measure(measure)
    clustering.check_search(steps, restarts=restarts)
    search = {name: int(value) for name, value in search.items()}
    chosen = activations.unit_layers(model, layers)
    if not chosen:
        raise ValueError(activations.none_to_look_at(model))
    for path, layer in chosen.items():
        units = getattr(layer, "units", getattr(layer, "filters", 0))
        if not isinstance(units, int):  # of an own layer
            continue
        needed = 6 * 8 * units**2 / 1e9  # six float64 matrices at the peak
        if needed > MEMORY:
            warnings.warn(
                f"{path!r} has {units:,} units: to cluster them takes about "
                f"{needed:.1f} GB of memory.",
                stacklevel=2,
            )
    similarities = similarity.UnitSimilarities(
        model,
        layers=[*chosen],
        loss=loss,
        outputs=outputs,
        measures=[measure],
        activated=True,
    )
    return unit_modularity.cluster_layers(
        model, similarities(data, verbose=verbose), search, verbose=verbose
    )

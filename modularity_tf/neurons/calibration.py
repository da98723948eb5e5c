"""Temperature scaling: probabilities that mean what they say.

References:
    - [Guo et al., 2017](https://arxiv.org/abs/1706.04599)
    - Elbastawisy and Afrin, 2025, section 4.2
"""

import numpy as np
import tensorflow as tf
from scipy import optimize

from modularity_tf import checks


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Returns the temperature T that makes softmax(logits / T) most likely.

    Minimizes the negative log-likelihood over log T, by Brent's method: it has
    one minimum, in 1 / T it is convex. Dividing by T changes no
    decision, only how sure it is: T > 1 where a model is overconfident.

    Args:
        logits: Float array of shape `(examples, classes)`, of held-out data.
        labels: Int array of shape `(examples,)`.

    Returns:
        Float, at least 1e-3 and at most 1e3.

    Raises:
        ValueError: If shapes don't fit, a logit is NaN or infinite, or a label
            is none of the classes.
    """
    logits, labels = _checked(logits, labels)
    found = optimize.minimize_scalar(
        lambda log_t: float(_likelihood_loss(logits, labels, log_t)),
        bounds=np.log([1e-3, 1e3]),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(np.exp(found.x))


def reliability(
    logits: np.ndarray,
    labels: np.ndarray,
    *,
    temperature: float = 1.0,
    num_bins: int = 15,
) -> dict[str, np.ndarray]:
    """Returns how often predictions of a given confidence are right.

    Args:
        logits: Float array of shape `(examples, classes)`.
        labels: Int array of shape `(examples,)`.
        temperature: Positive float T; confidence is max softmax(logits / T).
        num_bins: Positive int, equal bins of confidence in [0, 1].

    Returns:
        Dict of arrays of shape `(num_bins,)`: `count`, and `confidence` and
        `accuracy`, the means in a bin, NaN where it is empty.

    Raises:
        ValueError: As `fit_temperature`, or if a setting is out of its range.
    """
    logits, labels = _checked(logits, labels)
    temperature = checks.number("temperature", temperature, above=True)
    num_bins = checks.integer("num_bins", num_bins, least=1)
    probability = np.asarray(tf.nn.softmax(logits / temperature))
    sure = probability.max(axis=-1)
    right = probability.argmax(axis=-1) == np.asarray(labels)
    bins = np.minimum((sure * num_bins).astype(int), num_bins - 1)
    count = np.bincount(bins, minlength=num_bins)
    with np.errstate(invalid="ignore"):
        return {
            "count": count,
            "confidence": np.bincount(bins, sure, num_bins) / count,
            "accuracy": np.bincount(bins, right, num_bins) / count,
        }


def expected_calibration_error(
    logits: np.ndarray,
    labels: np.ndarray,
    *,
    temperature: float = 1.0,
    num_bins: int = 15,
) -> float:
    """Returns the mean gap between confidence and accuracy, over examples.

    Args:
        logits: As in `reliability`.
        labels: As in `reliability`.
        temperature: As in `reliability`.
        num_bins: As in `reliability`.

    Returns:
        Float in [0, 1].
    """
    found = reliability(
        logits, labels, temperature=temperature, num_bins=num_bins
    )
    gaps = np.abs(found["confidence"] - found["accuracy"])
    return float(np.nansum(found["count"] * gaps) / found["count"].sum())


def _likelihood_loss(logits, labels, log_t):
    return tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels, logits * tf.exp(-log_t)
        )
    )


def _checked(logits, labels):
    logits = np.asarray(logits, "float64")
    if logits.ndim != 2 or logits.shape[1] < 2 or not len(logits):
        raise ValueError(
            "`logits` must have the shape (examples, classes), with an example "
            f"or more and two classes or more, got {logits.shape}."
        )
    if not np.all(np.isfinite(logits)):
        raise ValueError("`logits` must be finite, got NaN or infinity.")
    labels = checks.class_labels("labels", labels, logits.shape[1])
    if len(labels) != len(logits):
        raise ValueError(
            f"`labels` must be as many as `logits`, {len(logits)}, got the "
            f"shape {labels.shape}."
        )
    return tf.constant(logits), tf.constant(labels)

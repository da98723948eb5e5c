"""Temperature scaling: probabilities that mean what they say.

References:
    - [Guo et al., 2017](https://arxiv.org/abs/1706.04599)
    - Elbastawisy and Afrin, 2025, section 4.2
"""

import numpy as np
import tensorflow as tf


def fit_temperature(logits, labels):
    """Returns the temperature T that makes softmax(logits / T) most likely.

    Minimises the negative log-likelihood over log T. Dividing by T changes no
    decision, only how sure it is: T > 1 where a model is overconfident.

    Args:
        logits: Float array of shape `(examples, classes)`, of held-out data.
        labels: Int array of shape `(examples,)`.

    Returns:
        Float, at least 1e-3 and at most 1e3.

    Raises:
        ValueError: If shapes don't fit, or a logit is NaN or infinite.
    """
    log_t = _most_likely_log_t(*_checked(logits, labels))
    return float(np.exp(np.clip(log_t, *np.log([1e-3, 1e3]))))


@tf.function(reduce_retracing=True)
def _most_likely_log_t(logits, labels):
    from tensorflow_probability import math as tfp_math
    from tensorflow_probability import optimizer as tfp_optimizer

    def loss_and_gradient(log_t):
        return tfp_math.value_and_gradient(
            lambda t: _likelihood_loss(logits, labels, t[0]), log_t
        )

    return tfp_optimizer.lbfgs_minimize(
        loss_and_gradient, tf.zeros((1,), tf.float64), tolerance=1e-8
    ).position[0]


def negative_log_likelihood(logits, labels, temperature=1.0):
    """Returns the mean of -log softmax(logits / T) at the labels.

    Args:
        logits: Float array of shape `(examples, classes)`.
        labels: Int array of shape `(examples,)`.
        temperature: Positive float T.

    Returns:
        Float, in nats.
    """
    logits, labels = _checked(logits, labels)
    log_t = tf.math.log(tf.constant(temperature, tf.float64))
    return float(_likelihood_loss(logits, labels, log_t))


def reliability(logits, labels, temperature=1.0, num_bins=15):
    """Returns how often predictions of a given confidence are right.

    Args:
        logits: Float array of shape `(examples, classes)`.
        labels: Int array of shape `(examples,)`.
        temperature: Positive float T; confidence is max softmax(logits / T).
        num_bins: Positive int, equal bins of confidence in [0, 1].

    Returns:
        Dict of arrays of shape `(num_bins,)`: `count`, and `confidence` and
        `accuracy`, the means in a bin, NaN where it is empty.
    """
    logits, labels = _checked(logits, labels)
    probability = tf.nn.softmax(logits / temperature).numpy()
    sure = probability.max(axis=-1)
    right = probability.argmax(axis=-1) == labels.numpy()
    bins = np.minimum((sure * num_bins).astype(int), num_bins - 1)
    count = np.bincount(bins, minlength=num_bins)
    with np.errstate(invalid="ignore"):
        return {
            "count": count,
            "confidence": np.bincount(bins, sure, num_bins) / count,
            "accuracy": np.bincount(bins, right, num_bins) / count,
        }


def expected_calibration_error(logits, labels, temperature=1.0, num_bins=15):
    """Returns the mean gap between confidence and accuracy, over examples.

    Args:
        logits: As in `reliability`.
        labels: As in `reliability`.
        temperature: As in `reliability`.
        num_bins: As in `reliability`.

    Returns:
        Float in [0, 1].
    """
    found = reliability(logits, labels, temperature, num_bins)
    gaps = np.abs(found["confidence"] - found["accuracy"])
    return float(np.nansum(found["count"] * gaps) / found["count"].sum())


def _likelihood_loss(logits, labels, log_t):
    return tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels, logits * tf.exp(-log_t)
        )
    )


def _checked(logits, labels):
    logits = tf.convert_to_tensor(np.asarray(logits, "float64"))
    labels = tf.convert_to_tensor(np.asarray(labels, "int32"))
    if logits.shape.rank != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(
            "`logits` must have the shape (examples, classes) and `labels` "
            f"(examples,), got {logits.shape} and {labels.shape}."
        )
    if not np.all(np.isfinite(logits)):
        raise ValueError("`logits` must be finite, got NaN or infinity.")
    return logits, labels

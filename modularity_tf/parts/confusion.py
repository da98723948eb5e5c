"""Confusion matrices, and how much of each class's accuracy was lost."""

import numpy as np


def confusion_matrix(labels, predictions, num_classes):
    """Returns how the examples of each class were classified.

    Args:
        labels: Int array of shape `(examples,)`, in [0, num_classes).
        predictions: Int array of the same shape: the class predicted.
        num_classes: Positive int.

    Returns:
        Float array of shape `(num_classes, num_classes)`: entry [t, p] is the
        share of the examples of class t that were called p. Rows sum to 1.

    Raises:
        ValueError: If a class has no example, or a label or prediction is
            not in [0, num_classes).

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), figures 18
          to 20
    """
    from sklearn import metrics

    for name, values in (("labels", labels), ("predictions", predictions)):
        values = np.asarray(values)
        strange = values[(values < 0) | (values >= num_classes)]
        if strange.size:  # scikit-learn would leave the example out
            raise ValueError(
                f"`{name}` must be in [0, {num_classes}), got {strange[0]}."
            )
    counts = metrics.confusion_matrix(
        labels, predictions, labels=np.arange(num_classes)
    )
    empty = np.flatnonzero(counts.sum(axis=1) == 0)
    if empty.size:
        raise ValueError(f"`labels` has no example of class {empty[0]}.")
    return counts / counts.sum(axis=1, keepdims=True)


def relative_drop(reference, confusion):
    """Returns the share of each class's accuracy that was lost.

    Args:
        reference: Confusion matrix, shape `(classes, classes)`, before.
        confusion: Confusion matrix of the same shape, after.

    Returns:
        Float array of shape `(classes,)`, (before - after) / before on the
        diagonal: at most 1, negative where accuracy rose, NaN for a class
        that was never recognized.

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), figure 6
    """
    before, after = np.diagonal(reference), np.diagonal(confusion)
    with np.errstate(invalid="ignore", divide="ignore"):
        drop = (before - after) / before
    return np.where(before > 0, drop, np.nan)

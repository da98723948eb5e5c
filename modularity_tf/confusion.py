"""Confusion matrices, and how much of each class's accuracy was lost."""

import numpy as np
import numpy.typing as npt

from modularity_tf import checks


def confusion_matrix(
    labels: npt.ArrayLike, predictions: npt.ArrayLike, num_classes: int
) -> np.ndarray:
    """Returns how the examples of each class were classified.

    >>> from modularity_tf import confusion
    >>> confusion.confusion_matrix([0, 0, 1, 1], [0, 1, 1, 1], 2)
    array([[0.5, 0.5],
           [0. , 1. ]])

    Args:
        labels: Int array of shape `(examples,)`, in [0, num_classes).
        predictions: Int array of the same shape: the class predicted.
        num_classes: Positive int.

    Returns:
        Float array of shape `(num_classes, num_classes)`: entry [t, p] is the
        share of the examples of class t that were called p. Rows sum to 1.

    Raises:
        ValueError: If a class has no example, a label or prediction is not in
            [0, num_classes), or there are not as many of both.

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), figures 18
          to 20
    """
    from sklearn import metrics

    num_classes = checks.integer("num_classes", num_classes, least=1)
    # scikit-learn would leave an example of another class out.
    labels = checks.class_labels("labels", labels, num_classes)
    predictions = checks.class_labels("predictions", predictions, num_classes)
    if len(labels) != len(predictions) or not len(labels):
        raise ValueError(
            "`labels` and `predictions` must be as many, one or more, got "
            f"{len(labels)} and {len(predictions)}."
        )
    counts = metrics.confusion_matrix(
        labels, predictions, labels=np.arange(num_classes)
    )
    empty = np.flatnonzero(counts.sum(axis=1) == 0)
    if empty.size:
        raise ValueError(f"`labels` has no example of class {empty[0]}.")
    return counts / counts.sum(axis=1, keepdims=True)


def relative_drop(
    reference: npt.ArrayLike, confusion: npt.ArrayLike
) -> np.ndarray:
    """Returns the share of each class's accuracy that was lost.

    >>> from modularity_tf import confusion
    >>> confusion.relative_drop(np.eye(2), np.array([[0.25, 0.75], [0, 1]]))
    array([0.75, 0.  ])

    Args:
        reference: Confusion matrix, shape `(classes, classes)`, before.
        confusion: Confusion matrix of the same shape, after.

    Returns:
        Float array of shape `(classes,)`, (before - after) / before on the
        diagonal: at most 1, negative where accuracy rose, NaN for a class
        that was never recognized.

    Raises:
        ValueError: If the shapes are not those.

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), figure 6
    """
    shapes = np.shape(reference), np.shape(confusion)
    if len(shapes[0]) != 2 or len({*shapes[0], *shapes[1]}) > 1:
        raise ValueError(
            "`reference` and `confusion` must be of one shape (classes, "
            f"classes), got {shapes[0]} and {shapes[1]}."
        )
    before, after = np.diagonal(reference), np.diagonal(confusion)
    with np.errstate(invalid="ignore", divide="ignore"):
        drop = (before - after) / before
    return np.where(before > 0, drop, np.nan)

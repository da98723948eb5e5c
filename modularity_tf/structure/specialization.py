"""Which of a network's modules does which task: measures and structure.

Three measures M(n, k) of what module n has to do with sub-task k, out of
retrained readouts, weight masks and correlations; their normalized difference;
and the modularity Q of the structure that they are held against.

References:
    - [Bena & Goodman, 2021](https://arxiv.org/abs/2106.02626)
"""

from collections.abc import Hashable, Mapping

import numpy as np

from modularity_tf import checks
from modularity_tf.findings import part_set


def specialization(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns how far a module is specialized, (own - other) / (own + other).

    A measure below 0, as a mean correlation can be by chance, counts as 0.

    >>> from modularity_tf.structure import specialization
    >>> specialization.specialization([0.9, 0.5], [0.1, 0.5])
    array([0.8, 0. ])

    Args:
        own: Float array, M(n, n): what module n has to do with its own task.
        other: Float array of the same shape, M(n, 1 - n).

    Returns:
        Float array of that shape in [-1, 1]: 1 for its own task alone, -1 for
        the other's alone, 0 if both are equal, 0 and 0 included; NaN where
        either is.

    Raises:
        ValueError: If the shapes differ.

    References:
        - [Bena & Goodman, 2021](https://arxiv.org/abs/2106.02626), equation
          8. Differs from the paper: clipped at 0, defined for 0 and 0.
    """
    own, other = np.asarray(own, "float64"), np.asarray(other, "float64")
    _check_same(own=own.shape, other=other.shape)
    own, other = np.maximum(own, 0.0), np.maximum(other, 0.0)
    total = own + other
    return (own - other) / np.where(total == 0, 1.0, total)


def readout_accuracy(
    states: np.ndarray,
    labels: np.ndarray,
    test_states: np.ndarray,
    test_labels: np.ndarray,
) -> float:
    """Returns how well a new linear readout of states tells the classes.

    The bottleneck measure M(n, k): `states` are those of module n's
    bottleneck, `labels` those of sub-task k. A multinomial logistic regression
    of the standardized states (C = 1), fitted until it converges.

    Args:
        states: Float array of shape `(examples, units)`, to fit on.
        labels: Int array of shape `(examples,)`, two classes or more.
        test_states: Float array of shape `(test_examples, units)`.
        test_labels: Int array of shape `(test_examples,)`.

    Returns:
        Float in [0, 1], the accuracy on the test examples.

    Raises:
        ValueError: If shapes do not fit, values are not finite, or there is
            only one class.

    References:
        - [Bena & Goodman, 2021](https://arxiv.org/abs/2106.02626), section
          3.1. Differs from the paper: fitted to convergence, so that it
          depends on no seed, learning rate or number of epochs (there,
          5 epochs of Adadelta).
    """
    from sklearn import linear_model, pipeline, preprocessing

    for given, target in ((states, labels), (test_states, test_labels)):
        _check_states(given, target)
    units, test_units = np.shape(states)[1], np.shape(test_states)[1]
    if units != test_units or not len(test_labels):
        raise ValueError(
            f"`test_states` must have examples of {units} units, as `states`, "
            f"got the shape {np.shape(test_states)}."
        )
    classes = np.unique(labels)
    if len(classes) < 2:
        raise ValueError(f"`labels` must have 2 classes, got {classes}.")
    readout = pipeline.make_pipeline(
        preprocessing.StandardScaler(),
        linear_model.LogisticRegression(max_iter=10_000),
    )
    readout.fit(states, labels)
    return float(readout.score(test_states, test_labels))


def mask_shares(
    mask: Mapping[str, np.ndarray], module_of: Mapping[str, Hashable]
) -> dict[Hashable, float]:
    """Returns the share of a mask's weights that lies in each module.

    The weight-mask measure, with S_k the weights that the mask for sub-task k
    keeps and theta_n those of module n:

        M(n, k) = |S_k & theta_n| / |S_k|

    Args:
        mask: `WeightMask` that keeps at least one weight.
        module_of: Dict from each path in `mask` to the number of its module.

    Returns:
        Dict from module, in ascending order, to a float in [0, 1]. They sum
        to 1.

    Raises:
        ValueError: If a path has no module, or `mask` is empty or no mask.

    References:
        - [Bena & Goodman, 2021](https://arxiv.org/abs/2106.02626), equation
          6. The paper leaves open to which module a link between two belongs:
          that is for `module_of` to say.
    """
    if not isinstance(mask, part_set.PartSet):
        raise ValueError(f"`mask` must be a WeightMask, got {mask!r}.")
    homeless = [path for path in mask.values if path not in module_of]
    if homeless:
        raise ValueError(f"`module_of` has no module for {homeless}.")
    counts = dict.fromkeys(sorted(set(module_of.values())), 0)
    for path, kept in mask.values.items():
        counts[module_of[path]] += int(kept.sum())
    total = sum(counts.values())
    if not total:
        raise ValueError(f"`mask` must keep a weight, got {mask!r}.")
    return {module: count / total for module, count in counts.items()}


def mean_correlation(states: np.ndarray, groups: np.ndarray) -> float:
    """Returns the mean correlation of states with a state of the same group.

    The correlation measure: with `groups` the digit k of each input,

        M(n, k) = E[corr(h_n(x), h_n(x')) | x, x' in one group]

    over all pairs of different inputs, where corr is Pearson's over units.
    With z a state, centered and of length 1, the pairs of a group of m sum up
    to |sum z|^2 - m: no pair is formed. A state that is the same in all units
    has no correlation and is left out.

    Args:
        states: Float array of shape `(examples, units)`.
        groups: Int array of shape `(examples,)`.

    Returns:
        Float in [-1, 1]; NaN if no two states of a group have a correlation.

    Raises:
        ValueError: If shapes do not fit or values are not finite.

    References:
        - [Bena & Goodman, 2021](https://arxiv.org/abs/2106.02626), equation
          7
    """
    states, groups = _check_states(states, groups)
    centered = states - states.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centered, axis=1)
    # Rounding leaves a constant state with a length of some ulps.
    varies = lengths > 1e-12 * np.linalg.norm(states, axis=1)
    unit = centered[varies] / lengths[varies, np.newaxis]
    total = pairs = 0.0
    for group in np.unique(groups[varies]):
        members = unit[groups[varies] == group]
        count = len(members)
        total += np.sum(members.sum(axis=0) ** 2) - count
        pairs += count * (count - 1)
    return float(total / pairs) if pairs else float("nan")


def cka(
    first: np.ndarray, second: np.ndarray, *, unbiased: bool = False
) -> float:
    """Returns the linear CKA of two sets of activations.

    With centered activations X and Y: |Y'X|^2 / (|X'X| |Y'Y|), Frobenius
    norms. No matrix of examples by examples is formed.

    >>> from modularity_tf.structure import specialization
    >>> round(specialization.cka(images, 2 * images), 6)
    1.0

    Args:
        first: Float array of shape `(examples, units)`.
        second: Float array of shape `(examples, other_units)`, of the same
            examples.
        unbiased: Bool. Use the unbiased estimator of HSIC, which does not
            grow with units / examples; at least 4 examples.

    Returns:
        Float: in [0, 1], or at most 1 if `unbiased`; NaN if either does not
        vary over the examples.

    Raises:
        ValueError: If there are not as many examples, or too few, or values
            are not finite.

    References:
        - [Kornblith et al., 2019](https://arxiv.org/abs/1905.00414), section
          3
        - [Song et al., 2012](https://jmlr.org/papers/v13/song12a.html),
          equation 5
    """
    first, second = np.asarray(first, "float64"), np.asarray(second, "float64")
    _check_states(first, first[..., 0] if first.ndim == 2 else first)
    _check_states(second, second[..., 0] if second.ndim == 2 else second)
    if len(first) != len(second):
        raise ValueError(
            "`first` and `second` must be of the same examples, got "
            f"{len(first)} and {len(second)}."
        )
    least = 4 if unbiased else 2
    if len(first) < least:
        raise ValueError(
            f"`first` must have at least {least} examples, got {len(first)}."
        )
    hsic = _unbiased_hsic if unbiased else _hsic
    # Both are invariant to centring, which keeps rounding errors small.
    first, second = _centered(first), _centered(second)
    own = hsic(first, first) * hsic(second, second)
    return float(hsic(first, second) / np.sqrt(own)) if own > 0 else np.nan


def cka_distance(
    states: np.ndarray, groups: np.ndarray, *, seed: int | None = 0
) -> float:
    """Returns 1 - CKA of states and other states of the same groups.

    The correlation measure in its other form: 0 where the group, digit k,
    decides the state. Each state is paired with another of its group, drawn at
    random; one that is alone in its group is left out.

    Args:
        states: Float array of shape `(examples, units)`.
        groups: Int array of shape `(examples,)`.
        seed: Int >= 0. The same seed draws the same pairs.

    Returns:
        Float in [0, 1]; NaN if the states do not vary, or all are alone.

    Raises:
        ValueError: If shapes do not fit or values are not finite.

    References:
        - [Bena & Goodman, 2021](https://arxiv.org/abs/2106.02626), figure 3.
          The text does not say which two sets of states are compared.
    """
    seed = checks.seed(seed)
    states, groups = _check_states(states, groups)
    rng = np.random.default_rng(seed)
    own: list[int] = []
    partners: list[int] = []
    for group in np.unique(groups):
        members = rng.permutation(np.flatnonzero(groups == group))
        if len(members) > 1:
            own.extend(members)
            partners.extend(np.roll(members, 1))
    return 1.0 - cka(states[own], states[partners]) if own else np.nan


def structural_modularity(fraction: np.ndarray) -> np.ndarray:
    """Returns the Q of two dense modules, Q = (1 - p) / (2 (1 + p)).

    >>> from modularity_tf.structure import specialization
    >>> specialization.structural_modularity([0.0, 1.0])
    array([0.5, 0. ])

    Args:
        fraction: Float array p in [0, 1], the share of the possible links
            between the modules, in each direction.

    Returns:
        Float array in [0, 1/2].

    Raises:
        ValueError: If `fraction` is out of range.

    References:
        - [Bena & Goodman, 2021](https://arxiv.org/abs/2106.02626), equation
          5
    """
    fraction = np.asarray(fraction, "float64")
    if not np.all((fraction >= 0) & (fraction <= 1)):
        raise ValueError(f"`fraction` must be in [0, 1], got {fraction!r}.")
    return (1 - fraction) / (2 * (1 + fraction))


def directed_modularity(adjacency: np.ndarray, groups: np.ndarray) -> float:
    """Returns the modularity Q of a grouping of a directed graph.

        Q = 1 / M sum_ij (A_ij - kout_i kin_j / M) delta(g_i, g_j)

    Args:
        adjacency: Array of shape `(nodes, nodes)`, at least 0: the weight of
            the edge from i to j. For signed weights take absolute values.
        groups: Int array of shape `(nodes,)`.

    Returns:
        Float, at most 1.

    Raises:
        ValueError: If `adjacency` is not square, has no edge or a negative
            one, or `groups` does not fit.

    References:
        - [Bena & Goodman, 2021](https://arxiv.org/abs/2106.02626), equations
          4 and 9
        - [Leicht & Newman, 2008](https://arxiv.org/abs/0709.4500)
    """
    adjacency = np.asarray(adjacency, "float64")
    groups = np.asarray(groups)
    nodes = len(np.atleast_1d(adjacency))
    _check_same(adjacency=adjacency.shape, square=(nodes, nodes))
    _check_same(groups=groups.shape, nodes=(nodes,))
    total = adjacency.sum()
    if not (adjacency >= 0).all() or not 0 < total < np.inf:
        raise ValueError(
            "`adjacency` must have an edge, and none below 0, got entries "
            f"from {adjacency.min()} to {adjacency.max()}."
        )
    is_in = groups == np.unique(groups)[:, np.newaxis]
    inside = sum(adjacency[np.ix_(rows, rows)].sum() for rows in is_in)
    sent, received = (
        is_in @ adjacency.sum(axis=1),
        is_in @ adjacency.sum(axis=0),
    )
    return float(inside / total - sent @ received / total**2)


def _centered(states):
    """Returns states less their mean; exactly 0 for a constant unit."""
    centered = states - states.mean(axis=0)
    # Rounding leaves a constant unit with deviations of some ulps.
    varies = np.abs(centered).max(axis=0) > 1e-12 * np.abs(states).max(axis=0)
    return centered * varies


def _hsic(x, y):
    """Returns |y'x|^2 of centered activations."""
    return np.sum((y.T @ x) ** 2)


def _unbiased_hsic(x, y):
    """Returns HSIC_1 times n (n - 3), from the Gram matrices' factors.

    K = x x' and L = y y' with zeros on their diagonals, which are subtracted.
    """
    n = len(x)
    k_diagonal, l_diagonal = np.sum(x**2, axis=1), np.sum(y**2, axis=1)
    k_sums = x @ x.sum(axis=0) - k_diagonal
    l_sums = y @ y.sum(axis=0) - l_diagonal
    return (
        np.sum((y.T @ x) ** 2)
        - k_diagonal @ l_diagonal
        + k_sums.sum() * l_sums.sum() / ((n - 1) * (n - 2))
        - 2 * (k_sums @ l_sums) / (n - 2)
    )


def _check_states(states, labels):
    """Returns states as float64 and their labels, or raises `ValueError`."""
    states, labels = np.asarray(states, "float64"), np.asarray(labels)
    if states.ndim != 2 or labels.shape != states.shape[:1]:
        raise ValueError(
            "States must have the shape (examples, units) and as many labels "
            f"or groups (examples,), got {states.shape} and {labels.shape}."
        )
    if not np.isfinite(states).all():
        raise ValueError("States must be finite, got NaN or infinity.")
    return states, labels


def _check_same(**shapes):
    (one, shape), (other, other_shape) = shapes.items()
    if shape != other_shape:
        raise ValueError(
            f"`{one}` must have the shape of `{other}`, {other_shape}, got "
            f"{shape}."
        )

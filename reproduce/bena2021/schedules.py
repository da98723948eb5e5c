"""How a link's learning rate and random walk depend on the share of links."""

import math


def learning_rate(fraction, least, sparse=0.1, dense=0.01):
    """Returns the links' learning rate, geometric along log p.

        sparse * (dense / sparse)^t,  t = 1 - log(p) / log(least)

    It depends on the fraction of active connections, not on time.

    Args:
        fraction: Float p in [least, 1].
        least: Float in (0, 1), the smallest p, of one connection.
        sparse: Positive float, the rate at p = least.
        dense: Positive float, the rate at p = 1.

    Returns:
        Positive float.

    Raises:
        ValueError: If an argument is out of its range.

    References:
        - [Bena & Goodman, 2021](https://arxiv.org/abs/2106.02626), Table 1.
          The rate falls geometrically "when sparsity spanned from 0 to 1";
          that is read along the sweep, which is spaced in log p.
    """
    if not 0 < least < 1 or not least <= fraction <= 1:
        raise ValueError(
            "`least` must be in (0, 1) and `fraction` in [least, 1], got "
            f"{least!r} and {fraction!r}."
        )
    for name, rate in (("sparse", sparse), ("dense", dense)):
        if not rate > 0:
            raise ValueError(f"`{name}` must be positive, got {rate!r}.")
    part = 1 - math.log(fraction) / math.log(least)
    return sparse * (dense / sparse) ** part


def walk_noise(fraction, sparse):
    """Returns the random walk's standard deviation, sparse * (1 - p).

    It depends on the fraction of active connections, not on time. The paper
    gives neither the shape of the fall to 0 nor where it starts.

    Args:
        fraction: Float p in [0, 1].
        sparse: Float, at least 0: the standard deviation at p = 0.

    Returns:
        Float, at least 0.

    Raises:
        ValueError: If an argument is out of its range.

    References:
        - [Bena & Goodman, 2021](https://arxiv.org/abs/2106.02626), 2.4
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"`fraction` must be in [0, 1], got {fraction!r}.")
    if not sparse >= 0:
        raise ValueError(f"`sparse` must be at least 0, got {sparse!r}.")
    return sparse * (1 - fraction)

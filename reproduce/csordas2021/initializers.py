"""The initial weights of the paper's networks."""

import keras
import numpy as np


def seeds(seed: int, count: int) -> list[int]:
    """Returns the seeds of so many layers.

    Args:
        seed: Int >= 0.
        count: Positive int.

    Raises:
        ValueError: If `seed` is none.
    """
    if not isinstance(seed, int) or seed < 0:
        raise ValueError(f"`seed` must be an int >= 0, got {seed!r}.")
    return np.random.SeedSequence(seed).generate_state(count).tolist()


def uniform(seed):
    """Returns the initializer uniform(-1 / sqrt(fan_in), 1 / sqrt(fan_in)).

    The law of PyTorch's layers, the framework of Csordas et al. (2021), for
    kernels.

    Args:
        seed: Int.
    """
    return keras.initializers.VarianceScaling(
        1 / 3, mode="fan_in", distribution="uniform", seed=seed
    )


def xavier_normal(seed):
    """Returns the initializer normal(0, 4 / (fan_in + fan_out)).

    Xavier's law with ReLU's gain, sqrt(2): the second argument is a variance.

    Args:
        seed: Int.
    """
    return keras.initializers.VarianceScaling(
        2.0, mode="fan_avg", distribution="untruncated_normal", seed=seed
    )


def he_normal(seed):
    """Returns the initializer normal(0, 2 / fan_out); the second: a variance.

    For the kernels of residual networks.

    Args:
        seed: Int.
    """
    return keras.initializers.VarianceScaling(
        2.0, mode="fan_out", distribution="untruncated_normal", seed=seed
    )

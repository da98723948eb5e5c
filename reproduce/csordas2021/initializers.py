"""The initial weights of the papers' networks."""

import keras


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

"""Seeds, checked or drawn."""

import random

from modularity_tf.parts import checks


def check_seed(seed):
    """Returns an int seed, a random one for `None`.

    Args:
        seed: Int in [0, 2**31) or `None`.

    Returns:
        Int in [0, 2**31).

    Raises:
        ValueError: If `seed` is neither.
    """
    if seed is None:
        return random.randrange(2**31)
    return checks.integer("seed", seed, below=2**31)

"""Seeds, checked or drawn."""

import random


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
    whole = isinstance(seed, int) and not isinstance(seed, bool)
    if not whole or not 0 <= seed < 2**31:
        raise ValueError(f"`seed` must be an int in [0, 2**31), got {seed!r}.")
    return seed

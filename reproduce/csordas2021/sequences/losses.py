"""What the mask of a part loses, and what is noise: of scan and mathematics."""

import numpy as np


def gap(accuracies, whole, part):
    """Returns what the mask of a part loses against that of the whole.

    Mean of the two extractions of either mask.

    Args:
        accuracies: Dict from the name of a mask, and that with ", again" for
            its second extraction, to what it gets right.
        whole: Str, such a name.
        part: Str, such a name.

    Returns:
        Float.
    """
    both = (
        (accuracies[name] + accuracies[f"{name}, again"]) / 2
        for name in (whole, part)
    )
    return float(np.subtract(*both))


def noise(accuracies, whole, part):
    """Returns how far two extractions of one mask lie apart.

    The larger one of the two masks; what a gap must exceed to mean anything.

    Args:
        accuracies: As in `gap`.
        whole: Str, as in `gap`.
        part: Str, as in `gap`.

    Returns:
        Float, not negative.
    """
    return max(
        abs(accuracies[name] - accuracies[f"{name}, again"])
        for name in (whole, part)
    )

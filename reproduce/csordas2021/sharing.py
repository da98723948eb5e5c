"""What the masks of several tasks share: the sums of sections 2 and 3.

A mask is a dict from path to a boolean array, as `WeightMask.values`.

References:
    - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), section 2
"""

import dataclasses
import functools
import itertools
from collections.abc import Mapping

import numpy as np

from modularity_tf.findings import overlap

Mask = Mapping[str, np.ndarray]


def with_total(both: overlap.Overlap) -> dict[str, overlap.Overlap]:
    """Returns an `Overlap` tensor by tensor, all of them as "total"."""
    return {**both.by_tensor, "total": both}


def sharing_with_others(
    masks: Mapping[str, Mask],
) -> dict[str, overlap.Overlap]:
    """Returns how much each of several masks shares with all the others.

    s(t, r) = |t & r| / |t| with r the union of the others.

    Args:
        masks: Dict from task to mask; two or more.
    """
    found = {}
    for task, own in masks.items():
        others = [mask for name, mask in masks.items() if name != task]
        union = {
            path: functools.reduce(np.logical_or, [m[path] for m in others])
            for path in own
        }
        found[task] = overlap.between(own, union)
    return found


@dataclasses.dataclass(frozen=True)
class Excess:
    """Overlap over what random masks share: a mean and its spread.

    It is low where different functions use different weights (P_specialize),
    and high where the same function uses the same weights wherever it is met
    (P_reuse).

    Attributes:
        mean: Float in [-1, 1], mean of `Overlap.excess`.
        sd: Float, standard deviation over pairs and directions.
        share: Float in [0, 1], mean of `Overlap.share`.
        chance_sd: Float, standard deviation of the mean if all masks were
            random.
    """

    mean: float
    sd: float
    share: float
    chance_sd: float


def excess(masks: Mapping[str, Mask]) -> Excess:
    """Returns the excess overlap over all pairs of masks, both directions.

    Args:
        masks: Dict from task to mask; two or more.
    """
    found = [
        overlap.between(*pair)
        for pair in itertools.combinations(masks.values(), 2)
    ]
    both = np.array([(x.first, x.second) for x in found], "float64")
    shared = np.array([[x.shared] for x in found])
    over = shared - np.array([[x.expected] for x in found])
    # The two directions of a pair vary together, the pairs on their own.
    sd = np.sqrt([[x.variance] for x in found])
    with np.errstate(divide="ignore", invalid="ignore"):  # an empty mask: NaN
        share, excess, chance = shared / both, over / both, sd / both
    return Excess(
        mean=float(np.mean(excess)),
        sd=float(np.std(excess, ddof=1)),
        share=float(np.mean(share)),
        chance_sd=float(np.linalg.norm(chance.sum(axis=1)) / both.size),
    )

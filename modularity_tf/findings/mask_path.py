"""MaskPath: how a mask gets smaller, and what it then does."""

import copy
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

import rich.table

if TYPE_CHECKING:  # matplotlib is imported to draw
    from matplotlib.figure import Figure


class MaskPath(Sequence[dict[str, Any]]):
    """The masks that were trained on the way to the one that was found.

    A sequence of dicts, in the order of training. Of `find_weights` they have

    - `alpha`: the penalty.
    - `performance`: on validation data, in its own unit.
    - `on_scale`: the same from 0, nothing, to 1, the whole model, and
      `interval`, its 95 % confidence interval, `None` where it is not known.
    - `on_all_data`: the same on training and validation data together.
    - `keep_fraction`: the share of the weights that are kept.
    - `steps`: the training steps so far.

    Masks that release 0.1 searched for have no interval, and no steps.

    Args:
        levels: Dicts.

    Example:

    >>> path = mtf.MaskPath(
    ...     [
    ...         {"alpha": 1e-5, "on_scale": 0.99, "keep_fraction": 0.4},
    ...         {"alpha": 1e-4, "on_scale": 0.96, "keep_fraction": 0.1},
    ...     ]
    ... )
    >>> [level["keep_fraction"] for level in path]
    [0.4, 0.1]
    """

    def __init__(self, levels: Sequence[dict[str, Any]] = ()) -> None:
        self._levels = copy.deepcopy([*levels])

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> "MaskPath": ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return MaskPath(self._levels[index])
        return copy.deepcopy(self._levels[index])

    def __len__(self) -> int:
        return len(self._levels)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(copy.deepcopy(self._levels))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MaskPath) and self._levels == other._levels

    def __repr__(self) -> str:
        return f"MaskPath of {len(self)} masks"

    def table(self) -> rich.table.Table:
        """Returns penalties, sizes and performance as a `rich` table."""
        table = rich.table.Table("alpha", "kept", "performance", "95 %")
        for level in self._levels:
            interval = level.get("interval")
            table.add_row(
                f"{level['alpha']:.2g}",
                f"{level['keep_fraction']:.2%}",
                f"{level['on_scale']:.3f}",
                "{:.3f} to {:.3f}".format(*interval) if interval else "",
            )
        return table

    def plot(self) -> "Figure":
        """Returns a picture of performance against size, a `Figure`.

        Bars are 95 % confidence intervals.
        """
        from modularity_tf import plots  # and matplotlib with it

        return plots.performance_by_size(self._levels)

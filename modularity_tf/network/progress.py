"""A bar of Keras's kind for passes that take long."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

import keras

SHOWN_AFTER = 5.0  # seconds

_Item = TypeVar("_Item")


def shown(
    items: Iterable[_Item],
    unit: str,
    total: int | None = None,
    verbose: int = 1,
) -> Iterator[_Item]:
    """Yields items, and shows how many are done from the fifth second on.

    Args:
        items: What is gone through.
        unit: What one of them is called, "batch" say.
        total: How many there are, `None` if that is not known.
        verbose: 0 for no bar.
    """
    begin, is_shown, done = time.monotonic(), False, 0
    bar = keras.utils.Progbar(total, unit_name=unit)
    for item in items:
        yield item
        done += 1
        if verbose and time.monotonic() - begin > SHOWN_AFTER:
            is_shown = True
            bar.update(done, finalize=False)
    if is_shown:
        bar.update(done, finalize=True)

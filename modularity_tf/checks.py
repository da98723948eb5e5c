"""Arguments, checked before any long work; each refusal names the argument."""

import math
import numbers
import random
from typing import Any

import numpy as np


def integer(
    name: str, value: Any, least: float = 0, below: float = math.inf
) -> int:
    """Returns an int in [least, below), NumPy's included, no bool.

    Args:
        name: Str, the argument's name.
        value: What was given for it.
        least: Int, the smallest allowed.
        below: Int, larger than the largest allowed.

    Raises:
        ValueError: If it is not.
    """
    is_int = isinstance(value, numbers.Integral) and not _is_bool(value)
    if not is_int or not least <= value < below:
        words = "a positive int" if least == 1 else "an int"
        if below < math.inf:
            words = f"an int in [{least}, {_power_of_2(below)})"
        elif least != 1 and least > -math.inf:
            words = f"an int at least {least}"
        raise ValueError(f"`{name}` must be {words}, got {value!r}.")
    return int(value)


def number(
    name: str,
    value: Any,
    least: float = 0.0,
    above: bool = False,
    below: float = math.inf,
    most: float | None = None,
) -> float:
    """Returns a finite float in [least, below), without `least` if `above`.

    Args:
        name: Str, the argument's name.
        value: What was given for it.
        least: Float, the smallest allowed.
        above: Bool. Whether it must be above `least`.
        below: Float, larger than the largest allowed.
        most: Float, the largest allowed, in place of `below`; or `None`.

    Raises:
        ValueError: If it is not.
    """
    is_real = (
        isinstance(value, numbers.Real)
        and not _is_bool(value)
        and math.isfinite(value)
    )
    is_high = is_real and (value >= below if most is None else value > most)
    is_low = is_real and not (value > least if above else value >= least)
    if not is_real or is_low or is_high:
        start = "(" if above else "["
        if most is not None:
            words = f"in {start}{least:g}, {most:g}]"
        elif below < math.inf:
            words = f"in {start}{least:g}, {below:g})"
        elif above:
            words = f"a finite number above {least:g}"
        elif least > -math.inf:
            words = f"a finite number of at least {least:g}"
        else:
            words = "a finite number"
        raise ValueError(f"`{name}` must be {words}, got {value!r}.")
    return float(value)


def seed(value: Any) -> int:
    """Returns a seed as an int, a random one for `None`.

    Args:
        value: Int in [0, 2**31) or `None`.

    Raises:
        ValueError: If it is neither.
    """
    if value is None:
        return random.randrange(2**31)
    return integer("seed", value, below=2**31)


def class_labels(name: str, values: Any, num_classes: float) -> np.ndarray:
    """Returns labels as an int array `(examples,)`.

    Args:
        name: Str, the argument's name.
        values: Whole numbers, of shape `(examples,)` or `(examples, 1)`.
        num_classes: Int, how many classes there are.

    Raises:
        ValueError: If it is something else, one-hot labels or text say, or a
            label is not in [0, num_classes).
    """
    values = np.asarray(values)
    shape, kind = values.shape, values.dtype.kind
    if len(shape) != 1 and not (len(shape) == 2 and shape[1] == 1):
        raise ValueError(
            f"`{name}` must be class numbers of shape (examples,), not one-hot "
            f"or probabilities, nor one for each token, got the shape {shape}."
        )
    if values.size and kind not in "iufb":
        raise ValueError(
            f"`{name}` must be class numbers, got {values.reshape(-1)[0]!r}."
        )
    values = values.reshape(-1)
    whole = np.isfinite(values) & (values == np.floor(values))
    strange = values[~whole | (values < 0) | (values >= num_classes)]
    if strange.size:
        raise ValueError(
            f"`{name}` must be whole numbers in [0, {num_classes}), got "
            f"{strange[0]}."
        )
    return values.astype(np.int64)


def _power_of_2(value):
    return "2**31" if value == 2**31 else value


def _is_bool(value):
    return isinstance(value, (bool, np.bool_))

"""Which layers a user means by names: one rule for weights, neurons, units."""

from collections.abc import Iterable
from typing import Any


def find(
    paths: Iterable[str], names: str | Iterable[str], argument: str = "layers"
) -> list[str]:
    """Returns the layers that names mean, by path.

    A path means the layer that has it, a name all layers that have it,
    wherever they are nested.

    Args:
        paths: Iterable of str, the paths of the layers to choose from: the
            names of the enclosing layers and the layer, joined by "/".
        names: Name or path of a layer, or an iterable of such.
        argument: Str, the argument that they were given as.

    Returns:
        List of the paths of these layers, in the order of `paths`.

    Raises:
        ValueError: If a name means no layer, or there is none.
    """
    paths, names = list(paths), as_names(names, argument)
    for name in names:
        if not any(name in _names(path) for path in paths):
            raise ValueError(
                f"`{argument}` names {name!r}, which is no layer to choose. "
                f"Known: {paths}, each by its path or the last name in it."
            )
    return [path for path in paths if _names(path) & {*names}]


def around(path: str) -> list[str]:
    """Returns the paths of the layers around a weight, outermost first.

    Args:
        path: Str, a weight's path.
    """
    names = path.split("/")[:-1]
    return ["/".join(names[: i + 1]) for i in range(len(names))]


def as_names(names: Any, argument: str) -> tuple[str, ...]:
    """Returns a name or an iterable of names as a tuple of them.

    Raises:
        ValueError: If it is something else, or there is none.
    """
    if isinstance(names, str):
        return (names,)
    try:
        found = tuple(names)
    except TypeError:
        found = (None,)
    if not found or not all(isinstance(name, str) for name in found):
        raise ValueError(
            f"`{argument}` must be a name or names, got {names!r}."
        )
    return found


def _names(path):
    return {path, path.rpartition("/")[-1]}

"""Figures that are drawn when they are asked for."""

from collections.abc import Callable, Iterator, Mapping

from matplotlib import figure


class Drawings(Mapping[str, figure.Figure]):
    """Figures by name, each drawn when it is first asked for.

    An experiment has many figures, and most readers take a few of them: a
    report shows the first ones of each run, a page of the documents one.
    """

    def __init__(self, functions: Mapping[str, Callable[[], figure.Figure]]):
        """Stores how each figure is drawn.

        Args:
            functions: Dict from name to a function that returns the figure.
        """
        self._functions = dict(functions)
        self._drawn: dict[str, figure.Figure] = {}

    def __getitem__(self, name: str) -> figure.Figure:
        if name not in self._drawn:
            self._drawn[name] = self._functions[name]()
        return self._drawn[name]

    def __contains__(self, name: object) -> bool:
        return name in self._functions  # else it would be drawn

    def __iter__(self) -> Iterator[str]:
        return iter(self._functions)

    def __len__(self) -> int:
        return len(self._functions)

"""What compiled networks have in common: kernels with kinds, and disguises."""

from collections.abc import Callable, Sequence

import numpy as np

from modularity_tf.planted.planted_network import KINDS


class Kernel:
    """A kernel in the making, with what each weight is for each task.

    Args:
        shape: Shape of the kernel.
        tasks: Number of tasks.

    Attributes:
        values: Float array of the shape.
        kinds: Int array `(tasks, *shape)`, indices into `KINDS`.
    """

    def __init__(self, shape: Sequence[int], tasks: int) -> None:
        self.values = np.zeros(shape)
        self.kinds = np.zeros((tasks, *shape), int)

    def put(
        self,
        place: tuple,
        values: np.ndarray | float,
        kind: str,
        tasks: Sequence[int] | None = None,
    ) -> None:
        """Sets weights, and what they are.

        Args:
            place: Index of the weights.
            values: Their values.
            kind: One of `KINDS`, what they are for some tasks. For the others
                they are of another task's part.
            tasks: Numbers of these tasks; `None` for all.
        """
        self.values[place] = values
        for task, kinds in enumerate(self.kinds):
            is_own = tasks is None or task in tasks
            kinds[place] = KINDS.index(kind if is_own else "other")

    def change(self, axis: int, order: np.ndarray, factors: np.ndarray) -> None:
        """Scales the entries of an axis, and puts them in another order.

        Args:
            axis: The axis, counted from the last one: -1, -2, ...
            order: Permutation of the axis.
            factors: Of each entry, before it is moved.
        """
        shape = [1] * self.values.ndim
        shape[axis] = len(factors)
        scaled = self.values * np.reshape(factors, shape)
        self.values = np.take(scaled, order, axis)
        self.kinds = np.take(self.kinds, order, axis)

    def kinds_by_task(self) -> list[np.ndarray]:
        """Returns an int array for each task; weights of 0 are absent."""
        absent = KINDS.index("absent")
        return [np.where(self.values == 0, absent, x) for x in self.kinds]


def add_decoys(
    reads: Kernel,
    heard: Kernel,
    biases: np.ndarray,
    first: int,
    rng: np.random.Generator,
    *,
    unread: int,
    silent: int,
    pairs: int,
    most: Callable[[np.ndarray], float],
    logit: float,
) -> None:
    """Puts units that do nothing behind the others of a layer.

    Args:
        reads: The layer's kernel, its units on the last axis.
        heard: The kernel `(units, tasks)` of the layer that reads these.
        biases: The layer's biases, an array that is changed.
        first: Number of the first of these units.
        rng: Of all weights.
        unread: Number of units that nothing reads.
        silent: Number of units that are read and never fire.
        pairs: Number of pairs of like units that are read with opposite
            weights.
        most: Function from a unit's weights to the most that they sum up to.
        logit: Size of the weights by which they are read.
    """
    tasks = heard.values.shape[-1]

    def put(kind, values, outgoing, bias=0.0):
        nonlocal first
        reads.put((..., first), values, kind)
        for task in range(tasks):
            heard.put((first, task), outgoing[task], kind, [task])
        biases[first], first = bias, first + 1

    def drawn():
        return rng.normal(size=reads.values.shape[:-1])

    for _ in range(unread):
        put("unread", drawn(), np.zeros(tasks))
    for _ in range(silent):
        values = drawn()
        outgoing = logit * rng.normal(size=tasks)
        put("silent", values, outgoing, -most(values) - 1)
    for _ in range(pairs):
        values, outgoing = drawn(), logit * rng.normal(size=tasks)
        put("pair", values, outgoing)
        put("pair", values, -outgoing)


def kinds_of(kernels: dict[str, Kernel]) -> list[dict[str, np.ndarray]]:
    """Returns the kinds of all weights, a dict by path for each task."""
    by_path = {path: k.kinds_by_task() for path, k in kernels.items()}
    tasks = len(next(iter(by_path.values())))
    return [
        {path: kinds[task] for path, kinds in by_path.items()}
        for task in range(tasks)
    ]


def scales(rng: np.random.Generator, count: int) -> np.ndarray:
    """Returns random positive factors, around 1."""
    return np.exp(rng.normal(0.0, 0.5, count))


def units_needed(kinds: np.ndarray) -> np.ndarray:
    """Returns which units have a needed weight, by a kernel's last axis."""
    is_needed = kinds == KINDS.index("needed")
    return is_needed.any(axis=tuple(range(kinds.ndim - 1)))

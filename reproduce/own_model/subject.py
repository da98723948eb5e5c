"""The model and the data that a user brings, read and refused early."""

import hashlib
import pathlib
import re
from collections.abc import Sequence
from typing import Self

import keras
import numpy as np

from modularity_tf.network import batches

Inputs = np.ndarray | list[np.ndarray]
_INPUT = re.compile(r"x(\d+)")


class Subject:
    """A trained model with its data, in two parts.

    Findings are made on one part of the examples and checked on the other.

    Args:
        model: Built and compiled `keras.Model`.
        x: Array, or a list of such for several inputs.
        y: Array, the targets.
    """

    def __init__(self, model: keras.Model, x: Inputs, y: np.ndarray):
        self.model, self._x, self._y = model, x, y

    @property
    def classes(self) -> list[int]:
        """List of int, the classes in `y`; empty if it has no class numbers."""
        y = np.asarray(self._y)  # text is a tensor
        if y.ndim > 1 or y.dtype.kind not in "iu":
            return []
        return np.unique(self._y).tolist()

    def parts(self, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the rows to find on, and those to check on.

        Args:
            share: Float in (0, 1), of the examples that are for checks. Of
                each class at least one is on either side.
            seed: Int.
        """
        rng = np.random.default_rng(seed)
        groups = [np.arange(len(self._y))]
        if self.classes:
            groups = [np.flatnonzero(self._y == c) for c in self.classes]
        found, checked = [], []
        for group in groups:
            order = rng.permutation(group)
            count = min(max(1, round(share * len(order))), len(order) - 1)
            checked.append(order[:count])
            found.append(order[count:])
        return np.sort(np.concatenate(found)), np.sort(np.concatenate(checked))

    def data(
        self,
        rows: np.ndarray,
        label: int | None = None,
        without: int | None = None,
    ) -> tuple[Inputs, np.ndarray]:
        """Returns arrays `(x, y)` of some rows.

        Args:
            rows: Int array.
            label: Int, the only class, or `None`.
            without: Int, a class that is left out, or `None`.
        """
        if label is not None:
            rows = rows[self._y[rows] == label]
        if without is not None:
            rows = rows[self._y[rows] != without]
        return batches.take((self._x, self._y), rows)

    @classmethod
    def load(cls, model: str, data: str) -> Self:
        """Returns the `Subject` of two files.

        Args:
            model: Str, path of a `.keras` file.
            data: Str, path of an `.npz` file with `x` and `y`, or with `x0`,
                `x1` and so on for several inputs.

        Raises:
            ValueError: If a file is missing or holds something else, the
                model has no loss, or `y` has classes that it has no output
                for.
        """
        for flag, path in (("model", model), ("data", data)):
            check_file(flag, path)
        x, y = _arrays(data)
        subject = cls(_model(model), x, y)
        _check_range(subject, data)
        return subject

    def check_labels(
        self, labels: Sequence[int], questions: Sequence[str]
    ) -> list[int]:
        """Returns the classes that are asked for.

        Args:
            labels: Tuple of int; empty for every class.
            questions: Tuple of str.

        Raises:
            ValueError: If one is no class, or has a single example.
        """
        classes = self.classes
        if not classes:
            if labels or "neurons" in questions:
                asked = "--task_label" if labels else "--questions=neurons"
                raise ValueError(
                    f"{asked} needs class numbers: y in --data must be "
                    "integers, one for each example."
                )
            return []
        for label in labels:
            if label not in classes:
                raise ValueError(
                    f"--task_label={label} is no class in --data, which has "
                    f"{', '.join(map(str, classes))}."
                )
        chosen = [*labels] or classes
        for label in chosen:
            if len(self.data(np.arange(len(self._y)), label)[1]) < 2:
                raise ValueError(
                    f"--data has one example of class {label}, and a class "
                    "needs two: one to find on, one to check on. --task_label "
                    "chooses other classes."
                )
        return chosen


def check_file(flag: str, path: str) -> None:
    """Raises `ValueError` if there is no such file."""
    if not path:
        raise ValueError(f"--{flag} is needed: the path of a file.")
    if not pathlib.Path(path).is_file():
        raise ValueError(f"--{flag}={path}: there is no such file.")


def file_digest(flag: str, path: str) -> str:
    """Returns a SHA-256 of what a file holds."""
    check_file(flag, path)
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def _model(path):
    try:
        model = keras.saving.load_model(path)
    except Exception as error:  # a damaged or strange file can raise anything
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"--model={path} can't be loaded ({reason}). Layers of your own "
            "must be registered: keras.saving.register_keras_serializable."
        ) from error
    if getattr(model, "loss", None) is None:
        raise ValueError(
            f"--model={path} has no loss: call `compile` with loss and metrics "
            "before `save`."
        )
    return model


def _check_range(subject, path):
    """Raises `ValueError` if `y` has classes for which there is no output."""
    loss = subject.model.loss
    is_sparse = (
        isinstance(loss, keras.losses.SparseCategoricalCrossentropy)
        or loss == "sparse_categorical_crossentropy"
    )
    width = subject.model.output_shape[-1]
    if not is_sparse or not isinstance(width, int):
        return
    ignored = getattr(loss, "ignore_class", None)
    wrong = [
        label
        for label in subject.classes
        if label != ignored and not 0 <= label < width
    ]
    if wrong:
        raise ValueError(
            f"--data={path}: y must have classes from 0 to {width - 1}, as "
            f"the model has {width} outputs, it has {wrong[0]}."
        )


def _arrays(path):
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {key: file[key] for key in file}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ValueError(
            f"--data={path} is no .npz file of arrays: {error}."
        ) from error
    numbered = sorted(
        (int(match[1]), key)
        for key in found
        if (match := _INPUT.fullmatch(key))
    )
    is_several = [n for n, _ in numbered] == [*range(len(numbered))]
    names = ["x"] if "x" in found else [key for _, key in numbered]
    if "y" not in found or not names or ("x" not in found and not is_several):
        raise ValueError(
            f"--data={path} must hold the arrays x and y (or x0, x1, ... and "
            f"y), it holds {', '.join(found) or 'none'}."
        )
    x = found["x"] if "x" in found else [found[name] for name in names]
    y = found["y"]
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    x, y = batches.checked_arrays("data", (x, y))
    if len(y) < 2:
        raise ValueError(f"--data={path} needs two examples or more.")
    return x, y

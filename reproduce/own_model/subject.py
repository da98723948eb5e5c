"""The model and the data that a user brings, read and refused early."""

import functools
import hashlib
import importlib
import pathlib
import re
from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np

from modularity_tf.network import activations, batches, task_outputs
from modularity_tf.neurons import class_positions

Inputs = np.ndarray | list[np.ndarray]
_NO_CLASSES = (
    "needs class numbers: y in --data must be integers, one for each example "
    "or as the outputs are shaped, or one-hot."
)
_INPUT = re.compile(r"x(\d+)")


class Subject:
    """A trained model with its data, in two parts.

    Findings are made on one part of the examples and checked on the other.

    Args:
        model: Built and compiled `keras.Model`.
        x: Array, or a list of such for several inputs.
        y: Array, the targets.
        output: Name of the output that they are of, or `None`.
    """

    def __init__(
        self,
        model: keras.Model,
        x: Inputs,
        y: np.ndarray,
        output: str | None = None,
    ):
        self.model, self._x, self._y, self._output = model, x, y, output
        self._numbers = self._class_numbers()

    @functools.cached_property
    def task(self) -> task_outputs.Task:
        """What is asked of the model, a `Task`."""
        return task_outputs.task(self.model, outputs=self._output)

    @property
    def loss(self) -> Any:
        """The loss of the output that `y` is for."""
        names = task_outputs.names_of(self.model)
        by_name = task_outputs.by_output("loss", self.model.loss, names)
        return by_name[self._output or names[0]]

    @property
    def width(self) -> int | None:
        """Int, how many numbers that output has, or `None`."""
        shape = task_outputs.shape_of(self.model, self._output)
        return shape[-1] if shape else None

    def _class_numbers(self):
        """Returns classes of examples or positions, `None` if there are none.

        Numbers, one-hot labels, and floats that are all 0 or 1.
        """
        y = np.asarray(self._y)  # text is a tensor
        is_01 = y.dtype.kind == "f" and np.isin(y, (0, 1)).all()
        if y.dtype.kind not in "iub" and not is_01:
            return None
        try:
            # Those below 0 are of no class: some losses ignore them.
            if self.model is None:
                found = class_positions.class_numbers("y", abs(y), None)
            else:
                given = class_positions.Labels(self.model, self._output)
                found = given.numbers("y", abs(y))
        except ValueError:
            return None
        if found.size == y.size:
            found[y.reshape(found.shape) < 0] = class_positions.NONE
        return found

    @property
    def given(self) -> list[int]:
        """List of int, the classes in `y`, with those below 0."""
        y = np.asarray(self._y)
        is_hot = self._numbers is None or self._numbers.size < y.size
        if is_hot or y.dtype.kind not in "iu":
            return self.classes
        return np.unique(y).tolist()

    @property
    def classes(self) -> list[int]:
        """List of int, the classes in `y`; empty if it has no class numbers."""
        if self._numbers is None:
            return []
        return [c for c in np.unique(self._numbers).tolist() if c >= 0]

    @property
    def has_few_classes(self) -> bool:
        """Whether there are at most two: without one there is no task."""
        return len(self.classes) <= 2

    def _has(self, label):
        """Returns which examples are of a class, or have a position of it."""
        found = self._numbers == label
        return found.any(axis=tuple(range(1, found.ndim)))

    def parts(self, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the rows to find on, and those to check on.

        Args:
            share: Float in (0, 1), of the examples that are for checks. Of
                each class at least one is on either side, where an example has
                one class.
            seed: Int.
        """
        rng = np.random.default_rng(seed)
        groups = [np.arange(len(self._y))]
        if self.classes and self._numbers.ndim == 1:
            groups = [np.flatnonzero(self._numbers == c) for c in self.classes]
            groups += [np.flatnonzero(self._numbers < 0)]
        found, checked = [], []
        for group in groups:
            order = rng.permutation(group)
            count = min(max(1, round(share * len(order))), len(order) - 1)
            checked.append(order[: max(count, 0)])
            found.append(order[max(count, 0) :])
        return np.sort(np.concatenate(found)), np.sort(np.concatenate(checked))

    def data(
        self,
        rows: np.ndarray,
        label: int | None = None,
        without: int | None = None,
    ) -> tuple[Any, ...]:
        """Returns arrays `(x, y)` of some rows.

        Where positions have labels, those that are left out have a sample
        weight of 0, and the third item has the weights.

        Args:
            rows: Int array.
            label: Int, the only class, or `None`.
            without: Int, a class that is left out, or `None`.
        """
        if label is None and without is None:
            return batches.take((self._x, self._y), rows)
        stays = self._numbers == label
        if without is not None:
            stays = (self._numbers != without) & (self._numbers >= 0)
        rows = rows[stays[rows].any(axis=tuple(range(1, stays.ndim)))]
        found = batches.take((self._x, self._y), rows)
        if stays.ndim == 1:
            return found
        return (*found, stays[rows].astype("float32"))

    def with_classes(self, rows: np.ndarray) -> tuple[Any, ...]:
        """Returns arrays `(x, class numbers)` of the rows that have a class.

        Where positions have classes, those of none have a sample weight of 0,
        and the third item has the weights.

        Args:
            rows: Int array.
        """
        numbers = self._numbers
        if numbers.ndim == 1:
            rows = rows[numbers[rows] >= 0]
            return batches.take((self._x, numbers), rows)
        x, numbers = batches.take((self._x, numbers), rows)
        return x, np.maximum(numbers, 0), (numbers >= 0).astype("float32")

    @classmethod
    def load(
        cls,
        model: str,
        data: str,
        *,
        imports: Sequence[str] = (),
        loss: Sequence[str] = (),
        output: str = "",
    ) -> Self:
        """Returns the `Subject` of two files.

        Args:
            model: Str, path of a `.keras` file.
            data: Str, path of an `.npz` file with `x` and `y`, or with `x0`,
                `x1` and so on for several inputs.
            imports: Names of modules to import first.
            loss: Name of the loss of the task, or one for each output; empty
                for the model's own.
            output: Name of the output that `y` is for; "" for the only one.

        Raises:
            ValueError: If a file is missing or holds something else, there is
                no such module, loss or output, the model has no loss, or `y`
                has classes that it has no output for.
        """
        for flag, path in (("model", model), ("data", data)):
            check_file(flag, path)
        for name in imports:
            try:
                importlib.import_module(name)
            except Exception as error:  # whatever the user's code may raise
                raise ValueError(
                    f"--import={name} can't be imported: {error}"
                ) from error
        x, y = _arrays(data)
        loaded = _model(model, [*loss])
        names = task_outputs.names_of(loaded)
        if output and output not in names:
            raise ValueError(
                f"--output={output} is none of the outputs {', '.join(names)}."
            )
        if len(names) > 1 and not output:
            raise ValueError(
                f"--model={model} has the outputs {', '.join(names)}: say with "
                "--output which of them y is for."
            )
        subject = cls(loaded, x, y, output or None)
        try:
            subject.task  # noqa: B018
        except ValueError as error:
            raise ValueError(f"--loss: {error}") from error
        _check_range(subject, data)
        _check_inputs(subject, data)
        return subject

    def check_labels(
        self, labels: Sequence[int], questions: Sequence[str]
    ) -> list[int]:
        """Returns the classes that are asked for.

        Args:
            labels: Tuple of int; empty for every class.
            questions: Tuple of str.

        Raises:
            ValueError: If one that is asked for by name is no class, or has a
                single example; or if nothing is asked but what needs classes,
                and there are none.
        """
        classes = self.classes
        if not classes:
            if labels or {*questions} == {"neurons"}:
                asked = "--task_label" if labels else "--questions=neurons"
                raise ValueError(f"{asked} {_NO_CLASSES}")
            return []
        for label in labels:
            if label not in classes:
                raise ValueError(
                    f"--task_label={label} is no class in --data, which has "
                    f"{', '.join(map(str, classes))}."
                )
        for label in labels:
            if label in self._lonely:
                raise ValueError(
                    f"--data has one example of class {label}, and a class "
                    "needs two: one to find on, one to check on. --task_label "
                    "chooses other classes."
                )
        return [*labels] or [c for c in classes if c not in self._lonely]

    def check_layers(self, names: Sequence[str]) -> None:
        """Raises `ValueError` if the model has no layer of such a name.

        Args:
            names: Names or paths of layers; empty for the hidden ones.
        """
        try:
            activations.choose_layers(self.model, names or None)
        except ValueError as error:
            raise ValueError(in_one_line(error)) from error

    @property
    def _lonely(self):
        """The classes with a single example."""
        return [c for c in self.classes if self._has(c).sum() < 2]

    def not_asked(self, questions: Sequence[str]) -> list[list[str]]:
        """Returns the questions that make no sense here, each with the reason.

        Args:
            questions: Tuple of str.
        """
        found = []
        if "weights" in questions and self.classes and self.has_few_classes:
            found.append(
                [
                    "weights of a class alone",
                    "there are at most two classes, and without one of them "
                    "there is nothing to tell apart",
                ]
            )
        if "neurons" in questions and not self.classes:
            found.append(["neurons of a class", f"this question {_NO_CLASSES}"])
        for label in self._lonely:
            found.append(
                [
                    f"class {label}",
                    "there is one example, and a class needs two: one to find "
                    "on, one to check on",
                ]
            )
        return found


def in_one_line(error: Exception) -> str:
    """Returns what an error says, with flags in place of arguments."""
    told = re.sub(r"\x1b\[[0-9;]*m", "", str(error))  # Keras's bold type
    told = " ".join(told.partition("\n\nArguments received")[0].split())
    told = told.replace("`incoming=True`", "--incoming")
    return told.replace("`layers`", "--layers")


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


def _model(path, loss):
    """Returns the model of a file, compiled.

    Args:
        path: Str.
        loss: List of names of losses; with any, how the model was trained is
            not read.
    """
    try:
        model = keras.saving.load_model(path, compile=not loss)
    except Exception as error:  # a damaged or strange file can raise anything
        reason = " ".join(str(error).split())[:200]
        if not loss and _can_be_read(path):
            raise ValueError(
                f"--model={path}: how it was trained can't be read ({reason}). "
                "Give its --loss, sparse_categorical_crossentropy say."
            ) from error
        raise ValueError(
            f"--model={path} can't be loaded ({reason}). Layers of your own "
            "must be registered, keras.saving.register_keras_serializable, and "
            "their module be imported: --import=MODULE."
        ) from error
    if loss:
        try:
            for name in loss:
                keras.losses.get(name)
            is_one = len(loss) == 1
            model.compile(
                loss=loss[0] if is_one else loss,
                metrics=_metrics(loss[0]) if is_one else [*map(_metrics, loss)],
            )
        except ValueError as error:
            told = " ".join(str(error).split())[:200]
            raise ValueError(f"--loss={','.join(loss)}: {told}") from error
    if getattr(model, "loss", None) is None:
        raise ValueError(
            f"--model={path} has no loss: call `compile` with loss and metrics "
            "before `save`, or give --loss."
        )
    return model


def _can_be_read(path):
    try:
        keras.saving.load_model(path, compile=False)
    except Exception:  # as above
        return False
    return True


def _metrics(loss):
    """Returns the metrics that go with a loss of a given name."""
    return ["accuracy"] if loss.endswith("crossentropy") else []


def _check_inputs(subject, path):
    """Raises `ValueError` if the model does not take `x`."""
    x, _ = subject.data(np.arange(1))
    try:
        subject.model(x)
    except Exception as error:  # whatever a layer raises
        raise ValueError(
            f"--data={path}: {subject.model.name!r} does not take these "
            f"inputs. {in_one_line(error)}"
        ) from error


def _check_range(subject, path):
    """Raises `ValueError` if `y` has classes for which there is no output."""
    loss = subject.loss
    is_sparse = (
        isinstance(loss, keras.losses.SparseCategoricalCrossentropy)
        or loss == "sparse_categorical_crossentropy"
    )
    width = subject.width
    if not is_sparse or not isinstance(width, int):
        return
    ignored = getattr(loss, "ignore_class", None)
    wrong = [
        label
        for label in subject.given
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

"""The outputs of a model that a task is about, and the labels for them.

A model may have several outputs, and a task be about some of them: it has a
loss for these alone. Keras wants a loss and labels for each output, in the
structure of the outputs; users have those of their task.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from modularity_tf.network import activations, batches, keras_private, scoring

Chosen: TypeAlias = str | Iterable[str] | None  # of outputs, by name


@dataclasses.dataclass(frozen=True)
class Task:
    """What is asked of the outputs of a model.

    Attributes:
        names: Tuple of the names of all outputs, in order.
        chosen: Tuple of those that the task is about.
        objective: Dict of `loss`, `metrics` and `loss_weights`, as
            `scoring.objective` returns it; where the task is not about all
            outputs, each with an item for every output.
        is_dict: Bool, whether the model returns a dict of its outputs.
    """

    names: tuple[str, ...]
    chosen: tuple[str, ...]
    objective: dict[str, Any]
    is_dict: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether the task is about all outputs."""
        return self.chosen == self.names

    def data(
        self, name: str, data: batches.Data, model: keras.Model
    ) -> batches.Data:
        """Returns data with labels for all outputs.

        Those of outputs that the task is not about are zeros that nothing
        reads.

        Args:
            name: Str, the argument's name.
            data: As in `network.batches`. Labels are an array where the task
                is about one output; else a dict by name or a list, of all
                outputs or of those of the task.
            model: `keras.Model` that the data are for.

        Raises:
            ValueError: If labels are missing, or of other outputs.
        """
        if self.is_whole:
            return data
        if batches.is_arrays(data, model):
            return self._completed(name, data)
        batches.check_batches(name, data)
        if isinstance(data, tf.data.Dataset):
            return data.map(
                lambda *batch: batches.without_lists(
                    self._completed(name, batch)
                )
            )
        if isinstance(data, keras.utils.PyDataset):
            return _PyBatches(data, lambda x: self._completed(name, x))
        if isinstance(data, Iterator):  # that it ends is seen by its kind
            return (self._completed(name, batch) for batch in data)
        return _Batches(data, lambda x: self._completed(name, x))

    def labels(self, name: str, targets: Any) -> dict[str, Any]:
        """Returns the labels of the task's outputs, by name.

        Args:
            name: Str, the argument's name.
            targets: As in `data`.

        Raises:
            ValueError: As there.
        """
        if isinstance(targets, dict):
            unknown = [key for key in targets if key not in self.names]
            if unknown:
                raise ValueError(
                    f"`{name}` has labels of {unknown}, which are none of the "
                    f"outputs {[*self.names]}."
                )
            found = {key: targets.get(key) for key in self.chosen}
        elif isinstance(targets, (list, tuple)):
            known = [
                names
                for names in (self.names, self.chosen)
                if len(names) == len(targets)
            ]
            if not known:
                raise ValueError(
                    f"`{name}` has a list of {len(targets)} arrays of labels, "
                    f"and the outputs are {[*self.names]}: give one for each, "
                    f"or those of {[*self.chosen]}."
                )
            both = dict(zip(known[0], targets, strict=True))
            found = {key: both[key] for key in self.chosen}
        else:
            found = dict.fromkeys(self.chosen, targets)
            if len(self.chosen) > 1:
                raise ValueError(
                    f"`{name}` has one array of labels for the outputs "
                    f"{[*self.chosen]}: give a dict or a list of them, or "
                    "name one output with `outputs`."
                )
        missing = [key for key, value in found.items() if value is None]
        if missing:
            raise ValueError(f"`{name}` has no labels for {missing}.")
        return found

    def _completed(self, name, batch):
        """Returns a batch with labels, and weights, for all outputs."""
        _, targets, *rest = batch
        labels = self.labels(name, targets)
        first = next(iter(labels.values()))
        rows = first.shape[0] if hasattr(first, "shape") else len(first)
        is_known = rows is not None
        empty = np.zeros((rows, 1), "float32") if is_known else None
        if not is_known:  # in a graph of `tf.data`
            empty = tf.zeros((tf.shape(first)[0], 1))
        found = self._shaped(
            {key: labels.get(key, empty) for key in self.names}
        )
        weights = [each for each in rest if each is not None]
        if weights and isinstance(weights[0], (dict, list, tuple)):
            own = self.labels(name, weights[0])
            ones = empty[:, 0] + 1.0
            weights = [
                self._shaped({key: own.get(key, ones) for key in self.names})
            ]
        return (batch[0], found, *weights)

    def _shaped(self, values):
        return values if self.is_dict else [*values.values()]


def task(
    model: keras.Model,
    loss: Any = None,
    metrics: Any = None,
    outputs: Chosen = None,
) -> Task:
    """Returns what is asked of the outputs of a model.

    Args:
        model: Built `keras.Model`.
        loss: As in `keras.Model.compile`; a dict or a list may leave outputs
            out, or have `None` for them. `None` for that of `model`.
        metrics: Likewise.
        outputs: Name of the output that the task is about, or names of
            several; `None` for all that have a loss. An output without a name
            is "output_0", "output_1" and so on.

    Raises:
        ValueError: If there is no loss, or no such output.
    """
    objective = scoring.objective(model, loss, metrics)
    given = objective["loss"]
    if isinstance(outputs, str):
        outputs = (outputs,)
    is_plain = not isinstance(given, (dict, list, tuple))
    if outputs is None and is_plain:
        return Task((), (), objective)
    names = names_of(model)
    if len(names) == 1:
        for part in ("loss", "metrics"):
            if isinstance(objective[part], dict):
                by_name = by_output(part, objective[part], names)
                objective[part] = by_name[names[0]]
        if isinstance(given, (list, tuple)):
            objective["loss"] = by_output("loss", given, names)[names[0]]
        if outputs is None:
            return Task((), (), objective)
    losses = by_output("loss", objective["loss"], names)
    known = tuple(outputs) if outputs is not None else names
    wrong = [key for key in known if key not in names]
    if wrong or not known:
        raise ValueError(
            f"`outputs` must be of {[*names]}, the outputs of {model.name!r}, "
            f"got {[*known]}."
        )
    chosen = tuple(
        key
        for key in names
        if key in known and (outputs is not None or losses[key] is not None)
    )
    if not chosen or any(losses[key] is None for key in chosen):
        without = [key for key in chosen if losses[key] is None]
        raise ValueError(
            f"`loss` has none for the outputs {without or [*names]} of "
            f"{model.name!r}, got {given!r}."
        )
    if chosen == names:
        return Task(names, names, objective)
    own = objective["metrics"]
    if len(chosen) == 1 and _are_of_one(own, names, metrics, outputs):
        own = {chosen[0]: own}
    weights = by_output("loss_weights", objective.get("loss_weights"), names)
    whole: dict[str, Any] = {
        "loss": losses,
        "metrics": by_output("metrics", own, names),
        "loss_weights": weights,
    }
    for part, values in whole.items():
        values = {k: v if k in chosen else None for k, v in values.items()}
        whole[part] = values
    if not any(whole["loss_weights"].values()):
        whole["loss_weights"] = None
    is_dict = isinstance(keras_private.output_structure(model), dict)
    if not is_dict:
        whole = {
            part: values and [*values.values()]
            for part, values in whole.items()
        }
    return Task(names, chosen, whole, is_dict)


def _are_of_one(found, names, given, outputs):
    """Returns whether metrics are all of the one output of a task.

    Args:
        found: The metrics of the task.
        names: Names of all outputs.
        given: What the user gave for it, or `None`.
        outputs: Likewise.
    """
    if isinstance(found, dict) or not found:
        return False
    if not isinstance(found, (list, tuple)) or len(found) != len(names):
        return True
    is_nested = any(x is None or isinstance(x, (list, tuple)) for x in found)
    return given is not None and outputs is not None and not is_nested


def names_of(model: keras.Model) -> tuple[str, ...]:
    """Returns the names of the outputs of a model, in order.

    Args:
        model: Built `keras.Model`.
    """
    given = tuple(getattr(model, "output_names", None) or ())
    outputs = keras_private.output_structure(model)
    if isinstance(outputs, dict):
        return given if {*given} == {*outputs} else tuple(sorted(outputs))
    if given:
        return given
    traced = activations.trace(model)
    if traced.keys:
        return tuple(traced.keys)
    count = len(traced.outputs)
    if count == 1:
        return ("output",)
    return tuple(f"output_{i}" for i in range(count))


def shape_of(
    model: keras.Model, output: str | None = None
) -> tuple[int | None, ...] | None:
    """Returns the shape of an output; `None` if that is not known.

    Args:
        model: Built `keras.Model`.
        output: Name of one output, `None` for the only one.
    """
    found = getattr(model, "outputs", None)
    if not found:
        try:
            found = activations.trace(model).outputs
        except ValueError:
            return None
    i = 0 if output is None else names_of(model).index(output)
    return tuple(found[i].shape) if output or len(found) == 1 else None


def by_output(name: str, given: Any, names: Sequence[str]) -> dict[str, Any]:
    """Returns a part of an objective as a dict by output.

    Args:
        name: Str, the argument's name.
        given: Dict by name, a list of one item for each output, or one item
            for all.
        names: Names of the outputs, in order.

    Raises:
        ValueError: If it has others.
    """
    if isinstance(given, dict):
        unknown = [key for key in given if key not in names]
        if unknown:
            raise ValueError(
                f"`{name}` has {unknown}, which are none of the outputs "
                f"{[*names]}."
            )
        return {key: given.get(key) for key in names}
    if isinstance(given, (list, tuple)) and len(given) == len(names):
        return dict(zip(names, given, strict=True))
    if isinstance(given, (list, tuple)) and given:
        raise ValueError(
            f"`{name}` must be a dict, or a list of one item for each of the "
            f"outputs {[*names]}, got {given!r}."
        )
    return dict.fromkeys(names, given or None)


class _Batches:
    """Batches that can be gone through again, each changed by a function."""

    def __init__(self, batches_, change):
        self._batches, self._change = batches_, change

    def __iter__(self):
        return map(self._change, self._batches)


class _PyBatches(keras.utils.PyDataset):
    """The same of a `PyDataset`."""

    def __init__(self, data, change):
        super().__init__()
        self._data, self._change = data, change

    @property
    def num_batches(self):
        return self._data.num_batches

    def __getitem__(self, index):
        return self._change(self._data[index])

    def on_epoch_begin(self):
        self._data.on_epoch_begin()

    def on_epoch_end(self):
        self._data.on_epoch_end()

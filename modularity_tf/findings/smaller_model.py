"""SmallerModel: a model without parts that it does not need, and its sizes."""

import dataclasses
import os
import tempfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import keras
import numpy as np
import rich.markup
import rich.table

from modularity_tf import checks
from modularity_tf.findings import finding
from modularity_tf.network import (
    activations,
    example_inputs,
    shrinking,
    sizes,
    surgery,
)

if TYPE_CHECKING:  # matplotlib is imported to draw
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class LayerSizes:
    """How large a layer was, and is.

    Attributes:
        layer: Str, the layer's path.
        units: Two ints, the numbers of its units (or attention heads) before
            and after; `None` for a layer without units of its own.
        parameters: Two ints, how many numbers it holds before and after.
        multiply_adds: Two ints, how often it multiplies and adds for one
            example, before and after.
        stays: Dict from a reason to how many units stay for it that were to
            go.
    """

    layer: str
    units: tuple[int, int] | None
    parameters: tuple[int, int]
    multiply_adds: tuple[int, int]
    stays: Mapping[str, int]


@dataclasses.dataclass(frozen=True, eq=False)
class SmallerModel(finding.Result):
    """A model without units that it does not need, and what became smaller.

    `NeuronSelection.shrink` and `WeightMask.shrink` return it. `save` writes
    model and sizes; `small.model.save("small.keras")` the model alone.

    >>> half = mtf.NeuronSelection({"hidden": np.arange(32) < 16})
    >>> small = half.shrink(model)
    >>> small.model.get_layer("hidden").units
    16
    >>> small.parameters[0] > small.parameters[1]
    True

    Attributes:
        model: Plain `keras.Model`, not compiled: `compile` and `fit` it as any
            other.
        layers: Tuple of `LayerSizes`.
    """

    model: keras.Model
    layers: tuple[LayerSizes, ...]

    KIND = "a smaller model"

    @property
    def parameters(self) -> tuple[int, int]:
        """Two ints: how many numbers the model held before, and holds now."""
        return _sums(each.parameters for each in self.layers)

    @property
    def multiply_adds(self) -> tuple[int, int]:
        """Two ints: multiplications with weights for an example, as above.

        Of a model for any input size they are those of the `inputs` that
        `shrink` took, or drew.
        """
        return _sums(each.multiply_adds for each in self.layers)

    @property
    def stays(self) -> dict[str, dict[str, int]]:
        """Dict from layer path to the reasons why units that were to go stay.

        Each a dict from the reason to the number of units.
        """
        return {x.layer: dict(x.stays) for x in self.layers if x.stays}

    def summary(self) -> str:
        """Returns how much smaller the model is, and which units stay."""
        told = "; ".join(
            f"{before:,} to {after:,} {what}"
            for what, (before, after) in (
                ("parameters", self.parameters),
                ("multiply-adds", self.multiply_adds),
            )
        )
        reasons = " ".join(
            f"{count} of {path!r} stay: {reason}."
            for path, why in self.stays.items()
            for reason, count in why.items()
        )
        return f"SmallerModel {self.model.name!r}: {told}. {reasons}".strip()

    def table(self) -> rich.table.Table:
        name = rich.markup.escape(repr(self.model.name))
        table = rich.table.Table(title=f"SmallerModel {name}")
        table.add_column("layer")
        for column in ("units", "parameters", "multiply-adds", "stay"):
            table.add_column(column, justify="right")
        for each in self.layers:
            stays = sum(each.stays.values())
            table.add_row(
                rich.markup.escape(each.layer),
                _change(each.units) if each.units else "",
                _change(each.parameters),
                _change(each.multiply_adds),
                str(stays) if stays else "",
            )
        table.add_section()
        table.add_row(
            "all", "", _change(self.parameters), _change(self.multiply_adds)
        )
        return table

    def plot(self) -> "Figure":
        """Returns what share of multiply-adds each layer keeps, a `Figure`."""
        from modularity_tf import plots  # and matplotlib with it

        return plots.shares_by_layer(
            {
                each.layer: (each.multiply_adds[1], each.multiply_adds[0])
                for each in self.layers
                if each.multiply_adds[0]
            },
            "multiply-adds that are left [%]",
            f"SmallerModel {self.model.name!r}",
        )

    @classmethod
    def load(cls, file: str | os.PathLike[str]) -> Self:
        """Reads a smaller model that `save` wrote.

        Keras makes its model as it makes those of `.keras` files: register
        layers of your own before. A Python lambda, as in a `Lambda` layer, is
        refused until you call `keras.config.enable_unsafe_deserialization()`.

        Args:
            file: Str or path.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file holds no smaller model, one of a later
                version, or one that Keras can't make.
        """
        read = super().load(file)
        try:
            model = _model_of(read.model)
        except Exception as error:  # whatever the user's code may raise
            raise ValueError(
                f"{file} holds a {cls.__name__} whose model Keras can't make: "
                f"{example_inputs.in_one_line(error)} (Register layers of your "
                "own before. For a Python lambda in a file that you trust, "
                "call `keras.config.enable_unsafe_deserialization()`.)"
            ) from error
        return dataclasses.replace(read, model=model)

    def _packed(self):
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "model.keras")
            self.model.save(file)
            content = np.fromfile(file, "uint8")
        rows = [dataclasses.asdict(each) for each in self.layers]
        return {"layers": rows}, {"model": content}

    @classmethod
    def _unpacked(cls, config, arrays):
        pairs = ("units", "parameters", "multiply_adds")
        rows = (
            {k: tuple(v) if k in pairs and v else v for k, v in row.items()}
            for row in config["layers"]
        )
        layers = tuple(LayerSizes(**row) for row in rows)
        return cls(arrays["model"], layers)  # `load` makes a model of it


def shrunk(
    model: keras.Model,
    units: surgery.Neurons | None,
    round_to: int,
    inputs: Any,
) -> SmallerModel:
    """Returns a model without units that it does not need.

    Args:
        model: As in `shrinking.shrink`.
        units: As there.
        round_to: As there.
        inputs: As there.

    Raises:
        ValueError: As there, or if `round_to` is no positive int.
    """
    round_to = checks.integer("round_to", round_to, least=1)
    if inputs is None:
        inputs = example_inputs.draw(model)
    found = shrinking.shrink(model, units, round_to=round_to, inputs=inputs)
    both = (model, found.model)
    parameters = [sizes.parameters(each) for each in both]
    counts = [sizes.multiply_adds(each, inputs) for each in both]
    sized = {*found.units, *parameters[0], *counts[0]}
    return SmallerModel(
        found.model,
        tuple(
            LayerSizes(
                path,
                found.units.get(path),
                (parameters[0].get(path, 0), parameters[1].get(path, 0)),
                (counts[0].get(path, 0), counts[1].get(path, 0)),
                found.stays.get(path, {}),
            )
            for path in activations.layers_of(model)
            if path in sized
        ),
    )


def _model_of(content):
    """Returns the model in the bytes of a `.keras` file."""
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "model.keras")
        content.tofile(file)
        return keras.saving.load_model(file)


def _sums(pairs):
    before, after = zip((0, 0), *pairs)
    return sum(before), sum(after)


def _change(pair):
    before, after = pair
    return f"{before:,}" if before == after else f"{before:,} → {after:,}"

"""Result and Finding: immutable values with a file, a table and a picture."""

import json
import os
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import keras
import numpy as np
import rich.console
import rich.table

if TYPE_CHECKING:  # matplotlib is imported to draw
    from matplotlib.figure import Figure

_LONG = 10  # a list of more items is not printed
_FORMAT, _VERSION = "modularity_tf", 2  # of the files; 1 is that of 0.1
# Of tables in notebooks, whose own fonts do not have the lines.
_STYLE = "line-height: normal; font-family: 'DejaVu Sans Mono', monospace"


class Result:
    """The base of what the library returns: findings, comparisons, checks.

    A result says in a sentence what it means (`summary`, `str`). It can be
    saved, shown in a terminal or a notebook (`table`), and drawn (`plot`).
    """

    KIND = ""  # what a file holds, for its header and messages
    OLD_KIND = ""  # the same in files of version 1 that it reads, too

    def summary(self) -> str:
        """Returns what the result says, in a sentence or some."""
        raise NotImplementedError

    def table(self) -> rich.table.Table:
        """Returns the numbers as a `rich.table.Table`."""
        raise NotImplementedError

    def plot(self) -> "Figure":
        """Returns a picture of the result, a matplotlib `Figure`."""
        raise NotImplementedError

    def save(self, file: str | os.PathLike[str]) -> None:
        """Writes the result to one compressed `.npz` file.

        The file appears whole or not at all.

        Args:
            file: Str or path, in a folder that exists.

        Raises:
            ValueError: If there is no such folder, or `file` is one.
        """
        if os.path.isdir(file):
            raise ValueError(f"`file` is a folder: {os.fspath(file)!r}.")
        folder = os.path.dirname(os.path.abspath(file))
        if not os.path.isdir(folder):
            raise ValueError(f"There is no folder {folder!r} for `file`.")
        config, arrays = self._packed()
        told = {"format": _FORMAT, "kind": self.KIND, "version": _VERSION}
        content: dict[str, Any] = {
            "header": np.array(json.dumps({**told, **config})),
            **arrays,
        }
        partial = f"{os.fspath(file)}.partial"
        with open(partial, "wb") as f:
            np.savez_compressed(f, **content)
        os.replace(partial, file)

    @classmethod
    def load(cls, file: str | os.PathLike[str]) -> Self:
        """Reads a result that `save` wrote.

        Args:
            file: Str or path.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file holds no such result, one of another kind
                or of a later version.
        """
        with open(file, "rb") as f:
            try:
                if not zipfile.is_zipfile(f):
                    raise ValueError("it is no .npz file")
                f.seek(0)
                with np.load(f, allow_pickle=False) as archive:
                    if "header" not in archive:
                        raise ValueError("it has no header")
                    header = json.loads(str(archive["header"]))
                    arrays = {key: archive[key] for key in archive}
                cls._check_header(header)
                return cls._unpacked(header, arrays)
            except Exception as error:
                raise ValueError(
                    f"{file} holds no {cls.__name__}: {error}."
                ) from error

    def _packed(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Returns a dict of JSON values and a dict of arrays, for a file."""
        raise NotImplementedError

    @classmethod
    def _unpacked(
        cls, config: dict[str, Any], arrays: dict[str, np.ndarray]
    ) -> Self:
        """Returns the result that `_packed` took apart."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self):
        return as_html(self.table())

    @classmethod
    def _check_header(cls, header):
        """Raises `ValueError` if a file holds something else."""
        if not isinstance(header, dict):
            raise ValueError(f"its header is {header!r}")
        if header.get("format") != _FORMAT:
            raise ValueError(
                f"its format is {header.get('format')!r}, not {_FORMAT!r}"
            )
        if header["kind"] not in (cls.KIND, cls.OLD_KIND):
            raise ValueError(f"it holds {header['kind']}, not {cls.KIND}")
        if not isinstance(header["version"], int):
            raise ValueError(
                f"`version` must be an int, got {header['version']!r}"
            )
        if header["version"] > _VERSION:
            raise ValueError(
                f"it is of version {header['version']}, and this release "
                f"reads {_VERSION} at most"
            )


class Finding(Result):
    """The base of what is found in a network.

    A finding also says where it comes from (`provenance`, a dict of JSON
    values) and refuses models that it is not of (`check_fits`).
    """

    provenance: Mapping[str, Any]

    def check_fits(self, model: keras.Model) -> None:
        """Raises `ValueError` with the first thing that `model` has otherwise.

        Args:
            model: Built `keras.Model`.
        """
        raise NotImplementedError

    @classmethod
    def load(
        cls, file: str | os.PathLike[str], model: keras.Model | None = None
    ) -> Self:
        """Reads a finding that `save` wrote.

        Args:
            file: Str or path.
            model: Built `keras.Model` that the finding must fit, or `None`.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file holds no such finding, one of another kind,
                of a later version, or one that does not fit `model`.
        """
        loaded = super().load(file)
        if model is not None:
            loaded.check_fits(model)
        return loaded


def kind_of(file: str | os.PathLike[str]) -> str | None:
    """Returns what kind of result a file holds; `None` if it holds none.

    Args:
        file: Str or path.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    with open(file, "rb") as f:
        try:
            with np.load(f, allow_pickle=False) as archive:
                return json.loads(str(archive["header"]))["kind"]
        except Exception:  # a damaged file can raise anything: `load` says why
            return None


def as_html(table: rich.table.Table) -> str:
    """Returns a `rich.table.Table` as HTML, for notebooks."""
    with open(os.devnull, "w") as nowhere:
        console = rich.console.Console(
            record=True, width=100, file=nowhere, force_jupyter=False
        )  # which would show it, too
        console.print(table)
    return console.export_html(
        inline_styles=True, code_format=f'<pre style="{_STYLE}">{{code}}</pre>'
    )


class Provenance(dict):
    """A dict of JSON values that prints long lists by their lengths."""

    def __repr__(self) -> str:
        shown = (
            f"[{len(value)} items]"
            if isinstance(value, list) and len(value) > _LONG
            else repr(value)
            for value in self.values()
        )
        pairs = (f"{key!r}: {text}" for key, text in zip(self, shown))
        return "{" + ", ".join(pairs) + "}"


def as_provenance(values: Any) -> Provenance:
    """Returns a provenance as a file would give it back.

    Raises:
        ValueError: If it is no dict of JSON values.
    """
    try:
        provenance = json.loads(json.dumps(values), object_hook=Provenance)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`provenance` must hold JSON values: {error}."
        ) from error
    if not isinstance(provenance, Provenance):
        raise ValueError(f"`provenance` must be a dict, got {values!r}.")
    return provenance

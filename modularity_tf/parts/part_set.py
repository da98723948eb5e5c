"""PartSet: a subset of a network's parts, as an immutable value."""

import base64
import collections.abc
import dataclasses
import json
import math
import os
import types
import zipfile

import numpy as np

from modularity_tf.parts import checks, overlap

_FORMAT, _VERSION = "modularity_tf", 1  # of the files


@dataclasses.dataclass(frozen=True, eq=False)
class PartSet:
    """A subset of a network's parts: True where a part belongs to it.

    An immutable value: set operations return new ones. They need sets over
    the same parts.

    - `a | b`, `a & b`, `a - b`, `~a`: union, intersection, difference and
      complement, part by part. Their provenance is empty.
    - `a == b`: the same members, whatever the provenance.

    Args:
        values: Dict from name to boolean array.
        provenance: Dict of JSON values that says where the set comes from.

    Raises:
        ValueError: If an array is not boolean, or `provenance` is not JSON.
    """

    values: dict
    provenance: dict = dataclasses.field(default_factory=dict)

    PARTS = "parts"  # what they are, for messages

    def __post_init__(self):
        if not isinstance(self.values, collections.abc.Mapping):
            raise ValueError(
                "`values` must be a dict from name to boolean array, got "
                f"{self.values!r}."
            )
        values = {}
        for path, value in self.values.items():
            if not isinstance(path, str):
                raise ValueError(f"A name must be a str, got {path!r}.")
            try:
                value = np.array(value)  # a copy: nobody else can write to it
            except ValueError as error:
                raise ValueError(f"{path!r} is no array: {error}") from error
            if value.dtype != bool:
                raise ValueError(
                    f"The values of {path!r} must be boolean, got "
                    f"{value.dtype}."
                )
            value.flags.writeable = False
            values[path] = value
        object.__setattr__(self, "values", types.MappingProxyType(values))
        try:  # a copy, as `load` would return it
            provenance = json.loads(json.dumps(self.provenance))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"`provenance` must hold JSON values: {error}."
            ) from error
        if not isinstance(provenance, dict):
            raise ValueError(
                f"`provenance` must be a dict, got {self.provenance!r}."
            )
        object.__setattr__(self, "provenance", provenance)

    def __or__(self, other):
        return self._combine(other, np.logical_or)

    def __and__(self, other):
        return self._combine(other, np.logical_and)

    def __sub__(self, other):
        return self._combine(other, np.greater)

    def __invert__(self):
        return type(self)({p: ~value for p, value in self.values.items()})

    def __eq__(self, other):
        return (
            type(other) is type(self)
            and self.values.keys() == other.values.keys()
            and all(
                np.array_equal(value, other.values[path])
                for path, value in self.values.items()
            )
        )

    __hash__ = None

    def __reduce__(self):  # a read-only `values` can't be pickled or copied
        return type(self), (dict(self.values), self.provenance)

    def __repr__(self):
        return (
            f"<{type(self).__name__} of {self.size} {self.PARTS} in "
            f"{len(self.values)} tensors, {self.keep_fraction:.1%} kept>"
        )

    @property
    def size(self):
        """Int, the number of parts, in the set or not."""
        return sum(value.size for value in self.values.values())

    @property
    def keep_fraction(self):
        """Float in [0, 1], the share of parts in the set; NaN for none."""
        return overlap.ratio(sum(_counts(self).values()), self.size)

    def keep_fractions(self):
        """Returns the share of parts kept of each tensor, keyed by path."""
        return {
            path: overlap.ratio(count, self.values[path].size)
            for path, count in _counts(self).items()
        }

    def sharing(self, reference, per_tensor=False):
        """Returns s(t, r) = |t & r| / |t|, t this set, r the reference.

        Not symmetric. 0 / 0, for an empty set, is NaN.

        Args:
            reference: A set over the same parts; with several tasks, the
                union of the others' sets.
            per_tensor: Bool. Return one value a tensor instead of the total.

        Returns:
            Float in [0, 1], or a dict of such keyed by path.

        Raises:
            ValueError: If the sets are not over the same parts.

        References:
            - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066),
              section 2
        """
        return self._overlap(reference, "share", per_tensor)

    def iou(self, other, per_tensor=False):
        """Returns the intersection over union, |a & b| / |a | b|.

        Symmetric. 0 / 0, for two empty sets, is NaN. Arguments, result and
        errors as in `sharing`.

        References:
            - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066),
              appendix B.1
        """
        return self._overlap(other, "jaccard", per_tensor)

    def shuffled(self, seed):
        """Returns a random set with as many members in each tensor.

        The control for a finding: what a set of this size does by chance.

        Args:
            seed: Int, at least 0.

        Returns:
            A set of this type, without provenance.

        Raises:
            ValueError: If `seed` is no such int.
        """
        seed = checks.integer("seed", seed)
        seeds = np.random.SeedSequence(seed).spawn(len(self.values))
        return type(self)(
            {
                path: np.random.default_rng(s)
                .permutation(value.reshape(-1))
                .reshape(value.shape)
                for s, (path, value) in zip(
                    seeds, self.values.items(), strict=True
                )
            }
        )

    def save(self, file):
        """Writes the set to one compressed `.npz` file, a bit a part.

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
        config = self.get_config()
        bits = config.pop("bits")
        header = {
            "format": _FORMAT,
            "kind": self.PARTS,
            "version": _VERSION,
            **config,
        }
        partial = f"{os.fspath(file)}.partial"
        with open(partial, "wb") as f:
            np.savez_compressed(
                f,
                header=np.array(json.dumps(header)),
                bits=np.frombuffer(base64.b64decode(bits), "uint8"),
            )
        os.replace(partial, file)

    @classmethod
    def load(cls, file, model=None):
        """Reads a set that `save` wrote.

        Args:
            file: Str or path.
            model: Built `keras.Model` that the set must fit, or `None`.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file holds no such set, one of another kind, of
                a later version, or one that does not fit `model`.
        """
        with open(file, "rb") as f:
            try:
                if not zipfile.is_zipfile(f):
                    raise ValueError("it is no .npz file")
                f.seek(0)
                with np.load(f, allow_pickle=False) as archive:
                    if "header" not in archive:
                        raise ValueError("it has no header")
                    config = json.loads(str(archive["header"]))
                    bits = archive["bits"].tobytes()
                cls._check_header(config)
                config["bits"] = base64.b64encode(bits)
                loaded = cls.from_config(config)
            except Exception as error:
                raise ValueError(
                    f"{file} holds no {cls.__name__}: {error}."
                ) from error
        if model is not None:
            loaded.check_fits(model)
        return loaded

    def get_config(self):
        packed = [np.packbits(value) for value in self.values.values()]
        bits = b"".join(value.tobytes() for value in packed)
        return {
            "shapes": {path: list(v.shape) for path, v in self.values.items()},
            "provenance": self.provenance,
            "bits": base64.b64encode(bits).decode(),
        }

    @classmethod
    def from_config(cls, config):
        bits = np.frombuffer(base64.b64decode(config["bits"]), "uint8")
        shapes = config["shapes"]
        needed = sum(-(-math.prod(shape) // 8) for shape in shapes.values())
        if bits.size != needed:  # NumPy would make up the rest
            raise ValueError(f"{needed} bytes needed, {bits.size} found")
        values, start = {}, 0
        for path, shape in shapes.items():
            size = math.prod(shape)
            stop = start + -(-size // 8)
            flat = np.unpackbits(bits[start:stop], count=size)
            values[path] = flat.reshape(shape).astype(bool)
            start = stop
        return cls(values, config["provenance"])

    @classmethod
    def _check_header(cls, header):
        """Raises `ValueError` if a file holds something else."""
        if not isinstance(header, dict):
            raise ValueError(f"its header is {header!r}")
        if header.get("format") != _FORMAT:
            raise ValueError(
                f"its format is {header.get('format')!r}, not {_FORMAT!r}"
            )
        if header["kind"] != cls.PARTS:
            raise ValueError(
                f"it holds a set of {header['kind']}, not of {cls.PARTS}"
            )
        if not isinstance(header["version"], int):
            raise ValueError(
                f"`version` must be an int, got {header['version']!r}"
            )
        if header["version"] > _VERSION:
            raise ValueError(
                f"it is of version {header['version']}, and this release "
                f"reads {_VERSION} at most"
            )

    def _overlap(self, other, measure, per_tensor):
        if type(other) is not type(self):
            raise ValueError(
                f"A {type(self).__name__} can be compared with another only, "
                f"got {other!r}."
            )
        _ = self & other  # refuses what does not fit
        found = overlap.overlaps(self.values, other.values)
        total = getattr(found.pop("total"), measure)
        if per_tensor:
            return {p: getattr(both, measure) for p, both in found.items()}
        return total

    def _combine(self, other, operation):
        if type(other) is not type(self):
            return NotImplemented
        for path in {**self.values, **other.values}:
            shapes = [
                one.values[path].shape if path in one.values else "absent"
                for one in (self, other)
            ]
            if shapes[0] != shapes[1]:
                raise ValueError(
                    f"The sets are not over the same {self.PARTS}: the shape "
                    f"of {path!r} is {shapes[0]} in one, {shapes[1]} in the "
                    "other."
                )
        return type(self)(
            {
                path: operation(value, other.values[path])
                for path, value in self.values.items()
            }
        )


def _counts(chosen):
    return {path: int(v.sum()) for path, v in chosen.values.items()}

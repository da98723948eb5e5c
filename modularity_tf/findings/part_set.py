"""PartSet: a subset of a network's parts, as an immutable value."""

import base64
import collections.abc
import dataclasses
import math
import types
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import keras
import numpy as np
import rich.markup
import rich.table

from modularity_tf import checks
from modularity_tf.findings import finding, mask_path, overlap
from modularity_tf.network import model_weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OF_MODEL = ("model", "model_fingerprint")  # keys of provenance
_BITS = ("bits", "off")  # arrays of a file that are packed booleans


@dataclasses.dataclass(frozen=True, eq=False)
class PartSet(finding.Finding):
    """A subset of a network's parts: True where a part belongs to it.

    An immutable value: set operations return new ones. They need sets over
    the same parts.

    - `a | b`, `a & b`, `a - b`, `~a`: union, intersection, difference and
      complement, part by part. Their provenance is the model's fingerprint,
      where both have the same.
    - `a == b`: the same members, whatever the provenance.

    Args:
        values: Dict from name to boolean array.
        provenance: Dict of JSON values that says where the set comes from.
        scores: Dict from name to float array of the shape of its values,
            higher for parts that matter more, to rank them by; or `None`.
            Sets that are made of others have none.

    Raises:
        ValueError: If an array is not boolean, `provenance` is not JSON, or
            `scores` are not those of these parts.
    """

    values: Mapping[str, np.ndarray]
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    scores: Mapping[str, np.ndarray] | None = None

    KIND = "parts"  # what they are

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
                value = np.asarray(value)
            except ValueError as error:
                raise ValueError(f"{path!r} is no array: {error}") from error
            if value.dtype != bool:
                raise ValueError(
                    f"The values of {path!r} must be boolean, got "
                    f"{value.dtype}."
                )
            values[path] = value
        self._set("values", values)
        object.__setattr__(
            self, "provenance", finding.as_provenance(self.provenance)
        )
        if self.scores is not None:
            scores = self._like("scores", self.scores, "iuf")
            if any(np.isnan(each).any() for each in scores.values()):
                raise ValueError("`scores` must be numbers, got NaN.")
            self._set("scores", scores)

    def __or__(self, other: Self) -> Self:
        return self._combine(other, np.logical_or)

    def __and__(self, other: Self) -> Self:
        return self._combine(other, np.logical_and)

    def __sub__(self, other: Self) -> Self:
        return self._combine(other, np.greater)

    def __invert__(self) -> Self:
        return type(self)(
            {p: ~value for p, value in self.values.items()},
            _of_model(self, self),
        )

    def __eq__(self, other: object) -> bool:
        return (
            type(other) is type(self)
            and self.values.keys() == other.values.keys()
            and all(
                np.array_equal(value, other.values[path])
                for path, value in self.values.items()
            )
        )

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self):  # a read-only `values` can't be pickled or copied
        fields = (getattr(self, f.name) for f in dataclasses.fields(self))
        return type(self), tuple(
            dict(value) if isinstance(value, types.MappingProxyType) else value
            for value in fields
        )

    def __repr__(self):
        return (
            f"<{type(self).__name__} of {self.size} {self.KIND} in "
            f"{len(self.values)} tensors, {self.keep_fraction:.1%} kept>"
        )

    @property
    def size(self) -> int:
        """Int, the number of parts, in the set or not."""
        return sum(value.size for value in self.values.values())

    @property
    def keep_fraction(self) -> float:
        """Float in [0, 1], the share of parts in the set; NaN for none."""
        return overlap.ratio(sum(_counts(self).values()), self.size)

    def keep_fractions(self) -> dict[str, float]:
        """Returns the share of parts kept of each tensor, keyed by path."""
        return {
            path: overlap.ratio(count, self.values[path].size)
            for path, count in _counts(self).items()
        }

    def sharing(self, reference: Self) -> float:
        """Returns s(t, r) = |t & r| / |t|, t this set, r the reference.

        Not symmetric. 0 / 0, for an empty set, is NaN.

        Args:
            reference: A set over the same parts; with several tasks, the
                union of the others' sets.

        Returns:
            Float in [0, 1]; `overlap` has that of each tensor, too.

        Raises:
            ValueError: If the sets are not over the same parts.

        References:
            - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066),
              section 2
        """
        return self.overlap(reference).share

    def iou(self, other: Self) -> float:
        """Returns the intersection over union, |a & b| / |a | b|.

        Symmetric. 0 / 0, for two empty sets, is NaN. Arguments, result and
        errors as in `sharing`.

        References:
            - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066),
              appendix B.1
        """
        return self.overlap(other).jaccard

    def overlap(self, other: Self) -> overlap.Overlap:
        """Returns what two sets share, beside what random sets would.

        Args:
            other: A set over the same parts.

        Returns:
            `Overlap`; its `by_tensor` has one for each tensor.

        Raises:
            ValueError: If the sets are not over the same parts.
        """
        self._check_like(other)
        return overlap.between(self.values, other.values)

    @property
    def path(self) -> mask_path.MaskPath:
        """`MaskPath`, the masks trained on the way to this one.

        Empty where the set was not found by training.
        """
        return mask_path.MaskPath(self.provenance.get("path", ()))

    def at(self, *, keep: float) -> Self:
        """Returns the set of another size: the parts of highest score.

        A smaller or larger one of the same path, without training. How well it
        does is not known: `soundness.check` measures it.

        Args:
            keep: Float from 0 to 1, the share of the parts to keep.

        Raises:
            ValueError: If the set has no scores, or `keep` is out of its
                range.
        """
        keep = checks.number("keep", keep, most=1)
        if self.scores is None:
            raise ValueError(
                f"This {type(self).__name__} has no `scores` to cut one of "
                "another size by."
            )
        scores = dict(self.scores)
        values = top_scores(scores, round(keep * self.size))
        provenance = {**told_alike(self), "method": "at", "keep": keep}
        return type(self)(values, provenance, scores)

    def check_found_in(self, model: keras.Model, argument: str) -> None:
        """Raises `ValueError` if it was found in a network of other weights.

        A set that does not tell where it was found is none of those.

        Args:
            model: Built `keras.Model`.
            argument: Str, the argument that the set was given for.
        """
        told = self.provenance.get("model_fingerprint")
        if told not in (None, model_weights.fingerprint(model)):
            raise ValueError(
                f"`{argument}` was found in a network with other weights than "
                f"{model.name!r} has: {self!r}."
            )

    def for_model(self, model: keras.Model) -> Self:
        """Returns the set for a model inside of its own, or around it.

        A model that is a layer of another has the same paths there, behind its
        name: "dense/kernel" is "encoder/dense/kernel" in a model with it as
        its layer "encoder". The names in front are added or left out, and so
        are parts that `model` does not have.

        >>> inputs = keras.Input((64,))
        >>> wrapper = keras.Model(inputs, model(inputs))
        >>> some = mtf.NeuronSelection({"hidden": np.arange(32) < 8})
        >>> around = some.for_model(wrapper)
        >>> [*around.values] == [f"{model.name}/hidden"]
        True
        >>> around.for_model(model) == some
        True

        Args:
            model: Built `keras.Model`.

        Returns:
            A set of this type. Its provenance has `model`, its name, and no
            `model_fingerprint`: whether the weights are the same is not known.

        Raises:
            ValueError: If there are no such names, or several that would do.
        """
        shapes = self._shapes_in(model)
        own = {path: value.shape for path, value in self.values.items()}
        found = {
            tuple(pairs.items())
            for pairs in (*_inside(own, shapes), *_around(own, shapes))
            if pairs
        }
        if all(shapes.get(path) == shape for path, shape in own.items()):
            told = self.provenance.get("model_fingerprint")
            if not found or told == model_weights.fingerprint(model):
                return self
            found.add(tuple((path, path) for path in own))
        if len(found) != 1:
            what = "no names" if not found else "several ways to take names"
            raise ValueError(
                f"The set is not of a part of {model.name!r}, nor of a model "
                f"around it: there are {what} in front of {[*own]} that make "
                f"them some of {[*shapes]}."
            )
        (pairs,) = found
        fields = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, types.MappingProxyType):
                fields[field.name] = {new: value[old] for old, new in pairs}
        provenance = dict(self.provenance)
        provenance.pop("model_fingerprint", None)
        fields["provenance"] = {**provenance, "model": model.name}
        return dataclasses.replace(self, **fields)

    def _shapes_in(self, model):
        """Returns the shapes of the parts that a model has, by path."""
        raise NotImplementedError

    def summary(self) -> str:
        """Returns how many of how many parts are in the set, and where."""
        parts = ", ".join(
            f"{path} {share:.1%}"
            for path, share in self.keep_fractions().items()
        )
        if not self.size:
            return f"{self._title()}: over no {self.KIND}."
        return (
            f"{self._title()}: {sum(_counts(self).values()):,} of "
            f"{self.size:,} {self.KIND} ({self.keep_fraction:.1%}); {parts}."
        )

    def table(self) -> rich.table.Table:
        table = rich.table.Table(title=rich.markup.escape(self._title()))
        for column in ("where", self.KIND, "in the set", "share"):
            table.add_column(
                column, justify="right" if column != "where" else "left"
            )
        rows = [
            (path, value.size, int(value.sum()))
            for path, value in self.values.items()
        ]
        rows.append(("all", self.size, sum(_counts(self).values())))
        more = self._more_columns()
        for name in more:
            table.add_column(name, justify="right")
        for path, size, count in rows:
            share = f"{overlap.ratio(count, size):.1%}"
            others = [
                str(counts[path] if path in counts else sum(counts.values()))
                for counts in more.values()
            ]
            where = rich.markup.escape(path)
            table.add_row(where, str(size), str(count), share, *others)
        return table

    def _more_columns(self):
        """Returns counts that a kind of set has beside: name -> path -> int."""
        return {}

    def plot(self) -> "Figure":
        from modularity_tf import plots  # and matplotlib with it

        return plots.shares_by_layer(
            {
                path: (int(value.sum()), value.size)
                for path, value in self.values.items()
            },
            f"{self.KIND} in the set [%]",
            self._title(),
        )

    def shuffled(
        self, seed: int | None = 0, *, within: Self | None = None
    ) -> Self:
        """Returns a random set with as many members in each tensor.

        The control for a finding: what a set of this size does by chance.

        Args:
            seed: Int, not negative; `None` is random.
            within: A set that holds this one, to draw the members from: what
                the finding was chosen among. `None` for all there are.

        Returns:
            A set of this type, without provenance.

        Raises:
            ValueError: If `seed` is no such int, or `within` lacks a member.
        """
        seed = checks.seed(seed)
        if within is not None:
            self._check_like(within)
        if within is not None and self & within != self:
            raise ValueError("`within` must hold every member of this set.")
        seeds = np.random.SeedSequence(seed).spawn(len(self.values))
        drawn = {}
        for s, (path, value) in zip(seeds, self.values.items(), strict=True):
            rng, drawn[path] = np.random.default_rng(s), np.zeros_like(value)
            chosen = np.True_ if within is None else within.values[path]
            chosen = np.broadcast_to(chosen, value.shape)
            drawn[path][chosen] = rng.permutation(value[chosen])
        return type(self)(drawn)

    def get_config(self) -> dict[str, Any]:
        """Returns the set without `scores`, as JSON values."""
        config, arrays = self._packed()
        bits = {name: arrays[name] for name in _BITS if name in arrays}
        return {
            **config,
            **{k: base64.b64encode(v).decode() for k, v in bits.items()},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        bits = {
            name: np.frombuffer(base64.b64decode(config[name]), "uint8")
            for name in _BITS
            if name in config
        }
        return cls._unpacked(config, bits)

    def _packed(self):
        shapes = {path: list(v.shape) for path, v in self.values.items()}
        config = {"shapes": shapes, "provenance": self.provenance}
        return config, {
            "bits": packed_bits(self.values),
            **{f"scores/{p}": v for p, v in (self.scores or {}).items()},
        }

    @classmethod
    def _unpacked(cls, config, arrays):
        values = unpacked_bits(arrays["bits"], config["shapes"])
        scores = {
            key.removeprefix("scores/"): value
            for key, value in arrays.items()
            if key.startswith("scores/")
        }
        return cls(values, config["provenance"], scores or None)

    def _part(self, paths):
        """Returns the part of the set that lies in tensors given by path."""
        chosen = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, types.MappingProxyType):
                chosen[field.name] = {path: value[path] for path in paths}
        return dataclasses.replace(self, **chosen)

    def _set(self, name, values):
        """Sets a field to a dict of arrays that nobody can write to."""
        copies = {path: np.array(value) for path, value in values.items()}
        for value in copies.values():
            value.flags.writeable = False
        object.__setattr__(self, name, types.MappingProxyType(copies))

    def _like(self, name, values, kinds):
        """Returns arrays, checked to be one for each array of `values`."""
        shapes = {path: v.shape for path, v in self.values.items()}
        arrays = {}
        if isinstance(values, collections.abc.Mapping):
            arrays = {path: np.asarray(v) for path, v in values.items()}
        if {path: v.shape for path, v in arrays.items()} != shapes or any(
            v.dtype.kind not in kinds for v in arrays.values()
        ):
            raise ValueError(
                f"`{name}` must be a dict of arrays like those of `values`, "
                f"{shapes}, got "
                f"{ ({p: (v.dtype, v.shape) for p, v in arrays.items()}) }."
            )
        return arrays

    def _title(self):
        told = [
            f"{key} {self.provenance[key]}"
            for key in ("task", "label", "method", "cluster")
            if self.provenance.get(key) is not None
        ]
        return ", ".join([type(self).__name__, *told])

    def _check_like(self, other):
        if type(other) is not type(self):
            raise ValueError(
                f"A {type(self).__name__} can be compared with another only, "
                f"got {other!r}."
            )
        _ = self & other  # refuses what does not fit

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
                    f"The sets are not over the same {self.KIND}: the shape "
                    f"of {path!r} is {shapes[0]} in one, {shapes[1]} in the "
                    "other."
                )
        return type(self)(
            {
                path: operation(value, other.values[path])
                for path, value in self.values.items()
            },
            _of_model(self, other),
        )


def top_scores(
    scores: Mapping[str, np.ndarray], count: int
) -> dict[str, np.ndarray]:
    """Returns which parts have the highest scores: exactly `count` of them.

    Of equal scores the first is taken.

    Args:
        scores: Dict from name to float array.
        count: Int from 0 to the number of parts.
    """
    flat = np.concatenate([np.ravel(values) for values in scores.values()])
    flat = flat.astype("float64")  # unsigned ints have no negative
    chosen = np.zeros(flat.size, bool)
    chosen[np.argsort(-flat, kind="stable")[:count]] = True
    found, begin = {}, 0
    for path, values in scores.items():
        found[path] = chosen[begin : begin + values.size].reshape(values.shape)
        begin += values.size
    return found


def _inside(own, shapes):
    """Yields which of own paths are which of a model inside, by front names."""
    fronts = {
        path[: i + 1] for path in own for i, c in enumerate(path) if c == "/"
    }
    for front in sorted(fronts):
        pairs = {
            path: path.removeprefix(front)
            for path in own
            if path.startswith(front)
        }
        if all(shapes.get(new) == own[old] for old, new in pairs.items()):
            yield pairs


def _around(own, shapes):
    """Yields the same of a model around."""
    fronts = {
        path[: i + 1] for path in shapes for i, c in enumerate(path) if c == "/"
    }
    for front in sorted(fronts):
        pairs = {path: front + path for path in own}
        if all(shapes.get(new) == own[old] for old, new in pairs.items()):
            yield pairs


def told_alike(found: PartSet) -> dict[str, Any]:
    """Returns what a set tells that holds for one made of it, too."""
    keys = (*OF_MODEL, "task", "label", "cluster")
    return {k: v for k, v in found.provenance.items() if k in keys}


def _of_model(one, other):
    """Returns what two sets say alike of the model that they are of."""
    return {
        key: one.provenance[key]
        for key in OF_MODEL
        if key in one.provenance
        and one.provenance[key] == other.provenance.get(key)
    }


def _counts(chosen):
    return {path: int(v.sum()) for path, v in chosen.values.items()}


def packed_bits(values: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns boolean arrays as one array of bytes, eight values in each."""
    packed = [np.packbits(value) for value in values.values()]
    return np.concatenate([np.zeros(0, "uint8"), *packed])


def unpacked_bits(
    bits: np.ndarray, shapes: Mapping[str, Sequence[int]]
) -> dict[str, np.ndarray]:
    """Returns the arrays that `packed_bits` packed.

    Args:
        bits: Array of uint8.
        shapes: Dict from name to the shape of its array.

    Raises:
        ValueError: If there are not as many bits as the shapes need.
    """
    sizes = {path: math.prod(shape) for path, shape in shapes.items()}
    needed = sum(-(-size // 8) for size in sizes.values())
    if bits.size != needed:  # NumPy would make up the rest
        raise ValueError(f"{needed} bytes needed, {bits.size} found")
    values, start = {}, 0
    for path, size in sizes.items():
        stop = start + -(-size // 8)
        flat = np.unpackbits(bits[start:stop], count=size)
        values[path] = flat.reshape(shapes[path]).astype(bool)
        start = stop
    return values

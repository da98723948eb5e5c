"""WeightMask: which weights of a model a task needs."""

import base64
import dataclasses
import json
import math
import os
import types

import keras
import numpy as np

from modularity_tf import model_weights

_FORMAT = "modularity_tf.WeightMask/1"


@keras.saving.register_keras_serializable(package="modularity_tf")
@dataclasses.dataclass(frozen=True, eq=False)
class WeightMask:
    """A binary mask over the weights of a model, True where a weight is kept.

    An immutable value: set operations return new masks. They need masks over
    the same weights.

    - `a | b`, `a & b`, `a - b`, `~a`: union, intersection, difference and
      complement, weight by weight. Their provenance is empty.
    - `a == b`: the same weights kept, whatever the provenance.

    Args:
        values: Dict from weight path (see `model_weights`) to a boolean array
            of the weight's shape.
        provenance: Dict of JSON values that says where the mask comes from.

    Raises:
        ValueError: If an array is not boolean, or `provenance` is not JSON.

    Example:

    >>> needed_for_cats = full - without_cats
    >>> blind = (~needed_for_cats).apply(model)  # a plain Keras model

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), section 2
    """

    values: dict
    provenance: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        values = {}
        for path, value in self.values.items():
            value = np.array(value)  # a copy: nobody else can write to it
            if value.dtype != bool:
                raise ValueError(
                    f"The mask of {path!r} must be boolean, got {value.dtype}."
                )
            value.flags.writeable = False
            values[path] = value
        object.__setattr__(self, "values", types.MappingProxyType(values))
        try:  # a copy, as `load` would return it
            provenance = json.loads(json.dumps(self.provenance))
        except TypeError as error:
            raise ValueError(
                f"`provenance` must hold JSON values: {error}."
            ) from error
        object.__setattr__(self, "provenance", provenance)

    def __or__(self, other):
        return self._combine(other, np.logical_or)

    def __and__(self, other):
        return self._combine(other, np.logical_and)

    def __sub__(self, other):
        return self._combine(other, np.greater)

    def __invert__(self):
        return WeightMask({p: ~value for p, value in self.values.items()})

    def __eq__(self, other):
        return (
            isinstance(other, WeightMask)
            and self.values.keys() == other.values.keys()
            and all(
                np.array_equal(value, other.values[path])
                for path, value in self.values.items()
            )
        )

    __hash__ = None

    def __reduce__(self):  # a read-only `values` can't be pickled or copied
        return WeightMask, (dict(self.values), self.provenance)

    def __repr__(self):
        return (
            f"<WeightMask of {self.size} weights in {len(self.values)} "
            f"tensors, {self.keep_fraction:.1%} kept>"
        )

    @property
    def size(self):
        """Int, the number of weights, kept or not."""
        return sum(value.size for value in self.values.values())

    @property
    def keep_fraction(self):
        """Float in [0, 1], the share of weights kept; NaN for no weights."""
        return _ratio(sum(_counts(self).values()), self.size)

    def keep_fractions(self):
        """Returns the share of weights kept in each tensor, keyed by path."""
        return {
            path: _ratio(count, self.values[path].size)
            for path, count in _counts(self).items()
        }

    def sharing(self, reference, per_tensor=False):
        """Returns s(t, r) = |t & r| / |t|, t this mask, r the reference.

        Not symmetric. 0 / 0, for a mask that keeps nothing, is NaN.

        Args:
            reference: `WeightMask` over the same weights; with several tasks,
                the union of the others' masks.
            per_tensor: Bool. Return one value a tensor instead of the total.

        Returns:
            Float in [0, 1], or a dict of such keyed by path.

        Raises:
            ValueError: If the masks are not over the same weights.

        References:
            - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066),
              section 2
        """
        return _share(self & reference, self, per_tensor)

    def iou(self, other, per_tensor=False):
        """Returns the intersection over union, |a & b| / |a | b|.

        Symmetric. 0 / 0, for two empty masks, is NaN. Arguments, result and
        errors as in `sharing`.

        References:
            - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066),
              appendix B.1
        """
        return _share(self & other, self | other, per_tensor)

    def shuffled(self, seed):
        """Returns a random mask that keeps as many weights of each tensor.

        The control for a finding: what a mask of this size does by chance.

        Args:
            seed: Int, at least 0.

        Returns:
            `WeightMask`, without provenance.
        """
        seeds = np.random.SeedSequence(seed).spawn(len(self.values))
        return WeightMask(
            {
                path: np.random.default_rng(s)
                .permutation(value.reshape(-1))
                .reshape(value.shape)
                for s, (path, value) in zip(
                    seeds, self.values.items(), strict=True
                )
            }
        )

    def select(self, layers):
        """Returns the part of the mask that lies in the named layers.

        Args:
            layers: Layer name or path, or an iterable of such.

        Raises:
            ValueError: If a name matches no layer of the mask.
        """
        entries = {
            path: model_weights.ModelWeight(path, "", None)
            for path in self.values
        }
        chosen = model_weights.select_layers(entries, layers)
        return WeightMask(
            {path: self.values[path] for path in chosen}, self.provenance
        )

    def check_fits(self, model):
        """Raises `ValueError` with the first path that `model` has otherwise.

        The mask may cover a part of the model's weights.
        """
        weights = model_weights.model_weights(model)
        for path, value in self.values.items():
            if path not in weights:
                raise ValueError(
                    f"The mask does not fit the model {model.name!r}: it has "
                    f"no weight {path!r}. Its weights: {list(weights)}."
                )
            shape = tuple(weights[path].variable.shape)
            if shape != value.shape:
                raise ValueError(
                    f"The mask does not fit the model {model.name!r}: weight "
                    f"{path!r} has shape {shape}, the mask {value.shape}."
                )

    def apply(self, model):
        """Returns a copy of `model` in which removed weights are zero.

        Args:
            model: Built `keras.Model` that the mask fits. It is not changed.

        Returns:
            A plain Keras model, not compiled; weights that the mask does not
            cover are copied.

        Raises:
            ValueError: If the mask does not fit, or `model` can't be cloned.
        """
        self.check_fits(model)
        weights = model_weights.model_weights(model)
        kept = {id(weights[p].variable): v for p, v in self.values.items()}
        refusal = (
            f"{type(model).__name__} {model.name!r} can't be cloned with its "
            "weights: implement `get_config` and `build`."
        )
        try:
            clone = keras.models.clone_model(model)
        except (NotImplementedError, TypeError) as error:
            raise ValueError(refusal) from error
        if len(clone.weights) != len(model.weights):
            raise ValueError(refusal)
        clone.compiled = False  # Keras compiles the clone of a subclass
        clone.set_weights(
            [
                np.where(kept[id(weight)], weight.numpy(), 0)
                if id(weight) in kept
                else weight.numpy()
                for weight in model.weights
            ]
        )
        return clone

    def save(self, file):
        """Writes the mask to one compressed `.npz` file, a bit a weight.

        The file appears whole or not at all.

        Args:
            file: Str or path.
        """
        config = self.get_config()
        bits = config.pop("bits")
        partial = f"{os.fspath(file)}.partial"
        with open(partial, "wb") as f:
            np.savez_compressed(
                f,
                header=np.array(json.dumps({"format": _FORMAT, **config})),
                bits=np.frombuffer(base64.b64decode(bits), "uint8"),
            )
        os.replace(partial, file)

    @classmethod
    def load(cls, file, model=None):
        """Reads a mask that `save` wrote.

        Args:
            file: Str or path.
            model: Built `keras.Model` that the mask must fit, or `None`.

        Raises:
            ValueError: If the file holds no mask, or does not fit `model`.
        """
        with open(file, "rb") as f:
            try:
                with np.load(f, allow_pickle=False) as archive:
                    config = json.loads(str(archive["header"]))
                    bits = archive["bits"].tobytes()
                if config.pop("format") != _FORMAT:
                    raise ValueError("its format is another")
                config["bits"] = base64.b64encode(bits)
                mask = cls.from_config(config)
            except Exception as error:
                raise ValueError(
                    f"{file} holds no WeightMask ({_FORMAT}): {error}."
                ) from error
        if model is not None:
            mask.check_fits(model)
        return mask

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

    def _combine(self, other, operation):
        if not isinstance(other, WeightMask):
            return NotImplemented
        for path in {**self.values, **other.values}:
            shapes = [
                mask.values[path].shape if path in mask.values else "absent"
                for mask in (self, other)
            ]
            if shapes[0] != shapes[1]:
                raise ValueError(
                    "The masks are not over the same weights: the shape of "
                    f"{path!r} is {shapes[0]} in one, {shapes[1]} in the other."
                )
        return WeightMask(
            {
                path: operation(value, other.values[path])
                for path, value in self.values.items()
            }
        )


def _counts(mask):
    return {path: int(value.sum()) for path, value in mask.values.items()}


def _share(part, whole, per_tensor):
    parts, wholes = _counts(part), _counts(whole)
    if per_tensor:
        return {path: _ratio(parts[path], wholes[path]) for path in parts}
    return _ratio(sum(parts.values()), sum(wholes.values()))


def _ratio(part, whole):
    return part / whole if whole else float("nan")

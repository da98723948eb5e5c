"""Drawn inputs that reach every layer of a model, to compare models on."""

import itertools
import re
import textwrap
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from modularity_tf.network import activations, keras_private

ROWS = 4
_SIZES = (6, 3, 33, 128)  # of axes of any size: text, or images
_LARGE = 100.0  # the scale of one row: images from 0 to 255, say


def draw(model: keras.Model, seed: int = 0) -> Any:
    """Returns inputs on which a model can be called.

    Numbers are small and large. Integers that an Embedding or CategoryEncoding
    looks up are from all of its range, and so are the words of a vocabulary.
    Padding, where 0 means that, is at the end of one row. An integer input that
    is not looked up, a padding mask say, is 0 or 1.

    Args:
        model: Built `keras.Model`.
        seed: Int, not negative.

    Returns:
        Nest of tensors in the structure of the model's inputs, with `ROWS`
        rows, or as many as a model of a fixed batch takes.

    Raises:
        ValueError: If the model does not know its inputs, or can't be called
            on any that were drawn.
    """
    specs, problem = _specs(model), None
    looked_up = _looked_up(model)
    flat = keras.tree.flatten(specs)
    any_size = any(None in spec.shape[1:] for spec in flat)
    for size, plain in itertools.product(
        _SIZES[: None if any_size else 1], (False, True)
    ):
        rng = np.random.default_rng(seed)
        drawn = [
            _draw(spec, looked_up.get(i), size, plain, rng)
            for i, spec in enumerate(flat)
        ]
        inputs = keras.tree.pack_sequence_as(specs, drawn)
        try:
            with keras.StatelessScope():  # which leaves the model as it was
                model(inputs, training=False)
        except Exception as error:  # whatever the user's code may raise
            problem = problem or error
            continue
        return inputs
    raise ValueError(
        f"{model.name!r} can't be called on inputs that are drawn for it, of "
        f"the shapes {[tuple(spec.shape) for spec in flat]}. Give `inputs`, "
        f"some examples. (It raised: {in_one_line(problem)})"
    )


def _specs(model):
    """Returns `tf.TensorSpec`s in the structure of a model's inputs."""
    if getattr(model, "inputs", None):
        return keras.tree.map_structure(
            lambda x: tf.TensorSpec(x.shape, x.dtype),
            keras_private.input_structure(model),
        )
    config = model.get_build_config() or {}
    if "input_shape" not in config:
        raise ValueError(
            f"{model.name!r} does not know its inputs. Give `inputs`, some "
            "examples."
        )
    return keras.tree.map_shape_structure(
        lambda shape: tf.TensorSpec((None, *shape[1:]), keras.config.floatx()),
        config["input_shape"],
    )


def _looked_up(model):
    """Returns what each input may hold that a layer looks up, by its number.

    Returns:
        Dict from the number of an input to an array of numbers or str.
    """
    found = {}
    inside = keras_private.all_layers(model)
    if not any(isinstance(x, _LOOK_UPS) for x in inside):
        return found
    try:
        traced = activations.trace(model)
    except ValueError:  # it is called on what is drawn all the same
        return found
    for layer, inputs, _ in traced.calls:
        if not isinstance(layer, _LOOK_UPS):
            continue
        values = _range_of(layer)
        for number in _sources(inputs, traced.inputs):
            before = found.get(number, values)
            is_several = values.dtype != object  # numbers that all layers take
            found[number] = (
                np.intersect1d(before, values) if is_several else values
            )
    return found


# Through which a value stays what it is, nearly.
_KEPT_BY = (
    *("Cast", "Identity", "Reshape", "Squeeze", "ExpandDims", "StridedSlice"),
    *("ConcatV2", "Pack", "AddV2", "Sub", "Maximum", "Minimum", "SelectV2"),
)
_LOOK_UPS = (
    keras.layers.CategoryEncoding,
    keras.layers.Embedding,
    keras.layers.IntegerLookup,
    keras.layers.StringLookup,
    keras.layers.TextVectorization,
)


def _range_of(layer):
    """Returns what a layer looks up: numbers, or words."""
    if isinstance(layer, keras.layers.Embedding):
        return np.arange(1 if layer.mask_zero else 0, layer.input_dim)
    if isinstance(layer, keras.layers.CategoryEncoding):
        return np.arange(layer.num_tokens)
    known = layer.get_vocabulary(include_special_tokens=False)
    if isinstance(layer, keras.layers.IntegerLookup):
        return np.array(known, int)
    if isinstance(layer, keras.layers.TextVectorization):
        known = [" ".join(pair) for pair in zip(known, known[1:] + known[:1])]
    return np.array(known, object)


def _sources(inputs, ends):
    """Returns the numbers of a model's inputs of which tensors are made."""
    numbers = {x.name: i for i, x in enumerate(ends)}
    seen = set()
    to_do = [x for x in keras.tree.flatten(inputs) if hasattr(x, "graph")]
    while to_do:
        x = to_do.pop()
        if x.name not in seen:
            seen.add(x.name)
            if x.op.type in _KEPT_BY:
                to_do += x.op.inputs
    return [number for name, number in numbers.items() if name in seen]


def _draw(spec, values, size, plain, rng):
    """Returns a tensor for one input."""
    rows = (*spec.shape, None)[0] or ROWS
    shape = [rows, *(size if n is None else n for n in spec.shape[1:])]
    dtype = tf.as_dtype(spec.dtype)
    if dtype == tf.string:
        known = [*(() if values is None else values), "another word"]
        return tf.constant(rng.choice(np.array(known, object), shape))
    if values is not None and len(values):
        drawn = rng.choice(np.asarray(values), shape)
        padded = values[0] == 1 and len(shape) > 1 and shape[1] > 1
        if padded:  # 0 is padding
            drawn[-1, -1] = 0
    elif dtype == tf.uint8:
        drawn = rng.integers(0, 256, shape)
    elif dtype.is_floating or dtype.is_complex:
        drawn = rng.normal(size=shape)
        drawn[1:2] = rng.random((len(drawn[1:2]), *shape[1:]))
        drawn[2:3] *= 1.0 if plain or dtype == tf.float16 else _LARGE
    else:
        drawn = rng.integers(0, 2, shape)
        if len(shape) > 1:
            drawn[:, 0] = 1
    if plain and not dtype.is_floating:
        drawn = np.ones(shape)
    return tf.cast(drawn, dtype)


def in_one_line(error: BaseException | None) -> str:
    """Returns what an error says, or the beginning of it, in one line."""
    text = re.sub(r"\x1b\[\d*m", "", str(error))  # Keras's bold letters
    return textwrap.shorten(text, 250, placeholder=" ...")

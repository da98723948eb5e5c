"""The weights of a model by path and role, however the model is written."""

import collections
import dataclasses
import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import keras
import numpy as np
from keras import ops

from modularity_tf.network import keras_private, layer_names

_Value = TypeVar("_Value")

ROLES = (
    "kernel",  # what a layer multiplies its inputs with and sums up
    "recurrent_kernel",  # the same for its own last outputs
    "bias",  # added to the sums; also any vector or scalar that has no role
    "norm_scale",  # multiplied element-wise: normalization, PReLU's slopes
    "norm_offset",  # what a normalization adds
    "embedding",  # looked up or learned inputs: words, positions, class tokens
    "adapter",  # of LoRA: what is added to a kernel or to embeddings
)
ROLE_PRESETS = {
    # Arithmetic tasks: biases stay.
    "kernels": ("kernel", "recurrent_kernel"),
    # CIFAR-10 and permuted MNIST: every weight of the network.
    "all": (
        "kernel",
        "recurrent_kernel",
        "bias",
        "norm_scale",
        "norm_offset",
        "adapter",
    ),
    # SCAN and Mathematics: layer normalization is masked, biases are not.
    "transformer": ("kernel", "norm_scale", "norm_offset"),
}
_ROLE_OF_NAME = {
    "gamma": "norm_scale",
    "scale": "norm_scale",
    "beta": "norm_offset",
    "embeddings": "embedding",
    "reverse_embeddings": "kernel",  # ReversibleEmbedding's own output layer
}
_QUANTIZED = ("kernel", "quantized_kernel", "embeddings", "reverse_embeddings")
_ROLE_OF_LAYER = {
    keras.layers.Embedding: "embedding",
    keras.layers.PReLU: "norm_scale",
}


@dataclasses.dataclass(frozen=True)
class ModelWeight:
    """One weight of a model.

    Attributes:
        path: Str, the names of the enclosing layers and the weight, joined
            by "/"; the outermost model's own name is left out. Inside a
            subclassed layer or model, layers that the user did not name are
            numbered from there: `dense`, `dense_1`.
        role: One of `ROLES`.
        variable: The `keras.Variable`.
    """

    path: str
    role: str
    variable: keras.Variable


def model_weights(model: keras.Model) -> dict[str, ModelWeight]:
    """Returns the weights that training would change, keyed by path.

    Weights of frozen layers (`layer.trainable = False`) are included;
    statistics such as a BatchNormalization's moving mean are not, nor are the
    scales of float8 layers and what quantization has made integers. The kernel
    of a layer with LoRA is the one below the adapters. A weight that several
    layers share appears once.

    >>> from modularity_tf.network import model_weights
    >>> [*model_weights.model_weights(model)]
    ['hidden/kernel', 'hidden/bias', 'output/kernel', 'output/bias']

    Args:
        model: Built `keras.Model`.

    Returns:
        Dict from path to `ModelWeight`, in the order of the layers.

    Raises:
        ValueError: If `model` is not a built Keras model, or if two weights
            have the same path.
    """
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be a keras.Model, got {_told(model)}.")
    if not model.built:
        raise ValueError(
            f"`model` must be built, but {model.name!r} has no weights yet: "
            "call it once on a batch, or give it an `Input`."
        )
    return _collected(model, _own_weights)


def chosen_weights(
    model: keras.Model,
    roles: str | Iterable[str],
    layers: str | Iterable[str] | None = None,
) -> dict[str, ModelWeight]:
    """Returns the weights that have some roles and lie in some layers.

    Args:
        model: Built `keras.Model`.
        roles: As in `select_roles`.
        layers: As in `select_layers`, or `None` for all layers.

    Returns:
        As `model_weights`.

    Raises:
        ValueError: As these, or if a quantized kernel is among them.
    """
    weights = model_weights(model)
    quantized = _collected(model, _quantized_kernels)
    chosen = select_roles({**weights, **quantized}, roles)
    if layers is not None:
        chosen = select_layers(chosen, layers)
    refused = {p: w.variable.dtype for p, w in chosen.items() if p in quantized}
    if refused:
        raise ValueError(
            f"{model.name!r} has quantized kernels, {refused}, of which single "
            "weights can't be masked. Leave their layers out with `layers`, or "
            "take the model before it was quantized."
        )
    return {path: w for path, w in weights.items() if path in chosen}


def select_layers(
    weights: Mapping[str, _Value], layers: str | Iterable[str]
) -> dict[str, _Value]:
    """Returns the entries of `weights` that lie in one of the named layers.

    A name that several layers share means all of them; that of a layer or
    model with others inside means their weights too.

    Args:
        weights: Dict as `model_weights` returns it, or any other that is
            keyed by the weights' paths.
        layers: Iterable of layer names or paths, or one of them.

    Raises:
        ValueError: If a name matches no layer, or there is none.
    """
    around = {path: layer_names.around(path) for path in weights}
    known = dict.fromkeys(itertools.chain(*around.values()))
    chosen = set(layer_names.find(known, layers))
    return {p: w for p, w in weights.items() if chosen & {*around[p]}}


def select_roles(
    weights: Mapping[str, ModelWeight], roles: str | Iterable[str]
) -> dict[str, ModelWeight]:
    """Returns the entries of `weights` whose role is one of `roles`.

    Args:
        weights: Dict as `model_weights` returns it.
        roles: A key of `ROLE_PRESETS` or an iterable of names in `ROLES`.

    Raises:
        ValueError: If a role is unknown, or there is none.
    """
    roles = ROLE_PRESETS.get(roles, roles) if isinstance(roles, str) else roles
    roles = layer_names.as_names(roles, "roles")
    for role in roles:
        if role not in ROLES:
            raise ValueError(
                f"`roles` names {role!r}; known are {list(ROLES)} and the "
                f"presets {list(ROLE_PRESETS)}."
            )
    return {path: w for path, w in weights.items() if w.role in roles}


def check_finite(model: keras.Model) -> None:
    """Raises `ValueError` if a weight is NaN or infinite, by path.

    A compiled ReLU turns NaN into 0, so activations don't always show it.
    """
    for weight in model.weights:
        value = weight.value  # looked at where it lies, on a GPU say
        if "float" in weight.dtype and not ops.all(ops.isfinite(value)):
            raise ValueError(f"The weight {weight.path!r} is NaN or infinite.")


def fingerprint(model: keras.Model) -> str:
    """Returns a SHA-256 over paths and values of all that a model computes.

    Statistics such as a BatchNormalization's moving mean count as well.
    """
    digest = hashlib.sha256(json.dumps(list(model_weights(model))).encode())
    for value in model.get_weights():
        value = np.ascontiguousarray(value)
        digest.update(json.dumps([value.shape, str(value.dtype)]).encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def named_children(
    layer: keras.layers.Layer,
) -> list[tuple[str, keras.layers.Layer]]:
    """Returns `(name, layer)` of each layer directly inside a layer or model.

    The names of which paths are made.
    """
    children = keras_private.children(layer)
    # A Sequential or functional model keeps its layers' names in its config.
    keeps_names = isinstance(layer, keras.Sequential) or hasattr(
        layer, "operations"
    )
    names = (
        [child.name for child in children]
        if keeps_names
        else _stable_names(children)
    )
    return [*zip(names, children, strict=True)]


def _told(model):
    """Returns what was given in place of a model, in words."""
    kind = type(model)
    if isinstance(model, (str, os.PathLike)):
        return f"{model!r}; a file is read by `keras.saving.load_model(file)`"
    if kind.__module__.partition(".")[0] == "tf_keras" or any(
        base.__module__.startswith("tf_keras.") for base in kind.__mro__
    ):
        return (
            f"a {kind.__name__} of tf_keras, Keras 2; build it with Keras 3 "
            "and give it the weights by `set_weights`"
        )
    if isinstance(model, type):
        return f"the class {model.__name__}; make a model of it"
    told = repr(model)
    is_short = len(told) < 80 and "\n" not in told
    return told if is_short else f"an object of {kind.__name__}"


def _collected(model, own):
    found, seen = {}, set()
    _collect(model, (), own, found, seen)
    return found


def _collect(layer, names, own, found, seen):
    variables = own(layer)
    for name, variable in zip(_stable_names(variables), variables):
        if id(variable) in seen:
            continue
        seen.add(id(variable))
        path = "/".join((*names, name))
        if path in found:
            raise ValueError(
                f"Two weights have the path {path!r}; give the layers "
                "different names."
            )
        found[path] = ModelWeight(path, _role(layer, variable), variable)
    for name, child in named_children(layer):
        _collect(child, (*names, name), own, found, seen)


def _own_weights(layer):
    # What a float8 layer learns by it is no gradient but a scale.
    return [
        variable
        for variable in keras_private.own_weights(layer)
        if not variable.overwrite_with_gradient
    ]


def _quantized_kernels(layer):
    if getattr(layer, "quantization_mode", None) is None:
        return []
    return [
        variable
        for variable in keras_private.own_variables(layer)
        if variable.name in _QUANTIZED and "int" in variable.dtype
    ]


def _stable_names(things):
    """Returns names that do not depend on what the process built before.

    Keras numbers what the user did not name: the third Dense of a process is
    `dense_2`, and another number after loading. Here it is the n-th of the
    layer around it.
    """
    names, counts = [], collections.Counter()
    for thing in things:
        name = given_name(thing)
        if name is None:
            base = _base_name(thing)
            count = counts[base]
            name = f"{base}_{count}" if count else base
            counts[base] += 1
        names.append(name)
    return names


def given_name(thing: Any) -> str | None:
    """Returns the name that the user gave, `None` for one of Keras's.

    Args:
        thing: Keras layer or variable.
    """
    numbered = re.fullmatch(rf"{_base_name(thing)}(_\d+)?", thing.name)
    return None if numbered else thing.name


def _base_name(thing):
    kind = type(thing).__name__
    if isinstance(thing, keras.Variable):
        kind = "variable"
    base = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", kind)
    return re.sub("([a-z])([A-Z])", r"\1_\2", base).lower()


def _role(layer, variable):
    name = variable.name
    if name.startswith("lora_"):
        return "adapter"
    if "recurrent" in name and len(variable.shape) > 1:
        return "recurrent_kernel"
    if name in _ROLE_OF_NAME:
        return _ROLE_OF_NAME[name]
    for kind, role in _ROLE_OF_LAYER.items():
        if isinstance(layer, kind):
            return role
    if "bias" in name:
        return "bias"
    if any(part in name for part in ("embed", "position", "token")):
        return "embedding"
    return "kernel" if len(variable.shape) > 1 else "bias"

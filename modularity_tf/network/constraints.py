"""KeepZeros: a constraint by which removed weights stay at zero in training."""

import base64
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from modularity_tf.network import copying, keras_private, model_weights


@keras.saving.register_keras_serializable(package="modularity_tf")
class KeepZeros(keras.constraints.Constraint):
    """Sets some entries of a weight to zero after each step of an optimizer.

    Args:
        kept: Bool array of the weight's shape, False for what stays at zero.
        constraint: Another `keras.constraints.Constraint` that the weight has,
            or `None`. The zeros are there before it and after it.

    Raises:
        ValueError: If `kept` is not boolean.
    """

    def __init__(
        self,
        kept: np.ndarray,
        constraint: keras.constraints.Constraint | None = None,
    ) -> None:
        self.kept = np.asarray(kept)
        if self.kept.dtype != bool:
            raise ValueError(
                f"`kept` must be boolean, got {self.kept.dtype} values."
            )
        self.constraint = constraint

    def __call__(self, w: Any) -> Any:
        kept = ops.convert_to_tensor(self.kept)
        value = ops.where(kept, w, 0)
        if self.constraint is not None:
            value = ops.where(kept, self.constraint(value), 0)
        return value

    def get_config(self) -> dict[str, Any]:
        bits = base64.b64encode(np.packbits(self.kept).tobytes()).decode()
        return {
            "kept": {"shape": [*self.kept.shape], "bits": bits},
            "constraint": keras.constraints.serialize(self.constraint),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "KeepZeros":
        shape = config["kept"]["shape"]
        bits = np.frombuffer(base64.b64decode(config["kept"]["bits"]), "uint8")
        kept = np.unpackbits(bits, count=int(np.prod(shape))).reshape(shape)
        return cls(
            kept.astype(bool), keras.constraints.get(config["constraint"])
        )


def keep_zeros(model: keras.Model, kept: Mapping[str, np.ndarray]) -> None:
    """Gives weights of a model the constraint that zeros stay.

    Args:
        model: Built `keras.Model`, whose layers are changed.
        kept: Dict from weight path to bool array, False for what stays at
            zero.

    Raises:
        ValueError: If Keras takes no constraint of a weight, or a `.keras`
            file would not have it, by the path of the weight.
    """
    weights = model_weights.model_weights(model)
    owners = {
        id(variable): layer
        for layer in keras_private.all_layers(model)
        for variable in keras_private.own_weights(layer)
    }
    chosen = [path for path, flags in kept.items() if not flags.all()]
    adapted = [
        path
        for path in chosen
        if getattr(owners[id(weights[path].variable)], "lora_enabled", False)
        and weights[path].role != "bias"
    ]
    if adapted:
        raise ValueError(
            f"The zeros of {adapted} can't be kept: Keras takes no constraint "
            "of kernels and embeddings with LoRA, nor of its adapters. Leave "
            "them out with `select`."
        )
    for path in chosen:
        variable = weights[path].variable
        owner = owners[id(variable)]
        constraint = KeepZeros(kept[path], variable.constraint)
        variable.constraint = constraint
        for name in (
            f"{variable.name}_constraint",
            f"{variable.name.removesuffix('_kernel')}_constraint",
            "depthwise_constraint",  # of a kernel that is only called so
        ):
            if hasattr(owner, name):
                setattr(owner, name, constraint)
                break
    made = model_weights.model_weights(copying.copied(model))
    lost = [
        path
        for path, copied in zip(weights, made.values(), strict=True)
        if path in chosen
        and not isinstance(copied.variable.constraint, KeepZeros)
    ]
    if lost:
        raise ValueError(
            f"The zeros of {lost} can't be kept: the configuration of their "
            "layer holds no constraint for them alone, so that a file would "
            "not have it. Leave them out with `select`."
        )


def take_off(model: keras.Model) -> keras.Model:
    """Takes `KeepZeros` off the weights of a model, and returns the model.

    Other constraints stay, those inside of a `KeepZeros` as well.

    Args:
        model: Built `keras.Model`, whose layers are changed.
    """
    for layer in keras_private.all_layers(model):
        for variable in keras_private.own_weights(layer):
            variable.constraint = _own(variable.constraint)
        for name, value in [*vars(layer).items()]:
            if isinstance(value, KeepZeros):
                setattr(layer, name, _own(value))
    return model


def _own(constraint):
    while isinstance(constraint, KeepZeros):
        constraint = constraint.constraint
    return constraint

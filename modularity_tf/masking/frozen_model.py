"""FrozenModel: a Keras model around another whose weights stay as they are."""

import copy
import functools
import inspect
import os
from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from modularity_tf import checks
from modularity_tf.masking import masked_layer
from modularity_tf.network import functional_call, keras_private, model_weights


class FrozenModel(keras.Model):
    """The base of models that train something about a frozen model's weights.

    Only what a subclass lists in `learned` trains, whatever the flags of the
    wrapped model say, and that model's weights are never written to.

    Args:
        model: Built `keras.Model`. It is not changed.

    Raises:
        ValueError: If `model` is not a built Keras model, is masked already,
            or has a layer that is stateful or has a mask of its own.
    """

    train_function: Any  # of Keras

    def __init__(self, model: keras.Model, **kwargs: Any) -> None:
        # What is learned is float32 whatever the global policy says.
        super().__init__(**{"autocast": False, "dtype": "float32", **kwargs})
        self._functional = functional_call.FunctionalCall(model, learns=True)
        _check_wrappable(model)
        self.model = model

    @property
    def learned(self) -> dict[str, keras.Variable]:
        """Dict from weight path to the variable learned about that weight."""
        raise NotImplementedError

    def compile(
        self, optimizer: Any, loss: Any = None, *args: Any, **kwargs: Any
    ) -> None:
        """Configures training, as `keras.Model.compile` does.

        Raises:
            ValueError: If there is no `loss`.
        """
        own_loss = type(self).compute_loss is not keras.Model.compute_loss
        if not loss and not own_loss:
            raise ValueError(
                f"`compile` needs a `loss` for {self.name!r}, got {loss!r}: "
                "the loss of the task in question."
            )
        optimizer = keras.optimizers.get(optimizer)
        scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        if self.model.compute_dtype == "float16" and not scaled:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        super().compile(optimizer, loss, *args, **kwargs)
        # As it is now, whatever callbacks do to its learning rate; a function,
        # as Keras would track a dict.
        self._optimizer_config = functools.partial(
            copy.deepcopy, self.optimizer.get_config()
        )
        # Built inside the first step, it would be traced twice.
        self.optimizer.build(self.trainable_variables)

    def fit(self, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Trains as `keras.Model.fit` does, and stops at the first NaN.

        Raises:
            ValueError: If a weight of the wrapped model is NaN or infinite,
                the learning rate is no finite number, the loss or what is
                learned becomes NaN or infinite, or `trainable` is `False`.
        """
        arguments = fit_arguments(*args, **kwargs)
        if not self.trainable_variables:
            raise ValueError(
                f"`trainable` of {self.name!r} is `False`: nothing would be "
                "learned."
            )
        model_weights.check_finite(self.model)
        self.check_learned()
        if self.compiled:
            rate = float(ops.convert_to_numpy(self.optimizer.learning_rate))
            checks.number("learning_rate", rate)
        given, guards = arguments["callbacks"], self._guards(arguments)
        if isinstance(given, keras.callbacks.CallbackList):
            for guard in guards:
                guard.set_model(self)
                guard.set_params(given.params)
            given.callbacks[:0] = guards
        else:
            arguments["callbacks"] = [*guards, *keras.tree.flatten(given or [])]
        return super().fit(**arguments)

    def _guards(self, arguments):
        """Returns the callbacks that every training has."""
        return [_StopAtNaN()]

    def check_learned(self) -> None:
        """Raises `ValueError` if what was learned is NaN or infinite."""
        for path, variable in self.learned.items():
            if not ops.all(ops.isfinite(variable.value)):
                raise ValueError(
                    f"What {self.name!r} learned about {path!r} is NaN or "
                    "infinite: look for such values in the training data, or "
                    "lower the learning rate; `reset()` starts anew."
                )

    def export(
        self,
        filepath: str | os.PathLike,
        *args: Any,
        input_signature: Any = None,
        **kwargs: Any,
    ) -> None:
        """Exports the model under its mask, as `keras.Model.export` does.

        Args:
            filepath: As in Keras.
            *args: As in Keras.
            input_signature: As in Keras. By default that of the wrapped
                model; a subclassed model has none.
            **kwargs: As in Keras.

        Raises:
            ValueError: If a subclassed model has no `input_signature`, or what
                was learned is NaN or infinite.
        """
        self.check_learned()
        if input_signature is None:
            input_signature = _input_signature(self.model)
        super().export(
            filepath, *args, input_signature=input_signature, **kwargs
        )

    def save(
        self, filepath: str | os.PathLike, *args: Any, **kwargs: Any
    ) -> None:
        """Saves the model, as `keras.Model.save` does.

        Raises:
            ValueError: If what was learned is NaN or infinite, or `filepath`
                is that of a legacy HDF5 file.
        """
        if str(filepath).endswith((".h5", ".hdf5")):
            raise ValueError(
                f"`filepath` must end in .keras, got {str(filepath)!r}: a "
                f"legacy HDF5 file can't hold a {type(self).__name__}."
            )
        self.check_learned()
        super().save(filepath, *args, **kwargs)

    def make_train_function(self, force: bool = False) -> None:
        before = self.train_function
        super().make_train_function(force)
        step = self.train_function
        if step is before:
            return

        # The shape of the targets is known when the first batch comes, not
        # earlier: `fit` takes arrays, datasets and generators alike. By then
        # `fit` holds the function made here, so the metrics are built in it.
        def first_step(batches):
            self.train_function = step
            self._build_metrics(getattr(batches, "element_spec", None))
            return step(batches)

        self.train_function = first_step

    def _build_metrics(self, batch_spec):
        """Makes the metrics that `compile` was given by name.

        Keras makes their variables in the first step, which TensorFlow then
        traces a second time. It still does for models without `outputs` or
        with several.

        Args:
            batch_spec: Nest of `tf.TensorSpec`, what a batch is made of; or
                `None` if that is not known.
        """
        outputs = getattr(self.model, "outputs", None) or ()
        specs = keras.tree.flatten(batch_spec)
        if len(outputs) != 1 or not all(map(_has_rank, specs)):
            return
        _, y, _ = keras.utils.unpack_x_y_sample_weight(batch_spec)
        if not _has_rank(y) or not y.shape.rank:  # no targets, several, no axis
            return
        for metric in self.metrics:
            if not getattr(metric, "built", True):
                metric.build(y, outputs[0])

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        nested = {
            name: keras.saving.deserialize_keras_object(value)
            for name, value in config.items()
            if isinstance(value, dict) and "class_name" in value
        }
        return cls(**{**config, **nested})

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))

    @property
    def output_names(self) -> list[str] | None:
        """The names by which losses and metrics of outputs can be given."""
        return getattr(self.model, "output_names", None)

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)  # the wrapped model's flags stay

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        return list(self.learned.values()) if self.trainable else []

    @property
    def trainable_weights(self) -> list[keras.Variable]:
        return self.trainable_variables

    @property
    def non_trainable_variables(self) -> list[keras.Variable]:
        return self._all_but_trainable(self.variables)

    @property
    def non_trainable_weights(self) -> list[keras.Variable]:
        return self._all_but_trainable(self.weights)

    def _all_but_trainable(self, variables):
        trainable = {id(variable) for variable in self.trainable_variables}
        return [v for v in variables if id(v) not in trainable]

    def _reset_optimizer(self):
        """Makes the optimizer as `compile` got it, learning rate included."""
        if self.compiled:
            reset_optimizer(
                self.optimizer,
                self.trainable_variables,
                self._optimizer_config(),
            )

    def _check_floats(self, weights):
        """Raises `ValueError` if no gradient reaches a weight.

        Args:
            weights: Dict from path to `ModelWeight`.
        """
        for path, weight in weights.items():
            dtype = weight.variable.dtype
            if "float" not in dtype:
                raise ValueError(
                    f"The weight {path!r} of {self.model.name!r} can't be "
                    f"masked: it is {dtype}, and no gradient reaches it. "
                    "Create it with `trainable=False`, or leave it out with "
                    "`layers`."
                )

    def _add_learned(self, shapes, **kwargs):
        """Returns a new float32 variable for each shape, keyed by path.

        Args:
            shapes: Dict from path to shape.
            **kwargs: As in `add_weight`.
        """
        return {
            path: self.add_weight(
                shape=shape,
                dtype="float32",
                name=path.replace("/", "."),
                **kwargs,
            )
            for path, shape in shapes.items()
        }


class _StopAtNaN(keras.callbacks.Callback):
    """Ends training with an error when the loss is no longer finite."""

    async_safe = True  # Keras need not wait for it: it only looks

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss", 0.0)
        if not np.isfinite(loss):
            raise ValueError(
                f"The loss of {self.model.name!r} is {loss} at batch {batch}: "
                "look for NaN and infinity in the training data, or lower the "
                "learning rate; `reset()` starts anew."
            )

    def on_epoch_end(self, epoch, logs=None):
        self.model.check_learned()


def fit_arguments(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """Returns the arguments of a call of `keras.Model.fit`, keyed by name.

    Raises:
        ValueError: If there is no `x`, it is a dataset of single targets, or
            an argument is no int in its range.
    """
    bound = inspect.signature(keras.Model.fit).bind(None, *args, **kwargs)
    bound.apply_defaults()
    bound.arguments.pop("self")
    arguments = dict(bound.arguments)
    if arguments["x"] is None:
        raise ValueError("`fit` needs `x`, the data to train on.")
    if isinstance(arguments["x"], tf.data.Dataset):
        spec = arguments["x"].element_spec
        _, y, _ = keras.utils.unpack_x_y_sample_weight(spec)
        if any(
            _has_rank(s) and not s.shape.rank for s in keras.tree.flatten(y)
        ):
            raise ValueError(
                "`x` is a dataset that is not batched: call `.batch(...)`."
            )
    for name, least in (
        ("batch_size", 1),
        ("steps_per_epoch", 1),
        ("epochs", 0),
        ("initial_epoch", 0),
    ):
        if arguments[name] is not None:
            checks.integer(name, arguments[name], least)
    return arguments


def _has_rank(spec):
    return isinstance(spec, tf.TensorSpec) and spec.shape.rank is not None


def reset_optimizer(
    optimizer: keras.optimizers.Optimizer,
    variables: Sequence[keras.Variable],
    config: dict[str, Any] | None = None,
) -> None:
    """Makes a Keras optimizer as it was before training.

    Compiled steps that use it stay valid.

    Args:
        optimizer: Built `keras.optimizers.Optimizer`.
        variables: The variables that it was built for.
        config: Dict, its `get_config()` before training; `None` keeps the
            learning rate as it is now.
    """
    config = optimizer.get_config() if config is None else config
    fresh = type(optimizer).from_config(config)
    fresh.build(variables)
    for old, new in zip(optimizer.variables, fresh.variables, strict=True):
        old.assign(new)


def _check_wrappable(model):
    for layer in keras_private.all_layers(model):
        if isinstance(layer, FrozenModel):
            raise ValueError(
                f"`model` is, or has in it, the {type(layer).__name__} "
                f"{layer.name!r}: give `weight_mask().apply(model)` of it, a "
                "plain model, or its mask as `fixed_mask`."
            )
        if isinstance(layer, masked_layer.MaskedLayer):
            raise ValueError(
                f"The layer {layer.name!r} has a mask of its own, whose logits "
                "would be masked like weights: build `model` with plain "
                "layers."
            )
        if getattr(layer, "stateful", False):
            raise ValueError(
                f"The layer {layer.name!r} is stateful, and a mask would be "
                "trained as if it forgot: build `model` with "
                "`stateful=False`."
            )


def _input_signature(model):
    if isinstance(model, keras.Sequential):
        inputs = model.inputs
    elif hasattr(model, "operations"):  # functional
        inputs = [model.input]
    else:
        raise ValueError(
            f"`export` needs an `input_signature` for {model.name!r}, a "
            "subclassed model, such as "
            "`[keras.InputSpec(shape=(None, 4), dtype='float32')]`."
        )
    return keras.tree.map_structure(
        lambda x: keras.InputSpec(
            dtype=x.dtype, shape=(None, *x.shape[1:]), name=x.name
        ),
        inputs,
    )

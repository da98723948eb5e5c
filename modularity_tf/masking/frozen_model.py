"""FrozenModel: a Keras model around another whose weights stay as they are."""

import keras
import tensorflow as tf

from modularity_tf.masking import functional_call


class FrozenModel(keras.Model):
    """The base of models that train something about a frozen model's weights.

    Only what a subclass lists in `learned` trains, whatever the flags of the
    wrapped model say, and that model's weights are never written to.

    Args:
        model: Built `keras.Model`. It is not changed.

    Raises:
        ValueError: If `model` is not a built Keras model.
    """

    def __init__(self, model, **kwargs):
        # What is learned is float32 whatever the global policy says.
        super().__init__(**{"autocast": False, "dtype": "float32", **kwargs})
        self.model = model
        self._functional = functional_call.FunctionalCall(model)

    @property
    def learned(self):
        """Dict from weight path to the variable learned about that weight."""
        raise NotImplementedError

    def compile(self, optimizer, *args, **kwargs):
        """Configures training, as `keras.Model.compile` does."""
        optimizer = keras.optimizers.get(optimizer)
        scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        if self.model.compute_dtype == "float16" and not scaled:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        super().compile(optimizer, *args, **kwargs)
        # Built inside the first step, it would be traced twice.
        self.optimizer.build(self.trainable_variables)

    def make_train_function(self, force=False):
        before = self.train_function
        super().make_train_function(force)
        step = self.train_function
        if step is before:
            return

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
        for metric in self.metrics:
            if not getattr(metric, "built", True):
                metric.build(y, outputs[0])

    @classmethod
    def from_config(cls, config):
        nested = {
            name: keras.saving.deserialize_keras_object(value)
            for name, value in config.items()
            if isinstance(value, dict) and "class_name" in value
        }
        return cls(**{**config, **nested})

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))

    @property
    def trainable_variables(self):
        return list(self.learned.values()) if self.trainable else []

    @property
    def trainable_weights(self):
        return self.trainable_variables

    @property
    def non_trainable_variables(self):
        return self._all_but_trainable(self.variables)

    @property
    def non_trainable_weights(self):
        return self._all_but_trainable(self.weights)

    def _all_but_trainable(self, variables):
        trainable = {id(variable) for variable in self.trainable_variables}
        return [v for v in variables if id(v) not in trainable]

    def _add_learned(self, weights, **kwargs):
        """Returns a new float32 variable for each weight, keyed by path.

        Args:
            weights: Dict from path to `ModelWeight`.
            **kwargs: As in `add_weight`.

        Raises:
            ValueError: If no gradient reaches a weight.
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
        return {
            path: self.add_weight(
                shape=weight.variable.shape,
                dtype="float32",
                name=path.replace("/", "."),
                **kwargs,
            )
            for path, weight in weights.items()
        }


def _has_rank(spec):
    return isinstance(spec, tf.TensorSpec) and spec.shape.rank is not None


def reset_optimizer(optimizer, variables):
    """Makes a Keras optimizer as it was before training.

    Compiled steps that use it stay valid.

    Args:
        optimizer: Built `keras.optimizers.Optimizer`.
        variables: The variables that it was built for.
    """
    fresh = type(optimizer).from_config(optimizer.get_config())
    fresh.build(variables)
    for old, new in zip(optimizer.variables, fresh.variables, strict=True):
        old.assign(new)

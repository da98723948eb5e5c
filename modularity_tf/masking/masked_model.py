"""MaskedModel: learn which weights of a trained Keras model a task needs."""

import functools
import itertools
import math
import types
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Self

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from modularity_tf import checks
from modularity_tf.findings import neuron_selection, weight_mask
from modularity_tf.masking import callbacks, frozen_model, mask_sampling
from modularity_tf.network import (
    batches,
    copying,
    keras_private,
    model_weights,
    unit_weights,
)

DEFAULT_ALPHA = 1e-4 / 128
GROUPS = (None, "units")
_FEW = 512  # rows of the training data that `FitHealth` looks at


@keras.saving.register_keras_serializable(package="modularity_tf")
class MaskedModel(frozen_model.FrozenModel):
    """A trained model with a learned binary mask over its weights.

    Each masked weight w_i gets a logit l_i, and training changes the logits
    only:

        output = model(inputs, weights=w * b),  b_i ~ Bernoulli(sigmoid(l_i))
        loss = task loss + alpha * sum(l)

    In training a batch is cut into `num_samples` parts, each seen through a
    mask sample of its own; in inference a weight is kept where l > 0. The
    wrapped model runs in inference mode throughout (no dropout, stored
    batch statistics), and its weights are never written to.

    Train it as any Keras model:

    >>> masked = mtf.MaskedModel(model, seed=0)
    >>> masked.compile(loss="sparse_categorical_crossentropy")
    >>> history = masked.fit(images, labels, 128, epochs=20, verbose=0)
    >>> mask = masked.weight_mask(task="digits")
    >>> subnetwork = mask.apply(model)

    Choosing `alpha` and the learning rate. A logit starts at
    logit(initial_keep_probability), 2.2, and Adam moves it by at most the
    learning rate in a step: training needs well over 2.2 / learning_rate steps
    before an unused weight is removed. Raise `alpha`, while training masks on
    the *full* task, until accuracy falls, then step back to where it keeps at
    least 95 % of the model's accuracy (the paper's appendix C.2). The paper
    states beta = alpha * batch_size; it uses beta = 1e-4 for most networks.

    Gates. With `groups="units"` all weights of a unit share one logit, so that
    the mask says which units the task needs: neurons, channels, units of
    recurrent layers, attention heads. A unit that is off contributes nothing;
    `network.unit_weights.model_units` lists the weights that belong to it. It
    puts out act(0), which is 0 for ReLU, and a constant that the next layers
    see for a sigmoid. `NeuronSelection.shrink` adds that to their biases.

    >>> gated = mtf.MaskedModel(model, groups="units")
    >>> gated.compile(loss="sparse_categorical_crossentropy")
    >>> history = gated.fit(images, labels, 128, epochs=20, verbose=0)
    >>> neurons = gated.neuron_selection(task="digits")
    >>> smaller = neurons.shrink(model)

    Args:
        model: Built `keras.Model`, trained. It is not changed.
        groups: `None` for a logit for each weight, or "units" for one for each
            unit of the hidden layers.
        num_samples: Positive int, masks that are drawn for each training
            batch; a batch can't be smaller. The paper uses 4, or 8 for hard
            tasks. `None` draws none: half of a batch sees the weights times
            sigmoid(l), the other half those with l > 0. `find_weights` does
            that.
        alpha: Float, at least 0. Penalty on each logit. The default is the
            paper's beta of 1e-4 at a batch size of 128.
        initial_keep_probability: Float in (0, 1). The chance that a weight is
            kept before training.
        roles: Which weights have masks: some of "kernel", "recurrent_kernel",
            "bias", "norm_scale", "norm_offset", "embedding" and "adapter", or
            one of the papers' choices, `"kernels"` (arithmetic tasks; biases
            stay), `"all"` (CIFAR-10) or `"transformer"`. Embeddings are
            masked only if named. Of a layer with LoRA the kernel is masked,
            its adapters (role "adapter") with `"all"` or if named. A gate
            has all weights of its unit, whatever their roles.
        layers: `None` for every layer, or the names or paths of the layers
            whose weights, or units, have masks. A name that several layers
            share means all of them, that of a layer with others inside theirs
            too.
        fixed_mask: `WeightMask` or `None`. Its weights have this mask, for
            good: no logits, no penalty, no part in `weight_mask()`.
        temperature: Positive float tau of the Gumbel-sigmoid. It scales
            gradients only, and does nothing where no masks are drawn.
        seed: Int; the same seed draws the same masks. `None` is random.

    Call arguments:
        inputs: What `model` takes. The first axis is the batch.
        training: Bool. Sample the masks (`True`) or threshold (`False`).

    Returns:
        What `model` returns.

    Raises:
        ValueError: For a model that is not built, arguments out of range,
            unknown groups, roles or layers, layers whose units can't be shut
            off, quantized kernels, a `fixed_mask` that
            does not fit, the strengths of a `SparseDense` or
            `SparseRecurrent` among the weights, or where nothing is left to
            mask. When called: for weights that no output depends on.

    Warns:
        UserWarning: If hidden layers have units that can't be shut off; it
            names them. `layers` silences it.

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), section 2
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        groups: Literal["units"] | None = None,
        num_samples: int | None = 4,
        alpha: float = DEFAULT_ALPHA,
        initial_keep_probability: float = 0.9,
        roles: str | Iterable[str] = "kernels",
        layers: str | Iterable[str] | None = None,
        fixed_mask: weight_mask.WeightMask | None = None,
        temperature: float = 1.0,
        seed: int | None = 0,
        **kwargs: Any,
    ) -> None:
        mask_sampling.check_arguments(num_samples, alpha, temperature)
        initial_logit = mask_sampling.logit(initial_keep_probability)
        roles, layers = _as_saved(roles), _as_saved(layers)
        super().__init__(model, **kwargs)
        if groups not in GROUPS:
            raise ValueError(
                f"`groups` must be one of {GROUPS}, got {groups!r}."
            )
        fixed_mask = weight_mask.given_or_empty(fixed_mask, "fixed_mask")
        fixed_mask.check_fits(model)

        self.groups = groups
        self.num_samples = None if num_samples is None else int(num_samples)
        self._alpha = self.add_weight(
            shape=(),
            dtype="float32",
            initializer=keras.initializers.Constant(float(alpha)),
            trainable=False,
            name="alpha",
        )
        self.initial_keep_probability = float(initial_keep_probability)
        self.roles = roles
        self.masked_layers = layers
        self.fixed_mask = fixed_mask
        self.temperature = float(temperature)
        seed = checks.seed(seed)

        shapes = (
            self._shapes_of_weights()
            if groups is None
            else self._shapes_of_units()
        )
        self.mask_logits = self._add_learned(
            shapes,
            initializer=keras.initializers.Constant(initial_logit),
            regularizer=self._penalty,
        )
        self.sampler_state = self.add_weight(  # the seed, draws made so far
            shape=(2,),
            dtype="int32",
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",  # the same on every device
            name="sampler_state",
        )
        self.sampler_state.assign([seed, 0])
        self.built = True

    def _shapes_of_weights(self):
        """Returns the shape of each weight that has logits, by path."""
        available = model_weights.model_weights(self.model)
        chosen = model_weights.chosen_weights(
            self.model, self.roles, self.masked_layers
        )
        fixed = self.fixed_mask.values
        masked = {p: w for p, w in chosen.items() if p not in fixed}
        _check_no_strengths(masked)
        self._check_floats(masked)
        if not masked:
            roles_of = {path: weight.role for path, weight in available.items()}
            inside = keras_private.all_layers(self.model)
            unbuilt = [x.name for x in inside if not x.built]
            raise ValueError(
                f"No weight of {self.model.name!r} is left to mask with "
                f"roles={self.roles!r} and layers={self.masked_layers!r}. It "
                f"has {roles_of}; layers without weights yet: {unbuilt}."
            )
        return {path: w.variable.shape for path, w in masked.items()}

    def _shapes_of_units(self):
        """Returns the shape of the logits of each layer's units, by path."""
        units, others = unit_weights.hidden_units(
            self.model, self.masked_layers
        )
        # A function, as Keras would track a dict.
        self._spread = functools.partial(unit_weights.spread, units)
        if others:
            told = ", ".join(f"{p!r} ({why})" for p, why in others.items())
            warnings.warn(
                f"{self.model.name!r} has hidden layers that have no gates: "
                f"{told}. Name `layers` to silence this.",
                stacklevel=4,
            )
        return {path: (own.size,) for path, own in units.items()}

    @property
    def learned(self) -> dict[str, keras.Variable]:
        return self.mask_logits

    @property
    def alpha(self) -> float:
        """Float, the penalty on each logit; it can be set."""
        return float(str(self._alpha.numpy()))  # 0.001, not 0.00100000005

    @alpha.setter
    def alpha(self, alpha: float) -> None:
        mask_sampling.check_arguments(self.num_samples, alpha)
        self._alpha.assign(float(alpha))

    @property
    def smallest_batch(self) -> int:
        """Int, the rows that a training batch must have: one for each mask."""
        return self.num_samples or 2

    @property
    def seed(self) -> int:
        """Int, the seed of the mask samples."""
        return int(self.sampler_state.numpy()[0])

    def weights_under(
        self, kept: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Returns which weights a mask keeps, dict from path to bool array.

        Args:
            kept: Dict from the path of each masked weight, or of each layer
                with gates, to bool array.
        """
        if self.groups is None:
            return dict(kept)
        variables = self._functional.variables
        return {
            path: np.broadcast_to(stays, variables[path].shape)
            for path, stays in self._spread(kept, np.logical_and).items()
        }

    def under(self, kept: Mapping[str, Any], inputs: Any) -> Any:
        """Returns what the model computes under another mask than the learned.

        Args:
            kept: Dict from the path of each masked weight, or of each layer
                with gates, to booleans, True for what stays.
            inputs: What `model` takes.
        """
        weights = self._functional.kept(self.fixed_mask.values)
        if self.groups is not None:
            kept = self._spread(kept, ops.logical_and)
        for path, stays in kept.items():
            weight = weights.get(path, self._functional.variables[path].value)
            weights[path] = ops.where(stays, weight, 0)
        return self._functional(weights, inputs)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training:
            thresholded = {
                path: mask_sampling.threshold(logits.value)
                for path, logits in self.mask_logits.items()
            }
            return self.under(thresholded, inputs)
        masked = self._training_weights()
        parts = mask_sampling.split_batch(inputs, len(masked))
        return self._functional.call_parts(masked, parts)

    def compile(
        self, optimizer: Any = None, loss: Any = None, *args: Any, **kwargs: Any
    ) -> None:
        """Configures training, as `keras.Model.compile` does.

        A logit that the task does not need has a gradient of `alpha` alone,
        often below Adam's usual epsilon of 1e-7: it would move by
        alpha / (alpha + epsilon) of the learning rate a step, that is hardly.

        Args:
            optimizer: As in Keras. By default, and for "adam", the paper's
                for masks: Adam with a learning rate of 1e-2, the global norm
                of the gradient clipped to 1, and an epsilon of 1e-12. Any
                other optimizer is taken as it is, with a warning
                (`UserWarning`) if its epsilon is above `alpha`.
            loss: As in Keras; needed.
            *args: As in Keras.
            **kwargs: As in Keras.

        Raises:
            ValueError: If there is no `loss`.
        """
        if optimizer is None or str(optimizer).lower() == "adam":
            optimizer = keras.optimizers.Adam(
                learning_rate=1e-2, epsilon=1e-12, global_clipnorm=1.0
            )
        super().compile(optimizer, loss, *args, **kwargs)
        self._warn_of_epsilon()

    def fit(self, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Trains the mask, as `keras.Model.fit` does.

        It stops at the first NaN. A `FitHealth` warns (`UserWarning`) if the
        steps are too few for any weight to be removed, or the thresholded mask
        is far worse than the model on some training data; so does a
        `MaskHealth` among the callbacks, which says more.

        Raises:
            ValueError: If a batch is smaller than `smallest_batch`, a weight of
                the model is NaN or infinite, the learning rate is no finite
                number, or the loss or a logit becomes NaN or infinite.
        """
        arguments = frozen_model.fit_arguments(*args, **kwargs)
        self._check_batches(arguments)
        before = int(self.sampler_state[1])
        rows: list[int] = []
        if isinstance(arguments["x"], types.GeneratorType):
            arguments["x"] = _noted(arguments["x"], rows)
        try:
            return super().fit(**arguments)
        except mask_sampling.SmallBatchError:
            pass
        except tf.errors.InvalidArgumentError:
            rows += self._rows_of_batches(arguments["x"], before)
            if all(count >= self.smallest_batch for count in rows):
                raise
        raise ValueError(
            f"A batch of `x` has fewer rows than {self._masks_of_a_batch}. "
            "Choose another batch size, or `batch(..., drop_remainder=True)`."
        )

    def reset(
        self, *, seed: int | None = 0, alpha: float | None = None
    ) -> None:
        """Makes the mask and the optimizer as they were before training.

        For the next task of the same model: the compiled step is kept, which
        saves tracing it again. The learning rate is that of `compile`,
        whatever callbacks have made of it. Layers of the model that draw
        random numbers in inference, too, go on with them.

        Args:
            seed: As in `MaskedModel`; the seed from here on.
            alpha: Float, at least 0: the penalty from here on; `None` keeps
                it as it is.

        Raises:
            ValueError: If an argument is out of its range.
        """
        if alpha is not None:
            self.alpha = alpha
            if self.compiled:
                self._warn_of_epsilon()
        self.sampler_state.assign([checks.seed(seed), 0])
        initial = mask_sampling.logit(self.initial_keep_probability)
        for logits in self.mask_logits.values():
            logits.assign(ops.full(logits.shape, initial))
        self._reset_optimizer()

    def set_logits(self, logits: Mapping[str, np.ndarray]) -> None:
        """Sets the logits, and makes the optimizer as before training.

        Args:
            logits: Dict from weight path to float array of the weight's shape.
        """
        for path, values in logits.items():
            self.mask_logits[path].assign(values)
        self._reset_optimizer()

    def untrained_twin(self, *, seed: int | None = 0) -> Self:
        """Returns the same masking of the network as it was before training.

        The control for a finding: what a mask finds in random weights. The
        wrapped model's weights are drawn anew by its initializers.

        Args:
            seed: Int, not negative, of these draws; `None` is random.

        Returns:
            `MaskedModel`, not compiled.
        """
        twin = copying.untrained(self.model, seed=seed)
        config = self.get_config()
        config |= {"model": twin, "fixed_mask": self.fixed_mask}
        return type(self)(**config)

    def weight_mask(self, task: str | None = None) -> weight_mask.WeightMask:
        """Returns what was learned: the mask of every weight with logits.

        Weights under `fixed_mask` are not part of it. Of gates it is the mask
        of all weights of their units.

        Args:
            task: Str or `None`, for the record: what the mask was trained on.

        Returns:
            `WeightMask`.

        Raises:
            ValueError: If a logit is NaN or infinite, or `task` no JSON value.
        """
        values = self.weights_under(self._kept())
        mask = weight_mask.WeightMask(values)
        return weight_mask.WeightMask(values, self._told(mask, task))

    def neuron_selection(
        self, task: str | None = None
    ) -> neuron_selection.NeuronSelection:
        """Returns what gates learned: the units that the task needs.

        Args:
            task: As in `weight_mask`.

        Returns:
            `NeuronSelection` over the units that have gates.

        Raises:
            ValueError: As in `weight_mask`, and if there are no gates.
        """
        if self.groups is None:
            raise ValueError(
                f'{self.name!r} has a logit for each weight: `groups="units"` '
                "has one for each unit."
            )
        chosen = neuron_selection.NeuronSelection(self._kept())
        provenance = {"method": "mask", **self._told(chosen, task)}
        return neuron_selection.NeuronSelection(chosen.values, provenance)

    def _kept(self):
        """Returns the thresholded logits, as arrays."""
        self.check_learned()
        return {
            path: ops.convert_to_numpy(mask_sampling.threshold(logits.value))
            for path, logits in self.mask_logits.items()
        }

    def _told(self, found, task):
        """Returns the provenance of what was learned."""
        return {
            "task": weight_mask.task_record(task),
            "model": self.model.name,
            "model_fingerprint": model_weights.fingerprint(self.model),
            "alpha": self.alpha,
            "seed": self.seed,
            "steps": int(self.sampler_state.numpy()[1]),
            "keep_fractions": found.keep_fractions(),
            "keep_probabilities": self._histogram(),
        }

    def summary(self, print_fn: Callable[[str], Any] = print) -> None:
        """Prints the share of weights, or units, that are kept.

        In each masked tensor, or layer, and in all.

        Args:
            print_fn: Function that takes the text.
        """
        is_of_units = self.groups is not None
        mask = self.neuron_selection() if is_of_units else self.weight_mask()
        rows = [
            (path, self.mask_logits[path].shape, fraction)
            for path, fraction in mask.keep_fractions().items()
        ]
        rows.append(
            (f"all masked {mask.KIND}", (mask.size,), mask.keep_fraction)
        )
        width = max(len(path) for path, _, _ in rows)
        lines = [f"{self.name}: mask over {self.model.name}"]
        for path, shape, fraction in rows:
            size = "x".join(map(str, shape))
            lines.append(f"{path:<{width}}  {size:>20}  {fraction:7.2%} kept")
        print_fn("\n".join(lines))

    def get_config(self) -> dict[str, Any]:
        config = {
            "model": keras.saving.serialize_keras_object(self.model),
            "groups": self.groups,
            "num_samples": self.num_samples,
            "alpha": self.alpha,
            "initial_keep_probability": self.initial_keep_probability,
            "roles": self.roles,
            "layers": self.masked_layers,
            "fixed_mask": keras.saving.serialize_keras_object(self.fixed_mask),
            "temperature": self.temperature,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return super().from_config(mask_sampling.todays_config(config))

    def _histogram(self, bins=500, tiny=0.0002):
        """Returns how the keep probabilities lie: the paper's figure 7."""
        counts, below = np.zeros(bins, int), 0
        for logits in self.mask_logits.values():
            values = ops.convert_to_numpy(ops.sigmoid(logits.value))
            counts += np.histogram(values, bins, (0.0, 1.0))[0]
            below += int(np.sum(values < tiny))
        return {"counts": counts.tolist(), "tiny": below}

    def _penalty(self, logits):
        term = mask_sampling.penalty(logits, self._alpha.value)
        return ops.cast(term, keras.config.floatx())  # as the task's loss is

    def _warn_of_epsilon(self):
        """Warns if the optimizer hardly moves a logit that is not needed."""
        optimizer = _inner(self.optimizer)
        epsilon, alpha = getattr(optimizer, "epsilon", None), self.alpha
        if not alpha or not epsilon:
            return
        if isinstance(optimizer, _LIKE_ADAM):
            share, wanted = alpha / (alpha + epsilon), alpha / 100
        elif isinstance(optimizer, keras.optimizers.RMSprop):
            share = alpha / math.sqrt(alpha**2 + epsilon)
            wanted = alpha**2 / 100
        else:
            return
        if share < 0.5:
            warnings.warn(
                f"{type(optimizer).__name__}'s epsilon of {epsilon:g} hides "
                f"the penalty `alpha`={alpha:g}: a logit that the task does "
                f"not need moves by {share:.2g} of the learning rate a step. "
                f"Set `epsilon={min(wanted, 1e-12):.0e}`, or compile without "
                "an optimizer.",
                stacklevel=3,
            )

    def _check_batches(self, arguments):
        """Raises `ValueError` where a batch is known to be too small."""
        x, batch_size = arguments["x"], arguments["batch_size"]
        rows = _rows(arguments)
        if rows is not None:
            batch_size = batch_size or 32
            last = rows % batch_size or batch_size
            if min(rows, batch_size, last) < self.smallest_batch:
                raise ValueError(
                    f"`x` has {rows} rows to train on; in batches of "
                    f"`batch_size`={batch_size} the smallest holds "
                    f"{min(rows, last)}, fewer than {self._masks_of_a_batch}. "
                    "Choose another batch size."
                )
        elif isinstance(x, tf.data.Dataset):
            if x.cardinality() == 0:
                raise ValueError("`x` is a dataset without a batch.")
            shape = keras.tree.flatten(x.element_spec)[0].shape
            if shape.rank and (shape[0] or math.inf) < self.smallest_batch:
                raise ValueError(
                    f"The batches of `x` have {shape[0]} rows, fewer than "
                    f"{self._masks_of_a_batch}. Choose another batch size."
                )

    def _rows_of_batches(self, x, before):
        """Yields how many rows the batches had that were trained on.

        A compiled step only says that something about its data was wrong.

        Args:
            x: The data.
            before: Int, the steps made before these data.
        """
        if isinstance(x, (tf.data.Dataset, keras.utils.PyDataset)):
            made = int(self.sampler_state[1]) - before
            read = batches.read("x", x, must_end=False)
            for inputs, _ in itertools.islice(
                read, made + self.steps_per_execution
            ):
                yield batches.count_rows(inputs)

    def _guards(self, arguments):
        """Adds the health of the mask, the user's own if there is one."""
        given = arguments["callbacks"]
        given = getattr(given, "callbacks", keras.tree.flatten(given))
        found = [x for x in given if isinstance(x, callbacks.FitHealth)]
        health = found[0] if found else callbacks.FitHealth()
        health.some_rows = functools.partial(_some_rows, arguments)
        health.is_scheduled = any(isinstance(x, _SCHEDULER) for x in given)
        guards = super()._guards(arguments)
        return guards if found else [*guards, health]

    @property
    def _masks_of_a_batch(self):
        if self.num_samples is None:
            return "the 2 masks, soft and thresholded"
        return f"the `num_samples`={self.num_samples} masks"

    def _samples_of_this_device(self):
        """Returns the mask samples that see this device's part of a batch.

        Under `tf.distribute` sample k belongs to the k-th part of the global
        batch, on whatever device that lies.
        """
        context = tf.distribute.get_replica_context()
        devices = context.num_replicas_in_sync if context else 1
        if devices == 1:
            return range(self.num_samples)
        if self.num_samples % devices:
            raise ValueError(
                f"`num_samples`={self.num_samples} must be a multiple of the "
                f"{devices} devices that share a batch."
            )
        here = int(tf.get_static_value(context.replica_id_in_sync_group))
        count = self.num_samples // devices
        return range(here * count, (here + 1) * count)

    def _training_weights(self):
        """Returns the masked weights, for each part of this device's batch."""
        step_seed = self.sampler_state.value * 1  # a copy
        self.sampler_state.assign_add([0, 1])
        logits = {path: v.value for path, v in self.mask_logits.items()}
        variables = self._functional.variables
        fixed = self._functional.kept(self.fixed_mask.values)
        masked = {
            path: (
                ops.stop_gradient(variables[path].value)
                if self.groups is None
                else ops.ones_like(each)
            )
            for path, each in logits.items()
        }
        if self.num_samples is None:
            drawn = mask_sampling.soft_and_hard_weight_dict(masked, logits)
        else:
            drawn = mask_sampling.sample_weight_dict(
                masked,
                logits,
                step_seed,
                self.num_samples,
                self.temperature,
                self._samples_of_this_device(),
            )
        if self.groups is not None:
            drawn = [self._gated(gates, fixed) for gates in drawn]
        return [{**fixed, **values} for values in drawn]

    def _gated(self, gates, fixed):
        """Returns the weights that the gates of units leave.

        Args:
            gates: Dict from layer path to float tensor `(units,)`.
            fixed: Dict from weight path to tensor, what a fixed mask leaves.
        """
        found = {}
        for path, factor in self._spread(
            gates, ops.multiply, gates=True
        ).items():
            weight = fixed.get(path, self._functional.variables[path].value)
            weight = ops.stop_gradient(weight)
            found[path] = weight * ops.cast(factor, weight.dtype)
        return found


_LIKE_ADAM = (
    keras.optimizers.Adam,
    keras.optimizers.Nadam,
    keras.optimizers.Adamax,
)
_SCHEDULER = keras.callbacks.LearningRateScheduler


def _check_no_strengths(weights):
    for path, weight in weights.items():
        if hasattr(weight.variable, "active_connections"):
            raise ValueError(
                f"The weight {path!r} holds the strengths of sparse "
                "connections: a removed one would get no gradient, and never "
                "come back. Leave its layer out with `layers`, or train a "
                "`ScoredModel`."
            )


def _as_saved(names):
    """Returns names as Keras can save them: a list for a set, say."""
    several = hasattr(names, "__iter__") and not isinstance(names, str)
    return list(names) if several else names


def _inner(optimizer):
    """Returns the optimizer inside a `LossScaleOptimizer`, or itself."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def _rows(arguments):
    """Returns the rows of `x` to train on, `None` if it is no array."""
    shape = getattr(keras.tree.flatten(arguments["x"])[0], "shape", ())
    if not len(shape) or shape[0] is None:
        return None
    share = 1 - (arguments["validation_split"] or 0)
    return math.floor(shape[0] * share)


def _noted(stream, rows):
    """Yields batches, and notes how many rows each has in a list."""
    for batch in stream:
        rows.extend(keras.tree.flatten(batch)[0].shape[:1])
        yield batch


def _some_rows(arguments):
    """Returns some of what `fit` got, a tuple; `None` if it can't be seen."""
    x, y = arguments["x"], arguments["y"]
    if isinstance(x, tf.data.Dataset):
        batch = next(iter(x), ())
        return batch if len(batch) > 1 else None
    if _rows(arguments) is None or y is None:
        return None
    arrays = batches.checked_arrays("x", (x, y, arguments["sample_weight"]))
    return batches.as_tensors(batches.take(arrays, slice(0, _FEW)))

"""The subject of a study: one network, and all that its stages need of it."""

import dataclasses
from collections.abc import Callable
from typing import Generic, TypeVar

import keras
import tensorflow as tf

from modularity_tf import WeightMask
from modularity_tf.masking import masked_model

Data = TypeVar("Data")


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a network and the masks over it are trained.

    Attributes:
        batch_size: Int, examples in a training step of the network.
        network_steps: Int, training steps of the network.
        mask_batch_size: Int, examples in a training step of a mask.
        mask_steps: Int, training steps of each mask.
        mask_lr: Float, learning rate of Adam for the logits of a mask.
        beta: Float, the penalty: each logit costs beta / mask_batch_size.
        num_samples: Int, masks that are drawn for each batch.
        keep_probability: Float, of a weight at the start of mask training.
        log_steps: Int, steps between two points in TensorBoard.
        jit_compile: Bool, whether training steps are compiled with XLA.
        clip_norm: Float, limit of the global norm of the logits' gradient.
    """

    batch_size: int
    network_steps: int
    mask_batch_size: int
    mask_steps: int
    mask_lr: float
    beta: float
    num_samples: int
    keep_probability: float
    log_steps: int
    jit_compile: bool
    clip_norm: float = 1.0

    @classmethod
    def of(cls, config: object, **others: float) -> "Settings":
        """Returns the settings that a configuration has.

        Args:
            config: Object with fields of these names.
            **others: Values in place of those of the configuration.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        own = {n: getattr(config, n) for n in names if hasattr(config, n)}
        return cls(**{**own, **others})

    @property
    def alpha(self) -> float:
        """Float, the penalty on each logit."""
        return self.beta / self.mask_batch_size

    def found_beta(self, search: dict | None) -> float:
        """Returns the beta of the masks.

        Args:
            search: What `mask_training.find_alpha` returned, or `None` where
                beta is that of the settings.
        """
        return search["alpha"] * self.mask_batch_size if search else self.beta


@dataclasses.dataclass(frozen=True, eq=False)
class Subject(Generic[Data]):
    """One network of one seed: its data, how it is made and trained.

    A plan makes it once and hands it to every stage. It holds no model and
    nothing that changes: a worker process plans again, and has the same.

    A *task* below is a part of what the network learns, in the terms of its
    experiment: an operation, a split, a level, the labels of some classes.

    Attributes:
        name: Str, how the estimate calls the network.
        folder: Str, where its stages lie in the run folder.
        seed: Int, the repeat.
        settings: `Settings`.
        data: What the scores of the experiment are measured on.
        build: Function without arguments to the untrained network.
        optimizer: Function without arguments to the optimizer of the weights.
        loss: As `keras.Model.compile` takes it.
        metrics: As `keras.Model.compile` takes them.
        roles: Which weights are masked, as `MaskedModel` takes it.
        batches: Function from a task to a function `(batch_size, seed, start,
            stop)` to the `tf.data.Dataset` of those batches of its endless
            stream.
        performance: Function from a model to a float, which the search for
            beta wants to keep.
        curves: Function from a task to the examples of the curves in
            TensorBoard, or to `None` for no such curves.
        whole: The task that is all that the network learns.
    """

    name: str
    folder: str
    seed: int
    settings: Settings
    data: Data
    build: Callable[[], keras.Model]
    optimizer: Callable[[], keras.optimizers.Optimizer]
    loss: Callable
    metrics: tuple
    roles: str
    batches: Callable[[object], Callable[..., tf.data.Dataset]]
    performance: Callable[[keras.Model], float]
    curves: Callable[[object], tf.data.Dataset | None] = lambda task: None
    whole: object = None

    def network(self) -> keras.Model:
        """Returns the network, compiled and untrained."""
        return self._compiled(self.build(), self.optimizer())

    def masked(
        self,
        network: keras.Model,
        seed: int = 0,
        alpha: float | None = None,
        fixed_mask: WeightMask | None = None,
    ) -> masked_model.MaskedModel:
        """Returns the compiled `MaskedModel` of the trained network.

        Args:
            network: Keras model.
            seed: Int, of the mask samples.
            alpha: Float, the penalty, or `None` for that of the settings.
            fixed_mask: As in `MaskedModel`.
        """
        settings = self.settings
        model = masked_model.MaskedModel(
            network,
            num_samples=settings.num_samples,
            alpha=settings.alpha if alpha is None else alpha,
            initial_keep_probability=settings.keep_probability,
            roles=self.roles,
            fixed_mask=fixed_mask,
            seed=seed,
        )
        return self._compiled(
            model, adam(settings.mask_lr, settings.clip_norm, epsilon=1e-12)
        )

    def _compiled(self, model, optimizer):
        model.compile(
            optimizer,
            self.loss,
            metrics=list(self.metrics),
            jit_compile=self.settings.jit_compile,
        )
        return model


def adam(
    learning_rate: float,
    clip_norm: float = 1.0,
    warmup_steps: int = 0,
    epsilon: float = 1e-8,
    beta_2: float = 0.999,
) -> keras.optimizers.Adam:
    """Returns a Keras Adam, with a linear warm-up of its rate if asked for."""
    if warmup_steps:
        learning_rate = keras.optimizers.schedules.PolynomialDecay(
            learning_rate / warmup_steps, warmup_steps, learning_rate
        )
    return keras.optimizers.Adam(
        learning_rate,
        beta_2=beta_2,
        epsilon=epsilon,
        global_clipnorm=clip_norm,
    )

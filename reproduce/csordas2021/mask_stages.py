"""Stages of the experiments that train a network and masks over it."""

import dataclasses
import functools

import keras
import numpy as np

from modularity_tf.masking import alpha_search, callbacks, masked_model
from reproduce.harness import experiment


@dataclasses.dataclass(frozen=True)
class Config(experiment.Config):
    """The flags of training a network, then masks; the paper's values (C.1)."""

    batch_size: int = experiment.field(128, "Examples a network step.")
    network_steps: int = experiment.field(20_000, "Steps of the weights.")
    network_lr: float = experiment.field(1e-3, "Adam step of the weights.")
    mask_batch_size: int = experiment.field(128, "Examples a mask step.")
    mask_steps: int = experiment.field(20_000, "Steps of each mask.")
    mask_lr: float = experiment.field(1e-3, "Adam step of the logits.")
    beta: float = experiment.field(
        1e-4, "Penalty: each logit costs beta / mask_batch_size."
    )
    find_beta: bool = experiment.field(
        False, "Find beta by the rule of appendix C.2, starting at --beta."
    )
    num_samples: int = experiment.field(4, "Mask samples a batch.")
    keep_probability: float = experiment.field(0.9, "At the start of a mask.")
    log_steps: int = experiment.field(
        500, "Steps between points in TensorBoard; divides the others."
    )

    def __post_init__(self):
        super().__post_init__()
        if not self.beta >= 0:
            raise ValueError(f"--beta must be at least 0, got {self.beta}.")
        if self.mask_batch_size < self.num_samples:
            raise ValueError(
                f"--mask_batch_size={self.mask_batch_size} is smaller than "
                f"--num_samples={self.num_samples}."
            )
        for name in ("network_steps", "mask_steps"):
            steps = getattr(self, name)
            if steps % min(self.log_steps, steps):
                raise ValueError(
                    f"--{name}={steps} must be a multiple of "
                    f"--log_steps={self.log_steps}."
                )


def compile_network(config, network, **kwargs):
    """Compiles a network as the paper trains its weights, and returns it."""
    network.compile(
        keras.optimizers.Adam(
            config.network_lr, epsilon=1e-8, global_clipnorm=1.0
        ),
        jit_compile=config.jit_compile,
        **kwargs,
    )
    return network


def compile_masked(config, network, roles, fixed_mask=None, **kwargs):
    """Returns the compiled `MaskedModel` of a network."""
    model = masked_model.MaskedModel(
        network,
        num_samples=config.num_samples,
        alpha=config.beta / config.mask_batch_size,
        keep_probability=config.keep_probability,
        roles=roles,
        fixed_mask=fixed_mask,
        seed=0,
    )
    model.compile(jit_compile=config.jit_compile, **kwargs)
    model.optimizer.learning_rate = config.mask_lr
    return model


def train_network(run, network, batches, seed, stage, **kwargs):
    """Returns a compiled network, trained.

    Args:
        run: `experiment.Run`.
        network: Compiled Keras model.
        batches: Function `(batch_size, seed, start, stop)` to the
            `tf.data.Dataset` of those batches of an endless stream.
        seed: Int, the repeat.
        stage: Str, the stage.
        **kwargs: Of `keras.Model.fit`.
    """
    config = run.config
    batch_seed = experiment.derive_seed(seed, "batches", stage)
    run.fit(
        stage,
        network,
        functools.partial(batches, config.batch_size, batch_seed),
        config.network_steps,
        config.log_steps,
        **kwargs,
    )
    return network


def train_mask(run, model, batches, seed, stage, alpha=None, **kwargs):
    """Returns the mask that keeps what the examples of `batches` need.

    Args as in `train_network`; `model` is a compiled `MaskedModel` and begins
    anew, with another `alpha` if it is given.
    """
    config = run.config
    model.reset(experiment.derive_seed(seed, "samples", stage), alpha)
    batch_seed = experiment.derive_seed(seed, "batches", stage)
    run.fit(
        stage,
        model,
        functools.partial(batches, config.mask_batch_size, batch_seed),
        config.mask_steps,
        config.log_steps,
        callbacks=[callbacks.MaskSummary(run.folder / "logs" / stage)],
        **kwargs,
    )
    return model.weight_mask(task=stage)


def find_alpha(run, train, performance, reference, folder):
    """Returns an `AlphaSearch` as a dict: masks of the full task, validated.

    Args:
        run: `experiment.Run`.
        train: Function `(stage, alpha)` to the `WeightMask`.
        performance: Function from the mask to a float.
        reference: Float, the network's own performance.
        folder: Str, where the stages lie.
    """

    def trial(alpha):
        stage = f"{folder}/alpha_{alpha:.3g}"

        def measure():
            mask = train(stage, alpha)
            kept = mask.keep_fraction
            return {"performance": performance(mask), "kept": kept}

        measured = run.stage(stage, measure)
        return measured["performance"], measured["kept"]

    start = run.config.beta / run.config.mask_batch_size
    found = alpha_search.search_alpha(trial, reference, start)
    return dataclasses.asdict(found)


def predict(model, inputs, batch_size=500):
    """Returns what the model finds most likely, ints.

    Args:
        model: Keras model with logits on its last axis.
        inputs: Array of shape `(examples, ...)`.
        batch_size: Positive int.

    Returns:
        Int array, the shape of the outputs without their last axis.
    """
    # Eager calls: `model.predict` would be traced for every mask anew.
    logits = [
        keras.ops.argmax(
            model(inputs[i : i + batch_size].astype("float32")), -1
        )
        for i in range(0, len(inputs), batch_size)
    ]
    return np.concatenate(logits)

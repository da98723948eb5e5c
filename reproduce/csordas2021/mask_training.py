"""What the experiments share that train a network and masks over it."""

import dataclasses
import functools

import keras
import numpy as np

from modularity_tf.masking import alpha_search, callbacks, masked_model
from reproduce.running import configuration

field = configuration.field
AGAIN = "_again"  # a mask of the same task, extracted from another seed
TIMES = ("", AGAIN)


@dataclasses.dataclass(frozen=True)
class Config(configuration.Config):
    """The flags of training a network, then masks; the paper's values (C.1)."""

    batch_size: int = field(
        128, "Examples in a training step of the network.", at_least=1
    )
    network_steps: int = field(
        20_000,
        "Training steps of each network.",
        at_least=1,
        multiple_of="log_steps",
    )
    network_lr: float = field(
        1e-3, "Learning rate of Adam for the weights of a network.", above=0
    )
    mask_batch_size: int = field(
        128, "Examples in a training step of a mask.", at_least=1
    )
    mask_steps: int = field(
        20_000,
        "Training steps of each mask.",
        at_least=1,
        multiple_of="log_steps",
    )
    mask_lr: float = field(
        1e-3, "Learning rate of Adam for the logits of a mask.", above=0
    )
    beta: float = field(
        1e-4,
        "Strength of the penalty: each logit of a mask costs beta / "
        "mask_batch_size.",
        at_least=0,
    )
    find_beta: bool = field(
        False, "Find beta by the rule of appendix C.2, starting at --beta."
    )
    num_samples: int = field(
        4, "Masks that are drawn for each batch.", at_least=1
    )
    keep_probability: float = field(
        0.9,
        "Probability that a weight is kept, at the start of mask training.",
        above=0,
        less_than=1,
    )
    log_steps: int = field(
        500,
        "Steps between two points in TensorBoard; must divide the numbers "
        "of steps.",
        at_least=1,
    )

    def __post_init__(self):
        super().__post_init__()
        check_samples(self, "mask_batch_size")
        if self.find_beta and not self.beta:
            raise ValueError("--find_beta starts at --beta, got --beta=0.")

    @property
    def alpha(self):
        """Float, the penalty on each logit."""
        return self.beta / self.mask_batch_size


def check_samples(config, batch_size):
    """Raises `ValueError` if a batch is smaller than the masks drawn for it.

    Args:
        config: `Config` with `num_samples`.
        batch_size: Str, the name of the field with the size of a batch.
    """
    examples = getattr(config, batch_size)
    if examples < config.num_samples:
        raise ValueError(
            f"--{batch_size}={examples} is smaller than "
            f"--num_samples={config.num_samples}."
        )


def found_beta(config, search):
    """Returns the beta of the masks: that of the flag, or that was found.

    Args:
        config: With `beta` and `mask_batch_size`.
        search: What `find_alpha` returned, or `None`.
    """
    if search:
        return search["alpha"] * config.mask_batch_size
    return config.beta


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
        alpha=config.alpha,
        keep_probability=config.keep_probability,
        roles=roles,
        fixed_mask=fixed_mask,
        seed=0,
    )
    adam = keras.optimizers.Adam(
        config.mask_lr, epsilon=1e-12, global_clipnorm=1.0
    )
    model.compile(adam, jit_compile=config.jit_compile, **kwargs)
    return model


def train_network(stage, network, batches, config=None, **kwargs):
    """Returns a compiled network, trained.

    Args:
        stage: `Stage`.
        network: Compiled Keras model.
        batches: Function `(batch_size, seed, start, stop)` to the
            `tf.data.Dataset` of those batches of an endless stream.
        config: Object with the fields of `Config`; `None` for the stage's.
        **kwargs: Of `keras.Model.fit`.
    """
    config = config or stage.config
    seed = stage.derive_seed("batches", stage.name)
    return stage.fit(
        network,
        functools.partial(batches, config.batch_size, seed),
        config.network_steps,
        config.log_steps,
        **kwargs,
    )


def train_mask(stage, model, batches, alpha=None, config=None, **kwargs):
    """Returns the mask that keeps what the examples of `batches` need.

    Args:
        stage: `Stage`.
        model: Compiled `MaskedModel`; it begins anew.
        batches: As in `train_network`.
        alpha: Float, the penalty, or `None` for that of the configuration.
        config: As in `train_network`.
        **kwargs: Of `keras.Model.fit`.
    """
    config = config or stage.config
    model.reset(
        stage.derive_seed("samples", stage.name),
        config.alpha if alpha is None else alpha,
    )
    seed = stage.derive_seed("batches", stage.name)
    stage.fit(
        model,
        functools.partial(batches, config.mask_batch_size, seed),
        config.mask_steps,
        config.log_steps,
        callbacks=[callbacks.MaskSummary(stage.log_dir)],
        **kwargs,
    )
    return model.weight_mask(task=stage.name)


def find_alpha(stage, train, performance, reference, config=None):
    """Returns an `AlphaSearch` as a dict: masks of the full task, validated.

    Args:
        stage: `Stage`; every trial is a substage.
        train: Function `(substage, alpha)` to the `WeightMask`.
        performance: Function from the mask to a float.
        reference: Float, the network's own performance.
        config: As in `train_network`.
    """
    config = config or stage.config

    def measure(substage, alpha):
        mask = train(substage, alpha)
        return {"performance": performance(mask), "kept": mask.keep_fraction}

    def trial(alpha):
        found = stage.substage(
            f"alpha_{alpha:.3g}", measure, alpha, steps=config.mask_steps
        )
        return found["performance"], found["kept"]

    found = alpha_search.search_alpha(trial, reference, config.alpha)
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

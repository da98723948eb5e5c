"""Trains a network and masks over it: flags and stages of all experiments.

A stage's function takes a `Subject` and the results of other stages.
"""

import dataclasses
import functools
import operator
from collections.abc import Callable, Iterable

import keras
import numpy as np

from modularity_tf import WeightMask
from modularity_tf.masking import alpha_search, callbacks
from reproduce.csordas2021.subject import Subject
from reproduce.running import configuration, training
from reproduce.running.run import Run
from reproduce.running.stage import Stage

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


def check_samples(config: configuration.Config, batch_size: str) -> None:
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


def plan(
    run: Run,
    subject: Subject,
    what: str,
    function: Callable,
    *needs: object,
    **kwargs: object,
) -> Stage:
    """Plans a stage of a subject, and returns it.

    Args:
        run: `Run`.
        subject: `Subject`, the first argument of the function after `stage`.
        what: Str, the stage's name in the subject's folder.
        function: As in `Run.stage`, like the other arguments.
        *needs: As in `Run.stage`.
        **kwargs: As in `Run.stage`.
    """
    name = f"{subject.folder}/{what}"
    return run.stage(
        name, function, subject, *needs, seed=subject.seed, **kwargs
    )


def plan_network(
    run: Run, subject: Subject, what: str = "network", task: object = None
) -> Stage:
    """Plans the training of a network; on all of its problem by default."""
    return plan(
        run,
        subject,
        what,
        train_network,
        task or subject.whole,
        steps=subject.settings.network_steps,
        phase=f"{subject.name}: network",
    )


def plan_mask(
    run: Run,
    subject: Subject,
    network: Stage,
    name: str,
    task: object,
    alpha: Stage | float | None = None,
    fixed_mask: Stage | None = None,
) -> Stage:
    """Plans the mask of a task.

    Args:
        run: `Run`.
        subject: `Subject`.
        network: `Stage` of the network.
        name: Str, of the mask: the stage is "mask_NAME".
        task: What `subject.batches` takes.
        alpha: The penalty; `None` for that of the settings.
        fixed_mask: `Stage` of the mask of weights that this one leaves out.
    """
    return plan(
        run,
        subject,
        f"mask_{name}",
        train_mask,
        network,
        task,
        alpha,
        fixed_mask,
        steps=subject.settings.mask_steps,
        phase=f"{subject.name}: masks",
    )


def plan_search(
    run: Run, subject: Subject, network: Stage, *reference: Stage
) -> tuple[Stage | None, Stage | None]:
    """Plans the search for beta, if the configuration asks for it.

    Args:
        run: `Run`.
        subject: `Subject`.
        network: `Stage` of the network.
        *reference: As in `find_alpha`.

    Returns:
        The search and the alpha that it finds; `None` twice without a search.
    """
    if not run.config.find_beta:
        return None, None
    search = plan(run, subject, "alpha_search", find_alpha, network, *reference)
    return search, run.combine(operator.itemgetter("alpha"), search)


def train_network(stage: Stage, subject: Subject, task: object) -> keras.Model:
    """Returns the network of a subject, trained on a task."""
    return _fit(
        stage,
        subject,
        subject.network(),
        task,
        subject.settings.batch_size,
        subject.settings.network_steps,
    )


def train_mask(
    stage: Stage,
    subject: Subject,
    network: keras.Model,
    task: object,
    alpha: float | None = None,
    fixed_mask: WeightMask | None = None,
) -> WeightMask:
    """Returns the mask that keeps what a task needs of a trained network.

    Args:
        stage: `Stage`.
        subject: `Subject`.
        network: Keras model.
        task: What `subject.batches` takes.
        alpha: Float, the penalty, or `None` for that of the settings.
        fixed_mask: As in `MaskedModel`.
    """
    seed = stage.derive_seed("samples", stage.name)
    model = subject.masked(network, seed, alpha, fixed_mask)
    _fit(
        stage,
        subject,
        model,
        task,
        subject.settings.mask_batch_size,
        subject.settings.mask_steps,
        callbacks=[callbacks.MaskSummary(stage.log_dir)],
    )
    return model.weight_mask(task=stage.name)


def _fit(stage, subject, model, task, batch_size, steps, **kwargs):
    seed = stage.derive_seed("batches", stage.name)
    return stage.fit(
        model,
        functools.partial(subject.batches(task), batch_size, seed),
        steps,
        subject.settings.log_steps,
        validation_data=subject.curves(task),
        **kwargs,
    )


def find_alpha(
    stage: Stage,
    subject: Subject,
    network: keras.Model,
    reference: float | None = None,
) -> dict:
    """Returns an `AlphaSearch` as a dict, found with masks of the whole task.

    Args:
        stage: `Stage`; every trial is a substage.
        subject: `Subject`.
        network: Keras model, trained.
        reference: Float, the network's own performance; `None` to measure it.
    """
    settings = subject.settings

    def measure(substage, alpha):
        mask = train_mask(substage, subject, network, subject.whole, alpha)
        performance = subject.performance(mask.apply(network))
        return {"performance": performance, "kept": mask.keep_fraction}

    def trial(alpha):
        found = stage.substage(
            f"alpha_{alpha:.3g}", measure, alpha, steps=settings.mask_steps
        )
        return found["performance"], found["kept"]

    if reference is None:
        reference = subject.performance(network)
    found = alpha_search.search_alpha(trial, reference, start=settings.alpha)
    return dataclasses.asdict(found)


def phases(subjects: Iterable[Subject]) -> dict[str, training.Phase]:
    """Returns what the estimate times: each network, and a mask over it."""
    found = {}
    for subject in subjects:
        network, settings = subject.network(), subject.settings
        for what, model, size in (
            ("network", network, settings.batch_size),
            ("masks", subject.masked(network), settings.mask_batch_size),
        ):
            batches = functools.partial(subject.batches(subject.whole), size, 0)
            found[f"{subject.name}: {what}"] = training.phase(model, batches)
    return found


def predict(
    model: Callable, inputs: np.ndarray, batch_size: int = 500
) -> np.ndarray:
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

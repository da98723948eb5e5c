"""Networks that answer with sequences, and masks over them: what is trained.

`scan_stages` and `mathematics_stages` build on this. Their settings differ by
network and by module, so these functions take `Settings`.
"""

import dataclasses
import functools

import keras
import numpy as np

from reproduce.csordas2021 import mask_training
from reproduce.csordas2021.mask_training import AGAIN
from reproduce.csordas2021.sequences import pairs
from reproduce.csordas2021.sequences import scores as sequence_scores
from reproduce.publishing import records
from reproduce.running import training

# Biases and embeddings are never masked; layer normalization is.
ROLES = {"lstm": "kernels", "transformer": "transformer"}


@dataclasses.dataclass(frozen=True)
class Settings:
    """How one network and the masks over it are trained.

    Attributes:
        batch_size: Int, examples a network step.
        network_steps: Int, steps of the weights.
        optimizer: Function without arguments to the optimizer of the weights.
        mask_batch_size: Int, examples a mask step.
        mask_steps: Int, steps of each mask.
        mask_lr: Float, Adam step of the logits.
        beta: Float, the penalty: each logit costs beta / mask_batch_size.
        num_samples: Int, mask samples a batch.
        keep_probability: Float, of a weight at the start of a mask.
        clip_norm: Float, limit of the global norm of the logits' gradient.
        log_steps: Int, steps between two points in TensorBoard.
        jit_compile: Bool, whether training steps are compiled with XLA.
        teacher_forcing: Float, the share of batches with teacher forcing.
    """

    batch_size: int
    network_steps: int
    optimizer: object
    mask_batch_size: int
    mask_steps: int
    mask_lr: float
    beta: float
    num_samples: int
    keep_probability: float
    clip_norm: float
    log_steps: int
    jit_compile: bool
    teacher_forcing: float = 1.0

    @property
    def alpha(self):
        """Float, the penalty on each logit."""
        return self.beta / self.mask_batch_size


def compile_network(settings, network):
    """Compiles a network for training its weights, and returns it."""
    network.compile(
        settings.optimizer(), jit_compile=settings.jit_compile, **task_loss()
    )
    return network


@training.keep_last
def masked(settings, network):
    """Returns the compiled masked network."""
    model = mask_training.compile_masked(
        settings, network, ROLES[network.name], **task_loss()
    )
    model.optimizer.global_clipnorm = settings.clip_norm
    return model


def task_loss():
    """Returns what both `compile` calls have in common."""
    return {
        "loss": sequence_scores.sequence_loss,
        "metrics": [sequence_scores.whole_sequence_right],
    }


def batches(settings, data):
    """Returns the function of random batches that training takes."""
    return functools.partial(
        pairs.batches, data, teacher_forcing=settings.teacher_forcing
    )


def train_network(stage, settings, network, data):
    """Returns an untrained network, trained on `Sequences`."""
    return mask_training.train_network(
        stage,
        compile_network(settings, network),
        batches(settings, data),
        settings,
    )


def train_mask(stage, settings, network, data, alpha=None):
    """Returns the mask that keeps what `Sequences` need."""
    return mask_training.train_mask(
        stage,
        masked(settings, network),
        batches(settings, data),
        alpha,
        settings,
    )


def find_alpha(stage, settings, network, data, scored):
    """Returns an `AlphaSearch` as a dict: masks trained on `data`.

    Args:
        stage: `Stage`.
        settings: `Settings`.
        network: Keras model, trained.
        data: `Sequences` to train masks on.
        scored: `Sequences` that tell what a mask keeps.
    """
    return mask_training.find_alpha(
        stage,
        lambda substage, alpha: train_mask(
            substage, settings, network, data, alpha
        ),
        lambda mask: sequence_scores.accuracy(mask.apply(network), scored),
        sequence_scores.accuracy(network, scored),
        settings,
    )


def accuracies(network, data):
    """Returns the accuracy on each of a dict of `Sequences`."""
    return {
        name: sequence_scores.accuracy(network, part)
        for name, part in data.items()
    }


def controls(stage, network, mask, data):
    """Returns what chance and what the mask removes do with the same task.

    Returns:
        Dict from "random", a mask of the same size in every weight, and
        "complement" to accuracies.
    """
    seed = stage.derive_seed("random mask", stage.name)
    others = {"random": mask.shuffled(seed), "complement": ~mask}
    return {
        name: sequence_scores.accuracy(other.apply(network), data)
        for name, other in others.items()
    }


def describe_all(masks, scores):
    """Returns what the record has of each task's mask.

    Args:
        masks: Dict from task to `WeightMask`; that of the same task, extracted
            again, has `AGAIN` behind the task's name.
        scores: Dict with the same keys, to dicts.
    """
    return {
        task: {
            **scores[task],
            "again": scores[task + AGAIN],
            **describe(mask, masks[task + AGAIN]),
        }
        for task, mask in masks.items()
        if not task.endswith(AGAIN)
    }


def describe(mask, again):
    """Returns what the record has of a mask and of one extracted again.

    Args:
        mask: `WeightMask`.
        again: `WeightMask` of the same task and network, from another seed.
    """
    both = mask.overlap(again)
    return records.without_nan(
        {
            "keep_fraction": mask.keep_fraction,
            "keep_fractions": mask.keep_fractions(),
            "jaccard": both.jaccard,
            "jaccard_by_chance": both.expected_jaccard,
        }
    )


def phases(settings, network, data):
    """Returns what the estimate times: training weights, training masks."""
    every = batches(settings, data)
    compile_network(settings, network)
    return {
        "network": training.phase(
            network, functools.partial(every, settings.batch_size, 0)
        ),
        "masks": training.phase(
            masked(settings, network),
            functools.partial(every, settings.mask_batch_size, 0),
        ),
    }


def some(data, count, seed):
    """Returns random examples, `count` at most, or all for a count of 0."""
    if not count or count >= len(data):
        return data
    rows = np.random.default_rng(seed).permutation(len(data))[:count]
    return pairs.Sequences(data.source[rows], data.target[rows])


def adam(learning_rate, clip_norm, warmup_steps=0, **kwargs):
    """Returns a Keras Adam, with a linear warm-up of its rate if asked for."""
    if warmup_steps:
        learning_rate = keras.optimizers.schedules.PolynomialDecay(
            learning_rate / warmup_steps, warmup_steps, learning_rate
        )
    return keras.optimizers.Adam(
        learning_rate, global_clipnorm=clip_norm, **kwargs
    )

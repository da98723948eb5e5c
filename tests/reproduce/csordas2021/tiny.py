"""What the tests of this folder share: small values, claims by their ids."""

import keras

from modularity_tf.masking import alpha_search
from reproduce.csordas2021.subject import Settings, Subject, adam
from reproduce.running import stage


def settings(**others):
    """Returns `Settings` of few steps."""
    values = {
        "batch_size": 8,
        "network_steps": 2,
        "mask_batch_size": 10,
        "mask_steps": 1000,
        "mask_lr": 0.03,
        "beta": 0.02,
        "num_samples": 2,
        "keep_probability": 0.9,
        "log_steps": 1,
        "jit_compile": False,
    }
    return Settings(**{**values, **others})


def subject(**others):
    """Returns a `Subject` with one dense layer."""
    values = {
        "name": "tiny",
        "folder": "tiny/seed3",
        "seed": 3,
        "settings": settings(),
        "data": None,
        "build": lambda: keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(2, name="d")]
        ),
        "optimizer": lambda: adam(1e-3),
        "loss": "mse",
        "metrics": (),
        "roles": "kernels",
        "batches": None,
        "performance": None,
    }
    return Subject(**{**values, **others})


def one_trial(trial, reference, start):
    """Takes the place of the search, which a network of no use can't end."""
    performance, kept = trial(start)
    tried = {"alpha": start, "performance": performance, "keep_fraction": kept}
    return alpha_search.AlphaSearch(2 * start, reference, 0.95, (tried,))


def ancestors(planned):
    """Returns the names of all stages that a stage is made from."""
    found = []
    stage.resolve(planned.needs, found.append)
    return set().union(
        {need.name for need in found if need.name}, *map(ancestors, found)
    )

"""A model and data as a user brings them, tiny."""

import functools
import pathlib
import tempfile
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf import plots
from reproduce.own_model.stages import Config

TINY = {"mask_steps": 20, "alpha": 1e-4, "random_parts": 2, "removals": 1}


def blobs(seed=0):
    """Returns points around three corners, and which."""
    rng = np.random.default_rng(seed)
    y = np.arange(60) % 3
    x = np.eye(3)[y] * 3 + rng.normal(size=(60, 3)) * 0.1
    return x.astype("float32"), y


def network(is_compiled=True):
    """Returns a network that knows the corner."""
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(6, activation="relu", name="hidden"),
            keras.layers.Dense(3, name="out"),
        ],
        name="corners",
    )
    up = np.hstack([np.eye(3), 0.1 * np.eye(3)])
    down = np.vstack([np.eye(3), 0.1 * np.eye(3)])
    model.set_weights([up, np.zeros(6), down, np.zeros(3)])
    if is_compiled:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, metrics=["accuracy"])
    return model


class BroughtTestCase(parameterized.TestCase, tf.test.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(
            self.enterContext(tempfile.TemporaryDirectory())
        )
        self.model = str(self.folder / "trained.keras")
        self.data = str(self.folder / "data.npz")
        network().save(self.model)
        x, y = blobs()
        np.savez(self.data, x=x, y=y)

        # Files for print take longer than all the rest.
        small = functools.partial(plots.save, dpi=50)
        self.enterContext(mock.patch.object(plots, "save", small))

    def config(self, **changes):
        return Config(
            model=self.model,
            data=self.data,
            output_dir=str(self.folder / "runs"),
            **{**TINY, "task_label": (1,), **changes},
        )

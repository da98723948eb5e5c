"""Mask training goes on where it was interrupted, as if it had not been.

Logits are compared to 1e-6: checkpoints are exact, and what is left is the
order of float32 sums, which threads decide.
"""

import os
import pathlib
import signal
import sys

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf import masked_model

EPOCHS, STEPS, ROWS = 3, 5, 8
TOLERANCE = 1e-6
SEED = 3


def make_masked(seed=SEED):
    """Returns a compiled MaskedModel; the wrapped model is always the same."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(3, 3, activation="gelu", name="conv"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Dropout(0.5),
            keras.layers.Flatten(),
            keras.layers.Dense(3, name="head"),
        ]
    )
    masked = masked_model.MaskedModel(
        model, num_samples=2, roles="all", alpha=1e-4, seed=seed
    )
    masked.compile(loss="mse")
    return masked


def data_of(masked):
    """Returns an epoch of batches, each a function of the step alone."""
    done = masked.optimizer.iterations.value  # read when an epoch begins

    def steps(_):
        start = tf.cast(done, tf.int64)
        return tf.data.Dataset.range(start, start + STEPS)

    def batch(step):
        step = tf.cast(step, tf.int32)
        x = tf.random.stateless_normal((ROWS, 6, 6, 1), tf.stack([step, 0]))
        y = tf.random.stateless_normal((ROWS, 3), tf.stack([step, 1]))
        return x, y

    epochs = tf.data.Dataset.from_tensors(0).flat_map(steps).map(batch)
    return epochs.apply(tf.data.experimental.assert_cardinality(STEPS))


def train(masked, callbacks=(), epochs=EPOCHS, initial_epoch=0):
    """Trains, and returns how many steps that took."""
    taken = []
    count = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: taken.append(batch)
    )
    masked.fit(
        data_of(masked),
        epochs=epochs,
        initial_epoch=initial_epoch,
        callbacks=[*callbacks, count],
        verbose=0,
    )
    return len(taken)


class Interrupt(keras.callbacks.Callback):
    """Calls a function after a batch in the middle of the second epoch."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.epoch = None

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (1, 2):
            self.function()


def state_of(masked):
    """Returns all that decides the steps to come, as arrays."""
    return {
        **{f"mask of {p}": v.numpy() for p, v in masked.mask_logits.items()},
        **{
            f"optimizer {v.path}": v.numpy() for v in masked.optimizer.variables
        },
        "sampler": masked.sampler_state.numpy(),
    }


def run_in_a_process(folder, interrupted):
    """Trains with backups; is killed, or writes its end state to a file."""
    folder = pathlib.Path(folder)
    callbacks = [keras.callbacks.BackupAndRestore(str(folder / "backup"))]
    if interrupted:
        kill = lambda: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731
        callbacks.append(Interrupt(kill))
    masked = make_masked()
    taken = train(masked, callbacks)
    np.savez(folder / "end.npz", taken=taken, **masked.mask_logits)


class ResumeTest(parameterized.TestCase, tf.test.TestCase):
    pass


if __name__ == "__main__":
    if len(sys.argv) == 3:
        pass
    tf.test.main()

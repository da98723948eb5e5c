"""Mask training goes on where it was interrupted, as if it had not been.

Logits are compared to 1e-6: checkpoints are exact, and what is left is the
order of float32 sums, which threads decide.
"""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.masking import masked_model

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
        model,
        num_samples=2,
        alpha=1e-4,
        roles=["kernel", "norm_scale"],
        seed=seed,
    )
    masked.compile(loss="mse")
    return masked


def batch(step):
    """Returns the batch of a step: a function of its number alone."""
    step = tf.cast(step, tf.int32)
    x = tf.random.stateless_normal((ROWS, 6, 6, 1), tf.stack([step, 0]))
    y = tf.random.stateless_normal((ROWS, 3), tf.stack([step, 1]))
    return x, y


def train(masked, *callbacks, initial_epoch=0):
    """Trains to the last epoch, and returns how many steps that took."""
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            callback.set_model(masked)
            callback.on_train_begin()  # restores, so that the step is known
    done = int(masked.optimizer.iterations)
    taken = []
    count = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: taken.append(batch)
    )
    masked.fit(
        tf.data.Dataset.range(done, EPOCHS * STEPS).map(batch),
        epochs=EPOCHS,
        steps_per_epoch=STEPS,
        initial_epoch=initial_epoch,
        shuffle=False,
        callbacks=[*callbacks, count],
        verbose=0,
    )
    return len(taken)


class Interruption(keras.callbacks.Callback):
    """Calls a function after a batch in the middle of the second epoch."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (1, 2):
            self.function()


def fail():
    raise KeyboardInterrupt


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def state_of(masked):
    """Returns all that decides the steps to come: a list of arrays."""
    logits = list(masked.mask_logits.values())
    variables = [*logits, *masked.optimizer.variables, masked.sampler_state]
    return [variable.numpy() for variable in variables]


def train_in_a_process(folder, interrupted):
    """Trains with backups; is killed, or writes down how it ended."""
    folder = pathlib.Path(folder)
    masked = make_masked()
    callbacks = [keras.callbacks.BackupAndRestore(folder / "backup")]
    if interrupted:
        callbacks.append(Interruption(kill))
    taken = train(masked, *callbacks)
    np.savez(folder / "end.npz", taken, *state_of(masked))


class ResumeTest(parameterized.TestCase, tf.test.TestCase):
    def setUp(self):
        super().setUp()
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.folder = pathlib.Path(folder)

    def assert_same(self, state, other):
        self.assertEqual(len(state), len(other))
        for one, two in zip(state, other, strict=True):
            self.assertAllClose(one, two, rtol=0, atol=TOLERANCE)

    def start_process(self, interrupted):
        script = (
            "from tests import resume_test as test\n"
            f"test.train_in_a_process({str(self.folder)!r}, {interrupted})"
        )
        return subprocess.run(
            [sys.executable, "-c", script],
            cwd=pathlib.Path(__file__).parents[1],
            env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
            capture_output=True,
            text=True,
            check=False,
        )

    def test_a_killed_process_ends_as_an_undisturbed_one(self):
        # In the middle of an epoch: Keras goes back to where the epoch began.
        killed = self.start_process(interrupted=True)
        self.assertEqual(killed.returncode, -signal.SIGKILL, killed.stderr)
        self.assertFalse((self.folder / "end.npz").exists())
        restarted = self.start_process(interrupted=False)
        self.assertEqual(restarted.returncode, 0, restarted.stderr)
        with np.load(self.folder / "end.npz") as file:
            taken, *state = file.values()
        self.assertEqual(taken, 2 * STEPS)  # the first epoch was not repeated

        undisturbed = make_masked()
        self.assertEqual(train(undisturbed), 3 * STEPS)
        self.assert_same(state, state_of(undisturbed))
        self.assertAllEqual(state[-1], [SEED, 3 * STEPS])

    def test_backup_restores_the_sampler_whatever_the_new_seed(self):
        undisturbed = make_masked()
        train(undisturbed)
        backup = keras.callbacks.BackupAndRestore(self.folder / "backup")
        with self.assertRaises(KeyboardInterrupt):
            train(make_masked(), backup, Interruption(fail))
        resumed = make_masked(seed=SEED + 1)
        backup = keras.callbacks.BackupAndRestore(self.folder / "backup")
        self.assertEqual(train(resumed, backup), 2 * STEPS)
        self.assert_same(state_of(resumed), state_of(undisturbed))
        self.assertFalse((self.folder / "backup").exists())
        self.assertEqual(resumed.weight_mask(), undisturbed.weight_mask())

    def test_the_record_names_the_seed_that_trained(self):
        file = self.folder / "mask.weights.h5"
        make_masked().save_weights(file)
        resumed = make_masked(seed=SEED + 1)
        resumed.load_weights(file)
        self.assertEqual(resumed.weight_mask().provenance["seed"], SEED)

    @parameterized.named_parameters(
        ("models", "{epoch}.keras", False),
        ("weights", "{epoch}.weights.h5", True),
    )
    def test_goes_on_from_a_checkpoint_of(self, file, save_weights_only):
        undisturbed = make_masked()
        checkpoint = keras.callbacks.ModelCheckpoint(
            self.folder / file, save_weights_only=save_weights_only
        )
        train(undisturbed, checkpoint)
        saved = [self.folder / file.format(epoch=i) for i in (1, 2, 3)]
        self.assertCountEqual(self.folder.iterdir(), saved)
        if save_weights_only:
            resumed = make_masked(seed=SEED + 1)
            resumed.load_weights(saved[0])
        else:
            resumed = keras.saving.load_model(saved[0])
        self.assertAllEqual(resumed.sampler_state, [SEED, STEPS])
        self.assertEqual(train(resumed, initial_epoch=1), 2 * STEPS)
        self.assert_same(state_of(resumed), state_of(undisturbed))

    def test_a_checkpoint_keeps_the_best_epoch(self):
        def score(epoch, logs):
            logs["score"] = [1.0, 3.0, 2.0][epoch]

        best = self.folder / "best.keras"
        checkpoint = keras.callbacks.ModelCheckpoint(
            best, monitor="score", mode="max", save_best_only=True
        )
        scores = keras.callbacks.LambdaCallback(on_epoch_end=score)
        train(make_masked(), scores, checkpoint)
        resumed = keras.saving.load_model(best)
        self.assertAllEqual(resumed.sampler_state, [SEED, 2 * STEPS])


if __name__ == "__main__":
    tf.test.main()

"""Mask training goes on where it was interrupted, as if it had not been.

Logits are compared to 1e-6: checkpoints are exact, and what is left is the
order of float32 sums, which threads decide.
"""

import os
import pathlib
import signal
import tempfile

import keras
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.masking import masked_model
from tests import forked

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


def train_until_killed(folder):
    """Trains with backups; to be called in a process of its own."""
    tf.config.set_visible_devices([], "GPU")
    backup = keras.callbacks.BackupAndRestore(folder / "backup")
    train(make_masked(), backup, Interruption(kill))


class ResumeTest(parameterized.TestCase, tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.checkpoints = pathlib.Path(folder)
        cls.masked = make_masked()

        def score(epoch, logs):
            logs["score"] = [1.0, 3.0, 2.0][epoch]

        Checkpoint = keras.callbacks.ModelCheckpoint
        taken = train(
            cls.masked,
            keras.callbacks.LambdaCallback(on_epoch_end=score),
            Checkpoint(cls.checkpoints / "models" / "{epoch}.keras"),
            Checkpoint(
                cls.checkpoints / "weights" / "{epoch}.weights.h5",
                save_weights_only=True,
            ),
            Checkpoint(
                cls.checkpoints / "best.keras",
                monitor="score",
                mode="max",
                save_best_only=True,
            ),
        )
        if taken != EPOCHS * STEPS:
            raise AssertionError(f"{taken} steps")
        cls.undisturbed = state_of(cls.masked)
        cls.mask = cls.masked.weight_mask()

    def setUp(self):
        super().setUp()
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.folder = pathlib.Path(folder)

    def untrained(self, seed=SEED + 1):
        """Returns a model as it was made, but for its compiled step."""
        self.masked.reset(seed=seed)
        self.assertEqual(self.masked.optimizer.iterations, 0)
        self.assertAllEqual(self.masked.sampler_state, [seed, 0])
        return self.masked

    def assert_undisturbed(self, masked):
        for one, two in zip(self.undisturbed, state_of(masked), strict=True):
            self.assertAllClose(one, two, rtol=0, atol=TOLERANCE)
        self.assertAllEqual(masked.sampler_state, [SEED, EPOCHS * STEPS])

    def test_training_goes_on_after_a_killed_process(self):
        # In the middle of an epoch: Keras goes back to where the epoch began.
        killed = forked.run("tests.resume_test:train_until_killed", self.folder)
        self.assertEqual(killed.returncode, -signal.SIGKILL, killed.stderr)
        resumed = self.untrained()
        backup = keras.callbacks.BackupAndRestore(self.folder / "backup")
        # The first epoch is not repeated.
        self.assertEqual(train(resumed, backup), 2 * STEPS)
        self.assert_undisturbed(resumed)

    def test_backup_restores_the_sampler_whatever_the_new_seed(self):
        backup = keras.callbacks.BackupAndRestore(self.folder / "backup")
        with self.assertRaises(KeyboardInterrupt):
            train(self.untrained(SEED), backup, Interruption(fail))
        resumed = self.untrained(SEED + 1)
        backup = keras.callbacks.BackupAndRestore(self.folder / "backup")
        self.assertEqual(train(resumed, backup), 2 * STEPS)
        self.assert_undisturbed(resumed)
        self.assertFalse((self.folder / "backup").exists())
        self.assertEqual(resumed.weight_mask(), self.mask)

    def test_the_record_names_the_seed_that_trained(self):
        file = self.folder / "mask.weights.h5"
        make_masked().save_weights(file)
        resumed = make_masked(seed=SEED + 1)
        resumed.load_weights(file)
        self.assertEqual(resumed.weight_mask().provenance["seed"], SEED)

    @parameterized.parameters("models", "weights")
    def test_goes_on_from_a_checkpoint_of(self, kind):
        saved = sorted((self.checkpoints / kind).iterdir())
        self.assertEqual([file.name[0] for file in saved], ["1", "2", "3"])
        if kind == "weights":
            resumed = self.untrained()
            resumed.load_weights(saved[0])
        else:
            resumed = keras.saving.load_model(saved[0])
        self.assertAllEqual(resumed.sampler_state, [SEED, STEPS])
        self.assertEqual(train(resumed, initial_epoch=1), 2 * STEPS)
        self.assert_undisturbed(resumed)

    def test_a_checkpoint_keeps_the_best_epoch(self):
        resumed = keras.saving.load_model(self.checkpoints / "best.keras")
        self.assertAllEqual(resumed.sampler_state, [SEED, 2 * STEPS])


if __name__ == "__main__":
    tf.test.main()

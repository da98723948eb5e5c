import errno
import itertools
import os
import pathlib
import tempfile
import types
import warnings
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.findings import weight_mask
from modularity_tf.masking import masked_model
from reproduce.running import training
from tests.reproduce.running import toy


def masked_network():
    model = masked_model.MaskedModel(toy.network(), seed=4)
    model.compile(loss="mse")
    return model


class FitTest(parameterized.TestCase, tf.test.TestCase):
    def setUp(self):
        super().setUp()
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.folder = pathlib.Path(folder)
        self.checkpoint = self.folder / "part" / "net.checkpoint.npz"
        self.advanced = []

    def fit(
        self,
        model,
        steps,
        epoch_steps,
        batches=toy.batches,
        checkpoint=None,
        checkpoint_seconds=0.0,
        **kwargs,
    ):
        progress = types.SimpleNamespace(advance=self.advanced.append)
        self.stage = types.SimpleNamespace(
            checkpoint=checkpoint or self.checkpoint,
            config=types.SimpleNamespace(checkpoint_seconds=checkpoint_seconds),
            log_dir=self.folder / "logs",
            run=types.SimpleNamespace(progress=progress),
            started=0.0,
            seconds=lambda: 7.5,
        )
        return training.fit(
            self.stage, model, batches, steps, epoch_steps, **kwargs
        )

    @parameterized.product(make=(toy.network, masked_network), killed_at=(1, 8))
    def test_training_goes_on_as_if_undisturbed(self, make, killed_at):
        nowhere = self.folder / "undisturbed.npz"
        expected = self.fit(make(), 12, 3, checkpoint=nowhere)
        with self.assertRaises(toy.Killed):
            self.fit(make(), 12, 3, callbacks=[toy.KillAt(killed_at)])
        self.advanced.clear()
        asked = mock.Mock(side_effect=toy.batches)
        resumed = self.fit(make(), 12, 3, asked)
        # Checkpoints lie at the ends of epochs.
        start = {1: 0, 8: 6}[killed_at]
        asked.assert_called_once_with(start, 12)
        self.assertEqual(int(resumed.optimizer.iterations), 12)
        self.assertEqual((self.advanced[0], sum(self.advanced)), (start, 12))
        # The time before the kill counts, up to the checkpoint.
        self.assertEqual(self.stage.started, {1: 0.0, 8: -7.5}[killed_at])
        for old, new in zip(expected.variables, resumed.variables, strict=True):
            self.assertAllClose(old, new, rtol=1e-6, atol=1e-7)

    @parameterized.parameters(toy.network, masked_network)
    def test_training_that_was_at_its_end_is_done(self, make):
        expected = self.fit(make(), 6, 3)
        self.advanced.clear()
        batches = mock.Mock(side_effect=AssertionError)
        again = self.fit(make(), 6, 3, batches)
        self.assertEqual(self.advanced, [6])
        for old, new in zip(expected.variables, again.variables, strict=True):
            self.assertAllEqual(old, new)

    def test_a_full_disk_is_told_with_the_file(self):
        full = OSError(errno.ENOSPC, "No space left on device")
        with (
            mock.patch.object(training.np, "savez", side_effect=full),
            self.assertRaisesRegex(OSError, self.checkpoint.name),
        ):
            self.fit(toy.network(), 2, 1)
        self.assertEmpty([*self.checkpoint.parent.glob("partial*")])

    def test_checkpoints_keep_their_distance(self):
        with mock.patch.object(training.np, "savez", wraps=np.savez) as saved:
            self.fit(toy.network(), 6, 1, checkpoint_seconds=3600.0)
            saved.assert_not_called()
            self.fit(toy.network(), 6, 1, checkpoint_seconds=0.0)
            self.assertEqual(saved.call_count, 6)

    def test_a_checkpoint_cut_short_leaves_the_one_before(self):
        self.fit(toy.network(), 2, 1)
        before = self.checkpoint.read_bytes()
        with (
            mock.patch.object(os, "replace", side_effect=toy.Killed),
            self.assertRaises(toy.Killed),
        ):
            self.fit(toy.network(), 4, 1)
        self.assertEqual(self.checkpoint.read_bytes(), before)

    @parameterized.parameters(b"", b"PK\x03\x04 cut short", b"no zip")
    def test_a_damaged_checkpoint_is_named_with_what_to_do(self, content):
        self.checkpoint.parent.mkdir()
        self.checkpoint.write_bytes(content)
        message = f"{self.checkpoint} is damaged, .*: delete it, and the stage"
        with self.assertRaisesRegex(ValueError, message) as caught:
            self.fit(toy.network(), 2, 1)
        self.assertNotIn("\n", str(caught.exception))

    @parameterized.named_parameters(
        ("fewer", [np.zeros((4, 8))]), ("other_shapes", [np.zeros((9, 9))] * 99)
    )
    def test_a_checkpoint_of_another_model_is_named(self, arrays):
        self.checkpoint.parent.mkdir()
        np.savez(self.checkpoint, *arrays)
        with self.assertRaisesRegex(ValueError, "or of another model"):
            self.fit(toy.network(), 2, 1)

    def test_nan_in_the_loss_ends_training_with_an_error(self):
        def poisoned(start, stop):
            return toy.batches(start, stop).map(lambda x, y: (x / 0.0, y))

        with self.assertRaisesRegex(ValueError, "the loss became NaN"):
            self.fit(toy.network(), 6, 3, poisoned)

    def test_other_errors_stay_what_they_are(self):
        class Fails(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch, logs=None):
                raise RuntimeError("another")

        with self.assertRaisesRegex(RuntimeError, "another"):
            self.fit(toy.network(), 2, 1, callbacks=[Fails()])

    @parameterized.parameters((6, 3, [3, 6]), (2, 9, [2]))
    def test_tensorboard_gets_a_point_an_epoch(self, steps, epoch, points):
        self.fit(toy.network(), steps, epoch)
        (events,) = (self.folder / "logs" / "train").glob("events*")
        found = [
            event.step
            for event in tf.compat.v1.train.summary_iterator(str(events))
            for value in event.summary.value
            if value.tag == "epoch_loss"
        ]
        self.assertEqual(found, points)


class SearchTest(tf.test.TestCase):
    def test_progress_counts_a_search_that_is_longer_than_planned(self):
        run = types.SimpleNamespace(progress=mock.Mock())
        stage = types.SimpleNamespace(run=run, steps=3)

        def find(model, callbacks, verbose):
            (counter,) = callbacks
            for batch in (1, 3):  # Keras tells of every second one
                counter.on_train_batch_end(batch)
            counter.on_epoch_begin(1)
            counter.on_train_batch_end(1)
            warnings.warn("Too small.", stacklevel=2)
            return weight_mask.WeightMask({"a": np.ones(2, bool)}, {"b": 1})

        found = training.search(stage, find, None)
        self.assertEqual(stage.steps, 6)
        told = [call.args[0] for call in run.progress.advance.call_args_list]
        self.assertEqual(told, [2, 2, 2])
        more = [call.args[0] for call in run.progress.extend.call_args_list]
        self.assertEqual(more, [1, 2])
        self.assertEqual(
            dict(found.provenance), {"b": 1, "warnings": ["Too small."]}
        )


class EstimateTest(tf.test.TestCase):
    def test_a_step_costs_what_ten_more_of_them_take(self):
        clock = [0.0]

        def work(count):
            clock[0] += 100.0 + 2.0 * count  # the start costs too

        with mock.patch.object(training.time, "monotonic", lambda: clock[0]):
            table, seconds = training.estimate(
                {
                    "networks": training.Phase(work),
                    "maps": training.Phase(work, unit=50),
                    "done": training.Phase(None),
                },
                {"networks": 1800, "maps": 900, None: 7},
            )
        self.assertAllClose(seconds, 2.0 * 1800 + 2.0 / 50 * 900)
        cells = [list(column.cells) for column in table.columns]
        self.assertEqual(cells[0], ["networks", "maps"])
        self.assertEqual(cells[2], ["2.0000", "0.0400"])

    def test_what_else_the_machine_does_is_left_out(self):
        clock, disturbances = [0.0], itertools.cycle([0.0, 0.7])

        def work(count):
            clock[0] += 0.01 * count + next(disturbances)

        with mock.patch.object(training.time, "monotonic", lambda: clock[0]):
            _, seconds = training.estimate(
                {"work": training.Phase(work)}, {"work": 3600}
            )
        self.assertAllClose(seconds, 36.0)

    def test_short_steps_are_timed_in_larger_numbers(self):
        clock, noise = [0.0], itertools.cycle([0.003, 0.001, 0.002])

        def work(count):
            clock[0] += 1e-3 * count + next(noise)

        with mock.patch.object(training.time, "monotonic", lambda: clock[0]):
            _, seconds = training.estimate(
                {"work": training.Phase(work)}, {"work": 1000}
            )
        self.assertAllClose(seconds, 1.0, rtol=0.02)

    def test_a_duration_has_the_unit_that_fits(self):
        found = [training.duration(s) for s in (0.4, 59.0, 90.0, 5400.0)]
        self.assertEqual(found, ["0 s", "59 s", "1.5 min", "1.5 h"])

    def test_a_phase_of_training_does_that_many_steps(self):
        model = toy.network()
        training.phase(model, toy.batches).work(3)
        self.assertEqual(int(model.optimizer.iterations), 3)

    def test_peak_memory_is_that_of_this_process(self):
        self.assertBetween(training.peak_memory(), 0.05, 100.0)


if __name__ == "__main__":
    tf.test.main()

import os
import tempfile
import warnings
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from tensorboard.backend.event_processing import event_accumulator

from modularity_tf.masking import callbacks, masked_model

PATHS = ["first/kernel", "first/bias", "second/kernel", "second/bias"]


def masked(seed=2, **settings):
    """Returns a compiled `MaskedModel` with logits on both sides of 0."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, activation="relu", name="first"),
            keras.layers.Dense(3, name="second"),
        ]
    )
    result = masked_model.MaskedModel(model, roles="all", seed=seed, **settings)
    rng = np.random.default_rng(seed)
    for logits in result.mask_logits.values():
        logits.assign(rng.normal(scale=0.1, size=logits.shape))
    # Callbacks run between steps, and to trace one takes longer than to run it.
    result.compile(keras.optimizers.Adam(0.05), loss="mse", run_eagerly=True)
    return result


class Recorder(keras.callbacks.Callback):
    """Keeps what the model says itself, by step."""

    def __init__(self):
        super().__init__()
        self.masks, self.probabilities = {}, {}

    def on_epoch_end(self, epoch, logs=None):
        step = int(self.model.optimizer.iterations)
        self.masks[step] = self.model.weight_mask()
        self.probabilities[step] = {
            path: 1 / (1 + np.exp(-logits.numpy().astype("float64")))
            for path, logits in self.model.mask_logits.items()
        }


class MaskSummaryTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = self.enterContext(tempfile.TemporaryDirectory())
        self.model, self.recorder = masked(), Recorder()
        self.summary = callbacks.MaskSummary(self.folder)

    def fit(self, epochs):
        inputs = np.random.default_rng(1).normal(size=(8, 4))
        self.model.fit(
            inputs.astype("float32"),
            inputs[:, :3].astype("float32"),
            batch_size=4,
            epochs=epochs,
            callbacks=[self.summary, self.recorder],
            verbose=0,
        )

    def read(self):
        """Returns everything in the event files: tag -> step -> array."""
        events = event_accumulator.EventAccumulator(
            self.folder, size_guidance={event_accumulator.TENSORS: 0}
        ).Reload()
        return {
            tag: {
                event.step: tf.make_ndarray(event.tensor_proto)
                for event in events.Tensors(tag)
            }
            for tag in events.Tags()["tensors"]
        }

    def test_writes_the_share_kept_of_each_weight_and_in_all(self):
        self.fit(epochs=3)
        events = self.read()
        self.assertCountEqual(
            events,
            [f"keep_fraction/{path}" for path in [*PATHS, "all"]]
            + [f"keep_probability/{path}" for path in PATHS],
        )
        self.assertEqual(list(self.recorder.masks), [2, 4, 6])
        total = [mask.keep_fraction for mask in self.recorder.masks.values()]
        self.assertLen(set(total), 3)  # it changes, or this would test little
        for step, mask in self.recorder.masks.items():
            self.assertAllClose(
                events["keep_fraction/all"][step], mask.keep_fraction
            )
            for path, fraction in mask.keep_fractions().items():
                self.assertAllClose(
                    events[f"keep_fraction/{path}"][step], fraction
                )

    def test_writes_histograms_of_the_keep_probabilities(self):
        self.fit(epochs=2)
        events = self.read()
        for step, probabilities in self.recorder.probabilities.items():
            for path, expected in probabilities.items():
                left, right, count = events[f"keep_probability/{path}"][step].T
                self.assertAllClose(left[0], expected.min())
                self.assertAllClose(right[-1], expected.max())
                edges = np.append(left, right[-1])
                # A value on an edge may round to either side of it.
                below = np.cumsum(count)
                low = [np.sum(expected < e - 1e-6) for e in edges[1:]]
                high = [np.sum(expected <= e + 1e-6) for e in edges[1:]]
                self.assertAllInRange(below - low, 0, expected.size)
                self.assertAllInRange(high - below, 0, expected.size)
                self.assertEqual(below[-1], expected.size)

    def test_the_step_is_the_optimizer_s_also_in_a_second_fit(self):
        self.fit(epochs=2)
        self.fit(epochs=1)
        for tag, values in self.read().items():
            self.assertEqual(list(values), [2, 4, 6], tag)

    def test_refuses_another_model_before_training(self):
        self.model = self.model.model
        self.model.compile(loss="mse")
        before = self.model.get_weights()
        with self.assertRaisesRegex(
            ValueError, "needs a MaskedModel, got <Seq"
        ):
            self.fit(epochs=1)
        self.assertAllEqual(self.model.get_weights()[0], before[0])
        self.assertEmpty(os.listdir(self.folder))

    def test_training_is_the_same_without_it(self):
        self.fit(epochs=1)
        twin, self.summary = masked(), keras.callbacks.Callback()
        mine, self.model = self.model, twin
        # The weights of the network are random: copy them.
        twin.model.set_weights(mine.model.get_weights())
        self.fit(epochs=1)
        for path, logits in mine.mask_logits.items():
            self.assertAllEqual(
                logits.numpy(), twin.mask_logits[path].numpy(), path
            )


class MaskHealthTest(parameterized.TestCase, tf.test.TestCase):
    def fit(self, model, callback, **kwargs):
        inputs = np.random.default_rng(1).normal(size=(8, 4))
        x, y = inputs.astype("float32"), inputs[:, :3].astype("float32")
        kwargs = {"batch_size": 4, "epochs": 1, "verbose": 0, **kwargs}
        return model.fit(x, y, callbacks=[callback], **kwargs)

    def set_logits(self, model, values):
        """Makes logits that training (with a rate of 0) will not change."""
        model.compile(keras.optimizers.SGD(0.0), loss="mse", run_eagerly=True)
        for path, variable in model.mask_logits.items():
            variable.assign(np.resize(values.get(path, [5.0]), variable.shape))

    def test_counts_match_the_logits(self):
        model = masked()
        self.set_logits(
            model,
            {
                "first/kernel": [-20.0, -5.0, 0.0, 1.0, 12.0],  # 20 weights
                "second/kernel": [-4.0],  # 15 weights, all removed
            },
        )
        health = callbacks.MaskHealth()
        with self.assertWarnsRegex(UserWarning, "nothing is kept of second"):
            history = self.fit(model, health).history
        expected = {
            "kept": (8 + 8) / 43,
            "undecided": 8 / 43,
            "saturated": 8 / 43,
            "dead_layers": 1,
        }
        report = health.report()
        kept = report.pop("keep_fractions")
        self.assertAllClose(report, expected)
        self.assertAllClose(kept["first/kernel"], 8 / 20)
        self.assertAllClose(kept["second/kernel"], 0.0)
        self.assertAllClose({k: history[k][0] for k in expected}, expected)

    def test_warns_when_nothing_was_removed(self):
        model = masked()
        self.set_logits(model, {})
        with self.assertWarnsRegex(UserWarning, "100.0% .* higher learning"):
            self.fit(model, callbacks.MaskHealth())

    def test_warns_when_weights_are_undecided(self):
        model = masked()
        self.set_logits(model, {"first/kernel": [-1.0, 1.0]})
        with self.assertWarnsRegex(UserWarning, "46.5% .* train for more"):
            self.fit(model, callbacks.MaskHealth())

    def test_undecided_soft_masks_are_no_finished_ones(self):
        model = masked(num_samples=None)
        self.set_logits(model, {path: [-1.0, 1.0, 5.0] for path in PATHS})
        with self.assertWarnsRegex(UserWarning, "undecided.* train for more"):
            self.fit(model, callbacks.MaskHealth())
        # Soft masks leave more undecided when they are finished.
        self.set_logits(model, {path: [-1.0, 5.0, 5.0] for path in PATHS})
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            self.fit(model, callbacks.MaskHealth())

    def test_a_kernel_that_is_not_needed_may_be_dead(self):
        x, y = np.ones((8, 4), "float32"), np.ones((8, 3), "float32")
        model = masked()
        self.set_logits(model, {"first/kernel": [-5.0]})
        health = callbacks.MaskHealth((x, y))
        for mask, is_told in ((0.3, True), (0.05, False)):
            with mock.patch.object(
                health, "_losses", lambda *rows, mask=mask: (0.0, mask, 1.0)
            ):
                self.fit(model, health)
            self.assertEqual("dead" in health.advice, is_told)
            if is_told:
                self.assertIn("kept of first/kernel", health.advice["dead"])

    def test_what_a_mask_loses_lies_between_the_model_and_nothing(self):
        x = np.ones((8, 4), "float32")
        model = masked()
        health = callbacks.MaskHealth()
        health.set_model(model)
        y = model.model(x).numpy()
        for level, expected in ((5.0, 0.0), (-5.0, np.mean(y**2))):
            self.set_logits(model, {path: [level] for path in PATHS})
            whole, mask, nothing = health._losses(x, y)
            self.assertAllClose(whole, 0.0)
            self.assertAllClose(mask, expected)
            self.assertAllClose(nothing, np.mean(y**2))

    def test_advice_is_kept_and_need_not_be_a_warning(self):
        model = masked()
        self.set_logits(model, {"first/kernel": [-1.0, 1.0]})
        health = callbacks.MaskHealth(warns=False)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            self.fit(model, health)
        self.assertIn("undecided", health.advice)
        self.set_logits(model, {})
        self.fit(model, health)
        self.assertNotIn("undecided", health.advice)

    def test_steps_are_counted_however_many_are_taken_at_once(self):
        told, model = [], masked()
        model.compile("sgd", loss="mse", steps_per_execution=2)
        counter = callbacks.StepCounter(told.append)
        self.fit(model, counter, batch_size=4, epochs=3)
        self.assertEqual((told, counter.taken), ([2, 2, 2], 6))

    def test_a_sound_mask_gives_no_warning(self):
        model = masked()
        self.set_logits(model, {"first/kernel": [-5.0, 5.0]})
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            self.fit(model, callbacks.MaskHealth())

    def test_the_gap_is_zero_for_a_certain_mask_and_not_otherwise(self):
        x, y = np.ones((8, 4), "float32"), np.ones((8, 3), "float32")
        model = masked()
        self.set_logits(model, {path: [-30.0, 30.0] for path in PATHS})
        health = callbacks.MaskHealth((x, y))
        self.fit(model, health)
        self.assertAllClose(health.report()["sampling_gap"], 0.0)
        self.set_logits(model, {path: [-0.1, 0.1] for path in PATHS})
        with self.assertWarns(UserWarning):
            self.fit(model, health)
        self.assertGreater(abs(health.report()["sampling_gap"]), 1e-3)

    def test_watching_changes_no_draw(self):
        x, y = np.ones((8, 4), "float32"), np.ones((8, 3), "float32")
        states = []
        for data in (None, (x, y)):
            model = masked()
            self.set_logits(model, {"first/kernel": [-5.0, 5.0]})
            self.fit(model, callbacks.MaskHealth(data), epochs=2)
            states.append(model.sampler_state.numpy())
        self.assertAllEqual(*states)

    def test_stops_when_the_mask_no_longer_changes(self):
        model = masked()
        self.set_logits(model, {"first/kernel": [-5.0, 5.0]})
        stopping = callbacks.MaskEarlyStopping(patience=2)
        history = self.fit(model, stopping, epochs=9)
        self.assertLen(history.epoch, 3)  # the first has nothing to compare

    def test_does_not_stop_before_anything_is_removed_or_while_it_changes(self):
        model = masked()
        self.set_logits(model, {})
        stopping = callbacks.MaskEarlyStopping(patience=1)
        self.assertLen(self.fit(model, stopping, epochs=4).epoch, 4)

        def flip(epoch, logs):
            sign = 1 if epoch % 2 else -1
            model.mask_logits["first/bias"].assign(sign * np.ones(5))

        flipping = keras.callbacks.LambdaCallback(on_epoch_begin=flip)
        inputs = np.ones((4, 4), "float32")
        history = model.fit(
            inputs,
            inputs[:, :3],
            epochs=4,
            callbacks=[flipping, stopping],
            verbose=0,
        )
        self.assertLen(history.epoch, 4)

    @parameterized.parameters(
        (np.ones((8, 4)), "`data` must be a pair .* got a ndarray"),
        (3, "`data` must be a pair .* got a int"),
        ((np.ones((8, 4)),), "`data` must be a pair"),
    )
    def test_refuses_data_that_is_no_pair(self, data, message):
        with self.assertRaisesRegex(ValueError, message):
            callbacks.MaskHealth(data)

    def test_refuses_data_that_gives_no_gap(self):
        model, x, y = masked(), np.ones((8, 4)), np.ones((8, 3))
        for data, message in (
            ((x[:2], y[:2]), "MaskHealth has 2 rows, fewer than the 4 masks"),
            ((x, y * np.nan), r"losses on `data` .* are \[nan, nan\]"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                self.fit(model, callbacks.MaskHealth(data))

    def test_has_no_report_before_the_first_epoch(self):
        with self.assertRaisesRegex(ValueError, "after the first epoch only"):
            callbacks.MaskHealth().report()

    def test_refuses_bad_arguments(self):
        with self.assertRaisesRegex(ValueError, "`log_dir` must be a path"):
            callbacks.MaskSummary(None)
        with self.assertRaisesRegex(ValueError, "`patience` must be"):
            callbacks.MaskEarlyStopping(patience=1.5)
        with self.assertRaisesRegex(ValueError, "`patience` must be"):
            callbacks.MaskEarlyStopping(patience=0)
        with self.assertRaisesRegex(ValueError, "`patience` must be"):
            callbacks.MaskEarlyStopping(patience="3")
        with self.assertRaisesRegex(ValueError, "`tolerance` must be"):
            callbacks.MaskEarlyStopping(tolerance=2.0)


if __name__ == "__main__":
    tf.test.main()

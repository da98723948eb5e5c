import dataclasses
import json
import pathlib
import tempfile
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl import flags
from absl.testing import parameterized
from matplotlib import figure

from modularity_tf.masking import masked_model, weight_mask
from reproduce.harness import claim, experiment


@dataclasses.dataclass(frozen=True)
class Config(experiment.Config):
    dataset: str = experiment.field("made_up", "A name.")
    names: tuple[str, ...] = experiment.field(("a", "b"), "Strings.", False)
    size: int = experiment.field(3, "An int.")
    mask_lr: float = experiment.field(0.5, "A float.")


def parsed(*args):
    values = flags.FlagValues()
    experiment.define_flags(Config, values)
    values(["program", *args])
    return experiment.config_from_flags(Config, values)


class ConfigTest(parameterized.TestCase):
    def test_flags_have_the_fields_defaults(self):
        self.assertEqual(parsed(), Config())

    def test_every_field_is_a_flag(self):
        config = parsed(
            "--seeds=3,4",
            "--names=x",
            "--size=7",
            "--mask_lr=0.1",
            "--dataset=d",
            "--output_dir=o",
            "--dry_run",
            "--nojit_compile",
        )
        self.assertEqual(config.seeds, (3, 4))
        self.assertEqual(config.names, ("x",))
        self.assertEqual((config.size, config.mask_lr), (7, 0.1))
        self.assertEqual((config.dataset, config.output_dir), ("d", "o"))
        self.assertTrue(config.dry_run)

    @parameterized.parameters(
        ("--seeds=0,x", "--seeds must be ints, got '0,x'"),
        ("--seeds=-1", "--seeds must be ints of at least 0"),
        ("--seeds=", "--seeds must be"),
        ("--stage=train", "--stage must be `all` or `figures`, got 'train'"),
        ("--mask_lr=0", "--mask_lr must be positive, got 0.0"),
    )
    def test_refuses(self, flag, message):
        with self.assertRaisesRegex(ValueError, message):
            parsed(flag)

    def test_only_what_changes_results_names_the_run(self):
        digest = Config().digest()
        same = Config(seeds=(5,), output_dir="x", names=("c",), dry_run=True)
        self.assertEqual(same.digest(), digest)
        self.assertNotEqual(Config(size=4).digest(), digest)


class DeriveSeedTest(parameterized.TestCase):
    def test_depends_on_seed_and_purpose_and_on_nothing_else(self):
        purposes = [(0, "a"), (1, "a"), (0, "b"), (0, "a", "b"), (0, "a/c")]
        seeds = [experiment.derive_seed(*purpose) for purpose in purposes]
        self.assertLen(set(seeds), len(seeds))
        self.assertBetween(min(seeds), 0, 2**31 - 1)
        self.assertEqual(experiment.derive_seed(0, "a"), 1394699149)


def dropout_model():
    """Returns a compiled model whose dropout draws are part of its state."""
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, kernel_initializer=keras_normal(1)),
            keras.layers.Dropout(0.5, seed=3),
            keras.layers.Dense(1, kernel_initializer=keras_normal(2)),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return model


def keras_normal(seed):
    return keras.initializers.RandomNormal(stddev=0.5, seed=seed)


def masked_dropout_model():
    model = masked_model.MaskedModel(dropout_model(), seed=4)
    model.compile(loss="mse")
    return model


def batches(start, stop):
    """Returns batches that are a function of the step."""

    def batch(step):
        x = tf.random.stateless_normal((8, 4), (7, step))
        return x, tf.reduce_sum(x, axis=1, keepdims=True)

    return tf.data.Dataset.range(start, stop).map(batch)


class Killed(Exception):
    pass


class KillAt(keras.callbacks.Callback):
    """Ends training as a kill does, in the middle of an epoch."""

    def __init__(self, step):
        super().__init__()
        self._left = step

    def on_train_batch_end(self, batch, logs=None):
        self._left -= 1
        if self._left == 0:
            raise Killed


class RunTest(parameterized.TestCase, tf.test.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = self.enterContext(tempfile.TemporaryDirectory())
        self.config = Config(output_dir=self.folder, checkpoint_seconds=1e-9)

    def run_(self, **changes):
        config = dataclasses.replace(self.config, **changes)
        return self.enterContext(experiment.Run(config, "name", 10))

    @parameterized.named_parameters(
        ("json", lambda: {"a": [1, 2.5, None]}, lambda x: x),
        (
            "mask",
            lambda: weight_mask.WeightMask({"d/kernel": np.eye(3) > 0}),
            lambda mask: mask.values["d/kernel"].tolist(),
        ),
        (
            "model",
            dropout_model,
            lambda m: [w.tolist() for w in m.get_weights()],
        ),
    )
    def test_a_stage_is_carried_out_once_and_read_back(self, make, content):
        make = mock.Mock(side_effect=make)
        first = self.run_().stage("part/thing", make)
        second = self.run_().stage("part/thing", make)
        make.assert_called_once()
        self.assertIsNot(first, second)
        self.assertEqual(content(first), content(second))

    def test_a_stage_cut_short_leaves_nothing_that_counts(self):
        run = self.run_()
        with (
            mock.patch.object(experiment.os, "replace", side_effect=Killed),
            self.assertRaises(Killed),
        ):
            run.stage("thing", lambda: {"a": 1})
        self.assertEqual(self.run_().stage("thing", lambda: {"a": 2}), {"a": 2})

    def test_another_configuration_has_another_folder(self):
        self.assertNotEqual(self.run_().folder, self.run_(size=4).folder)
        self.assertEqual(self.run_().folder, self.run_(seeds=(1, 2)).folder)

    @parameterized.product(
        make=(dropout_model, masked_dropout_model), killed_at=(1, 7, 12)
    )
    def test_training_goes_on_as_if_undisturbed(self, make, killed_at):
        expected = make()
        self.run_(size=9).fit("net", expected, batches, 12, 3)

        with self.assertRaises(Killed):
            self.run_().fit(
                "net", make(), batches, 12, 3, callbacks=[KillAt(killed_at)]
            )
        resumed = make()
        asked = mock.Mock(side_effect=batches)
        self.run_().fit("net", resumed, asked, 12, 3)
        # Checkpoints lie at the ends of epochs.
        start = {1: 0, 7: 6, 12: 9}[killed_at]
        asked.assert_called_once_with(start, 12)
        self.assertEqual(int(resumed.optimizer.iterations), 12)
        for old, new in zip(expected.variables, resumed.variables, strict=True):
            self.assertAllClose(old, new, rtol=1e-6, atol=1e-7)

    def test_nan_in_the_loss_ends_training_with_an_error(self):
        def poisoned(start, stop):
            return batches(start, stop).map(lambda x, y: (x / 0.0, y))

        with self.assertRaisesRegex(ValueError, "net: the loss became NaN"):
            self.run_().fit("net", dropout_model(), poisoned, 6, 3)

    def test_tensorboard_gets_a_point_an_epoch(self):
        run = self.run_()
        run.fit("net", dropout_model(), batches, 6, 3)
        events = list((run.folder / "logs" / "net" / "train").glob("events*"))
        steps = [
            event.step
            for event in tf.compat.v1.train.summary_iterator(str(events[0]))
            for value in event.summary.value
            if value.tag == "epoch_loss"
        ]
        self.assertEqual(steps, [0, 1])

    def test_results_hold_cause_numbers_and_verdicts(self):
        run = self.run_()
        drawn = []

        def draw(records):
            drawn.append(records)
            fig = figure.Figure((1, 1))
            return {"fig01_nothing": fig}

        run.finish(
            [{"x": 0.5}],
            lambda records: [claim.Claim("x", "big", (records[0]["x"],), 0.2)],
            draw,
        )
        results = json.loads((run.folder / "results.json").read_text())
        self.assertEqual(
            set(results), {"config", "versions", "seeds", "records", "claims"}
        )
        self.assertEqual(results["config"]["size"], 3)
        self.assertEqual(results["versions"]["keras"], keras.__version__)
        self.assertEqual(results["claims"][0]["verdict"], "holds")
        self.assertTrue((run.folder / "fig01_nothing.png").exists())
        self.run_().draw(draw)  # from the file alone
        self.assertEqual(drawn[0], drawn[1])

    def test_figures_before_any_run_are_refused(self):
        with self.assertRaisesRegex(ValueError, "run without --stage=figures"):
            self.run_().draw(lambda records: {})

    def test_estimate_times_every_phase(self):
        run = self.run_()
        with mock.patch.object(run._console, "print") as printed:
            run.estimate([("net", dropout_model(), batches, 1000)])
        table, summary = (call.args[0] for call in printed.call_args_list)
        self.assertEqual(table.row_count, 1)
        self.assertRegex(summary, r"About \d+\.\d\d hours .* GiB of memory")
        self.assertEmpty(list(pathlib.Path(run.folder).glob("*")))


if __name__ == "__main__":
    tf.test.main()

"""Runs an experiment at a tiny size, for the tests of the binaries."""

import dataclasses
import json
import pathlib
import tempfile
from unittest import mock

import tensorflow as tf

from modularity_tf import plots
from reproduce.publishing import experiment
from reproduce.running import training

_save, _fit = plots.save, training.fit


def save_quickly(fig, file):
    """Takes the place of `plots.save`, which takes longer than all the rest."""
    fig.set_layout_engine("none")  # which draws everything twice
    _save(fig, file, dpi=50, pdf=False)


def fit_eagerly(stage, model, *args, **kwargs):
    """Takes the place of `training.fit`."""
    model.run_eagerly = True
    return _fit(stage, model, *args, **kwargs)


class RunTestCase(tf.test.TestCase):
    """A TestCase that can run a binary's experiment in a folder of its own."""

    def run_tiny(self, module, config, pictures, *, run_eagerly=False):
        """Runs an experiment, and checks what every one must leave behind.

        Args:
            module: The binary.
            config: Its `Config`.
            pictures: Names of the figures it must draw, without suffix.
            run_eagerly: Bool. Whether models train without a graph, which
                takes longer to make than some steps take.

        Returns:
            The run folder and what results.json holds.
        """
        folder = self.enterContext(tempfile.TemporaryDirectory())
        config = dataclasses.replace(config, output_dir=folder)
        self.enterContext(mock.patch.object(plots, "save", save_quickly))
        if run_eagerly:
            self.enterContext(mock.patch.object(training, "fit", fit_eagerly))
        experiment.carry_out(module.EXPERIMENT, config)
        (run,) = pathlib.Path(folder).iterdir()
        results = json.loads((run / "results.json").read_text())
        self.assertNotEmpty(results["claims"])
        json.dumps(results, allow_nan=False)  # NaN would be no JSON
        # Drawn from results.json alone, see `Run.draw`.
        drawn = {path.stem for path in run.glob("*.png")}
        self.assertEqual(drawn, set(pictures))
        return run, results

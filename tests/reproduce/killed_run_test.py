import dataclasses
import json
import os
import pathlib
import runpy
import signal
import sys
import tempfile
from unittest import mock

import tensorflow as tf

from reproduce import cifar_ablation
from reproduce.publishing import experiment, results
from tests import forked

TINY = cifar_ablation.EXPERIMENT.config(
    dataset="digits",
    networks=("cnn",),
    classes=("0",),
    batch_size=32,
    network_steps=20,
    mask_batch_size=32,
    mask_steps=40,
    mask_lr=0.2,
    log_steps=10,
    checkpoint_seconds=1e-3,
)


def run_binary(arguments):
    """Runs the binary, in a process of its own."""
    sys.argv[1:] = arguments
    runpy.run_module("reproduce.cifar_ablation", run_name="__main__")


class KilledRunTest(tf.test.TestCase):
    def test_a_killed_run_goes_on_to_the_same_results(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        disturbed = dataclasses.replace(TINY, output_dir=f"{folder}/disturbed")
        process = forked.Process(
            "tests.reproduce.killed_run_test:run_binary",
            disturbed.text().split(),
        )
        # Kill it in the middle of the first mask.
        checkpoint = "disturbed/*/cnn/seed0/mask_control.check*"
        process.wait_until(lambda: [*folder.glob(checkpoint)])
        os.kill(process.pid, signal.SIGKILL)
        self.assertEqual(process.wait().returncode, -signal.SIGKILL)
        self.assertEmpty(list(folder.glob("disturbed/*/results.json")))
        self.assertEmpty(list(folder.glob("disturbed/**/mask_control.npz")))

        undisturbed = dataclasses.replace(
            TINY, output_dir=f"{folder}/undisturbed"
        )
        self.enterContext(mock.patch.object(results, "show"))  # no figures
        records = []
        for config in (undisturbed, disturbed):
            experiment.carry_out(cifar_ablation.EXPERIMENT, config)
            (file,) = pathlib.Path(config.output_dir).glob("*/results.json")
            records += json.loads(file.read_text())["records"]
        self.assertEmpty(list(folder.glob("disturbed/**/*checkpoint*")))
        expected, resumed = records
        self.assertEqual(expected["masks"].keys(), resumed["masks"].keys())
        for task, scores in expected["masks"].items():
            for name in ("accuracy", "confusion", "keep_fraction"):
                # Sums over threads may round another way.
                self.assertAllClose(
                    scores[name], resumed["masks"][task][name], atol=0.02
                )


if __name__ == "__main__":
    tf.test.main()

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import tensorflow as tf

ROOT = pathlib.Path(__file__).parents[2]
FLAGS = (
    "--dataset=digits",
    "--networks=cnn",
    "--classes=0",
    "--batch_size=32",
    "--network_steps=20",
    "--mask_batch_size=32",
    "--mask_steps=20",
    "--mask_lr=0.2",
    "--log_steps=10",
    "--checkpoint_seconds=0.001",
)


class KilledRunTest(tf.test.TestCase):
    def test_a_killed_run_goes_on_to_the_same_results(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        command = [sys.executable, "-m", "reproduce.cifar_ablation", *FLAGS]

        def start(output_dir):
            return subprocess.Popen(
                [*command, f"--output_dir={folder / output_dir}"],
                cwd=ROOT,
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

        def records(output_dir):
            (file,) = (folder / output_dir).glob("*/results.json")
            return json.loads(file.read_text())["records"]

        undisturbed = start("undisturbed")
        disturbed = start("disturbed")
        # Kill it in the middle of the first mask.
        while not list(
            folder.glob("disturbed/*/cnn/seed0/mask_control.check*")
        ):
            self.assertIsNone(disturbed.poll())
            time.sleep(0.05)
        disturbed.send_signal(signal.SIGKILL)
        disturbed.wait()
        self.assertEmpty(list(folder.glob("disturbed/*/results.json")))
        self.assertEqual(start("disturbed").wait(), 0)
        self.assertEqual(undisturbed.wait(), 0)
        self.assertEmpty(list(folder.glob("disturbed/**/*checkpoint*")))

        (expected,), (resumed,) = records("undisturbed"), records("disturbed")
        self.assertEqual(expected["masks"].keys(), resumed["masks"].keys())
        for task, scores in expected["masks"].items():
            for name in ("accuracy", "confusion", "keep_fraction"):
                # Sums over threads may round another way.
                self.assertAllClose(
                    scores[name], resumed["masks"][task][name], atol=0.02
                )


if __name__ == "__main__":
    tf.test.main()

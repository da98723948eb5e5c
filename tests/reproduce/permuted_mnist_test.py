import dataclasses
import json
import pathlib
import tempfile
from unittest import mock

import numpy as np
import tensorflow as tf

from modularity_tf import WeightMask
from reproduce import permuted_mnist
from reproduce.csordas2021.continual import permuted_mnist_claims
from reproduce.publishing import experiment
from reproduce.running import training
from reproduce.running.stage import Stage
from tests.reproduce import run_test_case

TINY = permuted_mnist.EXPERIMENT.config(
    dataset="digits",
    tasks=3,
    sizes=(12, 8),
    new_logits=(2.0, -1.0),
    batch_size=32,
    task_steps=30,
    task_lr=0.05,
    beta=1e-2,
    num_samples=2,
    log_steps=10,
)
PICTURES = ("fig03_sharing", "fig15b_sharing")


class MainTest(run_test_case.RunTestCase):
    def test_records_figures_and_claims_of_a_small_run(self):
        run, results = self.run_tiny(permuted_mnist, TINY, PICTURES)
        plain, biased = results["records"]
        self.assertEqual((plain["new_logit"], biased["new_logit"]), (2, -1))
        masks = [
            WeightMask.load(
                run
                / (
                    ("new_logit2" if task else "first_task")
                    + f"/seed0/mask{task}.npz"
                )
            )
            for task in range(3)
        ]
        # What the record says of sharing is what the masks say.
        for task, earlier in ((1, masks[0]), (2, masks[0] | masks[1])):
            expected = masks[task].sharing(earlier)
            found = permuted_mnist_claims.share(plain["tasks"][task])
            self.assertAllClose(found[-1], expected)
            first = (
                masks[task].select("hidden1").sharing(earlier.select("hidden1"))
            )
            self.assertAllClose(found[0], first)
        occupied = permuted_mnist_claims.occupied(plain, 2)
        union = (masks[0] | masks[1] | masks[2]).select("output")
        self.assertAllClose(occupied[-1], union.keep_fraction)
        # Frozen weights: no task is forgotten.
        for record in results["records"]:
            before = [task["accuracy"] for task in record["tasks"]]
            self.assertAllClose(record["accuracy_at_end"], before, atol=1e-6)
            self.assertGreater(np.mean(before), 0.15)

    def test_a_run_that_stops_between_tasks_ends_as_an_undisturbed_one(self):
        config = dataclasses.replace(TINY, new_logits=(2.0,), task_steps=10)
        _, whole = self.run_tiny(permuted_mnist, config, PICTURES[:1])

        def stop(stage, *args, **kwargs):
            if stage.name.endswith("/task2"):
                raise KeyboardInterrupt
            return training.fit(stage, *args, **kwargs)

        folder = self.enterContext(tempfile.TemporaryDirectory())
        config = dataclasses.replace(config, output_dir=folder)
        with (
            mock.patch.object(Stage, "fit", stop),
            self.assertRaises(KeyboardInterrupt),
        ):
            experiment.carry_out(permuted_mnist.EXPERIMENT, config)
        experiment.carry_out(permuted_mnist.EXPERIMENT, config)
        (file,) = pathlib.Path(folder).glob("*/results.json")
        resumed = json.loads(file.read_text())
        self.assertEqual(resumed["records"], whole["records"])


if __name__ == "__main__":
    tf.test.main()

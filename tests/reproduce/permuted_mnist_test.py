import dataclasses
import json
import math
import pathlib
import tempfile
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf import WeightMask
from reproduce import permuted_mnist
from reproduce.csordas2021.continual import (
    permuted_mnist as permuted_mnist_stages,
)
from reproduce.csordas2021.continual import permuted_mnist_claims
from reproduce.publishing import experiment
from tests.reproduce import run_test_case

TINY = permuted_mnist.Config(
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
        train = permuted_mnist_stages.train_task

        def stop(stage, task, *args):
            if task == 2:
                raise KeyboardInterrupt
            return train(stage, task, *args)

        folder = self.enterContext(tempfile.TemporaryDirectory())
        config = dataclasses.replace(config, output_dir=folder)
        with (
            mock.patch.object(permuted_mnist_stages, "train_task", stop),
            self.assertRaises(KeyboardInterrupt),
        ):
            experiment.carry_out(permuted_mnist.EXPERIMENT, config)
        experiment.carry_out(permuted_mnist.EXPERIMENT, config)
        (file,) = pathlib.Path(folder).glob("*/results.json")
        resumed = json.loads(file.read_text())
        self.assertEqual(resumed["records"], whole["records"])


class ConfigTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("dataset", {"dataset": "cifar10"}, "of mnist, digits, got 'cifar10'"),
        ("logits", {"new_logits": (2.0, 2.0)}, "--new_logits must be distinct"),
        ("alike", {"new_logits": (1.0, 1.0000001)}, "first six digits"),
        ("infinite", {"new_logits": (math.inf,)}, "--new_logits must be"),
        ("lr", {"task_lr": 0.0}, "--task_lr must be above 0"),
        ("tasks", {"tasks": 1}, "--tasks"),
        ("sizes", {"sizes": (0,)}, "--sizes"),
        ("beta", {"beta": -1.0}, "--beta"),
        ("samples", {"batch_size": 1}, "smaller than --num_samples=2"),
        ("steps", {"task_steps": 25}, "a multiple of --log_steps=10, got 25"),
    )
    def test_refuses(self, changes, message):
        with self.assertRaisesRegex(ValueError, message):
            dataclasses.replace(TINY, **changes)


if __name__ == "__main__":
    tf.test.main()

import dataclasses
import math
import tempfile

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from reproduce.csordas2021.continual import permuted_mnist
from reproduce.data import images
from reproduce.running.run import Run

CONFIG = permuted_mnist.Config(
    dataset="digits", tasks=3, new_logits=(2.0, -1.0)
)


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
        ("samples", {"batch_size": 1}, "smaller than --num_samples=8"),
        (
            "steps",
            {"task_steps": 750},
            "a multiple of --log_steps=500, got 750",
        ),
    )
    def test_refuses(self, changes, message):
        with self.assertRaisesRegex(ValueError, message):
            dataclasses.replace(CONFIG, **changes)


class PlanTest(tf.test.TestCase):
    def test_the_first_task_is_shared_and_the_others_follow_one_another(self):
        run = Run(CONFIG, "test")
        permuted_mnist.plan(run)
        tasks = [name for name in run.stages if "/task" in name]
        self.assertEqual(
            tasks,
            [
                "first_task/seed0/task0",
                "new_logit2/seed0/task1",
                "new_logit2/seed0/task2",
                "new_logit-1/seed0/task1",
                "new_logit-1/seed0/task2",
            ],
        )
        first = run.stages["first_task/seed0/task0"]
        again = run.stages["new_logit-1/seed0/again"]
        self.assertEqual(again.needs[1:], (0, -1.0, first))
        for start in (2, -1):
            second = run.stages[f"new_logit{start}/seed0/task1"]
            self.assertIs(second.needs[-1], first)
            third = run.stages[f"new_logit{start}/seed0/task2"]
            self.assertIs(third.needs[-1], second)


class TrainTaskTest(tf.test.TestCase):
    def test_a_task_leaves_the_model_of_the_one_before_as_it_was(self):
        config = permuted_mnist.Config(
            dataset="digits",
            sizes=(6,),
            batch_size=8,
            task_steps=3,
            task_lr=0.1,
            num_samples=2,
            output_dir=self.enterContext(tempfile.TemporaryDirectory()),
        )
        run = Run(config, "test")
        learner, train = (
            permuted_mnist.Learner(config),
            permuted_mnist.train_task,
        )
        first = run.stage("task0", train, learner, 0)
        second = run.stage("task1", train, learner, 1, 2.0, first)
        again = run.stage("again", train, learner, 1, 2.0, first)
        recalled = run.stage(
            "recalled",
            permuted_mnist.recall,
            learner.data,
            second,
            run.stage("mask", permuted_mnist.kept_weights, first),
        )
        with run:
            before = [v.numpy() for v in run.result(first).variables]
            trained = run.result(second)
            after = [v.numpy() for v in trained.variables]
            for own, earlier in zip(run.result(first).variables, before):
                self.assertAllEqual(own, earlier)
            # The next task trained, from the same start each time.
            for layer in permuted_mnist.hidden_and_output(trained):
                self.assertGreater(np.ptp(layer.mask_logits.numpy()), 0.0)
            for own, other in zip(run.result(again).weights, trained.weights):
                self.assertAllClose(own, other, atol=1e-5)
            # To recall a task changes nothing.
            run.result(recalled)
            for own, other in zip(trained.variables, after):
                self.assertAllEqual(own, other)


class PermutedTest(tf.test.TestCase):
    def test_tasks_after_the_first_have_an_order_of_their_own(self):
        stage = Run(CONFIG, "test").stage("x", permuted_mnist.recall)
        test = images.load_once("digits").test
        rows = test.images.reshape(len(test.images), -1)
        first, second, third = (
            permuted_mnist.permuted(stage, test, task).images
            for task in range(3)
        )
        self.assertAllEqual(first, rows)
        self.assertAllEqual(np.sort(second), np.sort(rows))
        self.assertTrue(np.any(second != first))
        self.assertTrue(np.any(third != second))


if __name__ == "__main__":
    tf.test.main()

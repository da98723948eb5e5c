import dataclasses
import os
import pathlib
import tempfile

import numpy as np
from absl.testing import absltest, parameterized

from reproduce.csordas2021 import mask_training
from reproduce.csordas2021.images import (
    augmentation,
    cifar_ablation,
    classifiers,
    sgd,
)
from reproduce.data import images
from reproduce.running.run import Run

TINY = cifar_ablation.Config(
    dataset="digits",
    mask_batch_size=32,
    mask_steps=20,
    network_steps=40,
    log_steps=10,
)


def planned(config, name):
    """Returns a run, a subject, and the stages of its network and control."""
    run = Run(config, "test")
    subject = classifiers.subject_of(config, 0, name)
    network = mask_training.plan_network(run, subject)
    masks, _ = classifiers.plan_masks(run, subject, network, [])
    return run, subject, network, masks["control"]


class SubjectTest(parameterized.TestCase):
    def test_residual_networks_train_as_in_appendix_c_7_3(self):
        config = cifar_ablation.Config(dataset="digits")
        subject = classifiers.subject_of(config, 0, "resnet8")
        found = subject.settings
        self.assertEqual((found.batch_size, found.network_steps), (128, 64_000))
        self.assertEqual((found.mask_steps, found.mask_lr), (30_000, 0.03))
        self.assertEqual((found.mask_batch_size, found.beta), (256, 2e-5))
        network = subject.network()
        optimizer = network.optimizer
        self.assertIsInstance(optimizer, sgd.SGDWithL2)
        self.assertEqual((optimizer.momentum, optimizer.l2), (0.9, 1e-4))
        self.assertIsNone(optimizer.global_clipnorm)
        np.testing.assert_allclose(optimizer.learning_rate, 0.1)
        model = subject.masked(network)
        np.testing.assert_allclose(model.optimizer.learning_rate, 0.03)
        self.assertEqual(model.optimizer.global_clipnorm, 1.0)
        self.assertAlmostEqual(model.alpha, 2e-5 / 256)
        roles = {path.rpartition("/")[2] for path in model.mask_logits}
        self.assertEqual(roles, {"kernel", "gamma", "beta", "bias"})

    def test_other_networks_train_as_the_configuration_says(self):
        subject = classifiers.subject_of(TINY, 0, "cnn")
        self.assertEqual(subject.settings.network_steps, 40)
        self.assertEqual(subject.settings.mask_batch_size, 32)

    def test_residual_networks_see_shifted_images(self):
        for name, function, more in (
            ("cnn", images.batches, {}),
            ("resnet20", augmentation.batches, {"flip": False}),
        ):
            batches = classifiers.subject_of(TINY, 0, name).batches(None)
            self.assertIs(batches.func, function)
            self.assertEqual(batches.keywords, more)

    def test_a_task_is_the_classes_to_train_on(self):
        batches = classifiers.subject_of(TINY, 0, "cnn").batches((2, 7))
        ((_, labels),) = batches(200, 0, 0, 1)
        self.assertEqual({*labels.numpy()}, {2, 7})


class MaskTest(parameterized.TestCase):
    def test_masks_leave_batch_statistics_as_they_are(self):
        subject = classifiers.subject_of(TINY, 1, "resnet8")
        network, data = subject.build(), subject.data
        norm = network.get_layer("norm")
        norm.moving_mean.assign(np.arange(16.0))
        before = network.get_weights()
        model = subject.masked(network)
        model.run_eagerly = True
        rows = data.train.images[:16].astype("float32")
        model.fit(rows, data.train.labels[:16], epochs=1, verbose=0)
        for one, two in zip(before, network.get_weights(), strict=True):
            np.testing.assert_array_equal(one, two)
        mask = ~model.weight_mask()  # of nothing
        part = mask.apply(network)
        np.testing.assert_array_equal(
            part.get_layer("norm").moving_mean, np.arange(16.0)
        )

    def test_a_residual_network_and_its_mask_are_trained_and_scored(self):
        config = dataclasses.replace(
            TINY,
            resnet_steps=10,
            resnet_mask_batch_size=16,
            resnet_mask_steps=10,
            resnet_mask_lr=0.5,
            output_dir=self.enterContext(tempfile.TemporaryDirectory()),
        )
        run, subject, *stages = planned(config, "resnet8")
        score = classifiers.score, stages[0], stages[1:], True
        stages.append(mask_training.plan(run, subject, "scores", *score))
        with run:
            network, control, scores = run.carry_out(stages)
        self.assertLess(control.keep_fraction, 1.0)
        self.assertEqual(control.provenance["steps"], 10)
        self.assertLen(control.values, 9 + 2 * 9 + 2)
        self.assertIn("block32_1_shortcut_norm/gamma", control.values)
        stored = classifiers.score(None, subject, network, [control])
        self.assertNotEqual(scores["confusion"], stored["confusion"])

    def test_real_images_train_network_and_mask(self):
        cache = pathlib.Path(os.environ.get("KERAS_HOME", "~/.keras"))
        if not (cache.expanduser() / "datasets" / "mnist.npz").exists():
            self.skipTest("MNIST is not in the Keras cache")
        config = dataclasses.replace(
            TINY,
            dataset="mnist",
            batch_size=64,
            network_steps=30,
            mask_steps=10,
            network_lr=3e-3,
            mask_lr=0.4,
            output_dir=self.enterContext(tempfile.TemporaryDirectory()),
        )
        run, subject, *stages = planned(config, "cnn")
        with run:
            network, control = run.carry_out(stages)
        test = subject.data.test
        few = images.Split(test.images[:500], test.labels[:500])
        # 30 steps beat chance: a binomial with p = 0.1 exceeds 0.145 rarely.
        self.assertGreater(classifiers.accuracy(network, few), 0.145)
        self.assertBetween(control.keep_fraction, 0.0, 0.99)


if __name__ == "__main__":
    absltest.main()

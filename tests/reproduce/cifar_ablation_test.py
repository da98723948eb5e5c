import dataclasses
import functools
import os
import pathlib
import tempfile
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.masking import alpha_search
from reproduce import cifar_ablation
from reproduce.csordas2021 import mask_training
from reproduce.csordas2021.images import cifar_ablation as cifar_stages
from reproduce.data import images
from reproduce.publishing import experiment
from reproduce.running.run import Run
from tests.reproduce import run_test_case

TINY = cifar_ablation.Config(
    dataset="digits",
    networks=("cnn",),
    classes=("0",),
    batch_size=32,
    network_steps=40,
    mask_batch_size=32,
    mask_steps=20,
    mask_lr=0.2,
    log_steps=10,
)


class ConfigTest(parameterized.TestCase):
    @parameterized.named_parameters(
        (
            "network",
            {"networks": ("vgg",)},
            "of cnn, cnn_nodropout, resnet8, .*, resnet110, got 'vgg'",
        ),
        ("no_network", {"networks": ()}, "--networks must be one value or"),
        (
            "statistics",
            {"recalibrate": True},
            "--recalibrate is for residual networks: .* none, got cnn",
        ),
        (
            "batch",
            {"resnet_mask_batch_size": 3},
            "--resnet_mask_batch_size=3 is smaller",
        ),
        (
            "beta",
            {"find_beta": True, "networks": ("resnet8",), "resnet_beta": 0.0},
            "--find_beta starts at --resnet_beta, got --resnet_beta=0",
        ),
        ("twice", {"classes": ("0", "0")}, "--classes must be distinct"),
    )
    def test_refuses(self, changes, message):
        with self.assertRaisesRegex(ValueError, message):
            dataclasses.replace(TINY, **changes)

    def test_refuses_an_unknown_class_before_any_work(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        config = dataclasses.replace(
            TINY, classes=("cat",), output_dir=f"{folder}/runs"
        )
        with self.assertRaisesRegex(ValueError, "--classes must be of 0, 1"):
            experiment.carry_out(cifar_ablation.EXPERIMENT, config)
        self.assertFalse(pathlib.Path(config.output_dir).exists())


class MainTest(run_test_case.RunTestCase, parameterized.TestCase):
    def test_records_figures_and_claims_of_a_small_run(self):
        quick = functools.partial(  # fewer trials
            alpha_search.search_alpha, factor=100.0, refinements=0
        )
        config = dataclasses.replace(TINY, find_beta=True, network_steps=100)
        with mock.patch.object(alpha_search, "search_alpha", quick):
            _, results = self.run_tiny(
                cifar_ablation,
                config,
                [
                    "fig06a_relative_drop",
                    "fig06b_other_classes",
                    "fig18_confusion_control_cnn",
                    "fig19_confusion_difference_cnn",
                    "alpha_search_cnn",
                ],
            )
        (first,) = results["records"]
        self.assertEqual(first["data"], "digits (8x8)")
        self.assertEqual(set(first["masks"]), {"control", "0"})
        for scores in first["masks"].values():
            confusion = np.array(scores["confusion"])
            self.assertAllClose(confusion.sum(axis=1), np.ones(10))
            self.assertAllClose(np.trace(confusion) / 10, scores["accuracy"])
            self.assertBetween(scores["keep_fraction"], 0.0, 1.0)
        # The output layer is fixed to the control's, which alone reports it.
        kept = {t: m["keep_fractions"] for t, m in first["masks"].items()}
        self.assertIn("classifier/kernel", kept["control"])
        self.assertNotIn("classifier/kernel", kept["0"])
        # beta is found by the paper's rule.
        search = first["alpha_search"]
        self.assertAlmostEqual(first["beta"], 32 * search["alpha"])
        reference = first["dense"]["validation_accuracy"]
        self.assertEqual(search["reference"], reference)
        for trial in search["trials"]:
            performs = trial["performance"] >= 0.95 * reference
            self.assertEqual(trial["alpha"] <= search["alpha"], performs)

    @parameterized.parameters("mnist", "cifar10")
    def test_real_images_train_network_and_mask(self, dataset):
        cache = pathlib.Path(os.environ.get("KERAS_HOME", "~/.keras"))
        found = {"mnist": "mnist.npz", "cifar10": "cifar-10-batches-py-target"}
        if not (cache.expanduser() / "datasets" / found[dataset]).exists():
            self.skipTest(f"{dataset} is not in the Keras cache")
        folder = self.enterContext(tempfile.TemporaryDirectory())
        config = dataclasses.replace(
            TINY,
            dataset=dataset,
            batch_size=64,
            network_steps=60,
            network_lr=3e-3,
            output_dir=folder,
        )
        run = Run(config, "test")
        network = run.stage("network", cifar_stages.train_network, "cnn")
        control = run.stage(
            "control", cifar_stages.train_control_mask, network, None
        )
        with run:
            network, control = run.carry_out([network, control])
        test = images.load_once(dataset).test
        accuracy = np.mean(
            mask_training.predict(network, test.images[:500])
            == test.labels[:500]
        )
        # 60 steps beat chance: a binomial with p = 0.1 exceeds 0.145 rarely.
        self.assertGreater(accuracy, 0.145)
        self.assertBetween(control.keep_fraction, 0.0, 0.99)


if __name__ == "__main__":
    tf.test.main()

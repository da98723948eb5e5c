import dataclasses
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.masking import alpha_search
from reproduce import cifar_ablation
from reproduce.csordas2021 import mask_stages
from reproduce.data import images
from reproduce.harness import experiment

ROOT = pathlib.Path(__file__).parents[2]
TINY = cifar_ablation.Config(
    dataset="digits",
    networks=("cnn",),
    classes=("0", "1"),
    batch_size=32,
    network_steps=40,
    mask_batch_size=32,
    mask_steps=20,
    mask_lr=0.2,
    log_steps=10,
)


class ConfigTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("network", {"networks": ("vgg",)}, "of cnn, cnn_nodropout, got 'vgg'"),
        ("no_network", {"networks": ()}, "--networks is empty"),
    )
    def test_refuses(self, changes, message):
        with self.assertRaisesRegex(ValueError, message):
            dataclasses.replace(TINY, **changes)

    def test_refuses_an_unknown_class_before_any_work(self):
        config = dataclasses.replace(TINY, classes=("cat",))
        with self.assertRaisesRegex(ValueError, "--classes must be of 0, 1"):
            cifar_ablation.main(config)


class MainTest(parameterized.TestCase, tf.test.TestCase):
    def test_records_figures_and_claims_of_a_small_run(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        config = dataclasses.replace(TINY, classes=("0",), output_dir=folder)
        cifar_ablation.main(config)
        (run,) = pathlib.Path(folder).iterdir()
        results = json.loads((run / "results.json").read_text())
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

        pictures = {
            "fig06a_relative_drop.png",
            "fig06b_other_classes.png",
            "fig18_confusion_control_cnn.png",
            "fig19_confusion_difference_cnn.png",
        }
        self.assertEqual({p.name for p in run.glob("*.png")}, pictures)
        before = {p.name: p.read_bytes() for p in run.glob("*.png")}
        for picture in run.glob("*.png"):
            picture.unlink()
        cifar_ablation.main(dataclasses.replace(config, stage="figures"))
        after = {p.name: p.read_bytes() for p in run.glob("*.png")}
        self.assertEqual(before, after)

    def test_beta_is_found_by_the_papers_rule(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        config = dataclasses.replace(
            TINY,
            classes=("0",),
            find_beta=True,
            network_steps=100,
            output_dir=folder,
        )
        quick = functools.partial(  # fewer trials
            alpha_search.search_alpha, factor=100.0, refinements=0
        )
        with mock.patch.object(alpha_search, "search_alpha", quick):
            cifar_ablation.main(config)
        (run,) = pathlib.Path(folder).iterdir()
        (record,) = json.loads((run / "results.json").read_text())["records"]
        search = record["alpha_search"]
        self.assertAlmostEqual(record["beta"], 32 * search["alpha"])
        reference = record["dense"]["validation_accuracy"]
        self.assertEqual(search["reference"], reference)
        for trial in search["trials"]:
            performs = trial["performance"] >= 0.95 * reference
            self.assertEqual(trial["alpha"] <= search["alpha"], performs)
        self.assertTrue((run / "alpha_search_cnn.png").exists())

    def test_a_mistake_is_one_line_without_a_traceback(self):
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "reproduce.cifar_ablation",
                "--dataset=imagenet",
            ],
            cwd=ROOT,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 1)
        error = done.stderr.strip().splitlines()[-1]
        self.assertRegex(error, "^Error: .*cifar10.*mnist.*digits.*'imagenet'")
        self.assertNotIn("Traceback", done.stderr)

    @parameterized.parameters("mnist", "cifar10")
    def test_real_images_train_network_and_mask(self, dataset):
        cache = pathlib.Path(os.environ.get("KERAS_HOME", "~/.keras"))
        found = {"mnist": "mnist.npz", "cifar10": "cifar-10-batches-py-target"}
        if not (cache.expanduser() / "datasets" / found[dataset]).exists():
            self.skipTest(f"{dataset} is not in the Keras cache")
        data = images.load(dataset)
        folder = self.enterContext(tempfile.TemporaryDirectory())
        config = dataclasses.replace(
            TINY,
            dataset=dataset,
            batch_size=64,
            network_steps=60,
            network_lr=3e-3,
            output_dir=folder,
        )
        run = self.enterContext(experiment.Run(config, "test"))
        network = cifar_ablation.train_network(run, data, "cnn", 0, "network")
        few = images.Split(data.test.images[:500], data.test.labels[:500])
        accuracy = np.mean(
            mask_stages.predict(network, few.images) == few.labels
        )
        # 60 steps beat chance: a binomial with p = 0.1 exceeds 0.145 rarely.
        self.assertGreater(accuracy, 0.145)
        mask = cifar_ablation.train_mask(
            run,
            data,
            cifar_ablation.masked(config, network),
            data.train.without(3),
            0,
            "mask_3",
        )
        self.assertBetween(mask.keep_fraction, 0.0, 0.99)


if __name__ == "__main__":
    tf.test.main()

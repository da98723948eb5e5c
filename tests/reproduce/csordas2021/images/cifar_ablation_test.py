import dataclasses
import tempfile

import numpy as np
from absl.testing import absltest, parameterized

from modularity_tf.findings.weight_mask import WeightMask
from reproduce import cifar_ablation
from reproduce.csordas2021 import mask_training
from reproduce.csordas2021.images import augmentation, sgd
from reproduce.csordas2021.images import cifar_ablation as cifar_stages
from reproduce.data import images
from reproduce.running.run import Run

TINY = cifar_ablation.Config(
    dataset="digits",
    seeds=(0, 1),
    classes=("3", "5"),
    mask_batch_size=32,
    mask_steps=20,
    network_steps=40,
    log_steps=10,
)

RESIDUAL = dataclasses.replace(TINY, networks=("resnet8",))


class PlanTest(parameterized.TestCase):
    def planned(self, **changes):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        config = dataclasses.replace(TINY, output_dir=folder, **changes)
        run = Run(config, "test")
        return run, cifar_stages.plan(run)

    def test_has_a_record_a_network_and_seed_and_a_mask_a_class(self):
        run, records = self.planned()
        self.assertLen(records, 4)
        masks = [name for name in run.stages if "/mask_" in name]
        self.assertLen(masks, 4 * 3)
        self.assertIn("cnn_nodropout/seed1/mask_5", masks)
        steps = run.steps_left()
        for network in ("cnn", "cnn_nodropout"):
            self.assertEqual(steps[f"{network}: network"], 2 * 40)
            self.assertEqual(steps[f"{network}: masks"], 2 * 3 * 20)

    def test_a_search_for_beta_comes_before_the_masks(self):
        run, _ = self.planned(find_beta=True)
        control = run.stages["cnn/seed0/mask_control"]
        self.assertIn(run.stages["cnn/seed0/alpha_search"], control.needs)

    def test_residual_networks_have_steps_of_their_own(self):
        run, _ = self.planned(networks=("cnn", "resnet20"), resnet_steps=70)
        steps = run.steps_left()
        self.assertEqual(steps["cnn: network"], 2 * 40)
        self.assertEqual(steps["resnet20: network"], 2 * 70)
        self.assertEqual(steps["resnet20: masks"], 2 * 3 * 30_000)

    def test_new_statistics_are_a_second_record_of_the_same_masks(self):
        run, records = self.planned(
            networks=("cnn", "resnet20"), seeds=(0,), recalibrate=True
        )
        self.assertEqual(
            [record["network"] for record in records],
            ["cnn", "resnet20", "resnet20_recalibrated"],
        )
        self.assertLen([n for n in run.stages if "/mask_" in n], 2 * 3)
        anew = [n for n in run.stages if "/recalibrated_" in n]
        self.assertLen(anew, 3)
        for name in anew:
            self.assertStartsWith(name, "resnet20/seed0/")
            self.assertIs(run.stages[name].needs[-1], True)

    def test_all_classes_are_left_out_if_none_is_named(self):
        run, _ = self.planned(classes=(), seeds=(0,), networks=("cnn",))
        self.assertLen([n for n in run.stages if "/mask_" in n], 11)


class SettingsTest(parameterized.TestCase):
    def test_residual_networks_train_as_in_appendix_c_7_3(self):
        found = cifar_stages.settings_of(cifar_ablation.Config(), "resnet110")
        self.assertEqual((found.network_steps, found.network_lr), (64_000, 0.1))
        self.assertEqual((found.mask_steps, found.mask_lr), (30_000, 0.03))
        self.assertEqual((found.mask_batch_size, found.beta), (256, 2e-5))
        self.assertAlmostEqual(found.alpha, 2e-5 / 256)

    def test_other_networks_and_configurations_stay_as_they_are(self):
        config = mask_training.Config()
        self.assertIs(cifar_stages.settings_of(config, "cnn"), config)


class NetworkTest(parameterized.TestCase):
    def test_a_residual_network_and_its_mask_have_the_papers_optimizers(self):
        data = images.load_once("digits")
        network = cifar_stages.untrained(RESIDUAL, data, "resnet8", 1)
        optimizer = network.optimizer
        self.assertIsInstance(optimizer, sgd.SGDWithL2)
        self.assertEqual((optimizer.momentum, optimizer.l2), (0.9, 1e-4))
        self.assertIsNone(optimizer.global_clipnorm)
        np.testing.assert_allclose(optimizer.learning_rate, 0.1)
        model = cifar_stages.masked(RESIDUAL, network)
        np.testing.assert_allclose(model.optimizer.learning_rate, 0.03)
        self.assertEqual(model.optimizer.global_clipnorm, 1.0)
        self.assertAlmostEqual(model.alpha, 2e-5 / 256)
        roles = {path.rpartition("/")[2] for path in model.mask_logits}
        self.assertEqual(roles, {"kernel", "gamma", "beta", "bias"})

    def test_masks_leave_batch_statistics_as_they_are(self):
        data = images.load_once("digits")
        network = cifar_stages.untrained(RESIDUAL, data, "resnet8", 1)
        norm = network.get_layer("norm")
        norm.moving_mean.assign(np.arange(16.0))
        before = network.get_weights()
        model = cifar_stages.masked(RESIDUAL, network)
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

    def test_a_network_and_its_mask_are_trained_and_scored(self):
        config = dataclasses.replace(
            RESIDUAL,
            resnet_steps=10,
            resnet_mask_batch_size=16,
            resnet_mask_steps=10,
            resnet_mask_lr=0.5,
            output_dir=self.enterContext(tempfile.TemporaryDirectory()),
        )
        run = Run(config, "test")
        network = run.stage("network", cifar_stages.train_network, "resnet8")
        control = run.stage(
            "control", cifar_stages.train_control_mask, network, None
        )
        scores = run.stage("scores", cifar_stages.score, network, control, True)
        with run:
            network, control, scores = run.carry_out([network, control, scores])
        self.assertLess(control.keep_fraction, 1.0)
        self.assertEqual(control.provenance["steps"], 10)
        self.assertLen(control.values, 9 + 2 * 9 + 2)
        self.assertIn("block32_1_shortcut_norm/gamma", control.values)
        data = images.load_once("digits")
        stored = cifar_stages.score_model(control.apply(network), data)
        self.assertNotEqual(scores["confusion"], stored["confusion"])


class BatchesTest(parameterized.TestCase):
    @parameterized.parameters(
        ("cnn", images.batches, {}),
        ("resnet20", augmentation.batches, {"flip": False}),
    )
    def test_residual_networks_see_shifted_images(self, name, function, more):
        split = images.load_once("digits").train
        found = cifar_stages.batches(TINY, name, split)
        self.assertIs(found.func, function)
        self.assertEqual(found.keywords, more)

    def test_photographs_are_mirrored(self):
        config = dataclasses.replace(TINY, dataset="cifar10")
        found = cifar_stages.batches(config, "resnet20", None)
        self.assertEqual(found.keywords, {"flip": True})


class RecordTest(parameterized.TestCase):
    def test_tells_what_a_class_mask_lacks_of_the_control_s_features(self):
        kept = np.array([True, True, True, True, False])
        fewer = np.array([True, True, True, False, False])
        masks = {
            "control": WeightMask(
                {"conv/kernel": kept, "classifier/kernel": kept}
            ),
            "3": WeightMask({"conv/kernel": fewer}),
        }
        scores = {task: {"accuracy": 0.5} for task in masks}
        found = cifar_stages.describe(masks, scores)
        self.assertEqual(found["control"]["lost_of_control"], 0.0)
        self.assertEqual(found["3"]["lost_of_control"], 0.25)
        self.assertEqual(found["3"]["keep_fraction"], 0.6)
        self.assertEqual(found["3"]["accuracy"], 0.5)

    def test_what_is_lost_of_a_control_without_features_is_none(self):
        empty = WeightMask({"conv/kernel": np.zeros(3, bool)})
        scores = {"control": {}, "3": {}}
        found = cifar_stages.describe({"control": empty, "3": empty}, scores)
        self.assertIsNone(found["3"]["lost_of_control"])

    @parameterized.parameters((None, 5e-4), ({"alpha": 1e-5}, 32e-5))
    def test_beta_is_that_of_the_flag_or_that_was_found(self, search, beta):
        config = dataclasses.replace(TINY, beta=5e-4)
        found = mask_training.found_beta(config, search)
        self.assertAlmostEqual(found, beta)


if __name__ == "__main__":
    absltest.main()

import dataclasses

import numpy as np
from absl.testing import absltest, parameterized

from modularity_tf.findings.weight_mask import WeightMask
from reproduce.csordas2021.images import cifar_ablation
from reproduce.running.run import Run
from tests.reproduce.csordas2021 import tiny

TINY = cifar_ablation.Config(
    dataset="digits",
    seeds=(0, 1),
    classes=("3", "5"),
    mask_batch_size=32,
    mask_steps=20,
    network_steps=40,
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
        config = dataclasses.replace(TINY, classes=("cat",))
        with self.assertRaisesRegex(ValueError, "--classes must be of 0, 1"):
            cifar_ablation.plan(Run(config, "test"))


class PlanTest(parameterized.TestCase):
    def planned(self, **changes):
        run = Run(dataclasses.replace(TINY, **changes), "test")
        return run, cifar_ablation.plan(run)

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
        self.assertIn("cnn/seed0/alpha_search", tiny.ancestors(control))

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
        found = cifar_ablation.describe(masks, scores)
        self.assertEqual(found["control"]["lost_of_control"], 0.0)
        self.assertEqual(found["3"]["lost_of_control"], 0.25)
        self.assertEqual(found["3"]["keep_fraction"], 0.6)
        self.assertEqual(found["3"]["accuracy"], 0.5)

    def test_what_is_lost_of_a_control_without_features_is_none(self):
        empty = WeightMask({"conv/kernel": np.zeros(3, bool)})
        scores = {"control": {}, "3": {}}
        found = cifar_ablation.describe({"control": empty, "3": empty}, scores)
        self.assertIsNone(found["3"]["lost_of_control"])


if __name__ == "__main__":
    absltest.main()

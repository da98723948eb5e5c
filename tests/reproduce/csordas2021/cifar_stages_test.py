import dataclasses
import tempfile

import numpy as np
from absl.testing import absltest, parameterized

from modularity_tf.masking.weight_mask import WeightMask
from reproduce import cifar_ablation
from reproduce.csordas2021 import cifar_stages, mask_stages
from reproduce.harness.run import Run

TINY = cifar_ablation.Config(
    dataset="digits",
    seeds=(0, 1),
    classes=("3", "5"),
    mask_batch_size=32,
    mask_steps=20,
    network_steps=40,
    log_steps=10,
)


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
        self.assertEqual(steps["network"], 4 * 40)
        self.assertEqual(steps["masks"], 4 * 3 * 20)

    def test_a_search_for_beta_comes_before_the_masks(self):
        run, _ = self.planned(find_beta=True)
        control = run.stages["cnn/seed0/mask_control"]
        self.assertIn(run.stages["cnn/seed0/alpha_search"], control.needs)

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
        found = mask_stages.found_beta(config, search)
        self.assertAlmostEqual(found, beta)


if __name__ == "__main__":
    absltest.main()

import dataclasses

import numpy as np
from absl.testing import absltest, parameterized

from modularity_tf import WeightMask
from reproduce.csordas2021 import mask_training
from reproduce.csordas2021.images import mask_stability
from reproduce.running.run import Run
from tests.reproduce.csordas2021 import tiny

CONFIG = mask_stability.Config(
    dataset="digits", seeds=(0, 1), networks=("cnn", "fnn"), pairs=3
)


class ConfigTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("network", {"networks": ("resnet20",)}, "of cnn, cnn_nodropout, fnn"),
        ("pairs", {"pairs": 46}, "--pairs must be at least 1, at most 45"),
        (
            "no_images",
            {"dataset": "add_mul"},
            "must be fnn, got cnn,fnn",
        ),
        ("search", {"find_beta": True}, "flags of reproduce.cifar_ablation"),
        ("held_out", {"held_out_fraction": 0.1}, "and reproduce.add_mul"),
        ("lstm", {"network": "lstm"}, "--network must be one of fnn"),
    )
    def test_refuses(self, changes, message):
        with self.assertRaisesRegex(ValueError, message):
            dataclasses.replace(CONFIG, **changes)

    def test_has_the_papers_values(self):
        config = mask_stability.Config()
        self.assertEqual((config.mask_lr, config.beta), (1e-3, 1e-4))
        self.assertEqual((config.mask_steps, config.pairs), (20_000, 10))


class PlanTest(parameterized.TestCase):
    def test_every_mask_is_trained_twice(self):
        run = Run(CONFIG, "test")
        self.assertLen(mask_stability.plan(run), 4)
        masks = [name for name in run.stages if "/mask_" in name]
        again = [name for name in masks if name.endswith("_again")]
        self.assertEqual(
            sorted(masks),
            sorted([*again, *(n.removesuffix("_again") for n in again)]),
        )
        self.assertLen(again, 2 * (1 + 3) + 2 * 3)
        for name in again:
            one, two = run.stages[name.removesuffix("_again")], run.stages[name]
            self.assertEqual(
                (one.function, one.needs, one.seed),
                (two.function, two.needs, two.seed),
            )
        self.assertIn("fnn/seed1/mask_mul_again", again)

    def test_both_masks_of_a_pair_have_the_output_layer_of_one_mask(self):
        run = Run(CONFIG, "test")
        mask_stability.plan(run)
        of_pairs = [
            stage
            for name, stage in run.stages.items()
            if name.startswith("cnn/seed0/mask_") and "mask_control" not in name
        ]
        self.assertLen(of_pairs, 6)
        for stage in of_pairs:
            self.assertIs(stage.function, mask_training.train_mask)
            names = {"cnn/seed0/network", "cnn/seed0/mask_control"}
            self.assertEqual(tiny.ancestors(stage), names)

    def test_the_estimate_knows_every_phase(self):
        run = Run(CONFIG, "test")
        mask_stability.plan(run)
        config = dataclasses.replace(CONFIG, sizes=(4,))
        self.assertEqual(
            set(run.steps_left()) - {None}, set(mask_stability.phases(config))
        )


class PairsTest(absltest.TestCase):
    def test_are_distinct_and_drawn_by_seed(self):
        found = mask_stability.pairs_of_classes(CONFIG, 0, 10)
        self.assertLen(set(found), 3)
        for one, two in found:
            self.assertBetween(one, 0, 8)
            self.assertBetween(two, one + 1, 9)
        self.assertEqual(found, mask_stability.pairs_of_classes(CONFIG, 0, 10))
        self.assertNotEqual(
            found, mask_stability.pairs_of_classes(CONFIG, 1, 10)
        )
        every = dataclasses.replace(CONFIG, pairs=45)
        self.assertLen(set(mask_stability.pairs_of_classes(every, 0, 10)), 45)


class AlikeTest(absltest.TestCase):
    def test_counts_by_layer_and_over_all_layers(self):
        first, second = (
            WeightMask(
                {
                    "one/kernel": np.array(kernel, bool),
                    "one/bias": np.array(bias, bool),
                    "two/kernel": np.array([1, 1], bool),
                }
            )
            for kernel, bias in (
                ([1, 1, 1, 0], [1, 0]),
                ([1, 1, 0, 0], [0, 1]),
            )
        )
        found = mask_stability.alike_by_layer(first, second)
        self.assertEqual([*found], ["one", "two", "all layers"])
        # Of 4 and 3 weights in layer one both have 2.
        self.assertAlmostEqual(found["one"]["jaccard"], 2 / 5)
        self.assertAlmostEqual(found["one"]["share"], (2 / 4 + 2 / 3) / 2)
        # By chance 3 * 2 / 4 of the kernel and 1 / 2 of the bias.
        self.assertAlmostEqual(found["one"]["expected_jaccard"], 2 / 5)
        self.assertAlmostEqual(
            found["one"]["expected_share"], (2 / 4 + 2 / 3) / 2
        )
        self.assertEqual(found["two"]["jaccard"], 1)
        self.assertAlmostEqual(found["all layers"]["jaccard"], 4 / 7)
        self.assertAlmostEqual(
            found["all layers"]["share"], (4 / 6 + 4 / 5) / 2
        )

    def test_what_two_empty_masks_share_is_none(self):
        empty = WeightMask({"one/kernel": np.zeros(3, bool)})
        masks = {"control": empty, "control_again": empty}
        scores = {"control": 0.5, "control_again": 0.4}
        found = mask_stability.complete({"seed": 1}, masks, scores)
        self.assertEqual(found["seed"], 1)
        task = found["tasks"]["control"]
        self.assertEqual(task["accuracy"], [0.5, 0.4])
        self.assertIsNone(task["layers"]["one"]["jaccard"])


if __name__ == "__main__":
    absltest.main()

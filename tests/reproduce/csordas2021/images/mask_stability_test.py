import dataclasses

import numpy as np
from absl.testing import absltest, parameterized

from modularity_tf import WeightMask
from reproduce import mask_stability
from reproduce.csordas2021.images import mask_stability as stages
from reproduce.running.run import Run

CONFIG = mask_stability.Config(
    dataset="digits", seeds=(0, 1), networks=("cnn", "fnn"), pairs=3
)


class PlanTest(parameterized.TestCase):
    def test_every_mask_is_trained_twice(self):
        run = Run(CONFIG, "test")
        self.assertLen(stages.plan(run), 4)
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
        stages.plan(run)
        control = run.stages["cnn/seed0/mask_control"]
        of_pairs = [
            stage
            for stage in run.stages.values()
            if stage.function is stages.train_pair_mask and stage.seed == 0
        ]
        self.assertLen(of_pairs, 6)
        for stage in of_pairs:
            self.assertIs(stage.needs[1], control)

    def test_the_estimate_knows_every_phase(self):
        run = Run(CONFIG, "test")
        stages.plan(run)
        config = dataclasses.replace(CONFIG, sizes=(4,))
        self.assertEqual(
            set(run.steps_left()) - {None}, set(stages.phases(config))
        )


class PairsTest(absltest.TestCase):
    def test_are_distinct_and_drawn_by_seed(self):
        found = stages.pairs_of_classes(CONFIG, 0, 10)
        self.assertLen(set(found), 3)
        for one, two in found:
            self.assertBetween(one, 0, 8)
            self.assertBetween(two, one + 1, 9)
        self.assertEqual(found, stages.pairs_of_classes(CONFIG, 0, 10))
        self.assertNotEqual(found, stages.pairs_of_classes(CONFIG, 1, 10))
        every = dataclasses.replace(CONFIG, pairs=45)
        self.assertLen(set(stages.pairs_of_classes(every, 0, 10)), 45)


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
        found = stages.alike_by_layer(first, second)
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
        found = stages.complete({"seed": 1}, masks, scores)
        self.assertEqual(found["seed"], 1)
        task = found["tasks"]["control"]
        self.assertEqual(task["accuracy"], [0.5, 0.4])
        self.assertIsNone(task["layers"]["one"]["jaccard"])


if __name__ == "__main__":
    absltest.main()

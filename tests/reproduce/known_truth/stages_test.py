import types

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from reproduce.known_truth import boolean_networks, cases, stages

CONFIG = types.SimpleNamespace(examples=64, popup_epochs=1, mask_steps=40)
SMALL = boolean_networks.build(
    boolean_networks.Plan(
        (
            (0, boolean_networks.at_least(3, 2)),
            (1, boolean_networks.parity(4)),
        ),
        unread=2,
    )
)


class FindTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters("random", "magnitude", "gradient", "ablation")
    def test_scores_are_of_every_weight_and_have_no_threshold(self, method):
        scores, kept, told = stages.find(CONFIG, SMALL, 0, method, seed=0)
        self.assertEqual([*scores], ["hidden/kernel", "output/kernel"])
        self.assertIsNone(kept)
        self.assertEqual(told, {})
        found = cases.score(SMALL, scores)
        if method == "ablation":  # alone, it tells this truth
            self.assertEqual(found["average_precision"], 1.0)

    @parameterized.parameters("mask", "edge_popup")
    def test_masks_have_scores_and_a_threshold(self, method):
        scores, kept, _ = stages.find(CONFIG, SMALL, 0, method, seed=0)
        for path, flags in kept.items():
            self.assertEqual(flags.dtype, bool)
            self.assertEqual(scores[path].shape, flags.shape)
            if method == "mask":
                self.assertAllEqual(flags, scores[path] > 0)

    def test_the_task_is_one_output(self):
        loss, accuracy = stages.task(1)
        labels = np.array([[0, 1], [1, 0]], "float32")
        right = np.array([[9, 5], [-9, -5]], "float32")
        self.assertAllEqual(accuracy(labels, right), [1, 1])
        self.assertAllEqual(accuracy(labels, -right), [0, 0])
        self.assertLess(float(np.mean(loss(labels, right))), 0.01)

    def test_all_methods_look_at_all_networks(self):
        self.assertContainsSubset({"mask", "mask_paper"}, stages.METHODS)
        for case in cases.CASES:
            planted = stages.planted_network(case, 0)
            self.assertLen(planted.kinds, planted.labels.shape[1])


if __name__ == "__main__":
    tf.test.main()

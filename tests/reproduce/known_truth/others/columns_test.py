import numpy as np
from absl.testing import absltest

from reproduce.known_truth.others import columns, stacked_masks, superposition

KIND = superposition.Kind(4, 2)


def found(kept, explained=1.0):
    """Returns `Found` of one network, from an array `(4, 4, 2)`."""
    return stacked_masks.Found(
        np.zeros(4, int),
        np.arange(4),
        {"columns": np.array(kept, bool)},
        np.broadcast_to(explained, 4).astype(float),
        np.ones(4),
    )


def right():
    """Returns masks of which each is the column of its feature."""
    return np.eye(4, dtype=bool)[:, :, None] & np.ones((4, 4, 2), bool)


class JudgeTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.weights = {"columns": np.array([[[3, 4], [1, 2], [2, 1], [1, 1]]])}

    def judged(self, kept, explained=1.0):
        (one,) = columns.judge(KIND, self.weights, found(kept, explained), 0)
        return one

    def test_masks_that_are_the_columns_are_right(self):
        one = self.judged(right())
        for key in ("precision", "recall", "cosine", "mmcs", "lowest"):
            self.assertAlmostEqual(one[key], 1.0, msg=key)
        self.assertFalse(one["broken"])
        self.assertLess(one["random"]["cosine"], 0.9)

    def test_a_network_is_broken_if_half_of_a_mask_is_another_column(self):
        kept = right()
        kept[1, 0] = True  # of 25 beside 5
        one = self.judged(kept)
        self.assertTrue(one["broken"])
        self.assertAlmostEqual(one["lowest"], np.sqrt(5 / 30))
        self.assertAlmostEqual(one["mmcs"], 1.0)  # looks at column 1 alone
        self.assertAlmostEqual(one["precision"], (3 + 0.5) / 4)

    def test_a_network_is_broken_if_half_of_a_column_is_lost(self):
        kept = right()
        kept[0, 0, 1] = False  # 9 of 25 are left
        self.assertTrue(self.judged(kept)["broken"])
        kept = right()
        kept[0, 0, 0] = False  # 16 of 25
        one = self.judged(kept)
        self.assertFalse(one["broken"])
        self.assertAlmostEqual(one["lowest"], 0.8)
        self.assertAlmostEqual(one["recall"], (3 + 0.5) / 4)

    def test_a_mask_that_keeps_nothing_is_not_right(self):
        kept = right()
        kept[2] = False
        self.assertTrue(self.judged(kept)["broken"])

    def test_features_that_the_network_does_not_represent_do_not_count(self):
        kept = right()
        kept[2] = False
        one = self.judged(kept, explained=[1, 1, 0.2, 1])
        self.assertEqual(one["features"], 3)
        self.assertFalse(one["broken"])


class AnswersTest(absltest.TestCase):
    def test_p_is_small_where_sets_are_alike_or_apart(self):
        half = np.arange(20) < 10
        self.assertLess(columns.p_value(half, half), 0.001)
        self.assertLess(columns.p_value(half, ~half), 0.001)
        mixed = np.arange(20) % 2 == 0
        self.assertGreater(columns.p_value(half, mixed), 0.5)

    def test_nothing_and_everything_say_nothing(self):
        some = np.arange(20) < 10
        self.assertEqual(columns.p_value(np.zeros(20, bool), some), 1.0)
        self.assertEqual(columns.p_value(some, np.ones(20, bool)), 1.0)

    def test_counts_pairs_and_features(self):
        kind = superposition.Kind(4, 20, form="residual")
        half = np.arange(20) < 10
        of_features = [half, half, half, np.arange(20) % 2 == 0]
        into = np.zeros((4, 4, 20), bool)
        for i, each in enumerate(of_features):
            into[i, i] = each
        masks = stacked_masks.Found(
            np.zeros(4, int),
            np.arange(4),
            {"into": into, "out": np.ones((4, 20, 4), bool)},
            np.ones(4),
            np.ones(4),
        )
        (one,) = columns.answers(kind, masks, masks)
        self.assertEqual((one["pairs"], one["determined"]), (2, 1))
        self.assertEqual((one["features"], one["determined_again"]), (4, 4))
        self.assertEqual(one["neurons"], 10)

    def test_of_small_sets_nothing_is_sure_by_chance(self):
        # Of two of ten units p is 1, .76 and 2/45 for 0, 1 and 2 shared.
        found = columns.undetermined_by_chance(2, 10)
        self.assertAlmostEqual(found, 44 / 45)
        self.assertAlmostEqual(columns.undetermined_by_chance(0, 10), 1)
        self.assertAlmostEqual(columns.undetermined_by_chance(10, 10), 1)


if __name__ == "__main__":
    absltest.main()

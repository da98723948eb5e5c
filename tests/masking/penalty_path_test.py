import types

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.masking import judging, penalty_path


class ModelOfNumbers:
    """Masks that shrink as a script says; stands for a `MaskedModel`."""

    def __init__(self, sizes):
        self._sizes = sizes
        self.mask_logits = {"kernel": types.SimpleNamespace(value=None)}
        self.alpha, self.seed, self.stop_training = 0.0, 0, False
        self.initial_keep_probability = 0.9
        self.resets = []
        self._keep(100)

    def _keep(self, count):
        # The lower its index, the longer a weight stays.
        self.mask_logits["kernel"].value = (count - 0.5 - np.arange(100.0)) / 10

    def train(self):
        self._keep(self._sizes(self.alpha))

    def set_logits(self, logits):
        self.resets.append(self.alpha)
        self.mask_logits["kernel"].value = logits["kernel"]

    def reset(self, *, seed):
        self.resets.append("start")
        self._keep(100)


def by_tens(alpha):
    """Returns sizes of masks: ten fewer a level."""
    return max(0, 100 - 10 * round(4 * np.log10(alpha / 1e-5)))


def judged(share, error=0.0):
    return judging.Judged(share, share, error, share, error)


def always(share):
    return lambda alpha, before: share


def follow(judge, sizes=by_tens, most=200, start=0.9, **kwargs):
    """Returns a path that has ended, the model, and the penalty of each block.

    Args:
        judge: Function from the penalty, and how often it was asked about that
            one before, to a performance.
        sizes: Function from the penalty to the size of a mask.
        most: Int, the blocks after which a path must have ended.
        start: Float, the chance that a weight is kept before training.
        **kwargs: Of `PenaltyPath`.
    """
    model, asked = ModelOfNumbers(sizes), []
    model.initial_keep_probability = start

    def judge_kept(kept):
        before = asked.count(model.alpha)
        asked.append(model.alpha)
        found = judge(model.alpha, before)
        return found if isinstance(found, judging.Judged) else judged(found)

    path = penalty_path.PenaltyPath(judge_kept, 1e-5, **kwargs)
    path.set_model(model)
    path.set_params({"steps": 50})
    path.on_train_begin()
    alphas = []
    while not model.stop_training:
        model.train()
        alphas.append(model.alpha)
        path.on_epoch_end(len(alphas))
        if len(alphas) > most:
            raise AssertionError("The path does not end.")
    return path, model, alphas


def follow_still(logits, good, later=None):
    """Returns sizes of masks that were asked for, and a path that has ended.

    Args:
        logits: Dict from weight path to float array; no training changes them.
        good: Tuple of int, sizes of masks that perform.
        later: As `logits`, those once the penalty has grown; `None` where it
            does not grow.
    """
    model, asked = ModelOfNumbers(lambda alpha: 0), []

    def set_logits(logits):
        model.mask_logits = {
            path: types.SimpleNamespace(value=values)
            for path, values in logits.items()
        }

    def judge(kept):
        asked.append(sum(int(flags.sum()) for flags in kept.values()))
        return judged(1.0 if asked[-1] in good else 0.0)

    set_logits(logits)
    model.set_logits, model.reset = set_logits, lambda seed: None
    last = 2e-5 if later else 1e-5
    path = penalty_path.PenaltyPath(judge, 1e-5, last=last)
    path.set_model(model)
    path.on_train_begin()
    for epoch in range(50):
        if later and model.alpha > 1e-5:
            set_logits(later)
            later = None
        if not model.stop_training:
            path.on_epoch_end(epoch)
    if not model.stop_training:
        raise AssertionError("The path does not end.")
    return asked, path


class PenaltyPathTest(parameterized.TestCase, tf.test.TestCase):
    def test_the_penalty_grows_four_levels_a_decade_and_warms_up(self):
        path, _, alphas = follow(lambda alpha, before: alpha < 2e-4)
        # A block in which the mask gets smaller, and two in which it does not.
        second, third = 1e-5 * 10**0.25, 1e-5 * 10**0.5
        expected = [1e-5] * 6 + [second] * 3 + [third] * 3
        self.assertAllClose(alphas[:12], expected)
        self.assertLess(path.found.alpha, 2e-4)
        steps = [level.steps for level in path.levels]
        self.assertEqual(steps[:3], [300, 450, 600])
        self.assertEqual(path.found.steps, steps[-1])

    def test_the_penalty_waits_as_long_as_the_mask_shrinks(self):
        def shrinking(by, until):
            """Returns sizes that fall in each block of the third level."""
            sizes = iter(range(90, until, -by))
            third = 1e-5 * 10**0.5

            def size(alpha):
                if alpha < third / 1.01:
                    return 95
                return next(sizes, until) if alpha < third * 1.01 else until

            return size

        def blocks_of_third(**kwargs):
            path, _, alphas = follow(always(1.0), last=1e-4, **kwargs)
            penalties = [level.alpha for level in path.levels]
            self.assertEqual(penalties, sorted({*penalties}))
            return sum(np.isclose(alphas, 1e-5 * 10**0.5, rtol=1e-3))

        self.assertEqual(blocks_of_third(sizes=shrinking(5, 40)), 11 + 2)
        self.assertEqual(blocks_of_third(sizes=shrinking(2, 10)), 30)
        self.assertEqual(blocks_of_third(sizes=shrinking(5, 40), blocks=1), 1)

    def test_the_end_is_searched_in_half_steps_twice(self):
        path, model, _ = follow(lambda alpha, before: alpha < 1.5e-4)
        # Between 1e-4 and 1.78e-4: first 1.33e-4, which performs, then 1.54e-4.
        self.assertAllClose(path.found.alpha, 1e-4 * 10**0.125, rtol=1e-3)
        self.assertLen(model.resets, 2)

    def test_at_a_dip_it_waits_as_long_as_performance_makes_progress(self):
        def judge(alpha, before):
            return 0.5 + 0.05 * before if 9e-5 < alpha < 1.1e-4 else 1.0

        path, model, alphas = follow(judge, keep=0.3)
        waited = sum(np.isclose(alphas, 1e-4, rtol=1e-3))
        # Until .95, and two in which the mask does not shrink.
        self.assertEqual(waited, 10 + 2)
        self.assertEqual(model.resets, [])
        self.assertAllClose(path.found.keep_fraction, 0.3)

    def test_without_progress_or_weights_it_goes_back_at_once(self):
        _, _, stuck = follow(lambda alpha, before: alpha < 1.5e-5)
        # A first block and three without progress, and so once more.
        self.assertEqual(sum(np.isclose(stuck, 1.778e-5, rtol=1e-3)), 8)
        _, _, gone = follow(
            lambda alpha, before: alpha < 1.5e-5,
            sizes=lambda alpha: 100 if alpha < 1.5e-5 else 0,
        )
        self.assertEqual(sum(np.isclose(gone, 1.778e-5, rtol=1e-3)), 2)

    def test_a_first_penalty_that_is_too_large_is_lowered(self):
        path, model, _ = follow(lambda alpha, before: alpha < 1e-6)
        self.assertEqual(model.resets[0], "start")
        self.assertAllClose(path.levels[0].alpha, 1e-7)
        self.assertLess(path.found.alpha, 1e-6)

    def test_a_smaller_mask_may_be_the_first_that_performs(self):
        # As where few data are fitted by large masks.
        path, _, _ = follow(lambda alpha, before: 2e-6 < alpha < 9e-6)
        self.assertBetween(path.found.alpha, 2e-6, 9e-6)
        self.assertGreater(path.levels[0].alpha, 2e-6)

    def test_a_path_that_never_performs_ends_without_a_mask(self):
        path, _, _ = follow(lambda alpha, before: 0.7)
        self.assertIsNone(path.found)
        self.assertEqual(path.best.judged.share, 0.7)

    def test_a_given_penalty_is_reached_whatever_the_performance(self):
        for share in (1.0, 0.1):
            path, _, alphas = follow(always(share), last=1e-3)
            self.assertEqual(path.found.alpha, 1e-3)
            self.assertEqual(alphas[-1], 1e-3)
        path, _, alphas = follow(lambda alpha, before: 1.0, last=1e-6)
        self.assertEqual({*alphas}, {1e-6})

    def test_a_given_size_is_reached_and_not_passed_by_far(self):
        def sizes(alpha):  # falls from 90 to 10 between two levels
            return int(
                np.interp(np.log10(alpha), [-5, -4.9, -4.7], [100, 90, 10])
            )

        for share in (1.0, 0.1):
            path, _, _ = follow(always(share), sizes, keep=0.6)
            self.assertLessEqual(path.found.keep_fraction, 0.6)
        path, _, _ = follow(lambda alpha, before: 1.0, sizes, keep=0.6)
        self.assertGreater(path.found.keep_fraction, 0.4)

    def test_weights_are_ranked_by_when_they_leave(self):
        path, _, _ = follow(lambda alpha, before: alpha < 2e-4)
        left = path.left["kernel"]
        self.assertAllEqual(np.argsort(-left, kind="stable"), np.arange(100))
        kept = path.found.logits["kernel"] > 0
        self.assertTrue((left[kept] >= path.found.alpha).all())
        self.assertTrue((left[~kept] < path.found.alpha).all())

    def test_scores_of_a_mask_that_shrinks_at_one_penalty_keep_the_order(self):
        sizes = iter(range(95, 40, -5))
        path, _, _ = follow(
            always(1.0),
            lambda alpha: 98 if alpha < 1.1e-5 else next(sizes, 45),
            last=1.78e-5,
        )
        left = path.left["kernel"]
        self.assertAllEqual(np.argsort(-left, kind="stable"), np.arange(100))
        self.assertEqual(path.found.keep_fraction, 0.45)

    def test_weights_that_hover_at_the_threshold_leave_together(self):
        # Twenty weights are far above the threshold, and 70 cancel at it.
        logits = {"kernel": np.repeat([3.0, 0.02, -1.0], [20, 70, 10])}
        asked, path = follow_still(logits, good=(20, 90))
        self.assertEqual(asked[:2], [90, 20])
        self.assertAllClose(path.found.keep_fraction, 0.2)
        self.assertLess(path.found.logits["kernel"][20:90].max(), -2)
        left = path.left["kernel"]
        self.assertGreater(left[:20].min(), left[20:].max())
        self.assertGreater(left[20:90].min(), left[90:].max())
        asked, path = follow_still(logits, good=(90,))
        self.assertIn(20, asked)
        self.assertAllClose(path.found.keep_fraction, 0.9)

    def test_tensors_that_hover_leave_together(self):
        # Each has weights that stay longer than some that are needed.
        needed = np.repeat([3.0, 0.4], [20, 10])
        logits = {"needed": needed, "a": needed / 2, "b": needed / 2}
        _, path = follow_still(logits, good=(30, 90))
        self.assertEqual(path.found.keep_fraction, 30 / 90)
        self.assertTrue((path.found.logits["needed"] > 0).all())
        for name in "ab":
            self.assertLess(path.found.logits[name].max(), -2)

    def test_what_hovers_does_not_keep_a_mask_from_performing(self):
        # Some of what cancels is in the mask, and its counterpart is not.
        logits = {"kernel": np.repeat([0.5, 0.02], [20, 80])}
        later = {"kernel": np.repeat([0.5, 0.02, -0.02], [20, 40, 40])}
        for good, expected in (((20, 100), 0.2), ((100,), 1.0)):
            _, path = follow_still(logits, good, later)
            self.assertEqual(path.found.keep_fraction, expected)
            self.assertTrue(path.found.judged.performs())

    def test_a_second_start_has_soft_masks_nearer_to_one(self):
        for start, expected in ((0.9, 0.9975), (0.999, 0.999)):
            path, model, _ = follow(
                lambda alpha, before: alpha < 1e-6, start=start
            )
            self.assertLess(path.found.alpha, 1e-6)
            self.assertEqual(model.initial_keep_probability, expected)
        _, model, _ = follow(lambda alpha, before: alpha < 1e-4)
        self.assertEqual(model.initial_keep_probability, 0.9)

    def test_margins_are_asked_for_only_where_they_can_be_had(self):
        # .96 with an error of .02 is no proof, but the first mask has no more.
        path, _, _ = follow(
            lambda alpha, before: judged(0.96 if alpha < 2e-4 else 0.5, 0.02)
        )
        self.assertLess(path.found.alpha, 2e-4)
        self.assertGreater(path.found.alpha, 9e-5)


if __name__ == "__main__":
    tf.test.main()

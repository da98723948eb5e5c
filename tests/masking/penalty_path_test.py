import itertools
import types

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.masking import judging, penalty_path


class ModelOfNumbers:
    """Masks that shrink as a script says; stands for a `MaskedModel`."""

    def __init__(self, sizes):
        self._sizes = sizes
        self.alpha, self.seed, self.stop_training = 0.0, 0, False
        self.initial_keep_probability, self.num_samples = 0.9, None
        self.resets, self.given = [], []
        self._keep(100)

    def _keep(self, count):
        # The lower its index, the longer a weight stays.
        self.put({"kernel": (count - 0.5 - np.arange(100.0)) / 8})

    def put(self, logits):
        self.mask_logits = {
            path: types.SimpleNamespace(value=values, shape=values.shape)
            for path, values in logits.items()
        }

    def train(self):
        self._keep(self._sizes(self.alpha))

    def set_logits(self, logits):
        self.resets.append(self.alpha)
        self.given.append(logits)
        self.put(logits)

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


def follow(judge, sizes=by_tens, most=200, start=0.9, samples=None, **kwargs):
    """Returns a path that has ended, the model, and the penalty of each block.

    Args:
        judge: Function from the penalty, and how often it was asked about that
            one before, to a performance.
        sizes: Function from the penalty to the size of a mask.
        most: Int, the blocks after which a path must have ended.
        start: Float, the chance that a weight is kept before training.
        samples: Int, masks that are drawn, or `None`.
        **kwargs: Of `PenaltyPath`.
    """
    model, asked = ModelOfNumbers(sizes), []
    model.initial_keep_probability, model.num_samples = start, samples

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


def follow_still(logits, good, later=None, others=None, **kwargs):
    """Returns a path of at most 50 blocks, the model, and the sizes judged.

    Args:
        logits: Dict from weight path to float array; no training changes them.
        good: Tuple of int, sizes of masks that perform.
        later: As `logits`, those once the penalty has grown, or `None`.
        others: Dict from other sizes to `Judged`.
        **kwargs: Of `PenaltyPath`.
    """
    model, sizes = ModelOfNumbers(lambda alpha: 0), []
    model.put(logits)
    known = {size: judged(1.0) for size in good} | (others or {})

    def judge(kept):
        sizes.append(sum(int(flags.sum()) for flags in kept.values()))
        return known.get(sizes[-1], judged(0.0))

    path = penalty_path.PenaltyPath(judge, 1e-5, **kwargs)
    path.set_model(model)
    path.on_train_begin()
    for epoch in range(50):
        if later and model.alpha > 1e-5:
            model.put(later)
            later = None
        if not model.stop_training:
            path.on_epoch_end(epoch)
    return path, model, sizes


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

    @parameterized.parameters(1.012, 1.1, 1.5)
    def test_scores_tell_masks_of_a_last_penalty_close_by_apart(self, ratio):
        last = ratio * 1e-5 * 10**0.25
        sizes = iter(range(95, 60, -5))

        def size(alpha):
            if alpha < 1.1e-5:
                return 98
            return 50 if alpha >= last else next(sizes, 60)

        path, _, alphas = follow(always(1.0), size, last=last)
        self.assertEqual(alphas[-1], last)
        left, kept = path.left["kernel"], path.found.logits["kernel"] > 0
        self.assertEqual(kept.sum(), 50)
        self.assertGreater(left[kept].min(), left[~kept].max())

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
        path, _, sizes = follow_still(logits, good=(20, 90), last=1e-5)
        self.assertEqual(sizes[:2], [90, 20])
        self.assertAllClose(path.found.keep_fraction, 0.2)
        self.assertLess(path.found.logits["kernel"][20:90].max(), -2)
        left = path.left["kernel"]
        self.assertGreater(left[:20].min(), left[20:].max())
        self.assertGreater(left[20:90].min(), left[90:].max())
        path, _, sizes = follow_still(logits, good=(90,), last=1e-5)
        self.assertIn(20, sizes)
        self.assertAllClose(path.found.keep_fraction, 0.9)

    def test_tensors_that_hover_leave_together(self):
        # Each has weights that stay longer than some that are needed.
        needed = np.repeat([3.0, 0.4], [20, 10])
        logits = {"needed": needed, "a": needed / 2, "b": needed / 2}
        path, _, _ = follow_still(logits, good=(30, 90), last=1e-5)
        self.assertEqual(path.found.keep_fraction, 30 / 90)
        self.assertTrue((path.found.logits["needed"] > 0).all())
        for name in "ab":
            self.assertLess(path.found.logits[name].max(), -2)

    def test_what_hovers_does_not_keep_a_mask_from_performing(self):
        # Some of what cancels is in the mask, and its counterpart is not.
        logits = {"kernel": np.repeat([0.5, 0.02], [20, 80])}
        later = {"kernel": np.repeat([0.5, 0.02, -0.02], [20, 40, 40])}
        worse = {20: judged(0.99)}  # than the last that performed
        for good, others, expected in (
            ((20, 100), None, 0.2),
            ((100,), None, 1.0),
            ((100,), worse, 1.0),
        ):
            path, _, _ = follow_still(logits, good, later, others, last=2e-5)
            self.assertEqual(path.found.keep_fraction, expected)
            self.assertTrue(path.found.judged.performs())

    def test_blocks_that_wait_count_as_time_at_a_penalty(self):
        # No mask that is trained performs, only what is cut from it.
        def size(alpha):
            return round(100 * path.found.keep_fraction) - 3

        def judge(kept):
            is_cut = path.found is None or kept["kernel"].sum() != size(0)
            return judged(float(is_cut))

        model = ModelOfNumbers(size)
        path = penalty_path.PenaltyPath(judge, 1e-5)
        path.set_model(model)
        path.on_train_begin()
        alphas = []
        while model.alpha < 3e-5 and len(alphas) < 150:
            if path.found:
                model.train()
            alphas.append(model.alpha)
            path.on_epoch_end(len(alphas))
        self.assertLen(path.levels, 2)
        self.assertBetween(alphas.count(path.found.alpha), 20, 30)

    def test_a_second_start_has_soft_masks_nearer_to_one(self):
        def judge(alpha, before):
            return alpha < 1e-6

        for start, expected in ((0.9, 0.9975), (0.999, 0.999)):
            path, model, _ = follow(judge, start=start)
            self.assertEqual(path.initial_keep_probability, expected)
            odds = np.exp(model.given[0]["kernel"])
            self.assertAllClose(odds / (1 + odds), np.full(100, expected))
            self.assertEqual(model.initial_keep_probability, start)
        path, _, _ = follow(lambda alpha, before: alpha < 1e-4)
        self.assertEqual(path.initial_keep_probability, 0.9)
        path, model, _ = follow(judge, samples=4)  # masks are drawn
        self.assertEqual(path.initial_keep_probability, 0.9)
        self.assertLess(path.found.alpha, 1e-6)

    def test_a_second_start_has_to_lose_a_weight_before_it_performs(self):
        sizes = itertools.chain([100] * 9, itertools.repeat(50))
        path, _, _ = follow(
            lambda alpha, before: float(alpha < 2e-7),
            lambda alpha: 90 if alpha > 9e-6 else next(sizes),
        )
        self.assertEqual(path.levels[0].keep_fraction, 0.5)

    def test_at_the_penalty_asked_for_the_last_mask_that_performed_counts(self):
        def judge(alpha, before):
            return 1.0 if alpha < 9e-5 or before == 0 else 0.2

        path, _, _ = follow(judge, last=1e-4)
        self.assertEqual(path.found.alpha, 1e-4)
        self.assertEqual(path.found.judged.share, 1.0)
        # As where another seed or task just misses a penalty,
        path, model, _ = follow(lambda alpha, before: alpha < 8e-5, last=1e-4)
        self.assertAllClose(path.found.alpha, 1e-5 * 10**0.75)
        self.assertEqual(path.found.judged.share, 1.0)
        self.assertEqual(model.resets, [])
        # but not where it asks for far more.
        path, _, _ = follow(lambda alpha, before: alpha < 8e-5, last=1e-3)
        self.assertEqual(path.found.alpha, 1e-3)
        self.assertEqual(path.found.judged.share, 0.0)

    def test_a_mask_that_is_too_small_leaves_nothing_behind(self):
        def sizes(alpha):
            return int(
                np.interp(np.log10(alpha), [-5, -4.9, -4.7], [100, 90, 10])
            )

        path, _, _ = follow(lambda alpha, before: 1.0, sizes, keep=0.6)
        fractions = [level.keep_fraction for level in path.levels]
        self.assertGreaterEqual(min(fractions), 0.8 * 0.6)
        penalties = [level.alpha for level in path.levels]
        self.assertEqual(penalties, sorted({*penalties}))

    @parameterized.parameters(
        ((100, 10), None, 1.0),  # less than a fifth would stay,
        ((100, 45), 0.5, 1.0),  # or less than was asked for
        ((100, 45), None, 0.45),
    )
    def test_a_cut_leaves_enough(self, good, keep, expected):
        logits = {"kernel": np.repeat([5.0, 3.0, 0.5], [10, 35, 55])}
        path, _, _ = follow_still(logits, good, keep=keep)
        self.assertEqual(path.levels[0].keep_fraction, expected)

    def test_a_cut_does_as_well_as_the_mask_and_loses_no_rule(self):
        logits = {"kernel": np.repeat([3.0, 0.5], [30, 70])}
        loses = judging.Judged(1.0, 1.0, 0.0, 1.0, 0.0, loses_rule=True)
        for cut in (judged(0.99), loses):
            path, _, sizes = follow_still(
                logits, (100,), others={30: cut}, last=1e-5
            )
            self.assertIn(30, sizes)
            self.assertEqual(path.found.keep_fraction, 1.0)

    def test_the_model_goes_on_from_a_cut_which_is_shown(self):
        # The widest gap is no good cut, the second is; what is out stays.
        kernel = np.repeat([6.0, 3.0, 0.5, -1.0], [25, 25, 40, 10])
        shown = []
        path, model, _ = follow_still(
            {"kernel": kernel.astype("float32")},
            good=(50, 90),
            last=1e-5,
            show=shown.append,
        )
        found = path.found.logits["kernel"]
        self.assertAllEqual(model.given[0]["kernel"], found)
        self.assertAllEqual(found > 0, np.arange(100) < 50)
        self.assertAllEqual(found[90:], kernel[90:])
        self.assertEqual([found.dtype, path.left["kernel"].dtype], ["f4"] * 2)
        first, cut = shown[:2]
        self.assertEqual([first.keep_fraction, cut.keep_fraction], [0.9, 0.5])
        self.assertEqual(first.steps, cut.steps)

    def test_a_mask_that_was_asked_for_is_not_cut(self):
        # It does not perform at that penalty, whatever a part of it does.
        logits = {"kernel": np.repeat([3.0, 0.5], [30, 70])}
        path, _, _ = follow_still(logits, good=(30,), last=1e-5)
        self.assertEqual(path.found.keep_fraction, 1.0)

    def test_margins_are_asked_for_only_where_they_can_be_had(self):
        # .96 with an error of .02 is no proof, but the first mask has no more.
        path, _, _ = follow(
            lambda alpha, before: judged(0.96 if alpha < 2e-4 else 0.5, 0.02)
        )
        self.assertLess(path.found.alpha, 2e-4)
        self.assertGreater(path.found.alpha, 9e-5)


if __name__ == "__main__":
    tf.test.main()

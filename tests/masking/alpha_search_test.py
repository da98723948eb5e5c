import math

from absl.testing import absltest, parameterized

from modularity_tf.masking import alpha_search


def falling(limit):
    """Returns a trial whose performance drops to 0.5 above `limit`."""
    seen = []

    def trial(alpha):
        seen.append(alpha)
        return (0.9 if alpha <= limit else 0.5), 1 / (1 + alpha)

    return trial, seen


class SearchAlphaTest(parameterized.TestCase):
    @parameterized.parameters(1e-7, 3e-6, 1e-6, 1e-4)
    def test_finds_the_last_alpha_that_performs(self, limit):
        trial, _ = falling(limit)
        found = alpha_search.search_alpha(trial, 0.9, refinements=6)
        self.assertLessEqual(found.alpha, limit)
        self.assertGreater(found.alpha * 10 ** (0.5 / 2**6), limit)

    def test_grows_until_it_falls_and_steps_back(self):
        trial, seen = falling(5e-5)
        found = alpha_search.search_alpha(
            trial, 0.9, start=1e-6, factor=10, refinements=1
        )
        self.assertSequenceAlmostEqual(
            [math.log10(alpha) for alpha in seen], [-6, -5, -4, -4.5]
        )
        self.assertAlmostEqual(math.log10(found.alpha), -4.5)

    def test_steps_down_when_the_first_alpha_is_too_much(self):
        trial, seen = falling(2e-8)
        found = alpha_search.search_alpha(
            trial, 0.9, start=1e-6, factor=10, refinements=0
        )
        self.assertLen(seen, 3)
        self.assertAlmostEqual(found.alpha, 1e-8)

    def test_the_curve_is_complete_and_in_order(self):
        trial, seen = falling(5e-5)
        found = alpha_search.search_alpha(trial, 0.9)
        self.assertEqual([t["alpha"] for t in found.trials], sorted(seen))
        for point in found.trials:
            self.assertEqual(point["keep_fraction"], 1 / (1 + point["alpha"]))
        self.assertEqual((found.reference, found.fraction), (0.9, 0.95))

    def test_exactly_the_fraction_is_enough(self):
        found = alpha_search.search_alpha(
            lambda alpha: ((0.95 if alpha <= 1 else 0.0), 1.0),
            reference=1.0,
            start=1.0,
            refinements=0,
        )
        self.assertEqual(found.alpha, 1.0)

    @parameterized.parameters(
        ({"reference": 0.0}, "`reference` must be .*, got 0.0"),
        ({"start": -1.0}, "`start`"),
        ({"fraction": 1.5}, "`fraction`"),
        ({"factor": 1.0}, "`factor`"),
        ({"refinements": -1}, "`refinements`"),
        ({"refinements": 0.5}, "`refinements`"),
        ({"max_trials": 0}, "`max_trials` must be .*, got 0"),
        ({"start": math.inf}, "`start` must be .*, got inf"),
        ({"start": "1e-6"}, "`start` must be .*, got '1e-6'"),
        ({"reference": math.nan}, "`reference` must be .*, got nan"),
    )
    def test_refuses(self, kwargs, message):
        kwargs = {"reference": 0.9, **kwargs}
        with self.assertRaisesRegex(ValueError, message):
            alpha_search.search_alpha(falling(1.0)[0], **kwargs)

    def test_gives_up_with_advice(self):
        with self.assertRaisesRegex(
            alpha_search.NoMaskError, "never crossed.*another alpha"
        ):
            alpha_search.search_alpha(lambda alpha: (0.9, 1.0), 0.9)

    @parameterized.parameters((0.9, 1.0, False), (0.1, 1.0, True))
    def test_more_data_are_advice_where_no_mask_performs(
        self, performance, kept, expected
    ):
        with self.assertRaises(ValueError) as refused:
            alpha_search.search_alpha(lambda alpha: (performance, kept), 0.9)
        text = str(refused.exception)
        self.assertEqual("give them more training data" in text, expected)
        self.assertNotIn("train the masks longer", text)

    @parameterized.parameters(
        (None, "must return two numbers.* got None at alpha=1e-06"),
        (0.9, "must return two numbers.* got 0.9"),
        ((0.9, 1.0, 2), "must return two numbers"),
        (("good", 1.0), "must return two numbers.*'good'"),
        ((math.inf, 1.0), "performance at alpha=1e-06 is inf"),
        ((0.9, 73.0), r"keep fraction .* in \[0, 1\], got 73.0"),
    )
    def test_refuses_what_a_trial_must_not_return(self, result, message):
        with self.assertRaisesRegex(ValueError, message):
            alpha_search.search_alpha(lambda alpha: result, 0.9)

    def test_refuses_a_result_in_place_of_a_trial(self):
        with self.assertRaisesRegex(ValueError, "`trial` must be a function"):
            alpha_search.search_alpha((0.9, 1.0), 0.9)

    def test_refuses_nan(self):
        with self.assertRaisesRegex(ValueError, "alpha=1e-06 is nan"):
            alpha_search.search_alpha(lambda alpha: (math.nan, 1.0), 0.9)


if __name__ == "__main__":
    absltest.main()

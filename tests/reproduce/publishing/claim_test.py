import numpy as np
from absl.testing import absltest, parameterized
from scipy import stats

from reproduce.publishing import claim

NAN = float("nan")


def made(values, at_least=0.4, null=-1.0, **kwargs):
    """Returns a claim whose null is far away, on the wrong side."""
    nulls = tuple(null) if isinstance(null, (list, tuple)) else (null,)
    return claim.Claim(
        "it", "", "it is", tuple(values), nulls, "nothing", at_least, **kwargs
    )


def verdict(*args, **kwargs):
    return made(*args, **kwargs).checked()["verdict"]


class ClaimTest(parameterized.TestCase):
    @parameterized.parameters(
        ([0.5], 0.4, None, "one seed"),
        ([0.3], 0.4, None, "one seed"),
        ([0.4, 0.5, 0.6], 0.2, None, "agrees"),
        ([0.4, 0.5, 0.6], 0.9, None, "differs"),
        ([0.4, 0.5, 0.6], None, 0.9, "agrees"),
        ([0.4, 0.5, 0.6], None, 0.2, "differs"),
        ([0.4, 0.5, 0.6], 0.45, None, "undetermined"),  # inside the interval
        ([0.4, 0.5, 0.6], None, 0.45, "undetermined"),
        ([0.4, 0.5, 0.6], 0.2, 0.8, "agrees"),
        ([0.4, 0.5, 0.6], 0.4, 0.6, "undetermined"),
        ([0.4, 0.5, 0.6], 0.1, 0.2, "differs"),  # above the paper's number
        ([0.4, 0.5, 0.6], 0.8, 0.9, "differs"),  # below it
        ([NAN], 0.4, None, "not measured"),
        ([0.5, 0.6, NAN], 0.4, None, "not measured"),
        ([], 0.4, None, "not measured"),
    )
    def test_verdict(self, values, at_least, at_most, expected):
        null = -9.0 if at_most is None or at_least is not None else 9.0
        found = verdict(values, at_least, null, at_most=at_most)
        self.assertEqual(found, expected)

    @parameterized.named_parameters(
        ("fails_the_limit", 0.1, "agrees"),
        ("passes_but_is_excluded", 0.3, "agrees"),
        ("ties", 0.5, "undetermined"),
        ("does_better", 0.9, "undetermined"),
        ("was_not_measured", NAN, "undetermined"),
    )
    def test_a_null_that_does_as_well_is_no_agreement(self, null, expected):
        values = [0.48, 0.5, 0.52]
        self.assertEqual(verdict(values, 0.2, null), expected)
        mirrored = [-value for value in values]
        found = verdict(mirrored, None, -null, at_most=-0.2)
        self.assertEqual(found, expected)

    def test_a_null_in_every_seed_is_compared_seed_by_seed(self):
        values, nulls = [0.4, 0.5, 0.6], [0.38, 0.48, 0.58]
        self.assertEqual(verdict(values, 0.2, nulls), "agrees")
        self.assertEqual(verdict(values, 0.2, 0.48), "undetermined")
        self.assertEqual(verdict(values, 0.2, nulls[::-1]), "undetermined")

    def test_of_a_range_the_null_must_be_outside(self):
        values = [0.48, 0.5, 0.52]
        for null, expected in ((0.1, "agrees"), (0.41, "undetermined")):
            found = verdict(values, 0.4, null, at_most=0.6)
            self.assertEqual(found, expected)

    def test_a_tie_with_the_best_baseline_does_not_agree(self):
        self.assertEqual(verdict([0.0] * 10, 0.0, 0.0), "undetermined")

    @parameterized.parameters((6, "undetermined"), (100, "agrees"))
    def test_a_rate_needs_enough_cases(self, count, expected):
        one = made(
            [0.0, 0.0], None, 0.5, at_most=0.05, cases=(count // 2, count // 2)
        ).checked()
        self.assertEqual(one["verdict"], expected)
        bound = stats.binomtest(0, count).proportion_ci().high
        np.testing.assert_allclose(one["interval"], (0.0, bound))
        self.assertEmpty(one["marks"])

    def test_a_rate_is_that_of_all_cases(self):
        one = made([0.5, 0.0], cases=(2, 6)).checked()
        self.assertAlmostEqual(one["mean"], 1 / 8)

    def test_without_a_range_the_interval_is_students(self):
        values = np.random.default_rng(0).normal(size=8)
        low, high = stats.t.interval(
            0.95, 7, np.mean(values), stats.sem(values)
        )
        for limit, expected in (
            (low - 1e-6, "agrees"),
            (low + 1e-6, "undetermined"),
            (high - 1e-6, "undetermined"),
            (high + 1e-6, "differs"),
        ):
            self.assertEqual(verdict(values, limit, -9.0), expected)
        found = made(values).checked()
        np.testing.assert_allclose(found["interval"], (low, high))
        self.assertAlmostEqual(found["sd"], np.std(values, ddof=1))
        self.assertEqual(found["n"], 8)

    def test_an_interval_stays_in_the_range(self):
        one = made([0.9, 1.0, 1.0], bounds=claim.SHARE).checked()
        self.assertBetween(max(one["interval"]), 0.97, 1.0)

    def test_one_seed_has_neither_spread_nor_interval(self):
        found = made([0.5]).checked()
        self.assertIsNone(found["sd"])
        self.assertEqual(found["interval"], [None, None])
        self.assertEqual(found["mean"], 0.5)

    @parameterized.named_parameters(
        ("constant", [0.7] * 3, {}, ["constant"]),
        ("one_seed", [0.7], {}, []),
        ("post_hoc", [0.6, 0.7], {"post_hoc": True}, ["post hoc"]),
        ("repeat", [0.7, 0.7], {"repeat": True}, ["constant", "repeat"]),
    )
    def test_marks(self, values, kwargs, expected):
        self.assertEqual(made(values, **kwargs).checked()["marks"], expected)

    def test_whose_question_it_is_is_one_of_three(self):
        with self.assertRaisesRegex(ValueError, "paper, ours, own, got 'x'"):
            made([0.5], source="x")


class ClaimsTest(parameterized.TestCase):
    def add(self, claims, id="it", values=(0.5,), **kwargs):
        defaults = {"at_least": 0.2, "null": 0.0, "null_is": "nothing"}
        claims.add(id, "it is", values, **{**defaults, **kwargs})

    def test_a_claim_wants_something(self):
        with self.assertRaisesRegex(ValueError, "`at_least` or `at_most`, got"):
            claim.Claims().add("c", "it is", [0.5], null=0, null_is="nothing")

    def test_values_and_threshold_become_plain_floats(self):
        claims = claim.Claims()
        self.add(claims, values=np.float32([0.5, 0.25]), at_least=np.int64(1))
        (only,) = claims
        self.assertEqual(only.values, (0.5, 0.25))
        for value in (*only.values, only.at_least):
            self.assertIs(type(value), float)

    def test_the_null_is_a_number_or_the_mean_over_seeds(self):
        claims = claim.Claims()
        for null in (0.25, [0.1, 0.3], np.array([0.5]), []):
            self.add(claims, str(null), null=null)
        nulls = [stated["null"] for stated in claims.checked()]
        self.assertEqual(nulls, [0.25, 0.2, 0.5, None])

    def test_subjects_add_up(self):
        network, every = claim.Claims("cnn"), claim.Claims("digits")
        self.add(network)
        every.extend(network)
        self.add(every)
        self.add(every, subject="class 3")
        self.assertEqual(
            [(stated.subject, stated.statement) for stated in every],
            [
                ("digits: cnn", "digits: cnn: it is"),
                ("digits", "digits: it is"),
                ("digits: class 3", "digits: class 3: it is"),
            ],
        )

    def test_an_id_belongs_to_one_claim_of_a_subject(self):
        claims = claim.Claims()
        self.add(claims)
        self.add(claims, subject="cnn")
        with self.assertRaisesRegex(ValueError, r"\('it', 'cnn'\)"):
            self.add(claims, subject="cnn")

    def test_one_main_claim_stands_first(self):
        claims = claim.Claims()
        self.add(claims, "a")
        self.add(claims, "b", main=True)
        self.add(claims, "c", main=True)
        found = [(one["id"], one["main"]) for one in claims.checked()]
        self.assertEqual(found, [("b", True), ("a", False), ("c", False)])

    def test_a_claim_with_the_values_of_another_one_is_a_repeat(self):
        claims = claim.Claims()
        self.add(claims, "a", [0.5, 0.6])
        self.add(claims, "b", [0.5, 0.6], main=True)
        self.add(claims, "c", [0.5, 0.7])
        marks = [(one["id"], one["marks"]) for one in claims.checked()]
        self.assertEqual(marks, [("b", []), ("a", ["repeat"]), ("c", [])])

    def test_checked_claims_have_verdicts(self):
        claims = claim.Claims()
        self.add(claims)
        (found,) = claims.checked()
        self.assertEqual(
            (found["id"], found["subject"], found["verdict"]),
            ("it", "", "one seed"),
        )


if __name__ == "__main__":
    absltest.main()

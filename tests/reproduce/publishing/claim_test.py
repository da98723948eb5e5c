import numpy as np
from absl.testing import absltest, parameterized
from scipy import stats

from reproduce.publishing import claim

NAN = float("nan")


def made(values, threshold=0.4, at_least=True, **kwargs):
    kwargs = {"null": 0.0, "null_is": "nothing", **kwargs}
    return claim.Claim(
        "it", "", "it is", tuple(values), threshold, at_least, **kwargs
    )


def verdict(*args, **kwargs):
    return made(*args, **kwargs).checked()["verdict"]


class ClaimTest(parameterized.TestCase):
    @parameterized.parameters(
        ([0.5], 0.4, True, "one seed"),
        ([0.3], 0.4, True, "one seed"),
        ([0.4, 0.5, 0.6], 0.2, True, "agrees"),
        ([0.4, 0.5, 0.6], 0.9, True, "differs"),
        ([0.4, 0.5, 0.6], 0.9, False, "agrees"),
        ([0.4, 0.5, 0.6], 0.2, False, "differs"),
        ([0.4, 0.5, 0.6], 0.45, True, "undetermined"),  # inside the interval
        ([0.4, 0.5, 0.6], 0.45, False, "undetermined"),
        ([NAN], 0.4, True, "undetermined"),
        ([0.5, 0.6, NAN], 0.4, True, "undetermined"),
        ([], 0.4, True, "undetermined"),
    )
    def test_verdict(self, values, threshold, at_least, expected):
        self.assertEqual(verdict(values, threshold, at_least), expected)

    @parameterized.parameters(True, False)
    def test_exactly_on_the_threshold_agrees(self, at_least):
        self.assertEqual(verdict([0.0] * 3, 0.0, at_least), "agrees")

    def test_interval_is_students(self):
        values = np.random.default_rng(0).normal(size=8)
        low, high = stats.t.interval(
            0.95, 7, np.mean(values), stats.sem(values)
        )
        for threshold, expected in (
            (low - 1e-6, "agrees"),
            (low + 1e-6, "undetermined"),
            (high - 1e-6, "undetermined"),
            (high + 1e-6, "differs"),
        ):
            self.assertEqual(verdict(values, threshold), expected)
        found = made(values).checked()
        np.testing.assert_allclose(found["interval"], (low, high))
        self.assertAlmostEqual(found["sd"], np.std(values, ddof=1))
        self.assertEqual(found["n"], 8)

    def test_one_seed_has_neither_spread_nor_interval(self):
        found = made([0.5]).checked()
        self.assertIsNone(found["sd"])
        self.assertEqual(found["interval"], [None, None])
        self.assertEqual(found["mean"], 0.5)

    def test_the_source_of_a_threshold_is_the_paper_or_us(self):
        with self.assertRaisesRegex(ValueError, "`paper` or `ours`, got 'x'"):
            made([0.5], source="x")


class ClaimsTest(parameterized.TestCase):
    def add(self, claims, id="it", values=(0.5,), **kwargs):
        defaults = {"at_least": 0.2, "null": 0.0, "null_is": "nothing"}
        claims.add(id, "it is", values, **{**defaults, **kwargs})

    def test_a_claim_has_one_threshold_on_one_side(self):
        claims = claim.Claims()
        shared = {"null": 0, "null_is": "nothing"}
        claims.add("a", "it is", [1], at_least=0.2, **shared)
        claims.add("b", "it is", [1], at_most=3, **shared)
        above, below = claims
        self.assertEqual((above.threshold, above.at_least), (0.2, True))
        self.assertEqual((below.threshold, below.at_least), (3.0, False))
        for sides in ({}, {"at_least": 0.1, "at_most": 0.2}):
            with self.assertRaisesRegex(ValueError, "needs one threshold"):
                claims.add("c", "it is", [0.5], **shared, **sides)

    def test_values_and_threshold_become_plain_floats(self):
        claims = claim.Claims()
        self.add(claims, values=np.float32([0.5, 0.25]), at_least=np.int64(1))
        (only,) = claims
        self.assertEqual(only.values, (0.5, 0.25))
        for value in (*only.values, only.threshold):
            self.assertIs(type(value), float)

    def test_the_null_is_a_number_or_the_mean_over_seeds(self):
        claims = claim.Claims()
        for null in (0.25, [0.1, 0.3], np.array([0.5]), []):
            self.add(claims, str(null), null=null)
        nulls = [stated.null for stated in claims]
        np.testing.assert_allclose(nulls, [0.25, 0.2, 0.5, NAN])

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

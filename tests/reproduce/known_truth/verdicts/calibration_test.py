import types
import warnings
from unittest import mock

import numpy as np
from absl.testing import absltest, parameterized

from modularity_tf import WeightMask
from reproduce.known_truth.verdicts import calibration

CONFIG = types.SimpleNamespace(mask_steps=5, extractions=3, sets=20)


def members(*chosen, size=100):
    return {0: np.isin(np.arange(size), chosen)}


def record(seed, **counts):
    sets = {
        f"{errors}/{quality}": {"undetermined false": {"0.0": 3}}
        for errors in calibration.ERRORS
        for quality in calibration.QUALITIES
    }
    sets["independent/exact"] = counts
    return {"seed": seed, "sets": sets, "networks": {}}


class TrueVerdictsTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("nothing_in_common", range(20, 40), {"separate"}),
        ("all", range(20), {"shared"}),
        ("half", range(10, 30), {"shared"}),
        ("one_of_twenty", range(19, 39), {"separate"}),
        ("by_chance", range(16, 36), set()),  # 4 of 20, as a fifth of all is
    )
    def test_are_those_of_the_definitions(self, other, verdicts):
        found = calibration.true_verdicts(members(*range(20)), members(*other))
        self.assertEqual(found, verdicts)

    def test_never_both(self):
        rng = np.random.default_rng(0)
        for _ in range(200):
            sizes = rng.integers(5, 200, 3)
            truths = [
                {i: rng.random(n) < rng.random() for i, n in enumerate(sizes)}
                for _ in range(2)
            ]
            if all(any(v.any() for v in t.values()) for t in truths):
                self.assertLess(len(calibration.true_verdicts(*truths)), 2)


class SetsTest(parameterized.TestCase):
    @parameterized.product(errors=calibration.ERRORS, quality=["good", "poor"])
    def test_errors_come_at_their_rates(self, errors, quality):
        rng = np.random.default_rng(0)
        truths = [
            {0: np.arange(40_000) < 4000},
            {0: np.arange(40_000)[::-1] < 4000},
        ]
        recall, false = calibration.QUALITIES[quality]
        tasks = calibration._extractions(rng, truths, errors, recall, false, 2)
        for truth, extractions in zip(truths, tasks):
            for found in extractions:
                hits = np.mean(found[0][truth[0]])
                alarms = np.mean(found[0][~truth[0]]) * 9
                self.assertAlmostEqual(hits, recall, delta=0.03)
                self.assertAlmostEqual(alarms, false, delta=0.08)
        (one, _), (other, _) = tasks
        nobody = ~(truths[0][0] | truths[1][0])
        both = np.mean(one[0][nobody] & other[0][nobody])
        by_chance = np.mean(one[0][nobody]) * np.mean(other[0][nobody])
        noise = 5 * np.sqrt(by_chance / nobody.sum())
        alike = errors in ("decoys", "everywhere")
        self.assertEqual(both > by_chance + noise, alike)

    def test_few_verdicts_are_false(self):
        rng = np.random.default_rng(1)
        found = [
            calibration.judge_case(rng, errors, quality)
            for _ in range(12)
            for errors in ("independent", "task", "decoys")
            for quality in calibration.QUALITIES
        ]
        said = [one for one in found if one[1] != "undetermined"]
        self.assertGreater(len(said), 25)
        self.assertLessEqual(sum(not true for *_, true in said), 2)

    def test_what_matters_is_measured_among_what_is_in_common(self):
        rng = np.random.default_rng(0)
        truth, own = members(*range(10)), members(*range(20))
        for other, least, most in (
            (range(10), 1.0, 1.0),
            (range(10, 20), 0.0, 0.0),
            (range(5, 15), 1.0, 1.0),  # as much as of all that was found
            (range(50, 60), 0.0, 0.0),
        ):
            found = calibration._need(rng, truth, own, members(*other))
            self.assertBetween(found, least, most)


class NetworksTest(parameterized.TestCase):
    def judged(self, shared, method):
        stage = types.SimpleNamespace(
            seed=0,
            config=CONFIG,
            derive_seed=lambda *purpose: sum(map(ord, str(purpose))),
        )
        return calibration.judge_network(stage, shared, method)

    def test_a_network_is_judged(self):
        found = self.judged("100", calibration.NOISY)
        self.assertEqual(found["true"], ["shared"])
        self.assertIn(found["verdict"], ("shared", "undetermined"))
        self.assertIn("index", found)

    def test_the_largest_weights_are_no_evidence(self):
        found = self.judged("0", "magnitude")
        self.assertEqual(found["true"], ["separate"])
        self.assertEqual(found["verdict"], "undetermined")

    def test_a_method_that_finds_nothing_gives_no_verdict(self):
        none = np.zeros((3, 3), bool)
        with mock.patch.object(
            calibration, "extract", return_value=WeightMask({"a": none})
        ):
            found = self.judged("0", "gradient")
        self.assertIsNone(found["verdict"])
        self.assertIn("no weight 'a'", found["reason"])
        self.assertEqual(calibration.counted({"0/gradient": found}), {})

    def test_scores_keep_as_many_weights_as_are_needed(self):
        planted = calibration.planted_network("0", 0)
        mask = calibration.extract(CONFIG, planted, 0, "gradient", 3)
        needed = planted.weights(0, "needed")
        self.assertEqual(
            sum(v.sum() for v in mask.values.values()),
            sum(v.sum() for v in needed.values()),
        )

    def test_masks_are_learned_with_the_settings_of_the_first(self):
        planted = calibration.planted_network("0", 0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mask = calibration.extract(
                CONFIG,
                planted,
                0,
                calibration.MASK,
                3,
                alpha=1e-4,
                keep_probability=0.99,
            )
        self.assertEqual(mask.provenance["alpha"], 1e-4)


class ClaimsTest(parameterized.TestCase):
    def verdicts(self, records):
        return {
            each.statement.split(": ")[1].split("'")[1]: each.checked()
            for each in calibration.claims(records)
            if each.statement.startswith("sets, independent")
        }

    def test_at_most_a_twentieth_may_be_false(self):
        good = {"shared true": {"1.0": 20}, "separate true": {"0.0": 9}}
        bad = {**good, "shared false": {"0.0": 5}}
        found = self.verdicts([record(s, **good) for s in range(3)])
        self.assertEqual(found["shared"]["verdict"], "agrees")
        self.assertEqual(found["separate"]["verdict"], "agrees")
        found = self.verdicts([record(s, **bad) for s in range(3)])
        self.assertEqual(found["shared"]["verdict"], "differs")
        self.assertAlmostEqual(found["shared"]["mean"], 0.2)

    def test_without_a_verdict_there_is_no_claim(self):
        self.assertEmpty(self.verdicts([record(0)]))

    def test_the_figure_has_a_panel_a_source(self):
        one = record(0, **{"shared true": {"1.0": 20}})
        one["networks"] = {
            "0/mask": {"verdict": "separate", "true": ["separate"]},
            "50/gradient": {"verdict": "shared", "true": ["shared"]},
        }
        drawn = calibration.draw([one])["figA_verdicts"]
        titles = [ax.get_title() for ax in drawn.axes]
        expected = [f"sets, {errors}" for errors in calibration.ERRORS]
        self.assertEqual(titles, [*expected, "networks", "masks"])


if __name__ == "__main__":
    absltest.main()

import math

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from reproduce.bena2021 import claims
from tests.reproduce import checking
from tests.reproduce.bena2021.structure_records import (
    controls,
    record,
    several,
    sweep,
)


def checked(records, subject=""):
    """Returns the claims about a subject by id: those before a run, if ""."""
    return checking.checked(claims.claims(records), subject)


def verdicts(records, subject=""):
    """Returns their verdicts, by id."""
    return {i: c["verdict"] for i, c in checked(records, subject).items()}


CONTROLS = (
    "untrained_masks_lose",
    "untrained_readout",
    "deep_r_at_the_sparsest",
    "accuracy_without_walk",
    "correlation_without_walk",
)


class ClaimsTest(parameterized.TestCase, tf.test.TestCase):
    def test_raw_measures_and_specialization_are_means_over_modules(self):
        one = record(0.1, 0.0)
        one["plain"]["mask"] = [[0.8, 0.2], [0.5, 0.5]]
        self.assertAllClose(claims.raw(one, "mask"), (0.65, 0.35))
        self.assertAllClose(claims.specialized(one, "mask"), 0.3)

    def test_the_table_has_a_row_for_every_sparsity_of_an_arm(self):
        records = several(arm="table1", accuracy=0.91)
        for one in records:
            one["plain"]["accuracy"] += 0.01 * one["seed"]
        records += several(demand=4)
        table, *_ = claims.tables(records)
        self.assertLen(table.rows, 8)
        first = dict(zip(table.columns, table.rows[0], strict=True))
        self.assertEqual(
            first,
            {
                "arm": "Table 1",
                "p": "0.0001",
                "Q": "0.4999",
                "n": "3",
                "bottleneck": "0.90 ± 0.00",
                "weight masks": "0.90 ± 0.00",
                "correlation": "0.90 ± 0.00",
                "accuracy (a) [%]": "92.0 ± 2.5",  # t = 4.303
                "accuracy (b) [%]": "91.0 ± 0.0",
                "SD of masks": "",
                "SD of readouts": "0.030",
                "links moved in 1,000 steps": "20 ± 0",
            },
        )
        self.assertEqual(table.rows[-1][:3], ("ours, m = 4", "1", "0"))
        alone, modules, _ = claims.tables(sweep())
        self.assertEqual(alone.rows[0][3:5], ("1", "0.90"))
        self.assertEqual(modules.rows[0][2:4], ("1", "0.90"))
        records[-1]["plain"]["mask_sd"] = [0.02, 0.01]
        several_masks, *_ = claims.tables(records[-1:])
        self.assertEqual(several_masks.rows[0][-3], "0.015")

    def test_the_table_of_modules_has_them_by_who_answers(self):
        records = several()
        for made in records:
            made["plain"]["mask"] = [[0.6, 0.4], [0.1, 0.9]]
        _, modules, _ = claims.tables(records)
        first = dict(zip(modules.columns, modules.rows[0], strict=True))
        self.assertEqual(first["weight masks, answers less"], "0.20 ± 0.00")
        self.assertEqual(first["weight masks, answers more"], "0.80 ± 0.00")

    def test_own_is_the_diagonal(self):
        one = record(0.1, 0.0)
        one["plain"]["mask"] = [[0.7, 0.1], [0.3, 0.9]]
        self.assertAllClose(claims.raw(one, "mask"), (0.8, 0.2))

    def test_a_measure_that_is_not_defined_is_unknown(self):
        one = record(0.1, 0.0)
        one["plain"]["correlation"] = [[None, 0.1], [0.3, 0.9]]
        own, other = claims.raw(one, "correlation")
        self.assertTrue(math.isnan(own))
        self.assertAllClose(other, 0.2)
        self.assertTrue(math.isnan(claims.specialized(one, "correlation")))

    def test_the_rest_is_a_part_of_the_sparsest(self):
        one = [*reversed(sweep())]
        remaining = claims.remaining
        # Between p = 0.001 and 0.1, that is Q = 0.499 and 0.409.
        q = claims.structural_q(one)
        at_q = np.interp(0.49, q[[2, 1]], [0.1, 0.4])
        self.assertAllClose(remaining(one, "bottleneck"), at_q / 0.9)
        # Q = 0.409 at p = 0.1 is above that for masks. At p = 1 both modules
        # are one network: nothing is left anyway.
        self.assertTrue(math.isnan(remaining(one[:2], "bottleneck")))
        self.assertTrue(math.isnan(remaining(one, "mask")))
        # Sparsities that are not beside it change nothing.
        one.insert(3, record(0.3, 0.0))
        more = [*one[:1], record(3e-4, 0.7), *one[1:4], record(0.9, 0.5)]
        for measure in claims.MEASURES:
            self.assertGreater(remaining(one, measure), 0)
            self.assertEqual(remaining(more, measure), remaining(one, measure))

    def test_more_masks_of_known_networks_say_something_of_masks_alone(self):
        records = several()
        for made in records:
            made["plain"]["mask_sd"] = [0.01, 0.02]
            own = 0.8 + 0.05 * made["seed"]
            made["plain"]["mask"] = [[own, 0.1], [0.1, own]]
        for id, one in checked(records).items():
            if "mask" not in id:
                self.assertIn("repeat", one["marks"], id)
        marks = checked(records)["mask_at_the_sparsest"]["marks"]
        self.assertNotIn("repeat", marks)

    def test_without_a_high_q_nothing_is_high(self):
        dense = [
            record(0.3, 0.9),
            record(1.0, 0.0),
        ]
        for measure in claims.MEASURES:
            self.assertTrue(math.isnan(claims.sparsest(dense, measure)))
            self.assertTrue(math.isnan(claims.remaining(dense, measure)))

    def test_records_of_the_paper_agree(self):
        records = several()
        for made in records:
            if made["p"] == 1e-4:
                made.update(controls(0.85, 0.5, 0.9, spec=0.3))
        found = {
            id: one["verdict"]
            for id, one in checked(records).items()
            if "post hoc" not in one["marks"] and id not in CONTROLS
        }
        self.assertEqual(found.pop("mask_at_high_q"), "not measured")
        self.assertEqual(set(found.values()), {"agrees"})

    def test_the_receiver_is_who_can_tell_the_others_parity(self):
        one = record(0.1, 0.0)
        one["plain"]["mask"] = [[0.8, 0.2], [0.5, 0.5]]
        self.assertAllClose(claims.by_role(one, "mask"), [0.6, 0.0])
        one["plain"]["message"] = [0.9, 0.6]
        self.assertAllClose(claims.by_role(one, "mask"), [0.0, 0.6])
        # Each network has a receiver of its own.
        self.assertEqual(claims.receiver(one, "bottleneck"), 1)

    def test_which_module_answers_is_counted_by_network(self):
        records = several()
        for made in records:
            if made["seed"] == 0:
                made["plain"]["answered"] = [0.8, 0.2]
                made["plain"]["misled"] = [0.43, 0.93]
            made["plain"]["mask"] = [[0.5, 0.5], [0.1, 0.9]]
        _, _, table = claims.tables(records)
        one = dict(zip(table.columns, table.rows[0], strict=True))
        self.assertStartsWith(one["(a): answered by one [%]"], "87 ± ")
        self.assertEqual(one["(a): by module 0"], "1 of 3")
        self.assertEqual(one["(a): other misled [%]"], "93 ± 0")
        self.assertStartsWith(one["(a): it misled [%]"], "51 ± ")
        self.assertEqual(one["(b): by module 0"], "0 of 3")
        # The module that answers more is the specialized one in two of three.
        less, more = claims.by_role(records[0], "mask", claims.answerer)
        self.assertAllClose((less, more), (0.8, 0.0))
        found = checked(records)
        answered = found["one_module_answers_plain"]
        self.assertAllClose(answered["values"], [0.8, 0.9, 0.9])
        lost = found["other_module_told_plain"]
        self.assertAllClose(lost["values"], [0.02] * 3)
        self.assertAllClose(lost["null"], np.mean([0.52, 0.4, 0.4]))
        specialized = found["mask_of_silent_over_answering"]
        self.assertAllClose(specialized["values"], [0.8, -0.8, -0.8])
        self.assertAllClose(specialized["null"], np.mean([0.8, -0.8, -0.8]))
        # Without p = 1 it is not known what no structure comes to.
        sparse = [r for r in records if r["p"] < 1]
        found = checked(sparse)
        self.assertIsNone(found["mask_of_silent_over_answering"]["null"])
        # Without a lower Q there is no claim on who answers.
        found = checked([r for r in records if r["p"] < 0.01])
        self.assertNotIn("one_module_answers_plain", found)

    def test_normalized_is_the_part_of_the_rise_above_p_1(self):
        one = [*reversed(sweep((0.9, 0.4, 0.3, 0.1)))]
        for measure in claims.MEASURES:
            self.assertAllClose(
                claims.normalized(one, measure), [1.0, 0.375, 0.25, 0.0]
            )
        # Q at p = 0.1 is 0.41: below the paper's for the bottleneck alone.
        at_q = np.interp(0.49, claims.structural_q(one)[[2, 1]], [0.25, 0.375])
        self.assertAllClose(claims.normalized_rest(one, "bottleneck"), at_q)
        self.assertTrue(np.isnan(claims.normalized_rest(one, "mask")))
        self.assertTrue(np.isnan(claims.normalized(one[:3], "mask")).all())
        level = [*reversed(sweep((0.1, 0.1, 0.1, 0.1)))]
        self.assertTrue(np.isnan(claims.normalized(level, "mask")).all())

    def test_random_modules_are_the_null_where_p_is_below_1(self):
        one = [*reversed(sweep())]
        self.assertAllClose(claims.beyond_random(one, "mask"), 0.1 - 0.05)
        one[-2]["plain"]["permuted"]["mask"] = None
        self.assertTrue(math.isnan(claims.beyond_random(one, "mask")))
        self.assertTrue(math.isnan(claims.beyond_random(one[-1:], "mask")))

    def test_claims_that_came_after_a_run_say_so(self):
        records = several()
        for made in records:
            if made["p"] < 0.01:
                made.update(controls(0.88, 0.5, 0.9))
        expected = {
            "deep_r_at_p_0.001": "agrees",
            "gentle_wake_at_p_0.0001": "differs",
            "gentle_wake_at_p_0.001": "differs",
            "earliest_at_p_0.0001": "differs",
            "earliest_at_p_0.001": "differs",
            "one_module_answers_plain": "agrees",
            "one_module_answers_bottleneck": "agrees",
        }
        found = checked(records)
        self.assertEqual(
            expected, {id: found[id]["verdict"] for id in expected}
        )
        for id in expected:
            self.assertIn("post hoc", found[id]["marks"])

    def test_more_to_send_is_compared_over_demands(self):
        records = several() + several((0.5, 0.3, 0.1, 0.0), demand=4)
        self.assertNotIn("mask_falls_with_bits", checked(records))
        records += several((0.1, 0.1, 0.1, 0.0), demand=8)
        found = checked(records)["mask_falls_with_bits"]
        self.assertAllClose(found["values"], [-1.0] * 3)

    def test_one_seed_has_no_verdict(self):
        found = verdicts(sweep())
        self.assertEqual(set(found.values()), {"one seed", "not measured"})

    def test_records_without_specialization_differ(self):
        found = verdicts(several((0.0, 0.1, 0.2, 0.3), accuracy=0.85))
        self.assertEqual(found["worst_accuracy"], "differs")
        for measure in claims.MEASURES:
            for what in ("rises_with_q", "at_the_sparsest"):
                self.assertEqual(found[f"{measure}_{what}"], "differs")

    def test_one_bad_network_counts_in_the_claim_on_accuracy(self):
        records = sweep()
        records[1]["bottleneck"]["accuracy"] = 0.8
        self.assertEqual(checked(records)["worst_accuracy"]["values"], [0.8])

    def test_measures_that_do_not_vary_have_no_verdict(self):
        records = [r for s in range(3) for r in sweep([0.6] * 4, seed=s)]
        found = verdicts(records)
        for id in ("mask_rises_with_q", "mask_agrees_with_correlation"):
            self.assertEqual(found[id], "not measured")
        self.assertEqual(found["mask_at_high_q"], "not measured")

    @parameterized.parameters(
        (
            controls(0.85, 0.5, 0.9),
            [True, True, True, False, False],
        ),
        (
            controls(0.94, 0.8, 0.7),
            [False, False, False, True, False],
        ),
    )
    def test_controls_are_compared_with_the_sparsest(self, control, expected):
        records = several()
        for made in records:
            if made["p"] == 1e-4:
                made.update(control)
        found = verdicts(records)
        self.assertEqual([found[id] == "agrees" for id in CONTROLS], expected)

    def test_nulls_are_untrained_networks_chance_and_other_seeds(self):
        records = several(accuracy=0.95)
        for made in records:
            made["plain"]["accuracy"] += 0.01 * made["seed"]
            if made["p"] == 1e-4:
                made.update(controls(0.94, 0.8, 0.7, spec=0.3))
        every = checked(records)
        found = {id: c["null"] for id, c in every.items()}
        for measure in claims.MEASURES:
            self.assertAllClose(found[f"{measure}_at_the_sparsest"], 0.3)
        self.assertAllClose(found["untrained_readout"], 0.1)
        # A small change is set against the smallest that would be seen.
        walk = every["accuracy_without_walk"]
        self.assertEqual(walk["null"], walk["at_most"])
        self.assertIn("between two seeds 1.3%", walk["null_is"])

    def test_without_controls_the_untrained_network_is_not_measured(self):
        found = checked(several())["correlation_at_the_sparsest"]
        self.assertIsNone(found["null"])

    def test_every_claim_has_one_value_a_seed(self):
        records = several() + several(demand=4)
        for found in claims.claims(records).checked():
            self.assertEqual(found["n"], 3, found["id"])

    def test_other_demands_have_claims_of_their_own(self):
        records = several() + several((0.3, 0.2, 0.1, 0.0), demand=4)
        found = verdicts(records, "m = 4")
        for measure in claims.MEASURES:
            self.assertEqual(found[f"{measure}_rises_with_q"], "agrees")
        found = verdicts(records, "m = 4")
        for network in claims.NETWORKS:
            id = f"one_module_answers_{network}"
            self.assertEqual(found[id], "agrees")

    def test_without_the_papers_demand_its_claims_are_not_made(self):
        found = claims.claims(several(demand=4))
        self.assertEqual({one.subject for one in found}, {"m = 4"})

    def test_rank_correlation_is_nan_where_nothing_varies(self):
        rank = claims.rank_correlation
        self.assertAllClose(rank([1, 2, 3], [1.0, 5.0, 9.0]), 1.0)
        self.assertTrue(np.isnan(rank([1, 2, 3], [1.0, 1.0, 1.0])))


if __name__ == "__main__":
    tf.test.main()

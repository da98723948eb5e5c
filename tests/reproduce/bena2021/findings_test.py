import math

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from reproduce.bena2021 import findings


def record(p, spec, seed=0, demand=2, accuracy=0.95, **kwargs):
    """Returns a record whose measures all have this specialization."""
    measure = [
        [0.5 + spec / 2, 0.5 - spec / 2],
        [0.5 - spec / 2, 0.5 + spec / 2],
    ]
    plain = {
        "accuracy": accuracy,
        "q_weighted": 0.4,
        "mask": measure,
        "correlation": measure,
        "cka_distance": measure,
        "mask_accuracy": [0.9, 0.8],
    }
    return {
        "data": "digits",
        "chance": 0.1,
        "p": p,
        "seed": seed,
        "demand": demand,
        "plain": plain,
        "bottleneck": {"accuracy": accuracy, "bottleneck": measure},
        **kwargs,
    }


def sweep(values=(0.9, 0.4, 0.1, 0.0), **kwargs):
    """Returns records from the densest to the sparsest."""
    fractions = (1e-4, 1e-3, 0.1, 1.0)
    pairs = reversed([*zip(fractions, values, strict=True)])
    return [record(p, spec, **kwargs) for p, spec in pairs]


def controls(accuracy, mask_accuracy, readout):
    measure = [[0.6, 0.4], [0.4, 0.6]]
    return {
        "untrained": {"mask_accuracy": [mask_accuracy] * 2, "readout": readout},
        "no_rewiring": {"accuracy": accuracy, "correlation": measure},
        "no_walk": {"accuracy": accuracy, "correlation": measure},
    }


def verdicts(records):
    return {
        c.statement: c.verdict()["verdict"] for c in findings.claims(records)
    }


class StructureFindingsTest(parameterized.TestCase, tf.test.TestCase):
    def test_raw_measures_and_specialization_are_means_over_modules(self):
        one = record(0.1, 0.0)
        one["plain"]["mask"] = [[0.8, 0.2], [0.5, 0.5]]
        self.assertAllClose(findings.raw(one, "mask"), (0.65, 0.35))
        self.assertAllClose(findings.specialized(one, "mask"), 0.3)

    def test_own_is_the_diagonal(self):
        one = record(0.1, 0.0)
        one["plain"]["mask"] = [[0.7, 0.1], [0.3, 0.9]]
        self.assertAllClose(findings.raw(one, "mask"), (0.8, 0.2))

    def test_the_rest_is_a_part_of_the_sparsest(self):
        one = [*reversed(sweep())]
        remaining = findings.remaining
        self.assertAllClose(remaining(one, "bottleneck"), 0.1 / 0.9)
        # Q = 0.41 at p = 0.1 is above the threshold for masks.
        self.assertAllClose(remaining(one, "mask"), 0.0)
        self.assertTrue(math.isnan(remaining(one[:2], "bottleneck")))

    def test_records_of_the_paper_hold(self):
        records = sweep(seed=0) + sweep((0.89, 0.4, 0.1, 0.0), seed=1)
        found = verdicts(records)
        self.assertLen(found, 13)
        self.assertEqual(set(found.values()), {"holds"})

    def test_records_without_specialization_fail(self):
        found = verdicts(sweep((0.0, 0.1, 0.2, 0.3), accuracy=0.85))
        failed = [s for s, v in found.items() if v == "fails"]
        self.assertLen(failed, 7)  # three do not rise, three are low, accuracy
        self.assertIn("accuracy, the worst of all networks of a seed", failed)

    def test_one_bad_network_fails_the_claim_on_accuracy(self):
        records = sweep()
        records[1]["bottleneck"]["accuracy"] = 0.8
        (found,) = [
            c
            for c in findings.claims(records)
            if c.statement.startswith("accuracy, the worst")
        ]
        self.assertEqual(found.values, (0.8,))

    def test_measures_that_do_not_vary_leave_claims_undetermined(self):
        found = verdicts(sweep((0.6, 0.6, 0.6, 0.6)))
        undetermined = [s for s, v in found.items() if v == "undetermined"]
        self.assertLen(undetermined, 6)

    @parameterized.parameters(
        (controls(0.85, 0.5, [0.9, 0.9]), [True, True, True, False, False]),
        (controls(0.94, 0.8, [0.7, 0.7]), [False, False, False, True, False]),
    )
    def test_controls_are_compared_with_the_sparsest(self, control, expected):
        records = sweep()
        records[-1]["controls"] = control
        found = [*verdicts(records).values()][-5:]
        self.assertEqual([v == "holds" for v in found], expected)

    def test_other_demands_have_claims_of_their_own(self):
        found = verdicts(sweep() + sweep((0.3, 0.2, 0.1, 0.0), demand=4))
        own = {s: v for s, v in found.items() if s.startswith("m = 4")}
        self.assertLen(own, 3)
        self.assertEqual(set(own.values()), {"holds"})

    def test_draws_every_figure_with_one_repeat_or_several(self):
        figures = {"fig02_specialization", "fig03_raw_metrics"}
        figures |= {"fig04_accuracy", "weighted_q"}
        one = sweep()
        self.assertEqual(set(findings.draw(one)), figures)
        every = one + sweep(seed=1) + sweep(demand=4) + sweep(demand=4, seed=1)
        drawn = findings.draw(every)
        self.assertEqual(set(drawn), figures | {"demand"})
        left, right = drawn["fig02_specialization"].axes[:2]
        (x, y), (q, _) = (ax.lines[0].get_data() for ax in (left, right))
        self.assertAllClose(x, [1e-4, 1e-3, 0.1, 1.0])
        self.assertAllClose(q, (1 - x) / (2 * (1 + x)))
        self.assertAllClose(y, [0.9, 0.4, 0.1, 0.0], atol=1e-12)
        self.assertEqual(left.get_xscale(), "log")

    def test_rank_correlation_is_nan_where_nothing_varies(self):
        rank = findings.rank_correlation
        self.assertAllClose(rank([1, 2, 3], [1.0, 5.0, 9.0]), 1.0)
        self.assertTrue(np.isnan(rank([1, 2, 3], [1.0, 1.0, 1.0])))


if __name__ == "__main__":
    tf.test.main()

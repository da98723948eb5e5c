import numpy as np
from absl.testing import absltest, parameterized

from reproduce.csordas2021.arithmetic import common
from tests.reproduce import checking

TASKS = ("a", "b")


def record(full=0.98, own=0.97, other=0.1, **more):
    entry = {"share": 0.3, "expected": 0.1, "ceiling": 0.8}
    return {
        "sharing": {"a": [entry], "b": [entry]},
        "digits": 2,
        "dense": {"a": 1.0, "b": 1.0},
        "accuracy": {
            "full": {"a": full, "b": full},
            "a": {"a": own, "b": other},
            "b": {"a": other, "b": own},
        },
        **more,
    }


def checked(records):
    return checking.checked(common.claims(records, TASKS))


class EdgesLessMiddleTest(absltest.TestCase):
    def test_compares_first_and_last_layer_with_the_others(self):
        def shares(*shares):
            entries = [{"share": s, "expected": s / 2} for s in (*shares, 9.0)]
            layers = ["lstm1", "lstm1 recurrent", "lstm2", "output"]
            return {"layers": layers, "sharing": {"a": entries}}

        records = [shares(0.5, 0.1, 0.3, 0.7), shares(0.1, 0.2, 0.2, 0.1)]
        found = common.edges_less_middle(records, ["a"])
        np.testing.assert_allclose(found, [0.4, -0.1])
        null = common.edges_less_middle(records, ["a"], "expected")
        np.testing.assert_allclose(null, [0.2, -0.05])
        total = common.total_sharing(records, ["a"], "expected")
        np.testing.assert_allclose(total, [4.5, 4.5])

    def test_sharing_of_a_mask_without_weights_is_unknown(self):
        entries = [{"share": None}, {"share": 0.5}, {"share": 0.25}]
        found = common.sharing([{"sharing": {"a": entries}}], "a")
        np.testing.assert_equal(found, [[np.nan, 0.5, 0.25]])


class CommonClaimsTest(parameterized.TestCase):
    @parameterized.parameters((0.98, "agrees"), (0.9, "differs"))
    def test_the_mask_of_all_tasks_must_keep_95_percent(self, full, verdict):
        found = checked([record(full=full)] * 2)
        claim = found["full_mask_keeps_accuracy"]
        self.assertEqual((claim["verdict"], claim["n"]), (verdict, 2))
        self.assertEqual((claim["source"], claim["at_least"]), ("paper", 0.95))
        self.assertAlmostEqual(claim["null"], 0.01)  # guessing two digits

    def test_a_tasks_mask_is_read_beside_the_other_tasks(self):
        worse = record(own=0.9, other=0.2)
        worse["accuracy"]["a"]["a"] = 0.8
        worse["accuracy"]["b"]["a"] = 0.15
        found = checked([worse] * 2)
        claim = found["own_mask_performs"]
        self.assertEqual(claim["verdict"], "differs")
        self.assertAlmostEqual(claim["mean"], 0.8)
        self.assertAlmostEqual(claim["null"], 0.15)

    def test_pairs_that_are_held_out_are_a_claim_if_there_are_any(self):
        self.assertNotIn("learnt_by_heart", checked([record()]))
        made = [record(held_out={"a": 0.5, "b": 0.7})] * 2
        found = checked(made)
        claim = found["learnt_by_heart"]
        self.assertEqual(claim["verdict"], "differs")
        self.assertAlmostEqual(claim["mean"], 0.4)
        self.assertAlmostEqual(claim["null"], 0.99)


if __name__ == "__main__":
    absltest.main()

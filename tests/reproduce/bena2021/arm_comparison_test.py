import numpy as np
from absl.testing import absltest

from modularity_tf import stats
from reproduce.bena2021 import arm_comparison
from tests.reproduce.bena2021.structure_records import several

ROW = "weight masks: high specialization at the sparsest"


class AcrossTest(absltest.TestCase):
    def table(self, first, second):
        runs = {"a": first, "b": second}
        (table,) = arm_comparison.across(runs)
        cells = {row[0]: row[1:] for row in table.rows}
        return table, cells

    def test_arms_are_compared_seed_by_seed(self):
        values = (0.9, 0.4, 0.1, 0.0)
        other = (0.5, 0.4, 0.1, 0.0)
        second = several(other, arm="frozen")
        for record in second:  # another spread over seeds
            if record["seed"] == 2 and record["p"] == 1e-4:
                record["plain"]["mask"] = [[0.8, 0.2], [0.2, 0.8]]
        table, cells = self.table(several(values), second)
        self.assertEqual(
            table.columns,
            ("", "ours", "readouts frozen", "readouts frozen less ours"),
        )
        less = np.subtract([0.5, 0.501, 0.6], [0.9, 0.901, 0.902])
        low, high = stats.mean_interval(less)
        self.assertEqual(
            cells[ROW][2], f"{less.mean():.2f} ({low:.2f} to {high:.2f})"
        )
        self.assertStartsWith(cells[ROW][0], "0.90 (")
        self.assertStartsWith(cells[ROW][1], "0.53 (")

    def test_only_what_both_runs_have_counts(self):
        first = several()
        second = [
            record
            for record in several(arm="frozen")
            if record["seed"] < 2 and record["p"] != 0.1
        ]
        second += several(arm="frozen", demand=4)
        table, cells = self.table(first, second)
        self.assertIn("the same 2 seeds", table.note)
        self.assertIn("the same 3 sparsities", table.note)
        # What p = 0.1 alone tells is not known any more.
        rest = next(cells[row] for row in cells if "at Q = 0.49" in row)
        self.assertEqual(set(rest), {"not measured"})
        self.assertNotIn("correlation: at p = 0.1", cells)
        self.assertStartsWith(cells["correlation: at p = 0.001"][0], "0.40 (")

    def test_a_run_is_the_same_as_itself(self):
        _, cells = self.table(several(), several(arm="frozen"))
        self.assertEqual(cells[ROW][2], "0.00 (0.00 to 0.00)")


if __name__ == "__main__":
    absltest.main()

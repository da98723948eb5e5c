import tensorflow as tf
from absl.testing import parameterized

import modularity_tf as mtf

LEVELS = [
    {
        "alpha": 1e-5,
        "performance": 0.97,
        "on_scale": 0.98,
        "interval": [0.95, 1.01],
        "on_all_data": 0.98,
        "keep_fraction": 0.4,
        "steps": 300,
    },
    {
        "alpha": 2e-5,
        "performance": 0.94,
        "on_scale": 0.95,
        "interval": None,
        "on_all_data": 0.95,
        "keep_fraction": 0.1,
        "steps": 350,
    },
]


class MaskPathTest(parameterized.TestCase, tf.test.TestCase):
    def test_is_a_sequence_that_can_not_be_changed(self):
        path = mtf.MaskPath(LEVELS)
        self.assertLen(path, 2)
        path[0]["alpha"] = 7.0
        for level in path:
            level["steps"] = 0
        self.assertEqual([*path], LEVELS)
        self.assertEqual(path[1:], mtf.MaskPath(LEVELS[1:]))
        self.assertEqual(repr(path), "MaskPath of 2 masks")

    def test_the_table_has_a_row_for_each_mask(self):
        table = mtf.MaskPath(LEVELS).table()
        columns = [[*column.cells] for column in table.columns]
        self.assertEqual(columns[1], ["40.00%", "10.00%"])
        self.assertEqual(columns[3], ["0.950 to 1.010", ""])

    def test_the_picture_shows_sizes_and_intervals(self):
        (ax,) = mtf.MaskPath(LEVELS).plot().axes
        line = ax.lines[0]
        self.assertAllClose(line.get_xdata(), [10, 40])
        self.assertAllClose(line.get_ydata(), [95, 98])
        (bars,) = ax.containers[0][2]
        ends = [segment[:, 1] for segment in bars.get_segments()]
        self.assertAllClose(ends, [[95, 95], [95, 101]])

    @parameterized.named_parameters(
        ("empty", []),
        ("of_release_01", [{"alpha": 1e-5, "on_scale": 1, "keep_fraction": 0}]),
    )
    def test_draws_what_older_files_have(self, levels):
        self.assertLen(mtf.MaskPath(levels).plot().axes, 1)


if __name__ == "__main__":
    tf.test.main()

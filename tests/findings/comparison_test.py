import tempfile

import tensorflow as tf

from modularity_tf.findings.comparison import ALL, Comparison, LayerComparison

ROW = {"measure": "shared", "value": 0.5, "chance": 0.25, "p": 0.01}
COMPARISON = Comparison(
    (
        LayerComparison("a", "x", "y", 12, (6, 4), **ROW),
        LayerComparison(ALL, "x", "y", 12, (6, 4), **ROW),
        LayerComparison(
            ALL, "x", "z", 12, (0, 4), "shared", value=None, chance=None, p=None
        ),
    )
)


class ComparisonTest(tf.test.TestCase):
    def test_comes_back_from_its_file(self):
        file = f"{self.enterContext(tempfile.TemporaryDirectory())}/same.npz"
        COMPARISON.save(file)
        self.assertEqual(Comparison.load(file), COMPARISON)

    def test_a_pair_is_found_by_its_names(self):
        self.assertEqual([*COMPARISON.of("x", "y")], ["a", ALL])
        with self.assertRaisesRegex(ValueError, "must be one of the pairs"):
            COMPARISON.of("y", "x")

    def test_says_what_two_findings_share(self):
        self.assertEqual(
            str(COMPARISON),
            "x, y: share of the first's units that the second marks, 50.0%, by "
            "chance 25.0% (p = 0.01). x, z: one of them is empty.",
        )
        self.assertIn("none", COMPARISON._repr_html_())


if __name__ == "__main__":
    tf.test.main()

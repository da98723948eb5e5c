import numpy as np
from absl.testing import absltest

from reproduce.elbastawisy2025 import figures


def overlap(layer, share):
    return {
        "of_layer": layer,
        "share": share,
        "jaccard": share,
        "expected_of_layer": layer / 2,
        "expected_share": share / 2,
    }


def record(seed, share):
    """Returns a record of two classes with the sharing by one method."""
    entry = {"conv": overlap(0.1, share), "total": overlap(0.05, share)}
    bins = {key: [0.5, -1.0] for key in ("confidence", "accuracy", "count")}
    return {
        "dataset": "digits",
        "data": "digits (8x8)",
        "seed": seed,
        "class_names": ["0", "1"],
        "calibration": {
            "temperature": 1.5,
            "bins": {"before": bins, "after": bins},
        },
        "methods": {
            "threshold": {
                "sharing": {
                    "specialize": {"every": entry, "as_in_text": entry},
                    "reuse": {"every": entry, "as_in_text": entry},
                    "active": {"conv": 0.3},
                }
            }
        },
    }


class DrawTest(absltest.TestCase):
    def test_draws_what_the_records_have_and_no_more(self):
        found = figures.draw([record(0, 0.4), record(1, 0.6)])
        self.assertEqual(
            set(found),
            {
                "fig01_threshold_specialize_digits",
                "fig02_threshold_reuse_digits",
                "active_digits",
                "reliability_digits",
            },
        )

    def test_bars_are_means_over_the_seeds_in_percent(self):
        found = figures.draw([record(0, 0.4), record(1, 0.6)])
        axes = found["fig01_threshold_specialize_digits"].axes[0]
        heights = {round(bar.get_height(), 6) for bar in axes.patches}
        self.assertLessEqual({10.0, 5.0, 50.0}, heights)
        self.assertTrue(np.isfinite([*heights]).all())


if __name__ == "__main__":
    absltest.main()

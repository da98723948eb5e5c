import numpy as np
import tensorflow as tf

from reproduce.elbastawisy2025 import findings


def record(own, others):
    """Returns a record of two classes whose ablation loses so much."""
    ablated = [
        {"ablated": {"confusion": np.diag([0.9 - own, 0.8 - others]).tolist()}},
        {"ablated": {"confusion": np.diag([0.9 - others, 0.8 - own]).tolist()}},
    ]
    return {
        "network": {"confusion": np.diag([0.9, 0.8]).tolist()},
        "methods": {"bayesian": {"ablation": ablated}},
    }


class DropOfClassTest(tf.test.TestCase):
    def test_own_and_other_classes_are_told_apart(self):
        drops = findings.drop_of_class(record(0.5, 0.1))
        self.assertAllClose(drops, [[0.5, 0.1], [0.5, 0.1]])


class SubnetworksTest(tf.test.TestCase):
    def test_own_and_other_classes_and_the_calibration_of_each(self):
        ablation = [
            {
                "subnetwork": {"confusion": [[0.9, 0.1], [0.8, 0.2]]},
                "calibration": {"error_before": 0.3, "error_after": 0.1},
            },
            {
                "subnetwork": {"confusion": [[0.4, 0.6], [0.3, 0.7]]},
                "calibration": {"error_before": 0.2, "error_after": 0.0},
            },
        ]
        found = {"methods": {"threshold": {"ablation": ablation}}}
        self.assertAllClose(
            findings.subnetwork_accuracy(found, "threshold"),
            [[0.9, 0.2], [0.7, 0.4]],
        )
        self.assertAllClose(
            findings.calibration_errors(found, "threshold"),
            [[0.3, 0.1], [0.2, 0.0]],
        )


class RatioTest(tf.test.TestCase):
    def test_pairs_without_active_neurons_do_not_count(self):
        entries = [{"total": {"share": s}} for s in (0.2, np.nan, 0.4)]
        sharing = {"specialize": entries, "random_pairs": [0, 1]}
        found = {"methods": {"bayesian": {"sharing": sharing}}}
        ratio = findings.ratio
        self.assertAllClose(
            ratio(found, "bayesian", "specialize", "share"), 0.3
        )
        text = ratio(found, "bayesian", "specialize", "share", as_in_text=True)
        self.assertAllClose(text, 0.2)


if __name__ == "__main__":
    tf.test.main()

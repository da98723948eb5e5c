import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from reproduce.elbastawisy2025 import claims
from tests.reproduce.checking import checked


def record(own, others):
    """Returns a record of two classes whose ablation loses so much."""
    ablated = [
        {"right": {"ablated": [0.9 - own, 0.8 - others]}},
        {"right": {"ablated": [0.9 - others, 0.8 - own]}},
    ]
    return {
        "network": {"confusion": np.diag([0.9, 0.8]).tolist()},
        "methods": {"bayesian": {"ablation": ablated}},
    }


class DropOfClassTest(tf.test.TestCase):
    def test_own_and_other_classes_are_told_apart(self):
        drops = claims.drop_of_class(record(0.5, 0.1), "bayesian")
        self.assertAllClose(drops, [[0.5, 0.1], [0.5, 0.1]])


class SubnetworksTest(tf.test.TestCase):
    def test_own_and_other_classes_and_the_calibration_of_each(self):
        ablation = [
            {
                "right": {"subnetwork": [0.9, 0.2]},
                "calibration": {"error_before": 0.3, "error_after": 0.1},
            },
            {
                "right": {"subnetwork": [0.4, 0.7]},
                "calibration": {"error_before": 0.2, "error_after": 0.0},
            },
        ]
        found = {"methods": {"threshold": {"ablation": ablation}}}
        self.assertAllClose(
            claims.subnetwork_accuracy(found, "threshold"),
            [[0.9, 0.2], [0.7, 0.4]],
        )
        self.assertAllClose(
            claims.calibration_errors(found, "threshold"),
            [[0.3, 0.1], [0.2, 0.0]],
        )


class RatioTest(tf.test.TestCase):
    def test_is_read_from_the_record_where_nothing_is_active_nan(self):
        pairs = {
            "every": {"total": {"share": 0.3}},
            "as_in_text": {"total": {"share": None}},
        }
        found = {"methods": {"bayesian": {"sharing": {"specialize": pairs}}}}
        args = found, "bayesian", "specialize", "share"
        self.assertEqual(claims.ratio(*args), 0.3)
        self.assertTrue(np.isnan(claims.ratio(*args, as_in_text=True)))


def network(seed, shared=0.05, halves=0.25, p=(0.01, 0.02), lost=0.6):
    """Returns a record in which masking is as the text says.

    Args:
        seed: Int.
        shared: Float, |A & B| / |A| of the classes, by masking.
        halves: Float, that of the halves of a class.
        p: Floats, of the permutation test.
        lost: Float, accuracy that a class loses by its ablation.
    """

    def entry(share, expected):
        found = {
            "share": share,
            "expected_share": expected,
            "of_layer": share,
            "expected_of_layer": expected,
        }
        # What a layer shares can differ from what all share.
        return {
            "conv": {**found, "share": share + 0.1},
            "dense": {**found, "of_layer": 0.0},
            "total": {**found, "of_layer": 0.8},
        }

    def sharing(specialize, reuse):
        return {
            "specialize": {"every": entry(specialize, 0.2)},
            "reuse": {"every": entry(reuse, 0.3)},
        }

    def without(label, points):
        right = np.array([0.9, 0.8])
        right[label] -= points
        return right.tolist()

    ablation = [
        {
            "right": {
                "ablated": without(label, lost),
                "random": without(label, 0.1),
            },
            "calibration": {"error_before": 0.3, "error_after": 0.1},
        }
        for label in (0, 1)
    ]
    masking = {
        "sharing": sharing(shared, halves),
        "permutations": [{"p": each} for each in p],
        "ablation": ablation,
    }
    return {
        "data": "MNIST",
        "seed": seed,
        "network": {"confusion": np.diag([0.9, 0.8]).tolist()},
        "methods": {
            "threshold": {"sharing": sharing(0.5, 0.9)},
            "bayesian": masking,
            "relative": masking,
        },
    }


class ClaimsTest(parameterized.TestCase):
    def checked(self, method, **kwargs):
        records = [network(seed, **kwargs) for seed in (0, 1)]
        return checked(claims.claims(records), f"MNIST, {method}")

    @parameterized.parameters("thresholding", "masking", "relative masking")
    def test_all_agree_where_all_is_as_in_the_text(self, method):
        found = self.checked(method)
        self.assertEqual({c["n"] for c in found.values()}, {2})
        # That all pairs are significant no number of pairs can show.
        if pairs := found.pop("significant_pairs", None):
            self.assertEqual(pairs["verdict"], "undetermined")
        self.assertEqual({c["verdict"] for c in found.values()}, {"agrees"})

    def test_nulls_are_those_of_random_neurons(self):
        for method, id, null in (
            ("thresholding", "reuse", 0.3),
            ("masking", "reuse", 0.3),
            ("masking", "ablation_loss", 0.1),
        ):
            self.assertAlmostEqual(self.checked(method)[id]["null"], null)

    @parameterized.named_parameters(
        # 25 % of the active neurons may be 2 % of the layer.
        ("as_random", {"shared": 0.25}, "sharing_over_random_total"),
        ("a_layer_as_random", {"shared": 0.15}, "sharing_over_random_conv"),
        ("a_pair_by_chance", {"p": (0.01, 0.2)}, "significant_pairs"),
        ("nothing_is_active", {"p": (None, None)}, "significant_pairs"),
        ("halves_share", {"halves": 0.9}, "reuse"),
        ("halves_share_much_of_a_layer", {"halves": 0.31}, "reuse_of_layer"),
        ("classes_share", {"shared": 0.21}, "specialize_of_layer"),
        ("random_ones_cost_as_much", {"lost": 0.05}, "ablation_over_random"),
    )
    def test_differ_where_it_is_not(self, changes, id):
        for method in ("masking", "relative masking"):
            found = self.checked(method, **changes)
            self.assertEqual(found[id]["verdict"], "differs")


if __name__ == "__main__":
    tf.test.main()

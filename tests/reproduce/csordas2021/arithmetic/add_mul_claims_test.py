import numpy as np
from absl.testing import absltest, parameterized

from reproduce.csordas2021.arithmetic import add_mul_claims
from tests.reproduce import checking


def record(network="fnn", does=0.7, neither=0.2, kept=(100, 300)):
    """Returns a record; `does`, `neither`: under the other one's mask."""
    asked = 1 - does - neither
    sharing = [
        {"share": share, "expected": 0.1, "ceiling": 0.9}
        for share in (0.6, 0.2, 0.4, 0.3)
    ]
    accuracy = {"add": 0.99, "mul": 0.97}
    low = {"add": 0.3, "mul": 0.1}
    return {
        "network": network,
        "digits": 2,
        "layers": ["hidden1", "hidden2", "output"],
        "alpha_search": None,
        "dense": accuracy,
        "accuracy": {
            "full": accuracy,
            "add": {"add": 0.99, "mul": asked},
            "mul": {"add": asked, "mul": 0.97},
            "not add": low,
            "not mul": low,
        },
        "kept": {
            name: [count, 0, 0]
            for name, count in zip(("add", "mul"), kept, strict=True)
        },
        "sharing": {"add": sharing, "mul": sharing},
        "performed": {
            "full": [[0.9, 0.04, 0.06], [0.02, 0.9, 0.08]],
            "add": [[1.0, 0.0, 0.0], [does, asked, neither]],
            "mul": [[asked, does, neither], [0.0, 1.0, 0.0]],
        },
    }


def checked(records):
    return checking.checked(add_mul_claims.claims(records))


class ClaimsTest(parameterized.TestCase):
    @parameterized.parameters(
        ("fnn", "performs_own_operation", 0.7, "agrees", 0.03),
        ("lstm", "gives_neither_result", 0.2, "differs", 0.07),
    )
    def test_each_network_has_its_own_behavior(
        self, network, id, mean, verdict, null
    ):
        every = checked([record(network)] * 2)
        found = every[id]
        self.assertEqual(found["verdict"], verdict)
        self.assertAlmostEqual(found["mean"], mean)
        # What the mask of both operations does instead.
        self.assertAlmostEqual(found["null"], null)
        both = {"performs_own_operation", "gives_neither_result"}
        self.assertEqual(both & set(every), {id})

    def test_sharing_at_the_edges_is_read_beside_random_masks(self):
        found = checked([record()] * 2)["edges_over_hidden"]
        self.assertAlmostEqual(found["mean"], 0.5 - 0.2)
        self.assertAlmostEqual(found["null"], 0.0)
        self.assertEqual(found["verdict"], "agrees")

    def test_hidden_layers_are_to_share_less_than_random_masks(self):
        found = checked([record()] * 2)["hidden_under_random"]
        self.assertAlmostEqual(found["mean"], 0.1 - 0.2)
        self.assertEqual(found["verdict"], "differs")

    def test_without_layers_between_the_edges_are_no_claim(self):
        made = record()
        made["layers"] = ["hidden1", "output"]
        for task in ("add", "mul"):
            made["sharing"][task] = made["sharing"][task][1:]
        known = {"edges_over_hidden", "hidden_under_random"}
        self.assertEqual(set(checked([record()])) - set(checked([made])), known)

    def test_weights_of_multiplication_are_counted_against_addition(self):
        for kept, verdict in ((120, "differs"), (380, "agrees")):
            found = checked([record(kept=(100, kept))] * 2)["weights_ratio"]
            self.assertEqual(found["mean"], kept / 100)
            self.assertEqual(found["verdict"], verdict)
        found = checked([record(kept=(100, 900))] * 2)["weights_ratio"]
        self.assertEqual(found["verdict"], "differs")  # above the paper's 3.8

    def test_inverted_masks_are_read_beside_the_network(self):
        found = checked([record()] * 2)["inverted_mask"]
        self.assertAlmostEqual(found["mean"], 0.2)
        self.assertAlmostEqual(found["null"], 0.98)

    def test_one_seed_gives_no_verdict(self):
        verdicts = {c["verdict"] for c in checked([record()]).values()}
        self.assertEqual(verdicts, {"one seed"})


class DrawTest(absltest.TestCase):
    def test_figures_are_numbered_as_in_the_paper(self):
        figures = add_mul_claims.draw([record(kept=(100, 300))])
        self.assertEqual(
            set(figures),
            {
                "fig01_sharing",
                "fig10_accuracy",
                "fig11_weights_kept",
                "fig12_performed_operation",
            },
        )
        bars = figures["fig11_weights_kept"].axes[0].patches
        np.testing.assert_allclose(
            [bar.get_height() for bar in bars], [100, 0, 0, 100, 300, 0, 0, 300]
        )


if __name__ == "__main__":
    absltest.main()

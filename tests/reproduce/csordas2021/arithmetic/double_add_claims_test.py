import numpy as np
from absl.testing import absltest, parameterized

from reproduce.csordas2021.arithmetic import double_add_claims
from tests.reproduce import checking


def record(presentation="passes", seed=0, share=0.15, expected=0.05, loss=0.05):
    """Returns a record; `loss`: without the other pair's weights."""
    entry = {"share": share, "expected": expected, "ceiling": 0.7}
    return {
        "presentation": presentation,
        "seed": seed,
        "digits": 2,
        "layers": ["hidden1", "output"],
        "alpha_search": None,
        "dense": {"pair1": 0.8, "pair2": 1.0},
        "accuracy": {
            "full": {"pair1": 0.8, "pair2": 1.0},
            "pair1": {"pair1": 0.8, "pair2": 0.0},
            "pair2": {"pair1": 0.0, "pair2": 1.0},
            "not pair1": {"pair1": 0.2, "pair2": 1 - loss},
            "not pair2": {"pair1": 0.8 * (1 - loss), "pair2": 0.1},
        },
        "sharing": {"pair1": [entry] * 3, "pair2": [entry] * 3},
    }


def checked(records):
    return checking.checked(double_add_claims.claims(records))


class InvertedDropTest(absltest.TestCase):
    def test_the_drop_is_relative_to_the_network(self):
        made = record()
        made["accuracy"]["not pair1"]["pair2"] = 0.9
        made["accuracy"]["not pair2"]["pair1"] = 0.4
        drop = double_add_claims.inverted_drop(made)
        self.assertAlmostEqual(drop, np.mean([0.1, 0.5]))
        # Without the weights of its own.
        drop = double_add_claims.inverted_drop(made, own=True)
        self.assertAlmostEqual(drop, np.mean([0.75, 0.9]))


class ClaimsTest(parameterized.TestCase):
    @parameterized.parameters(
        (0.03, "agrees"), (0.15, "undetermined"), (0.25, "differs")
    )
    def test_little_is_shared_beside_random_masks(self, share, verdict):
        made = [record(seed=seed, share=share) for seed in range(2)]
        found = checked(made)["total_sharing"]
        self.assertEqual(found["verdict"], verdict)
        self.assertAlmostEqual(found["mean"], share)
        self.assertAlmostEqual(found["null"], 0.05)

    @parameterized.parameters((0.15, "agrees"), (0.75, "differs"))
    def test_two_masks_of_one_task_are_the_ceiling(self, share, verdict):
        made = [record(seed=seed, share=share) for seed in range(2)]
        found = checked(made)["sharing_under_repeat"]
        self.assertEqual(found["verdict"], verdict)
        self.assertAlmostEqual(found["mean"], 0.7 - share)

    @parameterized.parameters((0.05, "agrees"), (0.3, "differs"))
    def test_a_pair_does_without_the_others_weights(self, loss, verdict):
        made = [record(seed=seed, loss=loss) for seed in range(2)]
        found = checked(made)["drop_without_the_other"]
        self.assertEqual(found["verdict"], verdict)
        self.assertAlmostEqual(found["null"], np.mean([0.75, 0.9]))

    def test_in_turn_is_compared_with_together_seed_by_seed(self):
        together = [record("together", seed, 0.1 * seed) for seed in (1, 2)]
        in_turn = [
            record("in_turn", seed, 0.1 * seed + 0.02, 0.08) for seed in (2, 1)
        ]
        found = checked([*together, *in_turn])
        claim = found["in_turn_over_together"]
        np.testing.assert_allclose(claim["values"], [0.02, 0.02])
        self.assertEqual((claim["verdict"], claim["n"]), ("agrees", 2))
        self.assertAlmostEqual(claim["null"], 0.03)


class DrawTest(absltest.TestCase):
    def test_figures_are_numbered_as_in_the_paper(self):
        figures = double_add_claims.draw(
            [record(name) for name in ("together", "in_turn")]
        )
        self.assertEqual(
            set(figures),
            {
                "fig02b_accuracy",
                "fig13b_sharing",
                "fig14_accuracy",
                "fig14_sharing",
            },
        )
        bars = figures["fig13b_sharing"].axes[0].patches
        np.testing.assert_allclose([bar.get_height() for bar in bars], 15.0)


if __name__ == "__main__":
    absltest.main()

import numpy as np
from absl.testing import absltest, parameterized

from reproduce.csordas2021.arithmetic import mask_sensitivity_claims
from tests.reproduce import checking


def point(network, beta, sharing, expected=0.1):
    return {
        "network": network,
        "beta": beta,
        "accuracy": {"add": 0.9, "mul": 0.8},
        "sharing": {"add": sharing, "mul": sharing},
        "expected": {"add": expected, "mul": expected / 2},
        "ceiling": {"add": 0.95, "mul": 0.95},
    }


def record(sizes=("4", "8"), betas=(1e-3, 3e-3, 1e-1), shared=(0.4, 0.3, 0.9)):
    """Returns a record; `shared`: by the larger network, for each beta."""
    points = [point("4", 1e-3, 0.6, 0.3)]
    points += [
        point("8", beta, share, 0.1 + 10 * beta)
        for beta, share in zip(betas, shared, strict=True)
    ]
    return {
        "beta": 1e-3,
        "betas": betas,
        "beta_networks": ("8",),
        "size_networks": sizes,
        "points": points,
        "shown_histograms": {"m": {"counts": [3, 1], "tiny": 1}},
    }


def checked(records):
    return checking.checked(mask_sensitivity_claims.claims(records))


class ClaimsTest(parameterized.TestCase):
    def test_larger_networks_share_less(self):
        found = checked([record()] * 2)
        claim = found["smallest_over_largest"]
        self.assertEqual(claim["verdict"], "agrees")
        self.assertAlmostEqual(claim["mean"], 0.6 - 0.4)
        self.assertAlmostEqual(claim["null"], 0.3 - 0.11)

    @parameterized.parameters((0.35, "undetermined"), (0.2, "differs"))
    def test_only_betas_near_the_chosen_one_count(self, other, verdict):
        found = checked([record(shared=(0.4, other, 0.9))] * 2)
        claim = found["range_over_beta"]
        self.assertEqual(claim["verdict"], verdict)
        self.assertAlmostEqual(claim["mean"], 0.4 - other)
        self.assertAlmostEqual(claim["null"], 0.75 * 0.02)  # mean of tasks

    def test_what_has_nothing_to_compare_with_is_no_claim(self):
        made = record(sizes=("8",), betas=(1e-3, 1e-1), shared=(0.4, 0.9))
        self.assertEmpty(checked([made]))

    def test_sharing_of_a_mask_without_weights_is_unknown(self):
        records = [record(), record()]
        records[1]["points"][1]["sharing"]["add"] = None
        found = checked(records)
        self.assertEqual(
            {c["verdict"] for c in found.values()}, {"not measured"}
        )
        self.assertEqual({c["mean"] for c in found.values()}, {None})
        self.assertLen(mask_sensitivity_claims.draw(records), 3)


class DrawTest(absltest.TestCase):
    def test_figures_are_numbered_as_in_the_paper(self):
        figures = mask_sensitivity_claims.draw([record()] * 2)
        self.assertEqual(
            set(figures),
            {
                "fig07_keep_probabilities",
                "fig08a_sensitivity_8",
                "fig09_sharing_by_size",
            },
        )
        bars = figures["fig09_sharing_by_size"].axes[0].patches
        np.testing.assert_allclose([b.get_height() for b in bars], [60, 40])

    def test_betas_are_drawn_in_their_order(self):
        made = record(betas=(1e-1, 1e-3, 3e-3))
        figure = mask_sensitivity_claims.draw([made])["fig08a_sensitivity_8"]
        x = figure.axes[0].lines[0].get_xdata()
        np.testing.assert_allclose(x, [1e-3, 3e-3, 1e-1])


if __name__ == "__main__":
    absltest.main()

import numpy as np
from absl.testing import absltest, parameterized

from reproduce.csordas2021.sequences import scan_claims
from tests.reproduce import checking

SPLITS = ("length", "addprim_jump")


def mask(test, train=0.99, random=0.01, complement=0.02):
    return {
        "test": test,
        "train": train,
        "random": random,
        "complement": complement,
    }


def record(network="lstm", full=0.96, own=0.4, wobble=0.0, alone=0.1, seed=0):
    """Returns a record; `wobble`: what the second extraction has more."""

    def both(value):
        first = mask(dict.fromkeys(("simple", *SPLITS), value))
        again = mask(dict.fromkeys(("simple", *SPLITS), value + wobble))
        return {**first, "again": again, "keep_fraction": 0.1}

    removed = {
        "simple_again": [0.1] * 7,
        "length": [0.1] * 7,
        "addprim_jump": [0.1, 0.1, 0.1, 0.1, 0.48, 0.1, 0.1],
    }
    return {
        "network": network,
        "seed": seed,
        "dense": dict.fromkeys(("simple", *SPLITS), 0.98),
        "alone": dict.fromkeys(SPLITS, alone),
        "alpha_search": None,
        "masks": {
            "simple": both(full),
            **{split: both(own) for split in SPLITS},
        },
        "removed": removed,
    }


def checked(records, subject=None):
    return checking.checked(scan_claims.claims(records), subject)


class ClaimsTest(parameterized.TestCase):
    @parameterized.parameters((0.1, 0.0, "agrees"), (0.9, 0.0, "differs"))
    def test_a_split_loses_against_the_mask_of_all(self, own, null, verdict):
        found = checked([record(own=own)] * 2, "LSTM: length")["gap"]
        self.assertAlmostEqual(found["mean"], 0.96 - own)
        self.assertAlmostEqual(found["null"], null)
        self.assertEqual(found["verdict"], verdict)

    def test_a_gap_within_the_noise_of_masking_is_none(self):
        # The gap is .1 between means, two extractions differ by .15.
        repeats = [record(full=0.7, own=0.6, wobble=0.15)] * 2
        found = checked(repeats, "LSTM: length")["gap_over_noise"]
        self.assertAlmostEqual(found["mean"], 0.1 - 0.15)
        self.assertEqual(found["marks"], ["constant", "repeat"])
        self.assertEqual(found["verdict"], "differs")
        found = checked(repeats, "LSTM: length")["gap"]
        self.assertAlmostEqual(found["null"], 0.15)

    def test_masked_is_compared_with_trained_alone(self):
        found = checked([record(own=0.4, alone=0.5)] * 2, "LSTM: add jump")
        found = found["over_the_split_alone"]
        self.assertAlmostEqual(found["mean"], -0.1)
        self.assertEqual(found["verdict"], "differs")

    def test_i_jump_is_read_beside_the_other_tokens(self):
        found = checked([record()] * 2)["jump_weights_removed"]
        self.assertAlmostEqual(found["mean"], 0.48)
        self.assertAlmostEqual(found["null"], 0.1)
        found = checked([record()] * 2)["jump_over_other_tokens"]
        self.assertAlmostEqual(found["mean"], 0.38)
        found = checked([record("transformer")])
        self.assertFalse([id for id in found if id.startswith("jump")])

    def test_the_mask_of_all_is_read_beside_random_ones(self):
        found = checked([record()] * 2)["full_mask_keeps_accuracy"]
        self.assertAlmostEqual(found["mean"], 0.96 / 0.98)
        self.assertAlmostEqual(found["null"], 0.01 / 0.98)

    def test_what_no_half_of_the_weights_does_is_no_claim(self):
        # Complements get nothing right, nor do random masks.
        for claim in scan_claims.claims([record()]):
            self.assertNotIn("complement", claim.statement)

    def test_every_network_has_its_claims(self):
        records = [record("lstm"), record("transformer")]
        for name in ("LSTM", "Transformer"):
            self.assertIn("accuracy", checked(records, name))
            for split in ("length", "add jump"):
                self.assertIn("gap", checked(records, f"{name}: {split}"))


class DrawTest(absltest.TestCase):
    def test_figures_are_numbered_as_in_the_paper(self):
        records = [
            record(name, seed=seed, own=own)
            for name, own in (("lstm", 0.4), ("transformer", 0.5))
            for seed in (0, 1)
        ]
        figures = scan_claims.draw(records)
        names = {"fig04a_splits", "fig16_alone"}
        for name in ("lstm", "transformer"):
            names |= {f"figA_controls_{name}", f"fig04b_removed_{name}"}
        self.assertEqual({*figures}, names)
        bars = figures["fig04a_splits"].axes[0].patches
        np.testing.assert_allclose(
            [bar.get_height() for bar in bars],
            [96, 96, 96, 96, 40, 40, 50, 50],
        )
        bars = figures["fig16_alone"].axes[0].patches
        np.testing.assert_allclose(
            [bar.get_height() for bar in bars], [10] * 4 + [40, 40, 50, 50]
        )
        labels = figures["fig04b_removed_lstm"].axes[0].get_xticklabels()
        self.assertEqual(labels[4].get_text(), "I_JUMP")


if __name__ == "__main__":
    absltest.main()

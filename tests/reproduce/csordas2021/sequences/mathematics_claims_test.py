import numpy as np
from absl.testing import absltest, parameterized

from reproduce.csordas2021.sequences import mathematics_claims
from tests.reproduce import checking

LEVELS = ("easy", "medium", "hard")


def record(module="sort", everything=0.9, easy=(0.95, 0.3), wobble=0.0, seed=0):
    """Returns a record; `easy`: what its mask scores on easy and on hard."""

    def mask(low, high):
        return {
            "levels": dict(zip(LEVELS, (low, 0.5, high))),
            "random": 0.01,
            "complement": 0.02,
        }

    def both(low, high):
        again = mask(low + wobble, high + wobble)
        return {**mask(low, high), "again": again}

    return {
        "module": module,
        "seed": seed,
        "dense": dict(zip(LEVELS, (0.97, 0.96, 0.92))),
        "examples": [
            {
                "level": level,
                "question": "Differentiate " + "3*b**2 - " * 12 + "b.",
                "answer": "6*b - 1",
                "dense": "6*b - 1",
                "easy": "6*b",
            }
            for level in LEVELS
            for _ in range(2)
        ],
        "alpha_search": None,
        "masks": {"all": both(0.96, everything), "easy": both(*easy)},
    }


def checked(records):
    return checking.checked(mathematics_claims.claims(records))


class ClaimsTest(parameterized.TestCase):
    @parameterized.parameters((0.3, "agrees"), (0.88, "differs"))
    def test_the_mask_of_easy_loses_on_hard(self, hard, verdict):
        found = checked([record(easy=(0.95, hard))] * 2)["drop_on_hard"]
        self.assertAlmostEqual(found["mean"], 0.9 - hard)
        self.assertEqual(found["verdict"], verdict)

    def test_a_drop_within_the_noise_of_masking_is_none(self):
        repeats = [record(everything=0.7, easy=(0.9, 0.6), wobble=0.15)] * 2
        every = checked(repeats)
        found = every["drop_over_noise"]
        self.assertAlmostEqual(found["mean"], 0.1 - 0.15)
        self.assertEqual(found["marks"], ["constant", "repeat"])
        self.assertEqual(found["verdict"], "differs")
        self.assertAlmostEqual(every["drop_on_hard"]["null"], 0.15)

    def test_a_mask_that_is_worse_everywhere_is_told_apart(self):
        found = checked([record(easy=(0.36, 0.3))] * 2)["drop_over_easy"]
        self.assertAlmostEqual(found["mean"], 0.0)

    def test_masks_are_read_beside_the_network(self):
        found = checked([record()] * 2)["full_mask_keeps_accuracy"]
        self.assertAlmostEqual(found["mean"], 0.9 / 0.92)
        self.assertAlmostEqual(found["null"], 0.01 / 0.92)
        found = checked([record()] * 2)["easy_mask_keeps_accuracy"]
        self.assertAlmostEqual(found["mean"], 0.95 / 0.97)
        self.assertEqual(found["null"], 0.0)


class DrawTest(absltest.TestCase):
    def test_figures_are_numbered_as_in_the_paper(self):
        records = [
            record(module, seed=seed, easy=(0.9, hard))
            for module, hard in (("sort", 0.3), ("collect", 0.4))
            for seed in (0, 1)
        ]
        # A seed that not every module has yet is left out of figure 5.
        records.append(record("sort", seed=2, easy=(0.9, 0.9)))
        figures = mathematics_claims.draw(records)
        self.assertEqual(
            {*figures},
            {
                "fig05_hard",
                "fig17_examples",
                "figA_levels_sort",
                "figA_levels_collect",
            },
        )
        bars = figures["fig05_hard"].axes[0].patches
        np.testing.assert_allclose(
            [bar.get_height() for bar in bars], [92, 92, 90, 90, 30, 40]
        )
        (table,) = figures["fig17_examples"].axes[0].tables
        texts = [
            cell.get_text().get_text() for cell in table.get_celld().values()
        ]
        self.assertEqual(texts.count("collect"), 2)
        self.assertEqual(texts.count("6*b"), 4)
        self.assertLess(max(len(t.split("\n")[0]) for t in texts), 38)


if __name__ == "__main__":
    absltest.main()

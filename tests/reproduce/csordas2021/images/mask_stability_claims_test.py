import numpy as np
from absl.testing import absltest, parameterized

from reproduce.csordas2021.images import mask_stability_claims
from tests.reproduce import checking


def layer(jaccard, chance=0.3):
    return {"jaccard": jaccard, "expected_jaccard": chance, "share": 0.95}


def record(
    network="cnn_nodropout",
    seed=0,
    pairs=(0.92, 0.96),
    whole=0.8,
    data="CIFAR-10",
):
    tasks = {
        "control": {
            "whole": True,
            "layers": {
                "conv1": layer(0.7),
                "classifier": layer(0.5),
                "all layers": layer(whole, 0.4),
            },
        }
    }
    for i, value in enumerate(pairs):
        tasks[str(i)] = {
            "whole": False,
            "layers": {"conv1": layer(0.99), "all layers": layer(value)},
        }
    return {"network": network, "seed": seed, "data": data, "tasks": tasks}


def checked(records):
    return checking.checked(mask_stability_claims.claims(records))


class StabilityTest(absltest.TestCase):
    def test_is_the_mean_over_tasks(self):
        found = record()
        self.assertAlmostEqual(
            mask_stability_claims.stability(found, False), 0.94
        )
        self.assertAlmostEqual(
            mask_stability_claims.stability(found, True), 0.8
        )
        self.assertAlmostEqual(
            mask_stability_claims.stability(found, False, "share"), 0.95
        )

    def test_leaves_out_what_has_no_masks_or_kept_nothing(self):
        found = record(pairs=(0.92, None))
        self.assertAlmostEqual(
            mask_stability_claims.stability(found, False), 0.92
        )
        nothing = mask_stability_claims.stability(
            found, False, layer="classifier"
        )
        self.assertTrue(np.isnan(nothing))


class ClaimsTest(parameterized.TestCase):
    @parameterized.parameters(
        (0.93, "agrees"), (0.85, "differs"), (0.99, "differs")
    )
    def test_masks_of_parts_must_have_most_in_common(self, value, verdict):
        records = [
            record(seed=s, pairs=(value + 0.001 * s, value)) for s in range(3)
        ]
        found = checked(records)
        part = found["iou"]
        self.assertEqual((part["verdict"], part["n"]), (verdict, 3))
        self.assertEqual(part["source"], "paper")
        self.assertAlmostEqual(part["null"], 0.3)
        self.assertIn("93.26 %", part["paper"])
        whole = found["whole_task_iou"]
        self.assertAlmostEqual(whole["mean"], 0.8)
        self.assertAlmostEqual(whole["null"], 0.4)

    def test_the_papers_number_is_of_classes_of_cifar(self):
        found = checked([record("fnn", data="arithmetic")])
        self.assertIn("one operation", found["iou"]["statement"])
        for one in (found, checked([record(data="MNIST")])):
            self.assertEqual({c["source"] for c in one.values()}, {"own"})
            self.assertEqual({c["at_least"] for c in one.values()}, {0.9})


class DrawTest(absltest.TestCase):
    def test_every_layer_of_every_network_stands_beside_chance(self):
        records = [
            record(name, seed) for seed in (0, 1) for name in ("cnn", "fnn")
        ]
        (figure,) = mask_stability_claims.draw(records).values()
        (ax,) = figure.axes
        (below,) = figure.legends
        self.assertIn("n = 2", below.get_title().get_text())
        self.assertEqual(
            [tick.get_text() for tick in ax.get_xticklabels()],
            [
                f"{name}: {layer}"
                for name in ("CNN with dropout", "feedforward network")
                for layer in ("conv1", "classifier", "all layers")
            ],
        )
        heights = [bar.get_height() for bar in ax.patches]
        np.testing.assert_allclose(
            heights, [99, np.nan, 94] * 2 + [70, 50, 80] * 2
        )
        legend = [text.get_text() for text in below.get_texts()]
        self.assertCountEqual(
            legend, ["random", "a part of the task", "the whole task"]
        )


if __name__ == "__main__":
    absltest.main()

import dataclasses

import tensorflow as tf
from absl.testing import parameterized

from reproduce import compare_methods
from reproduce.comparing import claims, stages
from tests.reproduce import run_test_case

TINY = stages.Config(
    dataset="digits",
    batch_size=32,
    network_steps=20,
    mask_batch_size=32,
    mask_steps=2,
    mask_lr=3.0,
    log_steps=2,
    restarts=0,
    cluster_images=50,
    permutations=19,
)
PICTURES = ("figA_by_layer", "figB_by_class")


class MainTest(parameterized.TestCase, run_test_case.RunTestCase):
    def test_records_figures_and_claims_of_a_small_run(self):
        _, results = self.run_tiny(
            compare_methods, TINY, PICTURES, run_eagerly=True
        )
        (record,) = results["records"]
        names = record["class_names"]
        self.assertLen(names, 10)
        rows = record["comparison"]["rows"]
        self.assertEqual({row["class"] for row in rows}, {*names})
        layers = claims.layers(record)
        self.assertEqual(
            layers, ["conv1", "conv2", "conv3", "conv4", "all layers"]
        )
        # Six pairs of four findings, in each layer and all, of each class.
        self.assertLen(rows, 6 * len(layers) * len(names))
        # What a comparison says of a class is what the matrix says.
        for method, shares in record["comparison"]["shares"].items():
            for row in rows:
                if (row["first"], row["second"], row["layer"]) == (
                    "weights", method, "all layers"
                ):  # fmt: skip
                    own = names.index(row["class"])
                    self.assertAllClose(row["value"], shares[own][own])

    @parameterized.named_parameters(
        ("threshold", {"t_high": 0.0}, "--t_high must be above 0"),
        ("measure", {"measure": "mean"}, "--measure must be one of"),
        ("permutations", {"permutations": 5}, "--permutations .* least 19"),
    )
    def test_refuses(self, changes, message):
        with self.assertRaisesRegex(ValueError, message):
            dataclasses.replace(TINY, **changes)


if __name__ == "__main__":
    tf.test.main()

import dataclasses

import tensorflow as tf
from absl.testing import parameterized

from reproduce import mask_stability
from reproduce.csordas2021.images import mask_stability_claims as findings
from tests.reproduce import run_test_case

TINY = mask_stability.Config(
    dataset="digits",
    networks=("cnn_nodropout", "fnn"),
    pairs=1,
    digits=1,
    sizes=(12, 10),
    batch_size=32,
    network_steps=10,
    mask_batch_size=32,
    mask_steps=10,
    mask_lr=0.3,
    log_steps=10,
)


class MainTest(run_test_case.RunTestCase):
    def test_records_figures_and_claims_of_a_small_run(self):
        _, results = self.run_tiny(mask_stability, TINY, ["figB1_stability"])
        cnn, fnn = results["records"]
        self.assertEqual(
            (cnn["network"], fnn["network"]), ("cnn_nodropout", "fnn")
        )
        control, pair = cnn["tasks"].values()
        self.assertEqual((control["whole"], pair["whole"]), (True, False))
        # The output layer of a pair is fixed: it can't differ.
        self.assertIn("classifier", control["layers"])
        self.assertNotIn("classifier", pair["layers"])
        self.assertEqual([*fnn["tasks"]], ["full", "add", "mul"])
        self.assertEqual(
            [*fnn["tasks"]["add"]["layers"]],
            ["hidden1", "hidden2", "output", "all layers"],
        )
        for record in (cnn, fnn):
            self.assertBetween(record["dense"], 0.0, 1.0)
            for whole in (True, False):
                alike = findings.stability(record, whole)
                chance = findings.stability(record, whole, "expected_jaccard")
                # Other samples, and yet more in common than random masks.
                self.assertBetween(alike, chance, 0.9999)
            for task in record["tasks"].values():
                self.assertLen(task["accuracy"], 2)
                for kept in task["keep_fraction"]:
                    self.assertBetween(kept, 0.01, 0.99)


class ConfigTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("network", {"networks": ("resnet20",)}, "of cnn, cnn_nodropout, fnn"),
        ("pairs", {"pairs": 46}, "--pairs must be at least 1, at most 45"),
        (
            "no_images",
            {"dataset": "add_mul"},
            "must be fnn, got cnn_nodropout,fnn",
        ),
        ("search", {"find_beta": True}, "flags of reproduce.cifar_ablation"),
        ("held_out", {"held_out_fraction": 0.1}, "and reproduce.add_mul"),
        ("lstm", {"network": "lstm"}, "--network must be one of fnn"),
    )
    def test_refuses(self, changes, message):
        with self.assertRaisesRegex(ValueError, message):
            dataclasses.replace(TINY, **changes)

    def test_has_the_papers_values(self):
        config = mask_stability.Config()
        self.assertEqual((config.mask_lr, config.beta), (1e-3, 1e-4))
        self.assertEqual((config.mask_steps, config.pairs), (20_000, 10))


if __name__ == "__main__":
    tf.test.main()

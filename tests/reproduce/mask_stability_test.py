import tensorflow as tf

from reproduce import mask_stability
from reproduce.csordas2021.images import mask_stability_claims
from tests.reproduce import run_test_case

TINY = mask_stability.EXPERIMENT.config(
    dataset="digits",
    networks=("cnn_nodropout", "fnn"),
    pairs=1,
    digits=1,
    sizes=(12, 10),
    batch_size=32,
    network_steps=10,
    mask_batch_size=32,
    mask_steps=5,
    mask_lr=0.6,
    log_steps=5,
)


class MainTest(run_test_case.RunTestCase):
    def test_records_figures_and_claims_of_a_small_run(self):
        _, results = self.run_tiny(
            mask_stability, TINY, ["figB1_stability"], run_eagerly=True
        )
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
                alike = mask_stability_claims.stability(record, whole)
                chance = mask_stability_claims.stability(
                    record, whole, "expected_jaccard"
                )
                # Other samples, and yet more in common than random masks.
                self.assertBetween(alike, chance, 0.9999)
            for task in record["tasks"].values():
                self.assertLen(task["accuracy"], 2)
                for kept in task["keep_fraction"]:
                    self.assertBetween(kept, 0.01, 0.99)


if __name__ == "__main__":
    tf.test.main()

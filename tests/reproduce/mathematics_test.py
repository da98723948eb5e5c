import dataclasses
from unittest import mock

import tensorflow as tf

from modularity_tf import WeightMask
from modularity_tf.masking import alpha_search
from reproduce import mathematics
from tests.reproduce import run_test_case
from tests.reproduce.csordas2021 import tiny

TINY = mathematics.EXPERIMENT.config(
    modules=("sort",),
    train_size=20,
    validation_size=4,
    batch_sizes=(4,),
    network_steps=(1,),
    warmup_steps=(3,),
    mask_batch_sizes=(4,),
    mask_steps=(1,),
    mask_lrs=(3.0,),
    betas=(1e-2,),
    num_samples=2,
    log_steps=1,
    model_size=4,
    inner_size=4,
    heads=1,
    layers=1,
)
PICTURES = (
    "alpha_search_sort",
    "fig05_hard",
    "fig17_examples",
    "figA_levels_sort",
)


class MainTest(run_test_case.RunTestCase):
    def test_records_figures_and_claims_of_a_small_run(self):
        config = dataclasses.replace(TINY, find_beta=True)
        with mock.patch.object(alpha_search, "search_alpha", tiny.one_trial):
            # `stages_test` trains a mask in the compiled step.
            run, results = self.run_tiny(
                mathematics, config, PICTURES, run_eagerly=True
            )
        (record,) = results["records"]
        everything, again, easy = (
            WeightMask.load(run / f"sort/seed0/mask_{task}.npz")
            for task in ("all", "all_again", "easy")
        )
        found = record["masks"]["all"]
        self.assertAllClose(found["jaccard"], everything.iou(again))
        self.assertEqual([*found["levels"]], ["easy", "medium", "hard"])
        self.assertAllClose(
            record["masks"]["easy"]["keep_fraction"], easy.keep_fraction
        )
        # Tied to the embedding, the output layer has no mask.
        paths = [p for p in easy.values if "embedding" in p or "output/k" in p]
        self.assertEqual(
            paths, [p for p in paths if p.endswith("attention_output/kernel")]
        )
        self.assertAlmostEqual(record["beta"], 2 * 1e-2)
        self.assertAllClose(4 * easy.provenance["alpha"], record["beta"])
        self.assertEqual(
            [e["level"] for e in record["examples"]],
            ["easy", "easy", "medium", "medium", "hard", "hard"],
        )
        for example in record["examples"]:
            self.assertIn(
                "Sort" if "Sort" in example["question"] else "Put",
                example["question"],
            )
            numbers = sorted(example["answer"].split(", "))
            for number in numbers:
                self.assertIn(number, example["question"])
            self.assertLessEqual(len(example["dense"]), 31)


if __name__ == "__main__":
    tf.test.main()

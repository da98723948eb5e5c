import dataclasses

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf import WeightMask
from reproduce import add_mul
from reproduce.csordas2021 import arithmetic_data
from tests.reproduce import run_test_case

TINY = add_mul.Config(
    digits=1,
    sizes=(16, 12),
    hidden_size=8,
    lstm_layers=1,
    batch_size=32,
    network_steps=20,
    mask_batch_size=32,
    mask_steps=20,
    mask_lr=0.2,
    beta=1e-2,
    log_steps=10,
)
PICTURES = (
    "fig01_sharing",
    "fig10_accuracy",
    "fig11_weights_kept",
    "fig12_performed_operation",
)


class MainTest(parameterized.TestCase, run_test_case.RunTestCase):
    @parameterized.parameters("fnn", "lstm")
    def test_records_figures_and_claims_of_a_small_run(self, network):
        config = dataclasses.replace(
            TINY, network=network, held_out_fraction=0.2
        )
        run, results = self.run_tiny(add_mul, config, PICTURES)
        (record,) = results["records"]
        masks = {
            task: WeightMask.load(run / f"{network}/seed0/mask_{task}.npz")
            for task in ("add", "mul")
        }
        add, mul = masks["add"], masks["mul"]
        total = record["sharing"]["add"][-1]
        self.assertAllClose(total["share"], add.sharing(mul))
        self.assertAllClose(total["jaccard"], add.iou(mul))
        self.assertEqual(
            record["kept"]["mul"],
            [int(v.sum()) for v in mul.values.values()],
        )
        self.assertEqual(set(record["held_out"]), {"add", "mul"})
        for rows in record["performed"].values():
            self.assertAllClose(np.sum(rows, axis=1), [1.0, 1.0])
        # The right answers are those that perform the operation asked for.
        for mask, rows in record["performed"].items():
            for i, task in enumerate(add_mul.TASKS):
                self.assertAllClose(rows[i][i], record["accuracy"][mask][task])

    def test_refuses(self):
        for changes, message in (
            ({"network": "rnn"}, "--network must be fnn or lstm, got 'rnn'"),
            ({"sizes": ()}, "--sizes"),
            ({"digits": 9}, "digits"),
            ({"held_out_fraction": 1.0}, "held_out_fraction"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                dataclasses.replace(TINY, **changes)


class PerformedOperationsTest(tf.test.TestCase):
    def test_a_pair_on_which_both_agree_counts_once(self):
        # (2, 2) gives 4 either way; the others tell the operations apart.
        pairs = np.array([[2, 2], [1, 2], [3, 3], [0, 1]], "int32")
        problem = arithmetic_data.AddMul(1, pairs)

        def adds(inputs):  # whatever it is asked; wrong for (0, 1)
            first = np.argmax(inputs[:, :10], -1)
            total = (first + np.argmax(inputs[:, 10:20], -1)) % 10
            total = np.where(first == 0, 7, total)
            return tf.one_hot(total, 10)[:, None]

        rows = add_mul.performed_operations(adds, problem)
        self.assertAllClose(rows[0], [3 / 4, 0, 1 / 4])
        self.assertAllClose(rows[1], [2 / 4, 1 / 4, 1 / 4])


if __name__ == "__main__":
    tf.test.main()

import tempfile

import tensorflow as tf

from reproduce.csordas2021.arithmetic import double_add
from reproduce.running.run import Run


class PlanTest(tf.test.TestCase):
    def test_an_lstm_sees_the_pairs_in_both_ways(self):
        run = Run(double_add.Config(network="lstm", seeds=(0, 5)), "test")
        double_add.plan(run)
        folders = {stage.rpartition("/")[0] for stage in run.stages}
        self.assertEqual(
            folders,
            {
                f"lstm_{shown}/seed{seed}"
                for shown in ("together", "in_turn")
                for seed in (0, 5)
            },
        )
        self.assertLen(set(run.steps_left()) - {None}, 4)

    def test_the_masks_of_passes_keep_no_input_of_the_other_pair(self):
        # An unused input has no gradient but the penalty.
        config = double_add.Config(
            digits=1,
            sizes=(16, 12),
            batch_size=32,
            network_steps=10,
            mask_batch_size=32,
            mask_steps=60,
            mask_lr=0.2,
            beta=1e-5,
            log_steps=10,
            output_dir=self.enterContext(tempfile.TemporaryDirectory()),
        )
        run = Run(config, "test")
        (record,) = double_add.plan(run)
        with run:
            record = run.carry_out(record)
        self.assertEqual(record["presentation"], "passes")
        names = ["full", "pair1", "pair2", "not pair1", "not pair2"]
        self.assertEqual(list(record["accuracy"]), names)
        for task in ("pair1", "pair2"):
            self.assertEqual(record["sharing"][task][0]["share"], 0.0)
            self.assertGreater(record["kept"][task][0], 0)


if __name__ == "__main__":
    tf.test.main()

import tensorflow as tf

from reproduce import double_add
from tests.reproduce import run_test_case

TINY = double_add.EXPERIMENT.config(
    digits=1,
    sizes=(8,),
    batch_size=16,
    network_steps=2,
    mask_batch_size=16,
    mask_steps=2,
    mask_lr=3.0,
    log_steps=2,
)


class MainTest(run_test_case.RunTestCase):
    def test_records_figures_and_claims_of_a_small_run(self):
        pictures = ("fig02a_accuracy", "fig13a_sharing")
        _, results = self.run_tiny(double_add, TINY, pictures, run_eagerly=True)
        (record,) = results["records"]
        self.assertEqual(record["presentation"], "passes")
        self.assertEqual((record["seed"], record["beta"]), (0, 4e-4))


if __name__ == "__main__":
    tf.test.main()

"""The negative control answers as the plain network does, on all inputs."""

import numpy as np
import tensorflow as tf

from modularity_tf.planted import rotated


class BuildTest(tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.aligned, cls.rotated = (
            rotated.make_rotated(seed=2, rotated=r) for r in (False, True)
        )

    def test_both_are_right_on_all_inputs_and_answer_the_same(self):
        for task in range(3):
            self.assertEqual(self.aligned.accuracy(task), 1.0)
            self.assertEqual(self.rotated.accuracy(task), 1.0)
        logits = [p.logits(p.inputs) for p in (self.aligned, self.rotated)]
        self.assertAllClose(*logits, atol=1e-2)
        self.assertGreater(np.abs(logits[0]).min(), 3)

    def test_the_shuffled_twin_is_no_such_network(self):
        twin = self.rotated.shuffled(0)
        self.assertNotAllClose(
            twin.logits(twin.inputs), self.rotated.logits(twin.inputs)
        )
        with self.assertRaisesRegex(ValueError, "no weights of known kinds"):
            self.rotated.plot()

    def test_aligned_units_are_sufficient_and_all_of_them_necessary(self):
        *_, reads, starts = self.aligned.model.get_weights()
        units = rotated.activations(self.aligned, self.aligned.inputs)
        for task in range(3):
            own = self.aligned.units[task]["mix"]
            right = self.aligned.labels[:, task] > 0.5

            def accuracy(kept, task=task, right=right):
                logits = units[:, kept] @ reads[kept] + starts
                return np.mean((logits[:, task] > 0) == right)

            self.assertEqual(accuracy(own), 1.0)
            self.assertLess(accuracy(~own), 0.6)

    def test_rotated_units_take_from_all_modules_and_give_to_all(self):
        _, _, mix, reads, _ = self.rotated.model.get_weights()
        self.assertGreater(np.mean(np.abs(mix) > 0.01), 0.95)
        self.assertGreater(np.mean(np.abs(reads) > 0.01), 0.9)
        self.assertIsNone(self.rotated.units)
        self.assertAllEqual(self.rotated.modules["mix"], np.full(24, -1))

    def test_a_rotation_keeps_lengths(self):
        rng = np.random.default_rng(0)
        matrix = rotated.random_rotation(rng, 7)
        self.assertAllClose(matrix @ matrix.T, np.eye(7))


if __name__ == "__main__":
    tf.test.main()

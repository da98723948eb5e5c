import numpy as np
import tensorflow as tf

from modularity_tf.planted import kernels
from modularity_tf.planted.planted_network import KINDS


class KernelTest(tf.test.TestCase):
    def test_weights_are_what_was_put_there_or_another_tasks(self):
        kernel = kernels.Kernel((2, 3), 2)
        kernel.put((slice(None), 0), 2.0, "needed", [1])
        kernel.put((1, 1), 3.0, "pair")
        kernel.put((0, 2), 0.0, "unread")  # which is no connection
        first, second = kernels.kinds_of({"a": kernel})
        names = [[KINDS[i] for i in row] for row in first["a"]]
        expected = [["other", "absent", "absent"], ["other", "pair", "absent"]]
        self.assertEqual(names, expected)
        self.assertEqual(KINDS[second["a"][0, 0]], "needed")
        self.assertAllEqual(
            kernels.units_needed(second["a"]), [True, False, False]
        )

    def test_a_change_scales_and_then_moves_kinds_as_well(self):
        kernel = kernels.Kernel((2, 3), 1)
        kernel.put((0, 2), 5.0, "needed")
        kernel.change(-1, np.array([2, 0, 1]), np.array([1.0, 1.0, 3.0]))
        kernel.change(-2, np.array([1, 0]), np.ones(2))
        self.assertAllEqual(kernel.values, [[0, 0, 0], [15, 0, 0]])
        (kinds,) = kernel.kinds_by_task()
        self.assertEqual(KINDS[kinds[1, 0]], "needed")
        self.assertEqual(np.sum(kinds == KINDS.index("absent")), 5)

    def test_scales_are_positive_and_differ(self):
        found = kernels.scales(np.random.default_rng(0), 50)
        self.assertGreater(found.min(), 0)
        self.assertGreater(found.max() / found.min(), 2)

    def test_decoys_do_nothing_each_in_its_way(self):
        rng = np.random.default_rng(1)
        reads, heard = kernels.Kernel((3, 6), 2), kernels.Kernel((6, 2), 2)
        biases = np.full(6, 9.0)
        kernels.add_decoys(
            reads,
            heard,
            biases,
            1,
            rng,
            unread=1,
            silent=2,
            pairs=1,
            most=lambda values: np.maximum(values, 0).sum(),
            logit=8.0,
        )
        self.assertAllEqual(reads.values[:, 0], np.zeros(3))
        self.assertEqual(biases[0], 9.0)  # of the part before them
        self.assertAllEqual(heard.values[1], np.zeros(2))
        inputs = np.stack(np.meshgrid(*[(0, 1)] * 3), -1).reshape(-1, 3)
        fires = np.maximum(inputs @ reads.values + biases, 0)
        self.assertAllEqual(fires[:, 2:4], np.zeros((8, 2)))
        self.assertGreater(np.abs(heard.values[2:4]).min(), 0)
        self.assertAllClose(fires[:, 4:] @ heard.values[4:], np.zeros((8, 2)))
        self.assertGreater(fires[:, 4].max(), 0)
        first, second = heard.kinds_by_task()
        names = [KINDS[kind] for kind in first[1:, 0]]
        expected = ["absent", "silent", "silent", "pair", "pair"]
        self.assertEqual(names, expected)
        self.assertEqual(KINDS[second[2, 0]], "other")


if __name__ == "__main__":
    tf.test.main()

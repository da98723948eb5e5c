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


if __name__ == "__main__":
    tf.test.main()

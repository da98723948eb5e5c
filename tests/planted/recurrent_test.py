"""The truth about planted recurrent modules, on all their examples."""

import numpy as np
import tensorflow as tf

from modularity_tf.planted import recurrent

LINK = "modules/link_{}_{}/connection_strength"


class BuildTest(tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.planted = recurrent.make_recurrent_modules(seed=1, links=2)

    def cut(self, source, target):
        units = recurrent.UNITS
        return {LINK.format(source, target): np.zeros((units, units), bool)}

    def test_there_are_exactly_as_many_links(self):
        modules = self.planted.model.get_layer("modules")
        for ends in ((0, 1), (1, 0)):
            kernel = modules.link(*ends).kernel.numpy()
            self.assertEqual(np.count_nonzero(kernel), 2)

    def test_both_tasks_are_done(self):
        for task in (0, 1):
            self.assertGreater(self.planted.accuracy(task), 0.95)

    def test_the_part_is_sufficient_and_the_rest_is_not(self):
        for task in (0, 1):
            needed = self.planted.weights(task, "needed")
            rest = {path: ~flags for path, flags in needed.items()}
            self.assertGreater(self.planted.accuracy(task, needed), 0.95)
            self.assertLess(self.planted.accuracy(task, rest), 0.6)

    def test_each_tensor_of_the_first_part_is_necessary(self):
        needed = self.planted.weights(0, "needed")
        for path, flags in needed.items():
            if flags.any():
                less = {**needed, path: np.zeros_like(flags)}
                self.assertLess(self.planted.accuracy(0, less), 0.6)

    def test_a_bit_is_sent_from_the_first_module_to_the_second_alone(self):
        self.assertLess(self.planted.accuracy(1, self.cut(0, 1)), 0.6)
        for task, ends in ((0, (0, 1)), (0, (1, 0)), (1, (1, 0))):
            found = self.planted.accuracy(task, self.cut(*ends))
            self.assertGreater(found, 0.95)

    def test_the_first_task_needs_nothing_of_the_second_module(self):
        needed = self.planted.weights(0, "needed")
        found = [path for path, flags in needed.items() if flags.any()]
        self.assertCountEqual(
            found,
            [
                "modules/module0/kernel",
                "modules/module0/recurrent_kernel",
                "readout0/kernel",
            ],
        )


if __name__ == "__main__":
    tf.test.main()

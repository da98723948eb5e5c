"""The truth about planted detectors, on all their pictures."""

import numpy as np
import tensorflow as tf

from modularity_tf.planted import make_detectors
from tests.planted import certified


class MakeDetectorsTest(tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.planted = make_detectors(examples=400, seed=1)

    def test_a_task_needs_what_is_said_and_nothing_else(self):
        for task in (0, 1):
            certified.check(self, self.planted, task)
            certified.check_units(self, self.planted, task)
        certified.check_pairs(self, self.planted)

    def test_channels_can_be_shut_off_but_for_the_needed_ones(self):
        units = self.planted.needed[0].units
        inputs, labels = self.planted.data[0]
        alone = units.apply(self.planted.model)
        answers = np.asarray(alone(inputs))[:, 0] > 0
        self.assertAllEqual(answers, labels[:, 0] > 0.5)
        for channel in np.flatnonzero(units.values["detect"]):
            less = units.values["detect"].copy()
            less[channel] = False
            fewer = type(units)({"detect": less}).apply(self.planted.model)
            answers = np.asarray(fewer(inputs))[:, 0] > 0
            self.assertLess(np.mean(answers == (labels[:, 0] > 0.5)), 0.95)

    def test_half_of_the_pictures_have_a_pattern_and_seeds_differ(self):
        self.assertBetween(self.planted.labels.mean(), 0.4, 0.65)
        other = make_detectors(examples=400, seed=2)
        self.assertNotAllEqual(other.inputs, self.planted.inputs)
        self.assertNotAllEqual(
            other.kinds[0]["detect/kernel"],
            self.planted.kinds[0]["detect/kernel"],
        )

    def test_without_decoys_all_weights_are_of_a_task(self):
        plain = make_detectors(unread=0, silent=0, pairs=0, examples=200)
        self.assertEqual(plain.needed[0].weights.size, 4 * 9 + 4 * 2)
        certified.check(self, plain, 0)

    def test_refuses(self):
        with self.assertRaisesRegex(ValueError, "`pairs` must be an int"):
            make_detectors(pairs=-1)
        with self.assertRaisesRegex(ValueError, "`examples` must be a pos"):
            make_detectors(examples=0)


if __name__ == "__main__":
    tf.test.main()

"""Every operation on models that are awkward is right, or refused by name."""

import tensorflow as tf
from absl.testing import parameterized

from tests import zoo, zoo_models

ENTRIES = (
    *zoo_models.PREPROCESSING,
    *zoo_models.FORMATS,
    *zoo_models.AWKWARD,
)


class AwkwardModelsTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(*zoo.named(ENTRIES))
    def test_every_operation_is_right_or_refused(self, entry):
        for operation, _, problem in zoo.outcomes(entry):
            with self.subTest(operation):
                self.assertIsNone(problem)


if __name__ == "__main__":
    tf.test.main()

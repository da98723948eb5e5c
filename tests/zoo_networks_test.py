"""Every operation on stock networks is right, or refused with a reason."""

import tensorflow as tf
from absl.testing import parameterized

from tests import zoo, zoo_models

ENTRIES = (*zoo_models.NETWORKS, *zoo_models.SHIPPED)


class NetworksTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(*zoo.named(ENTRIES))
    def test_every_operation_is_right_or_refused(self, entry):
        for operation, _, problem in zoo.outcomes(entry):
            with self.subTest(operation):
                self.assertIsNone(problem)


if __name__ == "__main__":
    tf.test.main()

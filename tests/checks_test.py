import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf import checks


class ChecksTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(3, np.int64(3), np.uint8(3))
    def test_ints_of_any_kind_are_integers(self, value):
        found = checks.integer("n", value, below=4)
        self.assertIs(type(found), int)
        self.assertEqual(found, 3)

    @parameterized.parameters(-1, 4, 3.0, "3", None, True, np.True_, np.nan)
    def test_refuses_as_an_integer(self, value):
        with self.assertRaisesRegex(ValueError, "`n` must be an int in"):
            checks.integer("n", value, below=4)

    @parameterized.parameters(0, 0.25, np.float32(0.25))
    def test_reals_of_any_kind_are_numbers(self, value):
        found = checks.number("x", value, below=1.0)
        self.assertIs(type(found), float)
        self.assertEqual(found, value)

    @parameterized.parameters(-0.5, 1.0, "0.5", None, True, np.nan, np.inf, 1j)
    def test_refuses_as_a_number(self, value):
        with self.assertRaisesRegex(ValueError, "`x` must be in .*, got"):
            checks.number("x", value, below=1.0)

    def test_zero_is_not_positive(self):
        with self.assertRaisesRegex(ValueError, "`x` must .* above 0, got 0"):
            checks.number("x", 0, above=True)
        with self.assertRaisesRegex(ValueError, "`n` must be a positive int"):
            checks.integer("n", 0, least=1)

    @parameterized.parameters(
        ([0, 2, 1],), ([0.0, 2.0, 1.0],), ([[0], [2], [1]],)
    )
    def test_whole_numbers_are_class_labels(self, values):
        found = checks.class_labels("labels", values, 3)
        self.assertEqual(found.dtype, np.int64)
        self.assertAllEqual(found, [0, 2, 1])

    @parameterized.named_parameters(
        ("text", ["cat", "dog"], "class numbers, got .*'cat'"),
        ("one_hot", np.eye(3), r"not one-hot .* \(3, 3\)"),
        ("a_scalar", 1, r"shape \(\)"),
        ("parts", [0, 0.5], r"whole numbers in \[0, 3\), got 0.5"),
        ("nan", [0, np.nan], "got nan"),
        ("negative", [0, -1], "got -1"),
        ("too_large", [0, 3], "got 3"),
    )
    def test_refuses_as_class_labels(self, values, message):
        with self.assertRaisesRegex(ValueError, f"`labels` must .*{message}"):
            checks.class_labels("labels", values, 3)


if __name__ == "__main__":
    tf.test.main()

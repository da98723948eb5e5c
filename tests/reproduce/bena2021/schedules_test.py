import tensorflow as tf
from absl.testing import parameterized

from reproduce.bena2021 import schedules


class SchedulesTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters((1e-4, 0.1), (0.01, 0.1**1.5), (1, 0.01))
    def test_learning_rate_falls_geometrically_with_p(self, fraction, expected):
        self.assertAllClose(schedules.learning_rate(fraction, 1e-4), expected)

    @parameterized.parameters((0, 0.2), (0.25, 0.15), (1, 0.0))
    def test_walk_falls_to_zero_with_p(self, fraction, expected):
        self.assertAllClose(schedules.walk_noise(fraction, 0.2), expected)

    @parameterized.named_parameters(
        ("least", lambda: schedules.learning_rate(1, 0), "`least` must"),
        ("rate_p", lambda: schedules.learning_rate(1.1, 0.1), "`fraction` in"),
        ("rate", lambda: schedules.learning_rate(1, 0.1, -1), "`sparse` must"),
        (
            "dense",
            lambda: schedules.learning_rate(1, 0.1, 1, 0),
            "`dense` mus",
        ),
        ("walk_p", lambda: schedules.walk_noise(-0.1, 1), "`fraction` must"),
        ("walk", lambda: schedules.walk_noise(0, -1), "`sparse` must be at le"),
    )
    def test_refuses(self, call, message):
        with self.assertRaisesRegex(ValueError, message):
            call()


if __name__ == "__main__":
    tf.test.main()

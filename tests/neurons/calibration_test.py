import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.neurons import calibration


def calibrated(examples=20_000, classes=4, seed=0):
    """Returns logits and labels drawn from their own softmax."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(examples, classes))
    gumbel = rng.gumbel(size=logits.shape)
    return logits, np.argmax(logits + gumbel, axis=-1)


def negative_log_likelihood(logits, labels):
    log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return -np.mean(log[np.arange(len(labels)), labels])


class FitTemperatureTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(0.02, 0.25, 1.0, 5.0, 100.0, 500.0)
    def test_finds_what_the_logits_were_multiplied_with(self, factor):
        logits, labels = calibrated()
        found = calibration.fit_temperature(factor * logits, labels)
        self.assertAllClose(found, factor, rtol=0.05)

    def test_is_the_minimum(self):
        logits, labels = calibrated(2000)
        best = calibration.fit_temperature(3 * logits, labels)
        loss = [
            negative_log_likelihood(3 * logits / t, labels)
            for t in (best, 0.999 * best, 1.001 * best)
        ]
        self.assertLess(loss[0], min(loss[1:]))

    def test_logits_that_are_always_right_end_at_the_limit(self):
        labels = np.arange(40) % 4
        found = calibration.fit_temperature(np.eye(4)[labels], labels)
        self.assertBetween(found, 1e-3, 0.1)

    def test_refuses(self):
        with self.assertRaisesRegex(ValueError, "finite"):
            calibration.fit_temperature([[np.nan, 0.0]], [0])
        with self.assertRaisesRegex(ValueError, "`labels` must be as many"):
            calibration.fit_temperature([[1.0, 0.0]], [0, 1])
        with self.assertRaisesRegex(ValueError, r"in \[0, 2\), got 2"):
            calibration.fit_temperature([[1.0, 0.0]], [2])
        for logits in (np.ones((2, 1)), np.ones((0, 2)), np.ones(2)):
            with self.assertRaisesRegex(ValueError, "`logits` must have"):
                calibration.fit_temperature(logits, [0, 0])

    @parameterized.named_parameters(
        (
            "temperature",
            {"temperature": 0.0},
            "`temperature` .* above 0",
        ),
        ("bins", {"num_bins": 0}, "`num_bins` must be a positive int"),
    )
    def test_reliability_refuses(self, settings, message):
        with self.assertRaisesRegex(ValueError, message):
            calibration.reliability(np.eye(3), [0, 1, 2], **settings)


class CalibrationErrorTest(tf.test.TestCase):
    def test_matches_tensorflow_probability(self):
        from tensorflow_probability import stats

        logits, labels = calibrated(500)
        expected = stats.expected_calibration_error(
            10,
            logits=(3 * logits).astype("float32"),
            labels_true=labels.astype("int32"),
        )
        found = calibration.expected_calibration_error(
            3 * logits, labels, num_bins=10
        )
        self.assertAllClose(found, expected, atol=1e-6)

    def test_temperature_scaling_lowers_it(self):
        logits, labels = calibrated()
        before = calibration.expected_calibration_error(4 * logits, labels)
        after = calibration.expected_calibration_error(
            4 * logits, labels, temperature=4.0
        )
        self.assertGreater(before, 0.1)
        self.assertLess(after, 0.02)

    def test_bins_hold_every_example(self):
        found = calibration.reliability([[9.0, 0.0], [0.0, 0.0]], [0, 1])
        self.assertEqual(found["count"].sum(), 2)
        self.assertEqual(found["count"][-1], 1)
        self.assertEqual(found["accuracy"][-1], 1.0)
        self.assertEqual(found["confidence"][7], 0.5)
        self.assertEqual(found["accuracy"][7], 0.0)


if __name__ == "__main__":
    tf.test.main()

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from scipy import stats

from modularity_tf.neurons import rules
from modularity_tf.neurons.statistics import ClassStatistics


def statistics_of(mean, error, count=100):
    return ClassStatistics(
        np.array([count]),
        {"a": np.array([mean], "float64")},
        {"a": np.array([error], "float64")},
    )


class ThresholdNeuronsTest(parameterized.TestCase, tf.test.TestCase):
    def test_above_the_percentile_and_not_at_it(self):
        found = rules.threshold_neurons(
            statistics_of([0.0, 0.0, 1.0, 2.0, 3.0], [0.0] * 5),
            0,
            percentile=50,
        )
        self.assertAllEqual(found.values["a"], [0, 0, 0, 1, 1])

    def test_is_the_70th_percentile_by_default(self):
        mean = np.random.default_rng(0).normal(size=100)
        found = rules.threshold_neurons(statistics_of(mean, mean), 0)
        self.assertEqual(np.sum(found.values["a"]), 30)
        self.assertGreater(
            mean[found.values["a"]].min(), mean[~found.values["a"]].max()
        )

    def test_dead_neurons_are_not_active(self):
        found = rules.threshold_neurons(statistics_of([0.0] * 4, [0.0] * 4), 0)
        self.assertFalse(found.values["a"].any())

    @parameterized.parameters(-1, 101, float("nan"))
    def test_refuses(self, percentile):
        with self.assertRaisesRegex(ValueError, "`percentile`"):
            rules.threshold_neurons(
                statistics_of([0.0], [0.0]), 0, percentile=percentile
            )

    @parameterized.parameters("0", 0.5, None, True)
    def test_refuses_as_a_label(self, label):
        with self.assertRaisesRegex(ValueError, "`label` must be an int, got"):
            rules.threshold_neurons(statistics_of([0.0], [0.0]), label)

    def test_labels_of_numpy_are_kept_as_ints(self):
        found = rules.threshold_neurons(
            statistics_of([0.0], [0.0]), np.int64(0), percentile=np.float32(50)
        )
        self.assertEqual(found.provenance["label"], 0)


class BayesianNeuronsTest(parameterized.TestCase, tf.test.TestCase):
    def test_matches_the_normal_distribution(self):
        rng = np.random.default_rng(0)
        mean, error = rng.normal(0.3, 0.4, 200), rng.uniform(0.01, 0.5, 200)
        found = rules.bayesian_neurons(
            statistics_of(mean, error), 0, t_high=0.5, t_low=0.1, tau=0.7
        )
        high = 1 - stats.norm.cdf((0.5 - mean) / error)
        low = stats.norm.cdf((0.1 - mean) / error)
        self.assertAllEqual(found.values["a"], high > 0.7)
        self.assertAllEqual(found.off["a"], low > 0.7)
        self.assertTrue(found.values["a"].any())
        self.assertTrue(found.off["a"].any())

    def test_tiny_standard_errors_give_a_threshold_on_the_mean(self):
        mean = [0.0, 1e-6, 0.3, 0.55, 0.55 + 1e-12, 9.0]
        found = rules.bayesian_neurons(
            statistics_of(mean, [0.0, 1e-300, 0.0, 0.0, 1e-20, 0.0]), 0
        )
        self.assertAllEqual(found.values["a"], [0, 0, 0, 0, 1, 1])
        self.assertAllEqual(found.off["a"], [1, 1, 0, 0, 0, 0])

    def test_thresholds_may_differ_by_layer(self):
        both = ClassStatistics(
            np.array([9]),
            {"a": np.array([[0.4]]), "b": np.array([[0.4]])},
            {"a": np.array([[0.01]]), "b": np.array([[0.01]])},
        )
        found = rules.bayesian_neurons(both, 0, t_high={"a": 0.3, "b": 0.5})
        self.assertTrue(found.values["a"][0])
        self.assertFalse(found.values["b"][0])

    @parameterized.named_parameters(
        ("order", {"t_high": 0.1, "t_low": 0.2}, "`t_low`"),
        ("tau", {"tau": 1.0}, "`tau`"),
    )
    def test_refuses(self, kwargs, message):
        with self.assertRaisesRegex(ValueError, message):
            rules.bayesian_neurons(statistics_of([0.1], [0.1]), 0, **kwargs)

    def test_refuses_thresholds_without_a_layer(self):
        with self.assertRaisesRegex(ValueError, "`t_high` must have"):
            rules.bayesian_neurons(
                statistics_of([0.0], [1.0]), 0, t_high={"b": 1.0}
            )

    def test_refuses_one_example(self):
        with self.assertRaisesRegex(ValueError, "two examples"):
            rules.bayesian_neurons(statistics_of([0.1], [0.1], 1), 0)

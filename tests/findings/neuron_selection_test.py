import tempfile

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from scipy import stats

from modularity_tf.findings import neuron_selection, overlap
from modularity_tf.findings.neuron_selection import NeuronSelection
from modularity_tf.neurons.statistics import ClassStatistics
from tests import small_models


def statistics_of(mean, error, count=100):
    return ClassStatistics(
        np.array([count]),
        {"a": np.array([mean], "float64")},
        {"a": np.array([error], "float64")},
    )


class ThresholdNeuronsTest(parameterized.TestCase, tf.test.TestCase):
    def test_above_the_percentile_and_not_at_it(self):
        found = neuron_selection.threshold_neurons(
            statistics_of([0.0, 0.0, 1.0, 2.0, 3.0], [0.0] * 5), 0, 50
        )
        self.assertAllEqual(found.values["a"], [0, 0, 0, 1, 1])

    def test_is_the_70th_percentile_by_default(self):
        mean = np.random.default_rng(0).normal(size=100)
        found = neuron_selection.threshold_neurons(statistics_of(mean, mean), 0)
        self.assertEqual(np.sum(found.values["a"]), 30)
        self.assertGreater(
            mean[found.values["a"]].min(), mean[~found.values["a"]].max()
        )

    def test_dead_neurons_are_not_active(self):
        found = neuron_selection.threshold_neurons(
            statistics_of([0.0] * 4, [0.0] * 4), 0
        )
        self.assertFalse(found.values["a"].any())

    @parameterized.parameters(-1, 101, float("nan"))
    def test_refuses(self, percentile):
        with self.assertRaisesRegex(ValueError, "`percentile`"):
            neuron_selection.threshold_neurons(
                statistics_of([0.0], [0.0]), 0, percentile
            )

    @parameterized.parameters("0", 0.5, None, True)
    def test_refuses_as_a_label(self, label):
        with self.assertRaisesRegex(ValueError, "`label` must be an int, got"):
            neuron_selection.threshold_neurons(
                statistics_of([0.0], [0.0]), label
            )

    def test_labels_of_numpy_are_kept_as_ints(self):
        found = neuron_selection.threshold_neurons(
            statistics_of([0.0], [0.0]), np.int64(0), np.float32(50)
        )
        self.assertEqual(found.provenance["label"], 0)


class NeuronMaskTest(tf.test.TestCase):
    def test_refuses_neurons_that_are_on_and_off(self):
        a, b = (NeuronSelection({"a": np.eye(3)[i] > 0}) for i in (0, 1))
        neuron_selection.NeuronMask(a, b)
        with self.assertRaisesRegex(ValueError, r"disjoint, .* \['a'\]"):
            neuron_selection.NeuronMask(a, a | b)

    def test_refuses_sets_over_other_layers(self):
        a, b = (NeuronSelection({x: np.ones(3, bool)}) for x in "ab")
        with self.assertRaisesRegex(ValueError, "not over the same neurons"):
            neuron_selection.NeuronMask(a, b)


class BayesianNeuronMaskTest(parameterized.TestCase, tf.test.TestCase):
    def test_matches_the_normal_distribution(self):
        rng = np.random.default_rng(0)
        mean, error = rng.normal(0.3, 0.4, 200), rng.uniform(0.01, 0.5, 200)
        found = neuron_selection.bayesian_neuron_mask(
            statistics_of(mean, error), 0, t_high=0.5, t_low=0.1, tau=0.7
        )
        high = 1 - stats.norm.cdf((0.5 - mean) / error)
        low = stats.norm.cdf((0.1 - mean) / error)
        self.assertAllEqual(found.on.values["a"], high > 0.7)
        self.assertAllEqual(found.off.values["a"], low > 0.7)
        self.assertTrue(found.on.values["a"].any())
        self.assertTrue(found.off.values["a"].any())
        self.assertEqual((found.on & found.off).keep_fraction, 0.0)

    def test_tiny_standard_errors_give_a_threshold_on_the_mean(self):
        mean = [0.0, 1e-6, 0.3, 0.55, 0.55 + 1e-12, 9.0]
        found = neuron_selection.bayesian_neuron_mask(
            statistics_of(mean, [0.0, 1e-300, 0.0, 0.0, 1e-20, 0.0]), 0
        )
        self.assertAllEqual(found.on.values["a"], [0, 0, 0, 0, 1, 1])
        self.assertAllEqual(found.off.values["a"], [1, 1, 0, 0, 0, 0])

    def test_thresholds_may_differ_by_layer(self):
        both = ClassStatistics(
            np.array([9]),
            {"a": np.array([[0.4]]), "b": np.array([[0.4]])},
            {"a": np.array([[0.01]]), "b": np.array([[0.01]])},
        )
        found = neuron_selection.bayesian_neuron_mask(
            both, 0, {"a": 0.3, "b": 0.5}
        )
        self.assertTrue(found.on.values["a"][0])
        self.assertFalse(found.on.values["b"][0])

    @parameterized.named_parameters(
        ("order", {"t_high": 0.1, "t_low": 0.2}, "`t_low`"),
        ("tau", {"tau": 1.0}, "`tau`"),
    )
    def test_refuses(self, kwargs, message):
        with self.assertRaisesRegex(ValueError, message):
            neuron_selection.bayesian_neuron_mask(
                statistics_of([0.1], [0.1]), 0, **kwargs
            )

    def test_refuses_thresholds_without_a_layer(self):
        with self.assertRaisesRegex(ValueError, "`t_high` must have"):
            neuron_selection.bayesian_neuron_mask(
                statistics_of([0.0], [1.0]), 0, t_high={"b": 1.0}
            )

    def test_refuses_one_example(self):
        with self.assertRaisesRegex(ValueError, "two examples"):
            neuron_selection.bayesian_neuron_mask(
                statistics_of([0.1], [0.1], 1), 0
            )


class NeuronSelectionTest(tf.test.TestCase):
    def test_has_the_set_algebra_and_the_metrics_of_every_set(self):
        a = NeuronSelection({"x": np.array([1, 1, 0, 0], bool)})
        b = NeuronSelection({"x": np.array([1, 0, 1, 0], bool)})
        self.assertIsInstance(a & b, NeuronSelection)
        self.assertAllClose(a.sharing(b), 0.5)
        self.assertAllClose(a.iou(b), 1 / 3)
        found = overlap.overlaps(a.values, b.values)["total"]
        self.assertAllClose(found.excess, 0.0)

    def test_is_saved_and_loaded(self):
        model = small_models.cnn()
        chosen = NeuronSelection({"conv": np.array([1, 0, 1], bool)}, {"c": 3})
        folder = self.enterContext(tempfile.TemporaryDirectory())
        chosen.save(f"{folder}/s.npz")
        loaded = NeuronSelection.load(f"{folder}/s.npz", model)
        self.assertEqual(loaded, chosen)
        self.assertEqual(loaded.provenance, {"c": 3})
        with self.assertRaisesRegex(ValueError, "no layer 'conv'"):
            NeuronSelection.load(f"{folder}/s.npz", small_models.nested())

    def test_refuses_another_number_of_units(self):
        chosen = NeuronSelection({"conv": np.ones(5, bool)})
        with self.assertRaisesRegex(ValueError, "'conv' has 3 units"):
            chosen.check_fits(small_models.cnn())

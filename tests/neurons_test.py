import tempfile

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from keras import layers
from scipy import stats

from modularity_tf import metrics, neurons
from modularity_tf.neurons import ClassStatistics, NeuronSelection


def cnn():
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(3, 3, activation="relu", name="conv"),
            layers.MaxPooling2D(name="pool"),
            layers.Flatten(name="flatten"),
            layers.Dropout(0.5),
            layers.Dense(4, activation="relu", name="hidden"),
            layers.Dense(2, name="output"),
        ],
        name="cnn",
    )


def nested():
    inner = keras.Sequential(
        [keras.Input((3,)), layers.Dense(5, name="d")], name="inner"
    )
    inputs = keras.Input((4,))
    x = layers.Dense(3, "tanh", name="first")(inputs)
    return keras.Model(inputs, layers.Dense(2, name="last")(inner(x)))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="mine")
        self.used = layers.Dense(3, name="used")
        self.spare = layers.Dense(2, name="spare")
        self.spare.build((None, 4))

    def call(self, inputs):
        return self.used(inputs)


class ActivationModelTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(True, False)
    def test_returns_what_each_layer_puts_out(self, compiled):
        model = cnn()
        inputs = np.random.default_rng(0).normal(size=(5, 6, 6, 2))
        watch = neurons.ActivationModel(model)
        call = tf.function(watch) if compiled else watch
        found = call(tf.constant(inputs, "float32"))
        self.assertEqual(list(found), ["conv", "hidden", "output"])
        x = inputs
        for layer in model.layers:
            x = layer(x)
            if layer.name in found:
                self.assertAllClose(found[layer.name], x, atol=1e-5)
        self.assertNotIn("call", vars(model.layers[0]))  # as it was

    def test_reaches_layers_of_nested_and_subclassed_models(self):
        model, x = nested(), np.ones((2, 4), "float32")
        found = neurons.ActivationModel(model)(x)
        hidden = model.get_layer("first")(x)
        self.assertAllClose(found["first"], hidden)
        self.assertAllClose(found["inner/d"], model.get_layer("inner")(hidden))
        mine = Subclassed()
        outputs = mine(x)
        found = neurons.ActivationModel(mine, "used")(x)
        self.assertAllClose(found["used"], outputs)

    def test_says_by_name_what_is_out_of_reach(self):
        mine = Subclassed()
        x = tf.ones((2, 4))
        mine(x)
        with self.assertRaisesRegex(ValueError, "'spare' of 'mine'"):
            neurons.ActivationModel(mine)(x)
        loop = keras.Sequential(
            [
                keras.Input((3, 4)),
                layers.RNN(Cell(), name="loop"),
                layers.Dense(2, name="output"),
            ]
        )
        with self.assertRaisesRegex(ValueError, "inner' .* within a loop"):
            tf.function(neurons.ActivationModel(loop))(tf.ones((2, 3, 4)))

    def test_calls_of_a_shared_layer_lie_side_by_side(self):
        inputs = keras.Input((4,))
        shared = layers.Dense(4, name="shared")
        model = keras.Model(inputs, shared(shared(inputs)))
        x = np.random.default_rng(0).normal(size=(5, 4))
        found = neurons.ActivationModel(model)(x)["shared"]
        self.assertEqual(found.shape, (5, 2, 4))
        self.assertAllClose(found[:, 0], shared(x))
        self.assertAllClose(found[:, 1], model(x))

    def test_refuses_unknown_layers(self):
        with self.assertRaisesRegex(ValueError, "'nope'"):
            neurons.ActivationModel(cnn(), "nope")


class Cell(layers.Layer):
    state_size = output_size = 2

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Dense(2, name="inner")

    def build(self, input_shape):
        self.inner.build((None, 4))

    def call(self, inputs, states):
        return self.inner(inputs) + states[0], states


class ClassStatisticsTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(1, 4, 11)
    def test_matches_numpy_in_batches_of_any_size(self, batch_size):
        model = cnn()
        rng = np.random.default_rng(0)
        images = rng.normal(size=(11, 6, 6, 2)).astype("float32")
        labels = np.array([0, 2, 2, 0, 0, 3, 2, 0, 2, 2, 0])
        data = tf.data.Dataset.from_tensor_slices((images, labels))
        found = neurons.class_statistics(model, data.batch(batch_size), 4)
        self.assertAllEqual(found.counts, [5, 0, 5, 1])
        conv = np.array(model.layers[0](images))
        means = conv.mean(axis=(1, 2))
        for label in (0, 2):
            rows = means[labels == label]
            mean, error = found.of(label)
            self.assertAllClose(mean["conv"], rows.mean(0), atol=1e-6)
            self.assertAllClose(error["conv"], stats.sem(rows), atol=1e-6)
        self.assertAllClose(found.mean["conv"][3], means[5], atol=1e-6)
        self.assertTrue(np.all(np.isnan(found.standard_error["conv"][3])))
        with self.assertRaisesRegex(ValueError, "no example of class 1"):
            found.of(1)

    def test_groups_merge_to_what_one_pass_would_give(self):
        model = cnn()
        rng = np.random.default_rng(0)
        images = rng.normal(size=(20, 6, 6, 2)).astype("float32")
        fine = np.arange(20) % 4
        found = neurons.merge_groups(
            neurons.class_statistics(model, [(images, fine)], 4),
            [[0, 3], [1, 2]],
        )
        coarse = np.where(np.isin(fine, [0, 3]), 0, 1)
        expected = neurons.class_statistics(model, [(images, coarse)], 2)
        self.assertAllEqual(found.counts, expected.counts)
        self.assertAllClose(found.mean, expected.mean)
        self.assertAllClose(found.standard_error, expected.standard_error)

    def test_refuses_nan_and_strange_labels(self):
        images = np.zeros((4, 6, 6, 2), "float32")
        with self.assertRaisesRegex(ValueError, r"in \[0, 2\), got 5"):
            neurons.class_statistics(cnn(), [(images, [0, 1, 5, 0])], 2)
        model = cnn()
        model.get_layer("output").bias.assign([0.0, np.nan])
        with self.assertRaisesRegex(ValueError, "output/bias' is NaN"):
            neurons.class_statistics(model, [(images, [0, 1, 1, 0])], 2)
        model = cnn()  # too large for float32
        hidden, output = (model.get_layer(n) for n in ("hidden", "output"))
        hidden.bias.assign([10.0] * 4)
        output.kernel.assign(np.full((4, 2), 3e38))
        with self.assertRaisesRegex(ValueError, "'output' .* NaN or infinite"):
            neurons.class_statistics(model, [(images, [0, 1, 1, 0])], 2)

    def test_refuses_nan_that_a_relu_would_hide(self):
        model = keras.Sequential(
            [keras.Input((3,)), layers.Dense(4, activation="relu")]
        )
        inputs = np.array([[0.0, np.nan, 1.0]], "float32")
        with self.assertRaisesRegex(ValueError, "inputs in `batches` are NaN"):
            neurons.class_statistics(model, [(inputs, [0])], 2)

    def test_sample_weights_are_ignored(self):
        images = np.ones((4, 6, 6, 2), "float32")
        labels = [0, 1, 1, 0]
        found = neurons.class_statistics(
            cnn(), [(images, labels, np.ones(4))], 2
        )
        self.assertAllEqual(found.counts, [2, 2])

    @parameterized.named_parameters(
        ("no_data", [], "no batch"),
        (
            "one_hot",
            [(np.zeros((2, 6, 6, 2), "float32"), np.eye(2))],
            r"shape \(batch,\), got \(2, 2\)",
        ),
    )
    def test_refuses(self, batches, message):
        with self.assertRaisesRegex(ValueError, message):
            neurons.class_statistics(cnn(), batches, 2)

    def test_refuses_channels_first(self):
        model = keras.Sequential(
            [
                keras.Input((3, 6, 6)),
                layers.Conv2D(2, 3, data_format="channels_first", name="odd"),
            ]
        )
        with self.assertRaisesRegex(ValueError, "'odd' has its channels first"):
            neurons.neuron_layers(model)


def statistics(mean, error, count=100):
    return ClassStatistics(
        np.array([count]),
        {"a": np.array([mean], "float64")},
        {"a": np.array([error], "float64")},
    )


class ThresholdNeuronsTest(parameterized.TestCase, tf.test.TestCase):
    def test_above_the_percentile_and_not_at_it(self):
        found = neurons.threshold_neurons(
            statistics([0.0, 0.0, 1.0, 2.0, 3.0], [0.0] * 5), 0, 50
        )
        self.assertAllEqual(found.values["a"], [0, 0, 0, 1, 1])

    def test_is_the_70th_percentile_by_default(self):
        mean = np.random.default_rng(0).normal(size=100)
        found = neurons.threshold_neurons(statistics(mean, mean), 0)
        self.assertEqual(np.sum(found.values["a"]), 30)
        self.assertGreater(
            mean[found.values["a"]].min(), mean[~found.values["a"]].max()
        )

    def test_dead_neurons_are_not_active(self):
        found = neurons.threshold_neurons(statistics([0.0] * 4, [0.0] * 4), 0)
        self.assertFalse(found.values["a"].any())

    @parameterized.parameters(-1, 101, float("nan"))
    def test_refuses(self, percentile):
        with self.assertRaisesRegex(ValueError, "`percentile`"):
            neurons.threshold_neurons(statistics([0.0], [0.0]), 0, percentile)


class BayesianNeuronMaskTest(parameterized.TestCase, tf.test.TestCase):
    def test_matches_the_normal_distribution(self):
        rng = np.random.default_rng(0)
        mean, error = rng.normal(0.3, 0.4, 200), rng.uniform(0.01, 0.5, 200)
        found = neurons.bayesian_neuron_mask(
            statistics(mean, error), 0, t_high=0.5, t_low=0.1, tau=0.7
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
        found = neurons.bayesian_neuron_mask(
            statistics(mean, [0.0, 1e-300, 0.0, 0.0, 1e-20, 0.0]), 0
        )
        self.assertAllEqual(found.on.values["a"], [0, 0, 0, 0, 1, 1])
        self.assertAllEqual(found.off.values["a"], [1, 1, 0, 0, 0, 0])

    def test_thresholds_may_differ_by_layer(self):
        both = ClassStatistics(
            np.array([9]),
            {"a": np.array([[0.4]]), "b": np.array([[0.4]])},
            {"a": np.array([[0.01]]), "b": np.array([[0.01]])},
        )
        found = neurons.bayesian_neuron_mask(both, 0, {"a": 0.3, "b": 0.5})
        self.assertTrue(found.on.values["a"][0])
        self.assertFalse(found.on.values["b"][0])

    @parameterized.named_parameters(
        ("order", {"t_high": 0.1, "t_low": 0.2}, "`t_low`"),
        ("tau", {"tau": 1.0}, "`tau`"),
    )
    def test_refuses(self, kwargs, message):
        with self.assertRaisesRegex(ValueError, message):
            neurons.bayesian_neuron_mask(statistics([0.1], [0.1]), 0, **kwargs)

    def test_refuses_thresholds_without_a_layer(self):
        with self.assertRaisesRegex(ValueError, "must have 'a', got"):
            neurons.bayesian_neuron_mask(
                statistics([0.0], [1.0]), 0, t_high={"b": 1.0}
            )

    def test_refuses_one_example(self):
        with self.assertRaisesRegex(ValueError, "two examples"):
            neurons.bayesian_neuron_mask(statistics([0.1], [0.1], 1), 0)


class NeuronSelectionTest(tf.test.TestCase):
    def test_has_the_set_algebra_and_the_metrics_of_every_set(self):
        a = NeuronSelection({"x": np.array([1, 1, 0, 0], bool)})
        b = NeuronSelection({"x": np.array([1, 0, 1, 0], bool)})
        self.assertIsInstance(a & b, NeuronSelection)
        self.assertAllClose(a.sharing(b), 0.5)
        self.assertAllClose(a.iou(b), 1 / 3)
        found = metrics.overlaps(a.values, b.values)["total"]
        self.assertAllClose(found.excess, 0.0)

    def test_is_saved_and_loaded(self):
        model = cnn()
        chosen = NeuronSelection({"conv": np.array([1, 0, 1], bool)}, {"c": 3})
        folder = self.enterContext(tempfile.TemporaryDirectory())
        chosen.save(f"{folder}/s.npz")
        loaded = NeuronSelection.load(f"{folder}/s.npz", model)
        self.assertEqual(loaded, chosen)
        self.assertEqual(loaded.provenance, {"c": 3})
        with self.assertRaisesRegex(ValueError, "no layer 'conv'"):
            NeuronSelection.load(f"{folder}/s.npz", nested())

    def test_refuses_another_number_of_units(self):
        chosen = NeuronSelection({"conv": np.ones(5, bool)})
        with self.assertRaisesRegex(ValueError, "'conv' has 3 units"):
            chosen.check_fits(cnn())


if __name__ == "__main__":
    tf.test.main()

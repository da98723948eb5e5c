import tempfile
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from tensorboard.backend.event_processing import event_accumulator

from modularity_tf.units import clustering, similarity, unit_modularity
from modularity_tf.units.find_units import find_units

BLOCKS = np.kron(np.eye(2), np.ones((2, 4)))  # inputs to 8 hidden units


def model_of_two_modules():
    """Returns a classifier of which each half sees half of the inputs."""
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(9, activation="relu", name="hidden"),
            keras.layers.Dense(3, name="logits"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01), loss)
    rng = np.random.default_rng(0)
    kernel = np.zeros((4, 9))
    kernel[:, :8] = BLOCKS * rng.uniform(0.5, 1.0, (4, 8))
    model.get_layer("hidden").set_weights([kernel, np.eye(9)[8] * -5.0])
    return model


def batches(seed=0, size=32):
    """Returns two batches; the last hidden unit never fires on them."""
    rng = np.random.default_rng(seed)
    inputs = rng.random((2, size, 4)).astype("float32")
    return list(zip(inputs, rng.integers(3, size=(2, size)), strict=True))


def cluster(model, data, measure="covariance", **kwargs):
    """Returns the clusters of the layer `hidden`."""
    options = {"layers": "hidden", "measure": measure}
    return find_units(model, data, **{**options, **kwargs})["hidden"]


class ClusterUnitsTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters("covariance", "normalized_input_sensitivity")
    def test_finds_the_modules_and_the_dead_unit(self, measure):
        found = cluster(model_of_two_modules(), batches(), measure)
        self.assertEqual((found.layer, found.measure), ("hidden", measure))
        self.assertAllEqual(found.clusters, [0] * 4 + [1] * 4 + [-1])
        self.assertAllEqual(found.unused, [8])
        self.assertAlmostEqual(found.num_clusters, 2)
        self.assertEqual(
            found.modularity,
            clustering.modularity(found.similarity, found.clusters),
        )
        self.assertBetween(found.modularity, 0.2, 0.5)

    def test_restarts_never_find_less(self):
        model, data = model_of_two_modules(), batches()
        found = [
            cluster(model, data, steps=1, restarts=restarts).modularity
            for restarts in (0, 3)
        ]
        self.assertLessEqual(found[0], found[1])

    def test_the_similarity_is_that_of_the_measure(self):
        model, data = model_of_two_modules(), batches()
        measures = ("output_sensitivity", "normalized_covariance")
        expected = similarity.unit_similarities(
            model, data, layers=["hidden"], measures=measures
        )
        for measure in measures:
            found = cluster(model, data, measure)
            self.assertAllClose(found.similarity, expected["hidden"][measure])

    def test_draws_itself(self):
        found = cluster(model_of_two_modules(), batches(), steps=10)
        ax = found.plot().axes[0]
        self.assertStartsWith(ax.get_title(), "hidden: covariance, Q = 0.")
        self.assertLen(ax.lines, 4)

    @parameterized.named_parameters(
        ("measure", {"measure": "cosine"}, "must be one of .*'cosine'"),
        ("layer", {"layers": "third"}, "`layers` names 'third'"),
        ("steps", {"steps": -1}, "`steps`"),
    )
    def test_refuses_an_unknown(self, options, message):
        with self.assertRaisesRegex(ValueError, message):
            cluster(model_of_two_modules(), batches(), **options)


class CheckFitsTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(
        ("depthwise", keras.layers.DepthwiseConv1D(2)),
        ("transposed", keras.layers.Conv1DTranspose(5, 2)),
        ("recurrent", keras.layers.GRU(5)),
    )
    def test_takes_the_clusters_of_any_layer(self, layer):
        model = keras.Sequential([keras.Input((4, 3)), layer])
        rng = np.random.default_rng(0)
        data = rng.normal(size=(8, 4, 3)), np.zeros(8)
        (found,) = find_units(model, data, layers=layer.name).values()
        found.check_fits(model)

    def test_counts_the_units_of_a_packed_kernel(self):
        model = model_of_two_modules()
        found = find_units(model, batches())["hidden"]
        model.quantize("int4")
        found.check_fits(model)  # 9 units in 5 bytes
        self.assertLen(find_units(model, batches())["hidden"].clusters, 9)


class UnitModularityTest(tf.test.TestCase):
    def fit(self, epochs=2, **options):
        model = model_of_two_modules()
        inputs, labels = batches(1)[0]
        watch = unit_modularity.UnitModularity(batches(), **options)
        seen = []

        def look(epoch, logs):
            seen.append(cluster(model, batches()))

        recorder = keras.callbacks.LambdaCallback(on_epoch_end=look)
        history = model.fit(
            inputs,
            labels,
            batch_size=16,
            epochs=epochs,
            callbacks=[watch, recorder],
            verbose=0,
        )
        return history.history, seen, model

    def test_is_traced_once_a_training(self):
        name, traced = "_summary", similarity._summary
        with mock.patch.object(similarity, name, wraps=traced) as spy:
            watch = unit_modularity.UnitModularity(batches())
            for _ in range(2):
                model = model_of_two_modules()
                history = model.fit(
                    *batches()[0], epochs=3, callbacks=[watch], verbose=0
                )
        self.assertEqual(spy.call_count, 2)
        self.assertLen(history.history["modularity/hidden"], 3)

    def test_logs_q_and_clusters_of_every_epoch(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        history, seen, _ = self.fit(log_dir=folder)
        expected = {
            "modularity/hidden": [found.modularity for found in seen],
            "num_clusters/hidden": [found.num_clusters for found in seen],
        }
        self.assertNotEqual(*expected["modularity/hidden"])
        self.assertCountEqual(history, ["loss", *expected])
        events = event_accumulator.EventAccumulator(folder).Reload()
        self.assertCountEqual(events.Tags()["tensors"], expected)
        for name, values in expected.items():
            self.assertAllClose(history[name], values)
            written = events.Tensors(name)
            self.assertEqual([event.step for event in written], [2, 4])
            numbers = [tf.make_ndarray(event.tensor_proto) for event in written]
            self.assertAllClose(numbers, values)

    def test_watches_the_layers_asked_for(self):
        history, _, _ = self.fit(layers=["logits"], measure="covariance")
        self.assertContainsSubset(["modularity/logits"], history)
        self.assertNotIn("modularity/hidden", history)

    def test_training_is_the_same_without_it(self):
        weights = []
        for watch in (unit_modularity.UnitModularity(batches()), None):
            keras.utils.set_random_seed(0)
            model = model_of_two_modules()
            inputs, labels = batches(1)[0]
            watches = [watch] if watch else []
            model.fit(inputs, labels, epochs=2, callbacks=watches, verbose=0)
            weights.append(model.get_weights())
        for one, other in zip(*weights, strict=True):
            self.assertAllEqual(one, other)

    def test_refuses_an_unknown_measure_at_once(self):
        with self.assertRaisesRegex(ValueError, "must be one of .*'cosine'"):
            unit_modularity.UnitModularity(batches(), measure="cosine")

    def test_refuses_an_unknown_layer_before_training(self):
        model = model_of_two_modules()
        before = model.get_weights()
        watch = unit_modularity.UnitModularity(batches(), layers="third")
        with self.assertRaisesRegex(ValueError, "'third', which is no layer"):
            model.fit(*batches()[0], callbacks=[watch], verbose=0)
        for one, other in zip(before, model.get_weights(), strict=True):
            self.assertAllEqual(one, other)

    def test_refuses_channels_first_before_training(self):
        model = keras.Sequential(
            [
                keras.Input((3, 4, 4)),
                keras.layers.MaxPooling2D(
                    1, data_format="channels_first", name="pool"
                ),
                keras.layers.ReLU(name="relu"),
                keras.layers.Flatten(),
                keras.layers.Dense(3, name="hidden"),
                keras.layers.Dense(2, name="last"),
            ]
        )
        model.compile("sgd", "mse")
        rng = np.random.default_rng(0)
        data = rng.normal(size=(8, 3, 4, 4)), rng.normal(size=(8, 2))
        before = model.get_weights()
        watch = unit_modularity.UnitModularity(data, layers="pool")
        with self.assertRaisesRegex(ValueError, "'pool' has its channels"):
            model.fit(*data, callbacks=[watch], verbose=0)
        self.assertAllEqual(before[0], model.get_weights()[0])
        for name in ("pool", "relu"):
            with self.assertRaisesRegex(ValueError, f"'{name}' has its chan"):
                find_units(model, data, layers=name)
        # What comes after Flatten has its units on the last axis.
        self.assertEqual([*find_units(model, data)], ["hidden"])

    def test_refuses_data_that_is_gone_after_one_epoch(self):
        with self.assertRaisesRegex(ValueError, "`data` .* a generator a list"):
            unit_modularity.UnitModularity(iter(batches()))

    def test_refuses_data_without_an_end_at_once(self):
        data = tf.data.Dataset.from_tensors(batches()[0]).repeat()
        with self.assertRaisesRegex(ValueError, "`data` .* without an end"):
            unit_modularity.UnitModularity(data)


if __name__ == "__main__":
    tf.test.main()

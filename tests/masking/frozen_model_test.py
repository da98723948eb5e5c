import os

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.masking import frozen_model
from modularity_tf.network import model_weights


class Shifted(frozen_model.FrozenModel):
    """Learns an offset for every weight."""

    def __init__(self, model):
        super().__init__(model)
        weights = model_weights.model_weights(model)
        self._check_floats(weights)
        self.offsets = self._add_learned(
            {path: w.variable.shape for path, w in weights.items()},
            initializer="zeros",
        )
        self.built = True

    @property
    def learned(self):
        return self.offsets

    def call(self, inputs):
        variables = self._functional.variables
        shifted = {p: variables[p] + v for p, v in self.offsets.items()}
        return self._functional(shifted, inputs)


def _linear(**kwargs):
    inputs = keras.Input((3,))
    layer = keras.layers.Dense(2, name="d", **kwargs)
    return keras.Model(inputs, layer(inputs))


class Counted(Shifted):
    """Counts how often its training step is traced."""

    traces = 0

    def train_step(self, data):
        self.traces += 1
        return super().train_step(data)


class FrozenModelTest(parameterized.TestCase, tf.test.TestCase):
    def test_freezing_it_leaves_the_model_trainable(self):
        model = _linear()
        shifted = Shifted(model)
        shifted.trainable = False
        self.assertEmpty(shifted.trainable_variables)
        self.assertTrue(model.trainable)
        self.assertLen(model.trainable_weights, 2)
        shifted.trainable = True
        self.assertLen(shifted.trainable_variables, 2)

    @parameterized.parameters(True, False)
    def test_only_what_is_learned_trains(self, trainable):
        model = _linear()
        model.trainable = trainable
        before = model.get_weights()
        shifted = Shifted(model)
        shifted.compile("sgd", loss="mse")
        shifted.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
        self.assertEqual([*shifted.offsets], ["d/kernel", "d/bias"])
        for offset in shifted.offsets.values():
            self.assertGreater(np.min(np.abs(offset)), 0.0)
        for old, new in zip(before, model.get_weights(), strict=True):
            self.assertAllEqual(old, new)
        self.assertLen(shifted.trainable_weights, 2)
        self.assertLen(shifted.non_trainable_weights, 2)

    def test_a_frozen_frozen_model_learns_nothing(self):
        shifted = Shifted(_linear())
        shifted.trainable = False
        self.assertEmpty(shifted.trainable_variables)
        self.assertLen(shifted.non_trainable_variables, 4)

    def test_a_weight_without_gradient_is_refused(self):
        model = _linear()
        layer = model.get_layer("d")
        layer.kernel._dtype = "int32"
        with self.assertRaisesRegex(ValueError, "'d/kernel' .* int32"):
            Shifted(model)

    def test_a_reset_optimizer_is_a_new_one(self):
        variable = keras.Variable([1.0, 2.0])
        used = keras.optimizers.Adam(0.1)
        used.apply([tf.ones(2)], [variable])
        frozen_model.reset_optimizer(used, [variable])
        fresh = keras.optimizers.Adam(0.1)
        fresh.build([variable])
        for old, new in zip(used.variables, fresh.variables, strict=True):
            self.assertAllEqual(old, new)

    @parameterized.named_parameters(
        ("adam", lambda rate: keras.optimizers.Adam(rate)),
        (
            "scaled",
            lambda rate: keras.optimizers.LossScaleOptimizer(
                keras.optimizers.SGD(rate, momentum=0.9)
            ),
        ),
        (
            "accumulated",
            lambda rate: keras.optimizers.Adam(
                rate, gradient_accumulation_steps=2, use_ema=True
            ),
        ),
    )
    def test_a_reset_restores_the_compiled_learning_rate(self, optimizer):
        model = Shifted(_linear())
        model.compile(optimizer(0.5), "mse")
        before = [variable.numpy() for variable in model.optimizer.variables]
        halve = keras.callbacks.LearningRateScheduler(lambda _, rate: rate / 2)
        data = np.ones((4, 3)), np.ones((4, 2))
        for _ in range(2):
            model.fit(*data, epochs=2, callbacks=[halve], verbose=0)
            self.assertAllClose(model.optimizer.learning_rate, 0.125)
            model._reset_optimizer()
            self.assertAllClose(model.optimizer.learning_rate, 0.5)
            for old, new in zip(before, model.optimizer.variables, strict=True):
                self.assertAllEqual(old, new)

    @parameterized.parameters("m.h5", "m.hdf5")
    def test_a_legacy_file_is_refused(self, name):
        file = os.path.join(self.get_temp_dir(), name)
        with self.assertRaisesRegex(ValueError, "end in .keras, got .*Shifted"):
            Shifted(_linear()).save(file)

    def test_says_of_missing_targets_what_keras_says(self):
        messages = []
        for model in (_linear(), Shifted(_linear())):
            model.compile("sgd", "mse", metrics=["accuracy"], run_eagerly=True)
            with self.assertRaises(ValueError) as raised:
                model.fit(np.ones((4, 3)), verbose=0)
            messages.append(str(raised.exception))
        self.assertEqual(*messages)

    def test_the_training_step_is_traced_once_with_metrics_by_name(self):
        model = Counted(_linear())
        model.compile("sgd", "mse", metrics=["accuracy", "mae"])
        x, y = np.ones((4, 3)), np.ones((4, 2))
        history = model.fit(x, y, 2, epochs=2, verbose=0).history
        self.assertEqual(model.traces, 1)
        self.assertSameElements(history, ["accuracy", "loss", "mae"])
        self.assertIn("accuracy", model.train_on_batch(x, y, return_dict=True))


if __name__ == "__main__":
    tf.test.main()

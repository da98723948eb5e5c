"""Masks of models that draw random numbers in inference, too."""

import warnings

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from keras import layers

import modularity_tf as mtf


class DropoutLeftOn(layers.Dropout):
    def call(self, inputs, training=False):
        return super().call(inputs, training=True)


class NoiseLeftOn(layers.GaussianNoise):
    def call(self, inputs, training=False):
        return super().call(inputs, training=True)


class Rates(keras.callbacks.Callback):
    """Keeps the learning rate with which each training begins."""

    def __init__(self):
        super().__init__()
        self.rates = []

    def on_train_begin(self, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))


def noisy_classifier(layer):
    """Returns a classifier of the sign of a sum, and its data."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(16, activation="relu", name="hidden"),
            layer,
            layers.Dense(2, activation="softmax", name="output"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.02),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    x = np.random.default_rng(0).normal(size=(1024, 6)).astype("float32")
    y = (x[:, 0] + x[:, 1] > 0).astype("int32")
    model.fit(x, y, 64, epochs=10, verbose=0)
    return model, (x, y)


class RandomLayersTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(
        ("dropout_left_on", lambda: DropoutLeftOn(0.5, seed=1)),
        ("noise_left_on", lambda: NoiseLeftOn(1.0)),
    )
    def test_the_told_performance_is_that_of_the_mask_applied(self, layer):
        model, (x, y) = noisy_classifier(layer())
        generator = model.layers[1].seed_generator
        before = generator.state.numpy()
        rates, halve = Rates(), lambda _, rate: rate / 2
        found = []
        for _ in range(2):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that the mask is not sound
                found.append(
                    mtf.find_weights(
                        model,
                        (x[:512], y[:512]),
                        (x[512:], y[512:]),
                        alpha=1e-5,
                        initial_keep_probability=0.9,
                        steps=100,
                        seed=np.int64(3),
                        callbacks=[
                            keras.callbacks.LearningRateScheduler(halve),
                            rates,
                        ],
                        verbose=0,
                    )
                )
            self.assertAllEqual(generator.state, before)
            model.predict(x, verbose=0)  # draws, and goes on
            generator.state.assign(before)
        self.assertEqual(*found)
        self.assertAllClose(rates.rates, [0.03, 0.03])
        told = found[0].provenance["performance"]
        self.assertEqual(told, found[1].provenance["performance"])
        self.assertEqual(found[0].provenance["seed"], 3)
        alone = found[0].apply(model)
        alone.compile(loss=model.loss, metrics=["accuracy"])
        _, accuracy = alone.evaluate(x[512:], y[512:], verbose=0)
        # Accuracies of 512 draws each; Hoeffding: one seed in 1e6 flakes.
        self.assertLess(abs(told - accuracy), 2 * np.sqrt(np.log(2e6) / 1024))
        self.assertGreater(told, 0.6)

    def test_two_steps_of_training_see_two_draws(self):
        model, (x, y) = noisy_classifier(DropoutLeftOn(0.5, seed=1))
        masked = mtf.MaskedModel(
            model, initial_keep_probability=1 - 1e-7, alpha=0.0
        )
        masked.compile(
            keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy"
        )
        losses = [masked.train_on_batch(x[:64], y[:64]) for _ in range(3)]
        self.assertLen({float(loss) for loss in losses}, 3)

    def test_a_check_of_soundness_is_reproducible(self):
        model, (x, y) = noisy_classifier(DropoutLeftOn(0.5))
        kernel = model.layers[0].kernel.numpy()
        mask = mtf.WeightMask({"hidden/kernel": abs(kernel) > 0.2})
        before = model.layers[1].seed_generator.state.numpy()
        data = x[:256], y[:256]
        found = []
        for _ in range(2):
            result = mtf.soundness.check(
                mask, model, data, removals=3, random_parts=2
            )
            found.append(result)
            self.assertAllEqual(model.layers[1].seed_generator.state, before)
            keras.random.uniform(())
        self.assertEqual(*found)


if __name__ == "__main__":
    tf.test.main()

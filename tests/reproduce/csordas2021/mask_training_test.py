import dataclasses
import types

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from reproduce.csordas2021 import mask_training


class ConfigTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("beta", {"beta": -1.0}, "--beta must be at least 0, finite, got -1.0"),
        ("batch", {"mask_batch_size": 3}, "smaller than --num_samples=4"),
        (
            "steps",
            {"mask_steps": 750},
            "--mask_steps must be a mult.*, got 750",
        ),
    )
    def test_refuses(self, changes, message):
        with self.assertRaisesRegex(ValueError, message):
            dataclasses.replace(mask_training.Config(), **changes)


class CompileTest(tf.test.TestCase):
    def test_weights_and_masks_train_as_the_paper_says(self):
        config = mask_training.Config(beta=0.64, mask_lr=0.03, num_samples=2)
        network = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(2, name="d")]
        )
        mask_training.compile_network(config, network, loss="mse")
        self.assertAllClose(network.optimizer.learning_rate, 1e-3)
        self.assertEqual(network.optimizer.global_clipnorm, 1.0)
        self.assertLessEqual(network.optimizer.epsilon, 1e-8)
        masked = mask_training.compile_masked(
            config, network, "kernels", loss="mse"
        )
        self.assertAllClose(masked.alpha, 0.64 / 128)
        self.assertAllClose(masked.optimizer.learning_rate, 0.03)
        self.assertEqual(list(masked.mask_logits), ["d/kernel"])


class FindAlphaTest(tf.test.TestCase):
    def test_every_trial_is_a_substage_of_as_many_steps_as_a_mask(self):
        planned = []

        class Stage:
            config = mask_training.Config(mask_steps=1000)

            def substage(self, name, function, alpha, steps):
                planned.append((name, steps))
                return function(self, alpha)

        mask = types.SimpleNamespace(keep_fraction=0.5)
        performances = iter((1.0, 0.1, 0.1))
        found = mask_training.find_alpha(
            Stage(),
            lambda substage, alpha: mask,
            lambda mask: next(performances),
            1.0,
        )
        self.assertEqual(found["alpha"], 1e-4 / 128)
        self.assertLen(found["trials"], 3)
        self.assertEqual({steps for _, steps in planned}, {1000})
        self.assertLen({name for name, _ in planned}, 3)


class PredictTest(tf.test.TestCase):
    def test_is_the_argmax_in_whatever_batches(self):
        inputs = np.random.default_rng(0).normal(size=(11, 4, 5))
        found = mask_training.predict(lambda x: x, inputs, batch_size=3)
        self.assertAllEqual(found, inputs.astype("float32").argmax(-1))


if __name__ == "__main__":
    tf.test.main()

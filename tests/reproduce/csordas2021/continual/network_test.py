import tempfile

import keras
import numpy as np
import tensorflow as tf

from modularity_tf.masking import frozen_model
from reproduce.csordas2021.continual import network as continual


def network(**kwargs):
    model = continual.build(6, (5, 4), 3, **{"num_samples": 2, **kwargs})
    model.compile(
        keras.optimizers.Adam(0.1),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def fit(model, seed):
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 255, (32, 6)).astype("float32")
    y = rng.integers(0, 3, 32)
    model.fit(x, y, epochs=3, verbose=0)


class ContinualTest(tf.test.TestCase):
    def test_used_weights_are_frozen_and_free_ones_train(self):
        model = network()
        fit(model, 0)
        layers = model.layers[-3:]
        rng = np.random.default_rng(1)
        for layer in layers:
            for logits in (layer.mask_logits, layer.bias_mask_logits):
                logits.assign(rng.normal(size=logits.shape))
            layer.start_task(seed=7, old_logit=2.0, new_logit=1.0)
        before = [layer.get_weights() for layer in layers]
        used = [layer.masks()[1] for layer in layers]
        frozen_model.reset_optimizer(model.optimizer, model.trainable_variables)
        fit(model, 2)
        for layer, old, flags in zip(layers, before, used, strict=True):
            kernel, bias = layer.get_weights()[:2]
            self.assertAllEqual(
                kernel[flags["kernel"]], old[0][flags["kernel"]]
            )
            self.assertAllEqual(bias[flags["bias"]], old[1][flags["bias"]])
            free = ~flags["kernel"]
            self.assertTrue(free.any() and flags["kernel"].any())
            self.assertGreater(np.abs(kernel - old[0])[free].max(), 0.01)

    def test_a_new_task_draws_free_weights_and_logits_anew(self):
        model = network()
        layer = model.layers[1]
        kept = np.random.default_rng(0).random((6, 5)) < 0.5
        layer.mask_logits.assign(np.where(kept, 3.0, -3.0))
        old = layer.kernel.numpy()
        layer.start_task(seed=1, old_logit=2.0, new_logit=0.0)
        self.assertAllEqual(layer.kernel.numpy()[kept], old[kept])
        self.assertTrue(np.all(layer.kernel.numpy()[~kept] != old[~kept]))
        self.assertAllEqual(layer.mask_logits.numpy(), np.where(kept, 2.0, 0.0))
        mask, used = layer.masks()
        self.assertAllEqual(used["kernel"], kept)
        self.assertAllEqual(mask["kernel"], kept)  # a logit of 0 removes
        # Used once is used for good, whatever the next mask says.
        layer.mask_logits.assign(np.full((6, 5), -1.0))
        layer.start_task(seed=2, old_logit=2.0, new_logit=0.0)
        self.assertAllEqual(layer.masks()[1]["kernel"], kept)

    def test_is_saved_and_loaded(self):
        model = network(alpha=0.25, initial_keep_probability=0.7, seed=3)
        folder = self.enterContext(tempfile.TemporaryDirectory())
        file = f"{folder}/m.keras"
        model.layers[1].start_task(0, 2.0, -1.0)
        model.save(file)
        loaded = keras.saving.load_model(file)
        for old, new in zip(
            model.get_weights(), loaded.get_weights(), strict=True
        ):
            self.assertAllEqual(old, new)
        self.assertEqual(
            loaded.layers[1].get_config(), model.layers[1].get_config()
        )


if __name__ == "__main__":
    tf.test.main()

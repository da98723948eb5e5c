import tempfile

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from reproduce.lange2022 import stacked_mlp

L1, L2, DROPOUT = [0.0, 0.01, 0.0], [0.1, 1e-3, 0.0], [0.0, 0.0, 0.0]
RNG = np.random.default_rng(0)
X = RNG.uniform(0, 255, (40, 2, 3, 1)).astype("float32")
Y = RNG.integers(0, 4, 40).astype("int32")


def stack(l1=L1, l2=L2, dropout=DROPOUT, seed=0, learning_rate=0.01):
    model = stacked_mlp.build((2, 3, 1), (5, 4), 4, l1, l2, dropout, seed)
    model.compile(
        keras.optimizers.Adam(learning_rate),
        stacked_mlp.StackedCrossentropy(),
        metrics=[stacked_mlp.StackedAccuracy(len(l1))],
    )
    return model


def fit(model, epochs=6):
    model.fit(X, Y, batch_size=10, epochs=epochs, shuffle=False, verbose=0)


def plain(kernels, biases, l1, l2):
    """Returns the Keras model of one network with those weights."""
    penalty = keras.regularizers.L1L2(l1, l2)
    layers = [
        keras.layers.Dense(
            kernel.shape[1],
            "relu" if i < len(kernels) - 1 else None,
            kernel_regularizer=penalty,
        )
        for i, kernel in enumerate(kernels)
    ]
    model = keras.Sequential(
        [
            keras.Input((2, 3, 1)),
            keras.layers.Flatten(),
            keras.layers.Rescaling(1 / 255),
            *layers,
        ]
    )
    for layer, kernel, bias in zip(layers, kernels, biases, strict=True):
        layer.set_weights([kernel, bias])
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


class BuildTest(parameterized.TestCase, tf.test.TestCase):
    def test_each_network_learns_what_it_learns_alone(self):
        model = stack()
        networks = stacked_mlp.weights(model)
        fit(model)
        for m, (after, before) in enumerate(
            zip(stacked_mlp.weights(model), networks, strict=True)
        ):
            alone = plain(*before, L1[m], L2[m])
            fit(alone)
            expected = alone.get_weights()
            self.assertAllClose(after[0], expected[0::2], atol=1e-4)
            self.assertAllClose(after[1], expected[1::2], atol=1e-4)
            moved = [
                np.abs(a - b).max()
                for a, b in zip(*map(_flat, (after, before)))
            ]
            self.assertGreater(min(moved), 0.01)

    def test_networks_do_not_see_each_other(self):
        model, other = stack(), stack(l1=[0.0, 0.5, 0.0], l2=[0.1, 0.5, 0.0])
        for each in (model, other):
            fit(each)
        found, expected = map(stacked_mlp.weights, (other, model))
        for m in (0, 2):
            for a, b in zip(_flat(found[m]), _flat(expected[m]), strict=True):
                self.assertAllClose(a, b, atol=1e-6)
        self.assertNotAllClose(found[1][0][0], expected[1][0][0], atol=1e-2)

    def test_starts_as_pytorch_does(self):
        model = stacked_mlp.build(
            (100,), (50,), 2, [0.0] * 20, [0.0] * 20, [0.0] * 20
        )
        for layer, fan_in in (("hidden1", 100), ("output", 50)):
            for weight in model.get_layer(layer).get_weights():
                self.assertLessEqual(np.abs(weight).max(), fan_in**-0.5)
                # 40 weights and more: all below 80 % once in 7,000 seeds.
                self.assertGreater(np.abs(weight).max(), 0.8 * fan_in**-0.5)
        first, second = (
            kernels[0] for kernels, _ in stacked_mlp.weights(model)[:2]
        )
        self.assertNotAllClose(first, second)

    def test_the_seed_decides(self):
        one, same, other = (stack(seed=seed) for seed in (3, 3, 4))
        one, same, other = (m.get_weights()[0] for m in (one, same, other))
        self.assertAllEqual(one, same)
        self.assertNotAllClose(one, other)

    def test_is_saved_and_loaded(self):
        model = stack(dropout=[0.0, 0.5, 0.1])
        fit(model, epochs=1)
        file = self.enterContext(tempfile.TemporaryDirectory()) + "/m.keras"
        model.save(file)
        loaded = keras.saving.load_model(file)
        self.assertAllClose(
            loaded.predict(X, verbose=0), model.predict(X, verbose=0)
        )
        for old, new in zip(model.layers, loaded.layers, strict=True):
            self.assertEqual(old.get_config(), new.get_config())
        losses = [m.evaluate(X, Y, verbose=0) for m in (model, loaded)]
        self.assertAllClose(*losses)

    @parameterized.named_parameters(
        ("number", {"l1": [0.0]}, "equally many"),
        ("none", {"l1": [], "l2": [], "dropout": []}, "equally many"),
        ("negative", {"l2": [0.0, -1.0, 0.0]}, "`l2`"),
        (
            "certain",
            {"dropout": [0.0, 1.0, 0.0]},
            r"`dropout` must be in \[0, 1",
        ),
    )
    def test_refuses(self, changes, message):
        with self.assertRaisesRegex(ValueError, message):
            stack(**changes)


def _flat(network):
    kernels, biases = network
    return [*kernels, *biases]


class StackedL1L2Test(tf.test.TestCase):
    def test_matches_numpy(self):
        weight = np.random.default_rng(1).normal(size=(4, 3, 2))
        expected = sum(
            L2[m] * np.sum(weight[:, m] ** 2)
            + L1[m] * np.sum(np.abs(weight[:, m]))
            for m in range(3)
        )
        penalty = stacked_mlp.StackedL1L2(L1, L2)
        self.assertAllClose(penalty(weight.astype("float32")), expected)


class StackedDropoutTest(tf.test.TestCase):
    def test_each_network_has_its_rate(self):
        rates, n, false_fail_rate = [0.0, 0.2, 0.7], 100_000, 1e-9
        layer = stacked_mlp.StackedDropout(rates, seed=1)
        out = layer(np.ones((n // 10, 3, 10), "float32"), training=True).numpy()
        # Hoeffding's bound, for two rates.
        bound = np.sqrt(np.log(4 / false_fail_rate) / (2 * n))
        for m, rate in enumerate(rates):
            zero = out[:, m] == 0
            self.assertLessEqual(abs(zero.mean() - rate), bound if rate else 0)
            self.assertAllClose(
                out[:, m][~zero], np.full((~zero).sum(), 1 / (1 - rate))
            )

    def test_inference_changes_nothing(self):
        x = np.ones((2, 2, 3), "float32")
        layer = stacked_mlp.StackedDropout([0.5, 0.9])
        self.assertAllEqual(layer(x), x)

    def test_two_calls_draw_two_masks_and_the_seed_decides(self):
        x = np.ones((8, 1, 50), "float32")
        a, b = (stacked_mlp.StackedDropout([0.5], seed=2) for _ in range(2))
        first = a(x, training=True)
        self.assertAllEqual(first, b(x, training=True))
        self.assertNotAllEqual(first, a(x, training=True))


class LossAndMetricTest(tf.test.TestCase):
    def test_match_numpy(self):
        logits = (
            np.random.default_rng(2).normal(size=(6, 3, 4)).astype("float32")
        )
        labels = np.array([0, 1, 2, 3, 0, 1])
        p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        expected = -np.log(p[np.arange(6), :, labels]).sum(1).mean()
        loss = stacked_mlp.StackedCrossentropy()(labels, logits)
        self.assertAllClose(loss, expected)
        metric = stacked_mlp.StackedAccuracy(3)
        for part in (slice(4), slice(4, None)):  # of unlike size
            metric.update_state(labels[part], logits[part])
        right = (logits.argmax(-1) == labels[:, None]).mean(0)
        self.assertAllClose(metric.per_network(), right)
        self.assertAllClose(metric.result(), right.mean())


if __name__ == "__main__":
    tf.test.main()

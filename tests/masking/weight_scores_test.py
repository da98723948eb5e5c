import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.masking import weight_scores
from tests import small_models

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)).astype("float32")
Y = RNG.normal(size=(40, 2)).astype("float32")


def linear():
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2, name="d")]
    )
    kernel = np.array([[1.0, -2.0], [0.5, 0.0], [3.0, 1.0]], "float32")
    model.set_weights([kernel, np.array([0.5, -0.5])])
    return model


def loss_of(kernel):
    return np.mean((X @ kernel + [0.5, -0.5] - Y) ** 2)


class WeightScoresTest(parameterized.TestCase, tf.test.TestCase):
    def setUp(self):
        super().setUp()
        self.model = linear()
        self.kernel = self.model.get_weights()[0]

    def scores(self, method, data=(X, Y), **kwargs):
        found = weight_scores.weight_scores(
            self.model, data, method, **{"loss": "mse", **kwargs}
        )
        self.assertEqual([*found], ["d/kernel"])
        self.assertEqual(found["d/kernel"].dtype, np.float32)
        return found["d/kernel"]

    def test_magnitude_and_random_need_no_data(self):
        self.assertAllEqual(
            self.scores("magnitude", data=None, loss=None), np.abs(self.kernel)
        )
        one, same, other = (
            self.scores("random", data=None, seed=s) for s in (1, 1, 2)
        )
        self.assertAllEqual(one, same)
        self.assertNotAllEqual(one, other)

    def test_the_gradient_is_that_of_the_mean_loss(self):
        slope = X.T @ (X @ self.kernel + [0.5, -0.5] - Y) / len(X)
        expected = np.abs(self.kernel * slope)
        self.assertAllClose(self.scores("gradient"), expected, rtol=1e-4)
        # The same whatever the batches.
        batches = [(X[:7], Y[:7]), (X[7:], Y[7:])]
        self.assertAllClose(
            self.scores("gradient", batches), expected, rtol=1e-4
        )

    def test_integrated_gradients_follow_the_weights_from_zero(self):
        slopes = [
            np.abs(X.T @ (s * X @ self.kernel + [0.5, -0.5] - Y) / len(X))
            for s in (0.25, 0.5, 0.75, 1.0)
        ]
        expected = np.abs(self.kernel) * np.mean(slopes, axis=0)
        self.assertAllClose(
            self.scores("integrated_gradients", steps=4), expected, rtol=1e-4
        )

    def test_ablation_is_by_how_much_the_loss_rises(self):
        expected = np.zeros_like(self.kernel)
        for i, j in np.ndindex(expected.shape):
            without = self.kernel.copy()
            without[i, j] = 0
            expected[i, j] = loss_of(without) - loss_of(self.kernel)
        self.assertAllClose(self.scores("ablation"), expected, atol=1e-5)
        self.assertEqual(self.scores("ablation")[1, 1], 0)

    def test_activation_weighs_by_what_a_weight_takes(self):
        expected = np.abs(self.kernel) * np.sqrt(np.mean(X**2, 0))[:, None]
        self.assertAllClose(self.scores("activation"), expected, rtol=1e-5)

    def test_activation_of_convolutions_is_by_channel_and_group(self):
        images = RNG.normal(size=(5, 6, 6, 4)).astype("float32")
        model = keras.Sequential(
            [
                keras.Input((6, 6, 4)),
                keras.layers.Conv2D(6, 3, groups=2, name="c"),
            ]
        )
        (found,) = weight_scores.weight_scores(
            model, (images, np.zeros(5)), "activation"
        ).values()
        size = np.sqrt(np.mean(images**2, axis=(0, 1, 2)))
        kernel = np.abs(model.layers[0].get_weights()[0])
        self.assertAllClose(
            found[..., :3], kernel[..., :3] * size[:2, None], rtol=1e-4
        )
        self.assertAllClose(
            found[..., 3:], kernel[..., 3:] * size[2:, None], rtol=1e-4
        )

    def test_the_model_is_not_changed_and_layers_are_chosen(self):
        model = small_models.cnn()
        before = model.get_weights()
        images = RNG.normal(size=(4, 6, 6, 2)).astype("float32")
        found = weight_scores.weight_scores(
            model,
            (images, [0, 1, 1, 0]),
            "gradient",
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            layers="conv",
            roles="all",
        )
        self.assertEqual([*found], ["conv/kernel", "conv/bias"])
        self.assertAllClose(before, model.get_weights())

    @parameterized.named_parameters(
        ("method", {"method": "mean"}, "`method` must be one of"),
        ("no_data", {"data": None}, "`method`='gradient' needs `data`"),
        ("no_loss", {"loss": None}, "`loss` must be one loss"),
        ("layer", {"layers": "conv"}, "'conv'"),
        ("steps", {"steps": 0}, "`steps` must be a positive int"),
        (
            "no_kernel", {"method": "activation", "roles": "all"},
            r"Conv and Dense kernels, not for \['d/bias'\]",
        ),
    )  # fmt: skip
    def test_refuses(self, changes, message):
        arguments = {"data": (X, Y), "loss": "mse", **changes}
        with self.assertRaisesRegex(ValueError, message):
            weight_scores.weight_scores(self.model, **arguments)


class TopWeightsTest(tf.test.TestCase):
    SCORES = {
        "a": np.array([[1.0, 9.0], [3.0, 2.0]]),
        "b": np.array([8.0, 7.0]),
    }

    def test_are_the_highest_of_all_or_of_each_tensor(self):
        found = weight_scores.top_weights(self.SCORES, 0.5)
        self.assertAllEqual(found.values["a"], [[False, True], [False, False]])
        self.assertAllEqual(found.values["b"], [True, True])
        found = weight_scores.top_weights(self.SCORES, 0.5, scope="weight")
        self.assertAllEqual(found.values["a"], [[False, True], [True, False]])
        self.assertAllEqual(found.values["b"], [True, False])
        self.assertEqual(found.provenance, {"share": 0.5, "scope": "weight"})

    def test_refuses(self):
        for share in (0.0, 1.1):
            with self.assertRaisesRegex(ValueError, "`share` must be"):
                weight_scores.top_weights(self.SCORES, share)
        with self.assertRaisesRegex(ValueError, "`scope` must be"):
            weight_scores.top_weights(self.SCORES, 0.5, "layer")


if __name__ == "__main__":
    tf.test.main()

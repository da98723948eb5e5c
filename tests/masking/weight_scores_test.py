import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.findings import weight_mask
from modularity_tf.masking import weight_scores
from modularity_tf.network import model_weights
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
            self.model, data, method=method, **{"loss": "mse", **kwargs}
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

    @parameterized.parameters(False, True)
    def test_activation_weighs_by_what_a_weight_takes(self, eager):
        self.addCleanup(tf.config.run_functions_eagerly, False)
        tf.config.run_functions_eagerly(eager)
        expected = np.abs(self.kernel) * np.sqrt(np.mean(X**2, 0))[:, None]
        self.assertAllClose(self.scores("activation"), expected, rtol=1e-5)

    @parameterized.parameters("gradient", "integrated_gradients", "ablation")
    def test_examples_count_by_their_weights(self, method):
        few = np.arange(len(X)) < len(X) // 2
        weighted = self.scores(method, (X, Y, few.astype("float32")))
        subset = self.scores(method, (X[few], Y[few]))
        self.assertAllClose(weighted, subset * few.mean(), rtol=1e-4, atol=1e-6)

    def test_activations_have_no_sample_weights(self):
        data = X, Y, np.arange(len(X), dtype="float32")
        with self.assertRaisesRegex(ValueError, "sample weights.*take them"):
            self.scores("activation", data)

    def test_activation_of_convolutions_is_by_channel_and_group(self):
        images = RNG.normal(size=(5, 6, 6, 4)).astype("float32")
        model = keras.Sequential(
            [
                keras.Input((6, 6, 4)),
                keras.layers.Conv2D(6, 3, groups=2, name="c"),
            ]
        )
        (found,) = weight_scores.weight_scores(
            model, (images, np.zeros(5)), method="activation"
        ).values()
        size = np.sqrt(np.mean(images**2, axis=(0, 1, 2)))
        kernel = np.abs(model.layers[0].get_weights()[0])
        self.assertAllClose(
            found[..., :3], kernel[..., :3] * size[:2, None], rtol=1e-4
        )
        self.assertAllClose(
            found[..., 3:], kernel[..., 3:] * size[2:, None], rtol=1e-4
        )

    def test_activation_is_of_layers_with_channels_last(self):
        first = {"data_format": "channels_first"}
        model, pooled = (
            keras.Sequential(
                [
                    keras.Input((3, 4, 4)),
                    layer,
                    keras.layers.Flatten(),
                    keras.layers.Dense(2, name="d"),
                ]
            )
            for layer in (
                keras.layers.Conv2D(2, 4, name="c", **first),
                keras.layers.MaxPooling2D(1, **first),
            )
        )
        data = (RNG.normal(size=(4, 3, 4, 4)), np.zeros(4))
        with self.assertRaisesRegex(ValueError, "'c' has its channels first"):
            weight_scores.weight_scores(model, data, method="activation")
        found = weight_scores.weight_scores(pooled, data, method="activation")
        self.assertEqual([*found], ["d/kernel"])
        mask = weight_mask.WeightMask({"d/kernel": np.eye(2, dtype=bool)})
        found = mask.units(model, outputs=True)
        self.assertEqual([*found.values], ["d"])
        mask = weight_mask.WeightMask(
            {"c/kernel": np.ones((4, 4, 3, 2), bool), **mask.values}
        )
        with self.assertRaisesRegex(ValueError, "'c' has its channels first"):
            mask.units(model)

    def test_a_score_may_be_a_function_of_model_and_data(self):
        def by_sign(model, data):
            self.assertIs(model, self.model)
            self.assertIs(data[0], X)
            return {"d/kernel": model.get_weights()[0] > 0}

        self.assertAllEqual(self.scores(by_sign), self.kernel > 0)

    def test_the_model_is_not_changed_and_layers_are_chosen(self):
        model = small_models.cnn()
        before = model.get_weights()
        images = RNG.normal(size=(4, 6, 6, 2)).astype("float32")
        found = weight_scores.weight_scores(
            model,
            (images, [0, 1, 1, 0]),
            method="gradient",
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            layers="conv",
            roles="all",
        )
        self.assertEqual([*found], ["conv/kernel", "conv/bias"])
        self.assertAllClose(before, model.get_weights())

    @parameterized.named_parameters(
        ("method", {"method": "mean"}, "`method` must be one of"),
        ("nothing", {"method": lambda m, d: None}, "must return a dict .*None"),
        (
            "shape", {"method": lambda m, d: {"d/kernel": np.ones(3)}},
            r"shape \(3,\) for 'd/kernel'.*'d/kernel': \(3, 2\)",
        ),
        (
            "unknown", {"method": lambda m, d: {"d/bias": np.ones(2)}},
            "for 'd/bias'; the weights to score",
        ),
        (
            "nan",
            {"method": lambda m, d: {"d/kernel": np.full((3, 2), np.inf)}},
            "finite numbers .* 'd/kernel'",
        ),
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


def of_padded_text():
    model = keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            keras.layers.Embedding(5, 3, mask_zero=True),
            keras.layers.TimeDistributed(
                keras.layers.Dense(2, "tanh", name="inner"), name="td"
            ),
            keras.layers.Dense(2, name="last"),
        ]
    )
    model.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    return model


class PaddingTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(
        "activation", "gradient", "integrated_gradients", "ablation"
    )
    def test_more_of_it_changes_no_score(self, method):
        model = of_padded_text()
        tokens = np.array([[1, 2, 0, 0], [3, 1, 2, 4], [2, 0, 0, 0]], "int32")
        wide = np.pad(tokens, [(0, 0), (0, 3)])
        short, wide, cut = (
            weight_scores.weight_scores(
                model, batches, method=method, layers=["td", "last"], steps=2
            )
            for batches in (
                [(tokens, tokens % 2)],
                [(wide, wide % 2)],
                [(tokens[:2], tokens[:2] % 2), (tokens[2:], tokens[2:] % 2)],
            )
        )
        self.assertAllClose(wide, short, 1e-4, 1e-7)
        self.assertAllClose(cut, short, 1e-4, 1e-7)
        self.assertGreater(np.max(short["last/kernel"]), 0.0)
        if method == "activation":
            embedded = model.layers[0].get_weights()[0]
            means = [(embedded[t[t > 0]] ** 2).mean(0) for t in tokens]
            kernel = np.abs(model.get_layer("td").layer.get_weights()[0])
            self.assertAllClose(
                short["td/inner/kernel"],
                kernel * np.sqrt(np.mean(means, 0))[:, None],
            )


class PrecisionTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters("mixed_float16", "mixed_bfloat16", "float16")
    def test_scores_are_those_of_float32(self, policy):
        # The slopes of small numbers are small, and float16 would lose them.
        small, x = X[:, :2] / 1000, X[:, :2]
        found = {}
        for kind in ("float32", policy):
            model = keras.Sequential(
                [
                    keras.Input((2,)),
                    keras.layers.Dense(3, "tanh", name="a", dtype=kind),
                    keras.layers.Dense(2, name="b", dtype=kind),
                ]
            )
            rng = np.random.default_rng(1)
            model.set_weights(
                [rng.normal(size=w.shape) for w in model.get_weights()]
            )
            found[kind] = {
                method: weight_scores.weight_scores(
                    model, (inputs, Y), method=method, loss="mse"
                )
                for method, inputs in (
                    ("activation", x),
                    ("gradient", small),
                    ("ablation", x),
                )
            }
        for method, scores in found[policy].items():
            for path, values in scores.items():
                expected = found["float32"][method][path]
                size = np.max(np.abs(expected))
                self.assertAllClose(
                    values, expected, 0.0, 0.05 * size, msg=(method, path)
                )

    def test_a_float64_model_keeps_its_digits(self):
        model = keras.Sequential(
            [
                keras.Input((3,), dtype="float64"),
                keras.layers.Dense(1, name="d", dtype="float64"),
            ]
        )
        found = weight_scores.weight_scores(
            model,
            [(X.astype("float64"), Y[:, :1])],
            method="gradient",
            loss="mse",
        )
        kernel, bias = model.get_weights()
        slope = 2 * X.T @ (X @ kernel + bias - Y[:, :1]) / len(X)
        self.assertAllClose(found["d/kernel"], np.abs(kernel * slope), 1e-5)

    def test_an_overflow_is_said_to_be_one(self):
        model = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(2, dtype="mixed_float16")]
        )
        model.set_weights([np.full((3, 2), 6e4), np.zeros(2)])
        with self.assertRaisesRegex(ValueError, "overflow in float16"):
            weight_scores.weight_scores(
                model, (X, Y), method="gradient", loss="mse"
            )


class MaskOfScoresTest(parameterized.TestCase, tf.test.TestCase):
    SCORES = {
        "a": np.array([[1.0, 9.0], [3.0, 2.0]]),
        "b": np.array([8.0, 7.0]),
    }

    def test_keeps_the_highest_of_all_or_of_each_tensor(self):
        found = weight_scores.mask_of_scores(self.SCORES, keep=0.5)
        self.assertAllEqual(found.values["a"], [[False, True], [False, False]])
        self.assertAllEqual(found.values["b"], [True, True])
        found = weight_scores.mask_of_scores(
            self.SCORES, keep=0.5, scope="weight"
        )
        self.assertAllEqual(found.values["a"], [[False, True], [True, False]])
        self.assertAllEqual(found.values["b"], [True, False])
        self.assertEqual(
            found.provenance,
            {"method": "highest scores", "keep": 0.5, "scope": "weight"},
        )
        for path, values in self.SCORES.items():
            self.assertAllEqual(found.scores[path], values)

    @parameterized.parameters(
        ("float64", 1e300), ("float64", 1e-300), ("int64", 1), ("float16", 1)
    )
    def test_ranks_scores_as_exactly_as_they_are(self, dtype, unit):
        scores = np.array([2, 5, 1, 4], dtype) * np.array(unit, dtype)
        found = weight_scores.mask_of_scores({"a": scores}, keep=0.5)
        self.assertAllEqual(found.values["a"], [False, True, False, True])
        own = weight_scores.weight_scores(
            linear(), method=lambda *_: {"d/kernel": np.full((3, 2), 1e300)}
        )
        self.assertAllEqual(own["d/kernel"], np.full((3, 2), 1e300))

    @parameterized.parameters(0.001, 0.1, 0.3, 0.5, 0.77, 1.0)
    def test_the_size_is_right_to_one_weight_whatever_the_ties(self, keep):
        scores = {"a": np.ones((3, 5)), "b": np.array([2.0, 1.0, 1.0, 0.0])}
        found = weight_scores.mask_of_scores(scores, keep=keep)
        kept = sum(int(v.sum()) for v in found.values.values())
        self.assertLessEqual(abs(kept - max(1, 19 * keep)), 0.5)
        again = weight_scores.mask_of_scores(scores, keep=keep)
        self.assertEqual(found, again)
        flat = found.values["a"].ravel()  # of equal scores the first
        self.assertAllEqual(flat, np.sort(flat)[::-1])

    def test_of_a_model_it_knows_which(self):
        model = linear()
        scores = weight_scores.weight_scores(model, method="magnitude")
        mask = weight_scores.mask_of_scores(scores, keep=0.5, model=model)
        self.assertEqual(
            mask.provenance["model_fingerprint"],
            model_weights.fingerprint(model),
        )
        self.assertAllEqual(
            mask.apply(model).get_weights()[0], [[1, -2], [0, 0], [3, 0]]
        )
        with self.assertRaisesRegex(ValueError, "does not fit the model"):
            weight_scores.mask_of_scores(self.SCORES, keep=0.5, model=model)

    @parameterized.parameters(
        "magnitude",
        "gradient",
        "integrated_gradients",
        "activation",
        "ablation",
    )
    def test_no_score_sees_a_pair_that_cancels(self, method):
        # The output is the input, by way of one hidden unit. Two others take
        # it five times as strongly, and cancel each other.
        model = keras.Sequential(
            [
                keras.Input((1,)),
                keras.layers.Dense(3, use_bias=False, name="hidden"),
                keras.layers.Dense(1, use_bias=False, name="out"),
            ]
        )
        model.set_weights([np.array([[1, 5, 5]]), np.array([[1], [1], [-1]])])
        needed = weight_mask.WeightMask(
            {
                "hidden/kernel": np.array([[1, 0, 0]], bool),
                "out/kernel": np.array([[1], [0], [0]], bool),
            }
        )
        x = X[:, :1]
        self.assertAllClose(needed.apply(model)(x), x)
        y = x + 0.1 * RNG.normal(size=(40, 1))
        scores = weight_scores.weight_scores(
            model, (x, y), method=method, loss="mse"
        )
        useful, *pair = scores["hidden/kernel"][0]
        self.assertGreater(min(pair), useful)
        mask = weight_scores.mask_of_scores(
            scores, keep=needed.keep_fraction, model=model
        )
        self.assertEqual(mask.sharing(needed), 0)

    def test_refuses(self):
        for keep in (0.0, 1.1):
            with self.assertRaisesRegex(ValueError, "`keep` must be"):
                weight_scores.mask_of_scores(self.SCORES, keep=keep)
        with self.assertRaisesRegex(ValueError, "`scope` must be"):
            weight_scores.mask_of_scores(self.SCORES, keep=0.5, scope="layer")
        for scores, message in (
            ({}, "`scores` must be a dict"),
            ([1.0], "`scores` must be a dict"),
            ({"a": np.array([1.0, np.nan])}, "finite numbers .* 'a'"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                weight_scores.mask_of_scores(scores, keep=0.5)


if __name__ == "__main__":
    tf.test.main()

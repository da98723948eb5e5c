import os
import tempfile

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.findings import weight_mask
from modularity_tf.masking import scored_model


def _network(seed=0):
    """Returns a model of 12 + 20 kernel weights, two of them 0."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, activation="tanh", name="a"),
            keras.layers.Dense(5, activation="softmax", name="b"),
        ]
    )
    kernel = model.get_layer("a").kernel
    kernel.assign(np.where(np.arange(12).reshape(3, 4) < 2, 0, kernel))
    return model


def _data(rows=32):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(rows, 3)).astype("float32")
    return x, rng.integers(0, 5, rows)


def _set_random_scores(scored, seed=3):
    rng = np.random.default_rng(seed)
    for scores in scored.scores.values():
        scores.assign(rng.normal(size=scores.shape))


class ScoredModelTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.product(scope=scored_model.SCOPES, signed=(True, False))
    def test_keeps_the_top_share_of_the_weights_that_are_not_0(
        self, scope, signed
    ):
        model = _network()
        scored = scored_model.ScoredModel(
            model, share=0.3, scope=scope, signed=signed
        )
        _set_random_scores(scored)
        ranks = {p: v.numpy() for p, v in scored.scores.items()}
        if not signed:
            ranks = {p: np.abs(v) for p, v in ranks.items()}
        ranks["a/kernel"].flat[:2] = -np.inf
        mask = scored.weight_mask().values
        if scope == "model":  # 30 weights compete
            both = np.concatenate([v.ravel() for v in ranks.values()])
            limits = dict.fromkeys(ranks, np.sort(both)[-9])
        else:  # 10 and 20
            sizes = {"a/kernel": 3, "b/kernel": 6}
            limits = {p: np.sort(v, None)[-sizes[p]] for p, v in ranks.items()}
        self.assertEqual([*mask], ["a/kernel", "b/kernel"])
        for path, rank in ranks.items():
            self.assertAllEqual(mask[path], rank >= limits[path])

    def test_output_is_that_of_the_model_under_the_mask(self):
        model = _network()
        x, _ = _data()
        scored = scored_model.ScoredModel(model, share=0.5, seed=1)
        expected = scored.weight_mask().apply(model)(x)
        self.assertAllClose(scored(x), expected, atol=1e-6)
        self.assertNotAllClose(scored(x), model(x), atol=1e-3)
        whole = scored_model.ScoredModel(model, share=1.0, seed=1)
        self.assertAllClose(whole(x), model(x), atol=1e-6)

    @parameterized.parameters(True, False)
    def test_scores_get_the_gradient_of_the_mask(self, signed):
        inputs = keras.Input((3,))
        model = keras.Model(inputs, keras.layers.Dense(1, name="d")(inputs))
        kernel = np.array([[2.0], [-3.0], [0.5]])
        model.set_weights([kernel, np.zeros(1)])
        scored = scored_model.ScoredModel(model, share=1 / 3, signed=signed)
        scored.scores["d/kernel"].assign([[0.1], [-0.7], [0.2]])
        x = np.array([[1.0, 10.0, 100.0], [1.0, 20.0, 300.0]], "float32")
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(scored(x))
        kept = 2 if signed else 1
        expected = x[:, kept].sum() * kernel[kept, 0]
        self.assertAllClose(total, expected)
        gradient = tape.gradient(total, scored.scores["d/kernel"].value)
        self.assertAllClose(gradient[:, 0], x.sum(axis=0) * kernel[:, 0])

    def test_scores_get_a_gradient_through_a_rectified_weight(self):
        class Rectified(keras.layers.Layer):
            def build(self, shape):
                self.kernel = self.add_weight((3, 1), "ones", name="kernel")

            def call(self, x):
                return x @ keras.ops.relu(self.kernel)

        model = keras.Sequential([keras.Input((3,)), Rectified()])
        scored = scored_model.ScoredModel(model, share=1 / 3)
        x = np.array([[1.0, 10.0, 100.0]], "float32")
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(scored(x))
        (scores,) = scored.trainable_variables
        self.assertAllClose(tape.gradient(total, scores.value), x.T)
        self.assertEqual(total, x[0, np.argmax(scores)])

    def test_finds_the_weights_that_a_task_needs(self):
        inputs = keras.Input((20,))
        layer = keras.layers.Dense(1, use_bias=False, name="d")
        model = keras.Model(inputs, layer(inputs))
        kernel = np.where(np.arange(20) % 2, 1.0, -1.0)
        model.set_weights([kernel[:, None]])
        x = np.random.default_rng(0).normal(size=(512, 20)).astype("float32")
        y = x[:, [3, 8]] @ kernel[[3, 8]]
        scored = scored_model.ScoredModel(model, share=0.1, seed=0)
        scored.compile(keras.optimizers.SGD(0.1), loss="mse")
        scored.fit(x, y, epochs=5, verbose=0)
        mask = scored.weight_mask("3 and 8")
        found = np.flatnonzero(mask.values["d/kernel"])
        self.assertAllEqual(found, [3, 8])
        self.assertEqual(mask.provenance["task"], "3 and 8")
        self.assertAllEqual(model.get_weights()[0], kernel[:, None])

    def test_only_candidates_compete_and_unnamed_tensors_stay(self):
        model = _network()
        compete = np.zeros((3, 4), bool)
        compete[1] = True
        candidates = weight_mask.WeightMask({"a/kernel": compete})
        scored = scored_model.ScoredModel(
            model, share=0.5, candidates=candidates, seed=0
        )
        mask = scored.weight_mask().values
        self.assertEqual([*mask], ["a/kernel"])
        self.assertEqual(mask["a/kernel"].sum(), 2)
        self.assertFalse((mask["a/kernel"] & ~compete).any())

    def test_scores_start_uniform_by_fan_in(self):
        n, false_fail_rate = 300 * 400, 1e-9
        inputs = keras.Input((300,))
        model = keras.Model(inputs, keras.layers.Dense(400, name="d")(inputs))
        scored = scored_model.ScoredModel(model, seed=0)
        scaled = scored.scores["d/kernel"].numpy().ravel() * np.sqrt(300)
        self.assertLessEqual(np.abs(scaled).max(), 1 + 1e-6)
        # Dvoretzky-Kiefer-Wolfowitz: the distribution is uniform on (-1, 1).
        distance = np.abs(np.sort(scaled) - np.linspace(-1, 1, n)).max() / 2
        bound = np.sqrt(np.log(2 / false_fail_rate) / (2 * n)) + 1 / n
        self.assertLess(distance, bound)

    def test_reset_is_a_fresh_start(self):
        x, y = _data()
        scored = scored_model.ScoredModel(_network(), share=0.3, seed=4)
        start = {p: v.numpy() for p, v in scored.scores.items()}
        scored.compile(
            keras.optimizers.Adam(0.1), loss="sparse_categorical_crossentropy"
        )
        ends = []
        for _ in range(2):
            scored.fit(x, y, shuffle=False, epochs=2, verbose=0)
            ends.append([v.numpy() for v in scored.scores.values()])
            scored.reset(seed=4)
            for path, scores in scored.scores.items():
                self.assertAllEqual(scores, start[path])
        self.assertAllClose(*ends, atol=1e-6)
        scored.reset(seed=5)
        for path, scores in scored.scores.items():
            self.assertNotAllClose(scores, start[path])

    def test_saves_to_keras_and_loads_back(self):
        x, y = _data()
        candidates = weight_mask.WeightMask(
            {"b/kernel": np.arange(20).reshape(4, 5) % 3 > 0}
        )
        kwargs = {"share": 0.4, "scope": "weight", "signed": False, "seed": 6}
        scored = scored_model.ScoredModel(
            _network(), candidates=candidates, **kwargs
        )
        scored.compile("sgd", loss="sparse_categorical_crossentropy")
        scored.fit(x, y, epochs=2, verbose=0)
        folder = self.enterContext(tempfile.TemporaryDirectory())
        file = os.path.join(folder, "m.keras")
        scored.save(file)
        loaded = keras.saving.load_model(file)
        config = loaded.get_config()
        self.assertEqual(kwargs, {name: config[name] for name in kwargs})
        self.assertEqual(loaded.candidates, candidates)
        self.assertAllClose(loaded(x), scored(x))
        for model in (scored, loaded):
            model.fit(x, y, shuffle=False, verbose=0)
        self.assertAllClose(
            loaded.scores["b/kernel"], scored.scores["b/kernel"]
        )

    @parameterized.named_parameters(
        ("no_share", {"share": 0.0}, "`share` must be in"),
        ("all_and_more", {"share": 1.1}, "`share` must be in"),
        ("scope", {"scope": "layer"}, "`scope` must be in"),
        ("share_str", {"share": "0.1"}, "`share` must be in .* got '0.1'"),
        ("share_nan", {"share": np.nan}, "`share` must be in .* got nan"),
        ("signed", {"signed": "no"}, "`signed` must be a bool, got 'no'"),
        ("seed", {"seed": -1}, "`seed` must be"),
        ("model", {"model": None}, "`model` must be a keras.Model, got None"),
        ("file", {"file": "m.npz"}, r"got 'm.npz'; .*WeightMask.load\(file\)"),
        (
            "another_model",
            {"candidates": {"c/kernel": np.ones(3, bool)}},
            "no weight 'c/kernel'",
        ),
        (
            "nothing",
            {"candidates": {"b/kernel": np.zeros((4, 5), bool)}},
            "`candidates` must have",
        ),
        ("no_tensor", {"candidates": {}}, "`candidates` must have"),
    )
    def test_refuses(self, kwargs, message):
        if "candidates" in kwargs:
            candidates = weight_mask.WeightMask(kwargs["candidates"])
            kwargs = {"candidates": candidates}
        if "file" in kwargs:
            kwargs = {"candidates": kwargs["file"]}
        with self.assertRaisesRegex(ValueError, message):
            scored_model.ScoredModel(**{"model": _network(), **kwargs})

    def test_refuses_to_train_without_a_loss(self):
        with self.assertRaisesRegex(ValueError, "`compile` needs a `loss`"):
            scored_model.ScoredModel(_network()).compile("sgd")

    @parameterized.parameters(True, False)
    def test_stops_at_the_first_nan_and_gives_no_mask_of_it(self, in_data):
        x, y = _data()
        scored = scored_model.ScoredModel(_network(), seed=0)
        scored.compile("sgd", loss="sparse_categorical_crossentropy")
        if in_data:
            x[3, 1] = np.nan
            with self.assertRaisesRegex(ValueError, "loss .* is nan at batch"):
                scored.fit(x, y, batch_size=8, epochs=9, verbose=0)
            self.assertLess(int(scored.optimizer.iterations), 36)
        scores = scored.scores["a/kernel"]
        scores.assign(scores.numpy() * np.nan)
        for call in (scored.weight_mask, lambda: scored.fit(x, y, verbose=0)):
            with self.assertRaisesRegex(ValueError, "'a/kernel' is NaN or inf"):
                call()

    def test_a_nan_that_no_loss_shows_is_found_after_the_epoch(self):
        x, y = _data()
        scored = scored_model.ScoredModel(_network(), seed=0)
        scored.compile("sgd", loss="sparse_categorical_crossentropy")
        scores = scored.scores["a/kernel"]
        spoil = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: scores.assign(
                scores.numpy() * np.nan
            )
        )
        with self.assertRaisesRegex(ValueError, "'a/kernel' is NaN or inf"):
            scored.fit(x, y, batch_size=32, verbose=0, callbacks=[spoil])


if __name__ == "__main__":
    tf.test.main()

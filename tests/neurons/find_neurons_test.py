import itertools
import warnings
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.neurons import rules, statistics
from modularity_tf.neurons.find_neurons import find_neurons
from tests import shipped_networks, small_models

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(30, 6, 6, 2)).astype("float32")
LABELS = np.arange(30) % 3


class FindNeuronsTest(parameterized.TestCase, tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        keras.utils.set_random_seed(0)
        cls.model = small_models.cnn()
        cls.statistics = statistics.class_statistics(
            cls.model, (IMAGES, LABELS), 3
        )

    def test_by_threshold_it_is_the_selection_of_the_class(self):
        found = find_neurons(self.model, (IMAGES, LABELS), 1, percentile=50.0)
        expected = rules.threshold_neurons(self.statistics, 1, percentile=50.0)
        self.assertEqual(found, expected)
        others = [
            rules.threshold_neurons(self.statistics, label, percentile=50.0)
            for label in (0, 2)
        ]
        self.assertTrue(any(found != other for other in others))

    def test_bayesian_it_tells_who_is_on_and_who_is_off(self):
        settings = {"t_high": 0.3, "t_low": 0.05, "tau": 0.6}
        found = find_neurons(
            self.model,
            (IMAGES, LABELS),
            2,
            layers="conv",
            method="bayesian",
            **settings,
        )
        expected = rules.bayesian_neurons(self.statistics, 2, **settings)
        self.assertEqual([*found.values], ["conv"])
        for part in ("values", "off", "scores"):
            self.assertAllEqual(
                getattr(found, part)["conv"], getattr(expected, part)["conv"]
            )

    def test_looks_at_hidden_layers(self):
        found = find_neurons(self.model, (IMAGES, LABELS), 1)
        output = self.model.layers[-1].name
        self.assertNotIn(output, found.values)
        named = find_neurons(self.model, (IMAGES, LABELS), 1, layers=output)
        self.assertEqual([*named.values], [output])

    def test_takes_batches_in_which_the_class_may_be_missing(self):
        order = np.argsort(LABELS)
        batches = [
            (tf.constant(IMAGES[rows]), LABELS[rows][:, None])
            for rows in np.array_split(order, 7)
        ]
        self.assertEqual(
            find_neurons(self.model, batches, 1),
            find_neurons(self.model, (IMAGES, LABELS), 1),
        )

    def test_the_record_says_how_it_was_found(self):
        for method in ("threshold", "bayesian"):
            found = find_neurons(self.model, (IMAGES, LABELS), 1, method=method)
            told = found.provenance
            self.assertEqual((told["method"], told["label"]), (method, 1))
            self.assertEqual((told["examples"], told["model"]), (10, "cnn"))
            self.assertIn("model_fingerprint", told)
            found.check_fits(self.model)

    def test_a_decision_needs_two_examples(self):
        with self.assertRaisesRegex(ValueError, "one example of class 1"):
            find_neurons(
                self.model, (IMAGES[:3], LABELS[:3]), 1, method="bayesian"
            )

    @parameterized.named_parameters(
        ("class", {"label": 3}, r"is of class 3; there are \[0, 1, 2\]"),
        ("negative", {"label": -1}, "`label` must be an int at least 0"),
        ("method", {"method": "mean"}, "`method` must be one of"),
        ("wide", {"data": (IMAGES, np.eye(3)[LABELS])}, r"the shape .30, 3"),
        (
            "several_at_once",
            {"data": (IMAGES, np.ones((30, 2)))},
            "several classes at once",
        ),
        ("percentile", {"percentile": 101}, "`percentile` must be"),
        ("layer", {"layers": "pool"}, "'pool'"),
        ("no_model", {"model": None}, "`model` must be a keras.Model, got"),
        ("a_file", {"model": "m.keras"}, "`model` must be .* 'm.keras'"),
        (
            "a_label_for_each_token",
            {"data": (IMAGES, np.ones((len(IMAGES), 6), int))},
            r"of shape \(examples,\) .* got the shape \(\d+, 6\)",
        ),
    )
    def test_refuses(self, changes, message):
        data = (IMAGES, LABELS)
        arguments = {"model": self.model, "data": data, "label": 1, **changes}
        with self.assertRaisesRegex(ValueError, message):
            find_neurons(**arguments)


class OwnNeuronsTest(parameterized.TestCase, tf.test.TestCase):
    """A contrast, several outputs, other kinds of layers."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        keras.utils.set_random_seed(0)
        cls.rng = np.random.default_rng(0)

    def test_against_the_rest_is_what_the_class_alone_activates(self):
        # Units 0 to 3 fire for both classes, 4 for class 0, and 5 for class 1.
        model = keras.Sequential(
            [
                keras.Input((3,)),
                keras.layers.Dense(6, "relu", name="units"),
                keras.layers.Dense(2, name="out"),
            ]
        )
        kernel = np.zeros((3, 6), "float32")
        kernel[2, :4] = 5.0
        kernel[0, 4] = kernel[1, 5] = 1.0
        model.layers[0].set_weights([kernel, np.zeros(6)])
        y = np.arange(40) % 2
        x = np.column_stack([np.eye(2)[y], np.ones(40)])
        x = (x + 0.1 * self.rng.normal(size=x.shape)).astype("float32")
        paper = find_neurons(model, (x, y), 0, percentile=50.0)
        self.assertNotIn(4, np.flatnonzero(paper.values["units"]))
        own = find_neurons(
            model, (x, np.eye(2)[y]), 0, percentile=50.0, against="rest"
        )
        self.assertTrue(own.values["units"][4])
        self.assertFalse(own.values["units"][5])
        h = np.abs(model.layers[0](x)).astype("float64")
        one, rest = h[y == 0], h[y == 1]
        spread = np.sqrt((one.var(0, ddof=1) + rest.var(0, ddof=1)) / 2)
        contrast = (one.mean(0) - rest.mean(0)) / spread
        self.assertAllClose(own.scores["units"], contrast, rtol=1e-4)
        expected = (contrast > np.percentile(contrast, 50)) & (contrast > 0)
        self.assertAllEqual(own.values["units"], expected)
        told = own.provenance
        self.assertEqual(told["against"], "rest")
        self.assertEqual(told["examples_against"], 20)
        with self.assertRaisesRegex(ValueError, "no example of another class"):
            find_neurons(model, (x[y == 0], y[y == 0]), 0, against="rest")
        with self.assertRaisesRegex(ValueError, "`against` must be 'rest'"):
            find_neurons(model, (x, y), 0, against=1)
        with self.assertRaisesRegex(TypeError, "`against` is not for"):
            find_neurons(model, (x, y), 0, method="bayesian", against="rest")

    @parameterized.parameters(False, True)
    def test_positions_of_weight_0_are_of_no_class(self, is_column):
        model = keras.Sequential(
            [
                keras.Input((None, 2)),
                keras.layers.Dense(4, "tanh", name="units"),
                keras.layers.Dense(2, name="out"),
            ]
        )
        x = self.rng.normal(size=(6, 8, 2)).astype("float32")
        y = self.rng.integers(0, 2, (6, 8))
        weights = np.ones((6, 8), "float32")
        weights[:, 5:] = 0.0
        y[:, 5:] = 0
        if is_column:
            weights = weights[..., None]
        found = find_neurons(model, (x, y, weights), 0)
        expected = find_neurons(model, (x[:, :5], y[:, :5]), 0)
        self.assertAllClose(found.scores, expected.scores)

    def test_labels_of_pixels_may_have_any_form(self):
        model = keras.Sequential(
            [
                keras.Input((3, 3, 2)),
                keras.layers.Conv2D(6, 2, padding="same", name="units"),
                keras.layers.Conv2D(3, 1, name="out"),  # as many as columns
            ]
        )
        x = self.rng.normal(size=(8, 3, 3, 2)).astype("float32")
        y = self.rng.integers(0, 3, (8, 3, 3))
        y[:, 0] = [1, 0, 0]
        units = np.abs(np.array(model.layers[0](x)))
        expected = np.mean(
            [z[of == 1].mean(axis=0) for z, of in zip(units, y)], axis=0
        )
        one_hot = y[..., None] == np.arange(3)
        for labels in (y, y[..., None], one_hot):
            for kind in (int, "float32"):
                found = find_neurons(model, (x, labels.astype(kind)), 1)
                self.assertAllClose(found.scores["units"], expected, rtol=1e-4)
        with self.assertRaisesRegex(ValueError, "weights of shape .8, 3. for"):
            find_neurons(model, (x, y[:, 0, 0], np.ones((8, 3))), 1)

    def test_positions_in_another_order_than_the_labels_are_refused(self):
        image, y = keras.Input((3, 3, 2)), self.rng.integers(0, 2, (8, 3, 3))
        turn = keras.layers.Permute((2, 1, 3), name="turn")
        units = keras.layers.Dense(4, name="units")(image)
        last = keras.layers.Dense(4, name="last")(turn(units))
        model = keras.Model(image, keras.layers.Dense(2, name="out")(last))
        x = self.rng.normal(size=(8, 3, 3, 2)).astype("float32")
        with self.assertRaisesRegex(ValueError, "'units' lie in .* 'turn'"):
            find_neurons(model, (x, y), 1)
        found = find_neurons(model, (x, y), 1, layers="last")
        inner = np.abs(keras.Model(image, last)(x))
        has = (y == 1).any(axis=(1, 2))
        expected = [z[of == 1].mean(axis=0) for z, of in zip(inner, y)]
        expected = np.mean(np.array(expected)[has], axis=0)
        self.assertAllClose(found.scores["last"], expected, rtol=1e-4)
        find_neurons(model, (x, y[:, 0, 0]), 1)  # labels of examples

    def test_positions_of_one_class_are_told_from_the_rest(self):
        model = shipped_networks.splice_sites()
        x = self.rng.normal(size=(6, 16, 4)).astype("float32")
        y = self.rng.integers(0, 3, (6, 10))
        found = find_neurons(model, (x, np.eye(3)[y]), 2, against="rest")
        has = (y == 2).any(axis=1)
        self.assertEqual(found.provenance["examples"], has.sum())
        self.assertIn("conv11", found.values)
        found.check_fits(model)

    def test_labels_of_several_outputs_are_named(self):
        model = shipped_networks.faces()
        x = self.rng.normal(size=(8, 8, 8, 2)).astype("float32")
        boxes, y = np.zeros((8, 4)), np.arange(8) % 2
        alone = find_neurons(model, (x, y), 1)
        for labels in ([boxes, y], {"out_box": boxes, "out_face": y}):
            self.assertEqual(
                find_neurons(model, (x, labels), 1, outputs="out_face"), alone
            )
            with self.assertRaisesRegex(
                ValueError, "several outputs, .'out_box', 'out_face'.*`outputs`"
            ):
                find_neurons(model, (x, labels), 1)
        with self.assertRaisesRegex(ValueError, "`outputs` must be one of"):
            find_neurons(model, (x, [boxes, y]), 1, outputs="nose")

    @parameterized.named_parameters(
        ("lstm", shipped_networks.words_as_vectors, (5, 5), "first", "first"),
        # Activated behind its normalization.
        ("conv", shipped_networks.emotions, (8, 8, 1), "separable0", "relu"),
    )
    def test_units_of_other_layers_have_activities_where_named(
        self, build, shape, layer, activated
    ):
        model = build()
        x = self.rng.normal(size=(8, *shape)).astype("float32")
        y = np.arange(8) % 2
        found = find_neurons(model, (x, y), 1, layers=layer, percentile=50.0)
        inner = keras.Model(model.inputs, model.get_layer(activated).output)
        means = np.abs(inner(x[y == 1])).reshape(-1, 6).mean(axis=0)
        self.assertAllClose(found.scores[layer], means, rtol=1e-4)
        alone = found.apply(model)
        changed = np.abs(np.array(alone(x)) - np.array(model(x))).max()
        self.assertGreater(changed, 1e-4)

    def test_a_model_of_other_layers_alone_says_which_to_name(self):
        model = shipped_networks.words_as_vectors()
        with self.assertRaisesRegex(ValueError, r"of 'first' \(LSTM\)"):
            find_neurons(model, (np.ones((2, 5, 5)), [0, 1]), 1)


class NeededTest(parameterized.TestCase, tf.test.TestCase):
    """Gates: which neurons a task needs."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Needed are two units of eight: their sum is what is asked for. Three
        # put out nothing, one nobody reads, and two cancel each other.
        rng = np.random.default_rng(0)
        cls.x = rng.normal(size=(600, 4)).astype("float32")
        cls.y = (np.maximum(cls.x[:, :2], 0).sum(axis=1) > 0.6).astype(int)
        kernel = np.zeros((4, 8), "float32")
        kernel[0, 0] = kernel[1, 1] = 1.0
        kernel[:, 5], kernel[:, 6] = 1.0, [0.5, -1.0, 1.0, 1.0]
        kernel[:, 7] = kernel[:, 6]
        reads = np.array([1, 1, 2, -2, 3, 0, 1.5, -1.5], "float32")
        cls.model = keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(8, "relu", name="hidden"),
                keras.layers.Dense(1, name="answer"),
            ]
        )
        cls.model.set_weights(
            [kernel, np.zeros(8), 8 * reads[:, None], np.array([-4.8])]
        )
        cls.model.compile(
            loss=keras.losses.BinaryCrossentropy(from_logits=True),
            metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)],
        )

    def test_finds_what_is_planted(self):
        found = find_neurons(
            self.model, (self.x, self.y), method="mask", task="sum", verbose=0
        )
        self.assertAllEqual(found.values["hidden"], np.arange(8) < 2)
        ranked = np.argsort(-found.scores["hidden"])
        self.assertEqual({*ranked[:2].tolist()}, {0, 1})
        told = found.provenance
        self.assertEqual((told["method"], told["task"]), ("mask", "sum"))
        self.assertEqual(told["puts_out"], {})
        self.assertEqual(told["alpha"], found.path[-1]["alpha"])
        self.assertGreaterEqual(told["scale"]["mask"], 0.95)
        alone = found.apply(self.model)
        right = (np.array(alone(self.x))[:, 0] > 0) == self.y
        self.assertGreater(right.mean(), 0.99)
        self.assertAllClose(
            found.shrink(self.model).model(self.x), alone(self.x), atol=1e-5
        )
        one = found.at(keep=1 / 8)
        self.assertEqual(one.values["hidden"].sum(), 1)
        self.assertTrue((one.values["hidden"] & found.values["hidden"]).any())

    def test_keep_says_how_many(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # few are decided
            found = find_neurons(
                self.model,
                (self.x, self.y),
                method="mask",
                keep=0.5,
                steps=50,
                verbose=0,
            )
        self.assertEqual(found.values["hidden"].sum(), 4)
        self.assertAllEqual(found.values["hidden"][:2], [True, True])

    def test_tells_what_neurons_put_out_that_are_off(self):
        inputs = keras.Input((4,))
        x = keras.layers.Dense(6, name="hidden")(inputs)
        x = keras.layers.Activation("sigmoid")(x)
        keras.utils.set_random_seed(0)
        model = keras.Model(inputs, keras.layers.Dense(2, name="answer")(x))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, metrics=["accuracy"])
        model.fit(self.x, self.y, epochs=40, verbose=0)
        with self.assertWarnsRegex(UserWarning, "'hidden' 0.5"):
            found = find_neurons(
                model,
                (self.x, self.y),
                method="mask",
                keep=0.5,
                steps=50,
                verbose=0,
            )
        self.assertEqual(found.provenance["puts_out"], {"hidden": 0.5})
        self.assertAllClose(
            found.shrink(model).model(self.x),
            found.apply(model)(self.x),
            atol=1e-5,
        )

    def test_what_shortens_a_long_search_is_told_before_it_begins(self):
        class Stop(keras.callbacks.Callback):
            def on_train_begin(self, logs=None):
                raise InterruptedError

        patch = mock.patch(
            "modularity_tf.masking.judging.time.monotonic",
            itertools.count(0, 1000).__next__,
        )
        for steps, shorter in ((None, "With `steps`=10 at"), (5, "A step")):
            with (
                patch,
                self.assertWarnsRegex(UserWarning, f"minutes. {shorter}"),
                self.assertRaises(InterruptedError),
            ):
                find_neurons(
                    self.model,
                    (self.x, self.y),
                    method="mask",
                    steps=steps,
                    callbacks=[Stop()],
                )

    def test_refuses_what_is_not_for_it(self):
        data = self.x, self.y
        with self.assertRaisesRegex(ValueError, "`label` is not for"):
            find_neurons(self.model, data, 1, method="mask")
        with self.assertRaisesRegex(ValueError, "`keep`.*1.5"):
            find_neurons(self.model, data, method="mask", keep=1.5)
        with self.assertRaisesRegex(ValueError, "'answer'.*outputs"):
            find_neurons(self.model, data, method="mask", layers="answer")
        for method, label, setting in (
            ("mask", None, {"percentile": 50.0}),
            ("threshold", 1, {"keep": 0.5}),
            ("threshold", 1, {"t_high": 0.5}),
            ("bayesian", 1, {"percentile": 50.0}),
            ("bayesian", 1, {"found": 1}),
        ):
            (name,) = setting
            message = f"^`{name}` is not for `method`='{method}', which has "
            with self.assertRaisesRegex(TypeError, message):
                find_neurons(self.model, data, label, method=method, **setting)
        with self.assertRaisesRegex(ValueError, "`label`"):
            find_neurons(self.model, data)


if __name__ == "__main__":
    tf.test.main()

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.neurons import rules, statistics
from modularity_tf.neurons.find_neurons import find_neurons
from tests import small_models

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
        ("one_hot", {"data": (IMAGES, np.eye(3)[LABELS])}, "not one-hot"),
        ("percentile", {"percentile": 101}, "`percentile` must be"),
        ("layer", {"layers": "pool"}, "'pool'"),
        ("no_model", {"model": None}, "`model` must be a keras.Model, got"),
        ("a_file", {"model": "m.keras"}, "`model` must be .* 'm.keras'"),
        (
            "a_label_for_each_token",
            {"data": (IMAGES, np.ones((len(IMAGES), 6), int))},
            r"nor one for each token, got the shape \(\d+, 6\)",
        ),
    )
    def test_refuses(self, changes, message):
        data = (IMAGES, LABELS)
        arguments = {"model": self.model, "data": data, "label": 1, **changes}
        with self.assertRaisesRegex(ValueError, message):
            find_neurons(**arguments)


if __name__ == "__main__":
    tf.test.main()

import importlib.util
import os
import tempfile

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from keras import layers
from matplotlib import figure

from modularity_tf.findings.neuron_selection import NeuronSelection
from modularity_tf.findings.smaller_model import SmallerModel
from modularity_tf.findings.weight_mask import WeightMask
from modularity_tf.network import keras_private


def network():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(8, 3, activation="relu", name="conv"),
            layers.LayerNormalization(name="norm"),
            layers.Flatten(),
            layers.Dense(10, "sigmoid", name="hidden"),
            layers.Dense(3, name="out"),
        ],
        name="net",
    )


def images():
    return np.random.default_rng(0).normal(size=(5, 6, 6, 1)).astype("float32")


SOME = NeuronSelection(
    {"conv": np.arange(8) < 5, "hidden": np.arange(10) % 5 > 1}
)


class SmallerModelTest(parameterized.TestCase, tf.test.TestCase):
    def setUp(self):
        super().setUp()
        self.model = network()
        self.small = SOME.shrink(self.model)

    def folder(self):
        return self.enterContext(tempfile.TemporaryDirectory())

    def test_computes_what_the_applied_selection_does(self):
        expected = SOME.apply(self.model)(images())
        self.assertAllClose(self.small.model(images()), expected, atol=1e-5)
        self.assertEqual(self.small.model.get_layer("hidden").units, 6)

    def test_counts_parameters_and_multiply_adds(self):
        sizes = {each.layer: each for each in self.small.layers}
        self.assertEqual(sizes["hidden"].units, (10, 6))
        self.assertEqual(sizes["hidden"].parameters, (1290, 128 * 6 + 6))
        self.assertEqual(sizes["hidden"].multiply_adds, (1280, 128 * 6))
        self.assertEqual(sizes["conv"].multiply_adds, (1152, 1152))
        self.assertIsNone(sizes["norm"].units)
        self.assertEqual(
            self.small.parameters,
            (self.model.count_params(), self.small.model.count_params()),
        )
        self.assertEqual(
            self.small.multiply_adds, (1152 + 1280 + 30, 1152 + 768 + 18)
        )

    def test_says_which_units_stay_and_why(self):
        ((path, reasons),) = self.small.stays.items()
        self.assertEqual((path, sum(reasons.values())), ("conv", 3))
        told = str(self.small)
        self.assertRegex(told, "1,419 to 891 parameters")
        self.assertRegex(told, "3 of 'conv' stay: they reach 'norm'")
        self.assertNotIn("\n", told)

    def test_is_shown_and_drawn(self):
        self.assertIn("10 → 6", self.small._repr_html_())
        self.assertIsInstance(self.small.plot(), figure.Figure)

    def test_comes_back_from_its_file(self):
        file = f"{self.folder()}/small.npz"
        self.small.save(file)
        loaded = SmallerModel.load(file)
        self.assertEqual(loaded.layers, self.small.layers)
        self.assertAllClose(
            loaded.model(images()), self.small.model(images()), atol=1e-6
        )

    def test_a_model_that_keras_does_not_make_is_told(self):
        class Own(layers.Layer):
            def call(self, inputs):
                return inputs

        for layer, said in (
            (layers.Lambda(lambda x: 2 * x), "Lambda.*unsafe_deserializ"),
            (Own(), "Sequential.*Register layers"),
        ):
            model = keras.Sequential(
                [keras.Input((6, 6, 1)), *self.model.layers, layer]
            )
            file = f"{self.folder()}/small.npz"
            SOME.shrink(model).save(file)
            message = f"{file} holds a SmallerModel.*{said}"
            with self.assertRaisesRegex(ValueError, message) as raised:
                SmallerModel.load(file)
            self.assertNotIn("\n", str(raised.exception))
            with keras_private.everything_allowed({"Own": Own}):
                loaded = SmallerModel.load(file)
            self.assertAllClose(
                loaded.model(images()),
                SOME.apply(model)(images()),
                atol=1e-5,
            )

    def test_the_model_is_saved_and_trained_as_any_other(self):
        file = f"{self.folder()}/small.keras"
        self.small.model.save(file)
        loaded = keras.saving.load_model(file)
        self.assertAllClose(
            loaded(images()), self.small.model(images()), atol=1e-6
        )
        loaded.compile("adam", "mse")
        loaded.fit(images(), np.zeros((5, 3)), verbose=0)

    @parameterized.parameters("tf_saved_model", "litert", "onnx")
    def test_an_export_gives_the_same_numbers(self, kind):
        file = os.path.join(self.folder(), "exported")
        expected = self.small.model(images())
        if kind == "tf_saved_model":
            self.small.model.export(file, format=kind, verbose=False)
            served = tf.saved_model.load(file)  # which keeps the variables
            found = served.serve(images())
        elif kind == "litert":
            file += ".tflite"
            self.small.model.export(file, format=kind, verbose=False)
            reader = tf.lite.Interpreter(file)
            (taken,), (given,) = (
                reader.get_input_details(),
                reader.get_output_details(),
            )
            reader.resize_tensor_input(taken["index"], images().shape)
            reader.allocate_tensors()
            reader.set_tensor(taken["index"], images())
            reader.invoke()
            found = reader.get_tensor(given["index"])
        else:
            for name in ("onnxruntime", "tf2onnx"):  # no requirements
                if importlib.util.find_spec(name) is None:
                    self.skipTest(f"There is no {name} here.")
            onnxruntime = importlib.import_module("onnxruntime")
            self.small.model.export(f"{file}.onnx", format=kind, verbose=False)
            session = onnxruntime.InferenceSession(f"{file}.onnx")
            (taken,) = session.get_inputs()
            (found,) = session.run(None, {taken.name: images()})
        self.assertAllClose(found, expected, atol=1e-5)

    def test_a_mask_takes_out_units_without_weights_on_one_side(self):
        hidden, out = np.ones((128, 10), bool), np.ones((10, 3), bool)
        hidden[:, 4] = False  # puts out sigmoid(bias)
        out[7] = False  # is read by nothing
        mask = WeightMask({"hidden/kernel": hidden, "out/kernel": out})
        small = mask.shrink(self.model)
        self.assertEqual(small.model.get_layer("hidden").units, 8)
        self.assertAllClose(
            small.model(images()), mask.apply(self.model)(images()), atol=1e-5
        )

    def test_bad_input_is_told_in_a_line(self):
        none = SOME - SOME
        for call, told in (
            (lambda: SOME.shrink(self.model, round_to=0), "`round_to`"),
            (lambda: none.select("hidden").shrink(self.model), "no unit left"),
            (
                lambda: NeuronSelection({"x": np.ones(2, bool)}).shrink(
                    self.model
                ),
                "no layer 'x'",
            ),
        ):
            with self.assertRaisesRegex(ValueError, told) as raised:
                call()
            self.assertNotIn("\n", str(raised.exception))


if __name__ == "__main__":
    tf.test.main()

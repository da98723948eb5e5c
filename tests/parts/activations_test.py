import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from keras import layers

from modularity_tf.parts import activations
from tests import small_models


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="mine")
        self.used = layers.Dense(3, name="used")
        self.spare = layers.Dense(2, name="spare")
        self.spare.build((None, 4))

    def call(self, inputs):
        return self.used(inputs)


class ActivationModelTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(True, False)
    def test_returns_what_each_layer_puts_out(self, compiled):
        model = small_models.cnn()
        inputs = np.random.default_rng(0).normal(size=(5, 6, 6, 2))
        watch = activations.ActivationModel(model)
        call = tf.function(watch) if compiled else watch
        found = call(tf.constant(inputs, "float32"))
        self.assertEqual(list(found), ["conv", "hidden", "output"])
        x = inputs
        for layer in model.layers:
            x = layer(x)
            if layer.name in found:
                self.assertAllClose(found[layer.name], x, atol=1e-5)
        self.assertNotIn("call", vars(model.layers[0]))  # as it was

    def test_reaches_layers_of_nested_and_subclassed_models(self):
        model, x = small_models.nested(), np.ones((2, 4), "float32")
        found = activations.ActivationModel(model)(x)
        hidden = model.get_layer("first")(x)
        self.assertAllClose(found["first"], hidden)
        self.assertAllClose(found["inner/d"], model.get_layer("inner")(hidden))
        mine = Subclassed()
        outputs = mine(x)
        found = activations.ActivationModel(mine, "used")(x)
        self.assertAllClose(found["used"], outputs)

    def test_says_by_name_what_is_out_of_reach(self):
        mine = Subclassed()
        x = tf.ones((2, 4))
        mine(x)
        with self.assertRaisesRegex(ValueError, "'spare' of 'mine'"):
            activations.ActivationModel(mine)(x)

    @parameterized.parameters(True, False)
    def test_a_loop_is_out_of_reach_run_eagerly_or_not(self, compiled):
        model = keras.Sequential(
            [
                keras.Input((3, 4)),
                layers.RNN(Cell(), name="loop"),
                layers.Dense(2, name="output"),
            ]
        )
        watch = activations.ActivationModel(model)
        call = tf.function(watch) if compiled else watch
        with self.assertRaisesRegex(ValueError, "inner' .* within a loop"):
            call(tf.ones((2, 3, 4)))

    def test_calls_of_several_shapes_are_refused(self):
        inputs, shared = keras.Input((6, 6, 2)), layers.Conv2D(2, 3, name="c")
        model = keras.Model(inputs, shared(shared(inputs)))
        watch = activations.ActivationModel(model)
        with self.assertRaisesRegex(ValueError, "'c' .* several shapes"):
            watch(np.ones((1, 6, 6, 2)))

    def test_calls_of_a_shared_layer_lie_side_by_side(self):
        inputs = keras.Input((4,))
        shared = layers.Dense(4, name="shared")
        model = keras.Model(inputs, shared(shared(inputs)))
        x = np.random.default_rng(0).normal(size=(5, 4))
        found = activations.ActivationModel(model)(x)["shared"]
        self.assertEqual(found.shape, (5, 2, 4))
        self.assertAllClose(found[:, 0], shared(x))
        self.assertAllClose(found[:, 1], model(x))

    def test_refuses_unknown_layers(self):
        with self.assertRaisesRegex(ValueError, "'nope'"):
            activations.ActivationModel(small_models.cnn(), "nope")


class ChooseLayersTest(parameterized.TestCase, tf.test.TestCase):
    def model(self):
        inner = keras.Sequential(
            [keras.Input((3,)), layers.Dense(3, name="a"), layers.ReLU()],
            name="inner",
        )
        x = keras.Input((3,))
        y = layers.Dense(3, name="a")(inner(layers.ReLU(name="r")(x)))
        return keras.Model(x, layers.Dense(2, name="last")(y), name="outer")

    @parameterized.named_parameters(
        ("none_all_conv_and_dense", None, ["inner/a", "a", "last"]),
        ("a_name_one_layer_of_any_kind", "r", ["r"]),
        ("a_shared_name_all_that_have_it", ["a"], ["inner/a", "a"]),
        ("a_path_that_layer", ["inner/a"], ["inner/a"]),
        ("a_model_the_conv_and_dense_layers_in_it", ["inner"], ["inner/a"]),
        ("several_in_the_order_of_the_model", ["last", "r"], ["r", "last"]),
    )
    def test_means_by(self, names, expected):
        found = activations.choose_layers(self.model(), names)
        self.assertEqual([*found], expected)

    @parameterized.named_parameters(
        ("unknown", "nope", "'nope', which is no layer .* Known: .*'inner/a'"),
        ("empty", [], "must be a name or names, got"),
        ("a_number", 3, "must be a name or names, got 3"),
        ("numbers", [3], "must be a name or names, got"),
    )
    def test_refuses(self, names, message):
        with self.assertRaisesRegex(ValueError, message):
            activations.choose_layers(self.model(), names)

    def test_an_rnn_and_a_wrapper_stay_one_layer(self):
        wrapper = layers.TimeDistributed(layers.Dense(2), name="wrapper")
        model = keras.Sequential(
            [keras.Input((3, 4)), wrapper, layers.RNN(Cell(), name="loop")]
        )
        found = activations.choose_layers(model, ["loop", "wrapper"])
        self.assertEqual([*found], ["wrapper", "loop"])

    def test_neurons_are_in_conv_and_dense_layers_alone(self):
        with self.assertRaisesRegex(ValueError, "names 'r', a ReLU; only Conv"):
            activations.neuron_layers(self.model(), ["a", "r"])


class Cell(layers.Layer):
    state_size = output_size = 2

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Dense(2, name="inner")

    def build(self, input_shape):
        self.inner.build((None, 4))

    def call(self, inputs, states):
        return self.inner(inputs) + states[0], states
